/* Many machines at one control server of a mesh, without what machines do besides:
 *
 *	realm_load URL SECRET COUNT
 *
 * They join with the join key, hold their map streams, and throw away what comes.  Then one of them
 * moves, again and again; then all come back at once, as after a takeover.  One line for each
 * figure. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/open_files.h"
#include "loop/timer.h"
#include "mesh/member/dial.h"
#include "wire/control/map_request.h"
#include "wire/control/register.h"
#include "wire/crypto/x25519.h"

enum {
	CLIENTS_MAX = 4000,
	JOINING_MAX = 64, /* at the same time */
	MOVES = 20,
	QUIET_MS = 1500, /* without a frame: all have heard of all */
	DIAL_MS = 60 * 1000,
	VERSION = 142,
	FRAME_HEADER_BYTES = 4,
};

struct client {
	struct task task;
	struct load *load;
	size_t number;
	struct mesh_key machine_secret, node, disco;
	struct dial dial;
	struct http2_exchange *registering, *stream, *telling;
	struct buf head; /* of the frame that is coming */
	size_t frame_left;
	uint64_t frames, frames_before, bytes;
	uint16_t port;
	bool is_known, is_up;
};

struct load {
	struct task task;
	struct loop *loop;
	struct dial_target target;
	struct mesh_key server_key;
	struct slice secret;
	struct client *clients;
	size_t count, begun, joining, up;
	uint64_t begin_us, last_frame_us;
	size_t waiting; /* clients that have not heard of the move */
	double moves_ms[MOVES];
	int moved;
	struct sleep sleep;
	bool is_again;
};

/* --- one machine -------------------------------------------------------------------------------
 */

static void on_frame(struct client *c)
{
	struct load *l = c->load;

	c->frames++;
	l->last_frame_us = clock_now_us();
	if (!c->is_up) {
		c->is_up = true;
		l->up++;
		l->joining--;
		task_wake(&l->task);
	}
	if (l->waiting && c->frames == c->frames_before + 1 && --l->waiting == 0)
		task_wake(&l->task);
}

static void on_stream_bytes(struct client *c, struct slice bytes)
{
	c->bytes += bytes.size;
	while (bytes.size) {
		if (c->frame_left == 0) {
			buf_add(&c->head, bytes.data, 1);
			bytes = slice_part(bytes, 1, bytes.size);
			if (c->head.size < FRAME_HEADER_BYTES)
				continue;
			for (int i = 0; i < FRAME_HEADER_BYTES; i++)
				c->frame_left |= (size_t)c->head.data[i] << (8 * i);
			buf_clear(&c->head);
			continue;
		}
		size_t take = bytes.size < c->frame_left ? bytes.size : c->frame_left;
		bytes = slice_part(bytes, take, bytes.size);
		c->frame_left -= take;
		if (c->frame_left == 0)
			on_frame(c);
	}
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	struct client *c = context;

	if (e == c->stream)
		on_stream_bytes(c, bytes);
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	struct client *c = context;

	if (e->status != 200 || err) {
		fprintf(stderr, "realm_load: an answer of %d, %s\n", e->status, err_name(err));
		exit(1);
	}
	if (e == c->registering) {
		c->registering = NULL;
		c->is_known = true;
		task_wake(&c->task);
	} else if (e == c->telling) {
		c->telling = NULL;
	} else {
		fprintf(stderr, "realm_load: a stream ended\n");
		exit(1);
	}
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	(void)context;
	fprintf(stderr, "realm_load: a channel ended: %s, %s\n", err_name(err), why);
	exit(1);
}

static struct http2_exchange *post(struct client *c, const char *path, struct buf *json)
{
	struct http2_exchange *e = http2_request(channel_http2(c->dial.channel),
						 &(struct http2_request) {
							 .method = "POST",
							 .authority = "control",
							 .path = path,
							 .content_type = "application/json",
							 .body = buf_slice(json),
						 });
	buf_done(json);
	return e;
}

static struct control_hostinfo about(char name[32], const struct client *c)
{
	snprintf(name, 32, "machine-%zu", c->number);
	return (struct control_hostinfo) { .hostname = slice_from(name),
					   .os = SLICE("linux"),
					   .version = SLICE("bench"),
					   .home_relay = 900 };
}

