/* `hanse serve` and `hanse up`, and the words with which their supervisor starts the processes they
 * are made of. */
#include "server/serve.h"
#include "cli/command.h"

/* The manuals promise 0, 1 and 2; roles speak sysexits(3), which the supervisor passes on. */
static int status_of(int status)
{
	if (status == EXIT_USAGE)
		return COMMAND_MISUSED;
	return status == EXIT_CONFIG ? COMMAND_REFUSED : status;
}

int serve_run(char **argv)
{
	return status_of(serve_main(argv));
}

int up_run(char **argv)
{
	return status_of(up_main(argv));
}

bool serve_role_run(char **argv, int *ret)
{
	return role_run(argv[0], argv + 1, ret);
}
