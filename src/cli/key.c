/* hanse key new, show, derive: key files (doc/formats/keys.md).  Nothing is asked of a server.
 *
 * Secrets go to standard output, where the person wants them, and never into a message. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/table.h"
#include "server/key_file.h"

/* Where the shell made a file for it, nobody else may read that. */
static void protect_output(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) &&
	    fchmod(STDOUT_FILENO, S_IRUSR | S_IWUSR) < 0)
		say("what is printed cannot be kept from others: `chmod 600` it: %s",
		    strerror(errno));
}

static enum command_status print_keys(const struct keyring *k, bool is_unused)
{
	struct buf text;

	protect_output();
	buf_init(&text);
	key_file_text(k, is_unused, &text);
	fwrite(text.data, 1, text.size, stdout);
	secret_buf_done(&text);
	return COMMAND_DONE;
}

static enum command_status read_file(const struct command_line *l, struct keyring *ret)
{
	const char *path = command_line_value(l, FLAG_KEY_FILE, "");
	char why[KEY_FILE_WHY_BYTES];

	if (!path[0]) {
		say("which key? give --key-file FILE");
		return COMMAND_MISUSED;
	}
	if (key_file_read(path, ret, why) == OK)
		return COMMAND_DONE;
	say("%s", why);
	return COMMAND_REFUSED;
}

enum command_status key_new_run(const struct command_line *l)
{
	const char *path = command_line_value(l, FLAG_KEY_FILE, "");
	enum command_status status = COMMAND_DONE;
	char why[KEY_FILE_WHY_BYTES], id[KEY_ID_TEXT_BYTES];
	struct keyring k;

	key_draw(&k);
	keyring_id_text(&k, id);
	if (!path[0]) {
		status = print_keys(&k, true);
	} else if (key_file_create(path, &k, why)) {
		say("%s", why);
		status = COMMAND_REFUSED;
	} else {
		say("key %s is in %s: keep a copy of it elsewhere, on paper for instance", id,
		    path);
	}
	keyring_done(&k);
	return status;
}

static bool may(const struct keyring *k, enum key_role role)
{
	struct keyring part;

	if (keyring_for_role(k, role, &part))
		return false;
	keyring_done(&part);
	return true;
}

static enum command_status print_text(const char *id, const char *kind, const char *roles)
{
	struct arena a;
	struct table t;
	const char *const cells[] = { "key id", id, "kind", kind, "roles", roles };

	arena_init(&a);
	table_init(&t, &a, NULL);
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		table_add_text(&t, slice_from(cells[i]));
	table_print(&t, stdout);
	table_done(&t);
	arena_done(&a);
	return COMMAND_DONE;
}

enum command_status key_show_run(const struct command_line *l)
{
	char id[KEY_ID_TEXT_BYTES], roles[64] = "";
	struct keyring k;
	json_t *list = NULL;
	enum command_status status = read_file(l, &k);

	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		list = json_array();
	for (unsigned role = 0; role < KEY_ROLE_COUNT; role++) {
		size_t used = strlen(roles);

		if (!may(&k, role))
			continue;
		snprintf(roles + used, sizeof(roles) - used, "%s%s", used ? "," : "",
			 key_role_name(role));
		if (list)
			json_array_append_new(list, json_string(key_role_name(role)));
	}
	bool is_whole = keyring_has(&k, KEY_ROOT);
	keyring_id_text(&k, id);
	keyring_done(&k);
	if (list)
		return output_json(json_pack("{s:s, s:b, s:o}", "key_id", id, "recovery_key",
					     is_whole, "roles", list));
	return print_text(id, is_whole ? "recovery key" : "part of a role", roles);
}

enum command_status key_derive_run(const struct command_line *l)
{
	const char *names[KEY_ROLE_COUNT + 1] = { NULL };
	struct keyring k, part;
	unsigned role = 0;

	for (unsigned i = 0; i < KEY_ROLE_COUNT; i++)
		names[i] = key_role_name(i);
	while (role < KEY_ROLE_COUNT && strcmp(l->arguments[0], names[role]) != 0)
		role++;
	if (role == KEY_ROLE_COUNT) {
		say("\"%.60s\" is no role: there are control and streams", l->arguments[0]);
		return COMMAND_MISUSED;
	}
	enum command_status status = read_file(l, &k);
	if (status)
		return status;
	if (keyring_for_role(&k, role, &part)) {
		say("this key file is the part of another role: derive %s from the recovery key",
		    names[role]);
		status = COMMAND_REFUSED;
	} else {
		status = print_keys(&part,
				    key_file_is_unused(command_line_value(l, FLAG_KEY_FILE, "")));
		keyring_done(&part);
	}
	keyring_done(&k);
	return status;
}
