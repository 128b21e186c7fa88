/* Prices as packaging/prices.conf has them, which is compiled in: one row a line, that file
 * explains the columns.  Rows that come later take the place of earlier ones of the same provider
 * and item. */
#ifndef CLI_PRICES_H
#define CLI_PRICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
	PRICES_MAX = 500,
	PRICES_FILE_BYTES_MAX = 1 << 20,
	PRICE_NAME_BYTES = 32,
	PRICE_SOURCE_BYTES = 160,
	PRICES_WHY_BYTES = 200,
	PRICES_OLD_DAYS = 180,
};

enum price_unit {
	PRICE_GB,
	PRICE_GB_MONTH,
	PRICE_1000_REQUESTS,
	PRICE_1000000_REQUESTS,
	PRICE_HOUR,
	PRICE_REPLICAS,
	PRICE_UNITS
};

enum price_state { PRICE_READ, PRICE_UNCONFIRMED, PRICE_YOURS, PRICE_STATES };

struct price {
	char provider[PRICE_NAME_BYTES], item[PRICE_NAME_BYTES];
	double amount; /* dollars for one unit */
	enum price_unit unit;
	enum price_state state;
	int32_t read_day; /* days since 1970-01-01 */
	char read_on[sizeof("2026-11-21")];
	char source[PRICE_SOURCE_BYTES];
};

struct prices {
	struct price rows[PRICES_MAX];
	size_t count;
};

/* The rows of `text` on top of what is there.  ERR_INVALID or ERR_TOO_BIG with a sentence that
 * names the line; `p` is then as it was. */
MUST_CHECK enum err prices_add(struct prices *p, struct slice text, char why[PRICES_WHY_BYTES]);

/* What this program came with. */
void prices_default(struct prices *p);

/* NULL: there is none. */
const struct price *prices_find(const struct prices *p, const char *provider, const char *item);

/* Is any row of that provider there? */
bool prices_has(const struct prices *p, const char *provider);

/* Dollars for one request, GB, GB and month, or hour. */
double price_each(const struct price *price);

/* "$0.005 / 1000 requests" without the number. */
const char *price_unit_text(enum price_unit unit);

/* Digits with at most one point, such as "0.0004"; false: it is not. */
bool price_amount(struct slice word, double *ret);

/* Which provider keeps a bucket of this URL, as far as the URL tells; NULL: it does not. */
const char *prices_store_of(const char *url);

/* packaging/prices.conf */
extern const char prices_text[];

#endif