static struct http2_exchange *send_map(struct client *c, bool is_stream)
{
	struct endpoint endpoints[2] = { endpoint_ip4(192, 0, 2, 1, c->port),
					 endpoint_ip4(10, 0, 0, 1, c->port) };
	char name[32];
	struct control_map_request q = {
		.version = VERSION,
		.node_key = c->node,
		.disco_key = c->disco,
		.endpoints = endpoints,
		.endpoint_count = 2,
		.hostinfo = about(name, c),
		.has_hostinfo = true,
		.is_compressed = true,
		.is_stream = is_stream,
		.omits_peers = !is_stream,
	};
	struct buf json;

	buf_init(&json);
	control_map_request_encode(&json, &q);
	return post(c, "/machine/map", &json);
}

static struct http2_exchange *send_register(struct client *c)
{
	char name[32];
	struct control_register_request q = {
		.version = 1,
		.node_key = c->node,
		.auth_key = c->load->secret,
		.hostinfo = about(name, c),
	};
	struct buf json;

	buf_init(&json);
	control_register_request_encode(&json, &q);
	return post(c, "/machine/register", &json);
}

enum { CLIENT_BEGIN, CLIENT_DIALED, CLIENT_KNOWN };

static enum step client_step(struct task *t)
{
	struct client *c = CONTAINER(t, struct client, task);
	struct load *l = c->load;

	switch (t->at) {
	case CLIENT_BEGIN:
		dial_start(&c->dial, t,
			   &(struct dial_config) {
				   .target = &l->target,
				   .server_key = l->server_key,
				   .machine_secret = c->machine_secret,
				   .version = VERSION,
				   .http2 = { .context = c, .on_data = on_data, .on_end = on_end },
				   .channel_config = { .context = c, .on_end = on_channel_end },
			   });
		task_set_deadline(&c->dial.task, loop_now_ms(l->loop) + DIAL_MS);
		return task_wait(t, CLIENT_DIALED);
	case CLIENT_DIALED:
		if (t->children > 0)
			return task_wait(t, CLIENT_DIALED);
		if (c->dial.task.err) {
			fprintf(stderr, "realm_load: %s %s\n", err_name(c->dial.task.err),
				c->dial.task.why);
			exit(1);
		}
		l->server_key = c->dial.server_key;
		if (!c->is_known)
			c->registering = send_register(c);
		else
			c->stream = send_map(c, true);
		return c->is_known ? task_done(t, OK) : task_wait(t, CLIENT_KNOWN);
	case CLIENT_KNOWN:
		if (!c->is_known)
			return task_wait(t, CLIENT_KNOWN);
		c->stream = send_map(c, true);
		return task_done(t, OK);
	}
	abort();
}

static const struct task_kind client_kind = { .name = "client", .step = client_step };

/* --- all of them -------------------------------------------------------------------------------
 */

enum { LOAD_JOIN, LOAD_QUIET, LOAD_MOVE, LOAD_MOVED };

static double since_ms(uint64_t begin_us)
{
	return (double)(clock_now_us() - begin_us) / 1000;
}

static void say(const char *what, double value, const char *unit)
{
	printf("%s %.1f %s\n", what, value, unit);
	fflush(stdout);
}

static uint64_t all_bytes(const struct load *l)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->count; i++)
		bytes += l->clients[i].bytes;
	return bytes;
}

static void begin_more(struct load *l)
{
	while (l->begun < l->count && l->joining < JOINING_MAX) {
		struct client *c = &l->clients[l->begun++];

		l->joining++;
		task_start(&c->task, &client_kind, &l->task);
	}
}

static enum step joined(struct load *l)
{
	begin_more(l);
	if (l->up < l->count)
		return task_wait(&l->task, LOAD_JOIN);
	say(l->is_again ? "again" : "join", since_ms(l->begin_us), "ms");
	say(l->is_again ? "again bytes" : "join bytes", (double)all_bytes(l), "B");
	sleep_start(&l->sleep, &l->task, loop_now_ms(l->loop) + QUIET_MS);
	return task_wait(&l->task, LOAD_QUIET);
}

