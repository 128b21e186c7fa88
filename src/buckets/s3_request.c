/* The requests of an S3 bucket: URL, headers, signature. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "buckets/s3_parts.h"
#include "buckets/s3_uploads.h"

#define NO_BODY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void s3_crc32c_text(char ret[S3_CRC32C_BYTES], uint32_t crc)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (int i = 0; i < 5; i++)
		ret[i] = digits[(crc >> (26 - 6 * i)) & 63];
	ret[5] = digits[(crc & 3) << 4];
	ret[6] = ret[7] = '=';
	ret[8] = '\0';
}

/* --- the question ---------------------------------------------------------------------------- */
struct request {
	struct s3_op *o;
	struct s3_pair signed_headers[S3_HEADERS_MAX]; /* sorted by name */
	size_t signed_count;
	struct s3_pair query[S3_QUERY_MAX]; /* sorted by name */
	size_t query_count;
	const char *body_sha256;
	char date[S3_DATE_BYTES];
	struct slice path; /* encoded */
};

static void add_signed(struct request *r, const char *name, const char *value)
{
	assert(r->signed_count < S3_HEADERS_MAX);
	r->signed_headers[r->signed_count++] = (struct s3_pair) { name, slice_from(value) };
}

static void add_query(struct request *r, const char *name, const char *value)
{
	assert(r->query_count < S3_QUERY_MAX);
	r->query[r->query_count++] = (struct s3_pair) { name, slice_from(value) };
}

static void add_header(struct s3_op *o, const char *line)
{
	assert(o->exchange.header_count < S3_REQUEST_HEADERS_MAX);
	o->headers[o->exchange.header_count++] = line;
}

static bool is_key_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= '9') ||
	       c == '_';
}

/* A text of printable characters that stands before and after the same keys as `after`: its first
 * byte that no key has decides, and what comes behind that does not matter. */
static const char *printable_after(struct s3_op *o, struct slice after)
{
	size_t size = 0;
	const char *tail = "";

	while (size < after.size && is_key_byte(after.data[size]))
		size++;
	if (size < after.size) {
		uint8_t c = after.data[size];

		if (c < ' ')
			tail = " ";
		else if (c > '~')
			tail = "~";
		else
			size++;
	}
	return arena_format(&o->arena, "%s%.*s%s", o->bucket->config.prefix,
			    SLICE_ARG(slice_part(after, 0, size)), tail);
}

static void ask_list(struct request *r)
{
	struct s3_op *o = r->o;
	const struct bucket_op *op = o->op;
	size_t left = BUCKET_LIST_NAMES_MAX - op->ret_count;

	if (o->list_token.size)
		add_query(r, "continuation-token", arena_text(&o->arena, o->list_token));
	add_query(r, "encoding-type", "url");
	add_query(r, "list-type", "2");
	add_query(r, "max-keys", arena_format(&o->arena, "%zu", left));
	add_query(r, "prefix",
		  arena_format(&o->arena, "%s%.*s", o->bucket->config.prefix, SLICE_ARG(op->key)));
	if (o->list_token.size == 0 && o->list_last.size)
		add_query(r, "start-after", arena_text(&o->arena, o->list_last));
	else if (o->list_token.size == 0 && op->after.size)
		add_query(r, "start-after", printable_after(o, op->after));
	o->exchange.method = "GET";
	o->exchange.body_bytes_max = S3_XML_BYTES_MAX;
}

static void ask_uploads(struct request *r)
{
	struct s3_op *o = r->o;
	const struct s3_begun_list *page = &o->uploads->page;

	add_query(r, "encoding-type", "url");
	if (page->next_key.size)
		add_query(r, "key-marker", arena_text(&o->arena, page->next_key));
	add_query(r, "prefix",
		  arena_format(&o->arena, "%s%.*s", o->bucket->config.prefix,
			       SLICE_ARG(o->op->key)));
	if (page->next_key.size && page->next_id.size)
		add_query(r, "upload-id-marker", arena_text(&o->arena, page->next_id));
	add_query(r, "uploads", "");
	o->exchange.method = "GET";
	o->exchange.body_bytes_max = S3_XML_BYTES_MAX;
}

