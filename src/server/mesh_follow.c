#include "server/mesh_follow.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { FOLLOW_ASK, FOLLOW_ASKED, FOLLOW_PLACES };
static const char *const follow_places[] = { "ask", "asked" };

static enum step ask(struct mesh_follow *f)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/netmap?after=%llu", (unsigned long long)f->sequence);
	http_call_start(&f->call, &f->task, f->socket, "GET", target, (struct slice) { 0 });
	task_set_deadline(&f->call.task, loop_now_ms(f->loop) + MESH_FOLLOW_TIMEOUT_MS);
	return task_wait(&f->task, FOLLOW_ASKED);
}

static enum step heard(struct mesh_follow *f)
{
	bool is_answer = f->call.task.err == OK && f->call.status == 200;
	uint64_t before = f->sequence, ms = f->rest_ms;

	if (is_answer)
		f->sequence = f->on_netmap(f->context, buf_slice(&f->call.body));
	buf_done(&f->call.body);
	if (is_answer && f->sequence != before) {
		f->rest_ms = MESH_FOLLOW_REST_MS_MIN;
		return ask(f);
	}
	if (is_answer)
		ms = MESH_FOLLOW_SAME_MS;
	else
		f->rest_ms = 2 * ms < MESH_FOLLOW_REST_MS_MAX ? 2 * ms
							      : (uint64_t)MESH_FOLLOW_REST_MS_MAX;
	sleep_start(&f->sleep, &f->task, loop_now_ms(f->loop) + ms);
	return task_wait(&f->task, FOLLOW_ASK);
}

static enum step follow_step(struct task *t)
{
	struct mesh_follow *f = CONTAINER(t, struct mesh_follow, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		buf_done(&f->call.body);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case FOLLOW_ASK:
		return ask(f);
	case FOLLOW_ASKED:
		return heard(f);
	}
	abort();
}

static const struct task_kind follow_kind = {
	.name = "mesh follow",
	.places = follow_places,
	.place_count = FOLLOW_PLACES,
	.step = follow_step,
};

void mesh_follow_start(struct mesh_follow *f, struct loop *loop, const char *socket,
		       uint64_t (*on_netmap)(void *context, struct slice json), void *context)
{
	f->loop = loop;
	f->socket = socket;
	f->on_netmap = on_netmap;
	f->context = context;
	f->rest_ms = MESH_FOLLOW_REST_MS_MIN;
	task_start_root(&f->task, &follow_kind, loop);
}

void mesh_follow_stop(struct mesh_follow *f)
{
	task_cancel(&f->task);
}
