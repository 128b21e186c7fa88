/* A connection to ask for the key, where that is needed, and another for the upgrade.  While the
 * task reads an answer, it is woken by each byte and looks again. */
#include "mesh/member/dial.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "loop/tls_certificate.h"
#include "wire/crypto/wipe.h"
#include "wire/noise/server_key.h"

enum { DIAL_START, DIAL_KEY_CONNECTED, DIAL_KEY_READ, DIAL_CONNECTED, DIAL_READ, DIAL_PLACES };
static const char *const dial_places[] = { "start", "connect for key", "key", "connect",
					   "upgrade" };

static const struct control_url *url_of(const struct dial *d)
{
	return &d->config.target->url;
}

/* --- the stream ------------------------------------------------------------------------------- */
static void wake(struct dial *d)
{
	if (task_is_running(&d->task))
		task_wake(&d->task);
}

static void on_readable(void *context, struct stream *s)
{
	(void)s;
	wake(context);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct dial *d = context;

	(void)s;
	d->is_ended = true;
	d->end = err;
	wake(d);
}

static const struct stream_owner dial_owner = { .on_readable = on_readable, .on_end = on_end };

static void drop_stream(struct dial *d)
{
	if (d->stream)
		stream_close(d->stream);
	d->stream = NULL;
}

static enum step connect_with(struct dial *d, struct tls_identity *identity, int next)
{
	const struct control_url *url = url_of(d);

	drop_stream(d);
	d->is_ended = false;
	if (identity)
		connect_tls(&d->connect, &d->task, url->host, url->port, identity);
	else
		connect_tcp(&d->connect, &d->task, url->host, url->port);
	return task_wait(&d->task, next);
}

/* OK: d->stream is there and ours. */
static enum err take_stream(struct dial *d)
{
	if (d->connect.task.err)
		return d->connect.task.err;
	d->stream = d->connect.ret;
	stream_set_patience(d->stream, DIAL_PATIENCE_MS, DIAL_SILENT_S);
	stream_set_owner(d->stream, &dial_owner, d);
	return OK;
}

/* --- answers ---------------------------------------------------------------------------------- */
/* The size of a whole HTTP head at the front, or 0. */
static size_t head_size(struct slice inbox)
{
	const uint8_t *end = inbox.size ? memmem(inbox.data, inbox.size, "\r\n\r\n", 4) : NULL;

	return end ? (size_t)(end - inbox.data) + 4 : 0;
}

/* "HTTP/1.1 101 Switching Protocols" */
static struct slice status_line(struct slice head)
{
	const uint8_t *end = memchr(head.data, '\r', head.size);

	return slice_part(head, 0, end ? (size_t)(end - head.data) : head.size);
}

static bool has_status(struct slice head, const char *status)
{
	return (slice_starts_with(head, SLICE("HTTP/1.1 ")) ||
		slice_starts_with(head, SLICE("HTTP/1.0 "))) &&
	       slice_starts_with(slice_part(head, 9, head.size), slice_from(status));
}

static enum step fail_by_end(struct dial *d)
{
	return task_fail(&d->task, d->end ? d->end : ERR_UNAVAILABLE,
			 "the server closed the connection");
}

/* --- the key ---------------------------------------------------------------------------------- */
static void ask_for_key(struct dial *d)
{
	char authority[CONTROL_URL_AUTHORITY_BYTES];
	struct buf request;

	control_url_authority(url_of(d), authority);
	buf_init(&request);
	/* version 1.0: the whole answer ends with the connection and is in one piece */
	buf_add_format(&request, "GET /key?v=%u HTTP/1.0\r\nHost: %s\r\n\r\n", d->config.version,
		       authority);
	stream_write_buf(d->stream, &request);
	buf_done(&request);
}

static enum step read_key(struct dial *d)
{
	struct slice inbox = stream_inbox(d->stream);
	size_t head = head_size(inbox);

	if (inbox.size > DIAL_KEY_BYTES_MAX)
		return task_fail(&d->task, ERR_TOO_BIG, "the answer to GET /key has no end");
	if (!d->is_ended)
		return task_wait(&d->task, DIAL_KEY_READ);
	if (head == 0)
		return fail_by_end(d);
	if (!has_status(inbox, "200"))
		return task_fail(&d->task, ERR_INVALID, "GET /key is answered by \"%.*s\"",
				 SLICE_ARG(slice_part(status_line(inbox), 0, 60)));
	if (server_key_decode(slice_part(inbox, head, inbox.size), &d->config.server_key))
		return task_fail(&d->task, ERR_INVALID, "the server has no key for this protocol");
	return connect_with(d, d->config.target->for_channel, DIAL_CONNECTED);
}

/* --- the upgrade ------------------------------------------------------------------------------ */
static enum err ask_for_upgrade(struct dial *d)
{
	uint8_t initiation[NOISE_INITIATION_BYTES];
	char text[NOISE_INITIATION_TEXT_BYTES + 1], authority[CONTROL_URL_AUTHORITY_BYTES];
	struct mesh_key ephemeral;
	struct buf request;

	random_bytes(ephemeral.bytes, sizeof(ephemeral.bytes));
	enum err err = noise_initiate(&d->handshake, d->config.version, &d->config.machine_secret,
				      &d->config.server_key, &ephemeral, initiation);
	crypto_wipe(&ephemeral, sizeof(ephemeral));
	if (err)
		return err;
	noise_initiation_text(initiation, text);
	control_url_authority(url_of(d), authority);
	buf_init(&request);
	buf_add_format(&request,
		       "POST /ts2021 HTTP/1.1\r\nHost: %s\r\n"
		       "Upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n"
		       "X-Tailscale-Handshake: %s\r\nContent-Length: 0\r\n\r\n",
		       authority, text);
	stream_write_buf(d->stream, &request);
	buf_done(&request);
	return OK;
}

