#include "server/realm_role.h"
#include "server/bucket_numbers.h"
#include "server/control_numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/stop.h"
#include "server/key_file.h"
#include "server/relay_keys.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "server/up_options.h"
#include "wire/crypto/wipe.h"
#include "wire/join_key.h"

enum { PEER_PORT_DISTANCE = REALM_PEER_PORT_DEFAULT - REALM_PORT_DEFAULT };

/* --- what the leadership and the realm tell ----------------------------------------------------
 */

static void on_leading(void *context)
{
	struct realm_role *role = context;

	stream_pipes_close(&role->pipes);
	realm_forward_lead(&role->forwards);
	realm_on_leading(role->realm);
}

static void on_lost(void *context, const char *why)
{
	struct realm_role *role = context;

	(void)why;
	realm_on_lost(role->realm);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	(void)context; /* nobody follows but nodes that read the journal themselves */
	(void)index;
	(void)record;
}

static void tell_ready(struct realm_role *role, const char *text)
{
	if (role->is_told)
		return;
	role->is_told = true;
	supervisor_tell_ready(text);
}

/* Clients hold connections to a leader that is gone: they come again. */
static void on_leader(void *context, const char *address)
{
	struct realm_role *role = context;

	if (strcmp(role->leader, address) == 0)
		return;
	snprintf(role->leader, sizeof(role->leader), "%s", address);
	stream_pipes_close(&role->pipes);
	if (address[0])
		tell_ready(role, "stands by");
	realm_forward_set_leader(&role->forwards, address[0]);
}

bool realm_role_join_key(const struct realm_role *role, const char *secret, char *ret, size_t size)
{
	struct join_key key = { .server = realm_public_key(role->realm) };
	char text[JOIN_KEY_TEXT_BYTES];
	size_t count;
	const char *const *urls = realm_urls(role->realm, &count);

	for (size_t i = 0; i < count && key.url_count < JOIN_KEY_URLS_MAX; i++)
		if (strlen(urls[i]) <= JOIN_KEY_URL_BYTES_MAX)
			snprintf(key.urls[key.url_count++], sizeof(key.urls[0]), "%s", urls[i]);
	snprintf(key.secret, sizeof(key.secret), "%s", secret);
	enum err err = realm_is_serving(role->realm) ? join_key_text(&key, text) : ERR_UNAVAILABLE;
	crypto_wipe(&key, sizeof(key));
	if (!err)
		snprintf(ret, size, "%s", text);
	crypto_wipe(text, sizeof(text));
	return !err;
}

/* A new realm prints how the next machine joins it. */
static void on_first_key(struct operation *o, enum err err)
{
	struct key_create *k = CONTAINER(o, struct key_create, operation);
	struct realm_role *role = o->context;
	char text[JOIN_KEY_TEXT_BYTES] = "";

	if (err || !realm_role_join_key(role, k->secret, text, sizeof(text)))
		snprintf(text, sizeof(text), "serves");
	tell_ready(role, text);
	crypto_wipe(k->secret, sizeof(k->secret));
	crypto_wipe(text, sizeof(text));
}

static void on_ready(void *context, bool is_new)
{
	struct realm_role *role = context;

	if (!is_new || role->is_told) {
		tell_ready(role, "serves");
		return;
	}
	struct key_create *k = NEW(struct key_create);
	operation_init(&k->operation, role->realm);
	k->description = SLICE("printed when the realm was made");
	k->lifetime_s = REALM_FIRST_KEY_S;
	key_create_start(k, on_first_key, role);
}

/* --- doors -------------------------------------------------------------------------------------
 */

bool realm_role_leader(const struct realm_role *role, char host[OPTION_HOST_BYTES], uint16_t *port)
{
	if (role->leader[0] == '\0' ||
	    text_host_port(role->leader, host, OPTION_HOST_BYTES, port) ||
	    *port <= PEER_PORT_DISTANCE)
		return false;
	*port = (uint16_t)(*port - PEER_PORT_DISTANCE);
	return true;
}

