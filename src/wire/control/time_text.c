#include "wire/control/time_text.h"

#include <stdio.h>

#include "base/text.h"

enum { DAY_S = 86400, LAST_S_YEARS = 9999 };

/* Days since 1970-01-01 of a date of the Gregorian calendar: years begin in March, so that the leap
 * day is the last of one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

void time_text(int64_t time_s, char ret[TIME_TEXT_BYTES])
{
	int64_t last_s = days_of(LAST_S_YEARS, 12, 31) * DAY_S + DAY_S - 1;

	if (time_s == 0) {
		snprintf(ret, TIME_TEXT_BYTES, "0001-01-01T00:00:00Z");
		return;
	}
	if (time_s < 0)
		time_s = 0;
	if (time_s > last_s)
		time_s = last_s;
	int64_t days = time_s / DAY_S + 719468, seconds = time_s % DAY_S;
	int64_t era = days / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;
	int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	int64_t month = month_from_march + (month_from_march < 10 ? 3 : -9);
	int64_t year = year_of_era + era * 400 + (month <= 2);
	snprintf(ret, TIME_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)(year % 10000),
		 (int)(month % 100), (int)(day % 100), (int)(seconds / 3600 % 100),
		 (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* Exactly `digits` digits at `offset`, at most `max`. */
static bool number_at(struct slice text, size_t offset, size_t digits, uint64_t max, int64_t *ret)
{
	uint64_t value;

	if (text.size < offset + digits ||
	    text_to_u64(slice_part(text, offset, digits), max, &value))
		return false;
	*ret = (int64_t)value;
	return true;
}

/* What stands behind the seconds: a fraction that is cut off, then Z or an offset. */
static enum err parse_end(struct slice end, int64_t *ret_offset_s)
{
	int64_t hours, minutes;
	size_t i = 0;

	if (end.size > 0 && end.data[0] == '.') {
		for (i = 1; i < end.size && end.data[i] >= '0' && end.data[i] <= '9'; i++)
			;
		if (i == 1)
			return ERR_INVALID;
	}
	end = slice_part(end, i, end.size);
	*ret_offset_s = 0;
	if (slice_equal(end, SLICE("Z")))
		return OK;
	if (end.size != 6 || (end.data[0] != '+' && end.data[0] != '-') || end.data[3] != ':' ||
	    !number_at(end, 1, 2, 23, &hours) || !number_at(end, 4, 2, 59, &minutes))
		return ERR_INVALID;
	*ret_offset_s = (hours * 60 + minutes) * (end.data[0] == '-' ? -60 : 60);
	return OK;
}

enum err time_parse(struct slice text, int64_t *ret_s)
{
	int64_t year, month, day, hour, minute, second, offset_s;

	if (text.size < 20 || text.data[4] != '-' || text.data[7] != '-' || text.data[10] != 'T' ||
	    text.data[13] != ':' || text.data[16] != ':' || !number_at(text, 0, 4, 9999, &year) ||
	    !number_at(text, 5, 2, 12, &month) || !number_at(text, 8, 2, 31, &day) ||
	    !number_at(text, 11, 2, 23, &hour) || !number_at(text, 14, 2, 59, &minute) ||
	    !number_at(text, 17, 2, 60, &second) || month == 0 || day == 0)
		return ERR_INVALID;
	enum err err = parse_end(slice_part(text, 19, text.size), &offset_s);
	if (err)
		return err;
	int64_t time_s = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	if (year == 1)
		time_s = 0;
	else if (time_s - offset_s < 1)
		time_s = 1;
	else
		time_s -= offset_s;
	*ret_s = time_s;
	return OK;
}
