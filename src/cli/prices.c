#include "cli/prices.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { COLUMNS = 7, NUMBER_BYTES_MAX = 15, YEAR_MIN = 2000, YEAR_MAX = 2199 };

static const struct unit {
	const char *name, *text;
	double of;
} units[PRICE_UNITS] = {
	[PRICE_GB] = { "GB", "GB", 1 },
	[PRICE_GB_MONTH] = { "GB-month", "GB and month", 1 },
	[PRICE_1000_REQUESTS] = { "1000-requests", "1,000", 1000 },
	[PRICE_1000000_REQUESTS] = { "1000000-requests", "1,000,000", 1000000 },
	[PRICE_HOUR] = { "hour", "hour", 1 },
	[PRICE_REPLICAS] = { "replicas", "replicas", 1 },
};

static const char *const states[PRICE_STATES] = {
	[PRICE_READ] = "read",
	[PRICE_UNCONFIRMED] = "unconfirmed",
	[PRICE_YOURS] = "yours",
};

/* --- columns ---------------------------------------------------------------------------- */
static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice next_word(struct slice *line)
{
	size_t from = 0, to;

	while (from < line->size && is_space(line->data[from]))
		from++;
	for (to = from; to < line->size && !is_space(line->data[to]); to++)
		;
	struct slice word = slice_part(*line, from, to - from);
	*line = slice_part(*line, to, line->size);
	return word;
}

static bool take_text(struct slice word, char *ret, size_t size)
{
	if (word.size == 0 || word.size >= size)
		return false;
	for (size_t i = 0; i < word.size; i++)
		if (word.data[i] <= ' ' || word.data[i] > '~')
			return false;
	memcpy(ret, word.data, word.size);
	ret[word.size] = '\0';
	return true;
}

/* Digits and at most one point: "0.0004". */
bool price_amount(struct slice word, double *ret)
{
	char text[NUMBER_BYTES_MAX + 1];
	size_t points = 0, digits = 0;

	for (size_t i = 0; i < word.size; i++) {
		points += word.data[i] == '.';
		digits += word.data[i] >= '0' && word.data[i] <= '9';
	}
	if (word.size > NUMBER_BYTES_MAX || points > 1 || digits == 0 ||
	    points + digits != word.size)
		return false;
	memcpy(text, word.data, word.size);
	text[word.size] = '\0';
	*ret = strtod(text, NULL);
	return true;
}

static bool take_name(struct slice word, const char *const *names, size_t stride, int count,
		      int *ret)
{
	for (int i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)names + stride * (size_t)i);
		if (slice_equal(word, slice_from(name))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool is_leap(uint64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* "2026-11-21" as days since 1970. */
static bool take_day(struct slice word, struct price *ret)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct slice rest = word;
	uint64_t year, month, day;
	int64_t days = 0;

	if (word.size + 1 != sizeof(ret->read_on) || word.data[4] != '-' || word.data[7] != '-' ||
	    text_to_u64(slice_cut(&rest, '-'), YEAR_MAX, &year) ||
	    text_to_u64(slice_cut(&rest, '-'), 12, &month) || text_to_u64(rest, 31, &day) ||
	    year < YEAR_MIN || month < 1 || day < 1 ||
	    day > lengths[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U))
		return false;
	for (uint64_t y = 1970; y < year; y++)
		days += is_leap(y) ? 366 : 365;
	for (uint64_t m = 1; m < month; m++)
		days += lengths[m - 1] + (m == 2 && is_leap(year) ? 1 : 0);
	ret->read_day = (int32_t)(days + (int64_t)day - 1);
	memcpy(ret->read_on, word.data, word.size);
	ret->read_on[word.size] = '\0';
	return true;
}

/* --- rows ------------------------------------------------------------------------------- */

/* NULL, or what is wrong. */
static const char *read_row(struct slice line, struct price *ret)
{
	struct slice words[COLUMNS];
	int unit = 0, state = 0;

	for (int i = 0; i < COLUMNS; i++) {
		words[i] = next_word(&line);
		if (words[i].size == 0)
			return "a row has seven columns: provider item price unit read-on state"
			       " source";
	}
	if (next_word(&line).size > 0)
		return "a row has seven columns, this one has more";
	if (!take_text(words[0], ret->provider, sizeof(ret->provider)) ||
	    !take_text(words[1], ret->item, sizeof(ret->item)))
		return "provider and item are words of at most 31 letters";
	if (!price_amount(words[2], &ret->amount))
		return "the price is a number such as 0.0004";
	if (!take_name(words[3], &units[0].name, sizeof(units[0]), PRICE_UNITS, &unit))
		return "the unit is GB, GB-month, 1000-requests, 1000000-requests, hour or "
		       "replicas";
	if (!take_day(words[4], ret))
		return "the day it was read on is written 2026-11-21";
	if (!take_name(words[5], states, sizeof(states[0]), PRICE_STATES, &state))
		return "the state is read, unconfirmed or yours";
	if (!take_text(words[6], ret->source, sizeof(ret->source)))
		return "the source is a URL of at most 159 letters, or -";
	ret->unit = (enum price_unit)unit;
	ret->state = (enum price_state)state;
	return NULL;
}

static struct price *find(struct prices *p, const char *provider, const char *item)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->rows[i].provider, provider) == 0 &&
		    strcmp(p->rows[i].item, item) == 0)
			return &p->rows[i];
	return NULL;
}

