/* hanse down, hanse logout: `hanse up` ends, and with it what it made of this machine. */
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cli/mesh.h"
#include "cli/output.h"
#include "cli/socket.h"
#include "mesh/node/node.h"
#include "names/hosts_file.h"
#include "server/up_options.h"

enum { DOWN_MS = 20 * 1000, LOOK_AGAIN_US = 50 * 1000, LOG_OUT_MS = 15 * 1000 };

/* True once nobody listens any more. */
static bool is_over(const char *path, uint64_t deadline_ms)
{
	char why[SOCKET_WHY_BYTES];

	while (clock_now_ms() < deadline_ms) {
		AUTO_FD fd = -1;
		enum err err = socket_connect_unix(path, clock_now_ms() + 1000, &fd, why);
		if (err == ERR_NOT_FOUND || err == ERR_UNAVAILABLE)
			return true;
		usleep(LOOK_AGAIN_US);
	}
	return false;
}

/* The state directory is its until it ends, and only then another `hanse up` may come. */
static bool has_ended(pid_t supervisor, uint64_t deadline_ms)
{
	uint64_t now_ms = clock_now_ms();
	AUTO_FD fd = supervisor > 1 ? (int)syscall(SYS_pidfd_open, supervisor, 0) : -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return true; /* it has, or cannot be looked at */
	return poll(&p, 1, deadline_ms > now_ms ? (int)(deadline_ms - now_ms) : 0) == 1;
}

/* What a life that ended in disorder left behind. */
static void clean_up(void)
{
	char why[HOSTS_FILE_WHY_BYTES];

	node_clean_system();
	if (hosts_file_is_ours(HOSTS_FILE_DEFAULT) &&
	    hosts_file_set(HOSTS_FILE_DEFAULT, (struct slice) { 0 }, why))
		say("names of the mesh cannot be taken away: %s", why);
}

static enum command_status stop(const struct command_line *l, const char *request,
				uint64_t timeout_ms, const char *done)
{
	char run_dir[OPTION_VALUE_BYTES_MAX], path[OPTION_VALUE_BYTES_MAX + 32];
	json_t *answer = NULL;

	up_options_find_run_dir("mesh.sock", run_dir);
	snprintf(path, sizeof(path), "%s/mesh.sock", command_line_value(l, FLAG_RUN_DIR, run_dir));
	enum command_status status =
		local_request(l, "mesh.sock", "POST", request, NULL, timeout_ms, &answer);
	pid_t supervisor = (pid_t)json_integer_value(json_object_get(answer, "supervisor"));
	json_decref(answer);
	if (status == COMMAND_UNREACHABLE)
		clean_up();
	if (status)
		return status;
	uint64_t deadline_ms = clock_now_ms() + DOWN_MS;
	if (!is_over(path, deadline_ms) || !has_ended(supervisor, deadline_ms)) {
		say("`hanse up` has not ended after %d s: its messages may say why",
		    DOWN_MS / 1000);
		return COMMAND_REFUSED;
	}
	if (command_line_has(l, FLAG_JSON))
		return output_json(json_pack("{s:b}", "stopped", 1));
	puts(done);
	return COMMAND_DONE;
}

enum command_status down_run(const struct command_line *l)
{
	return stop(l, "/v1/down", 0, "This machine is off the mesh; `hanse up` brings it back.");
}

enum command_status logout_run(const struct command_line *l)
{
	return stop(l, "/v1/logout", LOG_OUT_MS,
		    "This machine has left the mesh; `hanse up --join KEY` joins one again.");
}
