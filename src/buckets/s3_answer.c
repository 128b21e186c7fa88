/* What the answers of an S3 store mean.  Stores differ most in their errors, so the status decides
 * where it can, and the code in the body only where it must. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/text.h"
#include "buckets/s3_parts.h"
#include "buckets/s3_uploads.h"

enum { CLOCK_TOLERANCE_MS = 5 * 60 * 1000 };

static enum s3_verdict end(struct s3_op *o, enum err err, const char *format, ...)
	PRINTF_LIKE(3, 4);
static enum s3_verdict again(struct s3_op *o, enum err err, const char *format, ...)
	PRINTF_LIKE(3, 4);

static enum s3_verdict end(struct s3_op *o, enum err err, const char *format, ...)
{
	va_list list;

	o->err = err;
	va_start(list, format);
	vsnprintf(o->why, sizeof(o->why), format, list);
	va_end(list);
	return S3_END;
}

static enum s3_verdict again(struct s3_op *o, enum err err, const char *format, ...)
{
	va_list list;

	o->err = err;
	va_start(list, format);
	vsnprintf(o->why, sizeof(o->why), format, list);
	va_end(list);
	return S3_AGAIN;
}

static struct slice body_of(const struct s3_op *o)
{
	return o->exchange.body ? blob_slice(o->exchange.body) : SLICE("");
}

static enum s3_verdict damaged(struct s3_op *o, const char *how)
{
	return again(o, ERR_IO, "the store's answer %s: %.60s", how, o->exchange.url);
}

/* --- get and head ---------------------------------------------------------------------------- */
/* "bytes 3-6/10" */
static bool parse_range(const char *text, uint64_t *ret_first, uint64_t *ret_last,
			uint64_t *ret_total)
{
	struct slice s = slice_from(text);
	const uint8_t *dash, *slash;

	if (!slice_starts_with(s, SLICE("bytes ")))
		return false;
	s = slice_part(s, 6, s.size);
	dash = s.size ? memchr(s.data, '-', s.size) : NULL;
	slash = s.size ? memchr(s.data, '/', s.size) : NULL;
	if (!dash || !slash || slash < dash)
		return false;
	struct slice first = { s.data, (size_t)(dash - s.data) };
	struct slice last = { dash + 1, (size_t)(slash - dash) - 1 };
	struct slice total = slice_part(s, (size_t)(slash - s.data) + 1, s.size);
	return text_to_u64(first, INT64_MAX, ret_first) == OK &&
	       text_to_u64(last, INT64_MAX, ret_last) == OK &&
	       text_to_u64(total, INT64_MAX, ret_total) == OK && *ret_first <= *ret_last &&
	       *ret_last < *ret_total;
}

static bool is_checksum_right(const struct s3_op *o)
{
	char text[S3_CRC32C_BYTES];

	if (strlen(o->exchange.crc32c) != S3_CRC32C_BYTES - 1)
		return true; /* none, or one of parts */
	o->bucket->facts.has_checksum = true;
	s3_crc32c_text(text, crc32c(body_of(o)));
	return strcmp(text, o->exchange.crc32c) == 0;
}

static void give_body(struct s3_op *o)
{
	o->op->ret_body = o->exchange.body ? o->exchange.body : blob_new(0);
	o->exchange.body = NULL;
}

static enum s3_verdict take_range(struct s3_op *o)
{
	struct bucket_op *op = o->op;
	uint64_t first, last, total;

	if (!parse_range(o->exchange.content_range, &first, &last, &total) || first != op->offset ||
	    last - first + 1 != body_of(o).size || last - first >= op->size_max ||
	    (o->exchange.has_content_length && o->exchange.content_length != body_of(o).size) ||
	    (last + 1 < total && body_of(o).size < op->size_max))
		return damaged(o, "is another part than was asked for");
	op->ret_size = total;
	give_body(o);
	return end(o, OK, "%s", "");
}

static enum s3_verdict take_body(struct s3_op *o)
{
	struct bucket_op *op = o->op;

