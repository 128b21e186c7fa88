#include "server/usage.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/control_role.h"
#include "streams/catalog/usage.h"

static json_t *sum_json(const struct usage_sum *sum)
{
	const struct meter *m = &sum->meter;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"since_ms", (json_int_t)sum->since_ms, "updated_ms", (json_int_t)sum->updated_ms,
		"put", (json_int_t)m->requests[METER_PUT], "put_new",
		(json_int_t)m->requests[METER_PUT_NEW], "part", (json_int_t)m->requests[METER_PART],
		"get", (json_int_t)m->requests[METER_GET], "head",
		(json_int_t)m->requests[METER_HEAD], "list", (json_int_t)m->requests[METER_LIST],
		"delete", (json_int_t)m->requests[METER_DELETE], "errors", (json_int_t)m->errors,
		"sent_bytes", (json_int_t)m->sent_bytes, "received_bytes",
		(json_int_t)m->received_bytes, "produced_bytes",
		(json_int_t)sum->traffic.produced_bytes, "fetched_bytes",
		(json_int_t)sum->traffic.fetched_bytes, "control_bytes",
		(json_int_t)sum->traffic.control_bytes);
}

static bool is_same(const struct usage_sum *a, const struct usage_sum *b)
{
	return slice_equal(a->bucket, b->bucket) && slice_equal(a->purpose, b->purpose);
}

/* Every bucket there ever was, and what of it is of this month. */
static json_t *buckets_json(struct arena *a, struct cell *cell, int64_t month)
{
	struct usage_sum *all, *now;
	size_t all_count, now_count, k = 0;
	json_t *buckets = json_array();

	usage_sums(a, cell, 0, &all, &all_count);
	usage_sums(a, cell, month, &now, &now_count);
	for (size_t i = 0; i < all_count; i++) {
		bool is_now = k < now_count && is_same(&all[i], &now[k]); /* both by name */
		json_t *this_month = is_now ? sum_json(&now[k++]) : json_null();
		json_array_append_new(buckets, json_pack("{s:s%, s:s%, s:o, s:o}", "bucket",
							 all[i].bucket.data, all[i].bucket.size,
							 "purpose", all[i].purpose.data,
							 all[i].purpose.size, "this_month",
							 this_month, "in_all", sum_json(&all[i])));
	}
	return buckets;
}

static json_t *stored_json(struct cell *cell)
{
	struct usage_stored stored;

	usage_stored(cell, &stored);
	return json_pack("{s:I, s:I, s:I, s:I}", "files", (json_int_t)stored.files, "bytes",
			 (json_int_t)stored.bytes, "catalog_bytes",
			 (json_int_t)cell_image_bytes(cell), "partitions",
			 (json_int_t)stored.partitions);
}

static json_t *journal_json(const struct control *c)
{
	json_t *names = json_array();

	for (int i = 0; i < c->buckets.count; i++) {
		char name[METER_NAME_BYTES_MAX];
		bucket_meter_name(c->buckets.list[i], name);
		json_array_append_new(names, json_string(name));
	}
	return names;
}

json_t *usage_json(struct control *c)
{
	int64_t now_ms = clock_wall_ms(), month = usage_month(now_ms);
	bool is_leading = leader_state(c->leadership.leader) == LEADER_LEADING;
	struct cell *cell = is_leading ? leader_cell(c->leadership.leader) : NULL;
	char text[16], id[23];
	struct arena a;

	arena_init(&a);
	uuid_text(id, c->cluster.cluster.id);
	snprintf(text, sizeof(text), "%04d-%02d", (int)(month / 100), (int)(month % 100));
	json_t *usage =
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:o, s:o}", "cluster", id, "node",
			  c->node, "state", cell ? "leading" : "standby", "leader",
			  cell ? c->node : c->leadership.holder, "now_ms", (json_int_t)now_ms,
			  "month", text, "journal_buckets", journal_json(c), "buckets",
			  cell ? buckets_json(&a, cell, month) : json_null(), "stored",
			  cell ? stored_json(cell) : json_null());
	arena_done(&a);
	return usage;
}
