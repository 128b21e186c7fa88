#include "server/peer_port.h"

#include "base/memory.h"

struct peer_port {
	struct peer_port_config config;
	struct listener *listener;
	struct heartbeat_server *heartbeats;
};

static void on_accept(void *context, struct stream *s)
{
	struct peer_port *p = context;
	const uint8_t *key = stream_peer_key(s);

	if (key && peer_identity_is_agent(p->config.identity, key))
		p->config.on_agent(p->config.context, s);
	else
		heartbeat_server_accept(p->heartbeats, s);
}

static enum err listen(struct peer_port *p, struct loop *loop, char why[TASK_WHY_BYTES])
{
	const struct peer_port_config *c = &p->config;

	if (c->identity)
		return listener_open_tls(loop, c->host, c->port, c->identity->listens, on_accept, p,
					 &p->listener, why);
	return listener_open_tcp(loop, c->host, c->port, on_accept, p, &p->listener, why);
}

enum err peer_port_open(struct loop *loop, const struct peer_port_config *config,
			struct peer_port **ret, char why[TASK_WHY_BYTES])
{
	struct peer_port *p = NEW(struct peer_port);

	p->config = *config;
	enum err err = listen(p, loop, why);
	if (err) {
		memory_free(p);
		return err;
	}
	p->heartbeats = heartbeat_server_new(config->node, config->ask, config->context);
	*ret = p;
	return OK;
}

void peer_port_close(struct peer_port *p)
{
	listener_close(p->listener);
	heartbeat_server_free(p->heartbeats);
	memory_free(p);
}

uint16_t peer_port_number(const struct peer_port *p)
{
	return listener_port(p->listener);
}