static enum err add_row(struct prices *p, const struct price *row)
{
	struct price *former = find(p, row->provider, row->item);

	if (!former && p->count == PRICES_MAX)
		return ERR_TOO_BIG;
	*(former ? former : &p->rows[p->count++]) = *row;
	return OK;
}

static enum err add_lines(struct prices *p, struct slice text, char why[PRICES_WHY_BYTES])
{
	for (size_t number = 1; text.size > 0; number++) {
		struct slice line = slice_cut(&text, '\n'), look = line;
		struct slice first = next_word(&look);
		struct price row = { 0 };

		if (first.size == 0 || first.data[0] == '#')
			continue;
		const char *wrong = read_row(line, &row);
		if (wrong) {
			snprintf(why, PRICES_WHY_BYTES, "line %zu: %s", number, wrong);
			return ERR_INVALID;
		}
		if (add_row(p, &row)) {
			snprintf(why, PRICES_WHY_BYTES, "line %zu: more than %d prices", number,
				 PRICES_MAX);
			return ERR_TOO_BIG;
		}
	}
	return OK;
}

enum err prices_add(struct prices *p, struct slice text, char why[PRICES_WHY_BYTES])
{
	struct prices *copy = NEW(struct prices);

	*copy = *p;
	enum err err = add_lines(copy, text, why);
	if (!err)
		*p = *copy;
	memory_free(copy);
	return err;
}

void prices_default(struct prices *p)
{
	char why[PRICES_WHY_BYTES];

	p->count = 0;
	enum err err = prices_add(p, slice_from(prices_text), why);
	assert(!err); /* what is compiled in was read by a test */
}

/* --- asking ----------------------------------------------------------------------------- */
const struct price *prices_find(const struct prices *p, const char *provider, const char *item)
{
	return find((struct prices *)(uintptr_t)p, provider, item);
}

bool prices_has(const struct prices *p, const char *provider)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->rows[i].provider, provider) == 0)
			return true;
	return false;
}

double price_each(const struct price *price)
{
	return price->amount / units[price->unit].of;
}

const char *price_unit_text(enum price_unit unit)
{
	return units[unit].text;
}

/* --- whose store ------------------------------------------------------------------------ */
static bool has(struct slice text, const char *part)
{
	return text.size > 0 && memmem(text.data, text.size, part, strlen(part));
}

static bool is_private(struct slice endpoint)
{
	static const char *const beginnings[] = {
		"://127.", "://localhost", "://[::1]", "://10.", "://192.168.",
	};

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (has(endpoint, beginnings[i]))
			return true;
	return false;
}

const char *prices_store_of(const char *url)
{
	struct slice query = slice_from(url), path = slice_cut(&query, '?'), endpoint = { 0 };

	while (query.size > 0) {
		struct slice value = slice_cut(&query, '&');
		if (slice_equal(slice_cut(&value, '='), SLICE("endpoint")))
			endpoint = value;
	}
	if (slice_starts_with(path, SLICE("file:")) || slice_starts_with(path, SLICE("memory:")))
		return "own";
	if (!slice_starts_with(path, SLICE("s3:")))
		return NULL;
	if (!endpoint.data || has(endpoint, ".amazonaws.com"))
		return has(path, "--x-s3") ? "aws-s3-express" : "aws-s3";
	if (has(endpoint, ".r2.cloudflarestorage.com"))
		return "r2";
	if (has(endpoint, ".backblazeb2.com"))
		return "b2";
	return is_private(endpoint) ? "own" : NULL;
}
