/* hanse ping: one round trip a second to a machine of the mesh, until it is direct. */
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/mesh.h"
#include "cli/output.h"

enum { PINGS_DEFAULT = 5, PINGS_MAX = 100000, PING_MS = 10 * 1000 };

static void print_answer(struct arena *a, const json_t *pong)
{
	struct slice label = mesh_label(a, pong), address = mesh_address(a, pong);
	struct slice endpoint = mesh_text(a, pong, "endpoint"), why = mesh_text(a, pong, "why");
	struct slice peer_relay = mesh_text(a, pong, "peer_relay");
	double ms = json_number_value(json_object_get(pong, "ms"));

	if (!json_is_true(json_object_get(pong, "answered")))
		printf("%.*s (%.*s) did not answer: %.*s\n", SLICE_ARG(label), SLICE_ARG(address),
		       SLICE_ARG(why));
	else if (endpoint.size)
		printf("%.*s (%.*s) answered in %.1f ms, direct by %.*s\n", SLICE_ARG(label),
		       SLICE_ARG(address), ms, SLICE_ARG(endpoint));
	else if (peer_relay.size)
		printf("%.*s (%.*s) answered in %.1f ms, by the peer relay %.*s\n",
		       SLICE_ARG(label), SLICE_ARG(address), ms, SLICE_ARG(peer_relay));
	else
		printf("%.*s (%.*s) answered in %.1f ms, by a relay; %.*s\n", SLICE_ARG(label),
		       SLICE_ARG(address), ms, SLICE_ARG(why));
	fflush(stdout);
}

enum command_status ping_run(const struct command_line *l)
{
	const char *times = command_line_value(l, FLAG_TIMES, "");
	json_t *answers = json_array();
	bool is_direct = false, is_answered = false;
	enum command_status status = COMMAND_DONE;
	uint64_t count = PINGS_DEFAULT;
	struct arena a;

	if (times[0] && (text_to_u64(slice_from(times), PINGS_MAX, &count) || count == 0)) {
		say("--times is 1 to %d", PINGS_MAX);
		json_decref(answers);
		return COMMAND_MISUSED;
	}
	arena_init(&a);
	for (uint64_t i = 0; i < count && (!is_direct || times[0]) && !status; i++) {
		json_t *pong = NULL;
		if (i > 0)
			sleep(1);
		status = local_request(l, "mesh.sock", "POST", "/v1/ping",
				       json_pack("{s:s}", "to", l->arguments[0]), PING_MS, &pong);
		if (status)
			break;
		is_answered |= json_is_true(json_object_get(pong, "answered"));
		is_direct |= json_object_get(pong, "endpoint") != NULL;
		if (!command_line_has(l, FLAG_JSON))
			print_answer(&a, pong);
		json_array_append_new(answers, pong);
	}
	arena_done(&a);
	if (!status && command_line_has(l, FLAG_JSON))
		status =
			output_json(json_pack("{s:O, s:b}", "pings", answers, "direct", is_direct));
	json_decref(answers);
	if (!status && !is_answered)
		status = COMMAND_REFUSED;
	return status;
}
