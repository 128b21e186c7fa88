/* `hanse serve`, and the words with which its supervisor starts the processes it is made of. */
#include <string.h>

#include "cli/command.h"
#include "server/serve.h"

int serve_run(char **argv)
{
	return serve_main(argv);
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
