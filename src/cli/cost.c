/* hanse cost: GET /v1/usage of the local node, or a load from flags; then the prices. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/scope.h"
#include "cli/admin_client.h"
#include "cli/cost.h"
#include "cli/output.h"
#include "server/options.h"

enum {
	HTTP_OK = 200,
	DAY_MS = 24 * 3600 * 1000,
	READ_BYTES = 65536,
	RETENTION_DAYS_DEFAULT = 7, /* as Kafka's */
	USAGE_TIMEOUT_MS = 30000,   /* it counts every file there is */
};

#define DAYS_PER_MONTH (COST_SECONDS_PER_MONTH / 86400.0)
#define BYTES_PER_GB 1e9

static const struct cost_load default_load = {
	.fan_out = 1,
	.partitions = 30,
	.agents = 1,
	.flush_ms = 1000.0 / COST_PUTS_PER_S_MAX, /* what an agent does unless told otherwise */
};

/* --- prices ----------------------------------------------------------------------------- */
static enum command_status read_file(const char *path, struct buf *ret)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	char part[READ_BYTES];
	ssize_t size = fd < 0 ? -1 : read(fd, part, sizeof(part));

	while (size > 0 && ret->size <= PRICES_FILE_BYTES_MAX) {
		buf_add(ret, part, (size_t)size);
		size = read(fd, part, sizeof(part));
	}
	if (size < 0) {
		say("--prices %s cannot be read: %s", path, strerror(errno));
		return COMMAND_REFUSED;
	}
	if (ret->size > PRICES_FILE_BYTES_MAX) {
		say("--prices %s has more than %d bytes", path, PRICES_FILE_BYTES_MAX);
		return COMMAND_REFUSED;
	}
	return COMMAND_DONE;
}

static enum command_status load_prices(struct cost_report *r, const struct command_line *l)
{
	const char *path = l->values[FLAG_PRICES];
	char why[PRICES_WHY_BYTES] = "";
	struct buf text;

	prices_default(&r->prices);
	if (!path)
		return COMMAND_DONE;
	buf_init(&text);
	enum command_status status = read_file(path, &text);
	if (status == COMMAND_DONE && prices_add(&r->prices, buf_slice(&text), why)) {
		say("%s, %s", path, why);
		say_more("hanse-cost(1) says how a row is written.");
		status = COMMAND_REFUSED;
	}
	buf_done(&text);
	return status;
}

static enum command_status check_store(const struct cost_report *r, const char *store)
{
	if (prices_has(&r->prices, store))
		return COMMAND_DONE;
	say("there are no prices of \"%.60s\": known are aws-s3, aws-s3-express, r2, b2, own, and"
	    " those of --prices",
	    store);
	return COMMAND_MISUSED;
}

/* --- flags ------------------------------------------------------------------------------ */
static enum command_status take_number(const struct command_line *l, enum flag flag, double min,
				       double max, double *ret)
{
	double value;

	if (!l->values[flag])
		return COMMAND_DONE;
	if (!price_amount(slice_from(l->values[flag]), &value) || value < min || value > max) {
		say("--%s %.60s is not a number from %g to %g", flag_rows[flag].name,
		    l->values[flag], min, max);
		return COMMAND_MISUSED;
	}
	*ret = value;
	return COMMAND_DONE;
}

struct number_flag {
	enum flag flag;
	double min, max;
	double *ret;
};

/* What only a load from flags needs. */
static enum command_status check_flags(const struct command_line *l)
{
	static const enum flag flags[] = { FLAG_FAN_OUT, FLAG_AGENTS, FLAG_FLUSH_MS };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (command_line_has(l, flags[i]) && !command_line_has(l, FLAG_GB_MONTH)) {
			say("--%s goes with --gb-month: without that, the node has counted it",
			    flag_rows[flags[i]].name);
			return COMMAND_MISUSED;
		}
	return COMMAND_DONE;
}

/* `ret_days` stays as it was without --retention-days. */
static enum command_status take_flags(const struct command_line *l, struct cost_load *load,
				      double *ret_days)
{
	const struct number_flag rows[] = {
		{ FLAG_GB_MONTH, 0, 1e12, &load->produced_gb },
		{ FLAG_FAN_OUT, 0, 1e6, &load->fan_out },
		{ FLAG_RETENTION_DAYS, 0, 36500, ret_days },
		{ FLAG_PARTITIONS, 1, 1e6, &load->partitions },
		{ FLAG_AGENTS, 1, COST_AGENTS_MAX, &load->agents },
		{ FLAG_FLUSH_MS, 1, COST_FLUSH_MS_MAX, &load->flush_ms },
	};
	enum command_status status = COMMAND_DONE;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && status == COMMAND_DONE; i++)
		status = take_number(l, rows[i].flag, rows[i].min, rows[i].max, rows[i].ret);
	return status;
}

