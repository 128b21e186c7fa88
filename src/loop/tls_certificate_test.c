/* Ordinary certificates: who believes whom, and what a client learns from them.  The bytes that go
 * over such a connection are those of tls_test.c and stream_test.c. */
#include "loop/tls_certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/stream.h"
#include "loop/timer.h"
#include "loop/tls.h"

enum { WAIT_MS = 60000 };

static const char *const hosts[] = { "relay.example", "192.0.2.7", "2001:db8::7" };
static struct buf certificate, key; /* of the server of these tests */

static int make_once(void **state)
{
	(void)state;
	assert_int_equal(tls_certificate_make(hosts, 3, &certificate, &key), OK);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	buf_done(&certificate);
	buf_done(&key);
	return 0;
}

static struct tls_identity *new_server(void)
{
	struct tls_identity *server = NULL;
	char why[TASK_WHY_BYTES];

	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&key), &server,
						 why),
			 OK);
	return server;
}

/* --- two engines ------------------------------------------------------------------------------ */
struct pair {
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

static void open_pair(struct pair *p, struct tls_identity *server, struct tls_identity *client)
{
	*p = (struct pair) { tls_new(server, true), tls_new(client, false), ERR_BUSY, ERR_BUSY };
	for (int i = 0; i < 4; i++) {
		if (p->client_err == ERR_BUSY)
			p->client_err = tls_shake(p->client);
		pass(p->client, p->server);
		if (p->server_err == ERR_BUSY)
			p->server_err = tls_shake(p->server);
		pass(p->server, p->client);
	}
}

static void close_pair(struct pair *p, struct tls_identity *server, struct tls_identity *client)
{
	tls_free(p->server);
	tls_free(p->client);
	tls_identity_free(server);
	tls_identity_free(client);
}

/* What the client says of our server. */
static enum err meet(enum tls_trust trust, const char *name, const uint8_t *fingerprint)
{
	struct tls_identity *server = new_server();
	struct tls_identity *client = tls_identity_new_client(trust, name, fingerprint);
	struct pair p;

	open_pair(&p, server, client);
	enum err err = p.client_err;
	assert_null(tls_peer_key(p.client));
	assert_null(tls_peer_key(p.server));
	close_pair(&p, server, client);
	return err;
}

static void test_a_client_may_believe_one_certificate(void **state)
{
	struct tls_identity *server = new_server();
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];

	(void)state;
	tls_identity_fingerprint(server, fingerprint);
	tls_identity_free(server);
	assert_int_equal(meet(TLS_TRUST_FINGERPRINT, "relay.example", fingerprint), OK);
	assert_int_equal(meet(TLS_TRUST_FINGERPRINT, "any.other.name", fingerprint), OK);
	fingerprint[31] ^= 1;
	assert_int_equal(meet(TLS_TRUST_FINGERPRINT, "relay.example", fingerprint), ERR_DENIED);
}

static void test_a_client_may_believe_anybody_for_tests(void **state)
{
	(void)state;
	assert_int_equal(meet(TLS_TRUST_ANYBODY, "127.0.0.1", NULL), OK);
}

static void test_authorities_decide_and_the_name_must_be_right(void **state)
{
	char path[] = "/tmp/hanse-authorities-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	/* The system's do not know us. */
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "relay.example", NULL), ERR_DENIED);
	/* These do. */
	assert_true(fd >= 0 &&
		    write(fd, certificate.data, certificate.size) == (ssize_t)certificate.size);
	close(fd);
	setenv("SSL_CERT_FILE", path, 1);
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "relay.example", NULL), OK);
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "192.0.2.7", NULL), OK);
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "2001:db8::7", NULL), OK);
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "other.example", NULL), ERR_DENIED);
	assert_int_equal(meet(TLS_TRUST_AUTHORITIES, "192.0.2.8", NULL), ERR_DENIED);
	unsetenv("SSL_CERT_FILE");
	unlink(path);
}

