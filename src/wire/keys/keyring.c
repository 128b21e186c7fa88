/* What follows from a root:
 *
 *	part = HKDF-SHA256(root, no salt, "hanse 1 " name)
 *
 * The identities are Ed25519 keys whose seeds are parts; public keys follow from the seeds. */
#include "wire/keys/keyring.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "wire/keys/hkdf.h"

_Static_assert(KEY_BYTES == (int)SHA256_BYTES, "a part is one block of HKDF");

#define PART(part) (1u << (part))

void keyring_done(struct keyring *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

bool keyring_has(const struct keyring *k, enum key_part part)
{
	return k->parts & PART(part);
}

const uint8_t *keyring_get(const struct keyring *k, enum key_part part)
{
	assert(keyring_has(k, part));
	return k->keys[part];
}

void keyring_id_text(const struct keyring *k, char ret[KEY_ID_TEXT_BYTES])
{
	hex_encode(ret, (struct slice) { k->id, sizeof(k->id) });
}

/* --- derivation ------------------------------------------------------------------------------ */
static void derive(const uint8_t root[KEY_BYTES], const char *info, uint8_t *ret, size_t size)
{
	hkdf_sha256(ret, size, (struct slice) { root, KEY_BYTES }, SLICE(""), slice_from(info));
}

/* The public key of a seed that is there. */
static void derive_public(struct keyring *k, enum key_part seed, enum key_part public)
{
	EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->keys[seed], KEY_BYTES);
	size_t size = KEY_BYTES;
	int ok = key && EVP_PKEY_get_raw_public_key(key, k->keys[public], &size);

	assert(ok && size == KEY_BYTES); /* any 32 bytes are a seed */
	EVP_PKEY_free(key);
	k->parts |= PART(public);
}

void keyring_from_root(struct keyring *ret, const uint8_t root[KEY_BYTES])
{
	static const struct {
		enum key_part part;
		const char *info;
	} derived[] = {
		{ KEY_CLUSTER, "hanse 1 cluster" },
		{ KEY_JOURNAL, "hanse 1 journal" },
		{ KEY_DATA, "hanse 1 data" },
		{ KEY_CONTROL_SEED, "hanse 1 control identity" },
		{ KEY_AGENTS_SEED, "hanse 1 agents identity" },
	};
	struct keyring k = { .parts = PART(KEY_ROOT) };

	memcpy(k.keys[KEY_ROOT], root, KEY_BYTES);
	derive(root, "hanse 1 key id", k.id, sizeof(k.id));
	for (size_t i = 0; i < sizeof(derived) / sizeof(*derived); i++) {
		derive(root, derived[i].info, k.keys[derived[i].part], KEY_BYTES);
		k.parts |= PART(derived[i].part);
	}
	derive_public(&k, KEY_CONTROL_SEED, KEY_CONTROL_PUBLIC);
	derive_public(&k, KEY_AGENTS_SEED, KEY_AGENTS_PUBLIC);
	*ret = k;
	keyring_done(&k);
}

/* --- parts of roles -------------------------------------------------------------------------- */
enum { ROLE_PARTS = 4 };

static const struct role {
	const char *name;
	enum key_part parts[ROLE_PARTS]; /* in the order in which they are written */
	enum key_part seed, public;	 /* its own: the second follows from the first */
} roles[KEY_ROLE_COUNT] = {
	[KEY_ROLE_CONTROL] = { "control",
			       { KEY_CLUSTER, KEY_JOURNAL, KEY_CONTROL_SEED, KEY_AGENTS_PUBLIC },
			       KEY_CONTROL_SEED,
			       KEY_CONTROL_PUBLIC },
	[KEY_ROLE_STREAMS] = { "streams",
			       { KEY_CLUSTER, KEY_DATA, KEY_AGENTS_SEED, KEY_CONTROL_PUBLIC },
			       KEY_AGENTS_SEED,
			       KEY_AGENTS_PUBLIC },
};

