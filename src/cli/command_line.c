#include "cli/command_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define KAFKA_DEFAULT "127.0.0.1:9092"

const struct flag_row flag_rows[FLAG_COUNT] = {
	[FLAG_PARTITIONS] = { "partitions", "N", NULL,
			      "how many (default: what the server gives)" },
	[FLAG_FORCE] = { "force", NULL, NULL, "do not ask" },
	[FLAG_BUCKET] = { "bucket", "URL", "HANSE_BUCKET",
			  "where the records are: file:DIR or s3://NAME?endpoint=URL" },
	[FLAG_JOURNAL] = { "journal", "URL,...", "HANSE_JOURNAL",
			   "where the journal is (default: in the bucket)" },
	[FLAG_DEEP] = { "deep", NULL, NULL, "read every data file and check all of it" },
	[FLAG_DRY_RUN] = { "dry-run", NULL, NULL, "only look: take nothing over" },
	[FLAG_TAKE_OVER] = { "take-over", NULL, NULL, "even if a node leads the cluster" },
	[FLAG_SETTLE] = { "settle", NULL, NULL,
			  "what nobody can tell of is an orphan from now on (asks the node)" },
	[FLAG_UNDECIDED] = { "undecided", "WHAT", NULL,
			     "commit or abort transactions of which no file tells the end" },
	[FLAG_KEY_FILE] = { "key-file", "FILE", "HANSE_KEY_FILE", "the key of a sealed cluster" },
	[FLAG_KAFKA] = { "kafka", "HOST:PORT", "HANSE_KAFKA",
			 "the server to ask (" KAFKA_DEFAULT ")" },
	[FLAG_RUN_DIR] = { "run-dir", "DIR", "HANSE_RUN_DIR",
			   "with the sockets (/run/hanse, $XDG_RUNTIME_DIR/hanse or "
			   "/tmp/hanse-UID)" },
	[FLAG_METRICS] = { "metrics", "HOST:PORT,...", NULL,
			   "the --metrics of nodes (127.0.0.1:9292 and 127.0.0.1:8644)" },
	[FLAG_ONCE] = { "once", NULL, NULL, "two looks, a second apart, and no more" },
	[FLAG_JSON] = { "json", NULL, NULL, "print one JSON document" },
	[FLAG_PRICES] = { "prices", "FILE", NULL, "rows that take the place of built-in prices" },
	[FLAG_STORE] = { "store", "NAME", NULL,
			 "whose prices (default: as the bucket's URL says, or aws-s3)" },
	[FLAG_GB_MONTH] = { "gb-month", "N", NULL,
			    "a load to count with: GB produced in a month; asks no node" },
	[FLAG_FAN_OUT] = { "fan-out", "N", NULL, "how often each GB is read" },
	[FLAG_RETENTION_DAYS] = { "retention-days", "N", NULL, "how long records are kept" },
	[FLAG_AGENTS] = { "agents", "N", NULL, "how many put files (1)" },
	[FLAG_FLUSH_MS] = { "flush-ms", "N", NULL, "between files, while somebody produces (40)" },
	[FLAG_TIMES] = { "times", "N", NULL, "how often (default: 5 at most, until it is direct)" },
	[FLAG_EXPIRES] = { "expires", "TIME", NULL, "never, or in 90d, 12h, 30m" },
	[FLAG_USES] = { "uses", "N", NULL, "how many machines may join with it; or any (1)" },
	[FLAG_TAGS] = { "tags", "TAG,...", NULL, "tags of the machines, as in tag:server" },
	[FLAG_USER] = { "user", "NAME", NULL, "whose the machines are (the owner's of the mesh)" },
	[FLAG_EPHEMERAL] = { "ephemeral", NULL, NULL, "machines are removed when they are away" },
	[FLAG_OFFLOADS] = { "offloads", "WHICH", "HANSE_OFFLOADS",
			    "what the kernel does many at a time: all, tun, udp or none (all)" },
	[FLAG_THREADS] = { "threads", "N", NULL,
			   "that seal and open packets, 1 to 4 (half of the cores)" },
	[FLAG_WAIT] = { "wait", NULL, NULL, "until there is a file" },
	[FLAG_FOLLOW] = { "follow", NULL, NULL, "go on taking what comes" },
	[FLAG_KEEP_DOTS] = { "keep-dots", NULL, NULL,
			     "names may begin with a dot; otherwise it becomes _" },
	[FLAG_LIST] = { "list", NULL, NULL, "what waits for its receiver" },
	[FLAG_CANCEL] = { "cancel", "ID", NULL, "do not send what waits under this id" },
	[FLAG_PARTITION] = { "partition", "N", NULL, "this partition only" },
	[FLAG_FROM] = { "from", "PLACE", NULL,
			"earliest, latest, an offset, -N, a time or how long ago (-10)" },
	[FLAG_LIMIT] = { "limit", "N", NULL, "so many and no more" },
	[FLAG_AFTER] = { "after", "NAME", NULL, "go on behind this name, which was the last one" },
	[FLAG_COMMITTED] = { "committed", NULL, NULL,
			     "only records of transactions that ended well" },
	[FLAG_TO] = { "to", "PLACE", NULL,
		      "earliest, latest, an offset, -N, +N, a time or how long ago" },
	[FLAG_TOPIC] = { "topic", "NAME", NULL, "this topic only" },
	[FLAG_EXECUTE] = { "execute", NULL, NULL, "do it; without it, it is only shown" },
	[FLAG_UNSET] = { "unset", "KEY,...", NULL, "go back to the default of these" },
	[FLAG_BEFORE] = { "before", "PLACE", NULL,
			  "latest, an offset, -N, a time or how long ago" },
	[FLAG_AS] = { "as", "NAME", "HANSE_KAFKA_AS", "sign in to Kafka as this user" },
	[FLAG_PASSWORD_FILE] = { "password-file", "FILE", "HANSE_KAFKA_PASSWORD_FILE",
				 "the first line is the password of --as; nobody else may read the "
				 "file; - is standard input (default: asked for)" },
	[FLAG_MECHANISM] = { "mechanism", "WORD", "HANSE_KAFKA_MECHANISM",
			     "SCRAM-SHA-256, SCRAM-SHA-512, PLAIN or OAUTHBEARER (SCRAM-SHA-256, "
			     "with a token OAUTHBEARER)" },
	[FLAG_TOKEN_FILE] = { "token-file", "FILE", "HANSE_KAFKA_TOKEN_FILE",
			      "the first line is a token to sign in with, instead of --as "
			      "(default: what HANSE_KAFKA_TOKEN holds)" },
	[FLAG_CLEARTEXT] = { "cleartext", NULL, NULL,
			     "a password of PLAIN, or a token, may go without TLS to another "
			     "machine" },
	[FLAG_CA] = { "ca", "FILE", "HANSE_KAFKA_CA",
		      "Kafka over TLS, by a server that these authorities know; or system" },
	[FLAG_CERTIFICATE] = { "certificate", "FILE", "HANSE_KAFKA_CLIENT_CERTIFICATE",
			       "known to Kafka by this certificate; over TLS" },
	[FLAG_OPERATION] = { "operation", "WORD", NULL,
			     "READ, WRITE, ... of Kafka's access lists, or all: what a user may "
			     "do" },
	[FLAG_HOST] = { "host", "ADDRESS", NULL, "from where the user asks (127.0.0.1)" },
	[FLAG_KEY] = { "key", "FILE", "HANSE_KAFKA_CLIENT_KEY", "that of --certificate" },
	[FLAG_ADMIN] = { "admin", NULL, NULL, "may do everything" },
	[FLAG_NO_PASSWORD] = { "no-password", NULL, NULL,
			       "known by a certificate or a token only" },
	[FLAG_HELP] = { "help", NULL, NULL, "print this" },
	[FLAG_VERSION] = { "version", NULL, NULL, "print the version" },
};

