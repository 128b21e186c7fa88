/* Who may speak to whom over TLS, and what everybody else gets.  That bytes arrive whole and in
 * order, under back-pressure, is tested with the other transports in stream_test.c. */
#include "loop/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/text.h"
#include "loop/stream.h"
#include "loop/turn_testing.h"

enum { CONTROL = 1, AGENT, STRANGER };

static const uint8_t seeds[4][TLS_KEY_BYTES] = { { 0 }, { 11 }, { 22 }, { 33 } };

/* One that believes one other. */
static struct tls_identity *identity_of(int own, int other)
{
	uint8_t key[TLS_KEY_BYTES];

	tls_public_key(seeds[other], key);
	return tls_identity_new(seeds[own], (const uint8_t *[]) { key }, 1);
}

static bool is_key_of(const uint8_t *key, int who)
{
	uint8_t wanted[TLS_KEY_BYTES];

	tls_public_key(seeds[who], wanted);
	return key && memcmp(key, wanted, TLS_KEY_BYTES) == 0;
}

/* --- two engines ----------------------------------------------------------------------------- */

struct pair {
	struct tls_identity *identities[2];
	struct tls *server, *client;
	enum err server_err, client_err;
};

static void pass(struct tls *from, struct tls *to)
{
	struct slice out = tls_output(from);

	if (out.size > 0) {
		tls_feed(to, out);
		tls_drop_output(from, out.size);
	}
}

static enum err shake(struct tls *t, enum err err)
{
	return err == ERR_BUSY ? tls_shake(t) : err;
}

/* To the end, or until somebody gives up; then the other one hears of it. */
static void open_pair(struct pair *p, struct tls_identity *server, struct tls_identity *client)
{
	*p = (struct pair) { .identities = { server, client },
			     .server = tls_new(server, true),
			     .client = tls_new(client, false),
			     .server_err = ERR_BUSY,
			     .client_err = ERR_BUSY };
	for (int i = 0; i < 4; i++) {
		p->client_err = shake(p->client, p->client_err);
		pass(p->client, p->server);
		p->server_err = shake(p->server, p->server_err);
		pass(p->server, p->client);
	}
}

static void close_pair(struct pair *p)
{
	tls_free(p->server);
	tls_free(p->client);
	tls_identity_free(p->identities[0]);
	tls_identity_free(p->identities[1]);
}

static void test_both_sides_know_who_the_other_one_is(void **state)
{
	struct pair p;
	uint8_t room[16];
	size_t size = 0;

	(void)state;
	open_pair(&p, identity_of(CONTROL, AGENT), identity_of(AGENT, CONTROL));
	assert_int_equal(p.server_err, OK);
	assert_int_equal(p.client_err, OK);
	assert_true(is_key_of(tls_peer_key(p.server), AGENT));
	assert_true(is_key_of(tls_peer_key(p.client), CONTROL));
	assert_int_equal(tls_write(p.client, SLICE("hello")), OK);
	assert_null(memmem(tls_output(p.client).data, tls_output(p.client).size, "hello", 5));
	tls_end(p.client);
	pass(p.client, p.server);
	assert_int_equal(tls_read(p.server, room, sizeof(room), &size), OK);
	assert_true(slice_equal((struct slice) { room, size }, SLICE("hello")));
	assert_int_equal(tls_read(p.server, room, sizeof(room), &size), ERR_NOT_FOUND);
	close_pair(&p);
}

static void test_a_server_with_another_key_is_refused(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, identity_of(STRANGER, AGENT), identity_of(AGENT, CONTROL));
	assert_int_equal(p.client_err, ERR_DENIED);
	assert_int_equal(p.server_err, ERR_DENIED); /* told by an alert */
	assert_null(tls_peer_key(p.client));
	close_pair(&p);
}

static void test_a_client_with_another_key_is_refused_and_told(void **state)
{
	struct pair p;
	uint8_t room[16];
	size_t size;

	(void)state;
	open_pair(&p, identity_of(CONTROL, AGENT), identity_of(STRANGER, CONTROL));
	assert_int_equal(p.server_err, ERR_DENIED);
	assert_null(tls_peer_key(p.server));
	assert_int_equal(p.client_err, OK); /* for all it knows */
	assert_int_equal(tls_read(p.client, room, sizeof(room), &size), ERR_DENIED);
	close_pair(&p);
}

