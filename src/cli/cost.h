/* hanse cost, between its halves: cost.c finds out, cost_text.c tells people. */
#ifndef CLI_COST_H
#define CLI_COST_H

#include <jansson.h>

#include "base/arena.h"
#include "cli/command.h"
#include "cli/cost_model.h"

enum { COST_BUCKETS_MAX = 12, COST_NOTES_MAX = 20, COST_NOTE_BYTES = 400 };

/* One bucket and what it is used for, as the node counts it. */
struct cost_count {
	double put, get, list, delete, errors, sent_bytes, received_bytes;
	double produced_bytes, fetched_bytes, control_bytes;
	double since_ms, updated_ms;
};

struct cost_bucket {
	struct slice name, purpose;
	const char *store; /* whose prices; NULL: not known */
	struct cost_count month, all;
};

struct cost_report {
	struct arena arena;
	struct prices prices;
	const char *store; /* of the records; NULL: not known */
	struct cost_load load;
	bool has_flags_only; /* no node was asked */

	json_t *usage; /* what the node said, or NULL */
	struct cost_bucket buckets[COST_BUCKETS_MAX];
	size_t bucket_count;
	double measured_s; /* so long was counted this month */
	double scale;	   /* from that to a month */
	double stored_bytes, stored_files, catalog_bytes;

	struct cost_sheet hanse, kafka, managed, beside;
	int32_t today;
	int32_t oldest_day; /* of the prices that were used and are not somebody's own */
	char oldest[16], newest[16];
	bool has_unconfirmed;
	char notes[COST_NOTES_MAX][COST_NOTE_BYTES];
	size_t note_count;
};

/* What is worth knowing beside the numbers, also where they speak against us. */
void cost_add_notes(struct cost_report *r);

void cost_print(const struct cost_report *r, FILE *out);

#endif
