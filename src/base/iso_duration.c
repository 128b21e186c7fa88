#include "base/iso_duration.h"

enum {
	FRACTION_DIGITS_MAX = 9,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
	MS_PER_S = 1000,
	S_PER_DAY = 86400,
};

struct duration {
	int64_t seconds, ns; /* both count, each with its own sign */
};

static bool take(struct slice *s, char c)
{
	if (s->size == 0 || s->data[0] != c)
		return false;
	*s = slice_part(*s, 1, s->size);
	return true;
}

static bool take_letter(struct slice *s, char upper)
{
	return take(s, upper) || take(s, (char)(upper | 0x20));
}

/* True: a minus. */
static bool take_sign(struct slice *s)
{
	bool is_negative = take(s, '-');

	if (!is_negative)
		(void)take(s, '+');
	return is_negative;
}

static bool take_digit(struct slice *s, int *ret)
{
	if (s->size == 0 || s->data[0] < '0' || s->data[0] > '9')
		return false;
	*ret = s->data[0] - '0';
	*s = slice_part(*s, 1, s->size);
	return true;
}

/* A zero has its sign too, for the fraction behind it. */
static bool take_number(struct slice *s, int64_t *ret, bool *ret_is_negative)
{
	int digit;
	bool is_negative = take_sign(s), has_digits = false;
	int64_t number = 0;

	for (; take_digit(s, &digit); has_digits = true)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, is_negative ? -digit : digit, &number))
			return false;
	*ret = number;
	*ret_is_negative = is_negative;
	return has_digits;
}

/* A point may have nothing behind it. */
static bool take_fraction(struct slice *s, bool is_negative, int64_t *ret_ns)
{
	int digit, count = 0;
	int64_t unit = NS_PER_S, ns = 0;

	if (!take(s, '.') && !take(s, ','))
		return true;
	for (; take_digit(s, &digit); count++) {
		unit /= 10;
		ns += unit * digit;
	}
	*ret_ns = is_negative ? -ns : ns;
	return count <= FRACTION_DIGITS_MAX;
}

/* A number and its letter; false, and nothing is taken, when something else stands there. */
static bool take_part(struct slice *s, char letter, int64_t unit_s, struct duration *d)
{
	struct slice rest = *s;
	int64_t number, ns = 0;
	bool is_negative;

	if (!take_number(&rest, &number, &is_negative) ||
	    (letter == 'S' && !take_fraction(&rest, is_negative, &ns)) ||
	    !take_letter(&rest, letter) || __builtin_mul_overflow(number, unit_s, &number) ||
	    __builtin_add_overflow(d->seconds, number, &number))
		return false;
	*s = rest;
	*d = (struct duration) { number, ns };
	return true;
}

static bool take_duration(struct slice s, struct duration *ret)
{
	struct duration d = { 0 };
	bool is_negative = take_sign(&s);

	if (!take_letter(&s, 'P'))
		return false;
	bool has_days = take_part(&s, 'D', S_PER_DAY, &d);
	bool wants_time = take_letter(&s, 'T');
	bool has_time = wants_time && take_part(&s, 'H', 3600, &d);
	has_time |= wants_time && take_part(&s, 'M', 60, &d);
	has_time |= wants_time && take_part(&s, 'S', 1, &d);
	if (s.size > 0 || wants_time != has_time || !(has_days || has_time))
		return false;
	if (is_negative && __builtin_sub_overflow(0, d.seconds, &d.seconds))
		return false;
	ret->seconds = d.seconds;
	ret->ns = is_negative ? -d.ns : d.ns;
	return true;
}

enum err iso_duration_parse(struct slice s, int64_t *ret_ms)
{
	struct duration d;
	int64_t ms;

	if (!take_duration(s, &d))
		return ERR_INVALID;
	if (d.ns < 0) {
		d.ns += NS_PER_S;
		if (__builtin_sub_overflow(d.seconds, 1, &d.seconds))
			return ERR_INVALID;
	}
	if (d.seconds < 0)
		return ERR_INVALID;
	if (__builtin_mul_overflow(d.seconds, MS_PER_S, &ms) ||
	    __builtin_add_overflow(ms, d.ns / NS_PER_MS, &ms))
		ms = INT64_MAX;
	*ret_ms = ms;
	return OK;
}