static void test_several_keys_may_be_believed(void **state)
{
	uint8_t keys[2][TLS_KEY_BYTES];
	struct pair p;

	(void)state;
	tls_public_key(seeds[CONTROL], keys[0]);
	tls_public_key(seeds[AGENT], keys[1]);
	for (int who = CONTROL; who <= AGENT; who++) {
		open_pair(&p,
			  tls_identity_new(seeds[CONTROL], (const uint8_t *[]) { keys[0], keys[1] },
					   2),
			  identity_of(who, CONTROL));
		assert_int_equal(p.server_err, OK);
		assert_true(is_key_of(tls_peer_key(p.server), who));
		close_pair(&p);
	}
}

static void test_a_bit_that_was_flipped_or_a_record_sent_twice_is_noticed(void **state)
{
	struct pair p;
	struct buf record;
	uint8_t room[16];
	size_t size = 0;

	(void)state;
	for (size_t at = 5; at < 27; at += 7) {
		open_pair(&p, identity_of(CONTROL, AGENT), identity_of(AGENT, CONTROL));
		buf_init(&record);
		assert_int_equal(tls_write(p.client, SLICE("hello")), OK);
		buf_add_slice(&record, tls_output(p.client));
		assert_in_range(record.size, 27, 64);
		record.data[at] ^= 4;
		tls_feed(p.server, buf_slice(&record));
		assert_int_equal(tls_read(p.server, room, sizeof(room), &size), ERR_CORRUPT);
		close_pair(&p);

		open_pair(&p, identity_of(CONTROL, AGENT), identity_of(AGENT, CONTROL));
		buf_clear(&record);
		assert_int_equal(tls_write(p.client, SLICE("hello")), OK);
		buf_add_slice(&record, tls_output(p.client));
		tls_feed(p.server, buf_slice(&record));
		assert_int_equal(tls_read(p.server, room, sizeof(room), &size), OK);
		tls_feed(p.server, buf_slice(&record));
		assert_int_equal(tls_read(p.server, room, sizeof(room), &size), ERR_CORRUPT);
		close_pair(&p);
		buf_done(&record);
	}
}

/* --- our server and a client that is not ours ------------------------------------------------ */

struct foreign {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
	struct tls_identity *identity;
	struct tls *server;
	enum err err; /* of the server */
	int client_code;
};

static void foreign_init(struct foreign *f)
{
	*f = (struct foreign) { .context = SSL_CTX_new(TLS_client_method()), .err = ERR_BUSY };
	f->identity = identity_of(CONTROL, AGENT);
	f->server = tls_new(f->identity, true);
}

static void foreign_shake(struct foreign *f)
{
	f->ssl = SSL_new(f->context);
	f->in = BIO_new(BIO_s_mem());
	f->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(f->in, -1);
	SSL_set_bio(f->ssl, f->in, f->out);
	SSL_set_connect_state(f->ssl);
	for (int i = 0; i < 4; i++) {
		char *data;
		f->client_code = SSL_do_handshake(f->ssl);
		long size = BIO_get_mem_data(f->out, &data);
		if (size > 0)
			tls_feed(f->server, (struct slice) { (uint8_t *)data, (size_t)size });
		(void)BIO_reset(f->out);
		f->err = shake(f->server, f->err);
		struct slice answer = tls_output(f->server);
		if (answer.size > 0) {
			BIO_write(f->in, answer.data, (int)answer.size);
			tls_drop_output(f->server, answer.size);
		}
	}
}

static void foreign_done(struct foreign *f)
{
	SSL_free(f->ssl);
	SSL_CTX_free(f->context);
	tls_free(f->server);
	tls_identity_free(f->identity);
}

