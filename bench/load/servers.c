#include "servers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

void servers_parse(struct servers *s, const char *text)
{
	while (*text) {
		char *end;
		long pid = strtol(text, &end, 10);
		if (end == text || pid <= 0 || s->count == SERVERS_MAX || (*end && *end != ','))
			load_die("pids", text);
		s->pids[s->count++] = (int)pid;
		text = *end ? end + 1 : end;
	}
}

/* Of a file of the process; the empty string when it is gone. */
static void read_file(int pid, const char *name, char *ret, size_t size)
{
	char path[64];

	*ret = 0;
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	FILE *f = fopen(path, "r");
	if (!f)
		return;
	ret[fread(ret, 1, size - 1, f)] = 0;
	fclose(f);
}

double servers_cpu_s(const struct servers *s)
{
	char text[1024];
	double ticks = 0;

	for (size_t i = 0; i < s->count; i++) {
		unsigned long long user, system;
		read_file(s->pids[i], "stat", text, sizeof(text));
		const char *fields = strrchr(text, ')'); /* the name before it may hold anything */
		if (fields &&
		    sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
			   &system) == 2)
			ticks += (double)(user + system);
	}
	return ticks / (double)sysconf(_SC_CLK_TCK);
}

double servers_resident_bytes(const struct servers *s)
{
	char text[256];
	double pages = 0;

	for (size_t i = 0; i < s->count; i++) {
		unsigned long long resident;
		read_file(s->pids[i], "statm", text, sizeof(text));
		if (sscanf(text, "%*u %llu", &resident) == 1)
			pages += (double)resident;
	}
	return pages * (double)sysconf(_SC_PAGESIZE);
}
