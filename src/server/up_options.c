#include "server/up_options.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"

enum { NAME_BYTES_MAX = 63, HOST_NAME_BYTES = 256, KEEP_DAYS_MAX = 36500 };

static const char root_run_dir[] = "/run/hanse";

void up_options_run_dir(char ret[OPTION_VALUE_BYTES_MAX])
{
	if (getuid() == 0)
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "%s", root_run_dir);
	else
		options_run_dir(ret);
}

void up_options_find_run_dir(const char *socket, char ret[OPTION_VALUE_BYTES_MAX])
{
	char path[OPTION_VALUE_BYTES_MAX + 32];

	up_options_run_dir(ret);
	snprintf(path, sizeof(path), "%s/%s", ret, socket);
	if (access(path, F_OK) < 0 && access(root_run_dir, F_OK) == 0)
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "%s", root_run_dir);
}

void up_options_state_dir(char ret[OPTION_VALUE_BYTES_MAX])
{
	const char *home = getenv("HOME");

	ret[0] = '\0';
	if (getuid() == 0)
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "/var/lib/hanse");
	else if (home && home[0] == '/')
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "%s/.local/share/hanse", home);
}

void up_options_socket(const struct options *o, const char *name,
		       char ret[OPTION_VALUE_BYTES_MAX + 32])
{
	snprintf(ret, OPTION_VALUE_BYTES_MAX + 32, "%s/%.24s", o->values[OPTION_RUN_DIR], name);
}

/* --- derived values --------------------------------------------------------------------------- */
/* The first label of the host name, made a label of DNS: others find the machine by it. */
static void own_name(char ret[OPTION_VALUE_BYTES_MAX])
{
	char host[HOST_NAME_BYTES] = "";
	size_t used = 0;

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	for (const char *p = host; *p && *p != '.' && used < NAME_BYTES_MAX; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (is_plain || used > 0)
			ret[used++] = is_plain ? c : '-';
	}
	while (used > 0 && ret[used - 1] == '-')
		used--;
	ret[used] = '\0';
	if (used == 0)
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "machine");
}

/* The address from which this machine reaches the Internet.  Nothing is sent: to connect a UDP
 * socket only looks at the routes. */
static bool own_address(char ret[OPTION_HOST_BYTES])
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) }, own;
	socklen_t size = sizeof(own);
	AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, of documents only */
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	       getsockname(fd, (struct sockaddr *)&own, &size) == 0 &&
	       inet_ntop(AF_INET, &own.sin_addr, ret, OPTION_HOST_BYTES);
}

static enum err fill_places(struct options *o, char why[OPTION_WHY_BYTES])
{
	if (o->values[OPTION_STATE][0] == '\0')
		up_options_state_dir(o->values[OPTION_STATE]);
	if (o->values[OPTION_STATE][0] != '/') {
		snprintf(why, OPTION_WHY_BYTES, "--state %.100s: give a path that begins with /",
			 o->values[OPTION_STATE]);
		return ERR_INVALID;
	}
	if (o->values[OPTION_RUN_DIR][0] == '\0')
		up_options_run_dir(o->values[OPTION_RUN_DIR]);
	if (o->values[OPTION_NAME][0] == '\0')
		own_name(o->values[OPTION_NAME]);
	if (!o->roles[ROLE_REALM])
		return OK;
	if (o->values[OPTION_BUCKET][0] == '\0') {
		if (strlen(o->values[OPTION_STATE]) + 16 > OPTION_VALUE_BYTES_MAX) {
			snprintf(why, OPTION_WHY_BYTES, "--state is too long");
			return ERR_INVALID;
		}
		snprintf(o->values[OPTION_BUCKET], OPTION_VALUE_BYTES_MAX, "file:%.1000s/bucket",
			 o->values[OPTION_STATE]);
	}
	if (o->values[OPTION_JOURNAL][0] == '\0')
		memcpy(o->values[OPTION_JOURNAL], o->values[OPTION_BUCKET], OPTION_VALUE_BYTES_MAX);
	return OK;
}

