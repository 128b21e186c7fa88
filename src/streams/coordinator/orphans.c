#include "streams/coordinator/orphans.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/announced.h"
#include "streams/coordinator/unsure.h"

/* --- the decision ------------------------------------------------------------------------------
 */

static bool was_granted(struct cell *cell, int64_t incarnation)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT 1 FROM counter WHERE name = 'incarnation' AND next > ?1");

	cell_bind_int(st, 1, incarnation);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found && incarnation > 0;
}

/* -1: no agent has it any more.  Else what is decided for good of its files. */
static int64_t forgotten_below(struct cell *cell, int64_t incarnation)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT low_sequence FROM agent WHERE incarnation = ?1");

	cell_bind_int(st, 1, incarnation);
	int64_t low = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : -1;
	sqlite3_reset(st);
	return low;
}

static enum orphan_verdict judge(struct cell *cell, const struct orphan_lives *lives,
				 const struct peer_orphans_request_file *file)
{
	if (catalog_has_file(cell, file->incarnation, file->sequence))
		return ORPHAN_KNOWN;
	if (announced_has(cell, file->incarnation, file->sequence))
		return ORPHAN_PENDING;
	if (!was_granted(cell, file->incarnation) || unsure_has(cell, file->incarnation))
		return ORPHAN_UNSURE;
	if (lives->is_leased(lives->context, file->incarnation))
		return ORPHAN_PENDING;
	int64_t low = forgotten_below(cell, file->incarnation);
	if (low < 0)
		return ORPHAN_FOR_GOOD;
	int64_t told = lives->low_sequence(lives->context, file->incarnation);
	return file->sequence < low || file->sequence < told ? ORPHAN_FOR_GOOD : ORPHAN_PENDING;
}

static enum err condemn(struct cell *cell, const struct peer_orphans_request_file *file,
			int64_t now_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO file (incarnation, sequence, size, run_count,"
				     " committed_ms, dead_ms) VALUES (?1, ?2, ?3, 0, ?4, ?4)");

	cell_bind_int(st, 1, file->incarnation);
	cell_bind_int(st, 2, file->sequence);
	cell_bind_int(st, 3, file->size);
	cell_bind_int(st, 4, now_ms);
	return cell_execute(cell, st);
}

enum err orphans_run(struct cell *cell, void *argument)
{
	struct orphans_page *page = argument;
	const struct peer_orphans_request *request = page->request;
	enum err err = OK;

	if (request->files_count > ORPHANS_PAGE_MAX)
		return ERR_TOO_BIG;
	memset(page->counts, 0, sizeof(page->counts));
	for (size_t i = 0; i < request->files_count && !err; i++) {
		const struct peer_orphans_request_file *file = &request->files[i];
		if (file->sequence < 0 || file->sequence == INT64_MAX || file->size < 0)
			return ERR_INVALID;
		enum orphan_verdict verdict = judge(cell, &page->lives, file);
		page->counts[verdict]++;
		if (verdict == ORPHAN_FOR_GOOD)
			err = condemn(cell, file, page->now_ms);
	}
	return err;
}

/* --- turns -------------------------------------------------------------------------------------
 */

void orphan_turns_begin(struct orphan_turns *t, uint64_t now_ms, uint64_t jitter_ms)
{
	const char *text = getenv("HANSE_TEST_ORPHANS_MS");
	uint64_t test_ms;

	*t = (struct orphan_turns) {
		.first_ms = ORPHANS_FIRST_MS,
		.pass_ms = ORPHANS_PASS_MS,
		.page_pause_ms = ORPHANS_PAGE_PAUSE_MS,
		.ask_ms = ORPHANS_ASK_MS,
		.has_news = true, /* of the time before nobody knows */
	};
	if (text && !text_to_u64(slice_from(text), ORPHANS_PAGE_PAUSE_MS, &test_ms)) {
		t->first_ms = t->pass_ms = t->page_pause_ms = t->ask_ms = test_ms;
		jitter_ms = 0;
	}
	t->due_ms = now_ms + t->first_ms + jitter_ms;
}

