// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * BPF programs read a tracepoint's record as a struct of their own, which libbpf
 * adapts to the kernel's by BTF. Few kernels have BTF of themselves that have
 * tracepoints, but all have a text that tells the same of a record, from which
 * BTF is made here: of that struct alone.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format.h"
#include "grow.h"

/* Where libbpf looks for tracepoints, too */
#define TRACEFS		"/sys/kernel/tracing"
#define IN_DEBUGFS	"/sys/kernel/debug/tracing"
#define SYSTEM		"zcrx"

/**
 * struct field - of a record
 * @name: its name
 * @offset: where it is, in bytes
 * @size: how large it is
 * @type: its type in BTF
 */
struct field {
	char		name[32];
	unsigned int	offset;
	unsigned int	size;
	int		type;
};

struct fields {
	struct field	*list;
	size_t		nr;
	unsigned int	size;		/* of the record */
};

static const char *tracefs(void)
{
	const char *test = getenv("ZCRXCTL_TRACEFS");

	if (test)
		return test;

	return access(IN_DEBUGFS, F_OK) ? TRACEFS : IN_DEBUGFS;
}

/* "field:unsigned int len;" or "field:__u8 saddr[28];": the last word */
static void copy_name(char name[32], const char *declaration)
{
	size_t len = strcspn(declaration, "[;"), start = len;

	while (start && declaration[start - 1] != ' ')
		start--;
	snprintf(name, 32, "%.*s", (int)(len - start), declaration + start);
}

static void parse_line(struct fields *fields, const char *line)
{
	const char *declaration = strstr(line, "field:");
	const char *offset = strstr(line, "offset:");
	const char *size = strstr(line, "size:");
	struct field *field;

	if (!declaration || !offset || !size)
		return;
	fields->list = grow(fields->list, fields->nr, sizeof(*field));
	field = &fields->list[fields->nr++];
	copy_name(field->name, declaration);
	field->offset = strtoul(offset + strlen("offset:"), NULL, 10);
	field->size = strtoul(size + strlen("size:"), NULL, 10);
	if (field->offset + field->size > fields->size)
		fields->size = field->offset + field->size;
}

static void read_fields(struct fields *fields, FILE *file)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, file) > 0)
		parse_line(fields, line);
	free(line);
}

/* A number, or else an array of bytes */
static int add_type(struct btf *btf, unsigned int size)
{
	int byte;

	if (size == 1 || size == 2 || size == 4 || size == 8)
		return btf__add_int(btf, "number", size, 0);
	byte = btf__add_int(btf, "byte", 1, 0);
	if (byte < 0)
		return byte;

	return btf__add_array(btf, byte, byte, size);
}

static int add_struct(struct btf *btf, const char *name,
		      const struct fields *fields)
{
	int ret = btf__add_struct(btf, name, fields->size);
	size_t i;

	for (i = 0; i < fields->nr && ret >= 0; i++)
		ret = btf__add_field(btf, fields->list[i].name,
				     fields->list[i].type,
				     fields->list[i].offset * 8, 0);

	return ret < 0 ? ret : 0;
}

static int add_types(struct btf *btf, const char *name, struct fields *fields)
{
	struct field *field;
	size_t i;

	for (i = 0; i < fields->nr; i++) {
		field = &fields->list[i];
		field->type = add_type(btf, field->size);
		if (field->type < 0)
			return field->type;
	}

	return add_struct(btf, name, fields);
}

/* A file descriptor, or a negative errno */
static int write_btf(const struct btf *btf)
{
	const void *data;
	__u32 size;
	int fd;

	data = btf__raw_data(btf, &size);
	if (!data)
		return -ENOMEM;
	fd = memfd_create("zcrxctl-btf", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return -ENOSPC;
	}

	return fd;
}

static int make_btf(const char *name, struct fields *fields)
{
	struct btf *btf = btf__new_empty();
	int ret;

	if (!btf)
		return -errno;
	ret = add_types(btf, name, fields);
	if (!ret)
		ret = write_btf(btf);
	btf__free(btf);

	return ret;
}

static FILE *open_format(const char *event, char *why, size_t size)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/events/" SYSTEM "/%s/format",
		 tracefs(), event);
	file = fopen(path, "re");
	if (file)
		return file;
	if (errno == EACCES) {
		snprintf(why, size, "tracepoints are for root");
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/events", tracefs());
	if (access(path, F_OK))
		snprintf(why, size, "tracepoints are not there: mount -t tracefs tracefs " TRACEFS);
	else
		snprintf(why, size, "this kernel has no tracepoints of zero-copy receive");

	return NULL;
}

/**
 * format_btf() - make a file of BTF that tells what a tracepoint records
 * @event: tracepoint of zero-copy receive; the record is a struct of that name
 * @path: set to the file's path
 * @why: on failure set to the reason, in words
 * @size: of @why
 *
 * Return: a file descriptor, with which the file goes, or a negative errno.
 */
int format_btf(const char *event, char path[FORMAT_PATH_SIZE], char *why,
	       size_t size)
{
	struct fields fields = { .nr = 0 };
	FILE *file = open_format(event, why, size);
	int fd;

	if (!file)
		return -ENOENT;
	read_fields(&fields, file);
	fclose(file);
	fd = make_btf(event, &fields);
	free(fields.list);
	if (fd < 0)
		snprintf(why, size, "what tracepoints record is not known: %s",
			 strerror(-fd));
	else
		snprintf(path, FORMAT_PATH_SIZE, "/proc/self/fd/%d", fd);

	return fd;
}
