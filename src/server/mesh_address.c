#include "server/mesh_address.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/http_client.h"
#include "loop/timer.h"
#include "server/up_options.h"
#include "wire/mesh_view.h"

enum { ASK_MS = 5000, AGAIN_MS = 200, HTTP_OK = 200 };

static const char host[] = "mesh:";
static const int rows[] = { OPTION_KAFKA, OPTION_ADVERTISE, OPTION_PEER, OPTION_BLOCKS,
			    OPTION_METRICS };

/* --- asking ----------------------------------------------------------------------------------- */
/* Where `hanse up` has its sockets: the same directory, or its own default one. */
static void find_socket(const struct options *o, char ret[OPTION_VALUE_BYTES_MAX + 32])
{
	char run_dir[OPTION_VALUE_BYTES_MAX];

	if (o->values[OPTION_RUN_DIR][0]) {
		up_options_socket(o, "mesh.sock", ret);
		if (access(ret, F_OK) == 0)
			return;
	}
	up_options_run_dir(run_dir);
	snprintf(ret, OPTION_VALUE_BYTES_MAX + 32, "%s/mesh.sock", run_dir);
}

struct question {
	struct task task;
	const struct options *options;
	struct http_call call;
	struct sleep pause;
	char path[OPTION_VALUE_BYTES_MAX + 32];
	uint64_t until_ms;
	bool is_told;	     /* that it waits */
	struct ip ret, also; /* of the other family, where there is one */
};

enum { QUESTION_ASK, QUESTION_TOLD, QUESTION_PLACES };
static const char *const question_places[] = { "ask", "told" };

static void add_address(struct question *q, struct ip ip)
{
	bool is_first = q->ret.family == IP_NONE || (ip.family == IP_V4 && q->ret.family == IP_V6);

	if (is_first) {
		q->also = q->ret;
		q->ret = ip;
	} else if (ip.family != q->ret.family) {
		q->also = ip;
	}
}

/* IPv4 first where there is one: more clients have it. */
static void take_addresses(struct question *q, const struct buf *answer)
{
	struct mesh_view view;
	struct arena a;

	arena_init(&a);
	if (mesh_view_parse(&a, buf_slice(answer), &view) == OK && view.has_self)
		for (size_t i = 0; i < view.machines[0].address_count; i++)
			add_address(q, view.machines[0].addresses[i]);
	arena_done(&a);
}

static enum step question_step(struct task *t)
{
	struct question *q = CONTAINER(t, struct question, task);

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	switch (t->at) {
	case QUESTION_ASK:
		find_socket(q->options, q->path);
		http_call_start(&q->call, t, q->path, "GET", "/v1/netmap", (struct slice) { 0 });
		task_set_deadline(&q->call.task, loop_now_ms(t->loop) + ASK_MS);
		return task_wait(t, QUESTION_TOLD);
	case QUESTION_TOLD:
		if (!q->call.task.err && q->call.status == HTTP_OK)
			take_addresses(q, &q->call.body);
		buf_done(&q->call.body);
		if (q->ret.family != IP_NONE || loop_now_ms(t->loop) >= q->until_ms)
			return task_done(t, OK);
		if (!q->is_told)
			log_info("waiting for the address of this machine in its mesh");
		q->is_told = true;
		sleep_start(&q->pause, t, loop_now_ms(t->loop) + AGAIN_MS);
		return task_wait(t, QUESTION_ASK);
	}
	abort();
}

static const struct task_kind question_kind = {
	.name = "own address",
	.places = question_places,
	.place_count = QUESTION_PLACES,
	.step = question_step,
};

static struct ip ask(const struct options *o, uint64_t wait_ms, struct ip *ret_also)
{
	static struct question q;
	struct loop *loop = loop_new(0);

	q = (struct question) { .options = o, .until_ms = loop_now_ms(loop) + wait_ms };
	task_start_root(&q.task, &question_kind, loop);
	loop_run(loop);
	loop_free(loop);
	*ret_also = q.also;
	return q.ret;
}

/* --- filling ---------------------------------------------------------------------------------- */
static bool has_mesh(const char *value)
{
	return strncmp(value, host, sizeof(host) - 1) == 0;
}

enum err mesh_address_fill(struct options *o, uint64_t wait_ms, char why[OPTION_WHY_BYTES])
{
	char address[IP_TEXT_BYTES], filled[OPTION_VALUE_BYTES_MAX];
	bool is_wanted = false;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_wanted |= has_mesh(o->values[rows[i]]);
	if (!is_wanted)
		return OK;
	struct ip also, ip = ask(o, wait_ms, &also);
	if (ip.family == IP_NONE) {
		snprintf(why, OPTION_WHY_BYTES,
			 "this machine has no address in a mesh: `hanse up` gives it one, and "
			 "`hanse status` says how far that is");
		return ERR_UNAVAILABLE;
	}
	if (has_mesh(o->values[OPTION_KAFKA]) && o->values[OPTION_KAFKA_ALSO][0] == '\0') {
		/* A name of the mesh leads to both: who tries one must not be refused. */
		ip_text(also, address);
		memcpy(o->values[OPTION_KAFKA_ALSO], address, sizeof(address));
	}
	ip_text(ip, address);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *value = o->values[rows[i]];

		if (!has_mesh(value))
			continue;
		snprintf(filled, sizeof(filled), ip.family == IP_V6 ? "[%s]:%.100s" : "%s:%.100s",
			 address, value + sizeof(host) - 1);
		memcpy(value, filled, sizeof(filled));
	}
	return OK;
}
