/* The relay process.  It serves as soon as its ports are open, whether the realm is there or not:
 *
 *	announce --> announced --> rest, announce again
 *	        \--> refused, or nobody there --> rest (longer each time), announce again
 *
 * An announcement that is the same changes nothing in the realm; it is repeated for the case that
 * the realm lost it. */
#include "server/relay_role.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/http_client.h"
#include "loop/stop.h"
#include "loop/timer.h"
#include "mesh/relay/relay_mates.h"
#include "mesh/relay/relay_port.h"
#include "mesh/relay/stun_server.h"
#include "server/mesh_numbers.h"
#include "server/relay_admission.h"
#include "server/relay_keys.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "server/up_options.h"
#include "wire/crypto/wipe.h"

enum {
	ANNOUNCE_CALL_MS = 5000,
	HTTP_OK_FIRST = 200,
	HTTP_OK_LAST = 299,
	HTTP_FORBIDDEN = 403,
	HTTP_CONFLICT = 409,
	REGION_COUNT = RELAY_REGION_MAX - RELAY_REGION_MIN + 1,
	MESH_KEY_DIGITS = 2 * MESH_KEY_BYTES,
	RATE_BURST_BYTES_MIN = 128 * 1024,
};

struct relay_role {
	const struct options *options;
	struct loop *loop;
	struct role_page *page; /* its numbers */
	struct state state;
	char socket[OPTION_VALUE_BYTES_MAX + 32];
	char host[OPTION_HOST_BYTES]; /* as which it is announced */
	bool is_elsewhere;	      /* the realm: an administrator announces the relay */
	struct http_place place;
	struct relay_keys keys;
	struct relay_admissions *admissions;
	struct relay_port *port;
	struct stun_server *stun, *second_stun; /* the second may be NULL */
	bool has_mesh_key;
	struct mesh_key mesh_key;
	struct relay_mate mate_list[RELAY_MATES_MAX];
	size_t mate_count;
	struct relay_mates *mates; /* NULL: none */
	struct task task;
	struct http_call call;
	struct sleep sleep;
	uint64_t again_ms;
	int region, tried;
	bool is_announced, is_removed, has_complained;
};

/* --- what the realm is told ------------------------------------------------------------------- */
/* A number of this family, "none" where the host is one of the other, "" where it is a name. */
static const char *number_of(const char *host, int family)
{
	uint8_t ip[16];
	bool is_ipv4 = inet_pton(AF_INET, host, ip) == 1,
	     is_ipv6 = inet_pton(AF_INET6, host, ip) == 1;

	if (!is_ipv4 && !is_ipv6)
		return "";
	return is_ipv4 == (family == AF_INET) ? host : "none";
}

static void set(json_t *json, const char *name, json_t *value)
{
	if (json_object_set_new(json, name, value))
		abort(); /* memory, or a name that is none */
}

