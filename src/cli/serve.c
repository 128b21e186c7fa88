/* hanse serve: not linked yet. */
#include "cli/command.h"
#include "cli/output.h"

int serve_run(char **argv)
{
	(void)argv;
	say("`hanse serve` is not there yet");
	return COMMAND_REFUSED;
}
