/* The roles this program has. */
#include <string.h>

#include "server/process.h"
#include "server/serve.h"

static int (*const mains[ROLE_COUNT])(char **argv) = {
	[ROLE_CONTROL] = control_role_main, [ROLE_REALM] = realm_role_main,
	[ROLE_RELAY] = relay_role_main,	    [ROLE_MESH] = mesh_role_main,
	[ROLE_NAMES] = names_role_main,	    [ROLE_DROP] = drop_role_main,
	[ROLE_METRICS] = metrics_role_main,
};

bool role_is_there(enum role_kind role)
{
	return role == ROLE_STREAMS || mains[role];
}

bool role_run(const char *word, char **argv, int *ret)
{
	static const char before[] = "role:";
	int process;

	if (strncmp(word, before, sizeof(before) - 1) != 0 ||
	    !process_from_name(word + sizeof(before) - 1, &process))
		return false;
	enum role_kind role = process_role(process);
	if (!role_is_there(role))
		return false;
	*ret = role == ROLE_STREAMS ? streams_role_main(process_agent(process), argv)
				    : mains[role](argv);
	return true;
}
