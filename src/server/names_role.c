/* The names process: follows the netmap of the mesh process, answers for its names, and sees to it
 * that programs of this machine find them.
 *
 *	ask --(a newer netmap)--> show --> ask     show: /etc/hosts, or systemd-resolved
 *	 ^ \--(mesh is not there)--> rest -/
 *
 * What it knew stays when the mesh process is gone, and is in the state directory for the next
 * start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/http_client.h"
#include "loop/stop.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "names/forward.h"
#include "names/hosts_file.h"
#include "names/resolved.h"
#include "names/server.h"
#include "server/serve.h"
#include "server/state.h"
#include "server/supervisor.h"
#include "server/up_options.h"

enum {
	ASK_TIMEOUT_MS = 90 * 1000, /* longer than mesh lets one wait */
	REST_MS_MIN = 100,
	REST_MS_MAX = 5000,
	REST_UNCHANGED_MS = 500, /* after an answer that was no newer */
	READY_MS = 3000,	 /* without a netmap */
	OPEN_AGAIN_MS = 5000,
	RESOLV_CONF_BYTES_MAX = 64 * 1024,
	SERVERS = 2,
};

#define STATE_NAMES "names" /* the last netmap that had names */

static const char *const addresses[SERVERS] = { "100.100.100.100", "fd7a:115c:a1e0::53" };

enum showing { SHOW_NOWHERE, SHOW_IN_HOSTS, SHOW_BY_RESOLVED };

struct names {
	struct task task;
	struct loop *loop;
	const struct options *options;
	struct state state;
	char socket[OPTION_VALUE_BYTES_MAX + 32];
	struct zone *zone; /* NULL: none was ever known */
	struct names_server *servers[SERVERS];
	struct forward *forward;
	struct timer open_again;
	bool has_complained; /* that a server cannot be opened */
	struct http_call call;
	struct sleep sleep;
	uint64_t rest_ms;
	struct worker_job job;
	enum showing showing;
	struct buf block; /* for the job */
	struct arena plan_arena;
	struct resolved_commands plan;
	char job_why[HOSTS_FILE_WHY_BYTES];
	bool is_ready;
	uint64_t seen_sequence;
	struct timer ready; /* for whoever waits, when no netmap comes */
};

/* --- the zone --------------------------------------------------------------------------------- */

static const struct zone *get_zone(void *context)
{
	const struct names *n = context;

	return n->zone;
}

/* False: it is no netmap with names in it, and the one before stays. */
static bool take_netmap(struct names *n, struct slice json)
{
	struct mesh_view view;
	struct arena a;
	struct zone *zone = NULL;

	arena_init(&a);
	enum err err = mesh_view_parse(&a, json, &view);
	if (!err) {
		n->seen_sequence = view.sequence;
		zone = zone_new(&view);
	}
	arena_done(&a);
	if (!zone) {
		log_warn("a netmap without names is not used%s%s", err ? ": " : "",
			 err ? err_name(err) : "");
		return false;
	}
	zone_free(n->zone);
	n->zone = zone;
	return true;
}

static void load_last(struct names *n)
{
	struct buf json;

	buf_init(&json);
	if (state_read(&n->state, STATE_NAMES, STATE_FILE_BYTES_MAX, &json) == OK &&
	    take_netmap(n, buf_slice(&json)))
		log_info("names as of netmap %llu, until there is a newer one",
			 (unsigned long long)zone_sequence(n->zone));
	buf_done(&json);
	n->seen_sequence = 0;
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

static enum err resolved_work(struct worker_job *job)
{
	struct names *n = CONTAINER(job, struct names, job);

	snprintf(n->job_why, sizeof(n->job_why), "systemd-resolved could not be told");
	return resolved_run(&n->plan);
}

static void start_showing(struct names *n)
{
	n->job_why[0] = '\0';
	if (n->showing == SHOW_BY_RESOLVED) {
		arena_reset(&n->plan_arena);
		resolved_plan(&n->plan_arena, n->options->values[OPTION_TUN], n->zone, &n->plan);
		worker_start(&n->job, &n->task, resolved_work);
		return;
	}
	buf_clear(&n->block);
	hosts_block_begin(&n->block);
	zone_each_host(n->zone, add_host, &n->block);
	worker_start(&n->job, &n->task, hosts_work);
}

static bool may_use_hosts(const struct options *o)
{
	const char *path = o->values[OPTION_HOSTS];

	return strcmp(path, "no") != 0 && hosts_file_is_ours(path);
}

static enum showing choose_showing(const struct options *o)
{
	if (strcmp(o->values[OPTION_ACCEPT_DNS], "yes") != 0)
		return SHOW_NOWHERE;
	if (resolved_is_used(""))
		return SHOW_BY_RESOLVED;
	return may_use_hosts(o) ? SHOW_IN_HOSTS : SHOW_NOWHERE;
}

/* True: try again at once, by other means. */
static bool note_shown(struct names *n)
{
	enum err err = n->job.task.err;

	if (err && n->showing == SHOW_BY_RESOLVED && may_use_hosts(n->options)) {
		log_warn("%s (%s): names go into %s", n->job_why, err_name(err),
			 n->options->values[OPTION_HOSTS]);
		n->showing = SHOW_IN_HOSTS;
		return true;
	}
	if (err)
		log_warn("programs do not find names by themselves: %s",
			 n->job_why[0] ? n->job_why : err_name(err));
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

/* --- following -------------------------------------------------------------------------------- */

enum { NAMES_START, NAMES_ASKED, NAMES_SHOWN, NAMES_RESTED, NAMES_PLACES };
static const char *const names_places[] = { "start", "asked", "shown", "rested" };

static enum step ask(struct names *n)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/netmap?after=%llu",
		 (unsigned long long)n->seen_sequence);
	http_call_start(&n->call, &n->task, n->socket, "GET", target, (struct slice) { 0 });
	task_set_deadline(&n->call.task, loop_now_ms(n->loop) + ASK_TIMEOUT_MS);
	return task_wait(&n->task, NAMES_ASKED);
}

