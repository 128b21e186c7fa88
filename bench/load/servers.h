/* What processes spent, from /proc: those of the broker, whichever broker it is. */
#ifndef BENCH_LOAD_SERVERS_H
#define BENCH_LOAD_SERVERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SERVERS_MAX = 32 };

struct servers {
	int pids[SERVERS_MAX];
	size_t count;
};

/* "PID,PID,..."; exits when it is something else. */
void servers_parse(struct servers *s, const char *text);

/* User and system time of all of them; one that is gone counts as nothing. */
double servers_cpu_s(const struct servers *s);

double servers_resident_bytes(const struct servers *s);

#endif
