/* What a person wrote as prices is read or refused with a sentence, and what is read is sound. */
#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "cli/prices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prices *p = NEW(struct prices);
	char why[PRICES_WHY_BYTES] = "";

	prices_default(p);
	size_t before = p->count;
	if (prices_add(p, (struct slice) { data, size }, why)) {
		assert(p->count == before && why[0]);
	} else {
		for (size_t i = 0; i < p->count; i++) {
			const struct price *row = &p->rows[i];
			assert(row->amount >= 0 && price_each(row) <= row->amount);
			assert(row->provider[0] && row->item[0] && row->source[0]);
			assert(prices_find(p, row->provider, row->item) == row);
			assert(strlen(row->read_on) == 10 && row->read_day > 0);
		}
	}
	memory_free(p);
	return 0;
}
