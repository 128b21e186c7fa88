#include "server/serve_options.h"

#include <string.h>

#include "base/text.h"
#include "streams/agent/flush_budget.h"

enum { PEER_PORT_DISTANCE = 100, PARTITIONS_MAX = 10000 };
enum { REAUTH_MS_MIN = 1000, REAUTH_MS_MAX = 7 * 86400 * 1000 };

static void fill_defaults(struct options *o)
{
	if (o->values[OPTION_JOURNAL][0] == '\0' && o->has_control)
		memcpy(o->values[OPTION_JOURNAL], o->values[OPTION_BUCKET], OPTION_VALUE_BYTES_MAX);
	if (o->values[OPTION_ADVERTISE][0] == '\0')
		memcpy(o->values[OPTION_ADVERTISE], o->values[OPTION_KAFKA],
		       OPTION_VALUE_BYTES_MAX);
	if (o->values[OPTION_RUN_DIR][0] == '\0')
		options_run_dir(o->values[OPTION_RUN_DIR]);
}

static enum err read_control_address(const char *text, struct control_option *ret,
				     char why[OPTION_WHY_BYTES])
{
	struct address *to = &ret->address;

	if (!text_host_port(text, to->host, sizeof(to->host), &to->port) && to->port != 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 "--control %.100s is neither unix:PATH nor HOST:PORT, the --peer of a control",
		 text);
	return ERR_INVALID;
}

/* unix:PATH or HOST:PORT */
static enum err read_control(const char *text, struct control_option *ret,
			     char why[OPTION_WHY_BYTES])
{
	*ret = (struct control_option) { 0 };
	if (strncmp(text, "unix:", 5) != 0)
		return read_control_address(text, ret, why);
	size_t size = strlen(text + 5);
	if (size == 0 || size >= sizeof(ret->path)) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--control %.150s: the path of a socket has 1 to %zu bytes", text,
			 sizeof(ret->path) - 1);
		return ERR_INVALID;
	}
	memcpy(ret->path, text + 5, size + 1);
	return OK;
}

static enum err own_control(struct options *o, char why[OPTION_WHY_BYTES])
{
	char path[OPTION_VALUE_BYTES_MAX + 32];

	options_control_path(o, path);
	if (strlen(path) >= sizeof(o->controls[0].path)) {
		snprintf(why, OPTION_WHY_BYTES, "--run-dir %.150s is too long for a socket in it",
			 o->values[OPTION_RUN_DIR]);
		return ERR_INVALID;
	}
	memcpy(o->controls[0].path, path, strlen(path) + 1);
	o->control_count = 1;
	if (!o->has_control)
		snprintf(o->values[OPTION_CONTROL], OPTION_VALUE_BYTES_MAX, "unix:%s",
			 o->controls[0].path);
	return OK;
}

/* PLACE[,PLACE...]; without any, it is the socket of this node. */
static enum err read_controls(struct options *o, char why[OPTION_WHY_BYTES])
{
	char places[OPTION_VALUE_BYTES_MAX], *rest = places;

	o->control_count = 0;
	if (o->values[OPTION_CONTROL][0] && o->has_control) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--control is for nodes without control: give --roles streams with it");
		return ERR_INVALID;
	}
	if (!o->has_streams)
		return OK;
	if (o->values[OPTION_CONTROL][0] == '\0')
		return own_control(o, why);
	snprintf(places, sizeof(places), "%s", o->values[OPTION_CONTROL]);
	for (char *place = strsep(&rest, ","); place; place = strsep(&rest, ",")) {
		if (o->control_count == OPTION_CONTROLS_MAX) {
			snprintf(why, OPTION_WHY_BYTES, "--control names more than %d places",
				 OPTION_CONTROLS_MAX);
			return ERR_INVALID;
		}
		enum err err = read_control(place, &o->controls[o->control_count], why);
		if (err)
			return err;
		o->control_count++;
	}
	return OK;
}

/* Over the network both sides prove who they are, with keys. */
static enum err check_control_keys(const struct options *o, char why[OPTION_WHY_BYTES])
{
	for (size_t i = 0; i < o->control_count && !o->is_sealed; i++) {
		if (o->controls[i].path[0])
			continue;
		snprintf(why, OPTION_WHY_BYTES,
			 "--control %.100s needs --key-file FILE: agents and control on other "
			 "machines know each other by their keys (`hanse key derive streams` makes "
			 "the file)",
			 o->values[OPTION_CONTROL]);
		return ERR_INVALID;
	}
	return OK;
}

static enum err read_auto_create(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *value = o->values[OPTION_AUTO_CREATE_TOPICS];

	o->auto_creates_topics = strcmp(value, "yes") == 0;
	if (o->auto_creates_topics || strcmp(value, "no") == 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES, "--auto-create-topics %.60s: it is yes or no", value);
	return ERR_INVALID;
}

