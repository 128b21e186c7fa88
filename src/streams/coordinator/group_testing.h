/* What the tests of the group engine share: a group, calls with names, and what was answered as
 * lines of text. */
#ifndef STREAMS_COORDINATOR_GROUP_TESTING_H
#define STREAMS_COORDINATOR_GROUP_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams/coordinator/group.h"
#include "wire/kafka/errors.h"

struct lab {
	struct group group;
	struct group_effects effects;
	struct buf trace; /* since it was last taken */
	uint64_t now_ms;
};

static inline struct slice null_or(const char *text)
{
	return text ? slice_from(text) : (struct slice) { 0 };
}

static inline void trace_members(struct lab *lab, const struct group *g)
{
	const char *separator = " members ";

	LIST_EACH (&g->members, struct group_member, link, m) {
		buf_add_format(&lab->trace, "%s%.*s(%.*s)", separator, SLICE_ARG(m->member_id),
			       SLICE_ARG(group_member_metadata(g, m)));
		separator = " ";
	}
}

static inline void on_lab_answer(struct group_effects *effects, const struct group *g,
				 const struct group_answer *answer)
{
	struct lab *lab = CONTAINER(effects, struct lab, effects);

	buf_add_format(&lab->trace, "%s: ", (const char *)answer->call);
	if (answer->error) {
		buf_add_format(&lab->trace, "%s %s", answer->is_join ? "join" : "sync",
			       kafka_error_name(answer->error));
		if (answer->member_id.size > 0)
			buf_add_format(&lab->trace, " for %.*s", SLICE_ARG(answer->member_id));
	} else if (answer->is_join) {
		buf_add_format(&lab->trace, "%.*s joins %d %.*s led by %.*s",
			       SLICE_ARG(answer->member_id), answer->generation,
			       SLICE_ARG(answer->protocol), SLICE_ARG(answer->leader));
		if (answer->has_members)
			trace_members(lab, g);
		if (answer->skip_assignment)
			buf_add_text(&lab->trace, " skips");
	} else {
		buf_add_format(&lab->trace, "%.*s has %d '%.*s'", SLICE_ARG(answer->member_id),
			       answer->generation, SLICE_ARG(answer->assignment));
	}
	buf_add_text(&lab->trace, "\n");
}

static inline void lab_open_with(struct lab *lab, uint64_t delay_ms, size_t members_max)
{
	struct group_config config = { .initial_delay_ms = delay_ms, .members_max = members_max };

	*lab = (struct lab) { .now_ms = 1000 };
	lab->effects.answer = on_lab_answer;
	buf_init(&lab->trace);
	group_init(&lab->group, SLICE("g"), &config);
}

static inline void lab_open(struct lab *lab)
{
	lab_open_with(lab, 0, 10);
}

static inline void lab_close(struct lab *lab)
{
	group_done(&lab->group);
	buf_done(&lab->trace);
}

/* What was answered since the last time is exactly this. */
static inline void expect(struct lab *lab, const char *text)
{
	buf_add_u8(&lab->trace, 0);
	assert_string_equal((const char *)lab->trace.data, text);
	buf_clear(&lab->trace);
}

