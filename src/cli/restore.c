/* hanse restore: what server/restore.h finds, for people.  What came back goes to standard output,
 * what happens meanwhile to standard error. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/restore_buckets.h"
#include "cli/table.h"
#include "server/restore.h"

/* hanse-restore(1) promises these. */
enum {
	RESTORE_WHOLE = COMMAND_DONE,
	RESTORE_MISSING = COMMAND_REFUSED,
	RESTORE_IMPOSSIBLE = COMMAND_MISUSED,
};

enum { LOSSES_SHOWN_MAX = 1000, TIME_TEXT_BYTES = 40 };

struct restoring {
	const struct command_line *line;
	struct restore_buckets from;
	struct restore_report report;
	struct arena arena;
};

/* --- words -------------------------------------------------------------------------------------
 */

static const char *time_text(uint64_t ms, char ret[TIME_TEXT_BYTES])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) ||
	    strftime(ret, TIME_TEXT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		snprintf(ret, TIME_TEXT_BYTES, "%" PRIu64 " ms", ms);
	return ret;
}

static char *serve_line(struct restoring *r)
{
	struct arena *a = &r->arena;
	char *line = arena_format(a, "hanse serve --bucket '%s'", r->from.bucket_url);

	if (r->from.journal_urls)
		line = arena_format(a, "%s --journal '%s'", line, r->from.journal_urls);
	if (r->from.key_file)
		line = arena_format(a, "%s --key-file '%s'", line, r->from.key_file);
	else if (strstr(line, "'s3:") || strstr(line, ",s3:"))
		line = arena_format(a, "%s --seal no", line); /* it would be sealed by default */
	return line;
}

static bool is_whole(const struct restore_report *report)
{
	return report->loss_count == 0 && report->newer_count == 0;
}

static void add_fact(struct table *t, const char *name, const char *value)
{
	table_add_text(t, slice_from(name));
	table_add_text(t, slice_from(value));
}

static void print_facts(struct restoring *r)
{
	const struct restore_report *report = &r->report;
	const struct survey *s = &report->survey;
	char id[23], created[TIME_TEXT_BYTES], changed[TIME_TEXT_BYTES];
	struct arena *a = &r->arena;
	struct table t;

	uuid_text(id, report->cluster_id.bytes);
	table_init(&t, a, NULL);
	add_fact(&t, "cluster", id);
	add_fact(&t, "sealed", report->is_sealed ? "yes" : "no");
	add_fact(&t, "created", time_text(report->created_ms, created));
	add_fact(&t, "last change",
		 arena_format(a, "%s, record %" PRIu64 " of the journal",
			      time_text(report->last_change_ms, changed), report->index));
	add_fact(&t, "topics", arena_format(a, "%zu", s->topic_count));
	add_fact(&t, "partitions", arena_format(a, "%" PRId64, s->partition_count));
	add_fact(&t, "records", arena_format(a, "%" PRId64, s->record_count));
	add_fact(&t, "groups", arena_format(a, "%zu", s->group_count));
	add_fact(&t, "data files", arena_format(a, "%zu", s->file_count));
	add_fact(&t, "bytes", arena_format(a, "%" PRId64, s->file_bytes));
	add_fact(&t, "read in full",
		 command_line_has(r->line, FLAG_DEEP) ? "yes" : "no, sizes only: see --deep");
	table_print(&t, stdout);
	table_done(&t);
}

static void print_topics(struct restoring *r)
{
	const char *const headings[] = { "TOPIC", "PARTITIONS", "RECORDS", "BYTES", NULL };
	const struct survey *s = &r->report.survey;
	struct table t;

	if (s->topic_count == 0)
		return;
	putchar('\n');
	table_init(&t, &r->arena, headings);
	for (size_t i = 0; i < s->topic_count; i++) {
		table_add_text(&t, s->topics[i].name);
		table_add_number(&t, s->topics[i].partition_count);
		table_add_number(&t, s->topics[i].record_count);
		table_add_number(&t, s->topics[i].bytes);
	}
	table_print(&t, stdout);
	table_done(&t);
}

