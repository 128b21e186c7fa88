#include "server/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "base/text.h"
#include "cells/journal.h"
#include "names/hosts_file.h"
#include "server/serve_options.h"
#include "server/up_options.h"

enum { FILE_LINE_BYTES_MAX = 2048 };

static const char *const command_names[] = { "serve", "up" };

const struct option_row option_rows[OPTION_COUNT] = {
	[OPTION_BUCKET] = { "bucket", "URL", "file:./var/bucket",
			    "where the records are: file:DIR, or s3://NAME?endpoint=URL",
			    FOR_BOTH },
	[OPTION_JOURNAL] = { "journal", "URL", NULL,
			     "where the journal is; 1, 3 or 5 with commas (default: as --bucket)",
			     FOR_BOTH },
	[OPTION_KAFKA] = { "kafka", "HOST:PORT", "127.0.0.1:9092", "serve Kafka clients here",
			   FOR_SERVE },
	[OPTION_KAFKA_ALSO] = { "kafka-also", "HOST", NULL,
				"and here, on the same port (with mesh: its other address)",
				FOR_SERVE },
	[OPTION_ADVERTISE] = { "advertise", "HOST:PORT", NULL,
			       "what clients are told to connect to (default: as --kafka)",
			       FOR_SERVE },
	[OPTION_AGENTS] = { "agents", "N", "1",
			    "processes that serve Kafka, at --kafka and the ports after it",
			    FOR_SERVE },
	[OPTION_PEER] = { "peer", "HOST:PORT", NULL,
			  "where other nodes reach this one (default: port of --kafka plus 100)",
			  FOR_SERVE },
	[OPTION_BLOCKS] = { "blocks", "HOST:PORT|NONE", NULL,
			    "where agents of --site get blocks of this one (default: none)",
			    FOR_SERVE },
	[OPTION_SITE] = { "site", "NAME", "home", "what this node fails together with", FOR_SERVE },
	[OPTION_ROLES] = { "roles", "ROLE,...", NULL, "the processes to run", FOR_BOTH },
	[OPTION_CONTROL] = { "control", "PLACE,...", NULL,
			     "with --roles streams: where control is: unix:PATH or HOST:PORT",
			     FOR_SERVE },
	[OPTION_KEY_FILE] = { "key-file", "FILE", NULL,
			      "the cluster's key; made at a first start if it is not there",
			      FOR_BOTH },
	[OPTION_SEAL] = { "seal", "YES|NO", NULL,
			  "encrypt all objects (default: with --key-file, and in s3: buckets)",
			  FOR_BOTH },
	[OPTION_NEW_CLUSTER] = { "new-cluster", "YES|NO", NULL,
				 "may an empty bucket become one (default: not with a used key)",
				 FOR_BOTH },
	[OPTION_DEFAULT_PARTITIONS] = { "default-partitions", "N", "1",
					"partitions of a topic created without a number",
					FOR_SERVE },
	[OPTION_KAFKA_CERTIFICATE] = { "kafka-certificate", "FILE", NULL,
				       "serve Kafka over TLS too, with this certificate (PEM)",
				       FOR_SERVE },
	[OPTION_KAFKA_CERTIFICATE_KEY] = { "kafka-certificate-key", "FILE", NULL,
					   "the private key of --kafka-certificate", FOR_SERVE },
	[OPTION_KAFKA_CLIENT_CA] = { "kafka-client-ca", "FILE", NULL,
				     "clients may sign in with certificates of these (PEM)",
				     FOR_SERVE },
	[OPTION_KAFKA_JWKS] = { "kafka-jwks", "FILE", NULL,
				"clients may sign in with tokens signed by one of these keys",
				FOR_SERVE },
	[OPTION_KAFKA_TOKEN_ISSUER] = { "kafka-token-issuer", "TEXT", NULL,
					"whose tokens these are (iss)", FOR_SERVE },
	[OPTION_KAFKA_TOKEN_AUDIENCE] = { "kafka-token-audience", "TEXT", NULL,
					  "whom they are for (aud)", FOR_SERVE },
	[OPTION_KAFKA_REAUTH_MS] = { "kafka-reauth-ms", "N", "0",
				     "clients sign in again before that; 0: need not", FOR_SERVE },
	[OPTION_KAFKA_OPEN] = { "kafka-open", NULL, NULL,
				"without users, serve everybody who reaches --kafka", FOR_SERVE },
	[OPTION_AUTO_CREATE_TOPICS] = { "auto-create-topics", "YES|NO", "yes",
					"may a client that asks for a topic create it", FOR_SERVE },
	[OPTION_PUTS_PER_SECOND] = { "puts-per-second", "N", "25",
				     "of data files into a store, at most, until they are full",
				     FOR_SERVE },
	[OPTION_RUN_DIR] = { "run-dir", "DIR", NULL,
			     "Unix sockets (default: $XDG_RUNTIME_DIR/hanse or /tmp/hanse-UID)",
			     FOR_BOTH },
	[OPTION_METRICS] = { "metrics", "HOST:PORT|NONE", NULL,
			     "/metrics, /readyz, /livez (default: loopback, port of --kafka plus "
			     "200)",
			     FOR_BOTH },
	[OPTION_METRICS_LAG] = { "metrics-lag", "YES|NO", "yes",
				 "how far consumer groups are behind is in /metrics", FOR_SERVE },
	[OPTION_LOG_LEVEL] = { "log-level", "LEVEL", "info", "error, warn, info or debug",
			       FOR_BOTH },
	[OPTION_JOIN] = { "join", "KEY", NULL,
			  "join the mesh this key is of; - reads it from standard input", FOR_UP },
	[OPTION_ADDRESS] = { "address", "HOST[:PORT]", NULL,
			     "how others reach this machine (default: its own address)", FOR_UP },
	[OPTION_STATE] = { "state", "DIR", NULL,
			   "keys of this machine (default: /var/lib/hanse, or below $HOME)",
			   FOR_UP },
	[OPTION_NAME] = { "name", "NAME", NULL, "of this machine (default: its host name)",
			  FOR_UP },
	[OPTION_DOMAIN] = { "domain", "NAME", "hanse.internal",
			    "what names of machines end with, two labels or more; said once, by "
			    "the first "
			    "machine",
			    FOR_UP },
	[OPTION_REALM] = { "realm", "HOST:PORT", "0.0.0.0:8641", "control of the mesh listens here",
			   FOR_UP },
	[OPTION_RELAY] = { "relay", "HOST:PORT", "0.0.0.0:8643", "the relay listens here", FOR_UP },
	[OPTION_STUN] = { "stun", "HOST:PORT[,PORT]", "0.0.0.0:3478,3479",
			  "STUN listens here, on UDP", FOR_UP },
	[OPTION_CERTIFICATE] = { "certificate", "FILE", NULL,
				 "of relay and control, in PEM (default: the relay makes one)",
				 FOR_UP },
	[OPTION_CERTIFICATE_KEY] = { "certificate-key", "FILE", NULL,
				     "the private key of --certificate", FOR_UP },
	[OPTION_REGION] = { "region", "N", NULL,
			    "of the relay, 900 to 999 (default: one that no other relay has)",
			    FOR_UP },
	[OPTION_RELAY_MATES] = { "relay-mates", "RELAY,...", NULL,
				 "the others of --region: HOST:PORT, or HOST:PORT=SHA256", FOR_UP },
	[OPTION_RELAY_MESH_KEY] = { "relay-mesh-key", "FILE", NULL,
				    "64 hexadecimal digits that all relays of --region share",
				    FOR_UP },
	[OPTION_RELAY_RATE] = { "relay-rate", "N", NULL,
				"bytes a second that a machine may send through the relay",
				FOR_UP },
	[OPTION_PORT] = { "port", "N", "41641", "the UDP port other machines send to", FOR_UP },
	[OPTION_TUN] = { "tun", "NAME", "hanse0", "the network interface that is made", FOR_UP },
	[OPTION_PEER_RELAY] = { "peer-relay", "PORT", NULL,
				"forward at this UDP port for machines the policy allows it",
				FOR_UP },
	[OPTION_LOGIN_SERVER] = { "login-server", "URL", NULL,
				  "control of somebody else, or without a key: prints a link",
				  FOR_UP },
	[OPTION_TAGS] = { "tags", "TAG,...", NULL, "tags this machine asks for, as in tag:server",
			  FOR_UP },
	[OPTION_ADVERTISE_ROUTES] = { "advertise-routes", "CIDR,...", NULL,
				      "networks others may reach through this machine", FOR_UP },
	[OPTION_ADVERTISE_EXIT_NODE] = { "advertise-exit-node", NULL, NULL,
					 "others may reach the Internet through this machine",
					 FOR_UP },
	[OPTION_ACCEPT_ROUTES] = { "accept-routes", NULL, NULL,
				   "use the networks behind other machines", FOR_UP },
	[OPTION_EXIT_NODE] = { "exit-node", "NAME", NULL,
			       "reach the Internet through this machine of the mesh", FOR_UP },
	[OPTION_ACCEPT_DNS] = { "accept-dns", "YES|NO", "yes", "resolve the names of the mesh",
				FOR_UP },
	[OPTION_HOSTS] = { "hosts", "FILE|NO", HOSTS_FILE_DEFAULT,
			   "names go into this file where systemd-resolved is not used", FOR_UP },
	[OPTION_FORWARD_DNS] = { "forward-dns", "YES|NO", "no",
				 "100.100.100.100 asks this machine's resolvers for other names",
				 FOR_UP },
	[OPTION_INBOX_QUOTA] = { "inbox-quota", "BYTES", "16G",
				 "files others sent and files that wait, each at most", FOR_UP },
	[OPTION_INBOX_SENDER_QUOTA] = { "inbox-sender-quota", "BYTES", "8G",
					"files of one machine in the inbox, at most", FOR_UP },
	[OPTION_INBOX_RESERVE] = { "inbox-reserve", "BYTES", "1G",
				   "always left free on the disk of the inbox", FOR_UP },
	[OPTION_INBOX_KEEP_DAYS] = { "inbox-keep-days", "N", "30",
				     "files that nobody takes are removed after that", FOR_UP },
	[OPTION_BACKGROUND] = { "background", NULL, NULL,
				"return once connected, and go on in the background", FOR_UP },
};

