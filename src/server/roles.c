/* The roles this program has. */
#include <string.h>

#include "server/serve.h"

static int (*const mains[ROLE_COUNT])(char **argv) = {
	[ROLE_CONTROL] = control_role_main, [ROLE_STREAMS] = streams_role_main,
	[ROLE_REALM] = realm_role_main,	    [ROLE_RELAY] = relay_role_main,
	[ROLE_MESH] = mesh_role_main,	    [ROLE_NAMES] = names_role_main,
	[ROLE_DROP] = drop_role_main,	    [ROLE_METRICS] = metrics_role_main,
};

bool role_is_there(enum role_kind role)
{
	return mains[role];
}

bool role_run(const char *word, char **argv, int *ret)
{
	static const char before[] = "role:";

	if (strncmp(word, before, sizeof(before) - 1) != 0)
		return false;
	for (enum role_kind role = 0; role < ROLE_COUNT; role++) {
		if (!mains[role] || strcmp(word + sizeof(before) - 1, role_name(role)) != 0)
			continue;
		*ret = mains[role](argv);
		return true;
	}
	return false;
}