static inline int16_t lab_step(struct lab *lab, struct group_event *event)
{
	event->now_ms = lab->now_ms;
	group_step(&lab->group, event, &lab->effects);
	return event->error;
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct joiner {
	const char *call;
	const char *member_id;	 /* NULL: none yet */
	const char *instance_id; /* NULL: dynamic */
	const char *new_id;
	const char *protocols; /* "range=topics,sticky=topics"; NULL: "range=" the new id */
	const char *type;      /* NULL: "consumer" */
	int version;	       /* 0: 3, which joins in one step */
	int32_t session_ms, rebalance_ms;
};

static inline void add_protocols(struct buf *out, struct slice list)
{
	while (list.size > 0) {
		const uint8_t *comma = memchr(list.data, ',', list.size);
		size_t size = comma ? (size_t)(comma - list.data) : list.size;
		struct slice one = slice_part(list, 0, size);
		const uint8_t *equals = memchr(one.data, '=', one.size);
		assert_non_null(equals);
		size_t name_size = (size_t)(equals - one.data);
		group_protocol_add(out, slice_part(one, 0, name_size),
				   slice_part(one, name_size + 1, one.size));
		list = slice_part(list, size + (comma ? 1 : 0), list.size);
	}
}

static inline void lab_join(struct lab *lab, struct joiner j)
{
	struct buf protocols;
	int version = j.version ? j.version : 3;

	buf_init(&protocols);
	add_protocols(&protocols, slice_from(j.protocols ? j.protocols : "range=t"));
	struct group_event event = {
		.kind = GROUP_JOIN,
		.call = (void *)(uintptr_t)j.call,
		.member_id = slice_from(j.member_id ? j.member_id : ""),
		.instance_id = null_or(j.instance_id),
		.join = {
			.needs_known_id = version >= 4,
			.can_skip_assignment = version >= 9,
			.new_member_id = slice_from(j.new_id ? j.new_id : "never"),
			.client_id = SLICE("client"),
			.client_host = SLICE("/127.0.0.1"),
			.session_timeout_ms = j.session_ms ? j.session_ms : 10000,
			.rebalance_timeout_ms = j.rebalance_ms ? j.rebalance_ms : 60000,
			.protocol_type = slice_from(j.type ? j.type : "consumer"),
			.protocols = buf_slice(&protocols),
		},
	};
	lab_step(lab, &event);
	buf_done(&protocols);
}

/* `assignments` is "member=bytes,..." or NULL. */
static inline void lab_sync_as(struct lab *lab, const char *call, const char *member_id,
			       const char *instance_id, int32_t generation, const char *assignments)
{
	struct group_assignment list[20];
	size_t count = 0;
	struct slice rest = slice_from(assignments ? assignments : "");

	while (rest.size > 0) {
		const uint8_t *comma = memchr(rest.data, ',', rest.size);
		size_t size = comma ? (size_t)(comma - rest.data) : rest.size;
		const uint8_t *equals = memchr(rest.data, '=', size);
		assert_non_null(equals);
		size_t name_size = (size_t)(equals - rest.data);
		list[count++] = (struct group_assignment) {
			slice_part(rest, 0, name_size),
			slice_part(rest, name_size + 1, size - name_size - 1),
		};
		rest = slice_part(rest, size + (comma ? 1 : 0), rest.size);
	}
	struct group_event event = {
		.kind = GROUP_SYNC,
		.call = (void *)(uintptr_t)call,
		.member_id = slice_from(member_id),
		.instance_id = null_or(instance_id),
		.generation = generation,
		.sync = { .assignments = list, .assignment_count = count },
	};
	lab_step(lab, &event);
}

static inline void lab_sync(struct lab *lab, const char *call, const char *member_id,
			    int32_t generation, const char *assignments)
{
	lab_sync_as(lab, call, member_id, NULL, generation, assignments);
}

static inline int16_t lab_beat_as(struct lab *lab, const char *member_id, const char *instance_id,
				  int32_t generation)
{
	struct group_event event = {
		.kind = GROUP_HEARTBEAT,
		.member_id = slice_from(member_id),
		.instance_id = null_or(instance_id),
		.generation = generation,
	};

	return lab_step(lab, &event);
}

static inline int16_t lab_beat(struct lab *lab, const char *member_id, int32_t generation)
{
	return lab_beat_as(lab, member_id, NULL, generation);
}

static inline int16_t lab_commit(struct lab *lab, const char *member_id, const char *instance_id,
				 int32_t generation)
{
	struct group_event event = {
		.kind = GROUP_COMMIT,
		.member_id = slice_from(member_id),
		.instance_id = null_or(instance_id),
		.generation = generation,
	};

	return lab_step(lab, &event);
}

static inline int16_t lab_leave(struct lab *lab, const char *member_id, const char *instance_id)
{
	struct group_leaver leaver = { slice_from(member_id), null_or(instance_id), -1 };
	struct group_event event = {
		.kind = GROUP_LEAVE,
		.leave = { .leavers = &leaver, .count = 1 },
	};

	lab_step(lab, &event);
	return leaver.error;
}

static inline void lab_forget(struct lab *lab, const char *call)
{
	struct group_event event = { .kind = GROUP_FORGET, .call = (void *)(uintptr_t)call };

	lab_step(lab, &event);
}

/* Time goes by, with a tick at every deadline on the way. */
static inline void lab_wait(struct lab *lab, uint64_t ms)
{
	uint64_t until_ms = lab->now_ms + ms;

	while (group_deadline_ms(&lab->group) <= until_ms) {
		uint64_t at_ms = group_deadline_ms(&lab->group);
		struct group_event event = { .kind = GROUP_TICK };
		lab->now_ms = at_ms > lab->now_ms ? at_ms : lab->now_ms;
		lab_step(lab, &event);
		assert_true(group_deadline_ms(&lab->group) > lab->now_ms);
	}
	lab->now_ms = until_ms;
}

static inline void expect_state(const struct lab *lab, enum group_state state, size_t members,
				int32_t generation)
{
	assert_string_equal(group_state_name(lab->group.state), group_state_name(state));
	assert_int_equal(lab->group.member_count, members);
	assert_int_equal(lab->group.generation, generation);
}

#endif
