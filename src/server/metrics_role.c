/* The process `metrics`: what all roles of this node tell of themselves, at one port.
 *
 *	GET /metrics          all numbers, for Prometheus
 *	GET /readyz[/NAME]    200 while every role is ready, else 503; ?verbose, ?exclude=NAME
 *	GET /livez[/NAME]     200 unless a role has been silent for METRICS_LIVE_MS
 *
 * It asks the roles when it is asked, so that nothing happens while nobody asks; but for their
 * numbers one after the other, and who asks meanwhile, or less than METRICS_KEPT_MS later, gets the
 * same page: who asks much costs this process something, and the roles nothing.
 * A role that is dead, or does not answer in METRICS_ASK_MS, is missing in the numbers and not
 * ready; the others are there.  It has no keys, opens no bucket and can do nothing to the roles. */
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/http_client.h"
#include "loop/http_server.h"
#include "loop/stop.h"
#include "loop/timer.h"
#include "server/mesh_address.h"
#include "server/privilege.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "wire/metrics/merge.h"

enum {
	METRICS_ASK_MS = 3000,
	METRICS_LIVE_MS = 60 * 1000,
	METRICS_AGAIN_MS = 2000, /* the port is taken, or its address is not there yet */
	METRICS_CONNECTIONS_MAX = 64,
	METRICS_KEPT_MS = 900,	 /* less than the second in which Prometheus asks at most */
	METRICS_GATHERS_MAX = 8, /* questions at a time; more are told to come again */
	METRICS_MESH_MS = 24 * 3600 * 1000,
	HTTP_OK = 200,
	HTTP_NOT_FOUND = 404,
	HTTP_OTHER_METHOD = 405,
	HTTP_UNAVAILABLE = 503,
};

enum question { ASK_METRICS, ASK_READY, ASK_LIVE };

struct kept_page {
	struct buf text;
	uint64_t until_ms;
};

struct metrics {
	struct loop *loop;
	struct options *options;
	struct http_server *server; /* NULL: not yet */
	struct timer again;
	struct list gathers;
	size_t gather_count;
	struct kept_page kept[EXPOSITION_OPENMETRICS + 1];
	uint64_t silent_since_ms[PROCESS_COUNT]; /* 0: it answered last */
	bool is_told;				 /* that the port could not be opened */
};

/* One question and the roles' answers to it. */
struct gather {
	struct task task;
	struct metrics *metrics;
	struct list link;
	struct http_exchange *exchange;			       /* the first who asked */
	struct http_exchange *others[METRICS_CONNECTIONS_MAX]; /* for numbers, meanwhile */
	size_t other_count;
	enum question question;
	enum exposition_format format;
	struct http_call calls[PROCESS_COUNT];
	bool is_asked[PROCESS_COUNT];
};

static const char plain[] = "text/plain; charset=utf-8";
static const struct metric_row role_up = {
	"hanse_role_up",
	METRIC_GAUGE,
	"Whether the process of the role answered just now (1) or not (0).",
	NULL,
};

/* --- numbers ---------------------------------------------------------------------------------- */

static bool has_answered(const struct gather *g, int process)
{
	const struct http_call *call = &g->calls[process];

	return g->is_asked[process] && !call->task.err && call->status == HTTP_OK;
}

/* A page that is none would spoil those of the others. */
static bool take_page(const struct gather *g, int process, struct slice *ret)
{
	if (!has_answered(g, process))
		return false;
	*ret = buf_slice(&g->calls[process].body);
	enum err err = metrics_check(*ret);
	if (err)
		log_warn("the numbers of %s cannot be used: %s", process_name(process),
			 err_name(err));
	return !err;
}

static void answer_all(struct gather *g, int status, const char *type, struct slice text)
{
	http_answer(g->exchange, status, type, text);
	for (size_t i = 0; i < g->other_count; i++)
		http_answer(g->others[i], status, type, text);
	g->other_count = 0;
}