/* What has another meaning or default for `hanse up`. */
static const char *const up_help[OPTION_COUNT] = {
	[OPTION_BUCKET] = "of control: file:DIR or s3://NAME?endpoint=URL (default: in --state)",
	[OPTION_METRICS] = "/metrics, /readyz and /livez (default: 127.0.0.1:8644)",
	[OPTION_RUN_DIR] = "Unix sockets (default: for root /run/hanse, else as for hanse serve)",
};

/* --- one value ---------------------------------------------------------------------------------
 */

static int find_option(const char *name, size_t size)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (strlen(option_rows[i].name) == size &&
		    memcmp(option_rows[i].name, name, size) == 0)
			return i;
	return -1;
}

static bool command_has(enum option_command command, int option)
{
	enum option_users users = option_rows[option].users;

	return users == FOR_BOTH || (users == FOR_UP) == (command == OPTIONS_UP);
}

static enum err unknown(const struct options *o, const char *what, const char *name,
			char why[OPTION_WHY_BYTES])
{
	const char *names[OPTION_COUNT + 1] = { NULL };
	size_t count = 0;

	for (int i = 0; i < OPTION_COUNT; i++)
		if (command_has(o->command, i))
			names[count++] = option_rows[i].name;
	const char *nearest = text_nearest(name, names);
	if (nearest)
		snprintf(why, OPTION_WHY_BYTES, "unknown %s \"%.60s\": did you mean \"%s\"?", what,
			 name, nearest);
	else
		snprintf(why, OPTION_WHY_BYTES,
			 "unknown %s \"%.60s\": `hanse %s --help` lists what there is", what, name,
			 command_names[o->command]);
	return ERR_INVALID;
}

