/* The names process: follows the netmap of the mesh process, answers for its names, and sees to it
 * that programs of this machine find them.
 *
 *	netmap --> zone --> the sockets of the resolver
 *		    \---> /etc/hosts, or systemd-resolved
 *
 * What it knew stays when the mesh process is gone, and is in the state directory for the next
 * start. */
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/stop.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "names/forward.h"
#include "names/hosts_file.h"
#include "names/resolved.h"
#include "names/server.h"
#include "server/mesh_follow.h"
#include "server/mesh_numbers.h"
#include "server/privilege.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/state.h"
#include "server/supervisor.h"
#include "server/up_options.h"

enum {
	READY_MS = 3000, /* without a netmap */
	OPEN_AGAIN_MS = 5000,
	CHECK_MS = 10 * 1000, /* did somebody undo it */
	RESOLV_CONF_BYTES_MAX = 64 * 1024,
	SERVERS = 2,
	TELL_ATTEMPTS = 5,
	TELL_AGAIN_US = 300 * 1000,
	HOST_BYTES_MAX = 255,
};

/* Port 53; a file of hosts of any owner and mode; the last one systemd-resolved asks for. */
#define KEPT_PRIVILEGES                                                                            \
	(PRIVILEGE(CAP_NET_BIND_SERVICE) | PRIVILEGE(CAP_CHOWN) | PRIVILEGE(CAP_FOWNER) |          \
	 PRIVILEGE(CAP_DAC_OVERRIDE) | PRIVILEGE(CAP_NET_ADMIN))

#define STATE_NAMES "names" /* the last netmap that had names */

static const char *const addresses[SERVERS] = { "100.100.100.100", "fd7a:115c:a1e0::53" };

enum showing { SHOW_NOWHERE, SHOW_IN_HOSTS, SHOW_BY_RESOLVED };

struct names {
	struct mesh_follow follow;
	struct task show; /* brings the zone to where programs look */
	struct loop *loop;
	const struct options *options;
	struct state state;
	struct role_page *page; /* its numbers */
	char socket[OPTION_VALUE_BYTES_MAX + 32];
	struct zone *zone; /* NULL: none was ever known */
	struct names_server *servers[SERVERS];
	struct forward *forward;
	struct timer open_again;
	bool has_told_domain;
	bool has_complained; /* that a server cannot be opened */
	struct worker_job job;
	enum showing showing;
	struct buf block; /* for the job */
	struct arena plan_arena;
	struct resolved_commands plan;
	char job_why[HOSTS_FILE_WHY_BYTES];
	bool is_ready, is_shown_again, is_stopping, may_use_hosts;
	bool was_resolved_told;
	enum err said;	    /* of the last time the names were shown */
	struct timer ready; /* for whoever waits, when no netmap comes */
	struct timer check;
	struct stat shown; /* what we left the names in */
};

/* --- the zone --------------------------------------------------------------------------------- */

static const struct zone *get_zone(void *context)
{
	const struct names *n = context;

	return n->zone;
}