static enum step show(struct names *n)
{
	if (!n->zone)
		return ask(n);
	if (n->showing == SHOW_NOWHERE) {
		tell_ready(n);
		return ask(n);
	}
	start_showing(n);
	return task_wait(&n->task, NAMES_SHOWN);
}

static enum step rest(struct names *n, uint64_t ms)
{
	sleep_start(&n->sleep, &n->task, loop_now_ms(n->loop) + ms);
	return task_wait(&n->task, NAMES_RESTED);
}

static enum step heard(struct names *n)
{
	bool is_answer = n->call.task.err == OK && n->call.status == 200;
	uint64_t before = n->seen_sequence;
	bool is_new = is_answer && take_netmap(n, buf_slice(&n->call.body));

	if (is_new && n->seen_sequence != before &&
	    state_write(&n->state, STATE_NAMES, buf_slice(&n->call.body)))
		log_warn("the names cannot be kept in %s for the next start",
			 n->options->values[OPTION_STATE]);
	buf_done(&n->call.body);
	if (is_answer)
		n->rest_ms = REST_MS_MIN;
	if (is_new && n->seen_sequence != before)
		return show(n);
	if (is_answer)
		return rest(n, REST_UNCHANGED_MS);
	uint64_t ms = n->rest_ms;
	n->rest_ms = ms * 2 < REST_MS_MAX ? ms * 2 : REST_MS_MAX;
	return rest(n, ms);
}

static enum step names_step(struct task *t)
{
	struct names *n = CONTAINER(t, struct names, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		buf_done(&n->call.body);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case NAMES_START:
		return show(n);
	case NAMES_ASKED:
		return heard(n);
	case NAMES_SHOWN:
		if (note_shown(n))
			return show(n);
		tell_ready(n);
		return ask(n);
	case NAMES_RESTED:
		return ask(n);
	}
	abort();
}

/* The loop ends by itself then. */
static void close_all(struct task *t)
{
	struct names *n = CONTAINER(t, struct names, task);

	timer_clear(&n->open_again);
	timer_clear(&n->ready);
	forward_close(n->forward);
	for (size_t i = 0; i < SERVERS; i++)
		if (n->servers[i])
			names_server_close(n->servers[i]);
}

static const struct task_kind names_kind = {
	.name = "names",
	.places = names_places,
	.place_count = NAMES_PLACES,
	.step = names_step,
	.on_end = close_all,
};

/* --- life ------------------------------------------------------------------------------------- */

static void on_stop(void *context)
{
	struct names *n = context;

	task_cancel(&n->task);
}

/* As if there had never been a mesh. */
static void hide(struct names *n)
{
	enum err err = OK;

	n->job_why[0] = '\0';
	if (n->showing == SHOW_BY_RESOLVED) {
		resolved_plan(&n->plan_arena, n->options->values[OPTION_TUN], NULL, &n->plan);
		err = resolved_run(&n->plan); /* fails when the link is gone, and all with it */
		log_debug("systemd-resolved: %s", err_name(err));
	}
	if (!may_use_hosts(n->options))
		return;
	err = hosts_file_set(n->options->values[OPTION_HOSTS], (struct slice) { 0 }, n->job_why);
	if (err)
		log_warn("names could not be taken away: %s", n->job_why);
}

static void run(struct names *n)
{
	n->rest_ms = REST_MS_MIN;
	n->showing = choose_showing(n->options);
	buf_init(&n->block);
	arena_init(&n->plan_arena);
	if (n->showing != SHOW_IN_HOSTS)
		hide(n); /* what a process left that was killed */
	up_options_socket(n->options, "mesh.sock", n->socket);
	load_last(n);
	n->loop = loop_new(0);
	stop_install(n->loop, on_stop, n);
	n->forward = open_forward(n);
	open_servers(n);
	timer_set(&n->ready, n->loop, loop_now_ms(n->loop) + READY_MS, on_ready_timer);
	task_start_root(&n->task, &names_kind, n->loop);
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