static void print_groups(struct restoring *r)
{
	const char *const headings[] = { "GROUP", "TOPIC", "PARTITION", "COMMITTED", "NEXT", NULL };
	const struct survey *s = &r->report.survey;
	struct table t;

	if (s->group_count == 0)
		return;
	putchar('\n');
	table_init(&t, &r->arena, headings);
	for (size_t i = 0; i < s->group_count; i++) {
		const struct survey_group *group = &s->groups[i];
		for (size_t k = 0; k < group->offset_count; k++) {
			table_add_text(&t, group->name);
			table_add_text(&t, group->offsets[k].topic);
			table_add_number(&t, group->offsets[k].partition);
			table_add_number(&t, group->offsets[k].committed_offset);
			table_add_number(&t, group->offsets[k].next_offset);
		}
		if (group->offset_count == 0) {
			table_add_text(&t, group->name);
			table_add_text(&t, (struct slice) { 0 });
			for (int k = 0; k < 3; k++)
				table_add_number(&t, -1);
		}
	}
	table_print(&t, stdout);
	table_done(&t);
}

/* --- what is missing ---------------------------------------------------------------------------
 */

static void print_losses(struct restoring *r)
{
	const struct restore_report *report = &r->report;

	if (report->loss_count == 0)
		return;
	say("%" PRId64 " records are missing, of %zu data files:", report->lost_records,
	    report->bad_count);
	for (size_t i = 0; i < report->loss_count && i < LOSSES_SHOWN_MAX; i++) {
		const struct restore_loss *loss = &report->losses[i];
		say_more("  %.*s, partition %d, offsets %" PRId64 " to %" PRId64 ": %s%s%s",
			 SLICE_ARG(loss->topic), (int)loss->partition, loss->first_offset,
			 loss->last_offset, loss->key ? loss->key : "", loss->key ? " " : "",
			 loss->what);
	}
	if (report->loss_count > LOSSES_SHOWN_MAX)
		say_more("  and %zu more: --json has all of them",
			 report->loss_count - LOSSES_SHOWN_MAX);
	say_more("Put these objects back into the bucket, from a copy of it or with its store's "
		 "versions, and run\nthis again.  Without them the cluster serves all but these "
		 "records: readers get an error there.");
}

static void print_age(struct restoring *r)
{
	const struct restore_report *report = &r->report;

	if (report->newer_count > 0) {
		say("the journal is older than the records: %zu data files are of agents it has "
		    "never heard of.",
		    report->newer_count);
		say_more("Changes that were acknowledged are missing from it: was it copied back "
			 "from a backup?  Bring its\nnewest state back, all of it, and run this "
			 "again.  Do not serve from this one: offsets would be given\nagain that "
			 "readers have seen with other records.");
	} else if (report->stray_count > 0) {
		say_more("%zu data files are in the bucket that were never acknowledged: they were "
			 "on their way when\neverything stopped.  They do no harm.",
			 report->stray_count);
	}
}

static enum command_status print_text(struct restoring *r)
{
	const struct restore_report *report = &r->report;

	print_facts(r);
	print_topics(r);
	print_groups(r);
	fflush(stdout);
	print_losses(r);
	print_age(r);
	if (report->is_led) {
		say_more("A node leads this cluster and answers: nothing needs to be restored.");
	} else if (report->newer_count == 0) {
		printf("\n%s  Go on with\n  %s\n",
		       report->loss_count ? "Something is missing."
					  : "Everything that was acknowledged is there.",
		       serve_line(r));
	}
	return (enum command_status)(is_whole(report) ? RESTORE_WHOLE : RESTORE_MISSING);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static json_t *json_of_topics(const struct survey *s)
{
	json_t *topics = json_array();

	for (size_t i = 0; i < s->topic_count; i++) {
		const struct survey_topic *topic = &s->topics[i];
		json_array_append_new(topics, json_pack("{s:o, s:i, s:I, s:I}", "name",
							output_json_text(topic->name), "partitions",
							(int)topic->partition_count, "records",
							(json_int_t)topic->record_count, "bytes",
							(json_int_t)topic->bytes));
	}
	return topics;
}

static json_t *json_of_groups(const struct survey *s)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < s->group_count; i++) {
		const struct survey_group *group = &s->groups[i];
		json_t *offsets = json_array();
		for (size_t k = 0; k < group->offset_count; k++) {
			const struct survey_offset *offset = &group->offsets[k];
			json_array_append_new(
				offsets,
				json_pack("{s:o, s:i, s:o, s:o}", "topic",
					  output_json_text(offset->topic), "partition",
					  (int)offset->partition, "committed_offset",
					  output_json_offset(offset->committed_offset),
					  "next_offset", output_json_offset(offset->next_offset)));
		}
		json_array_append_new(groups,
				      json_pack("{s:o, s:o}", "name", output_json_text(group->name),
						"offsets", offsets));
	}
	return groups;
}

