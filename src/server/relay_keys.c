#include "server/relay_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/random.h"
#include "base/scope.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"
#include "wire/derp/derp.h"

static const char key_name[] = "relay-key";
static const char certificate_name[] = "relay-certificate";
static const char certificate_key_name[] = "relay-certificate-key";

static void wipe_buf(struct buf *b)
{
	if (b->data)
		crypto_wipe(b->data, b->capacity);
	buf_done(b);
}

static enum err refuse(char why[STATE_WHY_BYTES], const char *name, enum err err)
{
	snprintf(why, STATE_WHY_BYTES, "%.200s in --state cannot be used: %s", name, err_name(err));
	return err;
}

/* --- the relay's key -------------------------------------------------------------------------- */
static enum err make_key(const struct state *state, struct mesh_key *ret)
{
	char text[MESH_KEY_TEXT_BYTES + 1];

	random_bytes(ret->bytes, sizeof(ret->bytes));
	x25519_clamp(ret->bytes);
	mesh_key_text(MESH_KEY_PRIVATE, ret, text);
	memcpy(text + strlen(text), "\n", 2);
	enum err err = state_write(state, key_name, slice_from(text));
	crypto_wipe(text, sizeof(text));
	return err;
}

static enum err load_key(const struct state *state, struct mesh_key *ret, char why[STATE_WHY_BYTES])
{
	struct buf text = { 0 };

	enum err err = state_read(state, key_name, MESH_KEY_TEXT_BYTES, &text);
	if (err == ERR_NOT_FOUND) {
		err = make_key(state, ret);
	} else if (!err) {
		struct slice rest = buf_slice(&text);
		err = mesh_key_parse(MESH_KEY_PRIVATE, slice_cut(&rest, '\n'), ret);
	}
	wipe_buf(&text);
	return err ? refuse(why, key_name, err) : OK;
}

/* --- our own certificate ---------------------------------------------------------------------- */
struct pem {
	struct buf certificate, key;
};

static void pem_done(struct pem *pem)
{
	buf_done(&pem->certificate);
	wipe_buf(&pem->key);
}

/* The key is written first: one without its certificate is made anew with it. */
static enum err make_certificate(const struct state *state, const char *host, struct pem *ret)
{
	const char *hosts[] = { host };

	pem_done(ret);
	enum err err = tls_certificate_make(hosts, 1, &ret->certificate, &ret->key);
	if (!err)
		err = state_write(state, certificate_key_name, buf_slice(&ret->key));
	if (!err)
		err = state_write(state, certificate_name, buf_slice(&ret->certificate));
	return err;
}

static enum err read_own(const struct state *state, struct pem *ret)
{
	enum err err = state_read(state, certificate_name, TLS_PEM_BYTES_MAX, &ret->certificate);

	return err ? err : state_read(state, certificate_key_name, TLS_PEM_BYTES_MAX, &ret->key);
}

static enum err use_own(const struct state *state, const char *host, struct relay_keys *ret,
			char why[STATE_WHY_BYTES])
{
	struct pem pem = { 0 };
	char detail[TASK_WHY_BYTES];

	enum err err = read_own(state, &pem);
	if (!err &&
	    !tls_identity_new_server(buf_slice(&pem.certificate), buf_slice(&pem.key),
				     &ret->identity, detail) &&
	    !tls_identity_fits(ret->identity, host)) {
		tls_identity_free(ret->identity);
		ret->identity = NULL;
	}
	if (!ret->identity && (!err || err == ERR_NOT_FOUND)) {
		err = make_certificate(state, host, &pem);
		if (!err)
			err = tls_identity_new_server(buf_slice(&pem.certificate),
						      buf_slice(&pem.key), &ret->identity, detail);
	}
	pem_done(&pem);
	ret->is_own = true;
	return err ? refuse(why, certificate_name, err) : OK;
}

/* --- the owner's ------------------------------------------------------------------------------ */
enum err relay_keys_read_file(const char *path, bool is_secret, struct buf *ret,
			      char why[STATE_WHY_BYTES])
{
	struct stat st;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(why, STATE_WHY_BYTES, "%.200s cannot be read: %s", path, strerror(errno));
		return ERR_INVALID;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > TLS_PEM_BYTES_MAX) {
		snprintf(why, STATE_WHY_BYTES, "%.200s is no file, or too long", path);
		return ERR_INVALID;
	}
	if (is_secret && (st.st_mode & 077)) {
		snprintf(why, STATE_WHY_BYTES, "%.200s: others may read that key (chmod 600)",
			 path);
		return ERR_DENIED;
	}
	uint8_t *to = buf_reserve(ret, (size_t)st.st_size + 1);
	ssize_t got = read(fd, to, (size_t)st.st_size + 1);
	if (got != st.st_size) {
		snprintf(why, STATE_WHY_BYTES, "%.200s changes while it is read", path);
		return ERR_INVALID;
	}
	ret->size += (size_t)got;
	return OK;
}

enum err relay_keys_read_identity(const char *certificate, const char *key,
				  struct tls_identity **ret, char why[STATE_WHY_BYTES])
{
	struct pem pem = { 0 };
	char detail[TASK_WHY_BYTES];

	enum err err = relay_keys_read_file(certificate, false, &pem.certificate, why);
	if (!err)
		err = relay_keys_read_file(key, true, &pem.key, why);
	if (!err) {
		err = tls_identity_new_server(buf_slice(&pem.certificate), buf_slice(&pem.key), ret,
					      detail);
		if (err)
			snprintf(why, STATE_WHY_BYTES, "--certificate %.120s: %s", certificate,
				 detail);
	}
	pem_done(&pem);
	return err;
}

enum err relay_keys_load(const struct state *state, const char *host, const char *certificate,
			 const char *key, struct relay_keys *ret, char why[STATE_WHY_BYTES])
{
	struct relay_keys keys = { 0 };
	char notice[DERP_KEY_NAME_BYTES];
	struct mesh_key own;

	enum err err = load_key(state, &keys.secret, why);
	if (!err)
		err = certificate[0]
			      ? relay_keys_read_identity(certificate, key, &keys.identity, why)
			      : use_own(state, host, &keys, why);
	if (err) {
		crypto_wipe(&keys, sizeof(keys));
		return err;
	}
	x25519_public(keys.secret.bytes, own.bytes);
	derp_key_name(&own, notice);
	tls_identity_add_notice(keys.identity, notice, DERP_VERSION);
	tls_identity_fingerprint(keys.identity, keys.fingerprint);
	*ret = keys;
	crypto_wipe(&keys.secret, sizeof(keys.secret));
	return OK;
}

void relay_keys_done(struct relay_keys *keys)
{
	if (keys->identity)
		tls_identity_free(keys->identity);
	crypto_wipe(keys, sizeof(*keys));
}
