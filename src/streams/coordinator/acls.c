/* DescribeAcls, CreateAcls, DeleteAcls: the grants of access/grants.h as Kafka's clients see them.
 */
#include "kafka_messages.h"
#include "streams/coordinator/access.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "wire/kafka/errors.h"

static bool may(const struct operation_call *call, enum grant_operation operation)
{
	return operation_may(call, operation, GRANT_CLUSTER, GRANT_CLUSTER_NAME);
}

/* Words that no filter and no grant has. */
static bool filter_is_valid(const struct grant *f)
{
	return f->resource >= GRANT_RESOURCE_ANY && f->resource <= GRANT_USER &&
	       f->pattern >= GRANT_PATTERN_ANY && f->pattern <= GRANT_PREFIXED &&
	       f->operation >= GRANT_OPERATION_ANY && f->operation <= GRANT_TWO_PHASE_COMMIT &&
	       f->permission >= GRANT_PERMISSION_ANY && f->permission <= GRANT_ALLOW;
}

/* --- DescribeAcls -----------------------------------------------------------------------------
 */

static bool is_same_resource(const struct grant *a, const struct grant *b)
{
	return a->resource == b->resource && a->pattern == b->pattern &&
	       slice_equal(a->name, b->name);
}

/* They come sorted by resource. */
static void group_by_resource(struct operation_call *call, const struct grant *all, size_t count,
			      const struct grant *filter)
{
	struct kafka_describe_acls_response *response = call->response;
	struct kafka_describe_acls_response_resource *last = NULL;
	const struct grant *before = NULL;

	response->resources = arena_take_array(call->arena, count, sizeof(*response->resources));
	for (size_t i = 0; i < count; i++) {
		if (!grant_fits(&all[i], filter))
			continue;
		if (!before || !is_same_resource(before, &all[i])) {
			last = &response->resources[response->resources_count++];
			last->resource_type = (int8_t)all[i].resource;
			last->resource_name = all[i].name;
			last->pattern_type = (int8_t)all[i].pattern;
			last->acls = arena_take_array(call->arena, count - i, sizeof(*last->acls));
		}
		before = &all[i];
		last->acls[last->acls_count++] = (struct kafka_describe_acls_response_acl) {
			.principal = all[i].principal,
			.host = all[i].host,
			.operation = (int8_t)all[i].operation,
			.permission_type = (int8_t)all[i].permission,
		};
	}
}

static enum err describe_acls(struct cell *cell, struct operation_call *call)
{
	const struct kafka_describe_acls_request *r = call->request;
	struct kafka_describe_acls_response *response = call->response;
	struct grant filter = {
		.resource = (enum grant_resource)r->resource_type_filter,
		.pattern = (enum grant_pattern)r->pattern_type_filter,
		.name = r->resource_name_filter,
		.principal = r->principal_filter,
		.host = r->host_filter,
		.operation = (enum grant_operation)r->operation,
		.permission = (enum grant_permission)r->permission_type,
	};
	struct grant *all;
	size_t count;

	if (!may(call, GRANT_DESCRIBE)) {
		response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		response->error_message = SLICE("it needs DESCRIBE of the cluster");
		return OK;
	}
	if (!filter_is_valid(&filter)) {
		response->error_code = KAFKA_INVALID_REQUEST;
		response->error_message = SLICE("the filter has a word that is not known");
		return OK;
	}
	guard_grants(call->arena, cell, &all, &count);
	group_by_resource(call, all, count, &filter);
	return OK;
}

