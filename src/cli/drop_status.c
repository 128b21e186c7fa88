/* hanse drop status: the inbox of this machine, its room, and what waits for receivers. */
#include <string.h>

#include "base/clock.h"
#include "cli/drop_client.h"
#include "cli/mesh.h"
#include "cli/output.h"
#include "cli/table.h"

enum { DAY_MS = 86400 * 1000, HOUR_MS = 3600 * 1000, MINUTE_MS = 60 * 1000 };

static int64_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static struct slice size_text(struct arena *a, const json_t *object, const char *name)
{
	char text[32];

	drop_size_text((uint64_t)number(object, name), text);
	return arena_copy(a, slice_from(text));
}

/* "3 days", "2 hours", "5 minutes" */
static struct slice duration_text(struct arena *a, int64_t ms)
{
	const char *unit = "minutes";
	int64_t count = ms / MINUTE_MS;

	if (ms >= 2LL * DAY_MS) {
		count = ms / DAY_MS;
		unit = "days";
	} else if (ms >= 2LL * HOUR_MS) {
		count = ms / HOUR_MS;
		unit = "hours";
	}
	return slice_from(arena_format(a, "%lld %s", (long long)(count > 0 ? count : 0), unit));
}

static void print_inbox(struct arena *a, const json_t *items)
{
	static const char *const headings[] = { "FILE", "FROM", "SIZE", "STAYS", NULL };
	struct table t;

	table_init(&t, a, headings);
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		table_add_text(&t, mesh_text(a, item, "name"));
		table_add_text(&t, mesh_text(a, item, "from"));
		table_add_text(&t, size_text(a, item, "size"));
		table_add_text(&t, duration_text(a, number(item, "expires_ms") - clock_wall_ms()));
	}
	table_print(&t, stdout);
	table_done(&t);
	puts("");
}

void drop_print_queue(struct arena *a, const json_t *items)
{
	static const char *const headings[] = { "ID", "FILE", "TO", "SIZE", "SENT", "WHY", NULL };
	struct table t;

	table_init(&t, a, headings);
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		table_add_text(&t, mesh_text(a, item, "id"));
		table_add_text(&t, mesh_text(a, item, "name"));
		table_add_text(&t, mesh_text(a, item, "to"));
		table_add_text(&t, size_text(a, item, "size"));
		table_add_text(&t, size_text(a, item, "sent"));
		table_add_text(&t, mesh_text(a, item, "why"));
	}
	table_print(&t, stdout);
	table_done(&t);
}

static void add_row(struct table *t, const char *name, struct slice value)
{
	table_add_text(t, slice_from(name));
	table_add_text(t, value);
}

static void print_usage(struct arena *a, const json_t *usage)
{
	struct table t;

	table_init(&t, a, NULL);
	add_row(&t, "in the inbox", size_text(a, usage, "bytes"));
	add_row(&t, "not complete yet", size_text(a, usage, "incomplete_bytes"));
	add_row(&t, "room for all", size_text(a, usage, "quota_bytes"));
	add_row(&t, "room for one sender", size_text(a, usage, "sender_quota_bytes"));
	add_row(&t, "free on the disk", size_text(a, usage, "free_bytes"));
	add_row(&t, "of which stays free", size_text(a, usage, "reserve_bytes"));
	add_row(&t, "files stay for", duration_text(a, number(usage, "keep_ms")));
	table_print(&t, stdout);
	table_done(&t);
}

static void print(const json_t *inbox, const json_t *queue)
{
	const json_t *waiting = json_object_get(queue, "items");
	const json_t *items = json_object_get(inbox, "items");
	struct arena a;

	arena_init(&a);
	if (json_array_size(items) > 0)
		print_inbox(&a, items);
	print_usage(&a, json_object_get(inbox, "usage"));
	if (json_array_size(waiting) > 0) {
		puts("");
		drop_print_queue(&a, waiting);
	}
	arena_done(&a);
}

enum command_status drop_status_run(const struct command_line *l)
{
	json_t *inbox = NULL, *queue = NULL;
	enum command_status status = drop_get_json(l, "/v1/inbox", &inbox);

	if (!status)
		status = drop_get_json(l, "/v1/queue", &queue);
	if (!status && command_line_has(l, FLAG_JSON))
		return output_json(json_pack("{s:o, s:o}", "inbox", inbox, "queue", queue));
	if (!status)
		print(inbox, queue);
	json_decref(inbox);
	json_decref(queue);
	return status;
}