	if (o->exchange.status == 206)
		return take_range(o);
	if (o->exchange.has_content_length && o->exchange.content_length != body_of(o).size)
		return damaged(o, "is not of the length it says");
	if (!is_checksum_right(o))
		return damaged(o, "does not have the checksum it says");
	op->ret_size = body_of(o).size;
	if (s3_is_whole(o))
		give_body(o);
	else /* a store that does not know ranges */
		op->ret_body = blob_from(slice_part(body_of(o), op->offset, op->size_max));
	return end(o, OK, "%s", "");
}

static enum s3_verdict take_size(struct s3_op *o)
{
	struct bucket_op *op = o->op;

	if (!o->exchange.has_content_length)
		return damaged(o, "has no Content-Length");
	op->ret_size = o->exchange.content_length;
	if (op->verb == BUCKET_GET && op->size_max > 0 && op->offset < op->ret_size) {
		o->question = S3_ASK; /* it was not there yet a moment ago */
		return damaged(o, "has an end that moves");
	}
	if (op->verb == BUCKET_GET)
		op->ret_body = blob_new(0);
	return end(o, OK, "%s", "");
}

/* Something is under the name of a put: ours from before, or other bytes? */
static enum s3_verdict compare(struct s3_op *o)
{
	struct slice body = body_of(o);
	bool is_equal = true;

	if (!is_checksum_right(o))
		return damaged(o, "does not have the checksum it says");
	for (size_t i = 0; i < o->op->piece_count && is_equal; i++) {
		struct slice piece = o->op->pieces[i];

		is_equal = slice_equal(slice_part(body, 0, piece.size), piece);
		body = slice_part(body, piece.size, body.size);
	}
	if (is_equal && body.size == 0)
		return end(o, OK, "%s", "");
	end(o, ERR_CONFLICT, "other contents are stored under %.*s", SLICE_ARG(o->op->key));
	log_error("bucket %s: %s", o->op->bucket->url, o->why);
	return S3_END;
}

/* --- parts ------------------------------------------------------------------------------------ */
static enum s3_verdict take_upload(struct s3_op *o)
{
	struct s3_upload upload;

	if (s3_xml_upload(body_of(o), &upload) || !upload.id[0])
		return damaged(o, "has no upload id");
	memcpy(o->parts->upload_id, upload.id, sizeof(upload.id));
	o->question = S3_SEND_PART;
	return S3_HASH;
}

/* Each part has the time of an operation: a large object is many of them. */
static enum s3_verdict take_part(struct s3_op *o)
{
	struct s3_parts *p = o->parts;

	if (!o->exchange.tag[0] || strlen(o->exchange.tag) >= S3_TAG_BYTES)
		return damaged(o, "has no ETag");
	memcpy(p->tags[p->done], o->exchange.tag, strlen(o->exchange.tag) + 1);
	o->deadline_ms = loop_now_ms(o->op->task.loop) + o->bucket->config.timeout_ms;
	o->attempts = 0;
	if (++p->done < p->count)
		return S3_HASH;
	o->question = S3_END_PARTS;
	return S3_NEXT;
}

/* The store does not know the upload: it was aborted by somebody, or it has ended already. */
static enum s3_verdict gone(struct s3_op *o)
{
	bool may_have_ended = o->question == S3_END_PARTS && o->is_unclear;

	s3_parts_restart(o->parts);
	o->question = may_have_ended ? S3_ASK_BODY : S3_BEGIN_PARTS;
	if (may_have_ended)
		return S3_NEXT;
	return again(o, ERR_UNAVAILABLE, "the store has lost the parts of %.*s",
		     SLICE_ARG(o->op->key));
}

static enum s3_verdict taken(struct s3_op *o);

/* "200 OK" may come before the store has tried. */
static enum s3_verdict take_end(struct s3_op *o)
{
	struct s3_upload upload;
	struct s3_error e;

	if (s3_xml_upload(body_of(o), &upload) == OK && !upload.id[0]) {
		if (upload.checksum[0] && !s3_parts_has_checksum(o->parts, upload.checksum))
			return end(o, ERR_IO, "the parts of %.*s have become something else",
				   SLICE_ARG(o->op->key));
		o->parts->upload_id[0] = '\0';
		return end(o, OK, "%s", "");
	}
	s3_xml_error(body_of(o), &e);
	if (strcmp(e.code, "NoSuchUpload") == 0)
		return gone(o);
	if (strcmp(e.code, "PreconditionFailed") == 0 && s3_is_conditional(o->op))
		return taken(o);
	o->is_unclear = true;
	return again(o, ERR_UNAVAILABLE, "the store says 200 and then %.32s %.40s", e.code,
		     e.message);
}

