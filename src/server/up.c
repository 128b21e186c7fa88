/* `hanse up`: a machine of a mesh.  Options, the state directory, the processes, and what a person
 * is told when they are there.
 *
 *	 first machine   realm, relay, mesh, names, drop     prints a key for the next one
 *	 with --join     mesh, names, drop                   joins what the key is of
 *	 after that      as it was: what was joined is in the state directory
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "loop/open_files.h"
#include "mesh/node/node.h"
#include "server/first_start.h"
#include "server/kept_options.h"
#include "server/launch.h"
#include "server/privilege.h"
#include "server/serve.h"
#include "server/state.h"
#include "server/supervisor.h"
#include "server/up_options.h"
#include "wire/crypto/wipe.h"
#include "wire/endpoint.h"
#include "wire/join_key.h"

enum { READY = 0, LOG_BYTES_MAX = 1 << 20 };

static const char log_name[] = "up.log";

static void print_help(void)
{
	puts("Examples:\n"
	     "  hanse up --address 192.0.2.7             the first machine of a mesh\n"
	     "  hanse up --join hanse-join-1-...         another one; the first prints the key\n"
	     "  hanse up                                 again, after `hanse down` or a restart\n"
	     "  hanse up --background                    returns once it is connected\n"
	     "  hanse up --advertise-routes 10.1.0.0/16  others reach that network through here\n"
	     "\n"
	     "Usage: hanse up [OPTION [VALUE]]...\n"
	     "\n"
	     "Makes this machine one of a private network, in the foreground, and logs to "
	     "standard\n"
	     "error.\n"
	     "\n"
	     "Options, each also as HANSE_NAME in the environment and name = value in\n" //
	     OPTIONS_FILE_DEFAULT ":");
	options_print(stdout, OPTIONS_UP);
	puts("\nThe manual is hanse-up(1).");
}

/* --- the key ---------------------------------------------------------------------------------- */
/* Other users see the arguments of a process, so the key does not stay there. */
static void hide_key(char **argv)
{
	for (; *argv; argv++) {
		char *key = strncmp(*argv, "--join=", 7) == 0	      ? *argv + 7
			    : strcmp(*argv, "--join") == 0 && argv[1] ? argv[1]
								      : NULL;
		if (key)
			memset(key, '*', strlen(key));
	}
}

static void read_key_from_input(struct options *o)
{
	char *key = o->values[OPTION_JOIN];

	if (strcmp(key, "-") != 0)
		return;
	if (!fgets(key, OPTION_VALUE_BYTES_MAX, stdin))
		key[0] = '\0';
	key[strcspn(key, " \r\n")] = '\0';
	if (key[0] == '\0')
		memcpy(key, "-", 2); /* said to be no key */
}

/* With --login-server it is whatever that server takes. */
static enum err check_key(const struct options *o, char why[OPTION_WHY_BYTES])
{
	struct join_key key;
	const char *text = o->values[OPTION_JOIN];

	if (text[0] == '\0' || o->values[OPTION_LOGIN_SERVER][0])
		return OK;
	enum err err = join_key_parse(slice_from(text), &key);
	crypto_wipe(&key, sizeof(key));
	if (err == ERR_UNSUPPORTED)
		snprintf(why, OPTION_WHY_BYTES, "the key is of a newer version of hanse");
	else if (err == ERR_CORRUPT)
		snprintf(why, OPTION_WHY_BYTES,
			 "the key is cut off or mistyped: copy the whole word again");
	else if (err)
		snprintf(
			why, OPTION_WHY_BYTES,
			"that is no join key: it begins with hanse-join-1-, and `hanse key create` "
			"on a machine with control makes one");
	return err;
}

/* --- what a person is told -------------------------------------------------------------------- */
struct banner {
	const struct options *options;
	struct first_start *first_start;
	bool is_ready[ROLE_COUNT], is_printed;
	char machine[STATUS_LINE_BYTES_MAX]; /* of mesh: "laptop 100.64.0.1" */
	char key[JOIN_KEY_TEXT_BYTES];	     /* of realm: for the next machine; "": none */
	FILE *out;			     /* where a person reads it */
};

/* systemd says which file its journal is. */
static bool is_journal(FILE *out)
{
	const char *said = getenv("JOURNAL_STREAM");
	struct stat s;
	char text[64];

	if (!said || fstat(fileno(out), &s))
		return false;
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
	return strcmp(said, text) == 0;
}

/* The official client takes a lost connection for a sign that port 80 is meddled with: it asks at
 * port 443 alone while its last attempt is less than two minutes ago, which it always is as it
 * tries on.  It does so only where the URL is http and names no private address. */
static bool is_lost_to_official_clients(const struct banner *b, struct slice url)
{
	struct endpoint e;

	return slice_starts_with(url, SLICE("http://")) &&
	       (endpoint_parse_ip(slice_from(b->options->address.host), 0, &e) ||
		!(endpoint_is_private(&e) || endpoint_is_loopback(&e)));
}