static void test_a_certificate_fits_its_hosts(void **state)
{
	struct tls_identity *server = new_server();

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_true(tls_identity_fits(server, hosts[i]));
	assert_false(tls_identity_fits(server, "example"));
	assert_false(tls_identity_fits(server, "192.0.2.70"));
	tls_identity_free(server);
}

static void test_wrong_files_are_refused_with_a_reason(void **state)
{
	struct buf other_certificate = { 0 }, other_key = { 0 };
	struct tls_identity *server = NULL;
	char why[TASK_WHY_BYTES];

	(void)state;
	assert_int_equal(tls_certificate_make(hosts, 1, &other_certificate, &other_key), OK);
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&other_key),
						 &server, why),
			 ERR_INVALID);
	assert_string_equal(why, "the key is not that of the certificate");
	assert_int_equal(tls_identity_new_server(SLICE("no PEM"), buf_slice(&key), &server, why),
			 ERR_INVALID);
	assert_string_equal(why, "the certificate is not in PEM form");
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), SLICE(""), &server, why),
			 ERR_INVALID);
	assert_null(server);
	assert_int_equal(tls_certificate_make(hosts, 0, &other_certificate, &other_key),
			 ERR_TOO_BIG);
	buf_done(&other_certificate);
	buf_done(&other_key);
}

static void test_clients_that_are_asked_may_have_no_certificate(void **state)
{
	struct tls_identity *server = new_server();
	struct tls_identity *client =
		tls_identity_new_client(TLS_TRUST_ANYBODY, "relay.example", NULL);
	char why[TASK_WHY_BYTES], subject[100];
	struct pair p;

	(void)state;
	assert_int_equal(tls_identity_ask_clients(server, SLICE("no PEM"), why), ERR_INVALID);
	assert_non_null(strstr(why, "PEM"));
	assert_int_equal(tls_identity_ask_clients(server, buf_slice(&key), why), ERR_INVALID);
	assert_int_equal(tls_identity_ask_clients(server, buf_slice(&certificate), why), OK);
	open_pair(&p, server, client);
	assert_int_equal(p.client_err, OK);
	assert_int_equal(p.server_err, OK);
	assert_int_equal(tls_peer_subject(p.server, subject, sizeof(subject)), ERR_NOT_FOUND);
	assert_int_equal(tls_peer_subject(p.client, subject, sizeof(subject)), ERR_NOT_FOUND);
	close_pair(&p, server, client);
}

static void test_a_notice_comes_with_the_handshake(void **state)
{
	char name[TLS_NOTICE_BYTES_MAX + 1] = "notice", found[TLS_NOTICE_BYTES_MAX + 1];
	struct tls_identity *server = new_server();
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	struct tls_identity *client;
	struct pair p;

	(void)state;
	memset(name + 6, 'a', 65); /* longer than a name should be */
	tls_identity_add_notice(server, name, 2);
	tls_identity_fingerprint(server, fingerprint);
	client = tls_identity_new_client(TLS_TRUST_FINGERPRINT, "relay.example", fingerprint);
	open_pair(&p, server, client);
	assert_int_equal(p.client_err, OK);
	assert_int_equal(p.server_err, OK);
	assert_int_equal(tls_peer_notice(p.client, "notice", found, sizeof(found)), OK);
	assert_string_equal(found, name);
	assert_int_equal(tls_peer_notice(p.client, "notice", found, 20), ERR_NOT_FOUND);
	assert_int_equal(tls_peer_notice(p.client, "other", found, sizeof(found)), ERR_NOT_FOUND);
	assert_int_equal(tls_peer_notice(p.server, "", found, sizeof(found)), ERR_NOT_FOUND);
	close_pair(&p, server, client);
}

/* --- over sockets ----------------------------------------------------------------------------- */
struct world {
	struct loop *loop;
	struct listener *listener;
	struct stream *served;
	struct task root;
	struct connect connect;
	struct tls_identity *client;
	struct timer timeout;
	struct buf said;
};