static const char *const part_names[KEY_PART_COUNT] = {
	[KEY_CLUSTER] = "cluster",
	[KEY_JOURNAL] = "journal",
	[KEY_DATA] = "data",
	[KEY_CONTROL_SEED] = "control-private",
	[KEY_CONTROL_PUBLIC] = "control-public",
	[KEY_AGENTS_SEED] = "agents-private",
	[KEY_AGENTS_PUBLIC] = "agents-public",
};

const char *key_role_name(enum key_role role)
{
	return roles[role].name;
}

enum err keyring_for_role(const struct keyring *k, enum key_role role, struct keyring *ret)
{
	const struct role *r = &roles[role];
	struct keyring part = { 0 };

	for (size_t i = 0; i < ROLE_PARTS; i++) {
		if (!keyring_has(k, r->parts[i]))
			return ERR_DENIED;
		memcpy(part.keys[r->parts[i]], k->keys[r->parts[i]], KEY_BYTES);
		part.parts |= PART(r->parts[i]);
	}
	memcpy(part.id, k->id, sizeof(part.id));
	derive_public(&part, r->seed, r->public);
	*ret = part;
	keyring_done(&part);
	return OK;
}

/* --- their text ------------------------------------------------------------------------------ */
#define PART_HEADING "hanse-part-1 "
enum { CHECK_BYTES = 8, LINES_MAX = 64 };

static const struct role *role_of(const struct keyring *k)
{
	for (size_t i = 0; i < KEY_ROLE_COUNT; i++)
		if (keyring_has(k, roles[i].seed))
			return &roles[i];
	abort();
}

/* Everything but the last line, the checksum of the others. */
static void encode_role(const struct keyring *k, struct buf *ret)
{
	const struct role *r = role_of(k);
	char hex[2 * KEY_BYTES + 1];

	keyring_id_text(k, hex);
	buf_add_format(ret, PART_HEADING "%s\nid %s\n", r->name, hex);
	for (size_t i = 0; i < ROLE_PARTS; i++) {
		hex_encode(hex, (struct slice) { keyring_get(k, r->parts[i]), KEY_BYTES });
		buf_add_format(ret, "%s %s\n", part_names[r->parts[i]], hex);
	}
	OPENSSL_cleanse(hex, sizeof(hex));
}

static void checksum(struct slice text, char ret[2 * CHECK_BYTES + 1])
{
	uint8_t hash[SHA256_BYTES];
	unsigned size = 0;
	int ok = EVP_Digest(text.data, text.size, hash, &size, EVP_sha256(), NULL);

	assert(ok && size == sizeof(hash));
	hex_encode(ret, (struct slice) { hash, CHECK_BYTES });
}

void keyring_encode(const struct keyring *k, struct buf *ret)
{
	char recovery_key[RECOVERY_KEY_TEXT_BYTES], check[2 * CHECK_BYTES + 1];
	size_t from = ret->size;

	if (keyring_has(k, KEY_ROOT)) {
		recovery_key_encode(recovery_key, k->keys[KEY_ROOT]);
		buf_add_format(ret, "%s\n", recovery_key);
		OPENSSL_cleanse(recovery_key, sizeof(recovery_key));
		return;
	}
	encode_role(k, ret);
	checksum(slice_part(buf_slice(ret), from, ret->size), check);
	buf_add_format(ret, "check %s\n", check);
}

static struct slice trim(struct slice s)
{
	return slice_trim(s, " \t\r");
}

/* The next line that says something; false at the end. */
static bool next_line(struct slice *rest, struct slice *ret)
{
	while (rest->size > 0) {
		*ret = trim(slice_cut(rest, '\n'));
		if (ret->size && ret->data[0] != '#')
			return true;
	}
	return false;
}

static enum err parse_line(struct slice line, struct keyring *k, char check[2 * CHECK_BYTES + 1])
{
	struct slice value = line;
	struct slice name = slice_cut(&value, ' ');

