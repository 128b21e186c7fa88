#include "streams/catalog/config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/iso_duration.h"
#include "streams/catalog/config_rows.h"

enum { NUMBER_TEXT_BYTES_MAX = 40, LIST_ITEMS_MAX = 256 };

/* --- the table ---------------------------------------------------------------------------------
 */

static size_t count_shared(void)
{
	size_t count = 0;

	for (size_t i = 0; i < config_topic_rows_count; i++)
		count += config_topic_rows[i].broker_name != NULL;
	return count;
}

size_t config_count(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_TOPIC:
		return config_topic_rows_count;
	case CONFIG_BROKER:
		return config_broker_rows_count + count_shared();
	case CONFIG_GROUP:
		return config_group_rows_count;
	case CONFIG_BROKER_LOGGER:
	case CONFIG_CLIENT_METRICS:
		break;
	}
	return 0;
}

/* What topics fall back to, as a setting of brokers. */
static struct config_row shared_row(size_t wanted)
{
	const struct config_row *row = config_topic_rows;

	for (;; row++) {
		if (!row->broker_name)
			continue;
		if (wanted == 0)
			break;
		wanted--;
	}
	struct config_row ret = *row;
	ret.name = row->broker_name;
	return ret;
}

struct config_row config_row_at(enum config_kind kind, size_t i)
{
	if (kind == CONFIG_TOPIC)
		return config_topic_rows[i];
	if (kind == CONFIG_GROUP)
		return config_group_rows[i];
	if (i < config_broker_rows_count)
		return config_broker_rows[i];
	return shared_row(i - config_broker_rows_count);
}

bool config_find(enum config_kind kind, struct slice name, struct config_row *ret)
{
	size_t count = config_count(kind);

	for (size_t i = 0; i < count; i++) {
		*ret = config_row_at(kind, i);
		if (slice_equal(slice_from(ret->name), name))
			return true;
	}
	return false;
}

/* --- values ------------------------------------------------------------------------------------
 */

bool config_list_next(struct slice *rest, struct slice *ret)
{
	while (rest->size > 0) {
		*ret = slice_trim(slice_cut(rest, ','), " ");
		if (ret->size > 0)
			return true;
	}
	return false;
}

bool config_list_has(struct slice list, struct slice wanted)
{
	struct slice item;

	while (config_list_next(&list, &item))
		if (slice_equal(item, wanted))
			return true;
	return false;
}

bool config_duration(struct slice value, struct slice word, int64_t *ret_ms)
{
	return slice_starts_with(value, word) && value.size > word.size &&
	       value.data[word.size] == ':' &&
	       !iso_duration_parse(slice_part(value, word.size + 1, value.size), ret_ms);
}

static bool is_choice(const char *choices, struct slice word)
{
	struct slice rest = slice_from(choices);
	int64_t ignored;

	while (rest.size > 0) {
		struct slice choice = slice_cut(&rest, '|');
		struct slice before = slice_cut(&choice, ':');
		if (choice.size == 0 ? slice_equal(before, word)
				     : config_duration(word, before, &ignored))
			return true;
	}
	return false;
}

static bool parse_number(struct slice value, int64_t *ret)
{
	char text[NUMBER_TEXT_BYTES_MAX + 1], *end;

	if (value.size == 0 || value.size > NUMBER_TEXT_BYTES_MAX || value.data[0] == ' ')
		return false;
	memcpy(text, value.data, value.size);
	text[value.size] = 0;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (errno || end != text + value.size)
		return false;
	*ret = number;
	return true;
}

static bool parse_double(struct slice value, double *ret)
{
	char text[NUMBER_TEXT_BYTES_MAX + 1], *end;

	if (value.size == 0 || value.size > NUMBER_TEXT_BYTES_MAX)
		return false;
	for (size_t i = 0; i < value.size; i++)
		if (!memchr("0123456789.eE+-", value.data[i], 15))
			return false;
	memcpy(text, value.data, value.size);
	text[value.size] = 0;
	*ret = strtod(text, &end);
	return end == text + value.size;
}

static const char *list_fault(struct arena *a, const struct config_row *row, struct slice value)
{
	struct slice items[LIST_ITEMS_MAX], item;
	size_t count = 0;

	while (config_list_next(&value, &item)) {
		if (row->choices && !is_choice(row->choices, item))
			return arena_format(a, "its elements are of %s", row->choices);
		for (size_t i = 0; i < count; i++)
			if (slice_equal(items[i], item))
				return "it has an element twice";
		if (count == LIST_ITEMS_MAX)
			return "it has too many elements";
		items[count++] = item;
	}
	return NULL;
}

