/* For tests: a small S3 store that can be told to misbehave.  It is a process of its own, so that a
 * loop under test ends when nothing is left to do; orders and counts are in shared memory. */
#ifndef BUCKETS_S3_STORE_TESTING_H
#define BUCKETS_S3_STORE_TESTING_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/text.h"
#include "buckets/s3_op.h"
#include "loop/stream.h"

enum {
	STORE_OBJECTS_MAX = 4096,
	STORE_ORDERS_MAX = 64,
	STORE_TEXT_BYTES = 256,
	STORE_EARLY_MAX = 8,
	STORE_UPLOADS_MAX = 16,
	STORE_PARTS_MAX = 64
};

enum store_fault {
	STORE_NO_FAULT,
	STORE_REFUSES,	     /* the status and code given, without effect */
	STORE_LIES,	     /* the same, after the effect */
	STORE_HANGS,	     /* takes the request and never answers, without effect */
	STORE_HANGS_AFTER,   /* the same, with effect */
	STORE_CLOSES,	     /* the connection, without effect */
	STORE_CLOSES_AFTER,  /* the same, with effect */
	STORE_SENDS_HALF,    /* of the body, and closes */
	STORE_FLIPS_A_BIT,   /* of the body */
	STORE_SHIFTS_RANGE,  /* says that it is the part one byte further on */
	STORE_IGNORES_RANGE, /* and sends all of it */
};

struct store_order {
	enum store_fault fault;
	int status;
	char code[STORE_TEXT_BYTES];
	char method[8]; /* "" for any */
};

struct store_control {
	volatile int port;
	volatile int requests, connections;
	volatile int order_count; /* taken from the front, each by one request */
	volatile int64_t clock_ahead_ms;
	volatile int is_hasty; /* looks whether an object is there before its body has come */
	volatile int requests_per_s_max; /* more are told to slow down; 0: any number */
	volatile int slow_downs;
	volatile int open_uploads;
	volatile int64_t begun_ago_ms; /* the uploads that begin now */
	volatile int lies_about_whole; /* the checksum at the end of parts is another one */
	volatile int lists_backwards;
	volatile int page_keys_max; /* fewer than asked for; 0: as asked */
	struct store_order orders[STORE_ORDERS_MAX];
	char access_key[STORE_TEXT_BYTES]; /* the only one it knows; "testing" */
	/* A machine's service for credentials, at the same address. */
	volatile int fetches;	      /* answers with credentials */
	volatile int metadata_status; /* 0: as it should be; -1: no answer at all */
	volatile int64_t life_ms;
	char metadata_token[STORE_TEXT_BYTES]; /* what has to be shown there */
	char last_host[STORE_TEXT_BYTES], last_target[STORE_TEXT_BYTES * 4];
};

struct store_object {
	struct slice key; /* allocated, both */
	struct slice body;
};

/* A request whose head has come, and whose body has not. */
struct store_early {
	struct stream *stream;
	bool was_there;
};

struct store_upload {
	struct slice key; /* allocated, all of them; empty: not in use */
	struct slice parts[STORE_PARTS_MAX];
	int64_t begun_ms;
};

struct store {
	struct store_control *control;
	struct store_upload uploads[STORE_UPLOADS_MAX];
	struct store_early early[STORE_EARLY_MAX];
	uint64_t second_at_ms;
	int requests_in_second;
	struct store_object objects[STORE_OBJECTS_MAX];
	size_t count;
};

struct store_request {
	char method[8], target[2048], host[STORE_TEXT_BYTES], range[STORE_TEXT_BYTES];
	char date[STORE_TEXT_BYTES], sha256[STORE_TEXT_BYTES], crc32c[STORE_TEXT_BYTES];
	char condition[STORE_TEXT_BYTES], authorization[1024];
	char metadata_ttl[STORE_TEXT_BYTES], metadata_token[STORE_TEXT_BYTES];
	struct slice key, query, body;
	bool is_absent; /* it was, when a hasty store looked */
};

/* --- what is stored --------------------------------------------------------------------------- */
static size_t store_position(const struct store *s, struct slice key)
{
	size_t at = 0;

	while (at < s->count && slice_compare(s->objects[at].key, key) < 0)
		at++;
	return at;
}

static struct store_object *store_find(struct store *s, struct slice key)
{
	size_t at = store_position(s, key);

