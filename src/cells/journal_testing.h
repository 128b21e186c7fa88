/* A bench for trace tests of the journal engine: what it wants done, in order, is the test.
 *
 * Traces leave out "v1/j/main/", the nonces (always 7) and leading zeros: "put 0 e/2/#1" is record
 * 1 of epoch 2 on bucket 0, "e/2/c#1" a copy of it, "epoch/2!" a mark of class cas.  What is
 * answered is named by the line that asked for it. */
#ifndef CELLS_JOURNAL_TESTING_H
#define CELLS_JOURNAL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"
#include "cells/journal_format.h"

enum { PENDING_MAX = 256, LINE_BYTES = 256 };

struct bench {
	struct journal *journal;
	uint64_t now_ms;
	struct buf trace;
	struct {
		char line[LINE_BYTES]; /* "" free */
		uint64_t op;
		struct blob *body;
	} pending[PENDING_MAX];
};

static inline void bench_init_class(struct bench *b, unsigned buckets, enum journal_class class)
{
	struct journal_config config = { .name = "main", .bucket_count = buckets };

	for (unsigned k = 0; k < buckets; k++)
		config.classes[k] = class;
	memset(b, 0, sizeof(*b));
	b->now_ms = 1000000;
	b->journal = journal_new(&config);
	buf_init(&b->trace);
}

static inline void bench_init(struct bench *b, unsigned buckets)
{
	bench_init_class(b, buckets, JOURNAL_RAW);
}

static inline void bench_done(struct bench *b)
{
	for (size_t i = 0; i < PENDING_MAX; i++)
		blob_unref(&b->pending[i].body);
	buf_done(&b->trace);
	journal_free(b->journal);
}

/* --- short names ------------------------------------------------------------------------------ */
static inline void shorten(const char *key, char *ret)
{
	struct journal_name name;

	if (strcmp(key, "") == 0) {
		snprintf(ret, LINE_BYTES, "-");
	} else if (!journal_key_parse(slice_from(key), "main", &name)) {
		unsigned long counter = 0;
		if (sscanf(key, "v1/j/main/e/%16lx", &counter) == 1)
			snprintf(ret, LINE_BYTES, "e/%lu/%s", counter,
				 strstr(key, "/at/") ? "at/" : "");
		else
			snprintf(ret, LINE_BYTES, "%s", key + strlen("v1/j/main/"));
	} else if (name.kind == JOURNAL_OBJECT_MARK) {
		snprintf(ret, LINE_BYTES, "epoch/%d%s", (int)name.epoch.counter,
			 name.class == JOURNAL_CAS ? "!" : "");
	} else if (name.kind == JOURNAL_OBJECT_RECORD) {
		snprintf(ret, LINE_BYTES, "e/%d/%s#%d", (int)name.epoch.counter,
			 name.is_copy ? "c" : "", (int)name.sequence);
	} else if (name.kind == JOURNAL_OBJECT_FLOOR) {
		snprintf(ret, LINE_BYTES, "e/%d/at/%d", (int)name.epoch.counter,
			 (int)name.sequence);
	} else {
		snprintf(ret, LINE_BYTES, "e/%d/%s", (int)name.epoch.counter,
			 name.kind == JOURNAL_OBJECT_FENCE ? "fence" : "s");
	}
}

static inline void lengthen(const char *text, char *ret)
{
	struct epoch e = { 0, 7 };
	unsigned long counter, sequence;

	if (sscanf(text, "epoch/%lu", &counter) == 1) {
		e.counter = counter;
		journal_key_mark(ret, "main", e, strchr(text, '!') ? JOURNAL_CAS : JOURNAL_RAW);
	} else if (sscanf(text, "e/%lu/#%lu", &counter, &sequence) == 2) {
		e.counter = counter;
		journal_key_record(ret, "main", e, sequence);
	} else if (sscanf(text, "e/%lu/c#%lu", &counter, &sequence) == 2) {
		e.counter = counter;
		journal_key_copy(ret, "main", e, sequence);
	} else if (sscanf(text, "e/%lu/at/%lu", &counter, &sequence) == 2) {
		e.counter = counter;
		journal_key_floor(ret, "main", e, sequence);
	} else {
		assert_int_equal(sscanf(text, "e/%lu/", &counter), 1);
		e.counter = counter;
		if (strstr(text, "fence"))
			journal_key_fence(ret, "main", e);
		else
			journal_key_start(ret, "main", e);
	}
}

