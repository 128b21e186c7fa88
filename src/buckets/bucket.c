#include "buckets/bucket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "buckets/kinds.h"

static bool is_key_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool is_key_part(struct slice part)
{
	if (part.size == 0 || part.size > BUCKET_PART_BYTES_MAX)
		return false;
	for (size_t i = 0; i < part.size; i++)
		if (!is_key_byte(part.data[i]))
			return false;
	return !slice_equal(part, SLICE(".")) && !slice_equal(part, SLICE(".."));
}

/* Are all parts of a key right; the last one only as far as it goes? */
static bool is_prefix(struct slice key)
{
	size_t from = 0;

	if (key.size > BUCKET_KEY_BYTES_MAX)
		return false;
	for (size_t i = 0; i < key.size; i++) {
		if (key.data[i] == '/') {
			if (!is_key_part(slice_part(key, from, i - from)))
				return false;
			from = i + 1;
		} else if (!is_key_byte(key.data[i])) {
			return false;
		}
	}
	return key.size - from <= BUCKET_PART_BYTES_MAX;
}

enum err bucket_check_key(struct slice key)
{
	size_t last = key.size;

	while (last > 0 && key.data[last - 1] != '/')
		last--;
	return is_prefix(key) && is_key_part(slice_part(key, last, key.size)) ? OK : ERR_INVALID;
}

/* --- operations ------------------------------------------------------------------------------ */
/* Put and put_new: what the kinds need not check. */
static enum err check_body(const struct bucket_op *op, const char **ret_why)
{
	uint64_t size = 0;

	*ret_why = "the object is larger than a bucket takes";
	if (op->piece_count > BUCKET_PIECES_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < op->piece_count; i++) {
		size += op->pieces[i].size;
		if (op->pieces[i].size > BUCKET_OBJECT_BYTES_MAX || size > BUCKET_OBJECT_BYTES_MAX)
			return ERR_TOO_BIG;
	}
	*ret_why = "this bucket is not trusted with create-if-absent (class raw)";
	return op->verb == BUCKET_PUT_NEW && op->bucket->class == BUCKET_RAW ? ERR_UNSUPPORTED : OK;
}

static enum err check_op(const struct bucket_op *op, const char **ret_why)
{
	*ret_why = "not a key: parts of [a-zA-Z0-9._-] between slashes";
	if (op->verb == BUCKET_LIST || op->verb == BUCKET_ABORT_UPLOADS)
		return is_prefix(op->key) && op->after.size <= BUCKET_KEY_BYTES_MAX ? OK
										    : ERR_INVALID;
	if (bucket_check_key(op->key) != OK)
		return ERR_INVALID;
	if (op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW)
		return check_body(op, ret_why);
	return OK;
}

/* Nothing calls back inside the call: a refusal is a task too. */
static enum step refused_step(struct task *t)
{
	const char *why = "";
	enum err err = check_op(CONTAINER(t, struct bucket_op, task), &why);

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	return task_fail(t, err, "%s", why);
}

static const struct task_kind refused_kind = {
	.name = "refused bucket operation",
	.step = refused_step,
};

static enum step nothing_step(struct task *t)
{
	return task_done(t, task_is_canceled(t) ? ERR_CANCELED : OK);
}

static const struct task_kind nothing_kind = { .name = "no uploads", .step = nothing_step };

/* Of uploads only the storage itself knows. */
static const struct task_kind *kind_of(struct bucket_op *op)
{
	if (op->verb != BUCKET_ABORT_UPLOADS)
		return op->bucket->kind->op;
	while (op->bucket->inner)
		op->bucket = op->bucket->inner;
	return op->bucket->kind->has_uploads ? op->bucket->kind->op : &nothing_kind;
}

static void start(struct bucket_op *op, struct task *parent)
{
	const char *why;
	bool is_right = check_op(op, &why) == OK;

	op->since_us = clock_now_us();
	task_start(&op->task, is_right ? kind_of(op) : &refused_kind, parent);
}

void bucket_put(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		struct slice body)
{
	*op = (struct bucket_op) { .bucket = b, .verb = BUCKET_PUT, .key = key, .piece = body };
	op->pieces = &op->piece;
	op->piece_count = 1;
	start(op, parent);
}