	return at < s->count && slice_equal(s->objects[at].key, key) ? &s->objects[at] : NULL;
}

static struct slice store_copy(struct slice s)
{
	uint8_t *copy = memory_take(s.size + 1);

	if (s.size)
		memcpy(copy, s.data, s.size);
	return (struct slice) { copy, s.size };
}

static void store_put(struct store *s, struct slice key, struct slice body)
{
	struct store_object *found = store_find(s, key);
	size_t at = store_position(s, key);

	if (found) {
		memory_free((void *)(uintptr_t)found->body.data);
		found->body = store_copy(body);
		return;
	}
	if (s->count == STORE_OBJECTS_MAX)
		abort();
	memmove(&s->objects[at + 1], &s->objects[at], (s->count - at) * sizeof(*s->objects));
	s->objects[at] = (struct store_object) { store_copy(key), store_copy(body) };
	s->count++;
}

static void store_remove(struct store *s, struct slice key)
{
	struct store_object *o = store_find(s, key);

	if (!o)
		return;
	memory_free((void *)(uintptr_t)o->key.data);
	memory_free((void *)(uintptr_t)o->body.data);
	s->count--;
	memmove(o, o + 1, (s->count - (size_t)(o - s->objects)) * sizeof(*o));
}

/* --- answers ---------------------------------------------------------------------------------- */
static void store_begin(struct store *s, struct buf *b, int status)
{
	time_t now = (time_t)((clock_wall_ms() + s->control->clock_ahead_ms) / 1000);
	char date[64];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_add_format(b, "HTTP/1.1 %d Something\r\nDate: %s\r\n", status, date);
}

static void store_error(struct store *s, struct buf *b, const struct store_request *r, int status,
			const char *code)
{
	char body[1024];
	int size = snprintf(body, sizeof(body),
			    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
			    "<Message>as ordered</Message><Region>eu-test-1</Region></Error>",
			    code);
	bool is_head = strcmp(r->method, "HEAD") == 0;

	store_begin(s, b, status);
	buf_add_format(b, "Content-Length: %d\r\n\r\n%s", code[0] ? size : 0,
		       is_head || !code[0] ? "" : body);
}

static void store_text(struct store *s, struct buf *b, int status, const char *text)
{
	store_begin(s, b, status);
	buf_add_format(b, "Content-Length: %zu\r\n\r\n%s", strlen(text), text);
}

/* The value of a parameter, decoded as far as tests need it. */
static struct slice store_parameter(struct slice query, const char *name, char ret[1024])
{
	size_t used = 0, size = strlen(name);

	for (size_t at = 0; at < query.size;) {
		struct slice rest = slice_part(query, at, query.size);
		const uint8_t *and = memchr(rest.data, '&', rest.size);
		struct slice part = { rest.data, and? (size_t)(and-rest.data) : rest.size };

		at += part.size + 1;
		if (part.size <= size || part.data[size] != '=' ||
		    memcmp(part.data, name, size) != 0)
			continue;
		for (size_t i = size + 1; i < part.size && used < 1023; i++) {
			unsigned value = part.data[i];

			if (part.data[i] == '%' && part.size - i > 2 &&
			    sscanf((const char *)part.data + i + 1, "%2x", &value) == 1)
				i += 2;
			ret[used++] = (char)value;
		}
	}
	return (struct slice) { (const uint8_t *)ret, used };
}

