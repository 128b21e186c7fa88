#include "cli/where.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/duration.h"

#define TIME_MS_MAX INT64_C(253402300799999) /* the last of the year 9999 */

/* ".123", as times are printed; what is finer than a millisecond does not count. */
static int parse_fraction(const char **text)
{
	int ms = 0, weight = 100;

	if (**text != '.' || !isdigit((unsigned char)(*text)[1]))
		return 0;
	for (++*text; isdigit((unsigned char)**text); ++*text) {
		ms += (**text - '0') * weight;
		weight /= 10;
	}
	return ms;
}

/* Without seconds, and without a time of day, it is the beginning of that minute or day. */
static enum err parse_time(const char *text, int64_t *ret_ms)
{
	const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm parts = { 0 };
		const char *end = strptime(text, forms[i], &parts);
		int ms = end && i == 0 ? parse_fraction(&end) : 0;
		if (!end || (*end && strcmp(end, "Z") != 0))
			continue;
		int day = parts.tm_mday;
		time_t seconds = timegm(&parts);
		if (seconds < 0 || parts.tm_mday != day) /* timegm makes March of February 30th */
			return ERR_INVALID;
		*ret_ms = (int64_t)seconds * 1000 + ms;
		return OK;
	}
	return ERR_INVALID;
}

static enum err parse_number(const char *text, int64_t *ret)
{
	uint64_t number;

	if (text_to_u64(slice_from(text), INT64_MAX, &number))
		return ERR_INVALID;
	*ret = (int64_t)number;
	return OK;
}

enum err where_parse(const char *text, uint64_t now_ms, struct where *ret)
{
	struct where where = { 0 };
	int64_t seconds;

	if (strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0) {
		where.kind = text[0] == 'e' ? WHERE_EARLIEST : WHERE_LATEST;
	} else if (text[0] == '-' || text[0] == '+') {
		where.kind = WHERE_RELATIVE;
		if (parse_number(text + 1, &where.number))
			return ERR_INVALID;
		if (text[0] == '-')
			where.number = -where.number;
	} else if (!parse_number(text, &where.number)) {
		where.kind = WHERE_OFFSET;
	} else if (!duration_parse(slice_from(text), &seconds)) {
		where.kind = WHERE_TIME;
		where.number = (int64_t)now_ms - seconds * 1000;
	} else if (!parse_time(text, &where.number)) {
		where.kind = WHERE_TIME;
	} else {
		return ERR_INVALID;
	}
	*ret = where;
	return OK;
}

void where_time_text(int64_t time_ms, char ret[WHERE_TIME_TEXT_BYTES])
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm parts;
	char text[WHERE_TIME_TEXT_BYTES - 8];

	if (time_ms < 0 || time_ms > TIME_MS_MAX || !gmtime_r(&seconds, &parts) ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
		snprintf(ret, WHERE_TIME_TEXT_BYTES, "-");
	else
		snprintf(ret, WHERE_TIME_TEXT_BYTES, "%s.%03dZ", text, (int)(time_ms % 1000));
}