static char *announcement(const struct relay_role *r)
{
	char certificate[sizeof("sha256-raw:") + 2 * TLS_FINGERPRINT_BYTES] = "";
	json_t *json = json_object();

	if (r->keys.is_own) {
		memcpy(certificate, "sha256-raw:", 12);
		hex_encode(certificate + 11,
			   (struct slice) { r->keys.fingerprint, TLS_FINGERPRINT_BYTES });
	}
	set(json, "region", json_integer(r->region));
	set(json, "is_said", json_true());
	set(json, "is_shared", json_boolean(r->options->region != 0));
	set(json, "code", json_string(r->options->values[OPTION_NAME]));
	set(json, "title", json_string(r->options->values[OPTION_NAME]));
	set(json, "host", json_string(r->host));
	set(json, "ipv4", json_string(number_of(r->host, AF_INET)));
	set(json, "ipv6", json_string(number_of(r->host, AF_INET6)));
	set(json, "cert_name", json_string(certificate));
	set(json, "relay_port", json_integer(relay_port_number(r->port)));
	set(json, "stun_port", json_integer(stun_server_port(r->stun)));
	set(json, "second_stun_port",
	    json_integer(r->second_stun ? stun_server_port(r->second_stun) : 0));
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

/* --- announcing ------------------------------------------------------------------------------- */
enum { ROLE_START, ROLE_ANSWERED, ROLE_RESTED, ROLE_PLACES };
static const char *const role_places[] = { "start", "announced", "rested" };

static enum step announce(struct relay_role *r)
{
	char target[OPTION_VALUE_BYTES_MAX + 16];
	char *body = announcement(r);

	snprintf(target, sizeof(target), "/v1/relays/%s", r->options->values[OPTION_NAME]);
	http_call_start(&r->call, &r->task, r->socket, "PUT", target, slice_from(body));
	memory_free(body);
	task_set_deadline(&r->call.task, loop_now_ms(r->loop) + ANNOUNCE_CALL_MS);
	return task_wait(&r->task, ROLE_ANSWERED);
}

static enum step rest(struct relay_role *r, uint64_t ms)
{
	sleep_start(&r->sleep, &r->task, loop_now_ms(r->loop) + ms);
	return task_wait(&r->task, ROLE_RESTED);
}

/* Not announced: the map of the realm does not have it, or has it as it was. */
static enum step try_again(struct relay_role *r, const char *why)
{
	/* It may have been started with us. */
	bool is_early = r->again_ms < RELAY_ANNOUNCE_EARLY_MS;
	if (!r->has_complained && !r->is_announced)
		log_write(is_early ? LOG_DEBUG : LOG_INFO,
			  "the realm was not told of this relay yet: %s", why);
	r->has_complained |= !is_early;
	r->again_ms = r->again_ms ? 2 * r->again_ms : RELAY_ANNOUNCE_AGAIN_MS;
	if (r->again_ms > RELAY_ANNOUNCE_AGAIN_MS_MAX)
		r->again_ms = RELAY_ANNOUNCE_AGAIN_MS_MAX;
	return rest(r, r->again_ms);
}

/* Another relay has the region: to look for one that is free means to ask for one after the other,
 * all at once. */
static enum step try_next_region(struct relay_role *r)
{
	if (r->options->region)
		return try_again(r, "the region is that of a relay that shares it with nobody");
	if (++r->region > RELAY_REGION_MAX)
		r->region = RELAY_REGION_MIN;
	if (++r->tried % REGION_COUNT != 0)
		return announce(r);
	return try_again(r, "all regions are taken");
}

/* Machines leave, since it is no more in the map; whoever removed it may change their mind. */
static enum step rest_removed(struct relay_role *r)
{
	if (!r->is_removed)
		log_info("this relay was removed from the mesh: `hanse relay add %s` takes it back",
			 r->options->values[OPTION_NAME]);
	r->is_removed = true;
	r->is_announced = false;
	return rest(r, RELAY_ANNOUNCE_AGAIN_MS_MAX);
}

static enum step answered(struct relay_role *r)
{
	enum err err = r->call.task.err;
	int status = r->call.status;
	char why[64];

	buf_done(&r->call.body);
	if (!err && status == HTTP_CONFLICT)
		return try_next_region(r);
	if (!err && status == HTTP_FORBIDDEN)
		return rest_removed(r);
	if (err || status < HTTP_OK_FIRST || status > HTTP_OK_LAST) {
		snprintf(why, sizeof(why), err ? "nobody answers" : "it says %d", status);
		return try_again(r, why);
	}
	if (!r->is_announced)
		log_info("region %d of the realm", r->region);
	r->is_announced = true;
	r->is_removed = false;
	r->again_ms = 0;
	r->tried = 0;
	return rest(r, RELAY_ANNOUNCE_MS);
}

static enum step role_step(struct task *t)
{
	struct relay_role *r = CONTAINER(t, struct relay_role, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		if (t->at == ROLE_ANSWERED)
			buf_done(&r->call.body);
		return task_done(t, ERR_CANCELED);
	}
	if (r->is_elsewhere)
		return rest(r, RELAY_ANNOUNCE_MS);
	switch (t->at) {
	case ROLE_START:
	case ROLE_RESTED:
		return announce(r);
	case ROLE_ANSWERED:
		return answered(r);
	}
	abort();
}

/* The loop ends by itself once clients were told. */
static void close_ports(struct task *t)
{
	struct relay_role *r = CONTAINER(t, struct relay_role, task);

	if (r->mates)
		relay_mates_free(r->mates);
	relay_port_close(r->port);
	relay_admissions_close(r->admissions);
	stun_server_close(r->stun);
	if (r->second_stun)
		stun_server_close(r->second_stun);
}

static const struct task_kind role_kind = {
	.name = "relay",
	.places = role_places,
	.place_count = ROLE_PLACES,
	.step = role_step,
	.on_end = close_ports,
};

/* --- life ------------------------------------------------------------------------------------- */
static void on_stop(void *context)
{
	struct relay_role *r = context;

	log_info("stopping");
	role_page_close(&r->page);
	task_cancel(&r->task);
}

/* Machines with other names begin the search for a region elsewhere. */
static int first_region(const char *name)
{
	return RELAY_REGION_MIN + (int)(hash_content(slice_from(name)).low % REGION_COUNT);
}

static enum err open_stun(struct relay_role *r, char why[OPTION_WHY_BYTES])
{
	const struct address *at = &r->options->stun_listen;
	struct endpoint local;

	enum err err = endpoint_parse_ip(slice_from(at->host), 0, &local);
	if (err) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--stun %.200s: the host is an address of this "
			 "machine, or 0.0.0.0",
			 r->options->values[OPTION_STUN]);
		return err;
	}
	bool is_any = strcmp(at->host, "0.0.0.0") == 0 || strcmp(at->host, "::") == 0;
	err = stun_server_open(r->loop, at->port, is_any ? NULL : local.ip, &r->stun);
	if (err) {
		snprintf(why, OPTION_WHY_BYTES, "STUN cannot listen on UDP %.200s: %s",
			 r->options->values[OPTION_STUN],
			 err == ERR_BUSY ? "another program does" : err_name(err));
		return err;
	}
	uint16_t second = r->options->second_stun_port;
	if (second && stun_server_open(r->loop, second, is_any ? NULL : local.ip, &r->second_stun))
		log_info("UDP port %u is taken: STUN does without a second one", second);
	return OK;
}

