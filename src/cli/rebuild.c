/* hanse rebuild: what server/rebuild.h finds and writes, for people.  What was found goes to
 * standard output, what happens meanwhile and what is lost to standard error. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/restore_buckets.h"
#include "cli/table.h"
#include "server/rebuild.h"

/* hanse-rebuild(1) promises these. */
enum {
	REBUILD_WHOLE = COMMAND_DONE,
	REBUILD_INCOMPLETE = COMMAND_REFUSED,
	REBUILD_IMPOSSIBLE = COMMAND_MISUSED,
};

enum { BAD_FILES_SHOWN_MAX = 1000 };

/* What compaction by key may have left out, and may not. */
static int64_t doubtful_of(const struct plan_topic *t)
{
	return t->records[PLACE_DOUBTFUL] + t->records[PLACE_LEFT] + t->doubtful_offsets;
}

static bool is_topic_whole(const struct plan_topic *t)
{
	return t->hole_offsets == 0 && doubtful_of(t) == 0 && !t->is_renamed;
}

static bool is_whole(const struct rebuild_report *r)
{
	if (r->plan.bad_count > 0 || r->foreign_count > 0)
		return false;
	for (size_t i = 0; i < r->plan.topic_count; i++)
		if (!is_topic_whole(&r->plan.topics[i]))
			return false;
	return true;
}

static const char *note_of(const struct plan_topic *t)
{
	if (t->is_renamed)
		return "renamed: a newer topic has its name";
	if (t->is_unnamed)
		return "no file says its name";
	return "";
}

/* --- text --------------------------------------------------------------------------------------
 */

static void print_topics(struct arena *a, const struct plan_report *p)
{
	const char *const headings[] = { "TOPIC",   "PARTITIONS", "CERTAIN", "LIKELY", "UNDECIDED",
					 "MISSING", "DOUBTFUL",	  "BYTES",   "NOTE",   NULL };
	struct table t;

	table_init(&t, a, headings);
	for (size_t i = 0; i < p->topic_count; i++) {
		const struct plan_topic *topic = &p->topics[i];
		table_add_text(&t, topic->name);
		table_add_number(&t, topic->partition_count);
		table_add_number(&t, topic->records[PLACE_CERTAIN]);
		table_add_number(&t, topic->records[PLACE_LIKELY]);
		table_add_number(&t, topic->undecided_records);
		table_add_number(&t, topic->hole_offsets);
		table_add_number(&t, doubtful_of(topic));
		table_add_number(&t, topic->bytes);
		table_add_text(&t, slice_from(note_of(topic)));
	}
	table_print(&t, stdout);
	table_done(&t);
}

static void print_bad_files(const struct rebuild_report *r)
{
	const struct plan_report *p = &r->plan;
	char key[DATA_FILE_KEY_BYTES + 1];

	for (size_t i = 0; i < p->bad_count && i < BAD_FILES_SHOWN_MAX; i++) {
		const struct plan_bad_file *file = &p->bad_files[i];
		data_file_key(key, (uint64_t)file->incarnation, (uint64_t)file->sequence);
		say("%s: %.*s", key, SLICE_ARG(file->why));
	}
	if (p->bad_count > BAD_FILES_SHOWN_MAX)
		say("and %zu more: --json has all of them", p->bad_count - BAD_FILES_SHOWN_MAX);
	if (r->foreign_count > 0)
		say("%" PRId64 " objects have names of data files that were never given",
		    r->foreign_count);
}

static int64_t undecided_of(const struct plan_report *p)
{
	int64_t records = 0;

	for (size_t i = 0; i < p->topic_count; i++)
		records += p->topics[i].undecided_records;
	return records;
}

static void print_lost(void)
{
	say_more(
		"No data file has these, and they are lost: committed offsets of groups, the state "
		"of share groups,\nsettings of topics, users and their rights, quotas, "
		"transactional ids; topics and partitions that no\nfile tells of.  Until you set "
		"retention again, no record goes by age: log.retention.ms is -1.");
	say_more("WITHOUT USERS WHOEVER REACHES KAFKA MAY DO EVERYTHING: this machine and those of "
		 "its mesh, and with\n--kafka-open everybody.  Add them before you let anybody in: "
		 "`hanse user add --admin NAME` first.");
	say_more("The bucket of the records is only read, but nodes that start on the new journal "
		 "compact its files,\nand delete them ten minutes later with what was left out of "
		 "them: if anything was, copy the bucket\nfirst.  Objects of which nothing is used "
		 "stay until `hanse fsck --settle`.");
}

