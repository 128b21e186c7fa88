#include "server/serve.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "loop/open_files.h"
#include "server/first_start.h"
#include "server/launch.h"
#include "server/mesh_address.h"
#include "server/process.h"
#include "server/supervisor.h"
#include "streams/agent/flush_budget.h"

enum { SERVE_PROCESSES_MAX = OPTION_AGENTS_MAX + 2 }; /* with control and metrics */
_Static_assert((int)SERVE_PROCESSES_MAX <= (int)SUPERVISOR_ROLES_MAX, "they have a supervisor");

static void print_help(void)
{
	puts("Examples:\n"
	     "  hanse serve                              one node, records in ./var/bucket\n"
	     "  hanse serve --bucket file:/srv/bucket    records somewhere else\n"
	     "  hanse serve --kafka 0.0.0.0:9092 --advertise 192.0.2.7:9092\n"
	     "                                           for clients on other machines\n"
	     "  hanse serve --kafka mesh:9092            for the machines of this one's mesh\n"
	     "  hanse serve --kafka 127.0.0.1:9094       a second node on the same bucket:\n"
	     "                                           takes over when the first one is gone\n"
	     "  hanse serve --key-file hanse.key         everything in the bucket is encrypted\n"
	     "  hanse serve --bucket 's3://NAME?endpoint=https://s3.example.org'\n"
	     "                                           records in a store, encrypted; no disk\n"
	     "  hanse serve --roles streams --kafka 127.0.0.1:9095 --control "
	     "unix:/run/h/control-9092.sock\n"
	     "                                           a second agent of the first node's "
	     "control\n"
	     "  hanse serve --agents 4                   four cores for Kafka, at ports 9092 to "
	     "9095\n"
	     "\n"
	     "Usage: hanse serve [OPTION VALUE]...\n"
	     "\n"
	     "Runs a node in the foreground and logs to standard error.\n"
	     "\n"
	     "Options, each also as HANSE_NAME in the environment and name = value in\n" //
	     OPTIONS_FILE_DEFAULT ":");
	options_print(stdout, OPTIONS_SERVE);
	puts("\nThe manual is hanse-serve(1).");
}

/* --- the directory of the sockets ---------------------------------------------------------------
 */

/* Agents whose control is elsewhere have no sockets of their own. */
static bool needs_run_dir(const struct options *o)
{
	const char *dir = o->values[OPTION_RUN_DIR];
	size_t size = strlen(dir);

	for (size_t i = 0; i < o->control_count; i++)
		if (strncmp(o->controls[i].path, dir, size) == 0 &&
		    o->controls[i].path[size] == '/')
			return true;
	return o->has_control;
}

/* Where only the numbers need it, the node serves without them. */
static void make_numbers_dir(struct options *o)
{
	char why[OPTION_WHY_BYTES];

	if (!o->has_metrics || needs_run_dir(o) ||
	    !launch_make_run_dir(o->values[OPTION_RUN_DIR], why))
		return;
	log_warn("no /metrics: %s", why);
	o->has_metrics = o->roles[ROLE_METRICS] = false;
	snprintf(o->values[OPTION_METRICS], OPTION_VALUE_BYTES_MAX, "none");
}

/* The default bucket's parent is ours to make; any other place is the caller's to choose. */
static void make_default_parent(const struct options *o)
{
	const char *place = option_rows[OPTION_BUCKET].value;

	if ((strcmp(o->values[OPTION_BUCKET], place) == 0 ||
	     strcmp(o->values[OPTION_JOURNAL], place) == 0) &&
	    mkdir("var", 0700) < 0 && errno != EEXIST)
		log_warn("./var cannot be made: %s", strerror(errno));
}

/* --- the banner ---------------------------------------------------------------------------------
 */

struct banner {
	const struct options *options;
	struct first_start *first_start;
	bool is_ready[PROCESS_COUNT], is_printed;
	char cluster[256];
};