/* --- what the node says ----------------------------------------------------------------- */
static enum command_status unreachable(enum err err, const char *path, const char *why)
{
	if (err == ERR_NOT_FOUND)
		say("no node with a control process runs here: there is no %s", path);
	else
		say("the node did not answer: %s: %s", path, why);
	say_more("Without a node: `hanse cost --gb-month 100 --fan-out 2 --retention-days 7`.");
	return COMMAND_UNREACHABLE;
}

static enum command_status ask_node(struct cost_report *r, const struct command_line *l)
{
	char path[OPTION_VALUE_BYTES_MAX + 32], run_dir[OPTION_VALUE_BYTES_MAX];
	char why[COMMAND_WHY_BYTES], reason[SOCKET_WHY_BYTES];
	struct kafka_address address;
	struct slice body = { 0 };
	unsigned code = 0;

	if (command_line_kafka(l, &address, why)) {
		say("%s", why);
		return COMMAND_MISUSED;
	}
	options_run_dir(run_dir);
	options_admin_path(command_line_value(l, FLAG_RUN_DIR, run_dir), address.port, path);
	enum err err =
		admin_get(&r->arena, path, "/v1/usage", USAGE_TIMEOUT_MS, &code, &body, reason);
	if (err)
		return unreachable(err, path, reason);
	if (code != HTTP_OK) {
		say("the node answered with HTTP status %u: %.*s", code, SLICE_ARG(body));
		return COMMAND_UNREACHABLE;
	}
	r->usage = json_loadb((const char *)body.data, body.size, 0, NULL);
	if (!json_is_object(r->usage)) {
		say("the node's answer is not the JSON that was expected");
		return COMMAND_UNREACHABLE;
	}
	if (!json_is_array(json_object_get(r->usage, "buckets"))) {
		say("this node stands by: only the one that leads has the counts, %s",
		    json_string_value(json_object_get(r->usage, "leader")) ?: "which is not known");
		say_more("Run `hanse cost` there.");
		return COMMAND_UNREACHABLE;
	}
	return COMMAND_DONE;
}

static double number(const json_t *object, const char *name)
{
	double value = json_number_value(json_object_get(object, name));

	return value > 0 ? value : 0;
}

static struct cost_count read_count(const json_t *sum)
{
	return (struct cost_count) {
		.put = number(sum, "put") + number(sum, "put_new") + number(sum, "part"),
		.get = number(sum, "get") + number(sum, "head"),
		.list = number(sum, "list"),
		.delete = number(sum, "delete"),
		.errors = number(sum, "errors"),
		.sent_bytes = number(sum, "sent_bytes"),
		.received_bytes = number(sum, "received_bytes"),
		.produced_bytes = number(sum, "produced_bytes"),
		.fetched_bytes = number(sum, "fetched_bytes"),
		.control_bytes = number(sum, "control_bytes"),
		.since_ms = number(sum, "since_ms"),
		.updated_ms = number(sum, "updated_ms"),
	};
}

static struct slice text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return slice_from(text ? text : "");
}

static enum command_status read_buckets(struct cost_report *r, const char *store)
{
	const json_t *rows = json_object_get(r->usage, "buckets");

	if (json_array_size(rows) > COST_BUCKETS_MAX) {
		say("the cluster has used %zu buckets, more than this command tells apart: see"
		    " GET /v1/usage",
		    json_array_size(rows));
		return COMMAND_REFUSED;
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		struct cost_bucket *b = &r->buckets[r->bucket_count++];

		b->name = text_of(row, "bucket");
		b->purpose = text_of(row, "purpose");
		b->store = store ? store : prices_store_of((const char *)b->name.data);
		b->month = read_count(json_object_get(row, "this_month"));
		b->all = read_count(json_object_get(row, "in_all"));
	}
	return COMMAND_DONE;
}

static bool is_records(const struct cost_bucket *b)
{
	return slice_equal(b->purpose, SLICE("records"));
}

/* The bucket of the records is the one that was used last; those of the journal are known. */
static bool is_current(const struct cost_report *r, const struct cost_bucket *b)
{
	const json_t *journal = json_object_get(r->usage, "journal_buckets");

	for (size_t i = 0; is_records(b) && i < r->bucket_count; i++)
		if (is_records(&r->buckets[i]) && r->buckets[i].all.updated_ms > b->all.updated_ms)
			return false;
	if (is_records(b))
		return true;
	for (size_t i = 0; i < json_array_size(journal); i++)
		if (slice_equal(b->name,
				slice_from(json_string_value(json_array_get(journal, i)) ?: "")))
			return true;
	return false;
}