/* What a client may send at once after a pause: a second's worth, and one frame in any case. */
static uint64_t burst_of(uint64_t rate)
{
	return rate > RATE_BURST_BYTES_MIN ? rate : RATE_BURST_BYTES_MIN;
}

static enum err open_relay(struct relay_role *r, char why[OPTION_WHY_BYTES])
{
	char detail[TASK_WHY_BYTES];
	struct relay_port_config config = {
		.host = r->options->relay_listen.host,
		.port = r->options->relay_listen.port,
		.identity = r->keys.identity,
		.name = r->options->values[OPTION_NAME],
		.secret = r->keys.secret,
		.has_mesh_key = r->has_mesh_key,
		.mesh_key = r->mesh_key,
		.bytes_per_second = r->options->relay_rate,
		.bytes_burst = burst_of(r->options->relay_rate),
		.context = r->admissions,
		.on_admission = relay_admissions_ask,
		.on_admission_void = relay_admissions_void,
	};

	/* 0.0.0.0 is said and every address is meant, as long as there is IPv6. */
	bool is_any = strcmp(config.host, "0.0.0.0") == 0;
	if (is_any)
		config.host = "::";
	enum err err = relay_port_open(r->loop, &config, &r->port, detail);
	if (err && err != ERR_BUSY && is_any) {
		config.host = "0.0.0.0";
		err = relay_port_open(r->loop, &config, &r->port, detail);
	}
	crypto_wipe(&config.secret, sizeof(config.secret));
	crypto_wipe(&config.mesh_key, sizeof(config.mesh_key));
	if (err)
		snprintf(why, OPTION_WHY_BYTES, "the relay: %s", detail);
	else if (r->mate_count > 0)
		r->mates = relay_mates_new(r->loop, r->port, &r->keys.secret, &r->mesh_key,
					   r->mate_list, r->mate_count);
	return err;
}

/* --relay-mesh-key: the secret of a region. */
static enum err read_mesh_key(struct relay_role *r, char why[OPTION_WHY_BYTES])
{
	const char *path = r->options->values[OPTION_RELAY_MESH_KEY];
	struct buf text = { 0 };

	if (!path[0])
		return OK;
	enum err err = relay_keys_read_file(path, true, &text, why);
	struct slice rest = buf_slice(&text);
	struct slice hex = slice_cut(&rest, '\n');
	if (!err && (hex.size != MESH_KEY_DIGITS ||
		     hex_decode(hex, r->mesh_key.bytes, sizeof(r->mesh_key.bytes)) ||
		     mesh_key_is_zero(&r->mesh_key))) {
		snprintf(why, OPTION_WHY_BYTES,
			 "--relay-mesh-key %.200s: its first line has %d "
			 "hexadecimal digits",
			 path, MESH_KEY_DIGITS);
		err = ERR_INVALID;
	}
	if (text.data)
		crypto_wipe(text.data, text.capacity);
	buf_done(&text);
	r->has_mesh_key = err == OK;
	return err;
}

static enum err read_mates(struct relay_role *r, char why[OPTION_WHY_BYTES])
{
	char list[OPTION_VALUE_BYTES_MAX], *rest = list;