/* A key is no line of a log that is kept, and that others read. */
static void print_key(const struct banner *b)
{
	struct join_key key;

	if (join_key_parse(slice_from(b->key), &key))
		return;
	if (is_journal(b->out)) {
		crypto_wipe(&key, sizeof(key));
		fprintf(b->out, "  Run `hanse key create` here: it says what to run on the next "
				"machine.\n\n");
		return;
	}
	fprintf(b->out,
		"  Run this on the next machine:\n\n"
		"    hanse up --join %s\n\n"
		"  or, with the official client of Tailscale:\n\n"
		"    tailscale up --login-server %s --auth-key %s\n\n",
		b->key, key.urls[0], key.secret);
	if (is_lost_to_official_clients(b, slice_from(key.urls[0])))
		fprintf(b->out, "  Official clients do not come back to such an address by "
				"themselves when\n"
				"  control was away; with --certificate it is an https address, "
				"and they do.\n\n");
	crypto_wipe(&key, sizeof(key));
}

/* An address behind a router leads nowhere from outside, and nobody said that it will do. */
static void warn_of_address(const struct banner *b)
{
	const struct options *o = b->options;
	struct endpoint e;

	if (o->values[OPTION_ADDRESS][0] || !(o->roles[ROLE_REALM] || o->roles[ROLE_RELAY]) ||
	    endpoint_parse_ip(slice_from(o->address.host), 0, &e) || !endpoint_is_private(&e))
		return;
	fprintf(b->out,
		"  Others are told that it is at %s, which only machines of the same network\n"
		"  reach: for those elsewhere start it with --address HOST, once.\n\n",
		o->address.host);
}

/* The process that waits hears that all is well, and ends. */
static void leave_terminal(struct banner *b)
{
	fputc(READY, b->out);
	fclose(b->out);
	b->out = stderr;
}

static void print_banner(struct banner *b)
{
	const struct options *o = b->options;

	for (int role = 0; role < ROLE_COUNT; role++)
		if (o->roles[role] && !b->is_ready[role])
			return;
	if (b->is_printed)
		return;
	b->is_printed = true;
	if (o->roles[ROLE_MESH])
		fprintf(b->out, "\n  This machine is %s\n\n", b->machine);
	else
		fprintf(b->out, "\n  Hanse is up: %s\n\n", o->values[OPTION_ROLES]);
	print_key(b);
	warn_of_address(b);
	fflush(b->out);
	if (b->out != stderr)
		leave_terminal(b);
}

static void on_ready(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	for (enum role_kind i = 0; i < ROLE_COUNT; i++)
		if (strcmp(role, role_name(i)) == 0)
			b->is_ready[i] = true;
	if (strcmp(role, role_name(ROLE_MESH)) == 0) {
		snprintf(b->machine, sizeof(b->machine), "%s", text);
	} else if (strcmp(role, role_name(ROLE_REALM)) == 0) {
		snprintf(b->key, sizeof(b->key), "%s", text);
		first_start_on_ready(b->first_start);
	}
	print_banner(b);
	crypto_wipe(b->key, sizeof(b->key) * b->is_printed);
}

static void on_denied(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	(void)text;
	if (strcmp(role, role_name(ROLE_REALM)) == 0)
		first_start_on_denied(b->first_start);
}

static void on_asking(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	(void)text;
	if (strcmp(role, role_name(ROLE_REALM)) == 0)
		first_start_on_asking(b->first_start);
}

/* Before it is ready it is for the person who waits: a link to open, for instance. */
static void on_status(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	if (b->is_printed || strcmp(role, role_name(ROLE_MESH)) != 0) {
		log_info("%s: %s", role, text);
		return;
	}
	fprintf(b->out, "\n  %s\n\n", text);
	fflush(b->out);
}

static void on_fatal(void *context, const char *role, const char *text)
{
	struct banner *b = context;

	log_error("%s cannot serve: %s", role, text);
	if (b->out != stderr)
		fprintf(b->out, "hanse up: %s cannot serve: %s\n", role, text);
	fflush(b->out);
}

/* --- starting --------------------------------------------------------------------------------- */
static int run(const struct options *o, struct first_start *f, FILE *out)
{
	static struct banner banner;
	struct supervisor_role roles[ROLE_COUNT];
	size_t count = 0;

	banner = (struct banner) { .options = o, .first_start = f, .out = out };
	open_files_raise();
	for (enum role_kind role = 0; role < ROLE_COUNT; role++) {
		struct slice secret = { 0 };

		if (!o->roles[role])
			continue;
		if (role == ROLE_REALM)
			secret = buf_slice(&f->texts[KEY_ROLE_CONTROL]);
		if (role == ROLE_MESH)
			secret = slice_from(o->values[OPTION_JOIN]);
		roles[count++] = (struct supervisor_role) {
			.name = role_name(role),
			.argv = launch_process_argv(o, (int)role),
			.secret = secret,
		};
	}
	return supervisor_run(&(struct supervisor_config) {
		.roles = roles,
		.role_count = count,
		.on_ready = on_ready,
		.on_status = on_status,
		.on_denied = on_denied,
		.on_asking = on_asking,
		.on_fatal = on_fatal,
		.context = &banner,
	});
}