static void keep_page(struct gather *g, struct slice text)
{
	struct kept_page *kept = &g->metrics->kept[g->format];

	buf_clear(&kept->text);
	buf_add_slice(&kept->text, text);
	kept->until_ms = loop_now_ms(g->task.loop) + METRICS_KEPT_MS;
}

static void answer_metrics(struct gather *g)
{
	struct slice pages[PROCESS_COUNT + 1];
	struct buf own, all;
	struct exposition e;
	size_t count = 1;

	buf_init(&own);
	buf_init(&all);
	exposition_init(&e, g->format, &own);
	exposition_family(&e, &role_up);
	for (int process = 0; process < PROCESS_COUNT; process++) {
		if (!g->is_asked[process])
			continue;
		bool is_up = take_page(g, process, &pages[count]);
		exposition_add(&e, is_up, LABELS({ "role", slice_from(process_name(process)) }));
		count += is_up;
	}
	process_numbers_write(&e, process_name(ROLE_METRICS));
	pages[0] = buf_slice(&own);
	metrics_merge(pages, count, &all);
	exposition_end(g->format, &all);
	answer_all(g, HTTP_OK, exposition_content_type(g->format), buf_slice(&all));
	keep_page(g, buf_slice(&all));
	buf_done(&own);
	buf_done(&all);
}

/* --- ready and alive -------------------------------------------------------------------------- */

static void note_silence(struct gather *g, int process, bool has_answer)
{
	uint64_t *since_ms = &g->metrics->silent_since_ms[process];

	if (has_answer)
		*since_ms = 0;
	else if (*since_ms == 0)
		*since_ms = loop_now_ms(g->task.loop);
}

static void add_process(struct gather *g, int process, struct readiness *r)
{
	bool has_answer = has_answered(g, process);
	uint64_t now_ms = loop_now_ms(g->task.loop), *since_ms = g->metrics->silent_since_ms;

	note_silence(g, process, has_answer);
	if (g->question == ASK_LIVE) {
		bool is_alive = has_answer || now_ms - since_ms[process] < METRICS_LIVE_MS;
		readiness_add(r, process_name(process), "", is_alive,
			      "silent for more than a minute");
	} else if (!has_answer) {
		readiness_add(r, process_name(process), "", false, "the process does not answer");
	} else if (readiness_read(r, buf_slice(&g->calls[process].body))) {
		readiness_add(r, process_name(process), "", false, "its answer makes no sense");
	}
}

/* "/readyz/streams/kafka" -> "streams/kafka" */
static struct slice name_in(struct slice path, const char *word)
{
	struct slice name = slice_part(path, strlen(word) + 1, path.size);

	return name.size > 0 && name.data[0] == '/' ? slice_part(name, 1, name.size) : name;
}

static void answer_health(struct gather *g)
{
	struct readiness *r = NEW(struct readiness);
	struct readiness_question q = {
		.word = g->question == ASK_LIVE ? "livez" : "readyz",
		.query = g->exchange->query,
	};
	bool is_ready = false;
	struct buf text;

	q.only = name_in(g->exchange->path, q.word);
	buf_init(&text);
	for (int process = 0; process < PROCESS_COUNT; process++)
		if (g->is_asked[process])
			add_process(g, process, r);
	if (readiness_answer(r, &q, &text, &is_ready))
		http_answer(g->exchange, HTTP_NOT_FOUND, plain, SLICE("no such check\n"));
	else
		http_answer(g->exchange, is_ready ? HTTP_OK : HTTP_UNAVAILABLE, plain,
			    buf_slice(&text));
	buf_done(&text);
	memory_free(r);
}

/* --- asking the roles ------------------------------------------------------------------------- */

