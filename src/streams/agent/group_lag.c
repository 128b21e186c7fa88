/* Groups come one after the other, each with its offsets by topic.  A partition whose offset was
 * committed is behind by what is between that and its high watermark; one without an offset is
 * not counted.  What was found is kept, and told again until enough time has passed since it was
 * looked for. */
#include "streams/agent/group_lag.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "base/hash.h"
#include "streams/agent/agent_numbers.h"
#include "streams/catalog/catalog.h"

/* Which of how many agents this one is. */
struct share {
	uint64_t number, count;
};

static struct share find_share(struct agent *agent, struct cell *cell)
{
	struct share share = { 0, 0 };
	struct catalog_agent *agents;
	size_t count;
	struct arena a;

	arena_init(&a);
	if (catalog_agents(&a, cell, &agents, &count))
		count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!agents[i].is_live)
			continue;
		share.number += agents[i].node_id < agent->node_id;
		share.count++;
	}
	arena_done(&a);
	if (share.number >= share.count)
		return (struct share) { 0, 1 }; /* it is not on the roll, or nobody is */
	return share;
}

static bool is_ours(const struct share *share, struct slice group)
{
	return hash_content(group).low % share->count == share->number;
}

/* One group and topic. */
struct sum {
	int64_t group, topic; /* rows */
	uint64_t records;
	bool is_told;
	char group_name[METRIC_LABEL_BYTES_MAX];
	size_t group_size;
	char topic_name[NUMBERS_TOPIC_NAME_BYTES];
};

struct walk {
	struct exposition *e;
	struct share share;
	struct sum sum;
	uint64_t other;
	size_t series, rows;
};

static void end_sum(struct walk *w)
{
	struct sum *s = &w->sum;

	if (s->group == 0)
		return;
	if (!s->is_told || w->series == GROUP_LAG_SERIES_MAX) {
		w->other += s->records;
	} else {
		w->series++;
		exposition_add(w->e, s->records,
			       LABELS({ "group", { (uint8_t *)s->group_name, s->group_size } },
				      { "topic", slice_from(s->topic_name) }));
	}
	s->group = 0;
}

static void begin_sum(struct walk *w, sqlite3_stmt *st, struct slice group)
{
	struct slice topic = cell_column_text(st, 3);
	struct sum *s = &w->sum;

	end_sum(w);
	*s = (struct sum) { .group = sqlite3_column_int64(st, 0),
			    .topic = sqlite3_column_int64(st, 2) };
	s->is_told = metric_label_is_exact(group) && group.size > 0 &&
		     group.size <= sizeof(s->group_name) && topic.size < sizeof(s->topic_name);
	if (!s->is_told)
		return;
	memcpy(s->group_name, group.data, group.size);
	s->group_size = group.size;
	memcpy(s->topic_name, topic.data, topic.size);
}

static void walk(struct walk *w, struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT g.id, g.name, o.topic, t.name,"
		      " max(0, p.high_watermark - max(o.committed_offset, p.log_start_offset))"
		      " FROM consumer_group g CROSS JOIN group_offset o ON o.consumer_group = g.id"
		      " CROSS JOIN topic t ON t.id = o.topic AND t.deleted_ms IS NULL"
		      " CROSS JOIN partition p ON p.topic = o.topic AND p.number = o.partition"
		      " WHERE g.deleted_ms IS NULL");

	while (w->rows < GROUP_LAG_ROWS_MAX && cell_next(cell, st)) {
		struct slice group = cell_column_text(st, 1);

		w->rows++;
		if (!is_ours(&w->share, group))
			continue;
		if (w->sum.group != sqlite3_column_int64(st, 0) ||
		    w->sum.topic != sqlite3_column_int64(st, 2))
			begin_sum(w, st, group);
		w->sum.records += (uint64_t)sqlite3_column_int64(st, 4);
	}
	sqlite3_reset(st);
	end_sum(w);
}

static const struct metric_row lag = {
	"hanse_consumer_group_lag_records", METRIC_GAUGE,
	"Records behind the offsets a group has committed, by topic; of this node's share of the "
	"groups.",
	NULL
};
static const struct metric_row lag_other = {
	"hanse_consumer_group_lag_other_records", METRIC_GAUGE,
	"The same of groups and topics above the limit of series.", NULL
};
static const struct metric_row lag_whole = {
	"hanse_consumer_group_lag_complete", METRIC_GAUGE,
	"Whether the lag is of all offsets (1), or of the first ones up to a limit (0).", NULL
};

static void look(struct agent *agent, struct cell *cell, struct exposition *e)
{
	struct walk w = { .e = e, .share = find_share(agent, cell) };

	exposition_family(e, &lag);
	walk(&w, cell);
	exposition_one(e, &lag_other, w.other);
	exposition_one(e, &lag_whole, w.rows < GROUP_LAG_ROWS_MAX);
}

void group_lag_write(struct agent *agent, struct exposition *e)
{
	struct agent_numbers *n = agent->numbers;
	struct cell *cell = replica_cell(agent->replica);
	uint64_t now_us = clock_now_us();
	struct exposition kept;

	if (!cell)
		return;
	if (now_us >= n->lag_again_us) { /* gauges: the same in both formats */
		buf_clear(&n->lag);
		exposition_init(&kept, e->format, &n->lag);
		look(agent, cell, &kept);
		n->lag_again_us = now_us + GROUP_LAG_SHARE * (clock_now_us() - now_us);
	}
	buf_add_slice(e->out, buf_slice(&n->lag));
}