/* The load, as far as flags do not say otherwise. */
static void measure(struct cost_report *r)
{
	double now_ms = number(r->usage, "now_ms"), since_ms = now_ms, produced = 0, fetched = 0;
	const json_t *stored = json_object_get(r->usage, "stored");

	for (size_t i = 0; i < r->bucket_count; i++) {
		const struct cost_bucket *b = &r->buckets[i];
		if (b->month.since_ms > 0 && b->month.since_ms < since_ms)
			since_ms = b->month.since_ms;
		produced += b->month.produced_bytes;
		fetched += b->month.fetched_bytes;
		if (is_records(b) && is_current(r, b))
			r->store = b->store;
	}
	r->measured_s = (now_ms - since_ms) / 1000;
	r->scale = COST_SECONDS_PER_MONTH / (r->measured_s > 1 ? r->measured_s : 1);
	r->stored_bytes = number(stored, "bytes");
	r->stored_files = number(stored, "files");
	r->catalog_bytes = number(stored, "catalog_bytes");
	r->load.produced_gb = produced * r->scale / BYTES_PER_GB;
	r->load.fan_out = produced > 0 ? fetched / produced : 0;
	r->load.kept_gb = r->stored_bytes / BYTES_PER_GB;
	r->load.partitions = number(stored, "partitions");
}

/* --- Hanse, as it was measured ---------------------------------------------------------- */
static void add_measured(struct cost_report *r, const struct cost_bucket *b, const char *item,
			 double count)
{
	char what[COST_WHAT_BYTES];

	if (!(count > 0))
		return;
	snprintf(what, sizeof(what), "%.*s: %s", SLICE_ARG(slice_part(b->purpose, 0, 20)), item);
	cost_add(&r->hanse, &r->prices, b->store, item, count * r->scale, what,
		 "%.0f so far x %.4g", count, r->scale);
}

static void add_stored(struct cost_report *r, const struct cost_bucket *b)
{
	double catalog_gb = r->catalog_bytes / BYTES_PER_GB;

	if (is_current(r, b) && is_records(b))
		cost_add(&r->hanse, &r->prices, b->store, "storage", r->load.kept_gb,
			 "records: storage", "%.6g GB", r->load.kept_gb);
	else if (is_current(r, b))
		cost_add(&r->hanse, &r->prices, b->store, "storage", catalog_gb, "journal: storage",
			 "%.6g GB, one copy of the catalog", catalog_gb);
}

static void measured_sheet(struct cost_report *r)
{
	cost_sheet_init(&r->hanse);
	for (size_t i = 0; i < r->bucket_count; i++) {
		const struct cost_bucket *b = &r->buckets[i];
		add_measured(r, b, "put", b->month.put);
		add_measured(r, b, "get", b->month.get);
		add_measured(r, b, "list", b->month.list);
		add_stored(r, b);
	}
}

/* --- the report ------------------------------------------------------------------------- */
static void look_at_prices(struct cost_report *r, const struct cost_sheet *s)
{
	for (size_t i = 0; i < s->line_count; i++) {
		const struct price *price = s->lines[i].price;
		if (!price)
			continue;
		r->has_unconfirmed |= price->state == PRICE_UNCONFIRMED;
		if (price->state == PRICE_YOURS)
			continue;
		if (!r->oldest[0] || strcmp(price->read_on, r->oldest) < 0) {
			snprintf(r->oldest, sizeof(r->oldest), "%s", price->read_on);
			r->oldest_day = price->read_day;
		}
		if (strcmp(price->read_on, r->newest) > 0)
			snprintf(r->newest, sizeof(r->newest), "%s", price->read_on);
	}
}

static double control_gb(const struct cost_report *r)
{
	double bytes = 0;

	if (r->has_flags_only)
		return -1;
	for (size_t i = 0; i < r->bucket_count; i++)
		bytes += r->buckets[i].month.control_bytes;
	return bytes * r->scale / BYTES_PER_GB;
}

static void make_sheets(struct cost_report *r)
{
	if (r->has_flags_only)
		cost_hanse(&r->hanse, &r->prices, r->store, &r->load);
	else
		measured_sheet(r);
	cost_kafka(&r->kafka, &r->prices, &r->load);
	cost_managed(&r->managed, &r->prices, &r->load);
	cost_beside(&r->beside, &r->prices, r->store, &r->load, control_gb(r));
	look_at_prices(r, &r->hanse);
	look_at_prices(r, &r->kafka);
	look_at_prices(r, &r->managed);
	look_at_prices(r, &r->beside);
	r->today = (int32_t)(clock_wall_ms() / DAY_MS);
	cost_add_notes(r);
}

