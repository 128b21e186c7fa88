#include "streams/agent/flush_budget.h"

#include <assert.h>

enum { PUT = 1000, FULL = FLUSH_PUTS_BURST * PUT };
_Static_assert(PUT == 1000, "puts per second are thousandths of a put per millisecond");

void flush_budget_init(struct flush_budget *b, int puts_per_s, uint64_t now_ms)
{
	assert(puts_per_s >= FLUSH_PUTS_PER_S_MIN && puts_per_s <= FLUSH_PUTS_PER_S_MAX);
	*b = (struct flush_budget) {
		.puts_per_s = (uint64_t)puts_per_s,
		.thousandths = FULL,
		.at_ms = now_ms,
	};
}

static void grow(struct flush_budget *b, uint64_t now_ms)
{
	uint64_t passed_ms;

	if (now_ms <= b->at_ms)
		return;
	passed_ms = now_ms - b->at_ms;
	if (passed_ms > FULL)
		passed_ms = FULL;
	b->thousandths += passed_ms * b->puts_per_s;
	if (b->thousandths > FULL)
		b->thousandths = FULL;
	b->at_ms = now_ms;
}

void flush_budget_spend(struct flush_budget *b, uint64_t now_ms)
{
	grow(b, now_ms);
	b->thousandths -= b->thousandths < PUT ? b->thousandths : PUT;
}

double flush_budget_left(struct flush_budget *b, uint64_t now_ms)
{
	grow(b, now_ms);
	return (double)b->thousandths / PUT;
}

uint64_t flush_budget_next_ms(struct flush_budget *b, uint64_t now_ms)
{
	uint64_t missing;

	grow(b, now_ms);
	missing = b->thousandths < PUT ? PUT - b->thousandths : 0;
	return now_ms + (missing + b->puts_per_s - 1) / b->puts_per_s;
}

uint64_t flush_budget_due_ms(struct flush_budget *b, uint64_t now_ms, uint64_t opened_ms,
			     bool is_idle)
{
	uint64_t due_ms = is_idle ? opened_ms : opened_ms + FLUSH_PAUSE_MS;
	uint64_t last_ms = opened_ms + FLUSH_WAIT_MS_MAX;
	uint64_t there_ms = flush_budget_next_ms(b, now_ms);

	if (there_ms > now_ms && due_ms < there_ms)
		due_ms = there_ms;
	return due_ms < last_ms ? due_ms : last_ms;
}
