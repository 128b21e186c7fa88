/* The path engine over real sockets, see README.md.
 *
 *	path_peer RELAY_SOCKET PORT [--punch] [--mapping] [--stun ADDRESS:PORT]... [--gateway IP]
 *
 * Lines in:	peer NAME NODEKEY DISCOKEY RELAY_SOCKET [ADDRESS:PORT]...
 *		talk, quiet, ping, state or reset NAME | info | network [GATEWAY] | end
 * Lines out:	key NODEKEY DISCOKEY
 *		endpoints [ADDRESS:PORT/KIND]...
 *		change NAME why ...
 *		state NAME KIND UDP RELAY GAP_MS why ...	packets that came, longest pause
 *		info UDP VARIES MAPPING SOCKETS
 *		pong NAME REGION ADDRESS:PORT LATENCY_US | lost NAME
 *
 * Data carries the name of its sender: where a tunnel would open a packet, that is believed. */
#include <arpa/inet.h>
#include <assert.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "mesh/paths/paths.h"
#include "wire/crypto/x25519.h"

enum { PEERS = 16, NAME_BYTES = 32, REGION = 900, TALK_MS = 200, STUN_MAX = 4, WORDS_MAX = 64 };

struct friend
{
	char name[NAME_BYTES];
	struct sockaddr_un relay;
	struct paths_peer *peer;
	bool is_talking;
	unsigned heard_udp, heard_relay;
	uint64_t heard_ms, gap_ms;
};

static struct {
	struct paths *paths;
	struct mesh_key node;
	struct friend friends[PEERS];
	int friend_count;
	int sockets[PATHS_SOCKETS_MAX]; /* -1: closed */
	int open_count;
	int relay;
	char name[NAME_BYTES]; /* what we are called by the others: our relay socket */
	uint16_t port;
	struct endpoint gateway;
	uint64_t talk_ms;
} self;

/* --- sockets --- */

static struct sockaddr_in6 to_socket_address(const struct endpoint *e)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };

	memcpy(&a.sin6_addr, e->ip, sizeof(e->ip));
	return a;
}

static struct endpoint from_socket_address(const struct sockaddr_in6 *a)
{
	struct endpoint e = { .port = ntohs(a->sin6_port) };

	memcpy(e.ip, &a->sin6_addr, sizeof(e.ip));
	return e;
}