static void ask_body(struct request *r)
{
	struct s3_op *o = r->o;
	const struct bucket_op *op = o->op;
	uint64_t size =
		op->size_max < BUCKET_OBJECT_BYTES_MAX ? op->size_max : BUCKET_OBJECT_BYTES_MAX;

	o->exchange.method = "GET";
	o->exchange.body_bytes_max = size;
	if (o->question == S3_ASK_BODY)
		o->exchange.body_bytes_max = BUCKET_OBJECT_BYTES_MAX;
	else if (!s3_is_whole(o))
		add_header(o, arena_format(&o->arena, "Range: bytes=%" PRIu64 "-%" PRIu64,
					   op->offset, op->offset + size - 1));
}

static void ask_put(struct request *r)
{
	struct s3_op *o = r->o;

	o->exchange.method = "PUT";
	o->exchange.pieces = o->op->pieces;
	o->exchange.piece_count = o->op->piece_count;
	o->exchange.body_bytes_max = S3_ERROR_BYTES_MAX;
	o->exchange.hold_ms = o->op->hold_ms;
	r->body_sha256 = o->body_sha256;
	if (s3_is_conditional(o->op))
		add_header(o, "If-None-Match: *");
}

static void add_upload(struct request *r)
{
	add_query(r, "uploadId", r->o->parts->upload_id);
}

static void ask_part(struct request *r)
{
	struct s3_op *o = r->o;

	o->exchange.method = "PUT";
	o->exchange.pieces = o->parts->pieces;
	o->exchange.piece_count = o->parts->piece_count;
	r->body_sha256 = o->body_sha256;
	add_query(r, "partNumber", arena_format(&o->arena, "%zu", o->parts->done + 1));
	add_upload(r);
}

static void ask_end(struct request *r)
{
	struct s3_op *o = r->o;

	s3_parts_list(o);
	o->exchange.method = "POST";
	o->exchange.pieces = &o->parts->end;
	o->exchange.piece_count = 1;
	r->body_sha256 = o->parts->end_sha256;
	add_upload(r);
	if (s3_is_conditional(o->op))
		add_header(o, "If-None-Match: *");
}

/* False when the question is about no part. */
static bool choose_parts(struct request *r)
{
	struct s3_op *o = r->o;

	o->exchange.body_bytes_max = S3_ERROR_BYTES_MAX;
	switch (o->question) {
	case S3_BEGIN_PARTS:
		o->exchange.method = "POST";
		add_query(r, "uploads", "");
		return true;
	case S3_SEND_PART:
		ask_part(r);
		return true;
	case S3_END_PARTS:
		ask_end(r);
		return true;
	case S3_ABORT_PARTS:
		o->exchange.method = "DELETE";
		add_upload(r);
		return true;
	case S3_ABORT_UPLOAD:
		o->exchange.method = "DELETE";
		add_query(r, "uploadId", arena_text(&o->arena, o->uploads->begun->id));
		return true;
	case S3_ASK:
	case S3_ASK_SIZE:
	case S3_ASK_BODY:
		break;
	}
	return false;
}

static void choose(struct request *r)
{
	struct s3_op *o = r->o;

	if (choose_parts(r))
		return;
	if (o->question == S3_ASK_SIZE || o->op->verb == BUCKET_HEAD) {
		o->exchange.method = "HEAD";
	} else if (o->question == S3_ASK_BODY || o->op->verb == BUCKET_GET) {
		ask_body(r);
	} else if (o->op->verb == BUCKET_LIST) {
		ask_list(r);
	} else if (o->op->verb == BUCKET_ABORT_UPLOADS) {
		ask_uploads(r);
	} else if (o->op->verb == BUCKET_DELETE) {
		o->exchange.method = "DELETE";
		o->exchange.body_bytes_max = S3_ERROR_BYTES_MAX;
	} else {
		ask_put(r);
	}
}