static bool is_printable(struct slice value)
{
	for (size_t i = 0; i < value.size; i++)
		if (value.data[i] < ' ' || value.data[i] == 0x7f)
			return false;
	return true;
}

const char *config_value_fault(struct arena *a, const struct config_row *row, struct slice value)
{
	int64_t number;
	double part;

	if (value.size > CONFIG_VALUE_BYTES_MAX || !is_printable(value))
		return "it is too long or has control characters";
	switch (row->type) {
	case CONFIG_BOOLEAN:
	case CONFIG_STRING:
		if (row->choices && !is_choice(row->choices, value))
			return arena_format(a, "it is one of %s", row->choices);
		return NULL;
	case CONFIG_INT:
	case CONFIG_LONG:
		if (!parse_number(value, &number))
			return "it is a whole number";
		if (number < row->min || number > row->max)
			return arena_format(a, "it is a number from %lld to %lld",
					    (long long)row->min, (long long)row->max);
		return NULL;
	case CONFIG_DOUBLE:
		if (!parse_double(value, &part) || part < (double)row->min ||
		    part > (double)row->max)
			return arena_format(a, "it is a number from %lld to %lld",
					    (long long)row->min, (long long)row->max);
		return NULL;
	case CONFIG_LIST:
		return list_fault(a, row, value);
	}
	return "it has no type";
}

/* --- what is stored ----------------------------------------------------------------------------
 */

enum err config_stored(struct arena *a, struct cell *c, enum config_kind kind,
		       struct slice resource, struct config_value **ret, size_t *ret_count)
{
	size_t count = 0, max = config_count(kind);
	struct config_value *values = arena_take_array(a, max + 1, sizeof(*values));
	sqlite3_stmt *st = cell_statement(c, "SELECT name, value FROM config WHERE kind = ?1"
					     " AND resource = ?2 ORDER BY name");

	cell_bind_int(st, 1, kind);
	cell_bind_text(st, 2, resource);
	while (count < max && cell_next(c, st)) {
		values[count].name = arena_copy(a, cell_column_text(st, 0));
		values[count++].value = arena_copy(a, cell_column_text(st, 1));
	}
	sqlite3_reset(st);
	*ret = values;
	*ret_count = count;
	return OK;
}

const struct config_value *config_value_find(const struct config_value *values, size_t count,
					     struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal(values[i].name, name))
			return &values[i];
	return NULL;
}

enum err config_resources(struct arena *a, struct cell *c, enum config_kind kind,
			  struct slice **ret, size_t *ret_count)
{
	size_t count = 0, max = 0;
	sqlite3_stmt *st = cell_statement(c, "SELECT count(DISTINCT resource) FROM config"
					     " WHERE kind = ?1");

	cell_bind_int(st, 1, kind);
	if (cell_next(c, st))
		max = (size_t)sqlite3_column_int64(st, 0);
	struct slice *names = arena_take_array(a, max + 1, sizeof(*names));
	st = cell_statement(c, "SELECT DISTINCT resource FROM config WHERE kind = ?1"
			       " ORDER BY resource");
	cell_bind_int(st, 1, kind);
	while (count < max && cell_next(c, st))
		names[count++] = arena_copy(a, cell_column_text(st, 0));
	sqlite3_reset(st);
	*ret = names;
	*ret_count = count;
	return OK;
}

static int64_t number_of(struct slice value, int64_t otherwise)
{
	int64_t number;

	return parse_number(value, &number) ? number : otherwise;
}

int64_t config_number(struct slice value, int64_t otherwise)
{
	return number_of(value, otherwise);
}

static int64_t stored_number(struct cell *c, enum config_kind kind, struct slice resource,
			     const char *name, int64_t otherwise)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT value FROM config WHERE kind = ?1 AND resource = ?2 AND name = ?3");

	cell_bind_int(st, 1, kind);
	cell_bind_text(st, 2, resource);
	cell_bind_text(st, 3, slice_from(name));
	if (cell_next(c, st))
		otherwise = number_of(cell_column_text(st, 0), otherwise);
	sqlite3_reset(st);
	return otherwise;
}

int64_t config_broker_number(struct cell *c, const char *name, int64_t otherwise)
{
	return stored_number(c, CONFIG_BROKER, SLICE(""), name, otherwise);
}

int64_t config_group_number(struct cell *c, struct slice group, const char *name)
{
	struct config_row row;

	if (!config_find(CONFIG_GROUP, slice_from(name), &row))
		return 0;
	int64_t number = number_of(slice_from(row.value), 0);
	if (row.broker_name)
		number = config_broker_number(c, row.broker_name, number);
	if (group.size > CONFIG_RESOURCE_BYTES_MAX)
		return number;
	return stored_number(c, CONFIG_GROUP, group, name, number);
}

