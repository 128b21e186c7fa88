/* One program: what people type, and the processes that `hanse serve` is made of. */
#include "cli/command.h"

int main(int argc, char **argv)
{
	return command_main(argc < 1 ? argv : argv + 1);
}
