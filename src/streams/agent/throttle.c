#include "streams/agent/throttle.h"

#include "base/endian.h"
#include "kafka_messages.h"
#include "streams/catalog/quota.h"

static uint64_t take(struct request *r, enum quota_kind kind, double amount)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct slice user = quota_user(request_caller(r).principal),
		     client_id = r->header.client_id;
	struct quota_limit limit;

	if (!quota_find(cell, user, client_id, kind, &limit))
		return 0;
	return quotas_take(&r->agent->quotas, &limit, kind, user, client_id, amount,
			   loop_now_ms(r->agent->loop));
}

/* Who signs in is not yet known. */
static bool is_exempt(const struct request *r)
{
	return r->header.api_key == KAFKA_API_API_VERSIONS ||
	       r->header.api_key == KAFKA_API_SASL_HANDSHAKE ||
	       r->header.api_key == KAFKA_API_SASL_AUTHENTICATE;
}

uint64_t throttle_request(struct request *r)
{
	struct cell *cell = replica_cell(r->agent->replica);
	uint64_t wait_ms = 0, other_ms;

	if (!cell || is_exempt(r) || !quota_is_any(cell))
		return 0;
	if (r->used_bytes > 0 && r->header.api_key == KAFKA_API_PRODUCE)
		wait_ms = take(r, QUOTA_PRODUCER_BYTES, (double)r->used_bytes);
	else if (r->used_bytes > 0)
		wait_ms = take(r, QUOTA_CONSUMER_BYTES, (double)r->used_bytes);
	/* percent of a second of the thread are 10 ms each */
	other_ms = take(r, QUOTA_REQUEST_PERCENTAGE, (double)r->busy_us / 10000);
	return other_ms > wait_ms ? other_ms : wait_ms;
}

uint64_t throttle_connection(struct agent *agent, struct slice host)
{
	struct cell *cell = replica_cell(agent->replica);
	uint64_t now_ms = loop_now_ms(agent->loop);
	struct quota_limit limit;

	if (!cell || !quota_find_address(cell, host, &limit))
		return 0;
	uint64_t wait_ms = quotas_wait(&agent->connection_quotas, &limit, QUOTA_CONNECTIONS, host,
				       SLICE(""), now_ms);
	if (wait_ms == 0)
		(void)quotas_take(&agent->connection_quotas, &limit, QUOTA_CONNECTIONS, host,
				  SLICE(""), 1, now_ms);
	return wait_ms;
}

static bool begins_with_throttle(const struct request *r)
{
	const struct schema *s = r->api->response;
	int version = r->header.api_version;

	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];
		if (f->tag != SCHEMA_TAG_NONE || version < f->version_first ||
		    version > f->version_last)
			continue;
		return f->kind == SCHEMA_INT32 && strcmp(f->name, "throttle_time_ms") == 0;
	}
	return false;
}

void throttle_tell(const struct request *r, uint8_t *body, size_t size, uint64_t throttle_ms)
{
	if (throttle_ms > 0 && size >= sizeof(uint32_t) && begins_with_throttle(r))
		put_u32(body, (uint32_t)throttle_ms);
}

uint64_t throttle_told(const struct request *r, struct slice body)
{
	if (body.size < sizeof(uint32_t) || !begins_with_throttle(r))
		return 0;
	uint32_t told_ms = get_u32(body.data);
	return told_ms <= QUOTA_THROTTLE_MS_MAX ? told_ms : 0;
}
