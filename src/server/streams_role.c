/* A streams process: an agent, and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "buckets/hedge.h"
#include "buckets/sealed.h"
#include "loop/stop.h"
#include "server/bucket_numbers.h"
#include "server/kafka_tls.h"
#include "server/key_file.h"
#include "server/peer_identity.h"
#include "server/process.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/flush_budget.h"
#include "streams/agent/health.h"
#include "streams/catalog/catalog.h"

struct streams {
	int number; /* of --agents; 1 is the first */
	struct loop *loop;
	struct agent *agent;
	struct task task; /* waits for the agent to stop */
	struct agent_stop stop;
	struct kafka_tls tls;
	struct role_page *page;
	bool is_serving, is_failed;
	char why[READINESS_WHY_BYTES]; /* it does not serve */
};

enum { STREAMS_DRAIN_MS = 8000 };

static void on_serving(void *context, bool is_serving, const char *why)
{
	struct streams *s = context;

	s->is_serving = is_serving;
	snprintf(s->why, sizeof(s->why), "%s", is_serving ? "" : why);
	if (is_serving) {
		log_info("serves Kafka");
		supervisor_tell_ready("serves Kafka");
	} else {
		log_warn("does not serve Kafka: %s", why);
		supervisor_tell_status(why);
	}
}

static void on_fatal(void *context, enum err err, const char *why)
{
	struct streams *s = context;

	(void)err;
	log_error("%s", why);
	supervisor_tell_fatal(why);
	s->is_failed = true;
	loop_stop(s->loop);
}

static void on_files(void *context, struct tls_identity *identity, const struct jwt_keys *keys)
{
	struct streams *s = context;

	if (s->agent)
		agent_set_identity(s->agent, identity, keys);
}

enum { STREAMS_DRAIN, STREAMS_DRAINED };

static enum step streams_step(struct task *t)
{
	struct streams *s = CONTAINER(t, struct streams, task);

	switch (t->at) {
	case STREAMS_DRAIN:
		agent_stop(&s->stop, t, s->agent);
		task_set_deadline(&s->stop.task, loop_now_ms(s->loop) + STREAMS_DRAIN_MS);
		return task_wait(t, STREAMS_DRAINED);
	case STREAMS_DRAINED:
		agent_free(s->agent);
		kafka_tls_stop(&s->tls);
		s->agent = NULL; /* the loop ends by itself once the last answers have left */
		return task_done(t, OK);
	}
	abort();
}

static const char *const streams_places[] = { "drain", "drained" };
static const struct task_kind streams_kind = {
	.name = "streams",
	.places = streams_places,
	.place_count = 2,
	.step = streams_step,
};

static void on_stop(void *context)
{
	struct streams *s = context;

	if (s->agent && !task_is_running(&s->task)) {
		log_info("stopping");
		role_page_close(&s->page);
		task_start_root(&s->task, &streams_kind, s->loop);
	}
}

static void fill_controls(const struct options *o, struct control_place *ret)
{
	for (size_t i = 0; i < o->control_count; i++) {
		const struct control_option *control = &o->controls[i];

		ret[i] = control->path[0]
				 ? (struct control_place) { .path = control->path }
				 : (struct control_place) { .host = control->address.host,
							    .port = control->address.port };
	}
}

static void write_numbers(void *context, struct exposition *e)
{
	struct streams *s = context;

	agent_numbers_write(s->agent, e);
	bucket_numbers_write(e, process_name(process_of_agent(s->number)), &s->agent->config.bucket,
			     1);
}

static void check(void *context, struct readiness *r)
{
	const struct streams *s = context;
	const char *name = process_name(process_of_agent(s->number));

	readiness_add(r, name, "kafka", s->is_serving,
		      s->why[0] ? s->why : "control has not answered yet");
	readiness_add(r, name, "bucket", s->agent && !health_is_sick(s->agent),
		      "the bucket does not do what it is asked for");
}

_Static_assert((int)OPTION_AGENTS_MAX <= (int)CATALOG_AGENT_NUMBER_MAX, "agents can be numbered");