void orphan_turns_note_news(struct orphan_turns *t)
{
	t->has_news = true;
}

void orphan_turns_leave(struct orphan_turns *t, int64_t incarnation)
{
	if (t->holder == incarnation)
		t->holder = 0;
}

static bool is_name(struct slice name)
{
	return name.size == 0 ||
	       (slice_starts_with(name, SLICE(DATA_FILE_PREFIX)) && !bucket_check_key(name));
}

static void end_pass(struct orphan_turns *t, uint64_t now_ms, uint64_t jitter_ms)
{
	t->is_under_way = false;
	t->is_ended = true;
	t->holder = 0;
	t->due_ms = now_ms + t->pass_ms;
	t->last = (struct orphan_pass) { .ended_ms = now_ms, .listed = t->listed };
	memcpy(t->last.counts, t->counts, sizeof(t->last.counts));
	if (t->pass_ms == ORPHANS_PASS_MS)
		t->due_ms += jitter_ms;
	/* what may be committed yet is looked at again */
	t->has_news |= t->counts[ORPHAN_PENDING] > 0;
}

enum err orphan_turns_check(const struct orphan_turns *t, int64_t incarnation,
			    const struct peer_orphans_request *request)
{
	if (!request->is_page)
		return request->files_count > 0 ? ERR_INVALID : OK;
	if (!t->is_under_way || t->holder != incarnation)
		return ERR_INVALID; /* somebody else goes on with it */
	if (!is_name(request->listed_to) || request->listed < 0 ||
	    request->listed > ORPHANS_PAGE_MAX || request->files_count > ORPHANS_PAGE_MAX ||
	    slice_compare(request->listed_to, slice_from(t->after)) < 0)
		return ERR_INVALID;
	return OK;
}

enum err orphan_turns_take(struct orphan_turns *t, uint64_t now_ms, uint64_t jitter_ms,
			   int64_t incarnation, const struct peer_orphans_request *request,
			   const int64_t counts[ORPHAN_VERDICTS])
{
	t->is_ended = false;
	enum err err = orphan_turns_check(t, incarnation, request);
	if (err || !request->is_page)
		return err;
	for (int i = 0; i < ORPHAN_VERDICTS; i++)
		t->counts[i] += counts[i];
	t->listed += request->listed;
	t->heard_ms = now_ms;
	t->next_ms = now_ms + t->page_pause_ms;
	snprintf(t->after, sizeof(t->after), "%.*s", SLICE_ARG(request->listed_to));
	if (request->is_last)
		end_pass(t, now_ms, jitter_ms);
	return OK;
}

static void begin_pass(struct orphan_turns *t, uint64_t now_ms)
{
	t->is_under_way = true;
	t->has_news = false;
	t->holder = 0;
	t->next_ms = now_ms;
	t->after[0] = '\0';
	t->listed = 0;
	memset(t->counts, 0, sizeof(t->counts));
}

uint64_t orphan_turns_wait_ms(struct orphan_turns *t, uint64_t now_ms, int64_t incarnation)
{
	if (!t->is_under_way && t->has_news && now_ms >= t->due_ms)
		begin_pass(t, now_ms);
	if (!t->is_under_way) {
		uint64_t wait_ms = t->due_ms > now_ms ? t->due_ms - now_ms : t->ask_ms;
		return wait_ms < t->ask_ms ? wait_ms + 1 : t->ask_ms + 1;
	}
	if (t->holder != incarnation && t->holder != 0 && now_ms < t->heard_ms + ORPHANS_HOLD_MS)
		return t->ask_ms + 1;
	t->holder = incarnation;
	t->heard_ms = now_ms;
	return t->next_ms > now_ms ? t->next_ms - now_ms : 0;
}
