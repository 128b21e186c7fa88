#include "server/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

void privilege_keep(uint64_t capabilities)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[2] = { { 0 }, { 0 } };

	if (syscall(SYS_capget, &head, has) < 0) {
		log_warn("privileges cannot be looked at: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < 2; i++) {
		uint32_t kept = (uint32_t)(capabilities >> (32 * i));
		has[i].permitted &= kept;
		has[i].effective &= kept;
		has[i].inheritable &= kept;
	}
	/* The set for programs can only be made smaller by who may still do so. */
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (!(capabilities >> i & 1))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, has) < 0)
		log_warn("privileges cannot be given up: %s", strerror(errno));
}

bool privilege_has(int capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[2] = { { 0 }, { 0 } };

	return syscall(SYS_capget, &head, has) == 0 &&
	       has[capability / 32].effective >> capability % 32 & 1;
}
