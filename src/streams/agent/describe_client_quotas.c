/* DescribeClientQuotas: quotas of entities that fit a filter (catalog/quota.h). */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "streams/catalog/quota.h"
#include "wire/kafka/errors.h"

enum { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY }; /* Kafka's numbers */
enum { COMPONENTS_MAX = 3, ENTITY_PARTS = 2 };

struct filter {
	struct request *r;
	const struct kafka_describe_client_quotas_request_component *user, *client_id, *address;
	bool is_strict;
	struct kafka_describe_client_quotas_response response;
};

static int16_t refuse(struct filter *f, int16_t error, const char *message)
{
	f->response.error_code = error;
	f->response.error_message = slice_from(message);
	return error;
}

static int16_t take_filter(struct filter *f,
			   const struct kafka_describe_client_quotas_request *request)
{
	if (request->components_count > COMPONENTS_MAX)
		return refuse(f, KAFKA_INVALID_REQUEST, "an entity has a part twice");
	for (size_t i = 0; i < request->components_count; i++) {
		const struct kafka_describe_client_quotas_request_component *part =
			&request->components[i];
		const struct kafka_describe_client_quotas_request_component **place;

		if (slice_equal(part->entity_type, SLICE("user")))
			place = &f->user;
		else if (slice_equal(part->entity_type, SLICE("client-id")))
			place = &f->client_id;
		else if (slice_equal(part->entity_type, SLICE("ip")))
			place = &f->address;
		else
			return refuse(f, KAFKA_UNSUPPORTED_VERSION,
				      "there are quotas of users, client ids and addresses");
		if (*place)
			return refuse(f, KAFKA_INVALID_REQUEST, "an entity has a part twice");
		if (part->match_type < MATCH_EXACT || part->match_type > MATCH_ANY ||
		    (part->match_type == MATCH_EXACT) != (part->match.data != NULL))
			return refuse(f, KAFKA_INVALID_REQUEST, "this is no way to match");
		*place = part;
	}
	f->is_strict = request->strict;
	return KAFKA_NONE;
}

static bool part_fits(const struct filter *f,
		      const struct kafka_describe_client_quotas_request_component *wanted,
		      struct slice stored)
{
	if (!wanted)
		return !f->is_strict || stored.size == 0;
	switch (wanted->match_type) {
	case MATCH_EXACT:
		return slice_starts_with(stored, SLICE("=")) &&
		       slice_equal(slice_part(stored, 1, stored.size), wanted->match);
	case MATCH_DEFAULT:
		return slice_equal(stored, SLICE("*"));
	default:
		return stored.size > 0;
	}
}

static void add_part(struct kafka_describe_client_quotas_response_entry *entry, const char *type,
		     struct slice stored)
{
	bool is_name = slice_starts_with(stored, SLICE("="));

	if (stored.size > 0)
		entry->entity[entry->entity_count++] =
			(struct kafka_describe_client_quotas_response_entity) {
				slice_from(type),
				is_name ? slice_part(stored, 1, stored.size) : (struct slice) { 0 },
			};
}

/* Rows of one entity stand together. */
static void tell_rows(struct filter *f, const struct quota_row *rows, size_t count)
{
	struct kafka_describe_client_quotas_response_entry *entry = NULL;
	struct arena *a = &f->r->arena;

	f->response.entries = arena_take_array(a, count + 1, sizeof(*entry));
	for (size_t i = 0; i < count; i++) {
		const struct quota_row *row = &rows[i];
		bool is_first = i == 0 || !slice_equal(row->user, rows[i - 1].user) ||
				!slice_equal(row->client_id, rows[i - 1].client_id) ||
				!slice_equal(row->address, rows[i - 1].address);

		if (!part_fits(f, f->address, row->address) || !part_fits(f, f->user, row->user) ||
		    !part_fits(f, f->client_id, row->client_id))
			continue;
		if (is_first) {
			entry = &f->response.entries[f->response.entries_count++];
			entry->entity = arena_take_array(a, ENTITY_PARTS, sizeof(*entry->entity));
			entry->values = arena_take_array(a, QUOTA_KINDS, sizeof(*entry->values));
			add_part(entry, "user", row->user);
			add_part(entry, "client-id", row->client_id);
			add_part(entry, "ip", row->address);
		}
		if (entry && entry->values_count < QUOTA_KINDS)
			entry->values[entry->values_count++] =
				(struct kafka_describe_client_quotas_response_value) { row->name,
										       row->value };
	}
}

static enum step describe_client_quotas_answer(struct request *r, const void *decoded,
					       bool is_current)
{
	struct filter f = { .r = r };
	struct quota_row *rows;
	size_t count;

	schema_defaults(r->api->response, &f.response);
	if (!request_may(r, GRANT_DESCRIBE_CONFIGS, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		refuse(&f, KAFKA_CLUSTER_AUTHORIZATION_FAILED, "the client may not see quotas");
	else if (!is_current)
		refuse(&f, KAFKA_REQUEST_TIMED_OUT, SYNCED_TOO_LATE);
	else if (take_filter(&f, decoded) == KAFKA_NONE) {
		if (quota_rows(&r->arena, replica_cell(r->agent->replica), &rows, &count))
			refuse(&f, KAFKA_UNKNOWN_SERVER_ERROR, "the catalog cannot be read");
		else
			tell_rows(&f, rows, count);
	}
	return request_answer(r, &f.response);
}

static enum step describe_client_quotas_step(struct request *r)
{
	return synced_step(r, describe_client_quotas_answer);
}

const struct operation describe_client_quotas_operation = {
	.api_key = KAFKA_API_DESCRIBE_CLIENT_QUOTAS,
	.may_overlap = true,
	.state_bytes = sizeof(struct synced),
	.places = synced_places,
	.place_count = SYNCED_PLACES,
	.step = describe_client_quotas_step,
};