/* --- what they mean --------------------------------------------------------------------------- */
/* HOST, HOST:PORT, a bare IPv6 address or [V6]:PORT. */
static enum err read_own_address(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *text = o->values[OPTION_ADDRESS];
	const char *colon = strchr(text, ':');
	struct address *to = &o->address;

	*to = (struct address) { .port = o->realm_listen.port };
	if (text[0] == '\0') {
		if (!own_address(to->host))
			to->host[0] = '\0';
		return OK;
	}
	if (!colon || (strchr(colon + 1, ':') && text[0] != '[')) {
		if (strlen(text) < OPTION_HOST_BYTES) {
			memcpy(to->host, text, strlen(text) + 1);
			return OK;
		}
	} else if (!text_host_port(text, to->host, sizeof(to->host), &to->port) && to->port != 0) {
		return OK;
	}
	snprintf(why, OPTION_WHY_BYTES,
		 "--address %.100s is not HOST or HOST:PORT, as in 192.0.2.7 or mesh.example.org",
		 text);
	return ERR_INVALID;
}

/* A label of DNS. */
static enum err check_name(const struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *name = o->values[OPTION_NAME];
	size_t size = strlen(name);
	bool is_good =
		size > 0 && size <= NAME_BYTES_MAX && name[0] != '-' && name[size - 1] != '-';

	for (size_t i = 0; i < size && is_good; i++)
		is_good = (name[i] >= 'a' && name[i] <= 'z') ||
			  (name[i] >= '0' && name[i] <= '9') || name[i] == '-';
	if (is_good)
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 "--name %.70s: 1 to %d of a-z, 0-9 and -, as in laptop or web-1", name,
		 NAME_BYTES_MAX);
	return ERR_INVALID;
}

static enum err check_yes_or_no(const struct options *o, enum option option,
				char why[OPTION_WHY_BYTES])
{
	const char *value = o->values[option];

	if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES, "--%s %.60s: it is yes or no", option_rows[option].name,
		 value);
	return ERR_INVALID;
}

/* Of the relay. */
static enum err read_relay(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *region = o->values[OPTION_REGION], *rate = o->values[OPTION_RELAY_RATE];
	uint64_t number = 0;

	if (!o->values[OPTION_CERTIFICATE][0] != !o->values[OPTION_CERTIFICATE_KEY][0]) {
		snprintf(why, OPTION_WHY_BYTES, "--certificate and --certificate-key go together");
		return ERR_INVALID;
	}
	if (region[0] && (text_to_u64(slice_from(region), RELAY_REGION_MAX, &number) ||
			  number < RELAY_REGION_MIN)) {
		snprintf(why, OPTION_WHY_BYTES, "--region is %d to %d", RELAY_REGION_MIN,
			 RELAY_REGION_MAX);
		return ERR_INVALID;
	}
	if (o->values[OPTION_RELAY_MATES][0] && (!number || !o->values[OPTION_RELAY_MESH_KEY][0])) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--relay-mates needs --region and --relay-mesh-key, the same for all");
		return ERR_INVALID;
	}
	o->region = (int)number;
	if (rate[0] && (text_to_u64(slice_from(rate), RELAY_RATE_MAX, &o->relay_rate) ||
			o->relay_rate < RELAY_RATE_MIN)) {
		snprintf(why, OPTION_WHY_BYTES, "--relay-rate is %d to %d bytes", RELAY_RATE_MIN,
			 RELAY_RATE_MAX);
		return ERR_INVALID;
	}
	return OK;
}

static enum err check_tags(const struct options *o, char why[OPTION_WHY_BYTES])
{
	struct slice rest = slice_from(o->values[OPTION_TAGS]);

	while (rest.size > 0) {
		struct slice tag = slice_cut(&rest, ',');
		if (!slice_starts_with(tag, SLICE("tag:"))) {
			snprintf(why, OPTION_WHY_BYTES, "--tags %.60s: tags look like tag:server",
				 o->values[OPTION_TAGS]);
			return ERR_INVALID;
		}
	}
	return OK;
}

static enum err check_words(const struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *hosts = o->values[OPTION_HOSTS];
	const char *tun = o->values[OPTION_TUN];

	if (check_tags(o, why) || check_yes_or_no(o, OPTION_ACCEPT_DNS, why) ||
	    check_yes_or_no(o, OPTION_FORWARD_DNS, why))
		return ERR_INVALID;
	if (hosts[0] != '/' && strcmp(hosts, "no") != 0) {
		snprintf(why, OPTION_WHY_BYTES, "--hosts %.100s: a path from the root, or \"no\"",
			 hosts);
		return ERR_INVALID;
	}
	if (strlen(tun) > 15 || strchr(tun, '/')) { /* IFNAMSIZ */
		snprintf(why, OPTION_WHY_BYTES, "--tun %.60s: a name has 1 to 15 bytes", tun);
		return ERR_INVALID;
	}
	if (o->values[OPTION_LOGIN_SERVER][0] &&
	    strncmp(o->values[OPTION_LOGIN_SERVER], "http://", 7) != 0 &&
	    strncmp(o->values[OPTION_LOGIN_SERVER], "https://", 8) != 0) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--login-server %.100s: it begins with http:// or https://",
			 o->values[OPTION_LOGIN_SERVER]);
		return ERR_INVALID;
	}
	return OK;
}