	memcpy(list, r->options->values[OPTION_RELAY_MATES], sizeof(list));
	if (!list[0])
		return OK;
	for (char *mate = strsep(&rest, ","); mate; mate = strsep(&rest, ",")) {
		if (r->mate_count < RELAY_MATES_MAX &&
		    relay_mate_parse(mate, &r->mate_list[r->mate_count]) == OK) {
			r->mate_count++;
			continue;
		}
		snprintf(why, OPTION_WHY_BYTES,
			 "--relay-mates %.200s: up to %d of HOST:PORT or HOST:PORT=HEX, the "
			 "SHA-256 of a certificate",
			 mate, RELAY_MATES_MAX);
		return ERR_INVALID;
	}
	return OK;
}

/* What an administrator tells the realm, in one word that `hanse relay add` takes. */
static void say_word(const struct relay_role *r)
{
	char hex[2 * TLS_FINGERPRINT_BYTES + 1] = "-", text[STATUS_LINE_BYTES_MAX];
	char second[8] = "";

	if (r->keys.is_own)
		hex_encode(hex, (struct slice) { r->keys.fingerprint, TLS_FINGERPRINT_BYTES });
	if (r->second_stun)
		snprintf(second, sizeof(second), "+%u", stun_server_port(r->second_stun));
	snprintf(text, sizeof(text),
		 "Run this where control runs, so that machines hear of this relay: "
		 "hanse relay add %.63s,%s,%u,%u%s,%s,%d",
		 r->options->values[OPTION_NAME], r->host, relay_port_number(r->port),
		 stun_server_port(r->stun), second, hex, r->options->region);
	supervisor_tell_status(text);
}

static void say_ready(const struct relay_role *r)
{
	char text[OPTION_HOST_BYTES + 32];

	snprintf(text, sizeof(text), "%s port %u", r->host, relay_port_number(r->port));
	log_info("relays for machines at %s, STUN at UDP port %u", text, stun_server_port(r->stun));
	supervisor_tell_ready(text);
	if (r->is_elsewhere)
		say_word(r);
}

static enum err start(struct relay_role *r, char why[OPTION_WHY_BYTES])
{
	const struct options *o = r->options;

	snprintf(r->host, sizeof(r->host), "%.255s",
		 o->address.host[0] ? o->address.host : "127.0.0.1");
	r->region = o->region ? o->region : first_region(o->values[OPTION_NAME]);
	up_options_socket(o, "realm.sock", r->socket);
	r->is_elsewhere = o->values[OPTION_LOGIN_SERVER][0] && !o->roles[ROLE_REALM];
	if (r->is_elsewhere && http_place_parse(o->values[OPTION_LOGIN_SERVER], &r->place)) {
		snprintf(why, OPTION_WHY_BYTES, "--login-server %.200s: HOST[:PORT] after http://",
			 o->values[OPTION_LOGIN_SERVER]);
		return ERR_INVALID;
	}
	enum err err = state_open(&r->state, o->values[OPTION_STATE], false, why);
	if (!err)
		err = relay_keys_load(&r->state, r->host, o->values[OPTION_CERTIFICATE],
				      o->values[OPTION_CERTIFICATE_KEY], &r->keys, why);
	if (!err)
		err = read_mesh_key(r, why);
	if (!err)
		err = read_mates(r, why);
	if (err)
		return err;
	r->loop = loop_new(0);
	r->admissions = relay_admissions_new(r->loop, &r->state, r->socket,
					     r->is_elsewhere ? &r->place : NULL);
	err = open_stun(r, why);
	return err ? err : open_relay(r, why);
}

static void write_numbers(void *context, struct exposition *e)
{
	const struct relay_role *r = context;
	struct relay_counts counts = relay_port_count(r->port);

	relay_numbers_write(&counts, e);
}

int relay_role_main(char **argv)
{
	static struct options options = { .command = OPTIONS_UP };
	static struct relay_role r; /* whatever there is when it gives up */
	char why[OPTION_WHY_BYTES];

	log_set_role("relay");
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	r.options = &options;
	if (!err)
		err = start(&r, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	stop_install(r.loop, on_stop, &r);
	r.page = role_page_open(&(struct role_page_config) { .loop = r.loop,
							     .options = &options,
							     .process = ROLE_RELAY,
							     .write = write_numbers,
							     .context = &r });
	say_ready(&r);
	task_start_root(&r.task, &role_kind, r.loop);
	loop_run(r.loop);
	loop_free(r.loop);
	relay_keys_done(&r.keys);
	crypto_wipe(&r.mesh_key, sizeof(r.mesh_key));
	state_close(&r.state);
	return 0;
}