static void give_certificate(SSL_CTX *context, EVP_PKEY *key)
{
	X509 *x = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	bool has_own_hash = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519;
	assert_true(X509_sign(x, key, has_own_hash ? NULL : EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(context, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void give_agents_certificate(SSL_CTX *context)
{
	give_certificate(context, EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seeds[AGENT],
							       TLS_KEY_BYTES));
}

static void test_a_client_without_certificate_is_refused(void **state)
{
	struct foreign f;

	(void)state;
	foreign_init(&f);
	foreign_shake(&f);
	assert_int_equal(f.err, ERR_DENIED);
	foreign_done(&f);
}

static void test_a_key_of_another_kind_is_refused(void **state)
{
	struct foreign f;

	(void)state;
	foreign_init(&f);
	give_certificate(f.context, EVP_EC_gen("P-256"));
	foreign_shake(&f);
	assert_true(f.err == ERR_DENIED || f.err == ERR_CORRUPT);
	assert_false(tls_is_secure(f.server));
	foreign_done(&f);
}

static void test_older_versions_are_refused(void **state)
{
	struct foreign f;

	(void)state;
	foreign_init(&f);
	SSL_CTX_set_max_proto_version(f.context, TLS1_2_VERSION);
	foreign_shake(&f);
	assert_int_equal(f.err, ERR_CORRUPT);
	foreign_done(&f);
}

static int session_count;

static int count_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	(void)session;
	session_count++;
	return 0;
}

/* A client of somebody else with a known key may come in; it is shown a certificate that ended long
 * ago, and nothing it could resume with. */
static void test_dates_do_not_matter_and_nothing_can_be_resumed(void **state)
{
	struct foreign f;
	char byte;

	(void)state;
	foreign_init(&f);
	give_agents_certificate(f.context);
	SSL_CTX_set_session_cache_mode(f.context, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(f.context, count_session);
	session_count = 0;
	foreign_shake(&f);
	assert_int_equal(f.err, OK);
	assert_int_equal(f.client_code, 1);
	assert_true(X509_cmp_current_time(X509_get0_notAfter(SSL_get0_peer_certificate(f.ssl))) <
		    0);
	assert_int_equal(tls_write(f.server, SLICE("x")), OK);
	BIO_write(f.in, tls_output(f.server).data, (int)tls_output(f.server).size);
	assert_int_equal(SSL_read(f.ssl, &byte, 1), 1);
	assert_int_equal(session_count, 0);
	foreign_done(&f);
}

/* --- a client that breaks the rules after the handshake -------------------------------------- */
static uint8_t client_secret[32];

static void keep_secret(const SSL *ssl, const char *line)
{
	struct slice secret = slice_from(strrchr(line, ' ') + 1);
	(void)ssl;
	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
		assert_int_equal(hex_decode(secret, client_secret, 32), OK);
}

/* HKDF-Expand-Label of RFC 8446, without context; ret has 32 bytes. */
static void expand(const char *label, uint8_t *ret, uint8_t size)
{
	uint8_t info[32] = { 0, size, (uint8_t)(6 + strlen(label)) };
	size_t used = 3 + (size_t)snprintf((char *)info + 3, 20, "tls13 %s", label);

	info[used + 1] = 1;
	assert_non_null(HMAC(EVP_sha256(), client_secret, 32, info, used + 2, ret, NULL));
}

enum { RECORD_HEAD = 5, RECORD_TAG = 16, HANDSHAKE_RECORD = 0x16 };
/* The first record after the handshake, with whatever is in it. */
static size_t first_record(struct slice content, uint8_t *ret)
{
	uint8_t key[32], iv[32], type = HANDSHAKE_RECORD;
	size_t size = content.size + 1;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	expand("key", key, 32), expand("iv", iv, 12);
	memcpy(ret, "\x17\x03\x03\x00", 4);
	ret[4] = (uint8_t)(size + RECORD_TAG);
	int ok = EVP_EncryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key, iv) &
		 EVP_EncryptUpdate(c, NULL, &n, ret, RECORD_HEAD);
	ret += RECORD_HEAD;
	ok &= EVP_EncryptUpdate(c, ret, &n, content.data, (int)content.size);
	ok &= EVP_EncryptUpdate(c, ret + content.size, &n, &type, 1);
	ok &= EVP_EncryptFinal_ex(c, ret + size, &n);
	ok &= EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG, ret + size);
	EVP_CIPHER_CTX_free(c);
	return ok == 1 ? RECORD_HEAD + size + RECORD_TAG : 0;
}

/* While one half of a KeyUpdate is there nothing can be written: who sends it is given up. */
static void test_a_peer_that_sends_half_of_a_message_about_keys_ends_nobody_else(void **state)
{
	struct foreign f;
	uint8_t record[64], room[16];
	size_t size = 0;

	(void)state;
	foreign_init(&f);
	give_agents_certificate(f.context);
	SSL_CTX_set_ciphersuites(f.context, "TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_keylog_callback(f.context, keep_secret);
	foreign_shake(&f);
	assert_int_equal(f.err, OK);
	size_t all = first_record(SLICE("\x18\0\0\1"), record); /* and one byte more */
	tls_feed(f.server, (struct slice) { record, all });
	assert_int_equal(tls_read(f.server, room, sizeof(room), &size), ERR_BUSY);
	assert_int_equal(tls_write(f.server, SLICE("answer")), ERR_CORRUPT);
	foreign_done(&f);
}

/* --- on the loop ----------------------------------------------------------------------------- */

struct world {
	struct loop *loop;
	struct tls_identity *identity; /* of the listener */
	struct listener *listener;
	struct stream *accepted;
	int accept_count;
	enum err ended; /* how the accepted one did */
	int end_count;
	struct timer tick;
};

static void ignore(void *context, struct stream *s)
{
	(void)context;
	(void)s;
}

static void note_end(void *context, struct stream *s, enum err err)
{
	struct world *w = context;

	stream_close(s);
	if (s == w->accepted)
		w->accepted = NULL;
	w->ended = err;
	w->end_count++;
}

static const struct stream_owner owner = { .on_readable = ignore, .on_end = note_end };

static void on_accept(void *context, struct stream *s)
{
	struct world *w = context;

	if (w->accepted)
		stream_close(w->accepted);
	w->accepted = s;
	w->accept_count++;
	stream_set_owner(s, &owner, w);
}

static void open_world(struct world *w, uint64_t seed)
{
	char why[TASK_WHY_BYTES];

	*w = (struct world) { .loop = loop_new(seed), .identity = identity_of(CONTROL, AGENT) };
	assert_int_equal(listener_open_tls(w->loop, "127.0.0.1", 0, w->identity, on_accept, w,
					   &w->listener, why),
			 OK);
}

static void close_world(struct world *w)
{
	if (w->listener)
		listener_close(w->listener);
	if (w->accepted)
		stream_close(w->accepted);
	timer_clear(&w->tick);
	loop_run(w->loop);
	loop_free(w->loop);
	tls_identity_free(w->identity);
}

/* A client without any TLS. */
static int connect_bare(const struct world *w)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons(listener_port(w->listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Whatever it is told before, an alert perhaps, is stepped over. */
static bool is_closed(int fd)
{
	uint8_t bytes[512];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

static void test_garbage_and_clients_in_the_clear_are_closed(void **state)
{
	static const char *const greetings[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"\x16\x03\x01\xff\xff some handshake",
		"\x17\x03\x03\x00\x10 data before anything",
		"a heartbeat of an earlier release",
	};
	struct world w;

	(void)state;
	open_world(&w, 0);
	for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
		int fd = connect_bare(&w);
		size_t size = strlen(greetings[i]) + 1;
		assert_int_equal(send(fd, greetings[i], size, 0), size);
		WAIT_FOR(&w, is_closed(fd));
		close(fd);
	}
	assert_int_equal(w.accept_count, 0);
	close_world(&w);
}

static void test_who_says_nothing_is_closed_after_a_while(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
	uint64_t begin_ms = clock_now_ms();
	int fd = connect_bare(&w);
	WAIT_FOR(&w, is_closed(fd));
	assert_true(clock_now_ms() - begin_ms >= TLS_HANDSHAKE_MS - 100);
	close(fd);
	close_world(&w);
}

/* False: it took so long that the others went, too, as their time was over. */
static bool only_the_oldest_goes(void)
{
	struct world w;
	int fds[TLS_HANDSHAKES_MAX + 1];
	uint64_t begin_ms = clock_now_ms();

	open_world(&w, 0);
	for (int i = 0; i <= TLS_HANDSHAKES_MAX; i++) {
		fds[i] = connect_bare(&w);
		turn_loop(w.loop, &w.tick);
	}
	WAIT_FOR(&w, is_closed(fds[0]));
	bool others_stay = !is_closed(fds[1]) && !is_closed(fds[TLS_HANDSHAKES_MAX]);
	bool is_in_time = clock_now_ms() - begin_ms < TLS_HANDSHAKE_MS;
	for (int i = 0; i <= TLS_HANDSHAKES_MAX; i++)
		close(fds[i]);
	close_world(&w);
	assert_true(others_stay || !is_in_time);
	return is_in_time;
}

static void test_of_too_many_who_say_nothing_the_oldest_goes(void **state)
{
	bool is_seen = false;

	(void)state;
	for (int tries = 0; tries < 20 && !is_seen; tries++)
		is_seen = only_the_oldest_goes();
	assert_true(is_seen);
}

/* --- connects -------------------------------------------------------------------------------- */

struct guard_caller {
	struct task task;
	struct connect connect;
	struct tls_identity *identity;
	uint16_t port;
};

static enum step caller_step(struct task *t)
{
	struct guard_caller *c = CONTAINER(t, struct guard_caller, task);

	if (t->at == 0 && !task_is_canceled(t)) {
		connect_tls(&c->connect, t, "127.0.0.1", c->port, c->identity);
		return task_wait(t, 1);
	}
	return task_done(t, c->connect.task.err);
}

static const struct task_kind caller_kind = { .name = "caller", .step = caller_step };

static void call(struct guard_caller *c, struct world *w, struct tls_identity *identity)
{
	*c = (struct guard_caller) { .identity = identity, .port = listener_port(w->listener) };
	task_start_root(&c->task, &caller_kind, w->loop);
}

static void end_call(struct guard_caller *c)
{
	if (c->connect.ret)
		stream_close(c->connect.ret);
	tls_identity_free(c->identity);
}

static void test_a_connect_gives_a_stream_that_knows_its_peer(void **state)
{
	struct world w;
	struct guard_caller c;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		open_world(&w, seed);
		call(&c, &w, identity_of(AGENT, CONTROL));
		WAIT_FOR(&w, !task_is_running(&c.task) && w.accepted);
		assert_int_equal(c.task.err, OK);
		assert_true(is_key_of(stream_peer_key(c.connect.ret), CONTROL));
		assert_true(is_key_of(stream_peer_key(w.accepted), AGENT));
		assert_true(stream_get_traffic(w.accepted).received_bytes > 0);
		end_call(&c);
		WAIT_FOR(&w, w.end_count == 1);
		assert_int_equal(w.ended, OK); /* its end was said */
		close_world(&w);
	}
}

static void test_a_connect_says_what_is_wrong(void **state)
{
	struct world w;
	struct guard_caller c;

	(void)state;
	open_world(&w, 0);
	call(&c, &w, identity_of(AGENT, STRANGER));
	WAIT_FOR(&w, !task_is_running(&c.task));
	assert_int_equal(c.task.err, ERR_DENIED);
	assert_non_null(strstr(c.connect.task.why, "other keys"));
	end_call(&c);

	call(&c, &w, identity_of(STRANGER, CONTROL));
	WAIT_FOR(&w, !task_is_running(&c.task));
	assert_int_equal(c.task.err, OK);
	stream_set_owner(c.connect.ret, &owner, &w);
	WAIT_FOR(&w, w.end_count == 1);
	assert_int_not_equal(w.ended, OK);
	c.connect.ret = NULL;
	end_call(&c);
	assert_int_equal(w.accept_count, 0);
	close_world(&w);
}

static void test_a_secure_connect_may_be_canceled_at_each_of_its_places(void **state)
{
	struct world w;
	struct guard_caller c;
	int ok_count = 0;

	(void)state;
	for (int turns = 0; turns < 16; turns++) {
		open_world(&w, (uint64_t)turns);
		call(&c, &w, identity_of(AGENT, CONTROL));
		for (int i = 0; i < turns; i++)
			loop_turn(w.loop);
		if (task_is_running(&c.task))
			task_cancel(&c.task);
		WAIT_FOR(&w, !task_is_running(&c.task));
		assert_true(c.task.err == OK || c.task.err == ERR_CANCELED);
		ok_count += c.task.err == OK;
		end_call(&c);
		turn_loop(w.loop, &w.tick);
		close_world(&w); /* nothing is left of it */
	}
	assert_in_range(ok_count, 1, 15);
}

static void test_a_listener_may_close_during_handshakes(void **state)
{
	struct world w;
	struct guard_caller c;

	(void)state;
	for (int turns = 0; turns < 10; turns++) {
		open_world(&w, (uint64_t)turns);
		call(&c, &w, identity_of(AGENT, CONTROL));
		for (int i = 0; i < turns; i++)
			loop_turn(w.loop);
		listener_close(w.listener);
		w.listener = NULL;
		WAIT_FOR(&w, !task_is_running(&c.task));
		end_call(&c);
		close_world(&w);
	}
}

/* --- a peer that misbehaves once it is known -------------------------------------------------- */

/* A known client, whose bytes the test sends by hand. */
struct hand {
	int fd;
	struct tls_identity *identity;
	struct tls *tls;
};

static void send_all(struct hand *h)
{
	struct slice out = tls_output(h->tls);

	if (out.size == 0)
		return;
	assert_int_equal(send(h->fd, out.data, out.size, MSG_NOSIGNAL), out.size);
	tls_drop_output(h->tls, out.size);
}

static void open_hand(struct hand *h, struct world *w)
{
	uint8_t bytes[4096];

	h->fd = connect_bare(w);
	h->identity = identity_of(AGENT, CONTROL);
	h->tls = tls_new(h->identity, false);
	uint64_t until_ms = clock_now_ms() + WAIT_MS;
	while (tls_shake(h->tls) == ERR_BUSY && clock_now_ms() < until_ms) {
		send_all(h);
		turn_loop(w->loop, &w->tick);
		ssize_t n = recv(h->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			tls_feed(h->tls, (struct slice) { bytes, (size_t)n });
	}
	send_all(h);
	WAIT_FOR(w, w->accepted);
}

static void close_hand(struct hand *h)
{
	close(h->fd);
	tls_free(h->tls);
	tls_identity_free(h->identity);
}

static void test_a_connection_that_was_cut_off_is_not_taken_for_closed(void **state)
{
	struct world w;
	struct hand h;

	(void)state;
	open_world(&w, 0);
	open_hand(&h, &w);
	assert_int_equal(tls_write(h.tls, SLICE("all of it?")), OK);
	send_all(&h);
	shutdown(h.fd, SHUT_WR);
	WAIT_FOR(&w, w.end_count == 1);
	assert_int_equal(w.ended, ERR_UNAVAILABLE);
	close_hand(&h);

	open_hand(&h, &w);
	tls_end(h.tls);
	send_all(&h);
	WAIT_FOR(&w, w.end_count == 2);
	assert_int_equal(w.ended, OK);
	close_hand(&h);
	close_world(&w);
}

static void test_bytes_the_peer_did_not_send_end_the_stream(void **state)
{
	struct world w;
	struct hand h;

	(void)state;
	open_world(&w, 0);
	open_hand(&h, &w);
	assert_int_equal(send(h.fd, "\x17\x03\x03\x00\x18 0123456789abcdef0123456", 29, 0), 29);
	WAIT_FOR(&w, w.end_count == 1);
	assert_int_equal(w.ended, ERR_CORRUPT);
	close_hand(&h);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_know_who_the_other_one_is),
		cmocka_unit_test(test_a_server_with_another_key_is_refused),
		cmocka_unit_test(test_a_client_with_another_key_is_refused_and_told),
		cmocka_unit_test(test_several_keys_may_be_believed),
		cmocka_unit_test(test_a_bit_that_was_flipped_or_a_record_sent_twice_is_noticed),
		cmocka_unit_test(test_a_client_without_certificate_is_refused),
		cmocka_unit_test(test_a_key_of_another_kind_is_refused),
		cmocka_unit_test(test_older_versions_are_refused),
		cmocka_unit_test(test_dates_do_not_matter_and_nothing_can_be_resumed),
		cmocka_unit_test(
			test_a_peer_that_sends_half_of_a_message_about_keys_ends_nobody_else),
		cmocka_unit_test(test_garbage_and_clients_in_the_clear_are_closed),
		cmocka_unit_test(test_who_says_nothing_is_closed_after_a_while),
		cmocka_unit_test(test_of_too_many_who_say_nothing_the_oldest_goes),
		cmocka_unit_test(test_a_connect_gives_a_stream_that_knows_its_peer),
		cmocka_unit_test(test_a_connect_says_what_is_wrong),
		cmocka_unit_test(test_a_secure_connect_may_be_canceled_at_each_of_its_places),
		cmocka_unit_test(test_a_listener_may_close_during_handshakes),
		cmocka_unit_test(test_a_connection_that_was_cut_off_is_not_taken_for_closed),
		cmocka_unit_test(test_bytes_the_peer_did_not_send_end_the_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