static void describe_acls_fail(struct operation_call *call, int16_t error)
{
	struct kafka_describe_acls_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation describe_acls_operation = {
	.api_key = KAFKA_API_DESCRIBE_ACLS,
	.needs_fence = true,
	.is_controllers = true,
	.run = describe_acls,
	.fail = describe_acls_fail,
};

/* --- CreateAcls -------------------------------------------------------------------------------
 */

static struct kafka_create_acls_response_result *begin_results(struct operation_call *call)
{
	const struct kafka_create_acls_request *request = call->request;
	struct kafka_create_acls_response *response = call->response;

	response->results_count = request->creations_count;
	response->results =
		arena_take_array(call->arena, request->creations_count, sizeof(*response->results));
	return response->results;
}

static enum err create_one(struct cell *cell,
			   const struct kafka_create_acls_request_creation *asked,
			   struct kafka_create_acls_response_result *ret)
{
	struct grant g = {
		.resource = (enum grant_resource)asked->resource_type,
		.pattern = (enum grant_pattern)asked->resource_pattern_type,
		.name = asked->resource_name,
		.principal = asked->principal,
		.host = asked->host,
		.operation = (enum grant_operation)asked->operation,
		.permission = (enum grant_permission)asked->permission_type,
	};

	if (grant_check(&g)) {
		ret->error_code = KAFKA_INVALID_REQUEST;
		ret->error_message = SLICE("no such grant can be made: a word is not known, does "
					   "not fit the resource, or is too long");
		return OK;
	}
	enum err err = access_grant_insert(cell, &g);
	if (err == ERR_FULL) {
		ret->error_code = KAFKA_POLICY_VIOLATION;
		ret->error_message = SLICE("there are too many grants");
		return OK;
	}
	return err;
}

static enum err create_acls(struct cell *cell, struct operation_call *call)
{
	const struct kafka_create_acls_request *request = call->request;
	struct kafka_create_acls_response_result *results;
	bool is_allowed = may(call, GRANT_ALTER);
	enum err err = OK;

	if (request->creations_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	results = begin_results(call);
	coordinator_forget_guard(call->coordinator);
	for (size_t i = 0; i < request->creations_count && !err; i++) {
		if (is_allowed) {
			err = create_one(cell, &request->creations[i], &results[i]);
			continue;
		}
		results[i].error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		results[i].error_message = SLICE("it needs ALTER of the cluster");
	}
	return err;
}

static void create_acls_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_create_acls_request *request = call->request;
	struct kafka_create_acls_response_result *results = begin_results(call);

	for (size_t i = 0; i < request->creations_count; i++)
		results[i].error_code = error;
}

const struct coordinator_operation create_acls_operation = {
	.api_key = KAFKA_API_CREATE_ACLS,
	.is_controllers = true,
	.run = create_acls,
	.fail = create_acls_fail,
};

/* --- DeleteAcls -------------------------------------------------------------------------------
 */

static struct kafka_delete_acls_response_filter_result *begin_filters(struct operation_call *call)
{
	const struct kafka_delete_acls_request *request = call->request;
	struct kafka_delete_acls_response *response = call->response;

	response->filter_results_count = request->filters_count;
	response->filter_results = arena_take_array(call->arena, request->filters_count,
						    sizeof(*response->filter_results));
	return response->filter_results;
}

static enum err delete_matching(struct cell *cell, struct operation_call *call,
				const struct grant *filter,
				struct kafka_delete_acls_response_filter_result *ret)
{
	struct grant *all;
	size_t count;
	enum err err = OK;

	guard_grants(call->arena, cell, &all, &count);
	ret->matching_acls = arena_take_array(call->arena, count, sizeof(*ret->matching_acls));
	for (size_t i = 0; i < count && !err; i++) {
		if (!grant_fits(&all[i], filter))
			continue;
		ret->matching_acls[ret->matching_acls_count++] =
			(struct kafka_delete_acls_response_matching_acl) {
				.resource_type = (int8_t)all[i].resource,
				.resource_name = all[i].name,
				.pattern_type = (int8_t)all[i].pattern,
				.principal = all[i].principal,
				.host = all[i].host,
				.operation = (int8_t)all[i].operation,
				.permission_type = (int8_t)all[i].permission,
			};
		err = access_grant_remove(cell, &all[i]);
	}
	return err;
}

static enum err delete_acls(struct cell *cell, struct operation_call *call)
{
	const struct kafka_delete_acls_request *request = call->request;
	struct kafka_delete_acls_response_filter_result *results;
	bool is_allowed = may(call, GRANT_ALTER);
	enum err err = OK;

	if (request->filters_count > OPERATION_FILTERS_MAX)
		return ERR_TOO_BIG;
	results = begin_filters(call);
	coordinator_forget_guard(call->coordinator);
	for (size_t i = 0; i < request->filters_count && !err; i++) {
		const struct kafka_delete_acls_request_filter *f = &request->filters[i];
		struct grant filter = {
			.resource = (enum grant_resource)f->resource_type_filter,
			.pattern = (enum grant_pattern)f->pattern_type_filter,
			.name = f->resource_name_filter,
			.principal = f->principal_filter,
			.host = f->host_filter,
			.operation = (enum grant_operation)f->operation,
			.permission = (enum grant_permission)f->permission_type,
		};
		if (!is_allowed) {
			results[i].error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
			results[i].error_message = SLICE("it needs ALTER of the cluster");
		} else if (!filter_is_valid(&filter)) {
			results[i].error_code = KAFKA_INVALID_REQUEST;
			results[i].error_message = SLICE("the filter has a word that is not known");
		} else {
			err = delete_matching(cell, call, &filter, &results[i]);
		}
	}
	return err;
}

static void delete_acls_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_delete_acls_request *request = call->request;
	struct kafka_delete_acls_response_filter_result *results = begin_filters(call);

	for (size_t i = 0; i < request->filters_count; i++)
		results[i].error_code = error;
}

const struct coordinator_operation delete_acls_operation = {
	.api_key = KAFKA_API_DELETE_ACLS,
	.is_controllers = true,
	.run = delete_acls,
	.fail = delete_acls_fail,
};
