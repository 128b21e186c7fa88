/* What a load costs: formulas without I/O, whose every line can be followed by hand.
 *
 *	W  GB produced in a month (10^9 bytes, as they come from producers: compressed)
 *	F  times each GB is read by consumers
 *	K  GB that are kept
 *	T  a month: 2,628,000 s, 730 h
 *
 * Three zones, three copies in Kafka, a load that is spread evenly: two of three clients are in
 * another zone than the broker that leads their partition. */
#ifndef CLI_COST_MODEL_H
#define CLI_COST_MODEL_H

#include "cli/prices.h"

enum {
	COST_LINES_MAX = 64,
	COST_WHAT_BYTES = 80,
	COST_HOW_BYTES = 160,
	COST_SECONDS_PER_MONTH = 2628000,
	COST_HOURS_PER_MONTH = 730,
	COST_ZONES = 3,
	COST_COPIES = 3,
	COST_AGENTS_MAX = 1000,
	COST_FLUSH_MS_MAX = 3600 * 1000,
	/* What the rest of the program does; the test compares. */
	COST_FILE_BYTES = 8 << 20,  /* a data file is put at this size */
	COST_BLOCK_BYTES = 1 << 20, /* consumers are served from these */
	COST_PUTS_PER_S_MAX = 25,   /* of an agent whose files are not full */
	COST_JOURNAL_MS = 100, /* a put of the journal: while one is under way, changes gather */
};

struct cost_load {
	double produced_gb; /* W */
	double fan_out;	    /* F */
	double kept_gb;	    /* K */
	double partitions;
	double agents;
	double flush_ms; /* between the files an agent puts while there is something to put */
};

struct cost_line {
	char what[COST_WHAT_BYTES];
	char how[COST_HOW_BYTES];  /* the formula with its numbers */
	double count;		   /* requests, GB, GB and months, hours */
	const struct price *price; /* NULL: not known, and not in the sum */
	double dollars;
};

struct cost_sheet {
	struct cost_line lines[COST_LINES_MAX];
	size_t line_count;
	double dollars;	  /* of the lines whose price is known */
	bool is_complete; /* all of them are */
};

void cost_sheet_init(struct cost_sheet *s);

/* One line more: `count` of what the row `item` of `provider` has the price of.  `provider` NULL:
 * it has none. */
void cost_add(struct cost_sheet *s, const struct prices *p, const char *provider, const char *item,
	      double count, const char *what, const char *how, ...) PRINTF_LIKE(7, 8);

/* Hanse with its bucket at `store`, as the load makes it; the most that it can be. */
void cost_hanse(struct cost_sheet *s, const struct prices *p, const char *store,
		const struct cost_load *load);

/* Kafka on machines of one's own, and where somebody else runs it. */
void cost_kafka(struct cost_sheet *s, const struct prices *p, const struct cost_load *load);
void cost_managed(struct cost_sheet *s, const struct prices *p, const struct cost_load *load);

/* What is in none of the sums, since it depends on where clients and agents are.  `control_gb`:
 * what goes between agents and control, negative when it is not known. */
void cost_beside(struct cost_sheet *s, const struct prices *p, const char *store,
		 const struct cost_load *load, double control_gb);

/* Requests to put data files in a month, and to put records of the journal. */
double cost_file_puts(const struct cost_load *load);
double cost_journal_puts(const struct cost_load *load);

/* Managed brokers for so many partitions. */
double cost_brokers(const struct prices *p, const struct cost_load *load);

#endif