static enum step quiet(struct load *l)
{
	if (since_ms(l->last_frame_us) < QUIET_MS) {
		sleep_start(&l->sleep, &l->task, loop_now_ms(l->loop) + QUIET_MS / 4);
		return task_wait(&l->task, LOAD_QUIET);
	}
	if (l->is_again) {
		say("settled", (double)all_bytes(l), "B");
		loop_stop(l->loop);
		return task_done(&l->task, OK);
	}
	printf("quiet\n");
	fflush(stdout);
	sleep_start(&l->sleep, &l->task, loop_now_ms(l->loop) + QUIET_MS);
	return task_wait(&l->task, LOAD_MOVE);
}

/* One machine has another endpoint; all others hear of it. */
static enum step move(struct load *l)
{
	struct client *c = &l->clients[(size_t)l->moved % l->count];

	for (size_t i = 0; i < l->count; i++)
		l->clients[i].frames_before = l->clients[i].frames;
	l->waiting = l->count;
	c->port++;
	l->begin_us = clock_now_us();
	c->telling = send_map(c, false);
	return task_wait(&l->task, LOAD_MOVED);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* All connections are cut, and made again as fast as they can be. */
static enum step again(struct load *l)
{
	l->is_again = true;
	l->up = l->begun = l->joining = 0;
	l->begin_us = clock_now_us();
	for (size_t i = 0; i < l->count; i++) {
		struct client *c = &l->clients[i];

		channel_close(c->dial.channel, 0);
		c->stream = c->telling = NULL;
		c->is_up = false;
		c->frame_left = c->bytes = 0;
		buf_clear(&c->head);
	}
	return joined(l);
}

static enum step moved(struct load *l)
{
	if (l->waiting)
		return task_wait(&l->task, LOAD_MOVED);
	l->moves_ms[l->moved++] = since_ms(l->begin_us);
	if (l->moved < MOVES) {
		sleep_start(&l->sleep, &l->task, loop_now_ms(l->loop) + QUIET_MS / 5);
		return task_wait(&l->task, LOAD_MOVE);
	}
	qsort(l->moves_ms, MOVES, sizeof(l->moves_ms[0]), by_size);
	say("move", l->moves_ms[MOVES / 2], "ms");
	say("move longest", l->moves_ms[MOVES - 1], "ms");
	return again(l);
}

static enum step load_step(struct task *t)
{
	struct load *l = CONTAINER(t, struct load, task);

	switch (t->at) {
	case LOAD_JOIN:
		return joined(l);
	case LOAD_QUIET:
		return task_is_running(&l->sleep.task) ? task_wait(t, LOAD_QUIET) : quiet(l);
	case LOAD_MOVE:
		return task_is_running(&l->sleep.task) ? task_wait(t, LOAD_MOVE) : move(l);
	case LOAD_MOVED:
		return l->waiting ? task_wait(t, LOAD_MOVED) : moved(l);
	}
	abort();
}

static const struct task_kind load_kind = { .name = "load", .step = load_step };

int main(int argc, char **argv)
{
	static struct load l;
	struct control_url url;
	uint64_t count = 0;

	if (argc != 4 || control_url_parse(slice_from(argv[1]), &url) ||
	    text_to_u64(slice_from(argv[3]), CLIENTS_MAX, &count) || count < 2) {
		fprintf(stderr, "realm_load: see the top of realm_load.c\n");
		return 2;
	}
	open_files_raise();
	l.loop = loop_new(0);
	l.count = count;
	l.secret = slice_from(argv[2]);
	l.clients = memory_take_array(count, sizeof(*l.clients));
	dial_target_init(&l.target, &url);
	for (size_t i = 0; i < count; i++) {
		struct client *c = &l.clients[i];

		c->load = &l;
		c->number = i;
		c->port = 1000;
		random_bytes(c->machine_secret.bytes, sizeof(c->machine_secret.bytes));
		x25519_clamp(c->machine_secret.bytes);
		random_bytes(c->node.bytes, sizeof(c->node.bytes));
		random_bytes(c->disco.bytes, sizeof(c->disco.bytes));
		buf_init(&c->head);
	}
	l.begin_us = clock_now_us();
	task_start_root(&l.task, &load_kind, l.loop);
	loop_run(l.loop);
	return 0; /* what it has goes with it */
}