static void on_client(void *context, struct stream *s)
{
	struct realm_role *role = context;
	char host[OPTION_HOST_BYTES];
	uint16_t port;

	if (realm_is_serving(role->realm))
		realm_accept(role->realm, s);
	else if (realm_role_leader(role, host, &port))
		stream_pipe_start(&role->pipes, s, host, port);
	else
		stream_close(s);
}

/* Another node of the realm passes on what an administrator asked it. */
static void on_server(void *context, struct http_exchange *e)
{
	struct realm_role *role = context;

	realm_forward_answer(&role->forwards, e);
}

/* Agents of streams have nothing to do here. */
static void on_agent(void *context, struct stream *s)
{
	(void)context;
	stream_close(s);
}

static struct heartbeat_answer on_heartbeat(void *context)
{
	struct realm_role *role = context;

	return leadership_answer(&role->leadership);
}

static enum err open_doors(struct realm_role *role, char why[TASK_WHY_BYTES])
{
	char path[OPTION_VALUE_BYTES_MAX + 32];
	const struct options *o = role->options;
	struct http_server_config admin = { .on_request = realm_admin_on_request, .context = role };

	up_options_socket(o, "realm.sock", path);
	enum err err = http_server_open_unix(role->loop, path, &admin, &role->admin, why);
	if (err)
		return err;
	if (role->tls)
		err = listener_open_both(role->loop, o->realm_listen.host, o->realm_listen.port,
					 role->tls, on_client, role, &role->clients, why);
	else
		err = listener_open_tcp(role->loop, o->realm_listen.host, o->realm_listen.port,
					on_client, role, &role->clients, why);
	if (err)
		return err;
	return peer_port_open(role->loop,
			      &(struct peer_port_config) {
				      .host = o->realm_listen.host,
				      .port = (uint16_t)(o->realm_listen.port + PEER_PORT_DISTANCE),
				      .identity = role->identity.listens ? &role->identity : NULL,
				      .node = role->address,
				      .ask = on_heartbeat,
				      .on_agent = on_agent,
				      .context = role,
			      },
			      &role->peers, why);
}

