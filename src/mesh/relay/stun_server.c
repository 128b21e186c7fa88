#include "mesh/relay/stun_server.h"

#include <assert.h>

#include "base/hash.h"
#include "base/memory.h"
#include "loop/datagram.h"
#include "mesh/relay/rate.h"

enum { SERVER_MAGIC = 0x5374756e, IPV6_NETWORK_BYTES = 8 };

struct stun_server {
	uint32_t magic;
	struct loop *loop;
	struct datagram *datagram;
	struct stun_server_counts counts;
	struct rate rates[STUN_SOURCES_MAX];
};

static bool may_answer(struct stun_server *server, const struct endpoint *to)
{
	struct slice who = { to->ip, endpoint_is_ip4(to) ? sizeof(to->ip) : IPV6_NETWORK_BYTES };
	struct rate *rate = &server->rates[hash_bytes(who) % STUN_SOURCES_MAX];
	uint64_t now_ms = loop_now_ms(server->loop);

	if (!rate->per_second)
		rate_init(rate, STUN_ANSWERS_PER_SECOND, STUN_ANSWERS_BURST, now_ms);
	return rate_allows(rate, 1, now_ms);
}

static void answer(struct stun_server *server, const struct datagram_run *asked,
		   struct slice packet)
{
	uint8_t id[STUN_ID_BYTES], bytes[STUN_ANSWER_BYTES_MAX];
	struct datagram_run run = { .peer = asked->peer, .interface = asked->interface };

	if (stun_read_request(packet, id)) {
		server->counts.garbage++;
		return;
	}
	server->counts.requests++;
	if (!may_answer(server, &asked->peer)) {
		server->counts.limited++;
		return;
	}
	memcpy(run.local, asked->local, sizeof(run.local));
	run.data = bytes;
	run.size = run.segment_size = stun_make_answer(id, &asked->peer, bytes);
	/* What the socket does not take is lost, as on any network. */
	if (datagram_send(server->datagram, &run, 1) == 1 && run.err == OK)
		server->counts.answers++;
}

static void on_runs(void *context, struct datagram_run *runs, size_t count)
{
	struct stun_server *server = context;

	for (size_t i = 0; i < count; i++) {
		struct slice rest = { runs[i].data, runs[i].size };
		while (rest.size > 0) {
			struct slice packet = slice_part(rest, 0, runs[i].segment_size);
			answer(server, &runs[i], packet);
			rest = slice_part(rest, packet.size, rest.size);
		}
	}
}

enum err stun_server_open(struct loop *loop, uint16_t port, const uint8_t *local,
			  struct stun_server **ret)
{
	struct stun_server *server = NEW(struct stun_server);
	struct datagram_options options = {
		.port = port,
		.local = local,
		.without_segmentation = true,
		.on_runs = on_runs,
		.context = server,
	};

	server->magic = SERVER_MAGIC;
	server->loop = loop;
	enum err err = datagram_open(loop, &options, &server->datagram);
	if (err)
		memory_free(server);
	else
		*ret = server;
	return err;
}

void stun_server_close(struct stun_server *server)
{
	assert(server->magic == SERVER_MAGIC);
	datagram_close(server->datagram);
	server->magic = 0;
	memory_free(server);
}

uint16_t stun_server_port(const struct stun_server *server)
{
	return datagram_port(server->datagram);
}

struct stun_server_counts stun_server_count(const struct stun_server *server)
{
	return server->counts;
}