/* --- list ------------------------------------------------------------------------------------ */
/* False when the store lists out of order, which nothing here can work with. */
static bool take_key(struct s3_op *o, struct slice key, uint64_t size)
{
	struct bucket_op *op = o->op;
	struct slice prefix = slice_from(o->bucket->config.prefix);

	if (o->list_last.data && slice_compare(key, o->list_last) <= 0)
		return false;
	o->list_last = arena_copy(op->arena, key);
	if (!slice_starts_with(key, prefix))
		return true;
	key = slice_part(o->list_last, prefix.size, key.size);
	if (bucket_check_key(key) || !slice_starts_with(key, op->key) ||
	    slice_compare(key, op->after) <= 0)
		return true; /* somebody else's */
	if (op->ret_count == BUCKET_LIST_NAMES_MAX) {
		op->ret_more = true;
		return true;
	}
	op->ret_sizes[op->ret_count] = size;
	op->ret_names[op->ret_count++] = key;
	return true;
}

static enum s3_verdict take_page(struct s3_op *o)
{
	struct bucket_op *op = o->op;
	struct s3_list list = { 0 };
	struct slice before = o->list_token;

	if (s3_xml_list(&o->arena, body_of(o), &list))
		return damaged(o, "is no list of objects");
	if (!op->ret_names) {
		op->ret_names =
			arena_take_array(op->arena, BUCKET_LIST_NAMES_MAX, sizeof(*op->ret_names));
		op->ret_sizes =
			arena_take_array(op->arena, BUCKET_LIST_NAMES_MAX, sizeof(*op->ret_sizes));
	}
	for (size_t i = 0; i < list.key_count; i++)
		if (!take_key(o, list.keys[i], list.sizes[i]))
			return end(o, ERR_UNSUPPORTED,
				   "the store does not list in order: it cannot be used");
	if (!list.is_truncated)
		return end(o, OK, "%s", "");
	if (op->ret_count == BUCKET_LIST_NAMES_MAX) {
		op->ret_more = true;
		return end(o, OK, "%s", "");
	}
	o->list_token = arena_copy(op->arena, list.next_token);
	if (list.key_count == 0 && slice_equal(before, o->list_token))
		return end(o, ERR_UNSUPPORTED, "the store's list does not come to an end");
	return S3_NEXT;
}

/* --- uploads that somebody left --------------------------------------------------------------- */
static bool is_same_place(const struct s3_begun_list *a, const struct s3_begun_list *b)
{
	return slice_equal(a->next_key, b->next_key) && slice_equal(a->next_id, b->next_id);
}

static enum s3_verdict next_upload(struct s3_op *o)
{
	struct s3_uploads *u = o->uploads;
	bool is_found = s3_uploads_find(o);

	o->op->ret_more = is_found || u->page.is_truncated;
	if (!o->op->ret_more || o->op->ret_count == S3_UPLOADS_ABORTED_MAX)
		return end(o, OK, "%s", "");
	o->question = is_found ? S3_ABORT_UPLOAD : S3_ASK;
	o->deadline_ms = loop_now_ms(o->op->task.loop) + o->bucket->config.timeout_ms;
	o->attempts = 0;
	return S3_NEXT;
}

static enum s3_verdict take_uploads(struct s3_op *o)
{
	struct s3_uploads *u = o->uploads;
	struct s3_begun_list page;
	struct arena a;

	arena_init(&a);
	if (s3_xml_begun(&a, body_of(o), &page)) {
		arena_done(&a);
		return damaged(o, "is no list of uploads");
	}
	bool is_stuck =
		page.is_truncated && (page.next_key.size == 0 || is_same_place(&page, &u->page));
	arena_done(&u->arena);
	u->arena = a;
	u->page = page;
	u->next = 0;
	if (is_stuck)
		return end(o, ERR_UNSUPPORTED, "the store's list does not come to an end");
	return next_upload(o);
}

static enum s3_verdict upload_aborted(struct s3_op *o)
{
	o->op->ret_count++;
	return next_upload(o);
}

