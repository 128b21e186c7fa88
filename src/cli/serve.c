/* `hanse serve`, and the words with which its supervisor starts the processes it is made of. */
#include <string.h>

#include "cli/command.h"
#include "server/serve.h"

/* hanse-serve(1) promises 0, 1 and 2; roles speak sysexits(3), which the supervisor passes on. */
int serve_run(char **argv)
{
	int status = serve_main(argv);

	if (status == EXIT_USAGE)
		return COMMAND_MISUSED;
	return status == EXIT_CONFIG ? COMMAND_REFUSED : status;
}

bool serve_role_run(char **argv, int *ret)
{
	if (strcmp(argv[0], CONTROL_ROLE_WORD) == 0)
		*ret = control_role_main(argv + 1);
	else if (strcmp(argv[0], STREAMS_ROLE_WORD) == 0)
		*ret = streams_role_main(argv + 1);
	else
		return false;
	return true;
}