/* "512M": bytes, or with K, M, G or T. */
static enum err read_bytes(const struct options *o, enum option option, uint64_t *ret,
			   char why[OPTION_WHY_BYTES])
{
	static const char units[] = "KMGT";
	struct slice text = slice_from(o->values[option]);
	const char *unit = text.size ? strchr(units, text.data[text.size - 1]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (text_to_u64(slice_part(text, 0, text.size - (unit ? 1 : 0)), INT64_MAX >> shift, ret) ==
	    OK) {
		*ret <<= shift;
		return OK;
	}
	snprintf(why, OPTION_WHY_BYTES, "--%s %.60s: bytes, as in 4000000, 500M or 16G",
		 option_rows[option].name, o->values[option]);
	return ERR_INVALID;
}

static enum err read_inbox(struct options *o, char why[OPTION_WHY_BYTES])
{
	uint64_t days;

	enum err err = read_bytes(o, OPTION_INBOX_QUOTA, &o->inbox_quota, why);
	if (!err)
		err = read_bytes(o, OPTION_INBOX_SENDER_QUOTA, &o->inbox_sender_quota, why);
	if (!err)
		err = read_bytes(o, OPTION_INBOX_RESERVE, &o->inbox_reserve, why);
	if (err)
		return err;
	if (text_to_u64(slice_from(o->values[OPTION_INBOX_KEEP_DAYS]), KEEP_DAYS_MAX, &days) ||
	    days == 0) {
		snprintf(why, OPTION_WHY_BYTES, "--inbox-keep-days is 1 to %d", KEEP_DAYS_MAX);
		return ERR_INVALID;
	}
	o->inbox_keep_days = (uint32_t)days;
	return OK;
}

/* HOST:PORT, and a second port for who compares what both say. */
static enum err read_stun(struct options *o, char why[OPTION_WHY_BYTES])
{
	char first[OPTION_VALUE_BYTES_MAX], *second = first;
	struct address *at = &o->stun_listen;
	uint64_t port = 0;

	memcpy(first, o->values[OPTION_STUN], sizeof(first));
	strsep(&second, ",");
	if (text_host_port(first, at->host, sizeof(at->host), &at->port) || at->port == 0 ||
	    (second && (text_to_u64(slice_from(second), UINT16_MAX, &port) || port == 0 ||
			port == at->port))) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--stun %.100s is not HOST:PORT, or HOST:PORT,PORT, as in "
			 "0.0.0.0:3478,3479",
			 o->values[OPTION_STUN]);
		return ERR_INVALID;
	}
	o->second_stun_port = (uint16_t)port;
	return OK;
}

enum err up_options_finish(struct options *o, char why[OPTION_WHY_BYTES])
{
	uint64_t port;

	enum err err = fill_places(o, why);
	if (!err)
		err = options_read_address(o, OPTION_REALM, &o->realm_listen, why);
	if (!err)
		err = options_read_address(o, OPTION_RELAY, &o->relay_listen, why);
	if (!err)
		err = read_stun(o, why);
	if (!err)
		err = read_own_address(o, why);
	if (!err)
		err = check_name(o, why);
	if (!err)
		err = check_words(o, why);
	if (!err)
		err = read_relay(o, why);
	if (!err)
		err = read_inbox(o, why);
	if (err)
		return err;
	if (text_to_u64(slice_from(o->values[OPTION_PORT]), UINT16_MAX, &port)) {
		snprintf(why, OPTION_WHY_BYTES, "--port is 0 (any) to 65535");
		return ERR_INVALID;
	}
	o->wireguard_port = (uint16_t)port;
	port = 0;
	if (o->values[OPTION_PEER_RELAY][0] &&
	    (text_to_u64(slice_from(o->values[OPTION_PEER_RELAY]), UINT16_MAX, &port) || !port)) {
		snprintf(why, OPTION_WHY_BYTES, "--peer-relay is a UDP port: 1 to 65535");
		return ERR_INVALID;
	}
	o->peer_relay_port = (uint16_t)port;
	return options_read_journal(o, why); /* the realm's here */
}
