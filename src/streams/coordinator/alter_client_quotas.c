/* AlterClientQuotas: what users, client ids and addresses may do in a second (catalog/quota.h). */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>

#include "kafka_messages.h"
#include "streams/catalog/quota.h"
#include "streams/coordinator/operations.h"
#include "wire/kafka/errors.h"

enum { OPS_MAX = 100 }; /* of one entity: more than there are quotas */

struct alteration {
	struct cell *cell;
	struct operation_call *call;
	const struct kafka_alter_client_quotas_request_entry *asked;
	struct slice user, client_id, address; /* as stored */
	struct kafka_alter_client_quotas_response_entry *ret;
};

static int16_t refuse(struct alteration *n, int16_t error, const char *message)
{
	n->ret->error_code = error;
	n->ret->error_message = slice_from(message);
	return error;
}

/* As a connection's is written: as the system does, and of IPv4 inside of IPv6 the IPv4. */
static bool take_address(struct arena *a, struct slice name, struct slice *ret)
{
	char *text = arena_take(a, INET6_ADDRSTRLEN);
	struct in6_addr address;
	const void *bytes = &address;

	if (name.size >= INET6_ADDRSTRLEN || memchr(name.data, 0, name.size))
		return false;
	memcpy(text, name.data, name.size);
	text[name.size] = 0;
	int family = memchr(name.data, ':', name.size) ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, &address) != 1)
		return false;
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address)) {
		family = AF_INET;
		bytes = address.s6_addr + 12;
	}
	if (!inet_ntop(family, bytes, text, INET6_ADDRSTRLEN))
		return false;
	*ret = slice_from(text);
	return true;
}

static int16_t take_entity(struct alteration *n)
{
	for (size_t i = 0; i < n->asked->entity_count; i++) {
		const struct kafka_alter_client_quotas_request_entity *part = &n->asked->entity[i];
		struct slice *stored = NULL, name = part->entity_name;

		if (slice_equal(part->entity_type, SLICE("user")))
			stored = &n->user;
		else if (slice_equal(part->entity_type, SLICE("client-id")))
			stored = &n->client_id;
		else if (slice_equal(part->entity_type, SLICE("ip")))
			stored = &n->address;
		else
			return refuse(n, KAFKA_INVALID_REQUEST,
				      "quotas are of users, client ids and addresses");
		if (stored->size > 0)
			return refuse(n, KAFKA_INVALID_REQUEST, "an entity has a part twice");
		if (part->entity_name.data && part->entity_name.size == 0)
			return refuse(n, KAFKA_INVALID_REQUEST, "a name is empty");
		if (part->entity_name.size > QUOTA_NAME_BYTES_MAX)
			return refuse(n, KAFKA_INVALID_REQUEST, "a name is too long");
		if (stored == &n->address && name.data &&
		    !take_address(n->call->arena, name, &name))
			return refuse(n, KAFKA_INVALID_REQUEST, "this is no address");
		*stored = quota_part(n->call->arena, !name.data, name);
	}
	if (n->address.size > 0 && n->asked->entity_count > 1)
		return refuse(n, KAFKA_INVALID_REQUEST, "an address is an entity of its own");
	if (n->address.size > 0)
		n->user = quota_address_part(n->call->arena, n->address);
	if (n->asked->entity_count == 0)
		return refuse(n, KAFKA_INVALID_REQUEST, "the entity has no part");
	return KAFKA_NONE;
}

static int16_t check_ops(struct alteration *n)
{
	if (n->asked->ops_count > OPS_MAX)
		return refuse(n, KAFKA_INVALID_REQUEST, "too many quotas");
	for (size_t i = 0; i < n->asked->ops_count; i++) {
		const struct kafka_alter_client_quotas_request_op *op = &n->asked->ops[i];

		int kind = quota_kind_find(op->key);
		if (kind < 0 || (kind == QUOTA_CONNECTIONS) != (n->address.size > 0))
			return refuse(n, KAFKA_INVALID_REQUEST, "there is no such quota");
		for (size_t k = 0; k < i; k++)
			if (slice_equal(op->key, n->asked->ops[k].key))
				return refuse(n, KAFKA_INVALID_REQUEST, "a quota is named twice");
		if (!op->remove && !(isfinite(op->value) && op->value > 0))
			return refuse(n, KAFKA_INVALID_REQUEST, "a quota is a positive number");
		if (!op->remove && kind == QUOTA_CONNECTIONS && trunc(op->value) != op->value)
			return refuse(n, KAFKA_INVALID_REQUEST, "it is a whole number");
	}
	return KAFKA_NONE;
}

