/* hanse fsck: what server/restore.h finds when it looks closely, for people.  What was found goes
 * to standard output, what happens meanwhile and what is wrong to standard error. */
#include <inttypes.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/control_client.h"
#include "cli/output.h"
#include "cli/restore_buckets.h"
#include "cli/table.h"
#include "server/restore.h"
#include "wire/streams/data_file.h"

/* hanse-fsck(1) promises these. */
enum {
	FSCK_CLEAN = COMMAND_DONE,
	FSCK_WRONG = COMMAND_REFUSED,
	FSCK_IMPOSSIBLE = COMMAND_MISUSED,
};

enum { FSCK_SHOWN_MAX = 1000 };

static const char *const words[CHECK_OBJECTS] = {
	[CHECK_LIVE] = "live",	     [CHECK_DEAD] = "dead",	[CHECK_PENDING] = "pending",
	[CHECK_ORPHAN] = "orphaned", [CHECK_UNSURE] = "unsure", [CHECK_NEWER] = "newer",
};

static bool is_clean(const struct restore_report *r)
{
	return r->loss_count == 0 && r->bad_count == 0 && r->newer_count == 0 &&
	       r->unseen_count == 0 && r->flaws.count == 0;
}

/* Those of the catalog that are there. */
static int64_t live_count(const struct restore_report *r)
{
	return (int64_t)(r->survey.file_count - r->bad_count);
}

static void print_wrong(const struct restore_report *r)
{
	for (size_t i = 0; i < r->flaws.text_count; i++)
		say("%.*s", SLICE_ARG(r->flaws.texts[i]));
	if (r->flaws.count > r->flaws.text_count)
		say("and %zu more in the catalog", r->flaws.count - r->flaws.text_count);
	for (size_t i = 0; i < r->loss_count && i < FSCK_SHOWN_MAX; i++) {
		const struct restore_loss *l = &r->losses[i];
		if (l->key)
			say("%.*s-%d: offsets %" PRId64 " to %" PRId64 " are missing: %s %s",
			    SLICE_ARG(l->topic), l->partition, l->first_offset, l->last_offset,
			    l->key, l->what);
		else
			say("%.*s-%d: offsets %" PRId64 " to %" PRId64 " are missing: %s",
			    SLICE_ARG(l->topic), l->partition, l->first_offset, l->last_offset,
			    l->what);
	}
	if (r->loss_count > FSCK_SHOWN_MAX)
		say("and %zu more", r->loss_count - FSCK_SHOWN_MAX);
	if (r->unseen_count > 0)
		say("%zu more objects that the catalog does not name were not looked at",
		    r->unseen_count);
	if (r->newer_count > 0)
		say("%zu data files are of agents that the journal has never heard of: the journal "
		    "is older than it was.  Do not serve from it; see hanse-restore(1).",
		    r->newer_count);
}

static enum command_status print_text(struct arena *a, const struct restore_report *r)
{
	const char *const headings[] = { "OBJECTS", "COUNT", "BYTES", NULL };
	struct table t;

	table_init(&t, a, headings);
	for (int i = 0; i < CHECK_OBJECTS; i++) {
		table_add_text(&t, slice_from(words[i]));
		table_add_number(&t, i == CHECK_LIVE ? live_count(r) : r->objects_of[i]);
		table_add_number(&t, i == CHECK_LIVE ? r->survey.file_bytes : r->bytes_of[i]);
	}
	table_print(&t, stdout);
	table_done(&t);
	printf("\n%zu topics, %" PRId64 " partitions, %" PRId64 " records, record %" PRIu64
	       " of the journal\n",
	       r->survey.topic_count, r->survey.partition_count, r->survey.record_count, r->index);
	fflush(stdout);
	print_wrong(r);
	if (r->objects_of[CHECK_UNSURE] > 0)
		say("%" PRId64 " objects were written in lives of agents that nobody remembers: "
		    "they stay.  If the journal never was brought back older than it had been, "
		    "`hanse fsck --settle` gives them to the scan for orphans.",
		    r->objects_of[CHECK_UNSURE]);
	printf("%s\n", is_clean(r) ? "Everything is as it has to be." : "Something is wrong.");
	return (enum command_status)(is_clean(r) ? FSCK_CLEAN : FSCK_WRONG);
}

static json_t *json_of_objects(const struct restore_report *r)
{
	json_t *objects = json_object();

	for (int i = 0; i < CHECK_OBJECTS; i++)
		json_object_set_new(objects, words[i],
				    json_integer(i == CHECK_LIVE ? live_count(r)
								 : r->objects_of[i]));
	return objects;
}