void bucket_put_pieces(struct bucket_op *op, struct task *parent, struct bucket *b,
		       struct slice key, const struct slice *pieces, size_t piece_count)
{
	*op = (struct bucket_op) { .bucket = b,
				   .verb = BUCKET_PUT,
				   .key = key,
				   .pieces = pieces,
				   .piece_count = piece_count };
	start(op, parent);
}

void bucket_put_new(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		    struct slice body)
{
	*op = (struct bucket_op) { .bucket = b, .verb = BUCKET_PUT_NEW, .key = key, .piece = body };
	op->pieces = &op->piece;
	op->piece_count = 1;
	start(op, parent);
}

void bucket_get(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		uint64_t offset, uint64_t size_max)
{
	*op = (struct bucket_op) {
		.bucket = b, .verb = BUCKET_GET, .key = key, .offset = offset, .size_max = size_max
	};
	start(op, parent);
}

void bucket_head(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key)
{
	*op = (struct bucket_op) { .bucket = b, .verb = BUCKET_HEAD, .key = key };
	start(op, parent);
}

void bucket_list(struct bucket_op *op, struct task *parent, struct bucket *b, struct arena *a,
		 struct slice prefix, struct slice after)
{
	*op = (struct bucket_op) {
		.bucket = b, .verb = BUCKET_LIST, .key = prefix, .after = after, .arena = a
	};
	start(op, parent);
}

void bucket_delete(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key)
{
	*op = (struct bucket_op) { .bucket = b, .verb = BUCKET_DELETE, .key = key };
	start(op, parent);
}

void bucket_abort_uploads(struct bucket_op *op, struct task *parent, struct bucket *b,
			  struct slice prefix, uint64_t age_ms)
{
	*op = (struct bucket_op) {
		.bucket = b, .verb = BUCKET_ABORT_UPLOADS, .key = prefix, .age_ms = age_ms
	};
	start(op, parent);
}

void bucket_start_like(struct bucket_op *op, struct task *parent, struct bucket *b,
		       const struct bucket_op *like)
{
	*op = (struct bucket_op) {
		.bucket = b,
		.verb = like->verb,
		.key = like->key,
		.pieces = like->pieces,
		.piece_count = like->piece_count,
		.offset = like->offset,
		.size_max = like->size_max,
		.after = like->after,
		.age_ms = like->age_ms,
		.arena = like->arena,
		.part_bytes = like->part_bytes,
		.hold_ms = like->hold_ms,
	};
	start(op, parent);
}

/* --- opening --------------------------------------------------------------------------------- */
static const struct scheme {
	const char *name;
	enum err (*open)(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES]);
} schemes[] = {
	{ "file:", directory_bucket_open },
	{ "memory:", memory_bucket_open },
	{ "s3:", s3_bucket_open },
	{ "fault:", fault_bucket_open },
};

enum err bucket_open(const char *url, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	struct bucket_url u;
	enum err err;

	if (strlen(url) >= sizeof((*ret)->url)) {
		snprintf(why, TASK_WHY_BYTES, "the bucket's URL is longer than %zu bytes",
			 sizeof((*ret)->url) - 1);
		return ERR_TOO_BIG;
	}
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t size = strlen(schemes[i].name);

		if (strncmp(url, schemes[i].name, size) != 0)
			continue;
		err = bucket_url_parse(&u, url, size, why);
		if (err)
			return err;
		err = schemes[i].open(&u, ret, why);
		if (!err)
			snprintf((*ret)->url, sizeof((*ret)->url), "%s", url);
		return err;
	}
	snprintf(why, TASK_WHY_BYTES, "\"%.60s\" is no bucket: write file:DIRECTORY or s3://NAME",
		 url);
	return ERR_INVALID;
}

void bucket_look(const struct bucket *b, struct bucket_facts *ret)
{
	*ret = (struct bucket_facts) { 0 };
	while (b->inner)
		b = b->inner;
	if (b->kind->look)
		b->kind->look(b, ret);
}

void bucket_set_class(struct bucket *b, enum bucket_class class)
{
	for (; b; b = b->inner)
		b->class = class;
}

bool bucket_is_far(const struct bucket *b)
{
	for (; b; b = b->inner)
		if (b->is_far)
			return true;
	return false;
}

void bucket_close(struct bucket *b)
{
	b->kind->close(b);
}
