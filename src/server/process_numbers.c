/* The numbers that every process has, under the names Prometheus' own libraries give them. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "base/version.h"
#include "server/role_page.h"

static const struct metric_row build_info = { "hanse_build_info", METRIC_GAUGE,
					      "The version of this program; always 1.", NULL };
static const struct metric_row cpu_seconds = { "process_cpu_seconds_total", METRIC_COUNTER,
					       "CPU time in user and system mode.", NULL };
static const struct metric_row resident_bytes = { "process_resident_memory_bytes", METRIC_GAUGE,
						  "Resident memory.", NULL };
static const struct metric_row virtual_bytes = { "process_virtual_memory_bytes", METRIC_GAUGE,
						 "Virtual memory.", NULL };
static const struct metric_row open_files = { "process_open_fds", METRIC_GAUGE,
					      "Open file descriptors.", NULL };
static const struct metric_row files_max = { "process_max_fds", METRIC_GAUGE,
					     "How many descriptors there may be.", NULL };
static const struct metric_row start_seconds = { "process_start_time_seconds", METRIC_GAUGE,
						 "When the process started, in Unix time.", NULL };

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void read_memory(uint64_t *ret_virtual, uint64_t *ret_resident)
{
	unsigned long long pages = 0, resident = 0;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	AUTO_FILE file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%llu %llu", &pages, &resident) != 2)
		pages = resident = 0;
	*ret_virtual = pages * page_bytes;
	*ret_resident = resident * page_bytes;
}

/* Newer kernels say it at once, older ones have them counted. */
static uint64_t count_files(void)
{
	uint64_t count = 0;
	struct stat st;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* that of the directory */
}

/* Field 22 of stat(5): in ticks since the machine was started. */
static double start_time(void)
{
	static double start; /* the difference of the clocks is never twice the same */
	struct timespec wall, boot;
	unsigned long long ticks = 0;

	if (start > 0)
		return start;
	AUTO_FILE file = fopen("/proc/self/stat", "re");

	if (!file || fscanf(file,
			    "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
			    "%*d %*d %*d %*d %*d %llu",
			    &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	start = (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
		(double)ticks / (double)sysconf(_SC_CLK_TCK);
	return start;
}

void process_numbers_write(struct exposition *e, const char *process)
{
	const struct metric_label *labels = LABELS({ "role", slice_from(process) });
	uint64_t virtual, resident;
	struct rusage usage;
	struct rlimit limit = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &limit);
	read_memory(&virtual, &resident);
	exposition_family(e, &build_info);
	exposition_add(e, 1,
		       LABELS({ "role", slice_from(process) },
			      { "version", SLICE(HANSE_VERSION) }));
	exposition_family(e, &cpu_seconds);
	exposition_add_real(e, seconds(&usage.ru_utime) + seconds(&usage.ru_stime), labels);
	exposition_family(e, &resident_bytes);
	exposition_add(e, resident, labels);
	exposition_family(e, &virtual_bytes);
	exposition_add(e, virtual, labels);
	exposition_family(e, &open_files);
	exposition_add(e, count_files(), labels);
	exposition_family(e, &files_max);
	exposition_add(e, (uint64_t)limit.rlim_cur, labels);
	exposition_family(e, &start_seconds);
	exposition_add_real(e, start_time(), labels);
}