static json_t *json_of_names(const struct restore_report *r)
{
	json_t *names = json_array();
	char key[DATA_FILE_KEY_BYTES + 1];

	for (size_t i = 0; i < r->object_count; i++) {
		const struct restore_object *o = &r->objects[i];
		data_file_key(key, (uint64_t)o->incarnation, (uint64_t)o->sequence);
		json_array_append_new(names,
				      json_pack("{s:s, s:s}", "key", key, "is", words[o->what]));
	}
	return names;
}

/* All that people are told is there for programs, too. */
static void add_more(json_t *wrong, const char *what, size_t count)
{
	if (count > 0)
		json_array_append_new(wrong, json_pack("{s:s, s:I}", "what", what, "count",
						       (json_int_t)count));
}

static json_t *json_of_wrong(const struct restore_report *r)
{
	json_t *wrong = json_array();

	add_more(wrong, "more in the catalog", r->flaws.count - r->flaws.text_count);
	add_more(wrong, "data files of agents that the journal has never heard of", r->newer_count);
	add_more(wrong, "objects that were not looked at", r->unseen_count);

	for (size_t i = 0; i < r->flaws.text_count; i++)
		json_array_append_new(wrong, json_pack("{s:o}", "what",
						       output_json_text(r->flaws.texts[i])));
	for (size_t i = 0; i < r->loss_count; i++) {
		const struct restore_loss *l = &r->losses[i];
		json_array_append_new(wrong,
				      json_pack("{s:s, s:o, s:i, s:I, s:I, s:s?}", "what", l->what,
						"topic", output_json_text(l->topic), "partition",
						(int)l->partition, "first_offset",
						(json_int_t)l->first_offset, "last_offset",
						(json_int_t)l->last_offset, "data_file", l->key));
	}
	return wrong;
}

static enum command_status print_json(const struct restore_report *r)
{
	char id[23];

	uuid_text(id, r->cluster_id.bytes);
	json_t *document =
		json_pack("{s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:I}", "cluster", id, "is_clean",
			  (int)is_clean(r), "is_led", (int)r->is_led, "is_looked_twice",
			  (int)r->is_looked_twice, "journal_index", (json_int_t)r->index,
			  "partitions", (json_int_t)r->survey.partition_count, "records",
			  (json_int_t)r->survey.record_count, "bytes",
			  (json_int_t)r->survey.file_bytes);
	json_object_set_new(document, "objects", json_of_objects(r));
	json_object_set_new(document, "others", json_of_names(r));
	json_object_set_new(document, "wrong", json_of_wrong(r));
	enum command_status status = output_json(document);
	return status ? status : (enum command_status)(is_clean(r) ? FSCK_CLEAN : FSCK_WRONG);
}

static void on_progress(void *context, const char *text)
{
	(void)context;
	say_more("  %s", text);
}

static enum command_status check(struct arena *a, struct restore_buckets *from)
{
	struct restore_report report;
	char why[RESTORE_WHY_BYTES];

	enum err err = restore_run(a,
				   &(struct restore_config) {
					   .journals = from->journals,
					   .journal_count = from->journal_count,
					   .bucket = from->bucket,
					   .keys = from->key_file ? &from->keys : NULL,
					   .host = "",
					   .is_deep = command_line_has(from->line, FLAG_DEEP),
					   .is_dry = true,
					   .is_check = true,
					   .on_progress = on_progress,
				   },
				   &report, why);
	if (err) {
		say("%s", why);
		return (enum command_status)FSCK_IMPOSSIBLE;
	}
	return command_line_has(from->line, FLAG_JSON) ? print_json(&report)
						       : print_text(a, &report);
}

static enum command_status settle(const struct command_line *l)
{
	json_t *answer = NULL;
	enum command_status status =
		control_request(l, "POST", "/v1/orphans/settle", json_object(), &answer);

	json_decref(answer);
	return status;
}

enum command_status fsck_run(const struct command_line *l)
{
	struct restore_buckets from = { .line = l };
	struct arena a;

	if (command_line_has(l, FLAG_SETTLE))
		return settle(l);
	log_set_role("fsck");
	log_set_level(LOG_WARN);
	arena_init(&a);
	enum command_status status = restore_buckets_open(&from);
	if (!status)
		status = check(&a, &from);
	restore_buckets_close(&from);
	arena_done(&a);
	return status;
}