static void ask_process(struct gather *g, int process)
{
	const char *target = g->question != ASK_METRICS		   ? "/ready"
			     : g->format == EXPOSITION_OPENMETRICS ? "/metrics?openmetrics"
								   : "/metrics";
	char path[OPTION_VALUE_BYTES_MAX + 32];

	role_page_path(g->metrics->options, process, path);
	g->is_asked[process] = true;
	http_call_start(&g->calls[process], &g->task, path, "GET", target, (struct slice) { 0 });
	task_set_deadline(&g->calls[process].task, loop_now_ms(g->task.loop) + METRICS_ASK_MS);
}

enum { GATHER_ASK, GATHER_TOLD, GATHER_PLACES };
static const char *const gather_places[] = { "ask", "told" };

static enum step gather_step(struct task *t)
{
	struct gather *g = CONTAINER(t, struct gather, task);

	if (task_is_canceled(t)) {
		answer_all(g, HTTP_UNAVAILABLE, plain, SLICE("stopping\n"));
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case GATHER_ASK:
		for (int process = 0; process < PROCESS_COUNT; process++)
			if (process != (int)ROLE_METRICS &&
			    process_is_there(g->metrics->options, process))
				ask_process(g, process);
		return task_wait(t, GATHER_TOLD);
	case GATHER_TOLD:
		if (t->children > 0)
			return task_wait(t, GATHER_TOLD);
		if (g->question == ASK_METRICS)
			answer_metrics(g);
		else
			answer_health(g);
		return task_done(t, OK);
	}
	abort();
}

static void on_gather_end(struct task *t)
{
	struct gather *g = CONTAINER(t, struct gather, task);

	for (int process = 0; process < PROCESS_COUNT; process++)
		buf_done(&g->calls[process].body);
	list_remove(&g->link);
	g->metrics->gather_count--;
	memory_free(g);
}

static const struct task_kind gather_kind = {
	.name = "gather",
	.places = gather_places,
	.place_count = GATHER_PLACES,
	.step = gather_step,
	.on_end = on_gather_end,
};

static bool has_silent_process(const struct metrics *m)
{
	uint64_t now_ms = loop_now_ms(m->loop);

	for (int process = 0; process < PROCESS_COUNT; process++)
		if (m->silent_since_ms[process] &&
		    now_ms - m->silent_since_ms[process] >= METRICS_LIVE_MS)
			return true;
	return false;
}

/* What was gathered just now, or is being gathered. */
static bool share_page(struct metrics *m, struct http_exchange *x)
{
	enum exposition_format format = exposition_format_of(http_header(x, "Accept"));
	struct kept_page *kept = &m->kept[format];

	if (loop_now_ms(m->loop) < kept->until_ms) {
		http_answer(x, HTTP_OK, exposition_content_type(format), buf_slice(&kept->text));
		return true;
	}
	LIST_EACH (&m->gathers, struct gather, link, g) {
		if (g->question != ASK_METRICS || g->format != format ||
		    g->other_count == METRICS_CONNECTIONS_MAX)
			continue;
		g->others[g->other_count++] = x;
		return true;
	}
	return false;
}

static void gather(struct metrics *m, struct http_exchange *x, enum question question)
{
	if (question == ASK_METRICS && share_page(m, x))
		return;
	bool is_busy = m->gather_count >= METRICS_GATHERS_MAX;

	/* Nobody is to be restarted because others ask much. */
	if (is_busy && question == ASK_LIVE && !has_silent_process(m)) {
		http_answer(x, HTTP_OK, plain, SLICE("ok"));
		return;
	}
	if (is_busy) {
		http_answer_with(x, HTTP_UNAVAILABLE, plain, "Retry-After: 1\r\n",
				 SLICE("too many questions at a time\n"));
		return;
	}
	struct gather *g = NEW(struct gather);
	g->metrics = m;
	g->exchange = x;
	g->question = question;
	g->format = exposition_format_of(http_header(x, "Accept"));
	list_add(&m->gathers, &g->link);
	m->gather_count++;
	task_start_root(&g->task, &gather_kind, m->loop);
}