static void store_list(struct store *s, struct buf *b, const struct store_request *r)
{
	char prefix_text[1024], after_text[1024], max_text[1024];
	struct slice prefix = store_parameter(r->query, "prefix", prefix_text);
	struct slice after = store_parameter(r->query, "start-after", after_text);
	struct slice max_given = store_parameter(r->query, "max-keys", max_text);
	uint64_t max = 1000, count = 0;
	struct slice last = { NULL, 0 };
	bool is_truncated = false;
	struct buf body;

	if (text_to_u64(max_given, 1000, &max))
		abort();
	if (s->control->page_keys_max > 0 && (uint64_t)s->control->page_keys_max < max)
		max = (uint64_t)s->control->page_keys_max;
	if (after.size == 0)
		after = store_parameter(r->query, "continuation-token", after_text);
	buf_init(&body);
	buf_add_text(&body, "<?xml version=\"1.0\"?><ListBucketResult><Name>x</Name>"
			    "<EncodingType>url</EncodingType>");
	for (size_t k = 0; k < s->count; k++) {
		size_t i = s->control->lists_backwards ? s->count - 1 - k : k;

		if (!slice_starts_with(s->objects[i].key, prefix) ||
		    slice_compare(s->objects[i].key, after) <= 0)
			continue;
		if (count++ == max) {
			is_truncated = true;
			break;
		}
		last = s->objects[i].key;
		buf_add_text(&body, "<Contents><Key>");
		s3_encode(&body, last, false);
		buf_add_format(&body, "</Key><Size>%zu</Size></Contents>", s->objects[i].body.size);
	}
	buf_add_format(&body, "<IsTruncated>%s</IsTruncated>", is_truncated ? "true" : "false");
	if (is_truncated)
		buf_add_format(&body, "<NextContinuationToken>%.*s</NextContinuationToken>",
			       SLICE_ARG(last));
	buf_add_text(&body, "</ListBucketResult>");
	store_begin(s, b, 200);
	buf_add_format(b, "Content-Length: %zu\r\n\r\n", body.size);
	buf_add_slice(b, buf_slice(&body));
	buf_done(&body);
}

static void store_get(struct store *s, struct buf *b, const struct store_request *r,
		      enum store_fault fault)
{
	struct store_object *o = store_find(s, r->key);
	unsigned long long first = 0, last = UINT64_MAX;
	bool is_range = sscanf(r->range, "bytes=%llu-%llu", &first, &last) == 2 &&
			fault != STORE_IGNORES_RANGE;
	char crc[S3_CRC32C_BYTES];
	struct slice part;

	if (!o || (is_range && first >= o->body.size)) {
		store_error(s, b, r, o ? 416 : 404, o ? "InvalidRange" : "NoSuchKey");
		return;
	}
	part = is_range ? slice_part(o->body, first, last - first + 1) : o->body;
	store_begin(s, b, is_range ? 206 : 200);
	s3_crc32c_text(crc, crc32c(o->body));
	buf_add_format(b, "Content-Length: %zu\r\nx-amz-checksum-crc32c: %s\r\n", part.size, crc);
	if (fault == STORE_SHIFTS_RANGE)
		first++;
	if (is_range)
		buf_add_format(b, "Content-Range: bytes %llu-%llu/%zu\r\n", first,
			       first + part.size - 1, o->body.size);
	buf_add_text(b, "\r\n");
	if (strcmp(r->method, "HEAD") == 0)
		return;
	size_t start = b->size;
	buf_add_slice(b, fault == STORE_SENDS_HALF ? slice_part(part, 0, part.size / 2) : part);
	if (fault == STORE_FLIPS_A_BIT && part.size)
		b->data[start + part.size / 2] ^= 4;
}

/* What a store checks before it does anything: that all of it arrived as it was signed. */
static const char *store_complaint(struct store *s, const struct store_request *r)
{
	char sha256[S3_SHA256_HEX_BYTES], crc[S3_CRC32C_BYTES], date[S3_DATE_BYTES];
	char credential[STORE_TEXT_BYTES + 16];

	snprintf(credential, sizeof(credential), "Credential=%s/", s->control->access_key);
	s3_sha256(sha256, &r->body, 1);
	s3_crc32c_text(crc, crc32c(r->body));
	s3_date(date, clock_wall_ms() + s->control->clock_ahead_ms);
	if (strcmp(sha256, r->sha256) != 0)
		return "XAmzContentSHA256Mismatch";
	if (r->crc32c[0] && strcmp(crc, r->crc32c) != 0)
		return "BadDigest";
	if (strncmp(date, r->date, sizeof("20130524T00") - 1) != 0)
		return "RequestTimeTooSkewed";
	if (!strstr(r->authorization, "SignedHeaders=host;") ||
	    !strstr(r->authorization, credential))
		return strstr(r->authorization, "Credential=old") ? "ExpiredToken"
								  : "SignatureDoesNotMatch";
	return NULL;
}

/* --- parts ------------------------------------------------------------------------------------ */
static void store_end_upload(struct store *s, struct store_upload *u)
{
	memory_free((void *)(uintptr_t)u->key.data);
	for (size_t i = 0; i < STORE_PARTS_MAX; i++)
		memory_free((void *)(uintptr_t)u->parts[i].data);
	*u = (struct store_upload) { 0 };
	s->control->open_uploads--;
}