static json_t *json_of_losses(const struct restore_report *report)
{
	json_t *losses = json_array();

	for (size_t i = 0; i < report->loss_count; i++) {
		const struct restore_loss *loss = &report->losses[i];
		json_array_append_new(losses,
				      json_pack("{s:o, s:i, s:I, s:I, s:s?, s:s}", "topic",
						output_json_text(loss->topic), "partition",
						(int)loss->partition, "first_offset",
						(json_int_t)loss->first_offset, "last_offset",
						(json_int_t)loss->last_offset, "data_file",
						loss->key, "what", loss->what));
	}
	return losses;
}

static enum command_status print_json(struct restoring *r)
{
	const struct restore_report *report = &r->report;
	const struct survey *s = &report->survey;
	char id[23];

	uuid_text(id, report->cluster_id.bytes);
	json_t *document = json_pack(
		"{s:s, s:b, s:I, s:I, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
		"cluster", id, "is_sealed", (int)report->is_sealed, "created_ms",
		(json_int_t)report->created_ms, "last_change_ms",
		(json_int_t)report->last_change_ms, "journal_index", (json_int_t)report->index,
		"is_led", (int)report->is_led, "is_whole", (int)is_whole(report), "partitions",
		(json_int_t)s->partition_count, "records", (json_int_t)s->record_count, "files",
		(json_int_t)s->file_count, "bytes", (json_int_t)s->file_bytes, "missing_records",
		(json_int_t)report->lost_records, "unacknowledged_files",
		(json_int_t)report->stray_count, "files_of_unknown_agents",
		(json_int_t)report->newer_count, "serve", serve_line(r));
	json_object_set_new(document, "topics", json_of_topics(s));
	json_object_set_new(document, "groups", json_of_groups(s));
	json_object_set_new(document, "missing", json_of_losses(report));
	enum command_status status = output_json(document);
	if (status)
		return status;
	return (enum command_status)(is_whole(report) ? RESTORE_WHOLE : RESTORE_MISSING);
}

/* --- the command -------------------------------------------------------------------------------
 */

static void on_progress(void *context, const char *text)
{
	(void)context;
	say_more("  %s", text);
}

static enum command_status restore(struct restoring *r)
{
	char host[64] = "", why[RESTORE_WHY_BYTES];

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	enum err err = restore_run(&r->arena,
				   &(struct restore_config) {
					   .journals = r->from.journals,
					   .journal_count = r->from.journal_count,
					   .bucket = r->from.bucket,
					   .keys = r->from.key_file ? &r->from.keys : NULL,
					   .host = host,
					   .is_deep = command_line_has(r->line, FLAG_DEEP),
					   .is_dry = command_line_has(r->line, FLAG_DRY_RUN),
					   .takes_over = command_line_has(r->line, FLAG_TAKE_OVER),
					   .on_progress = on_progress,
				   },
				   &r->report, why);
	if (err) {
		say("%s", why);
		return (enum command_status)RESTORE_IMPOSSIBLE;
	}
	return command_line_has(r->line, FLAG_JSON) ? print_json(r) : print_text(r);
}

enum command_status restore_command_run(const struct command_line *l)
{
	struct restoring r = { .line = l, .from = { .line = l } };

	if (command_line_has(l, FLAG_DRY_RUN) && command_line_has(l, FLAG_TAKE_OVER)) {
		say("--dry-run and --take-over contradict each other");
		return COMMAND_MISUSED;
	}
	log_set_role("restore");
	log_set_level(LOG_WARN);
	arena_init(&r.arena);
	enum command_status status = restore_buckets_open(&r.from);
	if (!status)
		status = restore(&r);
	restore_buckets_close(&r.from);
	arena_done(&r.arena);
	return status;
}
