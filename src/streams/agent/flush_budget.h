/* When an open data file is put into a bucket whose requests cost money and take long.
 *
 *	                    .-- nothing is in flight ------> at once
 *	there is a put left +
 *	                    '-- others are in flight ------> after a pause in which batches join
 *	none is left ------------------------------------> when there is one again
 *	its first batch has waited FLUSH_WAIT_MS_MAX -----> at once
 *
 * So a lone producer waits for its own put only, many producers share puts, and an hour of load
 * costs what the budget says.  Files that are full do not ask; they use the budget up, too.  Pure:
 * the time comes from outside. */
#ifndef STREAMS_AGENT_FLUSH_BUDGET_H
#define STREAMS_AGENT_FLUSH_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLUSH_PUTS_PER_S = 25,	  /* by default: half of the 40 ms between two is waited on average,
				* and a month without a pause is 66 million puts */
	FLUSH_PUTS_PER_S_MIN = 4, /* as FLUSH_WAIT_MS_MAX has it in any case */
	FLUSH_PUTS_PER_S_MAX = 1000,
	FLUSH_PUTS_BURST = 16, /* saved while there was less to put */
	FLUSH_PAUSE_MS = 5,
	FLUSH_WAIT_MS_MAX = 250,
};

struct flush_budget {
	uint64_t puts_per_s;  /* in the long run */
	uint64_t thousandths; /* of a put, that are left */
	uint64_t at_ms;	      /* when that was so */
};

/* With all of the burst; `puts_per_s` is FLUSH_PUTS_PER_S_MIN to _MAX. */
void flush_budget_init(struct flush_budget *b, int puts_per_s, uint64_t now_ms);

/* A file was closed.  Harmless when nothing is left. */
void flush_budget_spend(struct flush_budget *b, uint64_t now_ms);

/* Puts that are left; not whole ones. */
double flush_budget_left(struct flush_budget *b, uint64_t now_ms);

/* When a whole one is left; now, if one is. */
uint64_t flush_budget_next_ms(struct flush_budget *b, uint64_t now_ms);

/* When a file whose first batch came at `opened_ms` is due; may be in the past. */
uint64_t flush_budget_due_ms(struct flush_budget *b, uint64_t now_ms, uint64_t opened_ms,
			     bool is_idle);

#endif