static enum err set_value(struct options *o, int option, const char *value,
			  char why[OPTION_WHY_BYTES])
{
	if (strlen(value) >= OPTION_VALUE_BYTES_MAX || value[0] == '\0') {
		snprintf(why, OPTION_WHY_BYTES, "the value of %s is %s", option_rows[option].name,
			 value[0] ? "too long" : "empty");
		return ERR_INVALID;
	}
	if (!option_rows[option].argument && strcmp(value, "yes") != 0 &&
	    strcmp(value, "no") != 0) {
		snprintf(why, OPTION_WHY_BYTES, "%s is yes or no", option_rows[option].name);
		return ERR_INVALID;
	}
	if (o->values[option][0] == '\0')
		snprintf(o->values[option], OPTION_VALUE_BYTES_MAX, "%s", value);
	return OK;
}

/* --- sources -----------------------------------------------------------------------------------
 */

enum err options_from_flags(struct options *o, char **argv, char why[OPTION_WHY_BYTES])
{
	for (; *argv; argv++) {
		const char *name = *argv;
		if (strncmp(name, "--", 2) != 0) {
			snprintf(why, OPTION_WHY_BYTES,
				 "\"%.60s\" is not an option: `hanse %s --help` shows examples",
				 name, command_names[o->command]);
			return ERR_INVALID;
		}
		name += 2;
		size_t size = strcspn(name, "=");
		int option = find_option(name, size);
		if (option < 0 || !command_has(o->command, option))
			return unknown(o, "option", name, why);
		const char *value = name[size]			   ? name + size + 1
				    : option_rows[option].argument ? *++argv
								   : "yes";
		if (!value) {
			snprintf(why, OPTION_WHY_BYTES, "--%s needs a value: %s",
				 option_rows[option].name, option_rows[option].argument);
			return ERR_INVALID;
		}
		if (o->values[option][0]) {
			snprintf(why, OPTION_WHY_BYTES, "--%s is given twice",
				 option_rows[option].name);
			return ERR_INVALID;
		}
		enum err err = set_value(o, option, value, why);
		if (err)
			return err;
	}
	return OK;
}