/* What must be said besides to reach this node, and not the one by default. */
static void status_flags(const struct options *o, char *ret, size_t size)
{
	char run_dir[OPTION_VALUE_BYTES_MAX];
	int used = 0;

	ret[0] = '\0';
	options_run_dir(run_dir);
	if (strcmp(o->values[OPTION_KAFKA], option_rows[OPTION_KAFKA].value) != 0)
		used = snprintf(ret, size, " --kafka %s", o->values[OPTION_KAFKA]);
	if (strcmp(o->values[OPTION_RUN_DIR], run_dir) != 0 && (size_t)used < size)
		snprintf(ret + used, size - (size_t)used, " --run-dir %s",
			 o->values[OPTION_RUN_DIR]);
}

static void print_streams(const struct options *o)
{
	const char *address = o->values[OPTION_ADVERTISE];

	fprintf(stderr,
		"  Try next, in another terminal:\n"
		"    echo hello | kcat -b %s -t greetings -P\n"
		"    kcat -b %s -t greetings -C -o beginning -e\n",
		address, address);
}

static void print_control(const struct options *o)
{
	char path[OPTION_VALUE_BYTES_MAX + 32];
	const char *bucket = o->values[OPTION_BUCKET][0] ? o->values[OPTION_BUCKET] : "URL";
	const char *program = program_invocation_name;

	options_control_path(o, path);
	if (o->is_sealed)
		fprintf(stderr,
			"  Try next, here or on another machine, with what `%s key derive "
			"streams`\n"
			"  prints in FILE:\n"
			"    %s serve --roles streams --control %s --key-file FILE --bucket %s\n",
			program, program, o->values[OPTION_PEER], bucket);
	else
		fprintf(stderr,
			"  Try next, in another terminal:\n"
			"    %s serve --roles streams --control unix:%s --bucket %s --kafka %s\n",
			program, path, bucket, o->values[OPTION_KAFKA]);
}

static bool are_all_ready(const struct banner *b)
{
	for (int process = 0; process < PROCESS_COUNT; process++)
		if (process != (int)ROLE_METRICS && process_is_there(b->options, process) &&
		    !b->is_ready[process])
			return false;
	return true;
}

static void print_banner(struct banner *b)
{
	const struct options *o = b->options;
	char flags[2 * OPTION_VALUE_BYTES_MAX + 32], others[64] = "";

	if (o->agent_count > 1)
		snprintf(others, sizeof(others), " to %d", o->advertise.port + o->agent_count - 1);
	if (b->is_printed || !are_all_ready(b))
		return;
	b->is_printed = true;
	if (o->has_streams)
		fprintf(stderr, "\n  Hanse serves Kafka on %s%s\n  records are in %s",
			o->values[OPTION_ADVERTISE], others, o->values[OPTION_BUCKET]);
	else
		fprintf(stderr, "\n  Hanse's control is ready\n  the journal is in %s",
			o->values[OPTION_JOURNAL]);
	if (o->has_control)
		fprintf(stderr, ", %s\n\n", b->cluster);
	else
		fprintf(stderr, ", control is at %s\n\n", o->values[OPTION_CONTROL]);
	if (o->has_streams)
		print_streams(o);
	else
		print_control(o);
	status_flags(o, flags, sizeof(flags));
	if (o->has_control)
		fprintf(stderr, "    %s status%s\n", program_invocation_name, flags);
	fputc('\n', stderr);
}

static void on_ready(void *context, const char *role, const char *text)
{
	struct banner *b = context;
	int process;

	if (process_from_name(role, &process))
		b->is_ready[process] = true;
	if (strcmp(role, "control") == 0) {
		snprintf(b->cluster, sizeof(b->cluster), "%s", text);
		first_start_on_ready(b->first_start);
	}
	print_banner(b);
}

static void on_denied(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	(void)text;
	if (strcmp(role, "control") == 0)
		first_start_on_denied(b->first_start);
}