static bool is_full(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM quota");
	bool is_full = cell_next(cell, st) && sqlite3_column_int64(st, 0) >= QUOTA_ROWS_MAX;

	sqlite3_reset(st);
	return is_full;
}

static enum err write_op(struct alteration *n,
			 const struct kafka_alter_client_quotas_request_op *op)
{
	char value[40];
	sqlite3_stmt *st = cell_statement(
		n->cell,
		op->remove ? "DELETE FROM quota WHERE user = ?1 AND client_id = ?2 AND name = ?3"
			   : "INSERT INTO quota (user, client_id, name, value)"
			     " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user, client_id, name)"
			     " DO UPDATE SET value = ?4");

	snprintf(value, sizeof(value), "%.17g", op->value);
	cell_bind_text(st, 1, n->user);
	cell_bind_text(st, 2, n->client_id);
	cell_bind_text(st, 3, op->key);
	if (!op->remove)
		cell_bind_text(st, 4, slice_from(value));
	return cell_execute(n->cell, st);
}

static enum err alter(struct alteration *n, bool only_checks)
{
	enum err err = OK;

	if (!operation_may(n->call, GRANT_ALTER_CONFIGS, GRANT_CLUSTER, GRANT_CLUSTER_NAME)) {
		refuse(n, KAFKA_CLUSTER_AUTHORIZATION_FAILED, "the client may not alter quotas");
		return OK;
	}
	if (take_entity(n) || check_ops(n) || only_checks)
		return OK;
	if (is_full(n->cell)) {
		refuse(n, KAFKA_POLICY_VIOLATION, "there are too many quotas");
		return OK;
	}
	for (size_t i = 0; i < n->asked->ops_count && !err; i++)
		err = write_op(n, &n->asked->ops[i]);
	return err;
}

static void begin_entry(struct arena *a,
			const struct kafka_alter_client_quotas_request_entry *asked,
			struct kafka_alter_client_quotas_response_entry *ret)
{
	ret->entity_count = asked->entity_count;
	ret->entity = arena_take_array(a, asked->entity_count, sizeof(*ret->entity));
	for (size_t i = 0; i < asked->entity_count; i++)
		ret->entity[i] = (struct kafka_alter_client_quotas_response_entity) {
			asked->entity[i].entity_type, asked->entity[i].entity_name
		};
}

static enum err alter_client_quotas(struct cell *cell, struct operation_call *call)
{
	const struct kafka_alter_client_quotas_request *request = call->request;
	struct kafka_alter_client_quotas_response *response = call->response;
	enum err err = OK;

	if (request->entries_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->entries_count = request->entries_count;
	response->entries =
		arena_take_array(call->arena, request->entries_count, sizeof(*response->entries));
	for (size_t i = 0; i < request->entries_count && !err; i++) {
		struct alteration n = {
			.cell = cell,
			.call = call,
			.asked = &request->entries[i],
			.user = SLICE(""),
			.client_id = SLICE(""),
			.address = SLICE(""),
			.ret = &response->entries[i],
		};
		begin_entry(call->arena, n.asked, n.ret);
		err = alter(&n, request->validate_only);
	}
	return err;
}

static void alter_client_quotas_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_alter_client_quotas_request *request = call->request;
	struct kafka_alter_client_quotas_response *response = call->response;

	response->entries_count = request->entries_count;
	response->entries =
		arena_take_array(call->arena, request->entries_count, sizeof(*response->entries));
	for (size_t i = 0; i < request->entries_count; i++) {
		begin_entry(call->arena, &request->entries[i], &response->entries[i]);
		response->entries[i].error_code = error;
	}
}

const struct coordinator_operation alter_client_quotas_operation = {
	.api_key = 49,
	.is_controllers = true,
	.run = alter_client_quotas,
	.fail = alter_client_quotas_fail,
};
