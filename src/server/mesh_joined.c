/* Which control this machine belongs to: from --join, --login-server or this machine's own realm,
 * and else from what is in the state directory, one fact a line:
 *
 *	server-key mkey:HEX
 *	url http://192.0.2.7:8641
 *	url ...
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/mesh_role.h"
#include "server/supervisor.h"
#include "wire/crypto/wipe.h"

enum { FILE_BYTES_MAX = 16 * 1024 };

static void add_url(struct mesh *m, struct slice url)
{
	if (m->url_count < MESH_URLS_MAX && url.size > 0 && url.size < MEMBER_URL_BYTES_MAX) {
		memcpy(m->urls[m->url_count], url.data, url.size);
		m->urls[m->url_count++][url.size] = '\0';
	}
}

/* The secret comes from the supervisor, never from the arguments. */
static enum err take_join_key(struct mesh *m, char why[OPTION_WHY_BYTES])
{
	struct join_key key;
	struct buf text;
	enum err err = OK;

	buf_init(&text);
	if (!supervisor_take_secret(&text)) {
		buf_done(&text);
		return OK;
	}
	if (m->options->values[OPTION_LOGIN_SERVER][0]) {
		snprintf(m->join_key, sizeof(m->join_key), "%.*s", SLICE_ARG(buf_slice(&text)));
	} else {
		err = join_key_parse(buf_slice(&text), &key);
		if (err)
			snprintf(why, OPTION_WHY_BYTES, "--join is no join key");
		for (size_t i = 0; !err && i < key.url_count; i++)
			add_url(m, slice_from(key.urls[i]));
		if (!err) {
			m->server_key = key.server;
			snprintf(m->join_key, sizeof(m->join_key), "%s", key.secret);
		}
		crypto_wipe(&key, sizeof(key));
	}
	crypto_wipe(text.data, text.size);
	buf_done(&text);
	return err;
}

static enum err read_line(struct mesh *m, struct slice line)
{
	struct slice word = slice_cut(&line, ' ');

	if (slice_equal(word, SLICE("url")))
		add_url(m, line);
	else if (slice_equal(word, SLICE("server-key")))
		return mesh_key_parse(MESH_KEY_MACHINE, line, &m->server_key);
	return OK;
}

static enum err read_file(struct mesh *m, char why[OPTION_WHY_BYTES])
{
	struct buf text;

	buf_init(&text);
	enum err err = state_read(&m->state, STATE_JOINED, FILE_BYTES_MAX, &text);
	struct slice rest = buf_slice(&text);
	while (!err && rest.size > 0)
		err = read_line(m, slice_cut(&rest, '\n'));
	buf_done(&text);
	if (!err && m->url_count > 0)
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 err == ERR_NOT_FOUND
			 ? "this machine belongs to no mesh yet: `hanse up --join KEY`, "
			   "or `hanse up --roles realm,relay,mesh,names,drop` for a "
			   "new one"
			 : "%.200s/" STATE_JOINED " cannot be used",
		 m->state.path);
	return err ? err : ERR_INVALID;
}

/* What is kept of another realm is not this machine's in the new one. */
static bool is_moving(const struct mesh *m)
{
	struct mesh_key joined = { { 0 } };
	struct buf text;

	if (mesh_key_is_zero(&m->server_key) || !state_has(&m->state, STATE_NETMAP))
		return false;
	buf_init(&text);
	enum err err = state_read(&m->state, STATE_JOINED, FILE_BYTES_MAX, &text);
	struct slice rest = buf_slice(&text);
	while (!err && rest.size > 0) {
		struct slice line = slice_cut(&rest, '\n'), word = slice_cut(&line, ' ');
		if (slice_equal(word, SLICE("server-key")))
			err = mesh_key_parse(MESH_KEY_MACHINE, line, &joined);
	}
	buf_done(&text);
	return !mesh_key_equal(&joined, &m->server_key);
}

enum err mesh_joined_load(struct mesh *m, char why[OPTION_WHY_BYTES])
{
	const struct options *o = m->options;
	char own[64];

	enum err err = take_join_key(m, why);
	if (err)
		return err;
	m->is_moving = is_moving(m);
	if (o->values[OPTION_LOGIN_SERVER][0])
		add_url(m, slice_from(o->values[OPTION_LOGIN_SERVER]));
	/* The nearest control is this machine's own. */
	if (o->roles[ROLE_REALM] && m->url_count == 0 && !state_has(&m->state, STATE_JOINED)) {
		snprintf(own, sizeof(own), "http://127.0.0.1:%u", o->realm_listen.port);
		add_url(m, slice_from(own));
	}
	return m->url_count > 0 ? OK : read_file(m, why);
}

void mesh_joined_save(struct mesh *m)
{
	char key[MESH_KEY_TEXT_BYTES];
	const struct netmap *map = node_netmap(m->node);
	struct buf text;

	if (m->options->roles[ROLE_REALM] && m->join_key[0] == '\0' &&
	    !state_has(&m->state, STATE_JOINED))
		return; /* it is its own */
	buf_init(&text);
	if (!mesh_key_is_zero(&m->server_key)) {
		mesh_key_text(MESH_KEY_MACHINE, &m->server_key, key);
		buf_add_format(&text, "server-key %s\n", key);
	}
	for (size_t i = 0; i < m->url_count; i++)
		buf_add_format(&text, "url %s\n", m->urls[i]);
	/* All that serve the realm today, so that one that is gone for good does no harm. */
	for (size_t i = 0; i < map->control_url_count; i++) {
		bool is_known = false;
		for (size_t j = 0; j < m->url_count; j++)
			is_known |= strcmp(m->urls[j], map->control_urls[i]) == 0;
		if (!is_known && m->url_count + i < MESH_URLS_MAX)
			buf_add_format(&text, "url %s\n", map->control_urls[i]);
	}
	enum err err = state_write(&m->state, STATE_JOINED, buf_slice(&text));
	if (err)
		log_error("what was joined cannot be kept: %s", err_name(err));
	buf_done(&text);
}