static void on_asking(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	(void)text;
	if (strcmp(role, "control") == 0)
		first_start_on_asking(b->first_start);
}

static void on_status(void *context, const char *role, const char *text)
{
	(void)context;
	log_info("%s: %s", role, text);
}

/* --- starting -----------------------------------------------------------------------------------
 */

/* The budget is one, but each agent puts FLUSH_PUTS_PER_S_MIN a second in any case. */
static void warn_of_puts(const struct options *o)
{
	int least = o->agent_count * FLUSH_PUTS_PER_S_MIN;

	if (o->has_streams && least > o->puts_per_s &&
	    strncmp(o->values[OPTION_BUCKET], "file:", 5))
		log_warn("--puts-per-second %d is less than %d agents put in any case: up to %d",
			 o->puts_per_s, o->agent_count, least);
}

/* In the order in which they start: control, agents, metrics. */
static size_t list_roles(const struct options *o, const struct first_start *f,
			 struct supervisor_role ret[SERVE_PROCESSES_MAX])
{
	size_t count = 0;

	if (o->has_control)
		ret[count++] = (struct supervisor_role) {
			.name = process_name(ROLE_CONTROL),
			.argv = launch_process_argv(o, ROLE_CONTROL),
			.secret = buf_slice(&f->texts[KEY_ROLE_CONTROL]),
		};
	for (int number = 1; o->has_streams && number <= o->agent_count; number++)
		ret[count++] = (struct supervisor_role) {
			.name = process_name(process_of_agent(number)),
			.argv = launch_process_argv(o, process_of_agent(number)),
			.secret = buf_slice(&f->texts[KEY_ROLE_STREAMS]),
			.stops_with_previous = number > 1,
		};
	if (o->has_metrics)
		ret[count++] = (struct supervisor_role) {
			.name = process_name(ROLE_METRICS),
			.argv = launch_process_argv(o, ROLE_METRICS),
		};
	return count;
}

static int start(const struct options *o, struct first_start *f)
{
	struct supervisor_role roles[SERVE_PROCESSES_MAX];
	struct banner banner = { .options = o, .first_start = f };
	size_t count = list_roles(o, f, roles);

	open_files_raise(); /* for the roles, too */
	warn_of_puts(o);
	return supervisor_run(&(struct supervisor_config) {
		.roles = roles,
		.role_count = count,
		.on_ready = on_ready,
		.on_status = on_status,
		.on_denied = on_denied,
		.on_asking = on_asking,
		.context = &banner,
	});
}

int serve_main(char **argv)
{
	static struct options options;
	static struct first_start first_start;
	char why[OPTION_WHY_BYTES];
	int status = EXIT_USAGE;

	for (char **arg = argv; *arg; arg++) {
		if (strcmp(*arg, "--help") == 0 || strcmp(*arg, "-h") == 0) {
			print_help();
			return 0;
		}
	}
	enum err err = launch_read_options(&options, argv, why);
	if (!err)
		err = mesh_address_fill(&options, MESH_ADDRESS_WAIT_MS, why);
	if (err == ERR_UNAVAILABLE)
		status = EXIT_CONFIG;
	if (!err)
		err = options_finish(&options, why);
	if (!err && needs_run_dir(&options))
		err = launch_make_run_dir(options.values[OPTION_RUN_DIR], why);
	if (err) {
		fprintf(stderr, "hanse serve: %s\n", why);
		return status;
	}
	if (first_start_begin(&first_start, &options, why)) {
		fprintf(stderr, "hanse serve: %s\n", why);
	} else {
		if (first_start.is_used && options.values[OPTION_NEW_CLUSTER][0] == '\0')
			snprintf(options.values[OPTION_NEW_CLUSTER], OPTION_VALUE_BYTES_MAX, "no");
		make_default_parent(&options);
		make_numbers_dir(&options);
		status = start(&options, &first_start);
	}
	first_start_done(&first_start);
	return status;
}