struct slice config_group_text(struct arena *a, struct cell *c, struct slice group,
			       const char *name)
{
	struct config_row row;
	sqlite3_stmt *st = cell_statement(
		c, "SELECT value FROM config WHERE kind = ?1 AND resource = ?2 AND name = ?3");

	if (!config_find(CONFIG_GROUP, slice_from(name), &row))
		return SLICE("");
	if (group.size > CONFIG_RESOURCE_BYTES_MAX)
		return slice_from(row.value);
	cell_bind_int(st, 1, CONFIG_GROUP);
	cell_bind_text(st, 2, group);
	cell_bind_text(st, 3, slice_from(name));
	struct slice ret =
		cell_next(c, st) ? arena_copy(a, cell_column_text(st, 0)) : slice_from(row.value);
	sqlite3_reset(st);
	return ret;
}

/* --- what topics are bound to ------------------------------------------------------------------
 */

static void take_cleaner_rule(struct slice name, struct slice value, struct config_topic_rules *ret)
{
	if (slice_equal(name, SLICE("log.cleaner.min.compaction.lag.ms")))
		ret->min_compaction_lag_ms = number_of(value, ret->min_compaction_lag_ms);
	else if (slice_equal(name, SLICE("log.cleaner.max.compaction.lag.ms")))
		ret->max_compaction_lag_ms = number_of(value, ret->max_compaction_lag_ms);
	else if (slice_equal(name, SLICE("log.cleaner.delete.retention.ms")))
		ret->delete_retention_ms = number_of(value, ret->delete_retention_ms);
	else if (slice_equal(name, SLICE("log.cleaner.min.cleanable.ratio")))
		(void)parse_double(value, &ret->min_cleanable_ratio);
}

/* By the names of brokers: topics' names are found in the rows. */
static void take_rule(struct slice name, struct slice value, struct config_topic_rules *ret)
{
	if (slice_equal(name, SLICE("message.max.bytes"))) {
		ret->message_bytes_max = number_of(value, ret->message_bytes_max);
	} else if (slice_equal(name, SLICE("log.message.timestamp.type"))) {
		ret->is_log_append_time = slice_equal(value, SLICE("LogAppendTime"));
	} else if (slice_equal(name, SLICE("log.message.timestamp.after.max.ms"))) {
		ret->timestamp_after_max_ms = number_of(value, ret->timestamp_after_max_ms);
	} else if (slice_equal(name, SLICE("log.message.timestamp.before.max.ms"))) {
		ret->timestamp_before_max_ms = number_of(value, ret->timestamp_before_max_ms);
	} else if (slice_equal(name, SLICE("log.cleanup.policy"))) {
		ret->is_compacted = config_list_has(value, SLICE("compact"));
		ret->is_deleted = config_list_has(value, SLICE("delete"));
	} else if (slice_equal(name, SLICE("log.retention.ms"))) {
		ret->retention_ms = number_of(value, ret->retention_ms);
	} else if (slice_equal(name, SLICE("log.retention.bytes"))) {
		ret->retention_bytes = number_of(value, ret->retention_bytes);
	} else {
		take_cleaner_rule(name, value, ret);
	}
}

static void take_rules(struct cell *c, enum config_kind kind, struct slice resource,
		       struct config_topic_rules *ret)
{
	struct config_row row;
	sqlite3_stmt *st = cell_statement(c, "SELECT name, value FROM config WHERE kind = ?1"
					     " AND resource = ?2");

	cell_bind_int(st, 1, kind);
	cell_bind_text(st, 2, resource);
	while (cell_next(c, st)) {
		struct slice name = cell_column_text(st, 0);
		if (kind == CONFIG_TOPIC) {
			if (!config_find(CONFIG_TOPIC, name, &row) || !row.broker_name)
				continue;
			name = slice_from(row.broker_name);
		}
		take_rule(name, cell_column_text(st, 1), ret);
	}
	sqlite3_reset(st);
}

void config_topic_rules(struct cell *c, struct slice topic, struct config_topic_rules *ret)
{
	*ret = (struct config_topic_rules) {
		.message_bytes_max = CONFIG_MESSAGE_BYTES_DEFAULT,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = CONFIG_TIMESTAMP_AFTER_MAX_MS,
		.is_deleted = true,
		.retention_ms = CONFIG_RETENTION_MS,
		.retention_bytes = -1,
		.max_compaction_lag_ms = INT64_MAX,
		.delete_retention_ms = CONFIG_DELETE_RETENTION_MS,
		.min_cleanable_ratio = 0.5,
	};
	take_rules(c, CONFIG_BROKER, SLICE(""), ret);
	take_rules(c, CONFIG_TOPIC, topic, ret);
}
