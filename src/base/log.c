#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOG_LINE_BYTES_MAX = 2048 };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *log_role = "hanse";
static enum log_level log_level_max = LOG_INFO;

void log_set_role(const char *role)
{
	log_role = role;
}

void log_set_level(enum log_level level)
{
	log_level_max = level;
}

bool log_level_from_name(const char *name, enum log_level *ret)
{
	for (unsigned i = 0; i <= LOG_DEBUG; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* A peer's text must not forge lines or move a terminal's cursor. */
static void hide_control_characters(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_BYTES_MAX];

	if (level > log_level_max)
		return;

	int saved_errno = errno; /* callers log first and translate afterwards */

	int64_t now_ms = clock_wall_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, sizeof(line) - used,
				 ".%03dZ %-5s %s: ", (int)(now_ms % 1000), level_names[level],
				 log_role);

	va_list args;
	va_start(args, format);
	int size = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (size < 0)
		size = 0;
	size_t room = sizeof(line) - used - 2;
	size_t text = (size_t)size < room ? (size_t)size : room;
	hide_control_characters(line + used, text);
	line[used + text] = '\n';

	ssize_t written = write(STDERR_FILENO, line, used + text + 1);
	(void)written; /* there is nowhere left to report to */
	errno = saved_errno;
}