static void close_doors(struct realm_role *role)
{
	if (role->clients)
		listener_close(role->clients);
	if (role->admin)
		http_server_close(role->admin);
	if (role->peers)
		peer_port_close(role->peers);
	role->clients = NULL;
	role->admin = NULL;
	role->peers = NULL;
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static void begin(struct realm_role *role)
{
	leadership_init(&role->leadership, role->loop,
			&(struct leadership_config) {
				.buckets = role->buckets.list,
				.bucket_count = role->buckets.count,
				.buckets_text = role->options->values[OPTION_JOURNAL],
				.journal = REALM_JOURNAL,
				.cell_name = REALM_CELL,
				.schema = realm_schema,
				.schema_count = realm_schema_count,
				.address = role->address,
				.host = role->host,
				.asks = role->identity.asks,
				.context = role,
				.on_leading = on_leading,
				.on_lost = on_lost,
				.on_committed = on_committed,
				.on_leader = on_leader,
			});
	role->realm = realm_new(role->loop, &(struct realm_config) {
						    .leader = role->leadership.leader,
						    .address = role->address,
						    .url = role->url,
						    .domain = role->options->values[OPTION_DOMAIN],
						    .context = role,
						    .on_server = on_server,
						    .on_ready = on_ready,
					    });
	realm_forwards_init(&role->forwards, role);
	role->has_started = true;
}

static enum step give_up(struct realm_role *role, enum err err, const char *why)
{
	log_error("%s", why);
	if (err == ERR_DENIED)
		supervisor_tell_denied(why);
	else
		supervisor_tell_fatal(why);
	loop_stop(role->loop);
	return task_done(&role->task, ERR_INVALID);
}

enum { REALM_OPEN, REALM_OPENED, REALM_RUNNING, REALM_STOPPING };

static enum step pause_then_open(struct realm_role *role, uint64_t pause_ms)
{
	sleep_start(&role->sleep, &role->task, loop_now_ms(role->loop) + pause_ms);
	return task_wait(&role->task, REALM_OPEN);
}

static bool is_door_waited_for(struct realm_role *role)
{
	uint64_t now_ms = loop_now_ms(role->loop);

	if (role->busy_since_ms == 0)
		role->busy_since_ms = now_ms;
	return now_ms - role->busy_since_ms < REALM_DOOR_BUSY_MS;
}

static enum step opened(struct realm_role *role)
{
	enum err err = role->cluster.task.err;
	const char *cluster_why = role->cluster.task.why;
	char why[OPTION_WHY_BYTES];

	if (err == ERR_CONFLICT || err == ERR_UNAVAILABLE) {
		log_warn("the bucket cannot be opened yet: %s", cluster_why);
		return pause_then_open(role, leadership_pause_ms(&role->retry_ms));
	}
	if (err == ERR_NOT_FOUND && !role->options->may_create) {
		snprintf(why, sizeof(why),
			 "%.100s is empty, and the key is that of a cluster: is it the right "
			 "bucket?  `--new-cluster yes` makes a new cluster there",
			 role->options->values[OPTION_JOURNAL]);
		return give_up(role, ERR_INVALID, why);
	}
	if (err)
		return give_up(role, err, cluster_why[0] ? cluster_why : err_name(err));
	if (!role->has_started)
		begin(role);
	err = open_doors(role, why);
	if (err == ERR_BUSY && is_door_waited_for(role)) {
		close_doors(role);
		return pause_then_open(role, LEADERSHIP_RETRY_MS_MIN);
	}
	if (err)
		return give_up(role, ERR_INVALID, why);
	leadership_start(&role->leadership, &role->task);
	return task_wait(&role->task, REALM_RUNNING);
}

/* --- stopping ----------------------------------------------------------------------------------
 */

/* What clients were told last may still be on its way. */
static void note_clients(struct realm_role *role)
{
	struct realm_status status;

	realm_get_status(role->realm, &status);
	if (status.clients)
		role->lingers_until_ms = loop_now_ms(role->loop) + REALM_LINGER_MS;
}

static enum step stop(struct realm_role *role)
{
	struct task *t = &role->task;

	if (t->children > 0)
		return task_wait(t, REALM_STOPPING);
	close_doors(role);
	stream_pipes_close(&role->pipes);
	if (role->has_started && realm_forwards_close(&role->forwards) > 0) {
		sleep_start(&role->sleep, t, loop_now_ms(role->loop) + LEADERSHIP_RETRY_MS_MIN);
		return task_wait(t, REALM_STOPPING);
	}
	if (role->realm) {
		if (!role->realm_stop.realm) {
			note_clients(role);
			realm_stop(&role->realm_stop, t, role->realm);
			return task_wait(t, REALM_STOPPING);
		}
		realm_free(role->realm);
		role->realm = NULL;
	}
	if (role->has_started && !role->leadership_stop.leadership) {
		leadership_stop(&role->leadership_stop, t, &role->leadership);
		return task_wait(t, REALM_STOPPING);
	}
	if (role->pipes.count > 0 || loop_now_ms(role->loop) < role->lingers_until_ms) {
		sleep_start(&role->sleep, t, loop_now_ms(role->loop) + LEADERSHIP_RETRY_MS_MIN);
		return task_wait(t, REALM_STOPPING);
	}
	loop_stop(role->loop);
	return task_done(t, OK);
}

static enum step realm_step(struct task *t)
{
	struct realm_role *role = CONTAINER(t, struct realm_role, task);

	if (role->is_stopping)
		return stop(role);
	switch (t->at) {
	case REALM_OPEN:
		supervisor_tell_asking("the buckets");
		cluster_open(&role->cluster, t, role->buckets.list, role->buckets.count);
		role->cluster.keys = role->options->is_sealed ? &role->keys : NULL;
		role->cluster.must_exist = !role->options->may_create;
		return task_wait(t, REALM_OPENED);
	case REALM_OPENED:
		return opened(role);
	case REALM_RUNNING:
		return task_wait(t, REALM_RUNNING); /* until it is told to stop */
	}
	abort();
}

static void on_stop(void *context)
{
	struct realm_role *role = context;

	if (role->is_stopping || !task_is_running(&role->task))
		return;
	log_info("stopping");
	role_page_close(&role->page);
	role->is_stopping = true;
	if (task_is_running(&role->cluster.task))
		task_cancel(&role->cluster.task);
	if (task_is_running(&role->sleep.task))
		task_cancel(&role->sleep.task);
	leadership_quit(&role->leadership);
	task_wake(&role->task);
}

/* --- what it tells of itself -------------------------------------------------------------------
 */

static void write_numbers(void *context, struct exposition *e)
{
	const struct realm_role *role = context;

	bucket_numbers_write(e, "realm", role->buckets.list, role->buckets.count);
	leadership_numbers_write(e, "realm", &role->leadership);
}

static void check(void *context, struct readiness *r)
{
	const struct realm_role *role = context;
	const char *why;
	bool is_settled = leadership_is_settled(&role->leadership, &why);

	readiness_add(r, "realm", "journal", is_settled, why);
}

/* --- main --------------------------------------------------------------------------------------
 */

static const char *const places[] = { "open", "opened", "running", "stopping" };
static const struct task_kind realm_kind = {
	.name = "realm",
	.places = places,
	.place_count = 4,
	.step = realm_step,
};

/* How others reach this node, as machines and as nodes. */
static enum err find_addresses(struct realm_role *role, char why[OPTION_WHY_BYTES])
{
	const struct address *a = &role->options->address;
	bool is_v6 = strchr(a->host, ':');
	const char *form = is_v6 ? "[%s]:%u" : "%s:%u";

	if (a->host[0] == '\0') {
		snprintf(why, OPTION_WHY_BYTES,
			 "nothing says how others reach this machine: give --address HOST");
		return ERR_INVALID;
	}
	if (a->port > UINT16_MAX - PEER_PORT_DISTANCE ||
	    role->options->realm_listen.port > UINT16_MAX - PEER_PORT_DISTANCE) {
		snprintf(why, OPTION_WHY_BYTES, "the port of control leaves no room for the next");
		return ERR_INVALID;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(role->address, sizeof(role->address), form, a->host,
		 (unsigned)(a->port + PEER_PORT_DISTANCE));
	int used = snprintf(role->url, sizeof(role->url), role->tls ? "https://" : "http://");
	snprintf(role->url + used, sizeof(role->url) - (size_t)used, form, a->host,
		 (unsigned)a->port);
#pragma GCC diagnostic pop
	return OK;
}

int realm_role_main(char **argv)
{
	static struct options options = { .command = OPTIONS_UP };
	static struct realm_role role = { .options = &options,
					  .retry_ms = LEADERSHIP_RETRY_MS_MIN };
	char why[OPTION_WHY_BYTES];

	log_set_role("realm");
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	if (!err && options.values[OPTION_CERTIFICATE][0])
		err = relay_keys_read_identity(options.values[OPTION_CERTIFICATE],
					       options.values[OPTION_CERTIFICATE_KEY], &role.tls,
					       why);
	if (!err)
		err = find_addresses(&role, why);
	if (gethostname(role.host, sizeof(role.host)) < 0)
		role.host[0] = '\0';
	role.host[sizeof(role.host) - 1] = '\0';
	if (!err && options.is_sealed)
		err = role_take_keys(&role.keys, why);
	if (!err)
		err = journal_buckets_open(&role.buckets, options.values[OPTION_JOURNAL],
					   options.is_sealed ? &role.keys : NULL, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	if (options.is_sealed)
		peer_identity_init(&role.identity, &role.keys);
	role.loop = loop_new(0);
	stream_pipes_init(&role.pipes, role.loop);
	stop_install(role.loop, on_stop, &role);
	task_start_root(&role.task, &realm_kind, role.loop);
	role.page = role_page_open(&(struct role_page_config) { .loop = role.loop,
								.options = &options,
								.process = ROLE_REALM,
								.write = write_numbers,
								.check = check,
								.context = &role });
	loop_run(role.loop);
	if (role.task.err && !role.is_stopping && role.has_started)
		return EXIT_CONFIG; /* what it has is under way */
	int status = role.task.err && !role.is_stopping ? EXIT_CONFIG : 0;
	role_page_close(&role.page);
	journal_buckets_finish(&role.buckets, role.loop);
	loop_free(role.loop);
	journal_buckets_close(&role.buckets);
	if (role.tls)
		tls_identity_free(role.tls);
	peer_identity_done(&role.identity);
	keyring_done(&role.keys);
	return status;
}