/* One budget for all agents of the node; but none waits longer than FLUSH_WAIT_MS_MAX. */
static int share_of_puts(const struct options *o)
{
	int share = o->puts_per_s / o->agent_count;

	return share > FLUSH_PUTS_PER_S_MIN ? share : FLUSH_PUTS_PER_S_MIN;
}

/* All that the options say. */
static struct agent_config config_of(const struct options *o, struct streams *s)
{
	uint16_t after = (uint16_t)(s->number - 1); /* ports of agents follow each other */

	return (struct agent_config) {
		.kafka_host = o->kafka.host,
		.kafka_also = o->values[OPTION_KAFKA_ALSO],
		.kafka_port = (uint16_t)(o->kafka.port + after),
		.advertise_host = o->advertise.host,
		.advertise_port = (uint16_t)(o->advertise.port + after),
		.number = s->number,
		.site = o->values[OPTION_SITE],
		.blocks_host = o->blocks.host[0] ? o->blocks_listen : NULL,
		.blocks_advertise = o->blocks.host,
		.blocks_port = (uint16_t)(o->blocks.port + after),
		.control_count = o->control_count,
		.kafka_identity = s->tls.identity,
		.is_open = strcmp(o->values[OPTION_KAFKA_OPEN], "yes") == 0,
		.session_ms = o->kafka_reauth_ms,
		.token_keys = s->tls.keys,
		.token_issuer = o->values[OPTION_KAFKA_TOKEN_ISSUER],
		.token_audience = o->values[OPTION_KAFKA_TOKEN_AUDIENCE],
		.needs_sign_in = o->values[OPTION_KAFKA_CLIENT_CA][0] || s->tls.keys,
		.default_partitions = o->default_partitions,
		.no_auto_create = !o->auto_creates_topics,
		.no_group_lag = !o->tells_lag,
		.puts_per_s = share_of_puts(o),
		.on_serving = on_serving,
		.on_fatal = on_fatal,
		.context = s,
	};
}

int streams_role_main(int number, char **argv)
{
	static struct options options;
	static struct control_place controls[OPTION_CONTROLS_MAX];
	static struct keyring keys;
	static struct peer_identity identity;
	static struct streams s; /* whatever there is when it gives up */
	static struct bucket *bucket;
	char why[OPTION_WHY_BYTES];

	memory_keep_freed();
	s.number = number;
	log_set_role(process_name(process_of_agent(number)));
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	if (!err && options.is_sealed)
		err = role_take_keys(&keys, why);
	if (!err)
		err = bucket_open(options.values[OPTION_BUCKET], &bucket, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	bucket = hedge_bucket_if_far(bucket);
	if (options.is_sealed)
		bucket = sealed_bucket_new(bucket, keyring_get(&keys, KEY_DATA));
	if (options.is_sealed)
		peer_identity_init(&identity, &keys);
	fill_controls(&options, controls);
	s.loop = loop_new(0);
	stop_install(s.loop, on_stop, &s);
	if (kafka_tls_open(&s.tls, s.loop, &options, why)) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	s.tls.on_change = on_files;
	s.tls.context = &s;
	struct agent_config config = config_of(&options, &s);
	config.controls = controls;
	config.identity = identity.asks;
	config.site_identity = identity.mates;
	config.bucket = bucket;
	config.keys = options.is_sealed ? &keys : NULL;
	s.agent = agent_new(s.loop, &config);
	s.page = role_page_open(&(struct role_page_config) { .loop = s.loop,
							     .options = &options,
							     .process = process_of_agent(number),
							     .write = write_numbers,
							     .check = check,
							     .context = &s });
	loop_run(s.loop);
	if (s.is_failed)
		return EXIT_CONFIG;
	hedge_finish(bucket, s.loop);
	loop_free(s.loop);
	bucket_close(bucket);
	kafka_tls_done(&s.tls);
	peer_identity_done(&identity);
	keyring_done(&keys);
	return 0;
}