/* --- how it is sent -------------------------------------------------------------------------- */
static void set_path(struct request *r)
{
	const struct s3_config *c = &r->o->bucket->config;
	struct buf b;

	buf_init(&b);
	buf_add_format(&b, "/%s", c->is_in_path ? c->name : "");
	if (!s3_is_list(r->o))
		buf_add_text(&b, c->is_in_path ? "/" : "");
	if (r->o->question == S3_ABORT_UPLOAD) {
		s3_encode(&b, r->o->uploads->begun->key, true);
	} else if (!s3_is_list(r->o)) {
		s3_encode(&b, slice_from(c->prefix), true);
		s3_encode(&b, r->o->op->key, true);
	}
	r->path = arena_copy(&r->o->arena, buf_slice(&b));
	buf_done(&b);
}

static void set_url(struct request *r)
{
	const struct s3_config *c = &r->o->bucket->config;
	struct buf b;

	buf_init(&b);
	buf_add_format(&b, "%s%s", c->scheme, c->host);
	buf_add_slice(&b, r->path);
	buf_add_text(&b, r->query_count ? "?" : "");
	s3_encode_query(&b, r->query, r->query_count);
	r->o->exchange.url = arena_text(&r->o->arena, buf_slice(&b));
	buf_done(&b);
}

static void set_signed_headers(struct request *r)
{
	struct s3_op *o = r->o;
	bool is_body = strcmp(o->exchange.method, "PUT") == 0;
	bool is_whole = strcmp(o->exchange.method, "GET") == 0 && s3_is_whole(o) && !s3_is_list(o);

	add_signed(r, "host", o->bucket->config.host);
	if (o->question == S3_BEGIN_PARTS && o->bucket->config.has_checksums)
		add_signed(r, "x-amz-checksum-algorithm", "CRC32C");
	if (is_body && o->bucket->config.has_checksums)
		add_signed(r, "x-amz-checksum-crc32c", o->body_crc32c);
	if (is_whole && o->bucket->config.has_checksums)
		add_signed(r, "x-amz-checksum-mode", "ENABLED");
	add_signed(r, "x-amz-content-sha256", r->body_sha256);
	add_signed(r, "x-amz-date", r->date);
	if (o->credentials->token[0])
		add_signed(r, "x-amz-security-token", o->credentials->token);
	for (size_t i = 1; i < r->signed_count; i++) /* libcurl writes the host itself */
		add_header(o, arena_format(&o->arena, "%s: %.*s", r->signed_headers[i].name,
					   SLICE_ARG(r->signed_headers[i].value)));
}

static void sign(struct request *r)
{
	struct s3_op *o = r->o;
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "Authorization: ");
	s3_sign(&b, &(struct s3_signing) {
			    .credentials = o->credentials,
			    .region = o->bucket->config.region,
			    .service = "s3",
			    .method = o->exchange.method,
			    .path = r->path,
			    .query = r->query,
			    .query_count = r->query_count,
			    .headers = r->signed_headers,
			    .header_count = r->signed_count,
			    .body_sha256 = r->body_sha256,
			    .date = r->date,
		    });
	add_header(o, arena_text(&o->arena, buf_slice(&b)));
	buf_done(&b);
}

void s3_ask(struct s3_op *o)
{
	struct request r = { .o = o, .body_sha256 = NO_BODY_SHA256 };

	s3_exchange_done(&o->exchange);
	arena_reset(&o->arena);
	o->exchange = (struct s3_exchange) { .headers = o->headers, .task = &o->op->task };
	o->attempts++;
	choose(&r);
	set_path(&r);
	set_url(&r);
	s3_date(r.date, clock_wall_ms() + o->bucket->clock_ahead_ms);
	set_signed_headers(&r);
	sign(&r);
	s3_exchange_start(&o->exchange, o->bucket->http, o->op->task.loop);
}