/* HANSE_DEFAULT_PARTITIONS=4 is default-partitions 4.  Variables the program itself sets for its
 * processes are passed over. */
enum err options_from_environment(struct options *o, char **environment, char why[OPTION_WHY_BYTES])
{
	for (; *environment; environment++) {
		char name[64];
		const char *from = *environment;
		size_t size = strcspn(from, "=");
		if (strncmp(from, "HANSE_", 6) != 0 || size >= sizeof(name) ||
		    strncmp(from, "HANSE_STATUS_FD=", 16) == 0 ||
		    strncmp(from, "HANSE_SECRET_FD=", 16) == 0 ||
		    strncmp(from, "HANSE_WAS_READY=", 16) == 0 ||
		    strncmp(from, "HANSE_TEST_", 11) == 0)
			continue;
		for (size_t i = 6; i < size; i++)
			name[i - 6] = from[i] == '_' ? '-' : (char)tolower((unsigned char)from[i]);
		name[size - 6] = '\0';
		int option = find_option(name, size - 6);
		if (option < 0)
			return unknown(o, "environment variable HANSE_", name, why);
		if (!command_has(o->command, option))
			continue;
		enum err err = set_value(o, option, from + size + (from[size] == '='), why);
		if (err)
			return err;
	}
	return OK;
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static enum err read_line(struct options *o, char *line, char why[OPTION_WHY_BYTES])
{
	char *text = trim(line);

	if (text[0] == '\0' || text[0] == '#')
		return OK;
	char *equals = strchr(text, '=');
	if (!equals) {
		snprintf(why, OPTION_WHY_BYTES, "\"%.60s\" is not of the form name = value", text);
		return ERR_INVALID;
	}
	*equals = '\0';
	const char *name = trim(text);
	int option = find_option(name, strlen(name));
	if (option < 0)
		return unknown(o, "name", name, why);
	if (!command_has(o->command, option))
		return OK;
	return set_value(o, option, trim(equals + 1), why);
}

enum err options_from_file(struct options *o, const char *path, char why[OPTION_WHY_BYTES])
{
	char line[FILE_LINE_BYTES_MAX], reason[OPTION_WHY_BYTES];

	AUTO_FILE file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return OK;
	if (!file) {
		snprintf(why, OPTION_WHY_BYTES, "%s cannot be read: %s", path, strerror(errno));
		return ERR_INVALID;
	}
	for (int number = 1; fgets(line, sizeof(line), file); number++) {
		enum err err = read_line(o, line, reason);
		if (err) {
			snprintf(why, OPTION_WHY_BYTES, "%s:%d: %.200s", path, number, reason);
			return err;
		}
	}
	return OK;
}

/* --- meaning -----------------------------------------------------------------------------------
 */

void options_run_dir(char ret[OPTION_VALUE_BYTES_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && runtime[0] == '/')
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "%s/hanse", runtime);
	else
		snprintf(ret, OPTION_VALUE_BYTES_MAX, "/tmp/hanse-%u", (unsigned)getuid());
}

enum err options_read_address(const struct options *o, int option, struct address *ret,
			      char why[OPTION_WHY_BYTES])
{
	if (!text_host_port(o->values[option], ret->host, sizeof(ret->host), &ret->port) &&
	    ret->port != 0)
		return OK;
	const char *example = option_rows[option].value;
	snprintf(why, OPTION_WHY_BYTES, "--%s %.100s is not HOST:PORT, as in %s",
		 option_rows[option].name, o->values[option], example ? example : "127.0.0.1:9092");
	return ERR_INVALID;
}

static const char *const role_names[ROLE_COUNT] = { "control", "streams", "realm", "relay",
						    "mesh",    "names",	  "drop",  "metrics" };