static enum command_status print_text(struct arena *a, const struct restore_buckets *from,
				      const struct rebuild_report *r)
{
	const struct plan_report *p = &r->plan;

	print_topics(a, p);
	printf("\n%zu topics, %" PRId64 " partitions, %" PRId64 " of %" PRId64 " data files\n",
	       p->topic_count, p->partition_count, p->used_count, p->file_count);
	fflush(stdout);
	print_bad_files(r);
	if (undecided_of(p) > 0 && !r->is_written)
		say("how the transactions of %" PRId64 " records ended is not known: choose with "
		    "--undecided commit or --undecided abort",
		    undecided_of(p));
	print_lost();
	if (!r->is_written)
		printf("Nothing was written.  With --execute it will be.\n");
	else
		printf("The journal is there again, record %" PRIu64 ".  Go on with\n  hanse serve "
		       "--bucket '%s'%s%s%s%s%s%s%s\n",
		       r->index, from->bucket_url, from->journal_urls ? " --journal '" : "",
		       from->journal_urls ? from->journal_urls : "", from->journal_urls ? "'" : "",
		       from->key_file ? " --key-file '" : "", from->key_file ? from->key_file : "",
		       from->key_file ? "'" : "",
		       !from->key_file && strncmp(from->bucket_url, "s3:", 3) == 0 ? " --seal no"
										   : "");
	return (enum command_status)(is_whole(r) ? REBUILD_WHOLE : REBUILD_INCOMPLETE);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static json_t *json_of_topics(const struct plan_report *p)
{
	json_t *topics = json_array();
	char id[23];

	for (size_t i = 0; i < p->topic_count; i++) {
		const struct plan_topic *t = &p->topics[i];
		uuid_text(id, t->topic_id.bytes);
		json_array_append_new(topics,
				      json_pack("{s:o, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, "
						"s:I, s:I, s:I, s:I, s:I,"
						" s:b, s:b}",
						"name", output_json_text(t->name), "id", id,
						"partitions", (int)t->partition_count, "certain",
						(json_int_t)t->records[PLACE_CERTAIN], "likely",
						(json_int_t)t->records[PLACE_LIKELY], "copies",
						(json_int_t)t->records[PLACE_COPY], "refused",
						(json_int_t)t->records[PLACE_REFUSED], "damaged",
						(json_int_t)t->records[PLACE_DAMAGED], "undecided",
						(json_int_t)t->undecided_records, "missing",
						(json_int_t)t->hole_offsets, "doubtful",
						(json_int_t)t->records[PLACE_DOUBTFUL], "left_out",
						(json_int_t)t->records[PLACE_LEFT],
						"doubtful_offsets", (json_int_t)t->doubtful_offsets,
						"bytes", (json_int_t)t->bytes, "is_unnamed",
						(int)t->is_unnamed, "is_renamed",
						(int)t->is_renamed));
	}
	return topics;
}

static json_t *json_of_bad_files(const struct plan_report *p)
{
	json_t *files = json_array();
	char key[DATA_FILE_KEY_BYTES + 1];

	for (size_t i = 0; i < p->bad_count; i++) {
		const struct plan_bad_file *file = &p->bad_files[i];
		data_file_key(key, (uint64_t)file->incarnation, (uint64_t)file->sequence);
		json_array_append_new(files, json_pack("{s:s, s:o}", "key", key, "why",
						       output_json_text(file->why)));
	}
	return files;
}

static enum command_status print_json(const struct rebuild_report *r)
{
	const struct plan_report *p = &r->plan;
	char id[23];

	uuid_text(id, r->cluster_id.bytes);
	json_t *document =
		json_pack("{s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cluster",
			  id, "is_written", (int)r->is_written, "is_anew", (int)r->is_anew,
			  "is_whole", (int)is_whole(r), "is_sealed", (int)r->is_sealed,
			  "partitions", (json_int_t)p->partition_count, "data_files",
			  (json_int_t)p->file_count, "used_files", (json_int_t)p->used_count,
			  "runs", (json_int_t)p->run_count, "foreign", (json_int_t)r->foreign_count,
			  "next_incarnation", (json_int_t)p->next_incarnation, "next_producer_id",
			  (json_int_t)p->next_producer_id);
	json_object_set_new(document, "topics", json_of_topics(p));
	json_object_set_new(document, "bad_files", json_of_bad_files(p));
	enum command_status status = output_json(document);
	return status ? status
		      : (enum command_status)(is_whole(r) ? REBUILD_WHOLE : REBUILD_INCOMPLETE);
}

/* --- the command -------------------------------------------------------------------------------
 */

static void on_progress(void *context, const char *text)
{
	(void)context;
	say_more("  %s", text);
}

static bool take_undecided(const struct command_line *l, enum plan_undecided *ret)
{
	const char *word = command_line_value(l, FLAG_UNDECIDED, NULL);

	*ret = PLAN_UNDECIDED_UNSAID;
	if (!word)
		return true;
	*ret = strcmp(word, "commit") == 0 ? PLAN_UNDECIDED_COMMIT : PLAN_UNDECIDED_ABORT;
	if (*ret == PLAN_UNDECIDED_COMMIT || strcmp(word, "abort") == 0)
		return true;
	say("--undecided is commit or abort, not %s", word);
	return false;
}

static enum command_status rebuild(struct arena *a, struct restore_buckets *from,
				   enum plan_undecided undecided)
{
	struct rebuild_report report;
	char why[REBUILD_WHY_BYTES];
	enum err err = rebuild_run(a,
				   &(struct rebuild_config) {
					   .journals = from->journals,
					   .journal_count = from->journal_count,
					   .bucket = from->bucket,
					   .keys = from->key_file ? &from->keys : NULL,
					   .is_deep = command_line_has(from->line, FLAG_DEEP),
					   .is_dry = !command_line_has(from->line, FLAG_EXECUTE),
					   .undecided = undecided,
					   .now_ms = (uint64_t)clock_wall_ms(),
					   .on_progress = on_progress,
				   },
				   &report, why);

	if (err) {
		say("%s", why);
		return (enum command_status)REBUILD_IMPOSSIBLE;
	}
	return command_line_has(from->line, FLAG_JSON) ? print_json(&report)
						       : print_text(a, from, &report);
}

enum command_status rebuild_command_run(const struct command_line *l)
{
	struct restore_buckets from = { .line = l };
	enum plan_undecided undecided;
	struct arena a;

	if (!take_undecided(l, &undecided))
		return COMMAND_MISUSED;
	log_set_role("rebuild");
	log_set_level(LOG_WARN);
	arena_init(&a);
	enum command_status status = restore_buckets_open(&from);
	if (!status)
		status = rebuild(&a, &from, undecided);
	restore_buckets_close(&from);
	arena_done(&a);
	return status;
}
