// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * zcrxctl setup: a queue as the library would set it up, for programs that do
 * not; zcrxctl reset: what that changed, and what the dead left, put back
 */
#include <err.h>
#include <errno.h>
#include <liburing-zcrx.h>
#include <stdio.h>

#include "changes.h"
#include "checks.h"
#include "commands.h"
#include "numbers.h"

static int refused(int ret)
{
	warnx("%s", zcrx_error());

	return ret == -ENODEV ? STATUS_USAGE : STATUS_MISSING;
}

/* What another description of the interface says that is new, nothing on failure */
static int compare(const char *ifname, const struct zcrx_nic_info *before,
		   struct changes *changes)
{
	struct zcrx_nic_info after;
	int ret = zcrx_nic_describe(ifname, &after);

	*changes = (struct changes){ .nr = 0 };
	if (ret)
		return ret;
	changes_find(changes, before, &after);
	zcrx_nic_info_free(&after);

	return 0;
}

/*
 * Setup
 */

static int keep_queue(const char *ifname, int rxq)
{
	struct zcrx_nic *nic;
	int ret = zcrx_nic_open(&nic, ifname, rxq), queue;

	if (ret)
		return ret;
	queue = zcrx_nic_rxq(nic);
	ret = zcrx_nic_keep(nic);
	if (ret)
		zcrx_nic_close(nic);

	return ret ? ret : queue;
}

static void print_steering(const char *ifname, const struct zcrx_nic_info *nic,
			   int queue)
{
	if (nic->nr_queues == 1)
		return;
	printf("to steer connections to it: ");
	if (nic_has_filters(nic))
		printf("ethtool -N %s flow-type tcp4 dst-port PORT action %d\n",
		       ifname, queue);
	else
		printf("ethtool -X %s start %d equal 1, which brings all of them\n",
		       ifname, queue);
}

static void print_setup(const char *ifname, const struct zcrx_nic_info *nic,
			int queue, const struct changes *changes)
{
	printf("%s queue %d is set up\n", ifname, queue);
	changes_print(changes);
	print_steering(ifname, nic, queue);
	printf("to put it back: zcrxctl reset %s\n", ifname);
}

static void print_setup_json(const char *ifname, int queue,
			     const struct changes *changes)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "interface",
			       json_object_new_string(ifname));
	json_object_object_add(json, "queue", json_object_new_int(queue));
	json_object_object_add(json, "changes", changes_json(changes));
	print_json(json, JSON_C_TO_STRING_PRETTY);
}

static int set_up(const struct options *options,
		  const struct zcrx_nic_info *before)
{
	int queue = keep_queue(options->what, options->queue), ret;
	struct changes changes;

	if (queue < 0)
		return queue;
	/* It is set up all the same. */
	ret = compare(options->what, before, &changes);
	if (ret)
		warnx("what has changed can't be told: %s", zcrx_error());
	if (options->json)
		print_setup_json(options->what, queue, &changes);
	else
		print_setup(options->what, before, queue, &changes);
	changes_free(&changes);

	return 0;
}

/**
 * setup_nic() - zcrxctl setup
 * @options: of the command line
 *
 * Return: exit status.
 */
int setup_nic(const struct options *options)
{
	struct zcrx_nic_info before;
	int ret;

	if (!options->what) {
		warnx("setup takes the name of an interface: ip link shows those that there are");
		return STATUS_USAGE;
	}
	ret = zcrx_nic_describe(options->what, &before);
	if (ret)
		return refused(ret);
	ret = set_up(options, &before);
	zcrx_nic_info_free(&before);

	return ret ? refused(ret) : STATUS_OK;
}

/*
 * Reset
 */

/* Whatever comes of it, something may have been put back. */
static int reset_and_compare(const char *ifname, struct changes *changes)
{
	struct zcrx_nic_info before;
	int ret = zcrx_nic_describe(ifname, &before), err;

	*changes = (struct changes){ .nr = 0 };
	if (ret)
		return refused(ret);
	err = zcrx_nic_reset(ifname);
	if (err)
		err = refused(err);
	ret = compare(ifname, &before, changes);
	if (ret)
		err = refused(ret);
	zcrx_nic_info_free(&before);

	return err;
}

static void print_reset(const char *ifname, const struct changes *changes)
{
	if (!changes->nr)
		return;
	printf("%s\n", ifname);
	changes_print(changes);
}

static void add_reset_json(struct json_object *list, const char *ifname,
			   const struct changes *changes)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "interface",
			       json_object_new_string(ifname));
	json_object_object_add(json, "changes", changes_json(changes));
	json_object_array_add(list, json);
}

/* Adds to the list, or prints if there is none; returns the exit status. */
static int reset_one(const char *ifname, struct json_object *list, size_t *nr)
{
	struct changes changes;
	int status = reset_and_compare(ifname, &changes);

	if (list)
		add_reset_json(list, ifname, &changes);
	else
		print_reset(ifname, &changes);
	*nr += changes.nr;
	changes_free(&changes);

	return status;
}

static int reset_all(struct json_object *list, size_t *nr)
{
	struct if_nameindex *all = if_nameindex(), *one;
	int status = STATUS_OK, failed;

	if (!all)
		err(STATUS_MISSING, "cannot list the network interfaces");
	for (one = all; one->if_index; one++) {
		failed = reset_one(one->if_name, list, nr);
		status = failed ? failed : status;
	}
	if_freenameindex(all);

	return status;
}

static void print_list(struct json_object *list)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "interfaces", list);
	print_json(json, JSON_C_TO_STRING_PRETTY);
}

/**
 * reset_nics() - zcrxctl reset
 * @options: of the command line
 *
 * Return: exit status.
 */
int reset_nics(const struct options *options)
{
	struct json_object *list = NULL;
	size_t nr = 0;
	int status;

	if (options->json)
		list = json_object_new_array();
	status = options->what ? reset_one(options->what, list, &nr) :
				 reset_all(list, &nr);
	if (list)
		print_list(list);
	else if (!nr && !status)
		printf("nothing is to be put back\n");

	return status;
}
