/* What hanse cost tells people. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cost.h"
#include "cli/output.h"
#include "cli/table.h"

enum {
	NOTE_COLUMNS = 96,
	COUNT_COLUMNS = 12,
	PRICE_COLUMNS = 23,
	DOLLAR_COLUMNS = 10,
	SHORT_MEASURE_S = 3600,
	SMALL_GB_MONTH = 10,
};

#define BYTES_PER_GB 1e9

/* --- notes ------------------------------------------------------------------------------ */
static void note(struct cost_report *r, const char *format, ...) PRINTF_LIKE(2, 3);

static void note(struct cost_report *r, const char *format, ...)
{
	va_list arguments;

	if (r->note_count == COST_NOTES_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(r->notes[r->note_count++], COST_NOTE_BYTES, format, arguments);
	va_end(arguments);
}

static void compare(struct cost_report *r, const char *name, const struct cost_sheet *other)
{
	double saved = other->dollars - r->hanse.dollars;
	const struct price *hour = prices_find(&r->prices, "you", "work");
	char hours[100] = "";

	if (!r->hanse.is_complete || !other->is_complete)
		return;
	if (hour && hour->amount > 0)
		snprintf(hours, sizeof(hours), ": %.1f hours of yours at $%g",
			 fabs(saved) / hour->amount, hour->amount);
	const char *without = other == &r->kafka && !prices_find(&r->prices, "machine", "broker")
				      ? " without its machines"
				      : "";
	if (saved >= 0)
		note(r,
		     "Hanse is $%.2f a month less than %s%s%s. If running it yourself takes you"
		     " longer than that, you lose.",
		     saved, name, without, hours);
	else
		note(r, "Here Hanse loses: it is $%.2f a month more than %s%s%s.", -saved, name,
		     without, hours);
}

/* Requests do not shrink with the load: where it is small, they are the bill. */
static void note_requests(struct cost_report *r)
{
	double puts = 0;

	for (size_t i = 0; i < r->hanse.line_count; i++) {
		const struct cost_line *line = &r->hanse.lines[i];
		if (line->price && strcmp(line->price->item, "put") == 0)
			puts += line->dollars;
	}
	if (puts > r->hanse.dollars / 2)
		note(r,
		     "$%.2f of Hanse's sum are requests to put, which depend on time and hardly on"
		     " bytes: an agent makes up to %d a second while somebody produces, and none"
		     " while nobody does. Fewer agents, larger linger.ms and a store without a"
		     " price on puts make it less.",
		     puts, COST_PUTS_PER_S_MAX);
}

static void note_errors(struct cost_report *r)
{
	double errors = 0;

	for (size_t i = 0; i < r->bucket_count; i++)
		errors += r->buckets[i].month.errors;
	if (errors > 0)
		note(r,
		     "%.0f requests of this month got no answer or one that it did not work; some"
		     " stores bill these too, so they are in the counts.",
		     errors);
}

static void note_measure(struct cost_report *r)
{
	if (r->has_flags_only) {
		note(r,
		     "Hanse's puts are counted as if somebody produced all the time, so that each"
		     " agent puts a file every %g ms; at most it is every %d ms. On a bucket of"
		     " class raw each journal record needs a get besides.",
		     r->load.flush_ms, 1000 / COST_PUTS_PER_S_MAX);
		return;
	}
	if (r->measured_s < SHORT_MEASURE_S)
		note(r,
		     "Counted for %.0f minutes of this month only: a month at this rate is a"
		     " guess.",
		     r->measured_s / 60);
	note(r, "Counts are those of the catalog: a process that crashes loses its last minute,"
		" and nodes that stand by are counted once they lead. What is stored are the"
		" data files and one copy of the catalog, without the journal of the last hour.");
}

static void note_prices(struct cost_report *r)
{
	if (!r->store || !r->hanse.is_complete)
		note(r, "The bucket's URL does not say whose prices hold, or a price is not known:"
			" --store NAME chooses them, --prices FILE adds rows. What has no price is"
			" not in the sum.");
	if (r->oldest[0] && r->today - r->oldest_day > PRICES_OLD_DAYS)
		note(r,
		     "Prices are %d days old, more than %d: read them anew at their sources, and"
		     " give your own with --prices.",
		     (int)(r->today - r->oldest_day), PRICES_OLD_DAYS);
	if (r->has_unconfirmed)
		note(r, "A price with \"?\" is not confirmed: look it up before you rely on it.");
	note(r, "List prices without tax, discounts, reserved capacity and free tiers, of one"
		" region.");
}

static void note_the_rest(struct cost_report *r)
{
	if (!prices_find(&r->prices, "machine", "broker"))
		note(r, "Machines and disks of your own are not counted, neither Kafka's nor"
			" Hanse's: rows \"machine broker\" and \"machine storage\" count them.");
	note(r, "Managed Kafka does not bill copies between its brokers, so there is no such line."
		" Brokers are counted by partitions, not by throughput.");
	note(r, "Between a store and machines in its own region bytes are free, but not through a"
		" NAT gateway: use a gateway endpoint.");
	note(r, "Hanse does not delete records by age yet: what is stored grows until topics are"
		" deleted. It comes without anybody who promises you anything.");
	if (r->load.produced_gb < SMALL_GB_MONTH)
		note(r, "So little may not need Kafka at all: a queue service, or a table in the"
			" database you have, costs cents.");
}

void cost_add_notes(struct cost_report *r)
{
	compare(r, "self-run Kafka", &r->kafka);
	compare(r, "managed Kafka", &r->managed);
	note_requests(r);
	note_measure(r);
	note_errors(r);
	note_prices(r);
	note_the_rest(r);
}

/* --- text ------------------------------------------------------------------------------- */
static void print_note(FILE *out, const char *text)
{
	const char *indent = "- ";

	while (*text) {
		size_t size = strlen(text);
		if (size > NOTE_COLUMNS) {
			for (size = NOTE_COLUMNS; size > 0 && text[size] != ' '; size--)
				;
			if (size == 0)
				size = NOTE_COLUMNS;
		}
		fprintf(out, "%s%.*s\n", indent, (int)size, text);
		text += size;
		text += strspn(text, " ");
		indent = "  ";
	}
}

static void print_line(FILE *out, const struct cost_line *line, int columns)
{
	const struct price *price = line->price;
	char each[80] = "no price";

	if (price)
		snprintf(each, sizeof(each), "$%g / %s%s", price->amount,
			 price_unit_text(price->unit),
			 price->state == PRICE_UNCONFIRMED ? " ?" : "");
	fprintf(out, "  %-*s %*.*f x %-*s ", columns, line->what, COUNT_COLUMNS,
		fabs(line->count) < 1000 ? 3 : 0, line->count, PRICE_COLUMNS, each);
	if (price)
		fprintf(out, "%*.2f  = %s\n", DOLLAR_COLUMNS, line->dollars, line->how);
	else
		fprintf(out, "%*s  = %s\n", DOLLAR_COLUMNS, "-", line->how);
}

static void print_sheet(FILE *out, const char *title, const struct cost_sheet *s, bool has_sum)
{
	const char *sum = s->is_complete ? "sum" : "sum of what has a price";
	size_t columns = strlen(sum);

	fprintf(out, "\n%s\n", title);
	for (size_t i = 0; i < s->line_count; i++)
		if (strlen(s->lines[i].what) > columns)
			columns = strlen(s->lines[i].what);
	for (size_t i = 0; i < s->line_count; i++)
		print_line(out, &s->lines[i], (int)columns);
	if (has_sum)
		fprintf(out, "  %-*s %*s   %*s %*.2f\n", (int)columns, sum, COUNT_COLUMNS, "",
			PRICE_COLUMNS, "", DOLLAR_COLUMNS, s->dollars);
}

static void add_counts(struct table *t, const struct cost_bucket *b, const struct cost_count *c)
{
	table_add_text(t, b->name);
	table_add_text(t, b->purpose);
	table_add_number(t, (int64_t)c->put);
	table_add_number(t, (int64_t)c->get);
	table_add_number(t, (int64_t)c->list);
	table_add_number(t, (int64_t)c->delete);
	table_add_number(t, (int64_t)(c->sent_bytes / 1000));
	table_add_number(t, (int64_t)(c->received_bytes / 1000));
}

static void print_counts(const struct cost_report *r, FILE *out, bool is_all)
{
	const char *const headings[] = { "BUCKET", "FOR",     "PUT",	     "GET", "LIST",
					 "DELETE", "KB SENT", "KB RECEIVED", NULL };
	struct table t;

	table_init(&t, (struct arena *)(uintptr_t)&r->arena, headings);
	for (size_t i = 0; i < r->bucket_count; i++)
		add_counts(&t, &r->buckets[i], is_all ? &r->buckets[i].all : &r->buckets[i].month);
	table_print(&t, out);
	table_done(&t);
}

static void print_measured(const struct cost_report *r, FILE *out)
{
	const char *month = json_string_value(json_object_get(r->usage, "month"));
	double produced = r->load.produced_gb / r->scale * BYTES_PER_GB;

	fprintf(out, "This month, %s (UTC), counted for %.1f hours:\n", month ? month : "?",
		r->measured_s / 3600);
	print_counts(r, out, false);
	fprintf(out, "\nIn all:\n");
	print_counts(r, out, true);
	fprintf(out,
		"\nClients wrote %.3f MB this month and read each of them %.2f times. Stored are"
		" %.3f MB in %.0f files.\n",
		produced / 1e6, r->load.fan_out, r->stored_bytes / 1e6, r->stored_files);
}

static void print_load(const struct cost_report *r, FILE *out)
{
	const struct cost_load *load = &r->load;

	fprintf(out,
		"%s: %.6g GB a month (GB: 10^9 bytes), read %.3g times, %.6g GB kept, %.0f"
		" partitions.\n",
		r->has_flags_only ? "The load" : "A month at this rate (2,628,000 s)",
		load->produced_gb, load->fan_out, load->kept_gb, load->partitions);
	if (r->oldest[0] && strcmp(r->oldest, r->newest) == 0)
		fprintf(out, "Prices in US dollars, read on %s.\n", r->oldest);
	else if (r->oldest[0])
		fprintf(out, "Prices in US dollars, read from %s to %s.\n", r->oldest, r->newest);
}

void cost_print(const struct cost_report *r, FILE *out)
{
	char title[100];

	if (!r->has_flags_only)
		print_measured(r, out);
	print_load(r, out);
	snprintf(title, sizeof(title), "Hanse, with its bucket at %s, a month:",
		 r->store ? r->store : "a store without prices");
	print_sheet(out, title, &r->hanse, true);
	print_sheet(out, "Self-run Kafka, three zones, three copies, a month:", &r->kafka, true);
	print_sheet(out, "Managed Kafka, as MSK, a month:", &r->managed, true);
	print_sheet(out, "In none of the sums, because it depends on where things are:", &r->beside,
		    false);
	fputc('\n', out);
	for (size_t i = 0; i < r->note_count; i++)
		print_note(out, r->notes[i]);
}
