#include "server/kept_options.h"

#include <string.h>

/* One fact a line: "name laptop", "address 192.0.2.7".  Other words are passed over. */
enum { FILE_BYTES_MAX = 4096 };

static const char file_name[] = "options";

/* --- name and address ------------------------------------------------------------------------- */
static void read_line(struct kept_options *k, struct slice line)
{
	struct slice word = slice_cut(&line, ' ');
	char *to = slice_equal(word, SLICE("name"))	 ? k->name
		   : slice_equal(word, SLICE("address")) ? k->address
							 : NULL;

	if (to && line.size < OPTION_VALUE_BYTES_MAX)
		snprintf(to, OPTION_VALUE_BYTES_MAX, "%.*s", SLICE_ARG(line));
}

/* What is said wins; what is not is as it was. */
static void settle(struct kept_options *k, char *kept, char *value)
{
	if (value[0] == '\0') {
		memcpy(value, kept, OPTION_VALUE_BYTES_MAX);
	} else if (strcmp(value, kept) != 0) {
		memcpy(kept, value, OPTION_VALUE_BYTES_MAX);
		k->is_changed = true;
	}
}

enum err kept_options_load(struct kept_options *k, struct options *o, const struct state *s,
			   char why[OPTION_WHY_BYTES])
{
	struct buf text;

	*k = (struct kept_options) { .is_changed = false };
	buf_init(&text);
	enum err err = state_read(s, file_name, FILE_BYTES_MAX, &text);
	for (struct slice rest = buf_slice(&text); !err && rest.size > 0;)
		read_line(k, slice_cut(&rest, '\n'));
	buf_done(&text);
	if (err && err != ERR_NOT_FOUND) {
		snprintf(why, OPTION_WHY_BYTES, "%.200s/%s cannot be used: %s", s->path, file_name,
			 err_name(err));
		return err;
	}
	settle(k, k->name, o->values[OPTION_NAME]);
	settle(k, k->address, o->values[OPTION_ADDRESS]);
	return OK;
}

static enum err write_file(const struct state *s, const char *name, struct slice text,
			   char why[OPTION_WHY_BYTES])
{
	enum err err = state_write(s, name, text);

	if (err)
		snprintf(why, OPTION_WHY_BYTES, "%.200s/%s cannot be written: %s", s->path, name,
			 err_name(err));
	return err;
}

enum err kept_options_save(const struct kept_options *k, const struct state *s,
			   char why[OPTION_WHY_BYTES])
{
	struct buf text;

	if (!k->is_changed)
		return OK;
	buf_init(&text);
	if (k->name[0])
		buf_add_format(&text, "name %s\n", k->name);
	if (k->address[0])
		buf_add_format(&text, "address %s\n", k->address);
	enum err err = write_file(s, file_name, buf_slice(&text), why);
	buf_done(&text);
	return err;
}

/* --- joining ---------------------------------------------------------------------------------- */
static bool is_joining(const struct options *o)
{
	return o->values[OPTION_JOIN][0] || o->values[OPTION_LOGIN_SERVER][0];
}

enum err kept_options_roles(struct options *o, const struct state *s, char why[OPTION_WHY_BYTES])
{
	if (o->values[OPTION_ROLES][0])
		return OK;
	if (state_has(s, STATE_JOINED)) {
		snprintf(o->values[OPTION_ROLES], OPTION_VALUE_BYTES_MAX, "mesh,names,drop");
		return OK;
	}
	if (is_joining(o) || !state_has(s, STATE_JOINING))
		return OK;
	snprintf(why, OPTION_WHY_BYTES,
		 "this machine was to join a mesh and belongs to none: `hanse up --join KEY` again "
		 "(`hanse key create` where control runs makes keys), or --login-server URL; for a "
		 "new mesh here `hanse up --roles realm,relay,mesh,names,drop`");
	return ERR_DENIED;
}

enum err kept_options_begin(const struct options *o, const struct state *s,
			    char why[OPTION_WHY_BYTES])
{
	/* A map without what was joined is that of a mesh of its own. */
	if (o->roles[ROLE_REALM])
		state_remove(s, STATE_JOINING);
	else if (o->roles[ROLE_MESH] && is_joining(o) && !state_has(s, STATE_JOINED) &&
		 !state_has(s, STATE_NETMAP) && !state_has(s, STATE_JOINING))
		return write_file(s, STATE_JOINING, SLICE("\n"), why);
	return OK;
}