/* --- errors ---------------------------------------------------------------------------------- */
static bool is_code(const struct s3_error *e, const char *code)
{
	return strcmp(e->code, code) == 0;
}

/* "Fri, 24 May 2013 00:00:00 GMT" */
static bool parse_date(const char *text, int64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (!rest || *rest)
		return false;
	*ret_ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

/* A 403 because of the clock is answered with the store's time, of a HEAD without any code. */
static bool learn_clock(struct s3_op *o, const struct s3_error *e)
{
	struct s3_bucket *b = o->bucket;
	int64_t theirs_ms, ahead_ms;

	if (o->has_set_clock || !parse_date(o->exchange.date, &theirs_ms))
		return false;
	ahead_ms = theirs_ms - clock_wall_ms();
	if (!is_code(e, "RequestTimeTooSkewed") &&
	    llabs(ahead_ms - b->clock_ahead_ms) < CLOCK_TOLERANCE_MS)
		return false;
	o->has_set_clock = true;
	b->clock_ahead_ms = ahead_ms;
	log_warn("bucket %s: the store's clock is %lld s ahead of ours; its time is used",
		 b->bucket.url, (long long)(ahead_ms / 1000));
	return true;
}

static bool learn_credentials(struct s3_op *o)
{
	if (o->has_new_credentials || !s3_user_renew(&o->user, o->why))
		return false;
	o->has_new_credentials = true;
	return true;
}

static bool is_unknown_key(const struct s3_error *e)
{
	return is_code(e, "InvalidAccessKeyId") || is_code(e, "XAdminUserNotFound");
}

/* People see the beginning of these sentences in the log: it says what to do. */
static enum s3_verdict denied(struct s3_op *o, const struct s3_error *e)
{
	static const char *const needed[] = {
		[BUCKET_PUT] = "s3:PutObject",
		[BUCKET_PUT_NEW] = "s3:PutObject",
		[BUCKET_GET] = "s3:GetObject",
		[BUCKET_HEAD] = "s3:GetObject",
		[BUCKET_LIST] = "s3:ListBucket",
		[BUCKET_DELETE] = "s3:DeleteObject",
		[BUCKET_ABORT_UPLOADS] = "s3:ListBucketMultipartUploads, s3:AbortMultipartUpload",
	};

	if (learn_clock(o, e))
		return S3_NEXT;
	if (is_code(e, "ExpiredToken") && learn_credentials(o))
		return S3_NEXT;
	if (is_unknown_key(e))
		return end(o, ERR_DENIED, "check AWS_ACCESS_KEY_ID: the store does not know it");
	if (is_code(e, "SignatureDoesNotMatch"))
		return end(o, ERR_DENIED, "check secret key and region=%s: the signature is wrong",
			   o->bucket->config.region);
	if (is_code(e, "ExpiredToken"))
		return end(o, ERR_DENIED, "get new credentials: the session token has expired");
	return end(o, ERR_DENIED, "allow %s and s3:ListBucket: the store refuses it (%d %.32s)",
		   o->question == S3_ASK_SIZE || o->question == S3_ASK_BODY ? "s3:GetObject"
									    : needed[o->op->verb],
		   o->exchange.status, e->code);
}

static enum s3_verdict taken(struct s3_op *o)
{
	if (o->op->verb == BUCKET_PUT) {
		o->question = S3_ASK_BODY;
		return S3_NEXT;
	}
	if (!o->is_unclear)
		return end(o, ERR_EXISTS, "%s", "");
	return end(o, ERR_UNKNOWN, "an attempt without answer may have been the one that made it");
}

/* Only what says so is an object that is not there: somebody may believe that it was deleted.  Of a
 * HEAD there is just the status. */
static bool is_missing_object(const struct s3_op *o, const struct s3_error *e)
{
	return is_code(e, "NoSuchKey") || is_code(e, "NotFound") || body_of(o).size == 0;
}

static enum s3_verdict missing(struct s3_op *o, const struct s3_error *e)
{
	struct bucket_op *op = o->op;

	if (is_unknown_key(e))
		return denied(o, e);
	if (is_code(e, "NoSuchUpload") && o->parts)
		return gone(o);
	if (is_code(e, "NoSuchUpload") && o->question == S3_ABORT_UPLOAD)
		return next_upload(o); /* it has ended meanwhile, or somebody else was here */
	if (is_code(e, "NoSuchBucket"))
		return end(o, ERR_UNAVAILABLE,
			   "no bucket \"%s\": create it in the store, or mend "
			   "the URL",
			   o->bucket->config.name);
	if (!is_missing_object(o, e) || op->verb == BUCKET_LIST ||
	    op->verb == BUCKET_ABORT_UPLOADS || (s3_is_put(op) && o->question != S3_ASK_BODY))
		return end(o, ERR_UNAVAILABLE,
			   "check endpoint and bucket: the store answers %d %.32s",
			   o->exchange.status, e->code);
	if (op->verb == BUCKET_DELETE)
		return end(o, OK, "%s", "");
	if (s3_is_put(op)) { /* it was there, and is gone: once more */
		o->question = !o->parts		       ? S3_ASK
			      : o->parts->upload_id[0] ? S3_END_PARTS
						       : S3_BEGIN_PARTS;
		return again(o, ERR_UNAVAILABLE, "%.*s comes and goes", SLICE_ARG(op->key));
	}
	return end(o, ERR_NOT_FOUND, "there is no %.*s", SLICE_ARG(op->key));
}

static enum s3_verdict elsewhere(struct s3_op *o, const struct s3_error *e)
{
	const char *region = e->region[0] ? e->region : o->exchange.region;

	if (region[0])
		return end(o, ERR_INVALID, "write region=%.40s: the bucket is there", region);
	return end(o, ERR_INVALID,
		   "check endpoint, region and addressing: the store sends us elsewhere (%d)",
		   o->exchange.status);
}

static enum s3_verdict not_supported(struct s3_op *o, const struct s3_error *e)
{
	const char *help = "";

	if (s3_is_conditional(o->op))
		help = "; class=raw or checksum=none may help";
	else if (o->bucket->config.has_checksums)
		help = "; checksum=none may help";
	return end(o, ERR_UNSUPPORTED, "the store answers %d %.32s %.24s%s", o->exchange.status,
		   e->code, e->message, help);
}

static void slow_down(struct s3_op *o)
{
	struct s3_bucket *b = o->bucket;
	bool was_limited = b->pace.limit > 0;

	o->is_slowed = true;
	if (s3_pace_slow_down(&b->pace, loop_now_ms(o->op->task.loop)) && !was_limited)
		log_warn("bucket %s: the store asks to slow down: %llu requests a second for now",
			 b->bucket.url, (unsigned long long)b->pace.limit);
}

/* Where waiting and asking again is right.  Only a store that says so has done nothing. */
static enum s3_verdict busy(struct s3_op *o, const struct s3_error *e)
{
	bool is_harmless = o->exchange.status == 429 ||
			   (o->exchange.status == 503 &&
			    (is_code(e, "SlowDown") || is_code(e, "ServiceUnavailable") ||
			     is_code(e, "XMinioServerNotInitialized"))) ||
			   o->exchange.status < 429;

	if (o->exchange.status == 429 || is_code(e, "SlowDown") || is_code(e, "TooManyRequests") ||
	    is_code(e, "RequestLimitExceeded"))
		slow_down(o);
	o->is_unclear |= s3_has_effect(o) && !is_harmless;
	return again(o, ERR_UNAVAILABLE, "the store answers %d %.32s %.40s", o->exchange.status,
		     e->code, e->message);
}

static enum s3_verdict judge_bad_request(struct s3_op *o, const struct s3_error *e)
{
	if (is_code(e, "AuthorizationHeaderMalformed"))
		return elsewhere(o, e);
	if (is_code(e, "ExpiredToken") || is_code(e, "InvalidToken") ||
	    is_code(e, "RequestTimeTooSkewed"))
		return denied(o, e);
	if (is_code(e, "RequestTimeout") || is_code(e, "BadDigest") ||
	    is_code(e, "InvalidDigest") || is_code(e, "XAmzContentSHA256Mismatch") ||
	    is_code(e, "IncompleteBody"))
		return busy(o, e);
	if (is_code(e, "EntityTooLarge"))
		return end(o, ERR_TOO_BIG, "the store does not take objects of this size");
	return not_supported(o, e);
}

static enum s3_verdict judge_conflict(struct s3_op *o, const struct s3_error *e)
{
	if (is_code(e, "PreconditionFailed") && s3_is_conditional(o->op))
		return taken(o);
	if (is_code(e, "ConditionalRequestConflict") || is_code(e, "OperationAborted"))
		return busy(o, e);
	return end(o, ERR_CONFLICT, "the store answers 409 %.32s %.40s", e->code, e->message);
}

static enum s3_verdict judge_error(struct s3_op *o)
{
	struct s3_error e;

	s3_xml_error(body_of(o), &e);
	if (is_code(&e, "QuotaExceeded") || is_code(&e, "XMinioStorageFull") ||
	    is_code(&e, "InsufficientStorage") || o->exchange.status == 507)
		return end(o, ERR_FULL, "the store is full: %.32s", e.code);
	switch (o->exchange.status) {
	case 301:
	case 302:
	case 307:
	case 308:
		return elsewhere(o, &e);
	case 400:
		return judge_bad_request(o, &e);
	case 401:
	case 403:
		return denied(o, &e);
	case 404:
		return missing(o, &e);
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return busy(o, &e);
	case 409:
		return judge_conflict(o, &e);
	case 412:
		if (s3_is_conditional(o->op) && s3_has_effect(o))
			return taken(o);
		break;
	case 416:
		if (o->op->verb == BUCKET_GET && o->question == S3_ASK) {
			o->question = S3_ASK_SIZE;
			return S3_NEXT;
		}
		break;
	}
	return not_supported(o, &e);
}

/* --- the exchange ---------------------------------------------------------------------------- */
static enum s3_verdict judge_good(struct s3_op *o)
{
	switch (o->question) {
	case S3_BEGIN_PARTS:
		return take_upload(o);
	case S3_SEND_PART:
		return take_part(o);
	case S3_END_PARTS:
		return take_end(o);
	case S3_ABORT_UPLOAD:
		return upload_aborted(o);
	case S3_ABORT_PARTS:
	case S3_ASK:
	case S3_ASK_SIZE:
	case S3_ASK_BODY:
		break;
	}
	if (o->question == S3_ASK_SIZE || o->op->verb == BUCKET_HEAD)
		return take_size(o);
	if (o->question == S3_ASK_BODY)
		return compare(o);
	if (o->op->verb == BUCKET_GET)
		return take_body(o);
	if (o->op->verb == BUCKET_LIST)
		return take_page(o);
	if (o->op->verb == BUCKET_ABORT_UPLOADS)
		return take_uploads(o);
	return end(o, OK, "%s", "");
}

/* The store's clock, to the second. */
static void look_at_clock(struct s3_op *o)
{
	int64_t theirs_ms;

	if (o->exchange.outcome != S3_ANSWERED || !parse_date(o->exchange.date, &theirs_ms))
		return;
	o->bucket->facts.has_clock = true;
	o->bucket->facts.clock_ahead_ms = theirs_ms + 500 - clock_wall_ms();
}

enum s3_verdict s3_judge(struct s3_op *o)
{
	const struct s3_exchange *x = &o->exchange;
	const char *host = o->bucket->config.host;

	look_at_clock(o);
	if (o->question == S3_ABORT_PARTS) /* however it went: there is nothing else to be done */
		return end(o, OK, "%s", "");
	switch (x->outcome) {
	case S3_ANSWERED:
		return x->status >= 200 && x->status <= 206 ? judge_good(o) : judge_error(o);
	case S3_NOT_SENT:
		if (x->is_untrusted)
			return end(o, ERR_DENIED,
				   "mend the certificate or set AWS_CA_BUNDLE: %.60s", x->trouble);
		return again(o, ERR_UNAVAILABLE, "no connection to %.40s: %.90s", host, x->trouble);
	case S3_INTERRUPTED:
		o->is_unclear |= s3_has_effect(o);
		return again(o, x->timed_out ? ERR_TIMEOUT : ERR_UNAVAILABLE,
			     "the connection to %.40s failed: %.60s", host, x->trouble);
	case S3_REFUSED:
		if (o->question == S3_ASK_BODY)
			return end(o, ERR_CONFLICT, "other contents are stored under %.*s",
				   SLICE_ARG(o->op->key));
		return end(o, ERR_UNSUPPORTED, "the store's answer is longer than was asked for");
	}
	abort();
}