/* --- events in, trace out --------------------------------------------------------------------- */
static inline void note_io(struct bench *b, const struct journal_effect *e)
{
	static const char *const verbs[] = { "put", "put new", "get", "list", "delete" };
	char key[LINE_BYTES], after[LINE_BYTES], line[LINE_BYTES];
	size_t i = 0;

	shorten(e->key, key);
	shorten(e->after, after);
	snprintf(line, sizeof(line), "%s %u %.100s%s%.100s", verbs[e->kind], e->bucket, key,
		 e->after[0] ? " after " : "", e->after[0] ? after : "");
	buf_add_format(&b->trace, "%s\n", line);
	while (b->pending[i].line[0])
		assert_true(++i < PENDING_MAX);
	memcpy(b->pending[i].line, line, sizeof(line));
	b->pending[i].op = e->op;
	b->pending[i].body = e->body ? blob_ref(e->body) : NULL;
}

static inline void note(struct bench *b, const struct journal_effect *e)
{
	switch (e->kind) {
	case JOURNAL_ADOPTED:
		buf_add_format(&b->trace, "adopted snapshot %d, log to %d\n",
			       (int)e->snapshot.index, (int)e->index);
		break;
	case JOURNAL_RECORD:
		buf_add_format(&b->trace, "record %d %.*s\n", (int)e->index, SLICE_ARG(e->payload));
		break;
	case JOURNAL_LEADS:
		buf_add_format(&b->trace, "leads %d from %d\n", (int)e->epoch.counter,
			       (int)e->index);
		break;
	case JOURNAL_COMMITTED:
		buf_add_format(&b->trace, "committed %d\n", (int)e->index);
		break;
	case JOURNAL_CHECKED:
		buf_add_format(&b->trace, "checked %d\n", (int)e->token);
		break;
	case JOURNAL_LOST:
		buf_add_format(&b->trace, "lost: %s\n", e->why);
		break;
	case JOURNAL_FAILED:
		buf_add_format(&b->trace, "failed, %s: %s\n", err_name(e->err), e->why);
		break;
	case JOURNAL_IO_PUT:
	case JOURNAL_IO_PUT_NEW:
	case JOURNAL_IO_GET:
	case JOURNAL_IO_LIST:
	case JOURNAL_IO_DELETE:
		note_io(b, e);
		break;
	}
}

static inline enum err feed(struct bench *b, struct journal_event *event)
{
	struct journal_effects fx;

	journal_effects_init(&fx);
	event->now_ms = b->now_ms;
	enum err err = journal_step(b->journal, event, &fx);
	for (size_t i = 0; i < fx.count; i++)
		note(b, &fx.items[i]);
	journal_effects_done(&fx);
	return err;
}

static inline void expect(struct bench *b, const char *trace)
{
	buf_add_u8(&b->trace, 0);
	assert_string_equal((const char *)b->trace.data, trace);
	buf_clear(&b->trace);
}

/* Everything that is written is kept by its line, so that another bench can read it. */
static inline struct blob *answer(struct bench *b, const char *line, struct journal_event *event)
{
	for (size_t i = 0; i < PENDING_MAX; i++) {
		if (strcmp(b->pending[i].line, line) != 0)
			continue;
		struct blob *body = b->pending[i].body;
		b->pending[i].line[0] = '\0';
		b->pending[i].body = NULL;
		event->kind = JOURNAL_DONE;
		event->done.op = b->pending[i].op;
		assert_int_equal(feed(b, event), OK);
		return body;
	}
	print_error("nobody asked: %s\n", line);
	fail();
	return NULL;
}

static inline void done(struct bench *b, const char *line, enum err err)
{
	struct journal_event event = { .done.err = err };
	struct blob *body = answer(b, line, &event);

	blob_unref(&body);
}

/* The same, and what was written. */
static inline struct blob *written(struct bench *b, const char *line)
{
	struct journal_event event = { .done.err = OK };

	return answer(b, line, &event);
}

static inline void found(struct bench *b, const char *line, struct blob *body)
{
	struct journal_event event = { .done.body = body };
	struct blob *none = answer(b, line, &event);

	blob_unref(&none);
}

/* `names` are separated by spaces. */
static inline void listed(struct bench *b, const char *line, const char *names)
{
	char keys[32][JOURNAL_KEY_BYTES], word[64];
	struct slice slices[32];
	struct journal_event event = { .done.names = slices };
	int size;

	while (sscanf(names, "%63s%n", word, &size) == 1) {
		size_t i = event.done.name_count++;
		lengthen(word, keys[i]);
		slices[i] = slice_from(keys[i]);
		names += size;
	}
	struct blob *none = answer(b, line, &event);
	blob_unref(&none);
}