/* From here on nobody looks: what was said goes into a file. */
static void log_to_file(const struct state *state)
{
	AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_FD fd = openat(state->directory, log_name,
			    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(fd >= 0 ? fd : null, STDERR_FILENO);
	if (fd >= 0 && lseek(fd, 0, SEEK_END) > LOG_BYTES_MAX && ftruncate(fd, 0) < 0)
		log_warn("%s cannot be cut: %s", log_name, strerror(errno));
}

/* Prints what the other process says until it is READY, or ends. */
static int wait_for_ready(int fd, const struct state *state)
{
	char text[1024];
	bool is_ready = false;
	ssize_t got;

	while ((got = read(fd, text, sizeof(text))) > 0) {
		is_ready = text[got - 1] == READY;
		fwrite(text, 1, (size_t)(is_ready ? got - 1 : got), stderr);
	}
	if (!is_ready)
		fprintf(stderr, "hanse up: it has ended; its messages are in %s/%s\n", state->path,
			log_name);
	return is_ready ? 0 : EXIT_CONFIG;
}

/* True in the process that goes on, with where to speak to the person; false in the one that
 * waited, with its exit status. */
static bool go_to_background(const struct state *state, FILE **ret_out, int *ret_status)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return true;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		setsid();
		log_to_file(state);
		FILE *out = fdopen(fds[1], "w");
		*ret_out = out ? out : stderr;
		return true;
	}
	close(fds[1]);
	*ret_status = pid > 0 ? wait_for_ready(fds[0], state) : EXIT_CONFIG;
	close(fds[0]);
	return false;
}

/* Who asked for no role gets those that this program has. */
static enum err check_roles(struct options *o, bool is_asked, char why[OPTION_WHY_BYTES])
{
	for (enum role_kind role = 0; role < ROLE_COUNT; role++) {
		if (!is_asked)
			o->roles[role] &= role_is_there(role);
		if (!o->roles[role] || role_is_there(role))
			continue;
		snprintf(why, OPTION_WHY_BYTES, "this program has no role %s", role_name(role));
		return ERR_UNSUPPORTED;
	}
	return OK;
}

/* Said before anything is made, a realm for instance that nobody wanted here. */
static enum err check_privilege(const struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *roles = o->values[OPTION_ROLES];

	if ((roles[0] && !strstr(roles, role_name(ROLE_MESH))) || privilege_has(CAP_NET_ADMIN))
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 "a machine of a mesh has a network interface, and to make it needs root, or the "
		 "capability CAP_NET_ADMIN: `sudo hanse up`");
	return ERR_DENIED;
}

/* What was joined before is gone on with. */
static enum err read_options(struct options *o, struct state *state, char **argv,
			     char why[OPTION_WHY_BYTES])
{
	struct kept_options kept;

	o->command = OPTIONS_UP;
	enum err err = launch_read_options(o, argv, why);
	hide_key(argv);
	if (err)
		return err;
	if (o->values[OPTION_STATE][0] == '\0')
		up_options_state_dir(o->values[OPTION_STATE]);
	read_key_from_input(o);
	err = check_key(o, why);
	if (!err)
		err = check_privilege(o, why);
	if (!err)
		err = state_open(state, o->values[OPTION_STATE], true, why);
	if (err)
		return err;
	bool is_asked = o->values[OPTION_ROLES][0] != '\0';
	err = kept_options_roles(o, state, why);
	if (!err)
		err = kept_options_load(&kept, o, state, why);
	if (!err)
		err = options_finish(o, why);
	if (!err)
		err = check_roles(o, is_asked, why);
	if (!err)
		err = kept_options_save(&kept, state, why);
	if (!err)
		err = kept_options_begin(o, state, why);
	return err ? err : launch_make_run_dir(o->values[OPTION_RUN_DIR], why);
}

int up_main(char **argv)
{
	static struct options options;
	static struct first_start first_start;
	struct state state = { .directory = -1, .lock = -1 };
	char why[OPTION_WHY_BYTES];
	FILE *out = stderr;
	int status = EXIT_USAGE;

	for (char **arg = argv; *arg; arg++) {
		if (strcmp(*arg, "--help") == 0 || strcmp(*arg, "-h") == 0) {
			print_help();
			return 0;
		}
	}
	enum err err = read_options(&options, &state, argv, why);
	if (!err && options.roles[ROLE_REALM])
		err = first_start_begin(&first_start, &options, why);
	if (err) {
		fprintf(stderr, "hanse up: %s\n", why);
		status = err == ERR_BUSY || err == ERR_DENIED ? EXIT_CONFIG : EXIT_USAGE;
	} else if (strcmp(options.values[OPTION_BACKGROUND], "yes") != 0 ||
		   go_to_background(&state, &out, &status)) {
		status = run(&options, &first_start, out);
		if (options.roles[ROLE_MESH])
			node_clean_system(); /* when the process that should have is no more */
	}
	first_start_done(&first_start);
	crypto_wipe(options.values[OPTION_JOIN], OPTION_VALUE_BYTES_MAX);
	state_close(&state);
	return status;
}
