/* hanse bucket probe URL: what the bucket can be trusted with. */
#include <stdio.h>
#include <unistd.h>

#include "buckets/probe.h"
#include "cli/output.h"
#include "loop/stop.h"

enum { COLUMN_NAME = 11, COLUMN_OUTCOME = 9 };

static const char *const outcomes[] = {
	[PROBE_SKIPPED] = "skipped",
	[PROBE_PASSED] = "passed",
	[PROBE_REFUTED] = "refuted",
};

/* Signal handlers have nothing else to find it by. */
struct session {
	struct probe probe;
	const char *url;
	bool with_json;
};

static struct session *session_of(struct probe *p)
{
	return CONTAINER(p, struct session, probe);
}

static void print_finding(struct probe *p, enum probe_check check)
{
	const struct probe_finding *f = &p->findings[check];

	if (session_of(p)->with_json)
		return;
	printf("%-*s%-*s%s\n", COLUMN_NAME, probe_check_name(check), COLUMN_OUTCOME,
	       outcomes[f->outcome], f->why);
	fflush(stdout);
}

static void on_stop(void *context)
{
	struct session *s = context;

	say("stopping; what was written below %s is removed first", s->probe.prefix);
	probe_stop(&s->probe);
}

/* --- the verdict ----------------------------------------------------------------------------- */
static const char *class_name(const struct probe *p)
{
	if (!p->is_usable)
		return NULL;
	return p->class == BUCKET_CAS ? "cas" : "raw";
}

static bool is_class_refuted(const struct probe *p)
{
	return !p->is_usable || (p->class_before == BUCKET_CAS && p->class == BUCKET_RAW);
}

static void print_verdict(const struct session *s)
{
	const struct probe *p = &s->probe;
	char url[BUCKET_KEY_BYTES_MAX + 16];

	putchar('\n');
	for (int i = 0; i < PROBE_CHECKS; i++)
		if (p->findings[i].outcome == PROBE_REFUTED)
			printf("%s: %s.\n", probe_check_name((enum probe_check)i),
			       probe_check_meaning((enum probe_check)i));
	if (!p->is_usable) {
		puts("No class: this bucket is not to be used.");
		return;
	}
	if (p->class == BUCKET_CAS)
		puts("Class cas: nothing here refuted that it creates if absent.  That is no proof,"
		     " and\nclass=raw is right for every bucket that has a class.");
	else
		puts("Class raw: it is trusted with reading what was written, and nothing more.");
	probe_url(p, s->url, url);
	printf("Use: %s\n", url);
}

static enum command_status print_json(const struct session *s)
{
	const struct probe *p = &s->probe;
	char url[BUCKET_KEY_BYTES_MAX + 16];
	json_t *checks = json_array();

	for (int i = 0; i < PROBE_CHECKS; i++) {
		const struct probe_finding *f = &p->findings[i];

		json_array_append_new(checks, json_pack("{s:s, s:s, s:o}", "name",
							probe_check_name((enum probe_check)i),
							"outcome", outcomes[f->outcome], "why",
							output_json_text(slice_from(f->why))));
	}
	probe_url(p, s->url, url);
	return output_json(json_pack("{s:s, s:s?, s:o, s:o, s:I}", "url", s->url, "class",
				     class_name(p), "use",
				     p->is_usable ? output_json_text(slice_from(url)) : json_null(),
				     "checks", checks, "left", (json_int_t)p->left_count));
}

static enum command_status say_failure(const struct session *s)
{
	const struct task *t = &s->probe.task;

	if (t->err == ERR_CANCELED) {
		say("stopped before the last check: there is no verdict");
		return COMMAND_REFUSED;
	}
	say("%s: %s", s->url, t->why[0] ? t->why : err_name(t->err));
	return t->err == ERR_UNAVAILABLE || t->err == ERR_TIMEOUT ? COMMAND_UNREACHABLE
								  : COMMAND_REFUSED;
}

static enum command_status tell(const struct session *s)
{
	enum command_status status = COMMAND_DONE;

	if (s->probe.task.err)
		status = say_failure(s);
	else if (s->with_json)
		status = print_json(s);
	else
		print_verdict(s);
	if (s->probe.left_count > 0)
		say("%zu objects below %s could not be removed: they are harmless, delete them",
		    s->probe.left_count, s->probe.prefix);
	if (status == COMMAND_DONE && is_class_refuted(&s->probe)) {
		if (s->probe.is_usable)
			say("class=cas in this URL was refuted: do not use it so");
		status = COMMAND_REFUSED;
	}
	return status;
}

enum command_status bucket_probe_run(const struct command_line *l)
{
	static struct session session;
	struct session *s = &session;
	char why[TASK_WHY_BYTES];
	struct bucket *bucket;
	struct loop *loop;

	s->url = l->arguments[0];
	s->with_json = command_line_has(l, FLAG_JSON);
	if (bucket_open(s->url, &bucket, why)) {
		say("%s", why);
		return COMMAND_REFUSED;
	}
	loop = loop_new(0);
	probe_init(&s->probe, bucket);
	s->probe.on_finding = print_finding;
	stop_install(loop, on_stop, s);
	probe_start_root(&s->probe, loop);
	loop_run(loop);
	enum command_status status = tell(s);
	loop_free(loop);
	bucket_close(bucket);
	return status;
}
