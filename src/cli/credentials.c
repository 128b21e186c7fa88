#include "cli/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/scope.h"
#include "cli/output.h"
#include "cli/password.h"
#include "wire/crypto/wipe.h"

#define TOKEN_VARIABLE "HANSE_KAFKA_TOKEN"

static bool is_token(const struct credentials *c)
{
	return c->mechanism == SIGN_IN_OAUTHBEARER;
}

/* NULL: nobody keeps one there. */
static const char *token_of_environment(void)
{
	const char *token = getenv(TOKEN_VARIABLE);

	return token && token[0] ? token : NULL;
}

/* --- which are meant --------------------------------------------------------------------------
 */

/* What is on the command line counts before what is in the environment. */
static enum sign_in_mechanism usual_mechanism(const struct command_line *l)
{
	if (command_line_has(l, FLAG_TOKEN_FILE))
		return SIGN_IN_OAUTHBEARER;
	if (command_line_value(l, FLAG_AS, NULL))
		return SIGN_IN_SCRAM_SHA_256;
	if (command_line_value(l, FLAG_TOKEN_FILE, NULL) || token_of_environment())
		return SIGN_IN_OAUTHBEARER;
	return SIGN_IN_NONE;
}

static enum command_status choose_mechanism(struct credentials *c)
{
	const char *name = command_line_value(c->line, FLAG_MECHANISM, NULL);

	if (!name) {
		c->mechanism = usual_mechanism(c->line);
		return COMMAND_DONE;
	}
	if (sign_in_mechanism_find(name, &c->mechanism) == OK)
		return COMMAND_DONE;
	say("--mechanism %.40s: it is one of SCRAM-SHA-256, SCRAM-SHA-512, PLAIN and OAUTHBEARER",
	    name);
	return COMMAND_MISUSED;
}

enum command_status credentials_choose(struct credentials *c, const struct command_line *l)
{
	*c = (struct credentials) { .line = l };
	if (command_line_has(l, FLAG_AS) && command_line_has(l, FLAG_TOKEN_FILE)) {
		say("--as goes with a password, and --token-file names who it is itself");
		return COMMAND_MISUSED;
	}
	enum command_status status = choose_mechanism(c);
	if (status || c->mechanism == SIGN_IN_NONE)
		return status;
	bool has_token = is_token(c);
	c->file = command_line_value(l, has_token ? FLAG_TOKEN_FILE : FLAG_PASSWORD_FILE, NULL);
	c->user = has_token ? NULL : command_line_value(l, FLAG_AS, NULL);
	if (!has_token && !c->user) {
		say("--mechanism %s needs a user: --as NAME", sign_in_mechanism_name(c->mechanism));
		return COMMAND_MISUSED;
	}
	if (has_token && !c->file && !token_of_environment()) {
		say("--mechanism OAUTHBEARER needs a token: --token-file FILE names the file it is "
		    "in, or " TOKEN_VARIABLE " holds it");
		return COMMAND_MISUSED;
	}
	c->secret = memory_take(CREDENTIALS_SECRET_BYTES);
	return COMMAND_DONE;
}

void credentials_done(struct credentials *c)
{
	if (c->secret)
		crypto_wipe(c->secret, CREDENTIALS_SECRET_BYTES);
	memory_free(c->secret);
	*c = (struct credentials) { 0 };
}

const char *credentials_who(const struct credentials *c)
{
	return c->user ? c->user : "the token";
}

/* --- the secret -------------------------------------------------------------------------------
 */

static int secret_bytes(const struct credentials *c)
{
	return is_token(c) ? CREDENTIALS_SECRET_BYTES : PASSWORD_BYTES_MAX + 2;
}

static bool others_may_read(FILE *file)
{
	struct stat st;

	return fstat(fileno(file), &st) == 0 && (st.st_mode & 077);
}

static enum command_status read_file(struct credentials *c)
{
	const char *flag = is_token(c) ? "token-file" : "password-file";
	const char *what = is_token(c) ? "token" : "password";
	bool is_input = strcmp(c->file, "-") == 0;
	AUTO_FILE file = is_input ? NULL : fopen(c->file, "r");

	if (file && others_may_read(file)) {
		say("--%s %s: others may read that %s (chmod 600)", flag, c->file, what);
		return COMMAND_REFUSED;
	}
	if (is_input || file) {
		errno = 0;
		if (password_read_secret(is_input ? stdin : file, c->secret, secret_bytes(c)))
			return COMMAND_DONE;
	}
	say("--%s %s: %s", flag, c->file, errno ? strerror(errno) : "it is empty, or too long");
	return COMMAND_REFUSED;
}

static enum command_status ask_terminal(struct credentials *c)
{
	char question[COMMAND_WHY_BYTES];

	snprintf(question, sizeof(question), "password of %.100s: ", c->user);
	if (password_prompt(question, c->secret))
		return COMMAND_DONE;
	say("--as needs a password: --password-file FILE names the file it is in");
	return COMMAND_MISUSED;
}

static enum command_status take_environment(struct credentials *c)
{
	const char *token = token_of_environment();
	size_t size = strlen(token);

	if (size >= CREDENTIALS_SECRET_BYTES) {
		say(TOKEN_VARIABLE " is too long for a token");
		return COMMAND_REFUSED;
	}
	memcpy(c->secret, token, size + 1);
	return COMMAND_DONE;
}

static enum command_status read_secret(struct credentials *c)
{
	if (c->file)
		return read_file(c);
	return is_token(c) ? take_environment(c) : ask_terminal(c);
}

enum command_status credentials_read(struct credentials *c, struct sign_in_identity *ret)
{
	bool is_renewed = is_token(c) && c->file && strcmp(c->file, "-") != 0;
	enum command_status status = c->is_known && !is_renewed ? COMMAND_DONE : read_secret(c);

	if (status)
		return status;
	c->is_known = true;
	*ret = (struct sign_in_identity) {
		.mechanism = c->mechanism,
		.may_be_in_the_clear = command_line_has(c->line, FLAG_CLEARTEXT),
		.user = c->user ? slice_from(c->user) : (struct slice) { 0 },
		.secret = slice_from(c->secret),
	};
	return COMMAND_DONE;
}