static int open_udp(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0;

	if (fd >= 0 && (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
			bind(fd, (struct sockaddr *)&any, sizeof(any)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void set_ttl(int fd, int ttl)
{
	(void)setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
}

static void send_udp(uint16_t socket, const struct endpoint *to, uint8_t ttl, struct slice bytes)
{
	struct sockaddr_in6 a = to_socket_address(to);
	int fd = self.sockets[socket];

	if (fd < 0)
		return;
	if (ttl)
		set_ttl(fd, ttl);
	(void)sendto(fd, bytes.data, bytes.size, 0, (struct sockaddr *)&a, sizeof(a));
	if (ttl)
		set_ttl(fd, -1);
}

/* As a relay does: the receiver is told the node key of the sender. */
static void send_relay(const struct friend *f, struct slice bytes)
{
	struct iovec parts[2] = { { self.node.bytes, sizeof(self.node.bytes) },
				  { (void *)(uintptr_t)bytes.data, bytes.size } };
	struct msghdr m = {
		.msg_name = (void *)(uintptr_t)&f->relay,
		.msg_namelen = sizeof(f->relay),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};

	(void)sendmsg(self.relay, &m, MSG_DONTWAIT);
}

/* --- effects --- */

static struct friend *friend_of(const struct mesh_key *node)
{
	for (int i = 0; i < self.friend_count; i++)
		if (mesh_key_equal(paths_peer_node(self.friends[i].peer), node))
			return &self.friends[i];
	return NULL;
}

static void say_endpoints(void)
{
	struct paths_endpoint ours[PATHS_ENDPOINTS_MAX];
	int count = paths_endpoints(self.paths, ours);
	char text[ENDPOINT_TEXT_BYTES];

	printf("endpoints");
	for (int i = 0; i < count; i++) {
		endpoint_text(&ours[i].address, text);
		printf(" %s/%d", text, ours[i].kind);
	}
	printf("\n");
}

static void say_change(const struct friend *f)
{
	char why[PATHS_WHY_BYTES];

	paths_peer_why(self.paths, f->peer, clock_now_us(), why);
	printf("change %s %s\n", f->name, why);
}

static void say_pong(const struct paths_effect *e)
{
	const struct friend *f = paths_peer_context(e->peer);
	char text[ENDPOINT_TEXT_BYTES];

	endpoint_text(&e->address, text);
	printf("pong %s %u %s %llu\n", f->name, e->region, text, (unsigned long long)e->latency_us);
}

static void set_socket(uint16_t socket, bool is_open)
{
	if (is_open) {
		self.sockets[socket] = open_udp(0);
		self.open_count++;
	} else {
		if (self.sockets[socket] >= 0)
			close(self.sockets[socket]);
		self.sockets[socket] = -1;
		self.open_count--;
	}
}

static void drain(void)
{
	struct paths_effect e;

	while (paths_next(self.paths, &e)) {
		if (e.kind == PATHS_SEND)
			send_udp(e.socket, &e.address, e.ttl, e.bytes);
		else if (e.kind == PATHS_SEND_RELAY && friend_of(&e.node))
			send_relay(friend_of(&e.node), e.bytes);
		else if (e.kind == PATHS_OPEN_SOCKET || e.kind == PATHS_CLOSE_SOCKET)
			set_socket(e.socket, e.kind == PATHS_OPEN_SOCKET);
		else if (e.kind == PATHS_ENDPOINTS_CHANGED)
			say_endpoints();
		else if (e.kind == PATHS_PEER_CHANGED)
			say_change(paths_peer_context(e.peer));
		else if (e.kind == PATHS_PING_ANSWERED)
			say_pong(&e);
		else if (e.kind == PATHS_PING_LOST)
			printf("lost %s\n", ((struct friend *)paths_peer_context(e.peer))->name);
	}
	fflush(stdout);
}

/* --- data --- */

static void talk(struct friend *f)
{
	uint8_t bytes[1 + NAME_BYTES] = { 4 };
	struct slice data = { bytes, sizeof(bytes) };
	struct paths_route route;

	memcpy(bytes + 1, self.name, NAME_BYTES);
	paths_route(self.paths, f->peer, clock_now_us(), &route);
	if (route.has_udp)
		send_udp(route.socket, &route.address, 0, data);
	if (route.has_relay)
		send_relay(f, data);
	drain();
}

static void heard(struct slice packet, const struct paths_from *from)
{
	uint64_t now_ms = clock_now_ms();

	if (packet.size != 1 + NAME_BYTES || packet.data[packet.size - 1])
		return;
	for (int i = 0; i < self.friend_count; i++) {
		struct friend *f = &self.friends[i];

		if (strcmp(f->name, (const char *)packet.data + 1) != 0)
			continue;
		*(from->region ? &f->heard_relay : &f->heard_udp) += 1;
		if (f->heard_ms && now_ms - f->heard_ms > f->gap_ms)
			f->gap_ms = now_ms - f->heard_ms;
		f->heard_ms = now_ms;
		paths_authenticated(self.paths, f->peer, from, clock_now_us());
	}
}

static void read_udp(uint16_t socket)
{
	uint8_t bytes[2048];
	struct sockaddr_in6 source;

	for (int i = 0; i < 64; i++) {
		socklen_t size = sizeof(source);
		ssize_t got = recvfrom(self.sockets[socket], bytes, sizeof(bytes), 0,
				       (struct sockaddr *)&source, &size);
		struct slice packet = { bytes, got > 0 ? (size_t)got : 0 };
		struct endpoint from = from_socket_address(&source);
		struct paths_peer *peer;
		struct paths_from way;

		if (got < 0)
			return;
		if (paths_received(self.paths, socket, &from, &packet, clock_now_us(), &way,
				   &peer) == PATHS_WIREGUARD)
			heard(packet, &way);
		drain();
		if (self.sockets[socket] < 0)
			return;
	}
}

static void read_relay(void)
{
	static uint8_t bytes[65536];
	ssize_t got;

	while ((got = recv(self.relay, bytes, sizeof(bytes), MSG_DONTWAIT)) > MESH_KEY_BYTES) {
		struct slice packet = { bytes + MESH_KEY_BYTES, (size_t)got - MESH_KEY_BYTES };
		struct paths_peer *peer;
		struct paths_from way;
		struct mesh_key node;

		memcpy(node.bytes, bytes, sizeof(node.bytes));
		if (paths_relay_received(self.paths, REGION, &node, packet, clock_now_us(), &way,
					 &peer) == PATHS_WIREGUARD)
			heard(packet, &way);
		drain();
	}
}

/* --- the own network --- */

static void look_at_network(void)
{
	struct paths_local local = { .count = 0 };
	struct ifaddrs *list, *it;

	if (getifaddrs(&list))
		abort();
	for (it = list; it && local.count < PATHS_LOCAL_MAX; it = it->ifa_next) {
		const uint8_t *ip4;
		struct endpoint e = { .port = self.port };

		if (!it->ifa_addr || it->ifa_flags & IFF_LOOPBACK)
			continue;
		if (it->ifa_addr->sa_family == AF_INET) {
			ip4 = (const uint8_t *)&((struct sockaddr_in *)it->ifa_addr)->sin_addr;
			e = endpoint_ip4(ip4[0], ip4[1], ip4[2], ip4[3], self.port);
			local.to_gateway = e;
		} else if (it->ifa_addr->sa_family == AF_INET6) {
			memcpy(e.ip, &((struct sockaddr_in6 *)it->ifa_addr)->sin6_addr, 16);
		} else {
			continue;
		}
		if (!endpoint_is_link_local(&e))
			local.addresses[local.count++] = e;
	}
	freeifaddrs(list);
	local.gateway = self.gateway;
	paths_network_changed(self.paths, &local, clock_now_us());
	drain();
}

/* --- lines --- */

static void on_peer(char **words, int count)
{
	struct endpoint endpoints[WORDS_MAX];
	struct paths_peer_facts facts = { .endpoints = endpoints, .home = REGION };
	struct friend *f = NULL;

	for (int i = 0; i < self.friend_count; i++)
		if (strcmp(self.friends[i].name, words[1]) == 0)
			f = &self.friends[i];
	if (!f) {
		assert(self.friend_count < PEERS);
		f = &self.friends[self.friend_count++];
	}
	snprintf(f->name, sizeof(f->name), "%s", words[1]);
	f->relay.sun_family = AF_UNIX;
	snprintf(f->relay.sun_path, sizeof(f->relay.sun_path), "%s", words[4]);
	if (mesh_key_parse(MESH_KEY_NODE, slice_from(words[2]), &facts.node) ||
	    mesh_key_parse(MESH_KEY_DISCO, slice_from(words[3]), &facts.disco))
		abort();
	for (int i = 5; i < count; i++)
		if (!endpoint_parse(slice_from(words[i]), &endpoints[facts.endpoint_count]))
			facts.endpoint_count++;
	facts.context = f;
	f->peer = paths_put_peer(self.paths, &facts, clock_now_us());
}

static void say_state(const struct friend *f)
{
	static const char *const kinds[] = { "none", "relay", "direct", "peer-relay" };
	struct paths_peer_state state;
	char why[PATHS_WHY_BYTES];

	paths_peer_state(self.paths, f->peer, clock_now_us(), &state);
	paths_peer_why(self.paths, f->peer, clock_now_us(), why);
	printf("state %s %s %u %u %llu %s\n", f->name, kinds[state.kind], f->heard_udp,
	       f->heard_relay, (unsigned long long)f->gap_ms, why);
}

static void say_info(void)
{
	struct paths_netinfo info;

	paths_netinfo(self.paths, &info);
	printf("info %d %d %d %d\n", info.has_udp, info.mapping_varies, info.has_mapping,
	       self.open_count);
}

static void on_friend(const char *word, struct friend *f)
{
	if (strcmp(word, "talk") == 0) {
		f->is_talking = true;
		f->gap_ms = f->heard_ms = 0;
	} else if (strcmp(word, "quiet") == 0) {
		f->is_talking = false;
	} else if (strcmp(word, "ping") == 0) {
		paths_ping(self.paths, f->peer, clock_now_us());
	} else if (strcmp(word, "state") == 0) {
		say_state(f);
	} else if (strcmp(word, "reset") == 0) {
		f->heard_udp = f->heard_relay = 0;
		f->gap_ms = 0;
	}
}

static void on_line(char *line)
{
	char *words[WORDS_MAX], *rest = NULL;
	int count = 0;

	for (char *w = strtok_r(line, " \n", &rest); w && count < WORDS_MAX;
	     w = strtok_r(NULL, " \n", &rest))
		words[count++] = w;
	if (count == 0)
		return;
	if (strcmp(words[0], "peer") == 0 && count >= 5) {
		on_peer(words, count);
	} else if (strcmp(words[0], "info") == 0) {
		say_info();
	} else if (strcmp(words[0], "network") == 0) {
		if (count > 1 && endpoint_parse_ip(slice_from(words[1]), 0, &self.gateway))
			abort();
		look_at_network();
	} else if (strcmp(words[0], "end") == 0) {
		paths_give_back(self.paths);
		drain();
		paths_free(self.paths);
		exit(0);
	}
	for (int i = 0; count == 2 && i < self.friend_count; i++)
		if (strcmp(self.friends[i].name, words[1]) == 0)
			on_friend(words[0], &self.friends[i]);
	drain();
}

static void read_lines(void)
{
	static char text[65536];
	static size_t size;
	ssize_t got = read(STDIN_FILENO, text + size, sizeof(text) - 1 - size);
	char *end;

	if (got <= 0)
		exit(0);
	size += (size_t)got;
	text[size] = 0;
	while ((end = memchr(text, '\n', size))) {
		*end = 0;
		on_line(text);
		size -= (size_t)(end + 1 - text);
		memmove(text, end + 1, size + 1);
	}
}

/* --- time --- */

static int wait_ms(void)
{
	uint64_t now_us = clock_now_us(), deadline_us = paths_deadline_us(self.paths);
	uint64_t talk_us = self.talk_ms * 1000;

	for (int i = 0; i < self.friend_count; i++)
		if (self.friends[i].is_talking && talk_us < deadline_us)
			deadline_us = talk_us;
	if (deadline_us == UINT64_MAX)
		return -1;
	return deadline_us <= now_us ? 0 : (int)((deadline_us - now_us) / 1000 + 1);
}

static void turn(void)
{
	static struct pollfd fds[PATHS_SOCKETS_MAX + 2];
	static uint16_t numbers[PATHS_SOCKETS_MAX];
	nfds_t count = 2;

	fds[0] = (struct pollfd) { .fd = STDIN_FILENO, .events = POLLIN };
	fds[1] = (struct pollfd) { .fd = self.relay, .events = POLLIN };
	for (int i = 0; i < PATHS_SOCKETS_MAX; i++) {
		if (self.sockets[i] < 0)
			continue;
		numbers[count - 2] = (uint16_t)i;
		fds[count++] = (struct pollfd) { .fd = self.sockets[i], .events = POLLIN };
	}
	poll(fds, count, wait_ms());
	for (nfds_t i = 2; i < count; i++)
		if (fds[i].revents && self.sockets[numbers[i - 2]] == fds[i].fd)
			read_udp(numbers[i - 2]);
	if (fds[1].revents)
		read_relay();
	if (fds[0].revents)
		read_lines();
	if (paths_deadline_us(self.paths) <= clock_now_us())
		paths_tick(self.paths, clock_now_us());
	if (clock_now_ms() >= self.talk_ms) {
		self.talk_ms = clock_now_ms() + TALK_MS;
		for (int i = 0; i < self.friend_count; i++)
			if (self.friends[i].is_talking)
				talk(&self.friends[i]);
	}
	drain();
}

/* --- begin --- */

static void open_relay(const char *path)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	const char *name = strrchr(path, '/');
	int bytes = 1 << 20;

	snprintf(own.sun_path, sizeof(own.sun_path), "%s", path);
	snprintf(self.name, sizeof(self.name), "%s", name ? name + 1 : path);
	self.relay = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (self.relay < 0 || bind(self.relay, (struct sockaddr *)&own, sizeof(own)) ||
	    setsockopt(self.relay, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes))) {
		perror(path);
		exit(1);
	}
}

static struct paths_region read_options(char **words, int count, struct paths_config *config)
{
	struct paths_region region = { .id = REGION };

	config->is_punch_off = config->is_port_mapping_off = true;
	for (int i = 0; i < count; i++) {
		if (strcmp(words[i], "--punch") == 0)
			config->is_punch_off = false;
		else if (strcmp(words[i], "--mapping") == 0)
			config->is_port_mapping_off = false;
		else if (strcmp(words[i], "--stun") == 0 && region.stun_count < STUN_MAX) {
			if (endpoint_parse(slice_from(words[++i]),
					   &region.stun[region.stun_count++]))
				abort();
		} else if (strcmp(words[i], "--gateway") == 0) {
			if (endpoint_parse_ip(slice_from(words[++i]), 0, &self.gateway))
				abort();
		} else {
			fprintf(stderr, "path_peer: %s?\n", words[i]);
			exit(2);
		}
	}
	return region;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 4096, 4096 };
	struct paths_config config = { 0 };
	struct paths_region region;
	struct mesh_key node_secret;
	char node[MESH_KEY_TEXT_BYTES], disco[MESH_KEY_TEXT_BYTES];

	assert(argc > 2);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	open_relay(argv[1]);
	self.port = (uint16_t)strtoul(argv[2], NULL, 10);
	region = read_options(argv + 3, argc - 3, &config);
	random_bytes(&node_secret, sizeof(node_secret));
	random_bytes(&config.disco_secret, sizeof(config.disco_secret));
	x25519_clamp(config.disco_secret.bytes);
	x25519_public(node_secret.bytes, self.node.bytes);
	config.node_public = self.node;
	self.paths = paths_new(&config, clock_now_us());
	for (int i = 0; i < PATHS_SOCKETS_MAX; i++)
		self.sockets[i] = -1;
	self.sockets[0] = open_udp(self.port);
	assert(self.sockets[0] >= 0);
	mesh_key_text(MESH_KEY_NODE, &self.node, node);
	mesh_key_text(MESH_KEY_DISCO, paths_disco_public(self.paths), disco);
	printf("key %s %s\n", node, disco);
	paths_set_regions(self.paths, &region, 1, clock_now_us());
	paths_relay_up(self.paths, REGION, 0, clock_now_us()); /* a local socket */
	look_at_network();
	for (;;)
		turn();
}
