/* hanse tunnel NAME: a WireGuard device, for wg(8). */
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/output.h"
#include "server/tunnel.h"

static const struct offloads {
	const char *word;
	bool tun, udp;
} offloads[] = {
	{ "all", true, true },
	{ "tun", true, false },
	{ "udp", false, true },
	{ "none", false, false },
};

static const struct offloads *read_offloads(const struct command_line *l)
{
	const char *word = command_line_value(l, FLAG_OFFLOADS, "all");

	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
		if (strcmp(offloads[i].word, word) == 0)
			return &offloads[i];
	return NULL;
}

static bool read_threads(const struct command_line *l, unsigned *ret)
{
	const char *text = command_line_value(l, FLAG_THREADS, "");
	uint64_t threads = 0;

	if (text[0] && (text_to_u64(slice_from(text), TUNNEL_THREADS_MAX, &threads) || !threads))
		return false;
	*ret = (unsigned)threads;
	return true;
}

enum command_status tunnel_command_run(const struct command_line *l)
{
	const struct offloads *o = read_offloads(l);
	unsigned threads;
	char why[TUNNEL_WHY_BYTES] = "";

	if (!o) {
		say("--offloads is one of all, tun, udp, none");
		return COMMAND_MISUSED;
	}
	if (!read_threads(l, &threads)) {
		say("--threads is 1 to %d", TUNNEL_THREADS_MAX);
		return COMMAND_MISUSED;
	}
	struct tunnel_settings settings = { .name = l->arguments[0],
					    .without_tun_offloads = !o->tun,
					    .without_udp_offloads = !o->udp,
					    .threads = threads };
	log_set_role("tunnel");
	if (tunnel_run(&settings, why)) {
		say("%s", why);
		return COMMAND_REFUSED;
	}
	return COMMAND_DONE;
}