/* By somebody who knows that this record was committed. */
static inline enum err campaign_knowing(struct bench *b, uint64_t index)
{
	struct journal_event event = { .kind = JOURNAL_CANDIDATE,
				       .candidate = { 7, "host:1", "n", index } };

	return feed(b, &event);
}

static inline enum err campaign(struct bench *b)
{
	return campaign_knowing(b, 0);
}

static inline enum err append(struct bench *b, const char *payload)
{
	struct journal_event event = { .kind = JOURNAL_APPEND };

	event.append.payload = slice_from(payload);
	return feed(b, &event);
}

static inline enum err check(struct bench *b, uint64_t token)
{
	struct journal_event event = { .kind = JOURNAL_CHECK, .check.token = token };

	return feed(b, &event);
}

static inline enum err tick(struct bench *b)
{
	struct journal_event event = { .kind = JOURNAL_TICK };

	b->now_ms += 1000;
	return feed(b, &event);
}

static inline enum err take_snapshot(struct bench *b, uint64_t index)
{
	struct journal_event event = { .kind = JOURNAL_SNAPSHOT, .snapshot.index = index };

	return feed(b, &event);
}

/* --- ways to get somewhere -------------------------------------------------------------------- */
static inline void lead_one(struct bench *b)
{
	bench_init(b, 1);
	assert_int_equal(campaign(b), OK);
	listed(b, "list 0 epoch/", "");
	done(b, "put 0 epoch/1", OK);
	listed(b, "list 0 epoch/", "epoch/1");
	done(b, "put 0 e/1/s", OK);
	done(b, "get 0 e/1/fence", ERR_NOT_FOUND);
	buf_clear(&b->trace);
}

/* Leads three buckets, of which number 2 was not there for the election. */
static inline void lead_two_of_three(struct bench *b)
{
	bench_init(b, 3);
	assert_int_equal(campaign(b), OK);
	done(b, "list 2 epoch/", ERR_UNAVAILABLE);
	listed(b, "list 0 epoch/", "");
	listed(b, "list 1 epoch/", "");
	done(b, "put 0 epoch/1", OK);
	done(b, "put 1 epoch/1", OK);
	listed(b, "list 0 epoch/", "epoch/1");
	listed(b, "list 1 epoch/", "epoch/1");
	done(b, "put 0 e/1/s", OK);
	done(b, "put 1 e/1/s", OK);
	done(b, "get 0 e/1/fence", ERR_NOT_FOUND);
	done(b, "get 1 e/1/fence", ERR_NOT_FOUND);
	buf_clear(&b->trace);
}

/* Joins the only bucket, where epoch 1 led. */
static inline void join_after_one_knowing(struct bench *b, const char *records, uint64_t index)
{
	bench_init(b, 1);
	assert_int_equal(campaign_knowing(b, index), OK);
	listed(b, "list 0 epoch/", "epoch/1");
	done(b, "put 0 epoch/2", OK);
	listed(b, "list 0 epoch/", "epoch/1 epoch/2");
	done(b, "put 0 e/1/fence", OK);
	done(b, "get 0 e/1/s", ERR_CORRUPT); /* that it is there is enough to know */
	listed(b, "list 0 e/1/at/", "");
	listed(b, "list 0 e/1/", records);
	buf_clear(&b->trace);
}

static inline void join_after_one(struct bench *b, const char *records)
{
	join_after_one_knowing(b, records, 0);
}

static inline struct blob *start_of(uint64_t counter)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_START,
		.epoch = { counter, 7 },
		.bucket_count = 1,
		.address = SLICE("old:1"),
	};

	return journal_object_encode(&o);
}

static inline struct blob *record_of(uint64_t counter, uint64_t sequence, uint64_t committed,
				     uint64_t snapshot, const char *payload)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_RECORD,
		.epoch = { counter, 7 },
		.sequence = sequence,
		.index = sequence,
		.committed = committed,
		.snapshot.index = snapshot,
		.payload = slice_from(payload),
	};

	return journal_object_encode(&o);
}

static inline void found_and_dropped(struct bench *b, const char *line, struct blob *body)
{
	found(b, line, body);
	blob_unref(&body);
}

#endif
