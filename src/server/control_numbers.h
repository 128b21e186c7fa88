/* What control tells at /metrics: of the journal it leads or follows, and of the catalog. */
#ifndef SERVER_CONTROL_NUMBERS_H
#define SERVER_CONTROL_NUMBERS_H

#include "server/leadership.h"
#include "wire/metrics/exposition.h"

struct control;

enum {
	CATALOG_NUMBERS_SHARE = 100, /* one part of so many of the time, at most, is for counting */
	CATALOG_LEVELS_MAX = 8,	     /* of data files */
	CATALOG_BUCKETS_MAX = 16,    /* whose requests of this month are told */
};

/* Of any role with a journal. */
void leadership_numbers_write(struct exposition *e, const char *role, const struct leadership *l);

/* All of control's. */
void control_numbers_write(struct control *c, struct exposition *e);

#endif
