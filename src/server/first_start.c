#include "server/first_start.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/key_file.h"

/* --- where the keys come from ---------------------------------------------------------------- */
static enum err draw(struct first_start *f, const char *path, char why[OPTION_WHY_BYTES])
{
	enum err err = OK;

	if (!f->options->has_control) {
		snprintf(why, OPTION_WHY_BYTES,
			 "what is in the bucket is sealed: give this node its key with --key-file "
			 "FILE (`hanse key derive streams` makes one from the recovery key), or "
			 "--seal no");
		return ERR_INVALID;
	}
	key_draw(&f->keys);
	if (path[0])
		err = key_file_create(path, &f->keys, why);
	f->is_drawn = !err;
	f->is_written = path[0] && !err;
	if (err != ERR_EXISTS)
		return err;
	f->is_drawn = false; /* another first start was quicker */
	return key_file_read(path, &f->keys, why);
}

static enum err give_part(struct first_start *f, enum key_role role, char why[OPTION_WHY_BYTES])
{
	struct keyring part;

	if (keyring_for_role(&f->keys, role, &part)) {
		snprintf(why, OPTION_WHY_BYTES,
			 "the key file %.150s has no keys for %s: give the recovery key, or only "
			 "the other one of --roles",
			 f->options->values[OPTION_KEY_FILE], key_role_name(role));
		return ERR_INVALID;
	}
	(void)buf_reserve(&f->texts[role], KEY_FILE_BYTES_MAX); /* it never moves */
	keyring_encode(&part, &f->texts[role]);
	keyring_done(&part);
	return OK;
}

enum err first_start_begin(struct first_start *f, const struct options *o,
			   char why[OPTION_WHY_BYTES])
{
	const char *path = o->values[OPTION_KEY_FILE];
	enum err err = ERR_NOT_FOUND;

	*f = (struct first_start) { .options = o };
	for (size_t i = 0; i < KEY_ROLE_COUNT; i++)
		buf_init(&f->texts[i]);
	if (!o->is_sealed)
		return OK;
	keys_protect();
	if (path[0])
		err = key_file_read(path, &f->keys, why);
	f->is_used = !err && !key_file_is_unused(path);
	if (err == ERR_NOT_FOUND)
		err = draw(f, path, why);
	if (!err && o->has_control)
		err = give_part(f, KEY_ROLE_CONTROL, why);
	if (!err && o->has_streams)
		err = give_part(f, KEY_ROLE_STREAMS, why);
	return err;
}

/* --- what becomes of new ones ---------------------------------------------------------------- */
void first_start_on_ready(struct first_start *f)
{
	const char *path = f->options->values[OPTION_KEY_FILE];
	char text[RECOVERY_KEY_TEXT_BYTES];

	if (path[0])
		key_file_set_used(path);
	if (!f->is_drawn || f->is_over)
		return;
	f->is_over = true;
	recovery_key_encode(text, keyring_get(&f->keys, KEY_ROOT));
	fprintf(stderr,
		"\n  What this cluster stores is sealed.  Its recovery key, shown only now:\n\n"
		"    %s\n\n"
		"  Write it down and keep it away from this machine.  Without it nobody can read\n"
		"  what is in the bucket: not even you, and nobody can help.\n",
		text);
	if (f->is_written)
		fprintf(stderr, "  It is in %s too, which the next start needs.\n", path);
	else
		fprintf(stderr, "  The next start needs it, in a file: --key-file FILE.\n");
	explicit_bzero(text, sizeof(text));
}

/* Is that file still what we made, or did somebody put another key there meanwhile? */
static bool is_ours(const struct first_start *f, const char *path)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring found = { 0 };

	bool is_same = !key_file_read(path, &found, why) && keyring_has(&found, KEY_ROOT) &&
		       memcmp(found.keys[KEY_ROOT], f->keys.keys[KEY_ROOT], KEY_BYTES) == 0;
	keyring_done(&found);
	return is_same;
}

/* Never deleted: another process may have begun a cluster with it, elsewhere. */
static void put_aside(const struct first_start *f, const char *path)
{
	char id[KEY_ID_TEXT_BYTES], aside[OPTION_VALUE_BYTES_MAX + KEY_ID_TEXT_BYTES + 16];

	keyring_id_text(&f->keys, id);
	snprintf(aside, sizeof(aside), "%s.unused-%.8s", path, id);
	if (!is_ours(f, path))
		log_warn("%s has been changed since it was made, and is left alone", path);
	else if (rename(path, aside) < 0)
		log_warn("%s cannot be renamed; its key is not that of the bucket", path);
	else
		log_error("%s was not there and was made, but the bucket is in use with another "
			  "key; it is %s now",
			  path, aside);
}

void first_start_on_asking(struct first_start *f)
{
	f->is_asked = true;
}

void first_start_on_denied(struct first_start *f)
{
	const char *path = f->options->values[OPTION_KEY_FILE];

	if (!f->is_drawn || f->is_over)
		return;
	f->is_over = true;
	if (f->is_written)
		put_aside(f, path);
	log_error("the cluster is sealed: give --key-file FILE, with the recovery key that was "
		  "printed at its first start");
}

/* Whoever gave up may have created the cluster before. */
static void show_orphan(const struct first_start *f)
{
	char text[RECOVERY_KEY_TEXT_BYTES];

	recovery_key_encode(text, keyring_get(&f->keys, KEY_ROOT));
	fprintf(stderr,
		"\n  This first start ended before it was known whether it made a cluster.\n"
		"  If the bucket has one now, this is its recovery key, shown only now:\n\n"
		"    %s\n\n",
		text);
	explicit_bzero(text, sizeof(text));
}

void first_start_done(struct first_start *f)
{
	if (f->is_drawn && !f->is_written && f->is_asked && !f->is_over)
		show_orphan(f);
	for (size_t i = 0; i < KEY_ROLE_COUNT; i++)
		secret_buf_done(&f->texts[i]);
	keyring_done(&f->keys);
}
