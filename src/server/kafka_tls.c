#include "server/kafka_tls.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "server/relay_keys.h"

enum { FILE_CERTIFICATE, FILE_KEY, FILE_CLIENT_CA, FILE_JWKS };

static enum err ask_clients(const char *path, struct tls_identity *identity,
			    char why[OPTION_WHY_BYTES])
{
	char detail[STATE_WHY_BYTES];
	struct buf pem;

	buf_init(&pem);
	enum err err = relay_keys_read_file(path, false, &pem, detail);
	if (!err)
		err = tls_identity_ask_clients(identity, buf_slice(&pem), detail);
	if (err)
		snprintf(why, OPTION_WHY_BYTES, "--kafka-client-ca %.100s: %.150s", path, detail);
	buf_done(&pem);
	return err;
}

static enum err read_identity(const struct kafka_tls *t, struct tls_identity **ret,
			      char why[OPTION_WHY_BYTES])
{
	char detail[STATE_WHY_BYTES];
	struct tls_identity *identity = NULL;

	enum err err = relay_keys_read_identity(t->paths[FILE_CERTIFICATE], t->paths[FILE_KEY],
						&identity, detail);
	if (err) {
		snprintf(why, OPTION_WHY_BYTES, "Kafka over TLS: %.250s", detail);
		return err;
	}
	if (t->paths[FILE_CLIENT_CA][0])
		err = ask_clients(t->paths[FILE_CLIENT_CA], identity, why);
	if (err)
		tls_identity_free(identity);
	else
		*ret = identity;
	return err;
}

static enum err read_keys(const struct kafka_tls *t, struct jwt_keys **ret,
			  char why[OPTION_WHY_BYTES])
{
	char detail[STATE_WHY_BYTES];
	struct buf json;

	buf_init(&json);
	enum err err = relay_keys_read_file(t->paths[FILE_JWKS], false, &json, detail);
	if (!err)
		err = jwt_keys_parse(buf_slice(&json), ret, detail);
	if (err)
		snprintf(why, OPTION_WHY_BYTES, "--kafka-jwks %.100s: %.150s", t->paths[FILE_JWKS],
			 detail);
	buf_done(&json);
	return err;
}

/* All that was given, or nothing. */
static enum err read_all(const struct kafka_tls *t, struct tls_identity **ret_identity,
			 struct jwt_keys **ret_keys, char why[OPTION_WHY_BYTES])
{
	struct tls_identity *identity = NULL;
	enum err err = OK;

	if (t->paths[FILE_CERTIFICATE][0])
		err = read_identity(t, &identity, why);
	if (!err && t->paths[FILE_JWKS][0])
		err = read_keys(t, ret_keys, why);
	if (err && identity)
		tls_identity_free(identity);
	if (!err)
		*ret_identity = identity;
	return err;
}

/* Have the files changed since they were seen? */
static bool look(struct kafka_tls *t)
{
	bool has_changed = false;

	for (int i = 0; i < KAFKA_TLS_FILES; i++) {
		struct stat now = { 0 };
		struct stat *before = &t->seen[i];
		if (t->paths[i][0] && stat(t->paths[i], &now) < 0)
			now = (struct stat) { 0 };
		has_changed |= now.st_ino != before->st_ino || now.st_size != before->st_size ||
			       now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
			       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
		*before = now;
	}
	return has_changed;
}

static void on_look(struct timer *timer)
{
	struct kafka_tls *t = CONTAINER(timer, struct kafka_tls, timer);
	struct tls_identity *identity = NULL;
	struct jwt_keys *keys = NULL;
	char why[OPTION_WHY_BYTES];

	timer_set(&t->timer, t->loop, loop_now_ms(t->loop) + KAFKA_TLS_LOOK_MS, on_look);
	if (!look(t))
		return;
	if (read_all(t, &identity, &keys, why)) {
		log_warn("the certificate stays as it was: %s", why);
		return;
	}
	log_info("what clients of Kafka are known by was read again");
	t->on_change(t->context, identity, keys);
	kafka_tls_done(t);
	t->identity = identity;
	t->keys = keys;
}

enum err kafka_tls_open(struct kafka_tls *t, struct loop *loop, const struct options *o,
			char why[OPTION_WHY_BYTES])
{
	*t = (struct kafka_tls) {
		.loop = loop,
		.paths = { o->values[OPTION_KAFKA_CERTIFICATE],
			   o->values[OPTION_KAFKA_CERTIFICATE_KEY],
			   o->values[OPTION_KAFKA_CLIENT_CA], o->values[OPTION_KAFKA_JWKS] },
	};
	if (!t->paths[FILE_CERTIFICATE][0] && !t->paths[FILE_JWKS][0])
		return OK;
	(void)look(t);
	enum err err = read_all(t, &t->identity, &t->keys, why);
	if (!err)
		timer_set(&t->timer, loop, loop_now_ms(loop) + KAFKA_TLS_LOOK_MS, on_look);
	return err;
}

void kafka_tls_stop(struct kafka_tls *t)
{
	timer_clear(&t->timer);
}

void kafka_tls_done(struct kafka_tls *t)
{
	if (t->identity)
		tls_identity_free(t->identity);
	jwt_keys_free(t->keys);
	t->identity = NULL;
	t->keys = NULL;
}
