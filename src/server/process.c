#include "server/process.h"

#include <string.h>

const char *process_name(int process)
{
	static char names[PROCESS_COUNT][PROCESS_NAME_BYTES];
	char *name = names[process];

	if (process < (int)ROLE_COUNT)
		snprintf(name, PROCESS_NAME_BYTES, "%s", role_name(process_role(process)));
	else
		snprintf(name, PROCESS_NAME_BYTES, "%s-%d", role_name(ROLE_STREAMS),
			 process_agent(process));
	return name;
}

bool process_from_name(const char *name, int *ret)
{
	for (int process = 0; process < PROCESS_COUNT; process++) {
		if (strcmp(process_name(process), name) != 0)
			continue;
		*ret = process;
		return true;
	}
	return false;
}

bool process_is_there(const struct options *o, int process)
{
	enum role_kind role = process_role(process);

	return o->roles[role] && (role != ROLE_STREAMS || process_agent(process) <= o->agent_count);
}