	value = trim(value);
	if (slice_equal(name, SLICE("id")))
		return hex_decode(value, k->id, sizeof(k->id));
	if (slice_equal(name, SLICE("check"))) {
		snprintf(check, 2 * CHECK_BYTES + 1, "%.*s", SLICE_ARG(value));
		return OK;
	}
	for (unsigned i = KEY_CLUSTER; i < KEY_PART_COUNT; i++)
		if (slice_equal(name, slice_from(part_names[i]))) {
			k->parts |= PART(i);
			return hex_decode(value, k->keys[i], KEY_BYTES);
		}
	return ERR_INVALID;
}

/* Read, then written again: only that has the checksum at its end. */
static bool is_checked(const struct keyring *k, const char *check)
{
	char expected[2 * CHECK_BYTES + 1];
	struct buf again;
	bool is_equal;

	buf_init(&again);
	(void)buf_reserve(&again, KEY_FILE_BYTES_MAX); /* it never moves, so it can be wiped */
	encode_role(k, &again);
	checksum(buf_slice(&again), expected);
	is_equal = strcmp(check, expected) == 0;
	OPENSSL_cleanse(again.data, again.size);
	buf_done(&again);
	return is_equal;
}

static const struct role *find_role(struct slice name)
{
	for (size_t i = 0; i < KEY_ROLE_COUNT; i++)
		if (slice_equal(name, slice_from(roles[i].name)))
			return &roles[i];
	return NULL;
}

static enum err parse_role(struct slice heading, struct slice rest, struct keyring *ret,
			   char why[KEYRING_WHY_BYTES])
{
	struct slice after = slice_part(heading, sizeof(PART_HEADING) - 1, heading.size);
	const struct role *r = find_role(trim(after));
	struct keyring k = { 0 }, part;
	char check[2 * CHECK_BYTES + 1] = "";
	struct slice line;
	enum err err = r ? OK : ERR_INVALID;

	for (int i = 0; !err && i < LINES_MAX && next_line(&rest, &line); i++)
		err = parse_line(line, &k, check);
	if (!err)
		err = keyring_for_role(&k, (enum key_role)(r - roles), &part);
	if (!err && (next_line(&rest, &line) || !is_checked(&part, check)))
		err = ERR_INVALID;
	if (!err)
		*ret = part;
	else
		snprintf(why, KEYRING_WHY_BYTES,
			 "not the part of a role as \"hanse key derive\" wrote it: changed or "
			 "incomplete");
	keyring_done(&k);
	if (!err)
		keyring_done(&part);
	return err ? ERR_INVALID : OK;
}

static enum err parse_root(struct slice text, struct keyring *ret, char why[KEYRING_WHY_BYTES])
{
	uint8_t root[KEY_BYTES];
	struct buf said;
	struct slice line;
	enum err err;

	buf_init(&said);
	(void)buf_reserve(&said, KEY_FILE_BYTES_MAX);
	while (next_line(&text, &line))
		buf_add_slice(&said, line);
	err = recovery_key_parse(buf_slice(&said), root, why);
	if (!err)
		keyring_from_root(ret, root);
	OPENSSL_cleanse(root, sizeof(root));
	OPENSSL_cleanse(said.data, said.size);
	buf_done(&said);
	return err;
}

enum err keyring_parse(struct slice text, struct keyring *ret, char why[KEYRING_WHY_BYTES])
{
	struct slice rest = text, line;

	if (text.size > KEY_FILE_BYTES_MAX) {
		snprintf(why, KEYRING_WHY_BYTES, "larger than %d bytes: this is no key file",
			 KEY_FILE_BYTES_MAX);
		return ERR_TOO_BIG;
	}
	if (!next_line(&rest, &line)) {
		snprintf(why, KEYRING_WHY_BYTES, "there is no key in it");
		return ERR_INVALID;
	}
	if (slice_starts_with(line, SLICE(PART_HEADING)))
		return parse_role(line, rest, ret, why);
	if (slice_starts_with(line, SLICE("hanse-part-"))) {
		snprintf(why, KEYRING_WHY_BYTES, "the part of a role in a newer form");
		return ERR_UNSUPPORTED;
	}
	return parse_root(text, ret, why);
}
