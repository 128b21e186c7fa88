/* Reading: as long as our answers are taken, records of the inbox are opened and fed, all that is
 * whole at once.  Writing: from the run queue, while the stream has little to send.  The end is
 * told from the run queue too; the channel is freed from there, because it may be closed from one
 * of the callbacks it is in. */
#include "mesh/channel/channel.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"

enum {
	CHANNEL_MAGIC = 0x4368616e,
	OUTPUT_BYTES = 64 * 1024, /* sealed at a time */
	EARLY_HEADER_BYTES = 9,	  /* FF FF FF 'T' 'S', u32 */
	OPENED_BYTES = 64 * 1024, /* fed at a time */
};

static const uint8_t early_magic[] = { 0xff, 0xff, 0xff, 'T', 'S' };

struct channel {
	uint32_t magic;
	struct loop *loop;
	struct stream *stream; /* NULL: closed */
	struct noise_channel keys;
	struct http2 *http2;
	struct channel_config config;
	struct deferred flush, end, release;
	struct buf opened;  /* to be fed */
	bool is_past_early; /* what comes is HTTP/2 */
	bool is_proven;
	bool is_held;  /* reading has stopped until our output is taken */
	bool is_ended; /* `err` and `why` are to be told, or were */
	enum err err;
	char why[CHANNEL_WHY_BYTES];
};

/* --- the end ---------------------------------------------------------------------------------- */
static void tell_end(struct deferred *d)
{
	struct channel *c = CONTAINER(d, struct channel, end);

	http2_end(c->http2);
	if (c->stream)
		c->config.on_end(c->config.context, c->err, c->why);
}

static void PRINTF_LIKE(3, 4) end_with(struct channel *c, enum err err, const char *format, ...)
{
	va_list arguments;

	if (c->is_ended)
		return;
	c->is_ended = true;
	c->err = err;
	va_start(arguments, format);
	vsnprintf(c->why, sizeof(c->why), format, arguments);
	va_end(arguments);
	deferred_set(&c->end, c->loop, tell_end);
}

static void release(struct deferred *d)
{
	struct channel *c = CONTAINER(d, struct channel, release);

	http2_free(c->http2);
	noise_channel_wipe(&c->keys);
	buf_done(&c->opened);
	c->magic = 0;
	memory_free(c);
}

void channel_close(struct channel *c, uint64_t linger_ms)
{
	assert(c->magic == CHANNEL_MAGIC && c->stream);
	if (linger_ms > 0)
		stream_close_gracefully(c->stream, linger_ms);
	else
		stream_close(c->stream);
	c->stream = NULL;
	c->is_ended = true;
	http2_silence(c->http2);
	deferred_clear(&c->flush);
	deferred_clear(&c->end);
	deferred_set(&c->release, c->loop, release);
}

/* --- what goes out ---------------------------------------------------------------------------- */
static bool takes_output(const struct channel *c)
{
	return stream_pending_bytes(c->stream) < CHANNEL_UNSENT_BYTES_MAX;
}

static void flush(struct deferred *d)
{
	struct channel *c = CONTAINER(d, struct channel, flush);
	struct buf plain, sealed;

	buf_init(&plain);
	buf_init(&sealed);
	while (c->stream && !c->is_ended && takes_output(c)) {
		buf_clear(&plain);
		http2_output(c->http2, &plain, OUTPUT_BYTES);
		if (plain.size == 0 || !c->stream)
			break;
		noise_seal(&c->keys, buf_slice(&plain), &sealed);
		stream_write_buf(c->stream, &sealed);
	}
	buf_done(&plain);
	buf_done(&sealed);
	if (c->stream && http2_is_over(c->http2))
		end_with(c, OK, "the connection was closed");
}

static void on_output(void *transport)
{
	struct channel *c = transport;

	if (c->stream && !c->is_ended)
		deferred_set(&c->flush, c->loop, flush);
}

