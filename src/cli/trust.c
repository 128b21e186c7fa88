#include "cli/trust.h"

#include <string.h>

#include "cli/output.h"
#include "server/relay_keys.h"
#include "wire/crypto/wipe.h"

#define TRUST_SYSTEM "system" /* --ca system */

static enum command_status read_file(const struct command_line *l, enum flag flag, struct buf *ret)
{
	const char *path = command_line_value(l, flag, NULL);
	char why[STATE_WHY_BYTES];

	if (!path || !relay_keys_read_file(path, flag == FLAG_KEY, ret, why))
		return COMMAND_DONE;
	say("--%s %.200s: %s", flag_rows[flag].name, path, why);
	return COMMAND_REFUSED;
}

enum command_status trust_read(struct trust *t, const struct command_line *l)
{
	const char *ca = command_line_value(l, FLAG_CA, NULL);
	bool has_certificate = command_line_value(l, FLAG_CERTIFICATE, NULL) != NULL;

	*t = (struct trust) { .has_system = !ca || strcmp(ca, TRUST_SYSTEM) == 0 };
	buf_init(&t->authorities);
	buf_init(&t->certificate);
	buf_init(&t->key);
	t->is_secure = ca || has_certificate;
	if (has_certificate != (command_line_value(l, FLAG_KEY, NULL) != NULL)) {
		say("--certificate and --key go together");
		return COMMAND_MISUSED;
	}
	enum command_status status = COMMAND_DONE;
	if (!t->has_system)
		status = read_file(l, FLAG_CA, &t->authorities);
	if (!status)
		status = read_file(l, FLAG_CERTIFICATE, &t->certificate);
	return status ? status : read_file(l, FLAG_KEY, &t->key);
}

void trust_done(struct trust *t)
{
	if (t->key.size > 0)
		crypto_wipe(t->key.data, t->key.size);
	buf_done(&t->authorities);
	buf_done(&t->certificate);
	buf_done(&t->key);
}

enum command_status trust_identity(const struct trust *t, const char *host,
				   struct tls_identity **ret)
{
	char why[TASK_WHY_BYTES];
	enum err err = OK;

	*ret = NULL;
	if (!t->is_secure)
		return COMMAND_DONE;
	if (host[0] == '\0' || strlen(host) > TLS_HOST_BYTES_MAX) {
		say("\"%.60s\" is no name that a certificate can have", host);
		return COMMAND_MISUSED;
	}
	struct tls_identity *identity = tls_identity_new_client(TLS_TRUST_AUTHORITIES, host, NULL);
	if (!t->has_system)
		err = tls_identity_believe(identity, buf_slice(&t->authorities), why);
	if (err) {
		say("--ca: %s", why);
	} else if (t->certificate.size > 0) {
		err = tls_identity_show(identity, buf_slice(&t->certificate), buf_slice(&t->key),
					why);
		if (err)
			say("--certificate and --key: %s", why);
	}
	if (!err) {
		*ret = identity;
		return COMMAND_DONE;
	}
	tls_identity_free(identity);
	return COMMAND_REFUSED;
}