/* Are names of the network that this machine is in below it?  Then they are not the mesh's. */
static bool is_own_domain(struct slice domain)
{
	char host[HOST_BYTES_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	struct slice rest = slice_from(host);
	slice_cut(&rest, '.');
	return (rest.size > 0 && zone_is_below(rest, domain)) || resolved_is_own_domain("", domain);
}

/* What cannot be a mesh's domain is none, and that is said once. */
static void check_domain(struct names *n, struct mesh_view *view)
{
	const char *why = NULL;

	if (view->domain.size == 0)
		return;
	if (!zone_is_domain(view->domain))
		why = "it is not a name of two labels or more";
	else if (is_own_domain(view->domain))
		why = "the network of this machine has that domain";
	if (!why)
		return;
	if (!n->has_told_domain)
		log_warn("names of the mesh do not end with %.*s here: %s", SLICE_ARG(view->domain),
			 why);
	n->has_told_domain = true;
	view->domain = (struct slice) { 0 };
}

/* Returns its sequence; *ret_zone stays where it is no netmap with names in it. */
static uint64_t read_netmap(struct names *n, struct slice json, struct zone **ret_zone)
{
	struct mesh_view view = { .sequence = 0 };
	struct arena a;
	struct zone *zone = NULL;

	arena_init(&a);
	enum err err = mesh_view_parse(&a, json, &view);
	if (!err) {
		check_domain(n, &view);
		zone = zone_new(&view);
	}
	arena_done(&a);
	if (zone)
		*ret_zone = zone;
	else if (err || view.machine_count > 0)
		log_warn("a netmap without names is not used%s%s", err ? ": " : "",
			 err ? err_name(err) : "");
	else
		log_debug("nothing is known of the mesh yet");
	return view.sequence;
}

static void load_last(struct names *n)
{
	struct buf json;

	buf_init(&json);
	if (state_read(&n->state, STATE_NAMES, STATE_FILE_BYTES_MAX, &json) == OK)
		read_netmap(n, buf_slice(&json), &n->zone);
	if (n->zone)
		log_info("names as of netmap %llu, until there is a newer one",
			 (unsigned long long)zone_sequence(n->zone));
	buf_done(&json);
}

/* --- the sockets ------------------------------------------------------------------------------ */

static void open_servers(struct names *n);

static void on_open_again(struct timer *t)
{
	open_servers(CONTAINER(t, struct names, open_again));
}

static void open_servers(struct names *n)
{
	char why[TASK_WHY_BYTES];
	enum err failed = OK;

	for (size_t i = 0; i < SERVERS; i++) {
		struct names_server_config config = { .address = { .port = NAMES_PORT },
						      .zone = get_zone,
						      .forward = n->forward,
						      .context = n };
		if (n->servers[i] || ip_parse(slice_from(addresses[i]), &config.address.ip))
			continue;
		enum err err = names_server_open(n->loop, &config, &n->servers[i], why);
		if (err && !n->has_complained)
			log_warn("%s", why);
		failed = err ? err : failed;
	}
	n->has_complained = failed != OK;
	if (failed && failed != ERR_DENIED && failed != ERR_UNSUPPORTED)
		timer_set(&n->open_again, n->loop, loop_now_ms(n->loop) + OPEN_AGAIN_MS,
			  on_open_again);
}

static struct forward *open_forward(struct names *n)
{
	struct ip_port resolvers[FORWARD_RESOLVERS_MAX];
	uint8_t bytes[RESOLV_CONF_BYTES_MAX];
	size_t count = 0;

	FILE *file = strcmp(n->options->values[OPTION_FORWARD_DNS], "yes") == 0
			     ? fopen("/etc/resolv.conf", "re")
			     : NULL;
	if (file) {
		struct slice text = { bytes, fread(bytes, 1, sizeof(bytes), file) };
		count = forward_read_resolvers(text, resolvers, FORWARD_RESOLVERS_MAX);
		fclose(file);
	}
	return forward_new(n->loop, resolvers, count);
}

/* --- showing the names to programs ------------------------------------------------------------ */

static void add_host(void *context, struct ip ip, const char *names)
{
	hosts_block_add(context, ip, names);
}

static enum err hosts_work(struct worker_job *job)
{
	struct names *n = CONTAINER(job, struct names, job);

	return hosts_file_set(n->options->values[OPTION_HOSTS], buf_slice(&n->block), n->job_why);
}

/* It may just be starting again; with the link all is gone that it knew. */
static enum err tell_resolved(const struct names *n)
{
	enum err err = resolved_run(&n->plan);

	for (int i = 1; err && err != ERR_NOT_FOUND && i < TELL_ATTEMPTS; i++) {
		if (if_nametoindex(n->options->values[OPTION_TUN]) == 0)
			break;
		usleep(TELL_AGAIN_US);
		err = resolved_run(&n->plan);
	}
	return err;
}

static enum err resolved_work(struct worker_job *job)
{
	struct names *n = CONTAINER(job, struct names, job);

	snprintf(n->job_why, sizeof(n->job_why), "systemd-resolved could not be told");
	return tell_resolved(n);
}

static void start_showing(struct names *n)
{
	n->job_why[0] = '\0';
	if (n->showing == SHOW_BY_RESOLVED) {
		n->was_resolved_told = true;
		arena_reset(&n->plan_arena);
		resolved_plan(&n->plan_arena, n->options->values[OPTION_TUN], n->zone, &n->plan);
		worker_start(&n->job, &n->show, resolved_work);
		return;
	}
	buf_clear(&n->block);
	hosts_block_begin(&n->block);
	zone_each_host(n->zone, add_host, &n->block);
	worker_start(&n->job, &n->show, hosts_work);
}

static bool may_use_hosts(const struct options *o)
{
	const char *path = o->values[OPTION_HOSTS];

	return strcmp(path, "no") != 0 && hosts_file_is_ours(path);
}

static enum showing choose_showing(const struct names *n)
{
	if (strcmp(n->options->values[OPTION_ACCEPT_DNS], "yes") != 0)
		return SHOW_NOWHERE;
	if (resolved_is_used(""))
		return SHOW_BY_RESOLVED;
	return n->may_use_hosts ? SHOW_IN_HOSTS : SHOW_NOWHERE;
}

/* True: try again at once, by other means. */
static bool note_shown(struct names *n)
{
	enum err err = n->job.task.err;

	if (err && n->showing == SHOW_BY_RESOLVED && n->may_use_hosts) {
		log_warn("%s (%s): names go into %s", n->job_why, err_name(err),
			 n->options->values[OPTION_HOSTS]);
		n->showing = SHOW_IN_HOSTS;
		return true;
	}
	if (err && err != n->said)
		log_warn("programs do not find names by themselves: %s",
			 n->job_why[0] ? n->job_why : err_name(err));
	n->said = err;
	return false;
}

static void tell_ready(struct names *n)
{
	static const char *const where[] = { "names at 100.100.100.100", "names in /etc/hosts",
					     "names by systemd-resolved" };

	timer_clear(&n->ready);
	if (!n->is_ready)
		supervisor_tell_ready(where[n->showing]);
	n->is_ready = true;
}

static void on_ready_timer(struct timer *t)
{
	tell_ready(CONTAINER(t, struct names, ready));
}

/* --- showing, each time the zone is another --------------------------------------------------- */

static enum step show_step(struct task *t)
{
	struct names *n = CONTAINER(t, struct names, show);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == 0 && !task_is_canceled(t)) {
		start_showing(n);
		return task_wait(t, 1);
	}
	return task_done(t, task_is_canceled(t) ? ERR_CANCELED : n->job.task.err);
}

