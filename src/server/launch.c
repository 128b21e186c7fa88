#include "server/launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

enum err launch_read_options(struct options *o, char **argv, char why[OPTION_WHY_BYTES])
{
	enum err err = options_from_flags(o, argv, why);

	if (!err)
		err = options_from_environment(o, environ, why);
	return err ? err : options_from_file(o, OPTIONS_FILE_DEFAULT, why);
}

enum err launch_make_run_dir(const char *path, char why[OPTION_WHY_BYTES])
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		snprintf(why, OPTION_WHY_BYTES, "--run-dir %.200s cannot be made: %s", path,
			 strerror(errno));
		return ERR_INVALID;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
	    (st.st_mode & 0022)) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--run-dir %.200s must be a directory only you can write to", path);
		return ERR_INVALID;
	}
	return OK;
}

const char *const *launch_process_argv(const struct options *o, int process)
{
	static char flags[OPTION_COUNT][OPTION_VALUE_BYTES_MAX + 64], words[PROCESS_COUNT][32];
	static const char *argv[PROCESS_COUNT][OPTION_COUNT + 3];
	int count = 0;

	snprintf(words[process], sizeof(words[process]), "role:%s", process_name(process));
	argv[process][count++] = "hanse";
	argv[process][count++] = words[process];
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (o->values[i][0] == '\0' || i == OPTION_JOIN)
			continue; /* not needed there, or for the eyes of one role only */
		snprintf(flags[i], sizeof(flags[i]), "--%s=%s", option_rows[i].name, o->values[i]);
		argv[process][count++] = flags[i];
	}
	argv[process][count] = NULL;
	return argv[process];
}
