/* hanse user: who may sign in to Kafka.
 *
 * What goes to the server is what it checks passwords with, not the password: that is read from
 * the terminal or from standard input, and never from the command line, which others see. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text.h"
#include "cli/control_client.h"
#include "cli/output.h"
#include "cli/password.h"
#include "cli/table.h"
#include "wire/crypto/wipe.h"
#include "wire/sasl/scram.h"

enum { PASSWORD_BYTES_MIN = 8 };

static enum command_status ask(const struct command_line *l, const char *method, json_t *body,
			       json_t **ret)
{
	return control_request(l, method, "/v1/users", body, ret);
}

/* --- passwords --------------------------------------------------------------------------------
 */

static enum command_status read_password(char ret[PASSWORD_BYTES_MAX + 2])
{
	char again[PASSWORD_BYTES_MAX + 2] = "";
	bool is_same = true, is_read;

	if (isatty(STDIN_FILENO)) {
		is_read = password_prompt("password: ", ret) && password_prompt("again: ", again);
		is_same = is_read && strcmp(ret, again) == 0;
		crypto_wipe(again, sizeof(again));
	} else {
		is_read = password_read_line(stdin, ret);
	}
	if (!is_read)
		say("no password was given: it is the first line of standard input");
	else if (!is_same)
		say("these are two different passwords");
	else if (strlen(ret) < PASSWORD_BYTES_MIN)
		say("a password has at least %d characters", PASSWORD_BYTES_MIN);
	else
		return COMMAND_DONE;
	return COMMAND_REFUSED;
}

static json_t *hex(const uint8_t *bytes, size_t size)
{
	char text[2 * SCRAM_SALT_BYTES_MAX + 1];

	hex_encode(text, (struct slice) { bytes, size });
	return json_string(text);
}

static json_t *verifier(enum scram_hash hash, const char *name, struct slice password)
{
	uint8_t salt[SCRAM_SALT_BYTES], salted[SCRAM_BYTES_MAX];
	uint8_t stored[SCRAM_BYTES_MAX], server[SCRAM_BYTES_MAX];
	size_t size = scram_hash_bytes(hash);

	random_bytes(salt, sizeof(salt));
	scram_salt_password(hash, password, (struct slice) { salt, sizeof(salt) },
			    SCRAM_ITERATIONS_DEFAULT, salted);
	scram_keys(hash, salted, stored, server);
	crypto_wipe(salted, sizeof(salted));
	return json_pack("{s:s, s:i, s:o, s:o, s:o}", "mechanism", name, "iterations",
			 SCRAM_ITERATIONS_DEFAULT, "salt", hex(salt, sizeof(salt)), "stored_key",
			 hex(stored, size), "server_key", hex(server, size));
}

static enum command_status make_verifiers(json_t **ret)
{
	char password[PASSWORD_BYTES_MAX + 2] = "";
	enum command_status status = read_password(password);

	if (status == COMMAND_DONE)
		*ret = json_pack("[o, o]",
				 verifier(SCRAM_SHA_256, "SCRAM-SHA-256", slice_from(password)),
				 verifier(SCRAM_SHA_512, "SCRAM-SHA-512", slice_from(password)));
	crypto_wipe(password, sizeof(password));
	return status;
}

/* --- the commands -----------------------------------------------------------------------------
 */

static enum command_status change(const struct command_line *l, const char *what, json_t *verifiers)
{
	json_t *answer = NULL;
	json_t *body = json_pack("{s:s, s:s, s:b, s:o*}", "do", what, "name", l->arguments[0],
				 "admin", command_line_has(l, FLAG_ADMIN), "verifiers", verifiers);

	if (!body) {
		say("the name is not UTF-8");
		return COMMAND_MISUSED;
	}
	enum command_status status = ask(l, "POST", body, &answer);
	json_decref(answer);
	return status;
}

enum command_status user_add_run(const struct command_line *l)
{
	json_t *verifiers = NULL;
	enum command_status status = COMMAND_DONE;

	if (!command_line_has(l, FLAG_NO_PASSWORD))
		status = make_verifiers(&verifiers);
	return status ? status : change(l, "add", verifiers);
}

enum command_status user_password_run(const struct command_line *l)
{
	json_t *verifiers = NULL;
	enum command_status status = make_verifiers(&verifiers);

	return status ? status : change(l, "password", verifiers);
}

enum command_status user_remove_run(const struct command_line *l)
{
	return change(l, "remove", NULL);
}

static void add_row(struct arena *a, struct table *t, const json_t *user)
{
	const json_t *mechanisms = json_object_get(user, "mechanisms");
	struct buf text;

	buf_init(&text);
	for (size_t i = 0; i < json_array_size(mechanisms); i++)
		buf_add_format(&text, "%s%s", i ? " " : "",
			       json_string_value(json_array_get(mechanisms, i)));
	table_add_text(t, output_printable(a, slice_from(json_string_value(
						      json_object_get(user, "name")))));
	table_add_text(t,
		       json_is_true(json_object_get(user, "admin")) ? SLICE("yes") : SLICE("no"));
	table_add_text(t, text.size ? buf_slice(&text) : SLICE("none"));
	buf_done(&text);
}

enum command_status user_list_run(const struct command_line *l)
{
	static const char *const headings[] = { "NAME", "ADMIN", "PASSWORD", NULL };
	json_t *answer = NULL;
	struct table t;
	struct arena a;

	enum command_status status = ask(l, "GET", NULL, &answer);
	if (status)
		return status;
	const json_t *users = json_object_get(answer, "users");
	if (!json_is_array(users)) {
		say("this node knows nothing yet: who leads has not been heard");
		json_decref(answer);
		return COMMAND_UNREACHABLE;
	}
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	control_say_who_answered(answer);
	arena_init(&a);
	table_init(&t, &a, headings);
	for (size_t i = 0; i < json_array_size(users); i++)
		add_row(&a, &t, json_array_get(users, i));
	table_print(&t, stdout);
	table_done(&t);
	arena_done(&a);
	json_decref(answer);
	return COMMAND_DONE;
}