static void store_begin_upload(struct store *s, struct buf *b, const struct store_request *r)
{
	char text[256];

	for (int i = 0; i < STORE_UPLOADS_MAX; i++) {
		if (s->uploads[i].key.size)
			continue;
		s->uploads[i].key = store_copy(r->key);
		s->uploads[i].begun_ms =
			clock_wall_ms() + s->control->clock_ahead_ms - s->control->begun_ago_ms;
		s->control->open_uploads++;
		snprintf(text, sizeof(text),
			 "<InitiateMultipartUploadResult><UploadId>id+/ %d</UploadId>"
			 "</InitiateMultipartUploadResult>",
			 i);
		store_text(s, b, 200, text);
		return;
	}
	abort();
}

/* In the order of their ids, as if keys came in it. */
static void store_list_uploads(struct store *s, struct buf *b, const struct store_request *r)
{
	char prefix_text[1024], after_text[1024], date[64];
	struct slice prefix = store_parameter(r->query, "prefix", prefix_text);
	struct slice after = store_parameter(r->query, "upload-id-marker", after_text);
	int i = after.size ? (int)strtol(after_text + 5, NULL, 10) + 1 : 0, count = 0;
	struct buf body;

	buf_init(&body);
	buf_add_text(&body, "<ListMultipartUploadsResult><EncodingType>url</EncodingType>");
	for (; i < STORE_UPLOADS_MAX; i++) {
		const struct store_upload *u = &s->uploads[i];
		time_t begun = (time_t)(u->begun_ms / 1000);
		if (!u->key.size || !slice_starts_with(u->key, prefix))
			continue;
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S.000Z", gmtime(&begun));
		buf_add_text(&body, "<Upload><Key>");
		s3_encode(&body, u->key, false);
		buf_add_format(&body,
			       "</Key><UploadId>id+/ %d</UploadId><Initiated>%s</Initiated>"
			       "</Upload>",
			       i, date);
		if (++count == s->control->page_keys_max)
			break;
	}
	if (i < STORE_UPLOADS_MAX)
		buf_add_format(&body,
			       "<IsTruncated>true</IsTruncated><NextKeyMarker>%%20</"
			       "NextKeyMarker><NextUploadIdMarker>id+/ %d</NextUploadIdMarker>",
			       i);
	buf_add_text(&body, "</ListMultipartUploadsResult>");
	buf_add(&body, "", 1);
	store_text(s, b, 200, (const char *)body.data);
	buf_done(&body);
}

static struct slice store_join(const struct store_upload *u)
{
	struct buf all;
	struct slice whole;

	buf_init(&all);
	for (size_t i = 0; i < STORE_PARTS_MAX; i++)
		buf_add_slice(&all, u->parts[i]);
	whole = store_copy(buf_slice(&all));
	buf_done(&all);
	return whole;
}

/* All parts have to be named, with the tags and checksums that they have. */
static bool store_names_all(const struct store_upload *u, struct slice list)
{
	char part[256], crc[S3_CRC32C_BYTES];

	for (size_t i = 0; i < STORE_PARTS_MAX && u->parts[i].data; i++) {
		s3_crc32c_text(crc, crc32c(u->parts[i]));
		snprintf(part, sizeof(part),
			 "<PartNumber>%zu</PartNumber><ETag>\"tag&#38;%zu\"</ETag>"
			 "<ChecksumCRC32C>%s</ChecksumCRC32C>",
			 i + 1, i + 1, crc);
		if (!memmem(list.data, list.size, part, strlen(part)))
			return false;
	}
	return true;
}

static void store_end_parts(struct store *s, struct buf *b, const struct store_request *r,
			    struct store_upload *u)
{
	char text[256], crc[S3_CRC32C_BYTES];
	struct slice whole;

	if (strcmp(r->condition, "*") == 0 && store_find(s, r->key)) {
		store_error(s, b, r, 412, "PreconditionFailed");
		return;
	}
	if (!store_names_all(u, r->body)) {
		store_error(s, b, r, 400, "InvalidPart");
		return;
	}
	whole = store_join(u);
	store_put(s, r->key, whole);
	s3_crc32c_text(crc, crc32c(whole) ^ (s->control->lies_about_whole ? 1 : 0));
	memory_free((void *)(uintptr_t)whole.data);
	store_end_upload(s, u);
	snprintf(text, sizeof(text),
		 "\n <CompleteMultipartUploadResult><ChecksumCRC32C>%s</ChecksumCRC32C>"
		 "</CompleteMultipartUploadResult>",
		 crc);
	store_text(s, b, 200, text);
}