static void show(struct names *n);

/* The file of hosts; or the socket of systemd-resolved, which is another one when that was started
 * again and knows nothing of us. */
static void look(const struct names *n, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (stat(n->showing == SHOW_BY_RESOLVED ? RESOLVED_SOCKET
						: n->options->values[OPTION_HOSTS],
		 ret) < 0)
		ret->st_size = -1;
}

static void on_check(struct timer *t)
{
	struct names *n = CONTAINER(t, struct names, check);
	struct stat now;

	look(n, &now);
	if (now.st_ino != n->shown.st_ino || now.st_dev != n->shown.st_dev ||
	    now.st_size != n->shown.st_size || now.st_mtim.tv_sec != n->shown.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != n->shown.st_mtim.tv_nsec)
		show(n);
	timer_set(t, n->loop, loop_now_ms(n->loop) + CHECK_MS, on_check);
}

static void on_shown(struct task *t)
{
	struct names *n = CONTAINER(t, struct names, show);

	if (n->is_stopping)
		return;
	bool is_again = note_shown(n);
	look(n, &n->shown);
	timer_set(&n->check, n->loop, loop_now_ms(n->loop) + CHECK_MS, on_check);
	tell_ready(n);
	if (is_again || n->is_shown_again)
		show(n);
}

static const char *const show_places[] = { "start", "shown" };
static const struct task_kind show_kind = {
	.name = "show",
	.places = show_places,
	.place_count = 2,
	.step = show_step,
	.on_end = on_shown,
};