const char *role_name(enum role_kind role)
{
	return role_names[role];
}

static bool command_has_role(enum option_command command, int role)
{
	return role != ROLE_METRICS && (role >= ROLE_REALM) == (command == OPTIONS_UP);
}

static enum err add_role(struct options *o, const char *name, char why[OPTION_WHY_BYTES])
{
	int role = 0;

	while (role < ROLE_COUNT &&
	       (!command_has_role(o->command, role) || strcmp(role_names[role], name) != 0))
		role++;
	if (role == ROLE_COUNT) {
		snprintf(why, OPTION_WHY_BYTES, "unknown role \"%.60s\": there are %s", name,
			 o->command == OPTIONS_UP ? "realm, relay, mesh, names and drop"
						  : "control and streams");
		return ERR_INVALID;
	}
	if (o->roles[role]) {
		snprintf(why, OPTION_WHY_BYTES, "--roles has %s twice", name);
		return ERR_INVALID;
	}
	o->roles[role] = true;
	return OK;
}

static const char *default_roles(const struct options *o)
{
	if (o->command == OPTIONS_SERVE)
		return "control,streams";
	return o->values[OPTION_JOIN][0] || o->values[OPTION_LOGIN_SERVER][0]
		       ? "mesh,names,drop"
		       : "realm,relay,mesh,names,drop";
}

static enum err read_roles(struct options *o, char why[OPTION_WHY_BYTES])
{
	char roles[OPTION_VALUE_BYTES_MAX], *rest = roles;

	if (o->values[OPTION_ROLES][0] == '\0')
		snprintf(o->values[OPTION_ROLES], OPTION_VALUE_BYTES_MAX, "%s", default_roles(o));
	memset(o->roles, 0, sizeof(o->roles));
	snprintf(roles, sizeof(roles), "%s", o->values[OPTION_ROLES]);
	for (char *role = strsep(&rest, ","); role; role = strsep(&rest, ",")) {
		enum err err = add_role(o, role, why);
		if (err)
			return err;
	}
	o->has_control = o->roles[ROLE_CONTROL] || o->roles[ROLE_REALM]; /* has a journal */
	o->has_streams = o->roles[ROLE_STREAMS];
	return OK;
}

/* URL[,URL...]: one bucket, or three, or five. */
static enum err check_journal(const struct options *o, char why[OPTION_WHY_BYTES])
{
	char urls[OPTION_VALUE_BYTES_MAX], *rest = urls, *seen[JOURNAL_BUCKETS_MAX];
	int count = 0;

	if (o->values[OPTION_JOURNAL][0] == '\0')
		return OK; /* without control */
	snprintf(urls, sizeof(urls), "%s", o->values[OPTION_JOURNAL]);
	for (char *url = strsep(&rest, ","); url; url = strsep(&rest, ",")) {
		if (count == JOURNAL_BUCKETS_MAX) {
			snprintf(why, OPTION_WHY_BYTES, "--journal names more than %d buckets",
				 JOURNAL_BUCKETS_MAX);
			return ERR_INVALID;
		}
		for (int i = 0; i < count; i++) {
			if (strcmp(seen[i], url) != 0)
				continue;
			snprintf(why, OPTION_WHY_BYTES,
				 "--journal has %.100s twice: both copies would go together", url);
			return ERR_INVALID;
		}
		seen[count++] = url;
	}
	if (count % 2 == 1)
		return OK;
	snprintf(why, OPTION_WHY_BYTES, "--journal names %d buckets: give 1, 3 or 5", count);
	return ERR_INVALID;
}

/* Records are for streams, the journal is for control, which by default has it where records are.
 */
static bool is_needed(const struct options *o, int option)
{
	if (o->command == OPTIONS_UP)
		return option != OPTION_BUCKET; /* its default is up_options.c's */
	if (option == OPTION_BUCKET)
		return o->has_streams || o->values[OPTION_JOURNAL][0] == '\0';
	return true;
}

static void fill_rows(struct options *o)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (o->values[i][0] == '\0' && option_rows[i].value && command_has(o->command, i) &&
		    is_needed(o, i))
			snprintf(o->values[i], OPTION_VALUE_BYTES_MAX, "%s", option_rows[i].value);
}

/* Others keep what is in S3; a directory is one's own. */
static bool is_at_others(const char *urls)
{
	return strncmp(urls, "s3:", 3) == 0 || strstr(urls, ",s3:") || strstr(urls, "fault:s3:");
}