static void store_take_part(struct store *s, struct buf *b, const struct store_request *r,
			    struct store_upload *u)
{
	char text[1024];
	uint64_t number = 0;

	if (text_to_u64(store_parameter(r->query, "partNumber", text), STORE_PARTS_MAX, &number) ||
	    number == 0)
		abort();
	memory_free((void *)(uintptr_t)u->parts[number - 1].data);
	u->parts[number - 1] = store_copy(r->body);
	store_begin(s, b, 200);
	buf_add_format(b, "ETag: \"tag&%d\"\r\nContent-Length: 0\r\n\r\n", (int)number);
}

/* Was it about parts? */
static bool store_parts(struct store *s, struct buf *b, const struct store_request *r)
{
	char text[1024];
	struct slice id = store_parameter(r->query, "uploadId", text);
	uint64_t which = 0;

	if (strcmp(r->method, "POST") == 0 && id.size == 0) {
		store_begin_upload(s, b, r);
		return true;
	}
	if (id.size == 0 && memmem(r->query.data, r->query.size, "uploads=", 8)) {
		store_list_uploads(s, b, r);
		return true;
	}
	if (id.size == 0)
		return false;
	if (!slice_starts_with(id, SLICE("id+/ ")) ||
	    text_to_u64(slice_part(id, 5, id.size), STORE_UPLOADS_MAX - 1, &which))
		abort(); /* it was not encoded as it has to be */
	struct store_upload *u = &s->uploads[which];
	if (!slice_equal(u->key, r->key)) {
		store_error(s, b, r, 404, "NoSuchUpload");
	} else if (strcmp(r->method, "DELETE") == 0) {
		store_end_upload(s, u);
		store_error(s, b, r, 204, "");
	} else if (strcmp(r->method, "POST") == 0) {
		store_end_parts(s, b, r, u);
	} else {
		store_take_part(s, b, r, u);
	}
	return true;
}

static void store_act(struct store *s, struct buf *b, const struct store_request *r,
		      enum store_fault fault)
{
	const char *complaint = store_complaint(s, r);

	if (complaint) {
		store_error(s, b, r, strncmp(complaint, "X", 1) == 0 ? 400 : 403, complaint);
	} else if (store_parts(s, b, r)) {
		return;
	} else if (strcmp(r->method, "PUT") == 0) {
		if (strcmp(r->condition, "*") == 0 && !r->is_absent && store_find(s, r->key)) {
			store_error(s, b, r, 412, "PreconditionFailed");
			return;
		}
		store_put(s, r->key, r->body);
		store_error(s, b, r, 200, "");
	} else if (strcmp(r->method, "DELETE") == 0) {
		store_remove(s, r->key);
		store_error(s, b, r, 204, "");
	} else if (r->query.size) {
		store_list(s, b, r);
	} else {
		store_get(s, b, r, fault);
	}
}

/* --- connections ------------------------------------------------------------------------------ */
static void store_header(struct slice line, const char *name, char *ret, size_t size)
{
	size_t name_size = strlen(name);

	if (line.size > name_size + 1 && line.data[name_size] == ':' &&
	    strncasecmp((const char *)line.data, name, name_size) == 0)
		snprintf(ret, size, "%.*s", SLICE_ARG(slice_part(line, name_size + 2, line.size)));
}