static enum err read_metrics_lag(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *value = o->values[OPTION_METRICS_LAG];

	o->tells_lag = strcmp(value, "yes") == 0;
	if (o->tells_lag || strcmp(value, "no") == 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES, "--metrics-lag %.60s: it is yes or no", value);
	return ERR_INVALID;
}

static bool is_any_host(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Who listens for clients everywhere listens for nodes everywhere. */
static void find_listen(const struct options *o, const char *host, char ret[OPTION_HOST_BYTES])
{
	if (is_any_host(o->kafka.host) && strcmp(host, o->advertise.host) == 0)
		host = o->kafka.host;
	snprintf(ret, OPTION_HOST_BYTES, "%s", host);
}

/* Beside Kafka, which the value says then. */
static void place_beside(struct options *o, int option, int distance, struct address *ret)
{
	*ret = is_any_host(o->kafka.host) ? o->advertise : o->kafka;
	ret->port = (uint16_t)(o->kafka.port + distance);
	bool is_v6 = strchr(ret->host, ':');
	snprintf(o->values[option], OPTION_VALUE_BYTES_MAX, is_v6 ? "[%s]:%u" : "%s:%u", ret->host,
		 ret->port);
}

/* The other nodes' door: beside Kafka's unless said otherwise.  Its address is also this node's
 * name among nodes, so 0.0.0.0, which all of them could have, is none. */
static enum err find_peer(struct options *o, char why[OPTION_WHY_BYTES])
{
	if (o->values[OPTION_PEER][0]) {
		enum err err = options_read_address(o, OPTION_PEER, &o->peer, why);
		if (!err)
			find_listen(o, o->peer.host, o->peer_listen);
		return err;
	}
	if (o->kafka.port > UINT16_MAX - PEER_PORT_DISTANCE) {
		snprintf(why, OPTION_WHY_BYTES, "the port of --kafka leaves no room: give --peer");
		return ERR_INVALID;
	}
	place_beside(o, OPTION_PEER, PEER_PORT_DISTANCE, &o->peer);
	find_listen(o, o->peer.host, o->peer_listen);
	return OK;
}

/* The door for agents of the same site; only with keys, which say who is one.  Others are told the
 * address as it is given, so it must be one that leads here. */
static enum err find_blocks(struct options *o, char why[OPTION_WHY_BYTES])
{
	char *value = o->values[OPTION_BLOCKS];

	if (value[0] == '\0' || strcmp(value, "none") == 0) {
		snprintf(value, OPTION_VALUE_BYTES_MAX, "none");
		return OK;
	}
	enum err err = options_read_address(o, OPTION_BLOCKS, &o->blocks, why);
	if (err)
		return err;
	if (is_any_host(o->blocks.host)) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--blocks %.100s: other agents are told this address, and it leads each "
			 "to itself: give the one at which they reach this node",
			 value);
		return ERR_INVALID;
	}
	find_listen(o, o->blocks.host, o->blocks_listen);
	if (o->is_sealed)
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 "--blocks needs --key-file: agents know each other by their keys");
	return ERR_INVALID;
}

/* Ports that one process after the other opens. */
struct ports {
	const char *name;
	unsigned first, count; /* 0: none */
};

static void say_ports(const struct ports *p, char *ret, size_t size)
{
	if (p->count > 1)
		snprintf(ret, size, "--%s (ports %u to %u)", p->name, p->first,
			 p->first + p->count - 1);
	else
		snprintf(ret, size, "--%s", p->name);
}

static enum err check_apart(const struct ports *p, const struct ports *other,
			    char why[OPTION_WHY_BYTES])
{
	char names[2][64];

	if (p->first + p->count <= other->first || other->first + other->count <= p->first)
		return OK;
	say_ports(p, names[0], sizeof(names[0]));
	say_ports(other, names[1], sizeof(names[1]));
	snprintf(why, OPTION_WHY_BYTES, "%s and %s have the same port %u", names[0], names[1],
		 p->first > other->first ? p->first : other->first);
	return ERR_INVALID;
}

/* The others open first or not at all: whoever came second would take the place for busy.  Which
 * address each port is of does not count: one number for one thing. */
enum err serve_options_check_ports(const struct options *o, char why[OPTION_WHY_BYTES])
{
	unsigned agents = (unsigned)o->agent_count;
	const struct ports blocks = { "blocks", o->blocks.port, o->blocks.port ? agents : 0 };
	const struct ports kafka = { "kafka", o->kafka.port, o->has_streams ? agents : 1 };
	const struct ports others[] = {
		{ "peer", o->peer.port, o->peer.port > 0 },
		{ "metrics", o->metrics.port, o->metrics.port > 0 },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		enum err err = OK;
		if (blocks.count > 0)
			err = check_apart(&blocks, &others[i], why);
		if (!err && kafka.count > 1)
			err = check_apart(&kafka, &others[i], why);
		if (err)
			return err;
	}
	return blocks.count > 0 ? check_apart(&blocks, &kafka, why) : OK;
}