static void on_said(void *context, struct stream *s)
{
	struct world *w = context;

	buf_add_slice(&w->said, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
	if (w->said.size == 5)
		loop_stop(w->loop);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)s;
	(void)err;
}

static const struct stream_owner owner = { .on_readable = on_said, .on_end = on_end };

static void on_accept(void *context, struct stream *s)
{
	struct world *w = context;

	w->served = s;
	stream_set_owner(s, &owner, w);
}

static enum step root_step(struct task *t)
{
	struct world *w = CONTAINER(t, struct world, root);

	if (t->at == 0) {
		connect_tls(&w->connect, t, "127.0.0.1", listener_port(w->listener), w->client);
		return task_wait(t, 1);
	}
	if (task_is_running(&w->connect.task))
		return task_wait(t, 1);
	if (w->connect.task.err)
		loop_stop(w->loop);
	else
		stream_write(w->connect.ret, SLICE("hello"));
	return task_done(t, w->connect.task.err);
}

static const struct task_kind root_kind = {
	.name = "root",
	.places = (const char *const[]) { "start", "connecting" },
	.place_count = 2,
	.step = root_step,
};

static void on_timeout(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for %d ms", WAIT_MS);
}

static void test_a_stream_of_a_client_without_certificate_is_served(void **state)
{
	struct world w = { .loop = loop_new(1) };
	struct tls_identity *server = new_server();
	char why[TASK_WHY_BYTES], found[TLS_NOTICE_BYTES_MAX + 1];

	(void)state;
	tls_identity_add_notice(server, "notice1", 1);
	w.client = tls_identity_new_client(TLS_TRUST_ANYBODY, "127.0.0.1", NULL);
	assert_int_equal(listener_open_tls(w.loop, "127.0.0.1", 0, server, on_accept, &w,
					   &w.listener, why),
			 OK);
	timer_set(&w.timeout, w.loop, loop_now_ms(w.loop) + WAIT_MS, on_timeout);
	task_start_root(&w.root, &root_kind, w.loop);
	loop_run(w.loop);
	assert_int_equal(w.connect.task.err, OK);
	assert_true(slice_equal(buf_slice(&w.said), SLICE("hello")));
	assert_int_equal(stream_peer_notice(w.connect.ret, "notice", found, sizeof(found)), OK);
	assert_string_equal(found, "notice1");
	assert_int_equal(stream_peer_notice(w.served, "", found, sizeof(found)), ERR_NOT_FOUND);
	timer_clear(&w.timeout);
	stream_close(w.connect.ret);
	stream_close(w.served);
	listener_close(w.listener);
	loop_run(w.loop);
	loop_free(w.loop);
	buf_done(&w.said);
	tls_identity_free(server);
	tls_identity_free(w.client);
}

static void test_a_client_says_why_it_does_not_believe(void **state)
{
	static const uint8_t fingerprint[TLS_FINGERPRINT_BYTES] = { 0 };
	struct world w = { .loop = loop_new(1) };
	struct tls_identity *server = new_server();
	char why[TASK_WHY_BYTES];

	(void)state;
	w.client = tls_identity_new_client(TLS_TRUST_FINGERPRINT, "relay.example", fingerprint);
	assert_int_equal(listener_open_tls(w.loop, "127.0.0.1", 0, server, on_accept, &w,
					   &w.listener, why),
			 OK);
	timer_set(&w.timeout, w.loop, loop_now_ms(w.loop) + WAIT_MS, on_timeout);
	task_start_root(&w.root, &root_kind, w.loop);
	loop_run(w.loop);
	assert_int_equal(w.connect.task.err, ERR_DENIED);
	assert_non_null(strstr(w.connect.task.why, "its certificate is not one that is believed"));
	assert_null(w.served);
	timer_clear(&w.timeout);
	listener_close(w.listener);
	loop_run(w.loop);
	loop_free(w.loop);
	tls_identity_free(server);
	tls_identity_free(w.client);
}