static size_t store_parse(struct slice in, struct store_request *r)
{
	const uint8_t *end = in.size ? memmem(in.data, in.size, "\r\n\r\n", 4) : NULL;
	char length[STORE_TEXT_BYTES] = "0";
	uint64_t size = 0;

	if (!end)
		return 0;
	size_t head_size = (size_t)(end - in.data) + 4;
	if (sscanf((const char *)in.data, "%7s %2047s", r->method, r->target) != 2)
		abort();
	for (size_t at = 0; at < head_size;) {
		const uint8_t *stop = memmem(in.data + at, head_size - at, "\r\n", 2);
		struct slice line = { in.data + at, (size_t)(stop - in.data) - at };

		at += line.size + 2;
		store_header(line, "content-length", length, sizeof(length));
		store_header(line, "host", r->host, sizeof(r->host));
		store_header(line, "range", r->range, sizeof(r->range));
		store_header(line, "if-none-match", r->condition, sizeof(r->condition));
		store_header(line, "x-amz-date", r->date, sizeof(r->date));
		store_header(line, "x-amz-content-sha256", r->sha256, sizeof(r->sha256));
		store_header(line, "x-amz-checksum-crc32c", r->crc32c, sizeof(r->crc32c));
		store_header(line, "authorization", r->authorization, sizeof(r->authorization));
		store_header(line, "x-aws-ec2-metadata-token-ttl-seconds", r->metadata_ttl,
			     sizeof(r->metadata_ttl));
		store_header(line, "x-aws-ec2-metadata-token", r->metadata_token,
			     sizeof(r->metadata_token));
	}
	if (text_to_u64(slice_from(length), 1 << 30, &size))
		abort();
	r->body = slice_part(in, head_size, size);
	struct slice target = slice_from(r->target);
	const uint8_t *mark = memchr(target.data, '?', target.size);
	r->key = slice_part(target, 0, mark ? (size_t)(mark - target.data) : target.size);
	r->query = mark ? slice_part(target, r->key.size + 1, target.size) : SLICE("");
	if (slice_starts_with(r->key, SLICE("/bucket")))
		r->key = slice_part(r->key, sizeof("/bucket") - 1, r->key.size);
	r->key = slice_part(r->key, 1, r->key.size);
	return head_size + size;
}

/* --- credentials of the machine --------------------------------------------------------------- */