static enum command_status make(struct cost_report *r, const struct command_line *l)
{
	const char *store = l->values[FLAG_STORE];
	double days = -1;
	enum command_status status = load_prices(r, l);

	if (status == COMMAND_DONE && store)
		status = check_store(r, store);
	r->load = default_load;
	r->store = store;
	r->has_flags_only = command_line_has(l, FLAG_GB_MONTH);
	if (status == COMMAND_DONE)
		status = check_flags(l);
	if (status == COMMAND_DONE) /* mistakes first, then the node */
		status = take_flags(l, &r->load, &days);
	if (status == COMMAND_DONE && !r->has_flags_only)
		status = ask_node(r, l);
	if (status == COMMAND_DONE && !r->has_flags_only)
		status = read_buckets(r, store);
	if (status != COMMAND_DONE)
		return status;
	if (!r->has_flags_only) {
		measure(r);
		status = take_flags(l, &r->load, &days);
	} else if (!store) {
		r->store = "aws-s3";
	}
	if (r->has_flags_only && days < 0)
		days = RETENTION_DAYS_DEFAULT;
	if (days >= 0)
		r->load.kept_gb = r->load.produced_gb * days / DAYS_PER_MONTH;
	make_sheets(r);
	return status;
}

/* --- JSON ------------------------------------------------------------------------------- */
static json_t *dollars_json(double dollars)
{
	return json_real(round(dollars * 100) / 100);
}

static json_t *line_json(const struct cost_line *line)
{
	const struct price *price = line->price;

	return json_pack("{s:s, s:s, s:f, s:o, s:o}", "what", line->what, "how", line->how, "count",
			 line->count, "price",
			 price ? json_pack("{s:s, s:s, s:f, s:s, s:s, s:b, s:s}", "provider",
					   price->provider, "item", price->item, "dollars",
					   price->amount, "unit", price_unit_text(price->unit),
					   "read_on", price->read_on, "is_confirmed",
					   price->state != PRICE_UNCONFIRMED, "source",
					   price->source)
			       : json_null(),
			 "dollars", price ? dollars_json(line->dollars) : json_null());
}

static json_t *sheet_json(const struct cost_sheet *s, bool has_sum)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < s->line_count; i++)
		json_array_append_new(lines, line_json(&s->lines[i]));
	if (!has_sum)
		return json_pack("{s:o}", "lines", lines);
	return json_pack("{s:o, s:b, s:o}", "dollars", dollars_json(s->dollars), "is_complete",
			 s->is_complete, "lines", lines);
}

static json_t *load_json(const struct cost_report *r)
{
	const struct cost_load *load = &r->load;

	return json_pack("{s:f, s:f, s:f, s:f}", "produced_gb", load->produced_gb, "fan_out",
			 load->fan_out, "kept_gb", load->kept_gb, "partitions", load->partitions);
}

static json_t *prices_json(const struct cost_report *r)
{
	if (!r->oldest[0])
		return json_null();
	return json_pack("{s:s, s:s, s:i, s:b, s:b}", "oldest", r->oldest, "newest", r->newest,
			 "age_days", r->today - r->oldest_day, "is_old",
			 r->today - r->oldest_day > PRICES_OLD_DAYS, "has_unconfirmed",
			 r->has_unconfirmed);
}

static json_t *measured_json(const struct cost_report *r)
{
	if (!r->usage)
		return json_null();
	return json_pack("{s:O?, s:f, s:O?, s:O?}", "month", json_object_get(r->usage, "month"),
			 "measured_s", r->measured_s, "buckets",
			 json_object_get(r->usage, "buckets"), "stored",
			 json_object_get(r->usage, "stored"));
}

static enum command_status print_json(const struct cost_report *r)
{
	json_t *notes = json_array();

	for (size_t i = 0; i < r->note_count; i++)
		json_array_append_new(notes, json_string(r->notes[i]));
	return output_json(json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
				     "source", r->has_flags_only ? "flags" : "node", "store",
				     r->store, "prices", prices_json(r), "measured",
				     measured_json(r), "load", load_json(r), "hanse",
				     sheet_json(&r->hanse, true), "kafka",
				     sheet_json(&r->kafka, true), "managed_kafka",
				     sheet_json(&r->managed, true), "beside",
				     sheet_json(&r->beside, false), "notes", notes));
}

enum command_status cost_run(const struct command_line *l)
{
	struct cost_report *r = NEW(struct cost_report);

	arena_init(&r->arena);
	enum command_status status = make(r, l);
	if (status == COMMAND_DONE && command_line_has(l, FLAG_JSON))
		status = print_json(r);
	else if (status == COMMAND_DONE)
		cost_print(r, stdout);
	json_decref(r->usage);
	arena_done(&r->arena);
	memory_free(r);
	return status;
}