static int find_flag(const char *name, size_t size)
{
	for (int i = 0; i < FLAG_COUNT; i++)
		if (strlen(flag_rows[i].name) == size && memcmp(flag_rows[i].name, name, size) == 0)
			return i;
	return -1;
}

/* One flag; steps `*argv` over its value where that is a word of its own. */
static enum err read_flag(struct command_line *l, char ***argv, char why[COMMAND_WHY_BYTES])
{
	const char *given = **argv;
	const char *name = given + 2;
	size_t size = strcspn(name, "=");

	if (strcmp(given, "-h") == 0) {
		l->values[FLAG_HELP] = "";
		return OK;
	}
	int flag = strncmp(given, "--", 2) == 0 ? find_flag(name, size) : -1;
	if (flag < 0) {
		l->unknown = given;
		return ERR_NOT_FOUND;
	}
	const struct flag_row *row = &flag_rows[flag];
	const char *value = name[size] ? name + size + 1 : NULL;
	if (l->values[flag] && flag != FLAG_HELP) {
		snprintf(why, COMMAND_WHY_BYTES, "--%s is given twice", row->name);
		return ERR_INVALID;
	}
	if (!row->argument && value) {
		snprintf(why, COMMAND_WHY_BYTES, "--%s takes no value", row->name);
		return ERR_INVALID;
	}
	if (row->argument && !value && (*argv)[1])
		value = *++*argv;
	if (row->argument && (!value || value[0] == '\0')) {
		snprintf(why, COMMAND_WHY_BYTES, "--%s needs a value: %s", row->name,
			 row->argument);
		return ERR_INVALID;
	}
	l->values[flag] = value ? value : "";
	return OK;
}

enum err command_line_read(struct command_line *l, char **argv, char why[COMMAND_WHY_BYTES])
{
	bool is_flags_over = false;

	*l = (struct command_line) { 0 };
	for (; *argv; argv++) {
		if (!is_flags_over && strcmp(*argv, "--") == 0) {
			is_flags_over = true;
			continue;
		}
		if (!is_flags_over && (*argv)[0] == '-' && (*argv)[1] != '\0') {
			enum err err = read_flag(l, &argv, why);
			if (err)
				return err;
			continue;
		}
		if (l->word_count == COMMAND_WORDS_MAX) {
			snprintf(why, COMMAND_WHY_BYTES, "\"%.60s\" is one word too many", *argv);
			return ERR_INVALID;
		}
		l->words[l->word_count++] = *argv;
	}
	return OK;
}

const char *command_line_value(const struct command_line *l, enum flag flag, const char *otherwise)
{
	if (l->values[flag])
		return l->values[flag];
	const char *value = flag_rows[flag].variable ? getenv(flag_rows[flag].variable) : NULL;
	return value && value[0] ? value : otherwise;
}

enum err command_line_kafka(const struct command_line *l, struct kafka_address *ret,
			    char why[COMMAND_WHY_BYTES])
{
	struct kafka_address address = { .text = command_line_value(l, FLAG_KAFKA, KAFKA_DEFAULT) };

	if (text_host_port(address.text, address.host, sizeof(address.host), &address.port) ||
	    address.port == 0) {
		snprintf(why, COMMAND_WHY_BYTES, "%s %.100s is not HOST:PORT, as in " KAFKA_DEFAULT,
			 l->values[FLAG_KAFKA] ? "--kafka" : "HANSE_KAFKA", address.text);
		return ERR_INVALID;
	}
	*ret = address;
	return OK;
}