/* N agents take the port that is given and those after it. */
static enum err read_agents(struct options *o, char why[OPTION_WHY_BYTES])
{
	const struct ports given[] = {
		{ "kafka", o->kafka.port, 1 },
		{ "advertise", o->advertise.port, 1 },
		{ "blocks", o->blocks.port, 1 },
	};
	uint64_t count;

	if (text_to_u64(slice_from(o->values[OPTION_AGENTS]), OPTION_AGENTS_MAX, &count) ||
	    count == 0) {
		snprintf(why, OPTION_WHY_BYTES, "--agents is 1 to %d", OPTION_AGENTS_MAX);
		return ERR_INVALID;
	}
	if (count > 1 && !o->has_streams) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--agents is for nodes that serve Kafka: give --roles streams with it");
		return ERR_INVALID;
	}
	o->agent_count = (int)count;
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		if (given[i].first + count - 1 <= UINT16_MAX)
			continue;
		snprintf(why, OPTION_WHY_BYTES,
			 "after the port %u of --%s there are not enough for --agents %llu",
			 given[i].first, given[i].name, (unsigned long long)count);
		return ERR_INVALID;
	}
	return OK;
}

static enum err read_kafka_tls(struct options *o, char why[OPTION_WHY_BYTES])
{
	bool has_certificate = o->values[OPTION_KAFKA_CERTIFICATE][0];

	if (has_certificate != (o->values[OPTION_KAFKA_CERTIFICATE_KEY][0] != '\0')) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--kafka-certificate and --kafka-certificate-key belong together");
		return ERR_INVALID;
	}
	if (o->values[OPTION_KAFKA_CLIENT_CA][0] && !has_certificate) {
		snprintf(why, OPTION_WHY_BYTES, "--kafka-client-ca needs --kafka-certificate");
		return ERR_INVALID;
	}
	bool has_keys = o->values[OPTION_KAFKA_JWKS][0];
	if (has_keys != (o->values[OPTION_KAFKA_TOKEN_ISSUER][0] != '\0') ||
	    has_keys != (o->values[OPTION_KAFKA_TOKEN_AUDIENCE][0] != '\0')) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--kafka-jwks, --kafka-token-issuer and --kafka-token-audience belong "
			 "together");
		return ERR_INVALID;
	}
	if (text_to_u64(slice_from(o->values[OPTION_KAFKA_REAUTH_MS]), REAUTH_MS_MAX,
			&o->kafka_reauth_ms) ||
	    (o->kafka_reauth_ms > 0 && o->kafka_reauth_ms < REAUTH_MS_MIN)) {
		snprintf(why, OPTION_WHY_BYTES, "--kafka-reauth-ms is 0, or %d to %d",
			 REAUTH_MS_MIN, REAUTH_MS_MAX);
		return ERR_INVALID;
	}
	return OK;
}

static enum err read_numbers(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *partitions = o->values[OPTION_DEFAULT_PARTITIONS];
	const char *puts = o->values[OPTION_PUTS_PER_SECOND];
	uint64_t value;

	if (text_to_u64(slice_from(partitions), PARTITIONS_MAX, &value) || value == 0) {
		snprintf(why, OPTION_WHY_BYTES, "--default-partitions is 1 to %d", PARTITIONS_MAX);
		return ERR_INVALID;
	}
	o->default_partitions = (int32_t)value;
	if (text_to_u64(slice_from(puts), FLUSH_PUTS_PER_S_MAX, &value) ||
	    value < FLUSH_PUTS_PER_S_MIN) {
		snprintf(why, OPTION_WHY_BYTES, "--puts-per-second is %d to %d",
			 FLUSH_PUTS_PER_S_MIN, FLUSH_PUTS_PER_S_MAX);
		return ERR_INVALID;
	}
	o->puts_per_s = (int)value;
	return OK;
}

enum err serve_options_finish(struct options *o, char why[OPTION_WHY_BYTES])
{
	fill_defaults(o);
	enum err err = options_read_address(o, OPTION_KAFKA, &o->kafka, why);
	if (!err)
		err = options_read_address(o, OPTION_ADVERTISE, &o->advertise, why);
	if (!err && o->has_control)
		err = find_peer(o, why);
	if (!err)
		err = options_read_journal(o, why);
	if (!err && o->has_streams)
		err = find_blocks(o, why);
	if (!err)
		err = read_agents(o, why);
	if (!err)
		err = read_controls(o, why);
	if (!err)
		err = read_kafka_tls(o, why);
	if (!err)
		err = read_auto_create(o, why);
	if (!err)
		err = read_metrics_lag(o, why);
	if (!err)
		err = check_control_keys(o, why);
	return err ? err : read_numbers(o, why);
}
