#include "server/role_page.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/http_server.h"
#include "loop/timer.h"

enum { HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_OTHER_METHOD = 405 };

struct role_page {
	struct role_page_config config;
	struct http_server *server; /* NULL: not yet */
	struct timer again;
	bool is_told; /* that it could not be opened */
};

static const char plain[] = "text/plain; charset=utf-8";

void role_page_path(const struct options *o, int process, char ret[OPTION_VALUE_BYTES_MAX + 32])
{
	const char *dir = o->values[OPTION_RUN_DIR];
	enum { SIZE = OPTION_VALUE_BYTES_MAX + 32 };

	if (o->command == OPTIONS_UP)
		snprintf(ret, SIZE, "%.1000s/metrics-%s.sock", dir, process_name(process));
	else
		snprintf(ret, SIZE, "%.1000s/metrics-%s-%u.sock", dir, process_name(process),
			 o->kafka.port);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void answer_metrics(struct role_page *p, struct http_exchange *x)
{
	bool is_open = slice_equal(x->query, SLICE("openmetrics"));
	enum exposition_format format = is_open ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
	struct exposition e;
	char number[16];
	struct buf text;

	buf_init(&text);
	exposition_init(&e, format, &text);
	if (p->config.options->agent_count > 1 && process_role(p->config.process) == ROLE_STREAMS) {
		snprintf(number, sizeof(number), "%d", process_agent(p->config.process));
		e.common = (struct metric_label) { "agent", slice_from(number) };
	}
	process_numbers_write(&e, process_name(p->config.process));
	if (p->config.write)
		p->config.write(p->config.context, &e);
	if (e.left_out > 0)
		log_warn("%zu numbers were left out of /metrics: there are too many", e.left_out);
	http_answer(x, HTTP_OK, exposition_content_type(format), buf_slice(&text));
	buf_done(&text);
}

static void answer_ready(struct role_page *p, struct http_exchange *x)
{
	struct readiness *r = NEW(struct readiness);
	struct buf text;

	buf_init(&text);
	readiness_add(r, process_name(p->config.process), "", true, "");
	if (p->config.check)
		p->config.check(p->config.context, r);
	readiness_write(r, &text);
	http_answer(x, HTTP_OK, plain, buf_slice(&text));
	buf_done(&text);
	memory_free(r);
}

static void on_request(void *context, struct http_exchange *x)
{
	struct role_page *p = context;
	bool is_metrics = slice_equal(x->path, SLICE("/metrics"));

	if (!is_metrics && !slice_equal(x->path, SLICE("/ready")))
		http_answer(x, HTTP_NOT_FOUND, plain, SLICE("no such path\n"));
	else if (strcmp(x->method, "GET") != 0)
		http_answer(x, HTTP_OTHER_METHOD, plain, SLICE("only GET\n"));
	else if (is_metrics)
		answer_metrics(p, x);
	else
		answer_ready(p, x);
}

/* --- life ------------------------------------------------------------------------------------- */

static void open_page(struct role_page *p);

static void on_again(struct timer *t)
{
	open_page(CONTAINER(t, struct role_page, again));
}

static void open_page(struct role_page *p)
{
	struct http_server_config config = { .on_request = on_request,
					     .context = p,
					     .connections_max = ROLE_PAGE_CONNECTIONS_MAX,
					     .leave_ms = ROLE_PAGE_LEAVE_MS };
	char path[OPTION_VALUE_BYTES_MAX + 32], why[TASK_WHY_BYTES];

	role_page_path(p->config.options, p->config.process, path);
	enum err err = http_server_open_unix(p->config.loop, path, &config, &p->server, why);
	if (!err)
		return;
	p->server = NULL;
	if (!p->is_told && err != ERR_BUSY)
		log_warn("this process is missing in /metrics: %s", why);
	p->is_told |= err != ERR_BUSY;
	if (err != ERR_TOO_BIG) /* a path that is too long stays so */
		timer_set(&p->again, p->config.loop,
			  loop_now_ms(p->config.loop) + ROLE_PAGE_AGAIN_MS, on_again);
}

struct role_page *role_page_open(const struct role_page_config *config)
{
	if (!config->options->has_metrics)
		return NULL;
	struct role_page *p = NEW(struct role_page);

	p->config = *config;
	open_page(p);
	return p;
}

void role_page_close(struct role_page **page)
{
	struct role_page *p = *page;

	*page = NULL;
	if (!p)
		return;
	timer_clear(&p->again);
	if (p->server)
		http_server_close(p->server);
	memory_free(p);
}
