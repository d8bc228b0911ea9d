// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* zcrxctl - look at zero-copy receive, and set NICs up for it */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

/**
 * struct command - what zcrxctl can do
 * @name: on the command line
 * @run: returns the exit status
 * @nr_arguments: the most it takes; a second one is a receive queue
 * @takes_count: --count
 */
struct command {
	const char	*name;
	int		(*run)(const struct options *options);
	int		nr_arguments;
	bool		takes_count;
};

static const struct command commands[] = {
	{ "list", list_ifqs, 0, false },
	{ "show", show_ifqs, 1, false },
	{ "top", watch_ifqs, 0, true },
	{ "trace", trace_copies, 0, true },
	{ "doctor", doctor, 1, false },
	{ "setup", setup_nic, 2, false },
	{ "reset", reset_nics, 1, false },
};

static const char help[] =
	"usage: zcrxctl [--json] COMMAND [ARGUMENT]...\n"
	"\n"
	"  list                 the ifqs of this machine: a line for each\n"
	"  show [PID|IF]        their counters, all of them, of a process or an interface\n"
	"  top [--count N]      what they do, each second, N times or until Ctrl-C\n"
	"  trace [--count N]    a line for each piece that is copied, N times or until Ctrl-C\n"
	"  doctor [IF]          what kernel and NIC can do, what is missing, what mends it\n"
	"  setup IF [QUEUE]     set a receive queue up for a program that does not do so\n"
	"  reset [IF]           put back what setup changed, and what dead programs left\n"
	"\n"
	"  -j, --json           print JSON\n"
	"  -n, --count N        top, trace: end after N times\n"
	"  -h, --help           print this\n"
	"\n"
	"Exit status: 0 success; doctor: zero copy works; 1 failure; doctor: something is\n"
	"missing; 2 wrong arguments. See zcrxctl(8).\n";

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];

	errx(STATUS_USAGE, "there is no command %s: zcrxctl --help lists those that there are",
	     name);
}

static int parse_number(const char *text, unsigned long least,
			const char *whose)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || number < least || number > INT_MAX ||
	    *text == '-' || !*text)
		errx(STATUS_USAGE, "%s takes a number from %lu, not \"%s\"",
		     whose, least, text);

	return number;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "jn:h", names, NULL)) != -1) {
		switch (c) {
		case 'j':
			options->json = true;
			break;
		case 'n':
			options->count = parse_number(optarg, 1, "--count");
			break;
		case 'h':
			fputs(help, stdout);
			exit(STATUS_OK);
		default:
			exit(STATUS_USAGE);
		}
	}
}

/* Returns how many there were. */
static int parse_arguments(char **args, const struct command *command,
			   struct options *options)
{
	int nr = 0;

	if (nr < command->nr_arguments && args[nr])
		options->what = args[nr++];
	if (nr < command->nr_arguments && args[nr])
		options->queue = parse_number(args[nr++], 0, "QUEUE");

	return nr;
}

int main(int argc, char **argv)
{
	struct options options = { .queue = -1 };
	const struct command *command;

	parse_options(argc, argv, &options);
	if (optind == argc) {
		fputs(help, stderr);
		return STATUS_USAGE;
	}
	command = find_command(argv[optind++]);
	optind += parse_arguments(argv + optind, command, &options);
	if (optind < argc)
		errx(STATUS_USAGE, "%s takes no argument %s: zcrxctl --help tells what it takes",
		     command->name, argv[optind]);
	if (options.count && !command->takes_count)
		errx(STATUS_USAGE, "%s takes no --count: that is for top and trace",
		     command->name);

	return command->run(&options);
}