static void show(struct names *n)
{
	if (!n->zone)
		return;
	if (n->showing == SHOW_NOWHERE) {
		tell_ready(n);
		return;
	}
	n->is_shown_again = task_is_running(&n->show);
	if (!n->is_shown_again)
		task_start_root(&n->show, &show_kind, n->loop);
}

static uint64_t on_netmap(void *context, struct slice json)
{
	struct names *n = context;
	struct zone *zone = NULL;

	uint64_t sequence = read_netmap(n, json, &zone);
	if (!zone)
		return sequence;
	bool is_same = n->zone && zone_sequence(n->zone) == sequence;
	zone_free(n->zone);
	n->zone = zone;
	if (!is_same && state_write(&n->state, STATE_NAMES, json))
		log_warn("the names cannot be kept in %s for the next start",
			 n->options->values[OPTION_STATE]);
	show(n);
	return sequence;
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_stop(void *context)
{
	struct names *n = context;

	n->is_stopping = true;
	role_page_close(&n->page);
	mesh_follow_stop(&n->follow);
	if (task_is_running(&n->show))
		task_cancel(&n->show);
	timer_clear(&n->open_again);
	timer_clear(&n->ready);
	timer_clear(&n->check);
	forward_close(n->forward);
	for (size_t i = 0; i < SERVERS; i++)
		if (n->servers[i])
			names_server_close(n->servers[i]);
}

/* As if there had never been a mesh. */
static void hide(struct names *n)
{
	enum err err = OK;

	n->job_why[0] = '\0';
	if (n->was_resolved_told) {
		resolved_plan(&n->plan_arena, n->options->values[OPTION_TUN], NULL, &n->plan);
		err = tell_resolved(n);
		log_debug("systemd-resolved: %s", err_name(err));
	}
	if (!n->may_use_hosts)
		return;
	err = hosts_file_set(n->options->values[OPTION_HOSTS], (struct slice) { 0 }, n->job_why);
	if (err)
		log_warn("names could not be taken away: %s", n->job_why);
}

static void check(void *context, struct readiness *r)
{
	const struct names *n = context;

	readiness_add(r, "names", "zone", n->zone, "the names of the mesh are not known yet");
}

static void write_numbers(void *context, struct exposition *e)
{
	const struct names *n = context;
	struct names_counters sum = { .queries = 0 };

	for (size_t i = 0; i < SERVERS; i++) {
		if (!n->servers[i])
			continue;
		struct names_counters c = names_server_counters(n->servers[i]);
		sum.queries += c.queries;
		sum.refused += c.refused;
		sum.forwarded += c.forwarded;
		sum.strangers += c.strangers;
	}
	names_numbers_write(&sum, e);
}

static void run(struct names *n)
{
	n->may_use_hosts = may_use_hosts(n->options);
	n->showing = choose_showing(n);
	buf_init(&n->block);
	arena_init(&n->plan_arena);
	if (n->showing != SHOW_IN_HOSTS)
		hide(n); /* what a process left that was killed */
	up_options_socket(n->options, "mesh.sock", n->socket);
	load_last(n);
	privilege_keep(KEPT_PRIVILEGES);
	n->loop = loop_new(0);
	stop_install(n->loop, on_stop, n);
	n->page = role_page_open(&(struct role_page_config) { .loop = n->loop,
							      .options = n->options,
							      .process = ROLE_NAMES,
							      .write = write_numbers,
							      .check = check,
							      .context = n });
	n->forward = open_forward(n);
	open_servers(n);
	timer_set(&n->ready, n->loop, loop_now_ms(n->loop) + READY_MS, on_ready_timer);
	show(n);
	mesh_follow_start(&n->follow, n->loop, n->socket, on_netmap, n);
	loop_run(n->loop);
	loop_free(n->loop);
	hide(n);
	zone_free(n->zone);
	buf_done(&n->block);
	arena_done(&n->plan_arena);
}

int names_role_main(char **argv)
{
	static struct options options = { .command = OPTIONS_UP };
	static struct names n;
	char why[OPTION_WHY_BYTES];

	log_set_role("names");
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	if (!err)
		err = state_open(&n.state, options.values[OPTION_STATE], false, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	n.options = &options;
	run(&n);
	state_close(&n.state);
	return 0;
}
