#include "server/rival.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

void rival_own(struct rival *r, struct epoch epoch)
{
	r->own[r->own_count++ % RIVAL_OWN_MAX] = epoch;
}

static bool is_own(const struct rival *r, struct epoch epoch)
{
	for (unsigned i = 0; i < RIVAL_OWN_MAX; i++)
		if (epoch_compare(r->own[i], epoch) == 0)
			return true;
	return false;
}

static void remember(struct rival *r, const char *address, const char *node, struct epoch epoch)
{
	snprintf(r->address, sizeof(r->address), "%s", address);
	snprintf(r->node, sizeof(r->node), "%s", node);
	r->epoch = epoch;
}

void rival_found(struct rival *r, const char *address, const char *node, struct epoch epoch)
{
	if (r->address[0] == '\0' || is_own(r, epoch) || epoch_compare(epoch, r->epoch) <= 0)
		return;
	r->returns++;
	remember(r, address, node, epoch);
}

void rival_denied(struct rival *r, struct epoch epoch)
{
	if (epoch_compare(r->denied, epoch) != 0)
		r->denials = 0;
	r->denied = epoch;
	r->denials++;
}

bool rival_is_denied(const struct rival *r, struct epoch epoch)
{
	return r->denials >= RIVAL_DENIALS_MAX && epoch_compare(r->denied, epoch) == 0;
}

void rival_reached(struct rival *r)
{
	r->denials = 0;
	r->address[0] = '\0';
	r->returns = r->paused = 0;
}

static uint64_t pause_ms(const struct rival *r)
{
	uint64_t ms = RIVAL_PAUSE_MS_MIN;

	for (unsigned i = RIVAL_RETURNS_MAX; i < r->returns && ms < RIVAL_PAUSE_MS_MAX; i++)
		ms *= 2;
	return ms < RIVAL_PAUSE_MS_MAX ? ms : RIVAL_PAUSE_MS_MAX;
}

uint64_t rival_challenge(struct rival *r, const char *address, const char *node, struct epoch epoch)
{
	if (is_own(r, epoch))
		return 0;
	if (r->returns >= RIVAL_RETURNS_MAX && r->paused < r->returns) {
		r->paused = r->returns;
		return pause_ms(r);
	}
	remember(r, address, node, epoch);
	return 0;
}

static bool is_loopback(const char *address)
{
	char host[JOURNAL_ADDRESS_BYTES_MAX + 1];
	uint16_t port;

	if (text_host_port(address, host, sizeof(host), &port))
		return false;
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
	       strcmp(host, "::1") == 0;
}

void rival_describe(const struct rival *r, const char *own, char ret[RIVAL_TEXT_BYTES])
{
	const char *why = "does not answer this node there: is there a firewall between them?";

	if (strcmp(r->address, own) == 0)
		why = "has the same peer address as this node, so each takes the other for itself.";
	else if (is_loopback(r->address))
		why = "does not answer this node there: a loopback address is reached from its own "
		      "machine only.";
	snprintf(ret, RIVAL_TEXT_BYTES,
		 "two nodes share the journal and do not reach each other: the one on host %s with "
		 "peer address %s took the lead back %u times.  It %s  Start every node with "
		 "--peer HOST:PORT, an address of its own that all others reach.",
		 r->node[0] ? r->node : "(unknown)", r->address, r->returns, why);
}