static enum err read_seal(struct options *o, char why[OPTION_WHY_BYTES])
{
	char *seal = o->values[OPTION_SEAL];
	bool has_key = o->values[OPTION_KEY_FILE][0];

	if (seal[0] == '\0')
		snprintf(seal, OPTION_VALUE_BYTES_MAX, "%s",
			 has_key || is_at_others(o->values[OPTION_BUCKET]) ||
					 is_at_others(o->values[OPTION_JOURNAL])
				 ? "yes"
				 : "no");
	o->is_sealed = strcmp(seal, "yes") == 0;
	if (!o->is_sealed && strcmp(seal, "no") != 0) {
		snprintf(why, OPTION_WHY_BYTES, "--seal %.60s: it is yes or no", seal);
		return ERR_INVALID;
	}
	if (!o->is_sealed && has_key) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--seal no and --key-file contradict each other: give one of them");
		return ERR_INVALID;
	}
	return OK;
}

static enum err read_new_cluster(struct options *o, char why[OPTION_WHY_BYTES])
{
	const char *value = o->values[OPTION_NEW_CLUSTER];

	o->may_create = strcmp(value, "no") != 0;
	if (!o->may_create || value[0] == '\0' || strcmp(value, "yes") == 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES, "--new-cluster %.60s: it is yes or no", value);
	return ERR_INVALID;
}

enum err options_read_journal(struct options *o, char why[OPTION_WHY_BYTES])
{
	enum err err = check_journal(o, why);
	if (!err)
		err = read_seal(o, why);
	return err ? err : read_new_cluster(o, why);
}

/* Loopback unless it is asked for otherwise: names of topics and groups are not for everybody. */
static enum err read_metrics(struct options *o, char why[OPTION_WHY_BYTES])
{
	char *value = o->values[OPTION_METRICS];
	unsigned port = o->command == OPTIONS_UP ? METRICS_PORT_DEFAULT
						 : o->kafka.port + (unsigned)METRICS_PORT_DISTANCE;

	if (value[0] == '\0' && port <= UINT16_MAX)
		snprintf(value, OPTION_VALUE_BYTES_MAX, "127.0.0.1:%u", port);
	else if (value[0] == '\0')
		snprintf(value, OPTION_VALUE_BYTES_MAX, "none");
	o->has_metrics = strcmp(value, "none") != 0;
	o->roles[ROLE_METRICS] = o->has_metrics;
	return o->has_metrics ? options_read_address(o, OPTION_METRICS, &o->metrics, why) : OK;
}

enum err options_finish(struct options *o, char why[OPTION_WHY_BYTES])
{
	enum log_level level;

	enum err err = read_roles(o, why);
	if (err)
		return err;
	fill_rows(o);
	err = o->command == OPTIONS_UP ? up_options_finish(o, why) : serve_options_finish(o, why);
	if (!err)
		err = read_metrics(o, why);
	if (!err)
		err = serve_options_check_ports(o, why);
	if (err)
		return err;
	if (!log_level_from_name(o->values[OPTION_LOG_LEVEL], &level)) {
		snprintf(why, OPTION_WHY_BYTES, "--log-level is error, warn, info or debug");
		return ERR_INVALID;
	}
	log_set_level(level);
	return OK;
}

void options_control_path(const struct options *o, char ret[OPTION_VALUE_BYTES_MAX + 32])
{
	snprintf(ret, OPTION_VALUE_BYTES_MAX + 32, "%s/control-%u.sock", o->values[OPTION_RUN_DIR],
		 o->kafka.port);
}

void options_admin_path(const char *run_dir, uint16_t kafka_port,
			char ret[OPTION_VALUE_BYTES_MAX + 32])
{
	snprintf(ret, OPTION_VALUE_BYTES_MAX + 32, "%s/admin-%u.sock", run_dir, kafka_port);
}

void options_print(FILE *out, enum option_command command)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		const char *argument = row->argument ? row->argument : "";
		if (!command_has(command, i))
			continue;
		fprintf(out, "  --%s%s%s", row->name, row->argument ? " " : "", argument);
		int column = (int)(strlen(row->name) + strlen(argument) + (row->argument ? 5 : 4));
		bool is_other = command == OPTIONS_UP && up_help[i];
		fprintf(out, "%*s%s", column < 32 ? 32 - column : 1, "",
			is_other ? up_help[i] : row->help);
		if (row->value && !is_other)
			fprintf(out, " (%s)", row->value);
		fputc('\n', out);
	}
}