static bool is_below(struct slice path, struct slice place)
{
	return slice_starts_with(path, place) &&
	       (path.size == place.size || path.data[place.size] == '/');
}

static void on_request(void *context, struct http_exchange *x)
{
	struct metrics *m = context;

	if (strcmp(x->method, "GET") != 0)
		http_answer_with(x, HTTP_OTHER_METHOD, plain, "Allow: GET\r\n",
				 SLICE("only GET\n"));
	else if (slice_equal(x->path, SLICE("/metrics")))
		gather(m, x, ASK_METRICS);
	else if (is_below(x->path, SLICE("/readyz")))
		gather(m, x, ASK_READY);
	else if (is_below(x->path, SLICE("/livez")))
		gather(m, x, ASK_LIVE);
	else if (slice_equal(x->path, SLICE("/")))
		http_answer(x, HTTP_OK, plain,
			    SLICE("/metrics\n/readyz?verbose\n/livez?verbose\n"));
	else
		http_answer(x, HTTP_NOT_FOUND, plain, SLICE("no such path\n"));
}

/* --- life ------------------------------------------------------------------------------------- */

static void open_door(struct metrics *m);

static void on_again(struct timer *t)
{
	open_door(CONTAINER(t, struct metrics, again));
}

/* Nobody should lose a node because of its numbers: it is said, and tried again. */
static void open_door(struct metrics *m)
{
	const struct address *at = &m->options->metrics;
	struct http_server_config config = { .on_request = on_request,
					     .context = m,
					     .connections_max = METRICS_CONNECTIONS_MAX };
	char why[TASK_WHY_BYTES], text[OPTION_WHY_BYTES];

	if (!http_server_open_tcp(m->loop, at->host, at->port, &config, &m->server, why)) {
		log_info("serves /metrics on %s", m->options->values[OPTION_METRICS]);
		m->is_told = false;
		return;
	}
	m->server = NULL;
	if (!m->is_told) {
		snprintf(text, sizeof(text),
			 "no /metrics: --metrics %.100s: %.120s; it is tried again",
			 m->options->values[OPTION_METRICS], why);
		log_warn("%s", text);
	}
	m->is_told = true;
	timer_set(&m->again, m->loop, loop_now_ms(m->loop) + METRICS_AGAIN_MS, on_again);
}

static void on_stop(void *context)
{
	struct metrics *m = context;

	timer_clear(&m->again);
	LIST_EACH (&m->gathers, struct gather, link, g)
		task_cancel(&g->task);
	if (m->server)
		http_server_close(m->server);
	m->server = NULL;
}

int metrics_role_main(char **argv)
{
	static struct options options;
	static struct metrics m = { .options = &options };
	char why[OPTION_WHY_BYTES];

	log_set_role("metrics");
	/* The supervisor says whose role it is with the option only one of them has. */
	for (char **arg = argv; *arg; arg++)
		if (strncmp(*arg, "--state=", 8) == 0)
			options.command = OPTIONS_UP;
	enum err err = options_from_flags(&options, argv, why);
	supervisor_tell_ready("");
	/* Of `hanse up` the address may come later than this process; nothing else is to do. */
	while (!err && mesh_address_fill(&options, METRICS_MESH_MS, why))
		;
	if (!err)
		err = options_finish(&options, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	privilege_keep(PRIVILEGE(CAP_NET_BIND_SERVICE));
	m.loop = loop_new(0);
	list_init(&m.gathers);
	for (int i = 0; i <= EXPOSITION_OPENMETRICS; i++)
		buf_init(&m.kept[i].text);
	stop_install(m.loop, on_stop, &m);
	open_door(&m);
	memory_settle();
	loop_run(m.loop);
	for (int i = 0; i <= EXPOSITION_OPENMETRICS; i++)
		buf_done(&m.kept[i].text);
	loop_free(m.loop);
	return 0;
}