/* The second ones have another name, so that a test sees which are used. */
static void store_credentials(struct store *s, struct buf *b)
{
	struct store_control *c = s->control;
	time_t end = (time_t)((clock_wall_ms() + c->life_ms) / 1000);
	char json[1024], date[64];
	struct tm tm;

	gmtime_r(&end, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(json, sizeof(json),
		 "{\"Code\":\"Success\",\"AccessKeyId\":\"%.100s\",\"SecretAccessKey\":\"s\","
		 "\"Token\":\"t%d\",\"Expiration\":\"%s\"}",
		 c->access_key, ++c->fetches, date);
	store_text(s, b, 200, json);
}

#define STORE_ROLES "latest/meta-data/iam/security-credentials/"

/* Was it about that? */
static bool store_metadata(struct store *s, struct buf *b, const struct store_request *r)
{
	struct store_control *c = s->control;
	bool is_token = slice_equal(r->key, SLICE("latest/api/token"));
	bool is_container = slice_equal(r->key, SLICE("container"));
	const char *shown = is_container ? r->authorization : r->metadata_token;

	if (!is_token && !is_container && !slice_starts_with(r->key, SLICE(STORE_ROLES)))
		return false;
	if (c->metadata_status < 0)
		return true;
	if (c->metadata_status > 0)
		store_text(s, b, c->metadata_status, "");
	else if (is_token)
		store_text(s, b, strcmp(r->method, "PUT") == 0 && r->metadata_ttl[0] ? 200 : 405,
			   c->metadata_token);
	else if (strcmp(shown, c->metadata_token) != 0)
		store_text(s, b, 401, "");
	else if (slice_equal(r->key, SLICE(STORE_ROLES)))
		store_text(s, b, 200, "a-role\n");
	else
		store_credentials(s, b);
	return true;
}

static struct store_order store_next_order(struct store_control *c, const struct store_request *r)
{
	struct store_order order = c->orders[0];

	c->requests++;
	snprintf(c->last_host, sizeof(c->last_host), "%s", r->host);
	snprintf(c->last_target, sizeof(c->last_target), "%.1000s", r->target);
	if (c->order_count == 0 || (order.method[0] && strcmp(order.method, r->method) != 0))
		return (struct store_order) { 0 };
	c->order_count--;
	memmove(c->orders, c->orders + 1, (size_t)c->order_count * sizeof(*c->orders));
	return order;
}

static bool store_is_too_fast(struct store *s)
{
	uint64_t now_ms = clock_now_ms();

	if (now_ms >= s->second_at_ms + 1000) {
		s->second_at_ms = now_ms;
		s->requests_in_second = 0;
	}
	if (s->control->requests_per_s_max == 0 ||
	    s->requests_in_second++ < s->control->requests_per_s_max)
		return false;
	s->control->slow_downs++;
	return true;
}

static bool store_answer(struct store *s, struct stream *stream, const struct store_request *r)
{
	struct store_order order;
	enum store_fault fault;
	struct buf b;

	buf_init(&b);
	if (store_metadata(s, &b, r)) {
		stream_write_buf(stream, &b);
		buf_done(&b);
		return true;
	}
	order = store_next_order(s->control, r);
	if (store_is_too_fast(s))
		order = (struct store_order) { STORE_REFUSES, 503, "SlowDown", "" };
	fault = order.fault;
	if (fault != STORE_REFUSES && fault != STORE_HANGS && fault != STORE_CLOSES)
		store_act(s, &b, r, fault);
	if (fault == STORE_REFUSES || fault == STORE_LIES) {
		buf_clear(&b);
		store_error(s, &b, r, order.status, order.code);
	}
	if (fault != STORE_HANGS && fault != STORE_HANGS_AFTER && fault != STORE_CLOSES &&
	    fault != STORE_CLOSES_AFTER)
		stream_write_buf(stream, &b);
	buf_done(&b);
	return fault != STORE_CLOSES && fault != STORE_CLOSES_AFTER && fault != STORE_SENDS_HALF;
}

static void store_look_early(struct store *s, struct stream *stream, const struct store_request *r)
{
	struct store_early *free_one = NULL;

	for (size_t i = 0; i < STORE_EARLY_MAX; i++) {
		if (s->early[i].stream == stream)
			return;
		if (!s->early[i].stream)
			free_one = &s->early[i];
	}
	if (free_one)
		*free_one = (struct store_early) { stream, store_find(s, r->key) };
}

static void store_take_early(struct store *s, struct stream *stream, struct store_request *r)
{
	for (size_t i = 0; i < STORE_EARLY_MAX; i++) {
		if (s->early[i].stream != stream)
			continue;
		r->is_absent = !s->early[i].was_there;
		s->early[i].stream = NULL;
	}
}

static void store_on_readable(void *context, struct stream *stream)
{
	for (;;) {
		struct slice in = stream_inbox(stream);
		struct store_request r = { 0 };
		size_t size = store_parse(in, &r);

		if (size > 0 && in.size < size && ((struct store *)context)->control->is_hasty)
			store_look_early(context, stream, &r);
		if (size == 0 || in.size < size) {
			stream_set_inbox_limit(stream, size > STREAM_INBOX_BYTES_DEFAULT
							       ? size
							       : STREAM_INBOX_BYTES_DEFAULT);
			return;
		}
		store_take_early(context, stream, &r);
		if (!store_answer(context, stream, &r)) {
			stream_close_gracefully(stream, 100);
			return;
		}
		stream_consume(stream, size);
	}
}

static void store_on_end(void *context, struct stream *stream, enum err err)
{
	(void)context;
	(void)err;
	stream_close(stream);
}

static void store_on_accept(void *context, struct stream *stream)
{
	static const struct stream_owner owner = { .on_readable = store_on_readable,
						   .on_end = store_on_end };
	struct store *s = context;

	s->control->connections++;
	stream_set_owner(stream, &owner, s);
}

/* --- life ------------------------------------------------------------------------------------ */
struct store_process {
	pid_t pid;
	struct store_control *control;
};

static void store_main(struct store_control *control)
{
	struct loop *loop = loop_new(0);
	struct store *s = NEW(struct store);
	struct listener *listener;
	char why[TASK_WHY_BYTES];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->control = control;
	if (listener_open_tcp(loop, "127.0.0.1", 0, store_on_accept, s, &listener, why))
		abort();
	control->port = listener_port(listener);
	loop_run(loop);
	_exit(0);
}

static void store_start(struct store_process *p)
{
	p->control = mmap(NULL, sizeof(*p->control), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p->control, MAP_FAILED);
	snprintf(p->control->access_key, sizeof(p->control->access_key), "testing");
	snprintf(p->control->metadata_token, sizeof(p->control->metadata_token), "shown");
	p->control->life_ms = 3600 * 1000;
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		store_main(p->control);
	for (int i = 0; i < 10000 && p->control->port == 0; i++)
		usleep(1000);
	assert_true(p->control->port > 0);
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "testing", 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "secret", 1), 0);
}

static void store_stop(struct store_process *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	munmap(p->control, sizeof(*p->control));
}

#endif
