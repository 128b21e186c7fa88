#include "cli/cost_model.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { BROKERS_MIN = 3 };

#define BYTES_PER_GB 1e9
#define OTHER_ZONES (2.0 / COST_ZONES)

/* --- sheets ----------------------------------------------------------------------------- */
void cost_sheet_init(struct cost_sheet *s)
{
	s->line_count = 0;
	s->dollars = 0;
	s->is_complete = true;
}

void cost_add(struct cost_sheet *s, const struct prices *p, const char *provider, const char *item,
	      double count, const char *what, const char *how, ...)
{
	struct cost_line *line = &s->lines[s->line_count++];
	va_list arguments;

	assert(s->line_count <= COST_LINES_MAX);
	*line = (struct cost_line) { .count = count };
	snprintf(line->what, sizeof(line->what), "%s", what);
	va_start(arguments, how);
	vsnprintf(line->how, sizeof(line->how), how, arguments);
	va_end(arguments);
	line->price = provider ? prices_find(p, provider, item) : NULL;
	if (line->price) {
		line->dollars = count * price_each(line->price);
		s->dollars += line->dollars;
	} else {
		s->is_complete = false;
	}
}

/* Machines and disks of one's own have a price only if somebody wrote one. */
static void add_machines(struct cost_sheet *s, const struct prices *p, double machines,
			 double disk_gb)
{
	if (prices_find(p, "machine", "broker"))
		cost_add(s, p, "machine", "broker", machines * COST_HOURS_PER_MONTH, "machines",
			 "%.0f x 730 h", machines);
	if (disk_gb > 0 && prices_find(p, "machine", "storage"))
		cost_add(s, p, "machine", "storage", disk_gb, "disks", "%d copies x %.6g GB",
			 COST_COPIES, disk_gb / COST_COPIES);
}

/* --- Hanse ------------------------------------------------------------------------------ */
static double greater(double a, double b)
{
	return a > b ? a : b;
}

static double less(double a, double b)
{
	return a < b ? a : b;
}

double cost_file_puts(const struct cost_load *load)
{
	double seconds = load->flush_ms / 1000;

	if (!(load->produced_gb > 0))
		return 0; /* nothing is put while nothing happens */
	return greater(load->agents * COST_SECONDS_PER_MONTH / seconds,
		       load->produced_gb * BYTES_PER_GB / COST_FILE_BYTES);
}

double cost_journal_puts(const struct cost_load *load)
{
	return less(cost_file_puts(load), COST_SECONDS_PER_MONTH * 1000.0 / COST_JOURNAL_MS);
}

static void add_requests(struct cost_sheet *s, const struct prices *p, const char *store,
			 const struct cost_load *load)
{
	double puts = cost_file_puts(load), read_gb = load->fan_out * load->produced_gb;

	cost_add(s, p, store, "put", puts, "put data files",
		 "%.0f x 2628000 s / %g s, or %.6g GB / 8 MiB if that is more", load->agents,
		 load->flush_ms / 1000, load->produced_gb);
	cost_add(s, p, store, "put", cost_journal_puts(load), "put journal records",
		 "one a file, at most 2628000 s / %g s", COST_JOURNAL_MS / 1000.0);
	cost_add(s, p, store, "get", read_gb * BYTES_PER_GB / COST_BLOCK_BYTES, "get what is read",
		 "%g x %.6g GB / 1 MiB, nothing from memory", load->fan_out, load->produced_gb);
}

void cost_hanse(struct cost_sheet *s, const struct prices *p, const char *store,
		const struct cost_load *load)
{
	cost_sheet_init(s);
	add_requests(s, p, store, load);
	cost_add(s, p, store, "storage", load->kept_gb, "stored", "%.6g GB", load->kept_gb);
	if (store && prices_find(p, store, "upload"))
		cost_add(s, p, store, "upload", load->produced_gb, "into the store", "%.6g GB",
			 load->produced_gb);
	if (store && prices_find(p, store, "download"))
		cost_add(s, p, store, "download", load->fan_out * load->produced_gb,
			 "out of the store", "%g x %.6g GB", load->fan_out, load->produced_gb);
	add_machines(s, p, load->agents, 0);
}

/* --- Kafka ------------------------------------------------------------------------------ */
static void add_clients(struct cost_sheet *s, const struct prices *p, const struct cost_load *load)
{
	double w = load->produced_gb, f = load->fan_out;

	cost_add(s, p, "zones", "moved", w * OTHER_ZONES, "producers to other zones",
		 "2/3 x %.6g GB", w);
	cost_add(s, p, "zones", "moved", f * w * OTHER_ZONES, "consumers from other zones",
		 "2/3 x %g x %.6g GB", f, w);
}

void cost_kafka(struct cost_sheet *s, const struct prices *p, const struct cost_load *load)
{
	double w = load->produced_gb;

	cost_sheet_init(s);
	add_clients(s, p, load);
	cost_add(s, p, "zones", "moved", (COST_COPIES - 1) * w, "copies to other zones",
		 "(3 - 1) x %.6g GB", w);
	add_machines(s, p, BROKERS_MIN, COST_COPIES * load->kept_gb);
}

double cost_brokers(const struct prices *p, const struct cost_load *load)
{
	const struct price *limit = prices_find(p, "msk", "partitions");
	double replicas = load->partitions * COST_COPIES, brokers = BROKERS_MIN;

	if (!limit || !(limit->amount >= 1))
		return brokers;
	while (brokers * limit->amount < replicas)
		brokers++;
	return brokers;
}

void cost_managed(struct cost_sheet *s, const struct prices *p, const struct cost_load *load)
{
	double brokers = cost_brokers(p, load);

	cost_sheet_init(s);
	cost_add(s, p, "msk", "broker", brokers * COST_HOURS_PER_MONTH, "brokers", "%.0f x 730 h",
		 brokers);
	cost_add(s, p, "msk", "storage", COST_COPIES * load->kept_gb, "stored", "%d x %.6g GB",
		 COST_COPIES, load->kept_gb);
	add_clients(s, p, load);
}

/* --- besides ---------------------------------------------------------------------------- */
void cost_beside(struct cost_sheet *s, const struct prices *p, const char *store,
		 const struct cost_load *load, double control_gb)
{
	const struct price *free_gb = store ? prices_find(p, store, "egress-free") : NULL;
	double read_gb = load->fan_out * load->produced_gb;
	double paid_gb = greater(read_gb - (free_gb ? free_gb->amount : 0), 0);

	cost_sheet_init(s);
	cost_add(s, p, store, "egress", paid_gb, "if consumers, or agents, are outside",
		 "%g x %.6g GB leave the provider, %g GB of it free", load->fan_out,
		 load->produced_gb, free_gb ? free_gb->amount : 0);
	cost_add(s, p, "zones", "moved", (1 + load->fan_out) * load->produced_gb * OTHER_ZONES,
		 "if clients use agents of any zone", "2/3 x (1 + %g) x %.6g GB", load->fan_out,
		 load->produced_gb);
	if (control_gb >= 0)
		cost_add(s, p, "zones", "moved", control_gb, "if control is in another zone",
			 "%.6g GB between agents and control", control_gb);
	cost_add(s, p, "zones", "moved", -load->fan_out * load->produced_gb * OTHER_ZONES,
		 "Kafka, if all fetch from followers", "2/3 x %g x %.6g GB less", load->fan_out,
		 load->produced_gb);
}