/* --- what comes in ---------------------------------------------------------------------------- */
/* A server may say something before HTTP/2, which nobody needs.  False: more has to come first. */
static bool skip_early(struct channel *c)
{
	if (c->is_past_early)
		return true;
	size_t seen = c->opened.size < sizeof(early_magic) ? c->opened.size : sizeof(early_magic);
	if (memcmp(c->opened.data, early_magic, seen) != 0) {
		c->is_past_early = true;
		return true;
	}
	if (c->opened.size < EARLY_HEADER_BYTES)
		return false;
	size_t size = get_u32(c->opened.data + sizeof(early_magic));
	if (size > CHANNEL_EARLY_BYTES_MAX) {
		end_with(c, ERR_TOO_BIG, "the server says too much before HTTP/2");
		return false;
	}
	if (c->opened.size < EARLY_HEADER_BYTES + size)
		return false;
	buf_drop_front(&c->opened, EARLY_HEADER_BYTES + size);
	c->is_past_early = true;
	return true;
}

static void feed(struct channel *c)
{
	if (c->opened.size == 0 || !skip_early(c))
		return;
	enum err err = http2_feed(c->http2, buf_slice(&c->opened), loop_now_ms(c->loop));
	buf_clear(&c->opened);
	if (err && c->stream)
		end_with(c, err, "what the peer says is not HTTP/2, or too much of it");
}

static void open_frame(struct channel *c, const struct noise_frame *frame)
{
	struct slice text = slice_part(frame->body, 0, CHANNEL_WHY_BYTES - 1);

	if (frame->kind == NOISE_ERROR) {
		end_with(c, ERR_DENIED, "%.*s", SLICE_ARG(text));
	} else if (frame->kind != NOISE_RECORD || noise_open(&c->keys, frame->body, &c->opened)) {
		end_with(c, ERR_CORRUPT, "a record does not open with the key of this channel");
	} else if (!c->is_proven) {
		c->is_proven = true;
		if (c->config.on_proven)
			c->config.on_proven(c->config.context);
	}
}

/* One batch of records; false: there was no whole one. */
static bool read_records(struct channel *c)
{
	bool has_read = false;

	while (c->stream && !c->is_ended && c->opened.size < OPENED_BYTES) {
		struct noise_frame frame;
		struct slice inbox = stream_inbox(c->stream);
		enum err err = noise_frame_read(inbox, &frame);
		if (err == ERR_INVALID)
			end_with(c, ERR_CORRUPT, "what the peer says is no record");
		if (err)
			break;
		open_frame(c, &frame);
		if (c->stream)
			stream_consume(c->stream, frame.size);
		has_read = true;
	}
	return has_read;
}

static void go_on(struct channel *c)
{
	while (c->stream && !c->is_ended) {
		if (!takes_output(c)) {
			c->is_held = true;
			stream_pause(c->stream);
			return;
		}
		if (!read_records(c))
			return;
		if (c->stream && !c->is_ended)
			feed(c);
		/* answers to what was fed come before more is read */
		if (c->stream && !c->is_ended)
			flush(&c->flush);
	}
}

static void on_readable(void *context, struct stream *s)
{
	(void)s;
	go_on(context);
}

static void on_drained(void *context, struct stream *s)
{
	struct channel *c = context;

	on_output(c);
	if (c->is_held) {
		c->is_held = false;
		stream_resume(s);
	}
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct channel *c = context;

	(void)s;
	end_with(c, err, err ? "the connection failed: %s" : "the connection was closed",
		 err_name(err));
}

static const struct stream_owner channel_owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* --- life ------------------------------------------------------------------------------------- */
struct channel *channel_new(struct loop *loop, struct stream *s, const struct noise_channel *keys,
			    bool is_server, const struct http2_config *http2,
			    const struct channel_config *config)
{
	struct channel *c = NEW(struct channel);
	struct http2_config with_transport = *http2;

	c->magic = CHANNEL_MAGIC;
	c->loop = loop;
	c->stream = s;
	c->keys = *keys;
	c->config = *config;
	c->is_past_early = is_server;
	buf_init(&c->opened);
	with_transport.transport = c;
	with_transport.on_output = on_output;
	c->http2 =
		is_server ? http2_new_server(&with_transport) : http2_new_client(&with_transport);
	stream_set_owner(s, &channel_owner, c);
	on_output(c);
	return c;
}

struct http2 *channel_http2(struct channel *c)
{
	assert(c->magic == CHANNEL_MAGIC && c->stream);
	return c->http2;
}

void channel_set_patience(struct channel *c, unsigned unacknowledged_ms, unsigned silent_s)
{
	if (c->stream)
		stream_set_patience(c->stream, unacknowledged_ms, silent_s);
}

const char *channel_peer_name(const struct channel *c)
{
	return stream_peer_name(c->stream);
}