static enum step open_channel(struct dial *d, const struct noise_frame *frame)
{
	struct noise_channel keys;

	if (noise_finish(&d->handshake,
			 (struct slice) { frame->body.data - NOISE_HEADER_BYTES, frame->size },
			 &keys))
		return task_fail(&d->task, ERR_DENIED, "the server does not have the pinned key");
	stream_consume(d->stream, (size_t)(frame->body.data - stream_inbox(d->stream).data) +
					  frame->body.size);
	d->channel = channel_new(d->task.loop, d->stream, &keys, false, &d->config.http2,
				 &d->config.channel_config);
	d->stream = NULL; /* the channel's */
	noise_channel_wipe(&keys);
	d->server_key = d->config.server_key;
	return task_done(&d->task, OK);
}

static enum step read_upgrade(struct dial *d)
{
	struct slice inbox = stream_inbox(d->stream);
	size_t head = head_size(inbox);
	struct noise_frame frame;

	if (head > DIAL_HEAD_BYTES_MAX || (!head && inbox.size > DIAL_HEAD_BYTES_MAX))
		return task_fail(&d->task, ERR_TOO_BIG, "the answer to the upgrade has no end");
	if (head > 0 && !has_status(inbox, "101"))
		return task_fail(&d->task, ERR_INVALID, "the upgrade is answered by \"%.*s\"",
				 SLICE_ARG(slice_part(status_line(inbox), 0, 60)));
	enum err err =
		head ? noise_frame_read(slice_part(inbox, head, inbox.size), &frame) : ERR_BUSY;
	if (err == ERR_BUSY)
		return d->is_ended ? fail_by_end(d) : task_wait(&d->task, DIAL_READ);
	if (err)
		return task_fail(&d->task, err, "the server does not speak ts2021");
	if (frame.kind == NOISE_ERROR)
		return task_fail(&d->task, ERR_DENIED, "%.*s",
				 SLICE_ARG(slice_part(frame.body, 0, TASK_WHY_BYTES - 1)));
	return open_channel(d, &frame);
}

/* --- the task --------------------------------------------------------------------------------- */
static enum step go_on(struct dial *d)
{
	struct task *t = &d->task;

	switch (t->at) {
	case DIAL_START:
		if (mesh_key_is_zero(&d->config.server_key))
			return connect_with(d, d->config.target->for_key, DIAL_KEY_CONNECTED);
		return connect_with(d, d->config.target->for_channel, DIAL_CONNECTED);

	case DIAL_KEY_CONNECTED:
		if (t->children > 0)
			return task_wait(t, DIAL_KEY_CONNECTED);
		if (take_stream(d))
			return task_fail(t, d->connect.task.err, "%s", d->connect.task.why);
		ask_for_key(d);
		return task_wait(t, DIAL_KEY_READ);

	case DIAL_KEY_READ:
		return read_key(d);

	case DIAL_CONNECTED:
		if (t->children > 0)
			return task_wait(t, DIAL_CONNECTED);
		if (take_stream(d))
			return task_fail(t, d->connect.task.err, "%s", d->connect.task.why);
		if (ask_for_upgrade(d))
			return task_fail(t, ERR_INVALID, "the key of the server is none");
		return task_wait(t, DIAL_READ);

	case DIAL_READ:
		return read_upgrade(d);
	}
	abort();
}

/* The task is over: nothing of it is left but the channel. */
static void clean_up(struct dial *d)
{
	drop_stream(d);
	crypto_wipe(&d->handshake, sizeof(d->handshake));
	crypto_wipe(&d->config.machine_secret, sizeof(d->config.machine_secret));
}

static enum step dial_step(struct task *t)
{
	struct dial *d = CONTAINER(t, struct dial, task);
	enum step step;

	if (task_is_canceled(t)) {
		if ((t->at == DIAL_KEY_CONNECTED || t->at == DIAL_CONNECTED) &&
		    d->connect.task.err == OK && d->connect.ret && !d->stream)
			d->stream = d->connect.ret;
		step = task_done(t, ERR_CANCELED);
	} else {
		step = go_on(d);
	}
	if (step == STEP_DONE)
		clean_up(d);
	return step;
}

void dial_target_init(struct dial_target *t, const struct control_url *url)
{
	*t = (struct dial_target) { .url = *url };
	if (url->is_tls) {
		t->for_key = tls_identity_new_client(TLS_TRUST_AUTHORITIES, url->host, NULL);
		t->for_channel = tls_identity_new_client(TLS_TRUST_ANYBODY, url->host, NULL);
	}
}

void dial_target_done(struct dial_target *t)
{
	if (t->for_key)
		tls_identity_free(t->for_key);
	if (t->for_channel)
		tls_identity_free(t->for_channel);
}

static const struct task_kind dial_kind = {
	.name = "dial",
	.places = dial_places,
	.place_count = DIAL_PLACES,
	.step = dial_step,
};

void dial_start(struct dial *d, struct task *parent, const struct dial_config *config)
{
	*d = (struct dial) { .config = *config };
	task_start(&d->task, &dial_kind, parent);
}
