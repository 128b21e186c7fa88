/* Words and flags of a command line, in any order: `--name value` or `--name=value`; after `--`
 * everything is a word.  Nothing may be abbreviated. */
#ifndef CLI_COMMAND_LINE_H
#define CLI_COMMAND_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
	COMMAND_WORDS_MAX = 4096, /* a shell makes many of a star */
	COMMAND_WHY_BYTES = 400,
	COMMAND_HOST_BYTES = 256,
};

enum flag {
	FLAG_PARTITIONS,
	FLAG_FORCE,
	FLAG_BUCKET,
	FLAG_JOURNAL,
	FLAG_DEEP,
	FLAG_DRY_RUN,
	FLAG_TAKE_OVER,
	FLAG_SETTLE,
	FLAG_UNDECIDED,
	FLAG_KEY_FILE,
	FLAG_KAFKA,
	FLAG_RUN_DIR,
	FLAG_METRICS,
	FLAG_ONCE,
	FLAG_JSON,
	FLAG_PRICES,
	FLAG_STORE,
	FLAG_GB_MONTH,
	FLAG_FAN_OUT,
	FLAG_RETENTION_DAYS,
	FLAG_AGENTS,
	FLAG_FLUSH_MS,
	FLAG_TIMES,
	FLAG_EXPIRES,
	FLAG_USES,
	FLAG_TAGS,
	FLAG_USER,
	FLAG_EPHEMERAL,
	FLAG_OFFLOADS,
	FLAG_THREADS,
	FLAG_WAIT,
	FLAG_FOLLOW,
	FLAG_KEEP_DOTS,
	FLAG_LIST,
	FLAG_CANCEL,
	FLAG_PARTITION,
	FLAG_FROM,
	FLAG_LIMIT,
	FLAG_AFTER,
	FLAG_COMMITTED,
	FLAG_TO,
	FLAG_TOPIC,
	FLAG_EXECUTE,
	FLAG_UNSET,
	FLAG_BEFORE,
	FLAG_AS,
	FLAG_PASSWORD_FILE,
	FLAG_MECHANISM,
	FLAG_TOKEN_FILE,
	FLAG_CLEARTEXT,
	FLAG_CA,
	FLAG_CERTIFICATE,
	FLAG_KEY,
	FLAG_OPERATION,
	FLAG_HOST,
	FLAG_ADMIN,
	FLAG_NO_PASSWORD,
	FLAG_HELP,
	FLAG_VERSION,
	FLAG_COUNT
};

#define FLAG_BIT(flag) (UINT64_C(1) << (flag))

struct flag_row {
	const char *name;     /* without dashes */
	const char *argument; /* "HOST:PORT"; NULL: takes no value */
	const char
		*variable; /* of the environment, used where the flag is not given; may be NULL */
	const char *help;
};

extern const struct flag_row flag_rows[FLAG_COUNT];

struct command_line {
	const char *values[FLAG_COUNT]; /* NULL: not given; "": given, and takes no value */
	const char *words[COMMAND_WORDS_MAX];
	int word_count;
	const char *const *arguments; /* the words after those of the command */
	int argument_count;
	const char *unknown; /* as it was written, with ERR_NOT_FOUND */
};

/* Borrows argv.  ERR_INVALID with a whole sentence in `why`.  ERR_NOT_FOUND: there is no flag
 * `unknown`, and `words` are those before it: dispatch.c knows what may have been meant. */
MUST_CHECK enum err command_line_read(struct command_line *l, char **argv,
				      char why[COMMAND_WHY_BYTES]);

static inline bool command_line_has(const struct command_line *l, enum flag flag)
{
	return l->values[flag];
}

/* The flag's value, or that of its variable, or `otherwise`.  Empty is not given. */
const char *command_line_value(const struct command_line *l, enum flag flag, const char *otherwise);

/* Where to find Kafka; both as text and taken apart. */
struct kafka_address {
	const char *text;
	char host[COMMAND_HOST_BYTES];
	uint16_t port;
};
MUST_CHECK enum err command_line_kafka(const struct command_line *l, struct kafka_address *ret,
				       char why[COMMAND_WHY_BYTES]);

#endif