/* What a client says of our server, which asks it for a certificate that we believe; and what the
 * client is told with the first bytes. */
static enum err meet_with(struct slice believed, struct slice shown, struct slice shown_key,
			  enum err *ret_read)
{
	struct tls_identity *server = new_server();
	struct tls_identity *client =
		tls_identity_new_client(TLS_TRUST_AUTHORITIES, "192.0.2.7", NULL);
	char why[TASK_WHY_BYTES];
	uint8_t room[16];
	size_t size;
	struct pair p;

	assert_int_equal(tls_identity_ask_clients(server, buf_slice(&certificate), why), OK);
	assert_int_equal(tls_identity_believe(client, believed, why), OK);
	if (shown.size > 0)
		assert_int_equal(tls_identity_show(client, shown, shown_key, why), OK);
	open_pair(&p, server, client);
	enum err err = p.client_err;
	assert_int_equal(tls_verdict(p.client) != NULL, err == ERR_DENIED);
	*ret_read = err ? ERR_BUSY : tls_read(p.client, room, sizeof(room), &size);
	close_pair(&p, server, client);
	return err;
}

static void test_a_client_believes_a_file_and_shows_a_certificate(void **state)
{
	const struct slice own = buf_slice(&certificate), own_key = buf_slice(&key);
	struct buf other, other_key;
	enum err read;

	(void)state;
	buf_init(&other);
	buf_init(&other_key);
	assert_int_equal(tls_certificate_make(hosts, 2, &other, &other_key), OK);
	assert_int_equal(meet_with(own, (struct slice) { 0 }, own_key, &read), OK);
	assert_int_equal(read, ERR_BUSY); /* nothing comes yet */
	assert_int_equal(meet_with(own, own, own_key, &read), OK);
	assert_int_equal(read, ERR_DENIED); /* it is one for servers */
	assert_int_equal(meet_with(own, buf_slice(&other), buf_slice(&other_key), &read), OK);
	assert_int_equal(read, ERR_DENIED); /* with TLS 1.3 it learns that late */
	assert_int_equal(meet_with(buf_slice(&other), own, own_key, &read), ERR_DENIED);
	buf_done(&other);
	buf_done(&other_key);
}

static void test_wrong_files_of_clients_are_refused(void **state)
{
	struct tls_identity *client =
		tls_identity_new_client(TLS_TRUST_AUTHORITIES, "relay.example", NULL);
	static uint8_t zeros[TLS_PEM_BYTES_MAX + 1];
	const struct slice too_big = { zeros, sizeof(zeros) };
	char why[TASK_WHY_BYTES];

	(void)state;
	assert_int_equal(tls_identity_believe(client, SLICE("none"), why), ERR_INVALID);
	assert_int_equal(tls_identity_believe(client, too_big, why), ERR_INVALID);
	assert_int_equal(tls_identity_show(client, SLICE("none"), buf_slice(&key), why),
			 ERR_INVALID);
	assert_int_equal(tls_identity_show(client, buf_slice(&certificate), SLICE("none"), why),
			 ERR_INVALID);
	tls_identity_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_client_believes_a_file_and_shows_a_certificate),
		cmocka_unit_test(test_wrong_files_of_clients_are_refused),
		cmocka_unit_test(test_a_client_may_believe_one_certificate),
		cmocka_unit_test(test_a_client_may_believe_anybody_for_tests),
		cmocka_unit_test(test_authorities_decide_and_the_name_must_be_right),
		cmocka_unit_test(test_a_certificate_fits_its_hosts),
		cmocka_unit_test(test_wrong_files_are_refused_with_a_reason),
		cmocka_unit_test(test_clients_that_are_asked_may_have_no_certificate),
		cmocka_unit_test(test_a_notice_comes_with_the_handshake),
		cmocka_unit_test(test_a_stream_of_a_client_without_certificate_is_served),
		cmocka_unit_test(test_a_client_says_why_it_does_not_believe),
	};

	return cmocka_run_group_tests(tests, make_once, forget);
}
