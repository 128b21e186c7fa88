/* DescribeUserScramCredentials, AlterUserScramCredentials: users and what they sign in with.
 *
 * A salted password comes in and is not kept: only the two keys that follow from it.  A user is
 * made with its first verifier and goes with its last one, unless it is an admin, who may have none
 * and be known by a certificate or a token. */
#include "kafka_messages.h"
#include "streams/coordinator/access.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "wire/crypto/wipe.h"
#include "wire/kafka/errors.h"
#include "wire/sasl/scram.h"

static bool may(const struct operation_call *call, enum grant_operation operation)
{
	return operation_may(call, operation, GRANT_CLUSTER, GRANT_CLUSTER_NAME);
}

static bool kind_is_known(int8_t mechanism)
{
	return mechanism == SCRAM_KIND_SHA_256 || mechanism == SCRAM_KIND_SHA_512;
}

/* --- DescribeUserScramCredentials --------------------------------------------------------------
 */

static void describe_user(struct cell *cell, struct operation_call *call,
			  const struct guard_user *user,
			  struct kafka_describe_user_scram_credentials_response_result *ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT kind, iterations FROM access_verifier WHERE user = ?1"
				     " ORDER BY kind");

	ret->credential_infos = arena_take_array(call->arena, 2, sizeof(*ret->credential_infos));
	cell_bind_int(st, 1, user->id);
	while (ret->credential_infos_count < 2 && cell_next(cell, st)) {
		size_t i = ret->credential_infos_count++;
		ret->credential_infos[i].mechanism = (int8_t)sqlite3_column_int(st, 0);
		ret->credential_infos[i].iterations = sqlite3_column_int(st, 1);
	}
	sqlite3_reset(st);
}

static void describe_asked(struct cell *cell, struct operation_call *call, size_t i)
{
	const struct kafka_describe_user_scram_credentials_request *request = call->request;
	struct kafka_describe_user_scram_credentials_response *response = call->response;
	struct kafka_describe_user_scram_credentials_response_result *ret = &response->results[i];
	struct guard_user user;

	ret->user = request->users[i].name;
	for (size_t k = 0; k < request->users_count; k++)
		if (k != i && slice_equal(request->users[k].name, ret->user)) {
			ret->error_code = KAFKA_DUPLICATE_RESOURCE;
			ret->error_message = SLICE("the request names this user twice");
			return;
		}
	if (!guard_find_user(call->arena, cell, ret->user, &user))
		describe_user(cell, call, &user, ret);
	if (ret->credential_infos_count == 0) {
		ret->error_code = KAFKA_RESOURCE_NOT_FOUND;
		ret->error_message = SLICE("there is no such user with a password");
	}
}

static void describe_all(struct cell *cell, struct operation_call *call)
{
	struct kafka_describe_user_scram_credentials_response *response = call->response;
	struct guard_user *users;
	size_t count;

	guard_users(call->arena, cell, &users, &count);
	response->results = arena_take_array(call->arena, count, sizeof(*response->results));
	for (size_t i = 0; i < count; i++) {
		struct kafka_describe_user_scram_credentials_response_result *ret =
			&response->results[response->results_count];
		ret->user = users[i].name;
		describe_user(cell, call, &users[i], ret);
		if (ret->credential_infos_count > 0)
			response->results_count++;
	}
}

static enum err describe_credentials(struct cell *cell, struct operation_call *call)
{
	const struct kafka_describe_user_scram_credentials_request *request = call->request;
	struct kafka_describe_user_scram_credentials_response *response = call->response;

	if (request->users_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	if (!may(call, GRANT_DESCRIBE)) {
		response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		response->error_message = SLICE("it needs DESCRIBE of the cluster");
		return OK;
	}
	if (request->users_count == 0) {
		describe_all(cell, call);
		return OK;
	}
	response->results =
		arena_take_array(call->arena, request->users_count, sizeof(*response->results));
	response->results_count = request->users_count;
	for (size_t i = 0; i < request->users_count; i++)
		describe_asked(cell, call, i);
	return OK;
}

static void describe_credentials_fail(struct operation_call *call, int16_t error)
{
	struct kafka_describe_user_scram_credentials_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation describe_scram_operation = {
	.api_key = KAFKA_API_DESCRIBE_USER_SCRAM_CREDENTIALS,
	.needs_fence = true,
	.is_controllers = true,
	.run = describe_credentials,
	.fail = describe_credentials_fail,
};

/* --- AlterUserScramCredentials -----------------------------------------------------------------
 */

struct alteration {
	struct cell *cell;
	struct operation_call *call;
	struct kafka_alter_user_scram_credentials_response_result *results;
	size_t count;
};

static struct kafka_alter_user_scram_credentials_response_result *result_of(struct alteration *n,
									    struct slice user)
{
	for (size_t i = 0; i < n->count; i++)
		if (slice_equal(n->results[i].user, user))
			return &n->results[i];
	n->results[n->count].user = user;
	return &n->results[n->count++];
}

static void refuse(struct alteration *n, struct slice user, int16_t error, const char *message)
{
	struct kafka_alter_user_scram_credentials_response_result *result = result_of(n, user);

	result->error_code = error;
	result->error_message = slice_from(message);
}

static void check_deletion(struct alteration *n,
			   const struct kafka_alter_user_scram_credentials_request_deletion *d)
{
	struct guard_verifier found;

	if (!kind_is_known(d->mechanism))
		refuse(n, d->name, KAFKA_UNSUPPORTED_SASL_MECHANISM, "no such mechanism");
	else if (guard_find_verifier(n->call->arena, n->cell, d->name,
				     (enum scram_kind)d->mechanism, &found))
		refuse(n, d->name, KAFKA_RESOURCE_NOT_FOUND, "there is no such credential");
	else
		result_of(n, d->name);
}

static void check_upsertion(struct alteration *n,
			    const struct kafka_alter_user_scram_credentials_request_upsertion *u)
{
	if (!kind_is_known(u->mechanism))
		refuse(n, u->name, KAFKA_UNSUPPORTED_SASL_MECHANISM, "no such mechanism");
	else if (!access_user_name_is_valid(u->name))
		refuse(n, u->name, KAFKA_UNACCEPTABLE_CREDENTIAL, "that is no name for a user");
	else if (u->iterations < SCRAM_ITERATIONS_MIN || u->iterations > SCRAM_ITERATIONS_MAX)
		refuse(n, u->name, KAFKA_UNACCEPTABLE_CREDENTIAL, "iterations are 4096 to 16384");
	else if (u->salt.size == 0 || u->salt.size > SCRAM_SALT_BYTES_MAX ||
		 u->salted_password.size != scram_hash_bytes((enum scram_hash)u->mechanism))
		refuse(n, u->name, KAFKA_UNACCEPTABLE_CREDENTIAL,
		       "the salt or the salted password has a size that cannot be");
	else
		result_of(n, u->name);
}

/* Each user and mechanism once. */
static void check_repeats(struct alteration *n)
{
	const struct kafka_alter_user_scram_credentials_request *r = n->call->request;
	size_t total = r->deletions_count + r->upsertions_count;

	for (size_t i = 0; i < total; i++)
		for (size_t k = 0; k < i; k++) {
			bool a = i < r->deletions_count, b = k < r->deletions_count;
			size_t x = i - r->deletions_count, y = k - r->deletions_count;
			struct slice one = a ? r->deletions[i].name : r->upsertions[x].name;
			struct slice two = b ? r->deletions[k].name : r->upsertions[y].name;
			int8_t first = a ? r->deletions[i].mechanism : r->upsertions[x].mechanism;
			int8_t second = b ? r->deletions[k].mechanism : r->upsertions[y].mechanism;
			if (first == second && slice_equal(one, two))
				refuse(n, one, KAFKA_DUPLICATE_RESOURCE,
				       "the request names this credential twice");
		}
}

static enum err delete_one(struct alteration *n, struct slice name, int8_t mechanism)
{
	struct guard_user user;

	enum err err = guard_find_user(n->call->arena, n->cell, name, &user);
	if (err)
		return OK; /* it went with another one of the request */
	err = access_verifier_remove(n->cell, user.id, (enum scram_kind)mechanism);
	if (err == ERR_NOT_FOUND)
		return OK;
	if (!err && !user.is_admin && access_verifier_count(n->cell, user.id) == 0)
		err = access_user_remove(n->cell, user.id);
	return err;
}

static enum err upsert_one(struct alteration *n,
			   const struct kafka_alter_user_scram_credentials_request_upsertion *u)
{
	enum scram_hash hash = (enum scram_hash)u->mechanism;
	uint8_t salted[SCRAM_BYTES_MAX] = { 0 }, stored[SCRAM_BYTES_MAX], server[SCRAM_BYTES_MAX];
	int64_t user = 0;

	enum err err = access_user_insert(n->cell, u->name, false, n->call->now_ms, &user);
	if (err == ERR_FULL) {
		refuse(n, u->name, KAFKA_POLICY_VIOLATION, "there are too many users");
		return OK;
	}
	if (err)
		return err;
	memcpy(salted, u->salted_password.data, u->salted_password.size);
	scram_keys(hash, salted, stored, server);
	crypto_wipe(salted, sizeof(salted));
	return access_verifier_set(n->cell, user,
				   &(struct guard_verifier) {
					   .kind = (enum scram_kind)u->mechanism,
					   .iterations = u->iterations,
					   .salt = u->salt,
					   .stored_key = { stored, scram_hash_bytes(hash) },
					   .server_key = { server, scram_hash_bytes(hash) },
				   });
}

static enum err apply(struct alteration *n)
{
	const struct kafka_alter_user_scram_credentials_request *r = n->call->request;
	enum err err = OK;

	/* First what is set, so that a user that changes from one to another stays the same. */
	for (size_t i = 0; i < r->upsertions_count && !err; i++)
		if (!result_of(n, r->upsertions[i].name)->error_code)
			err = upsert_one(n, &r->upsertions[i]);
	for (size_t i = 0; i < r->deletions_count && !err; i++)
		if (!result_of(n, r->deletions[i].name)->error_code)
			err = delete_one(n, r->deletions[i].name, r->deletions[i].mechanism);
	return err;
}

static struct alteration begin_alteration(struct cell *cell, struct operation_call *call)
{
	const struct kafka_alter_user_scram_credentials_request *r = call->request;
	size_t count = r->deletions_count + r->upsertions_count;

	return (struct alteration) {
		.cell = cell,
		.call = call,
		.results = arena_take_array(
			call->arena, count,
			sizeof(struct kafka_alter_user_scram_credentials_response_result)),
	};
}

static void refuse_all(struct alteration *n, int16_t error, const char *message)
{
	const struct kafka_alter_user_scram_credentials_request *r = n->call->request;

	for (size_t i = 0; i < r->deletions_count; i++)
		refuse(n, r->deletions[i].name, error, message);
	for (size_t i = 0; i < r->upsertions_count; i++)
		refuse(n, r->upsertions[i].name, error, message);
}

static enum err alter_credentials(struct cell *cell, struct operation_call *call)
{
	const struct kafka_alter_user_scram_credentials_request *r = call->request;
	struct kafka_alter_user_scram_credentials_response *response = call->response;
	struct alteration n;
	enum err err = OK;

	if (r->deletions_count + r->upsertions_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	n = begin_alteration(cell, call);
	if (!may(call, GRANT_ALTER)) {
		refuse_all(&n, KAFKA_CLUSTER_AUTHORIZATION_FAILED, "it needs ALTER of the cluster");
	} else {
		for (size_t i = 0; i < r->deletions_count; i++)
			check_deletion(&n, &r->deletions[i]);
		for (size_t i = 0; i < r->upsertions_count; i++)
			check_upsertion(&n, &r->upsertions[i]);
		check_repeats(&n);
		coordinator_forget_guard(call->coordinator);
		err = apply(&n);
	}
	response->results = n.results;
	response->results_count = n.count;
	return err;
}

static void alter_credentials_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_alter_user_scram_credentials_request *r = call->request;
	struct kafka_alter_user_scram_credentials_response *response = call->response;
	struct alteration n = begin_alteration(NULL, call);

	if (r->deletions_count + r->upsertions_count <= OPERATION_ITEMS_MAX)
		refuse_all(&n, error, "it failed");
	response->results = n.results;
	response->results_count = n.count;
}

const struct coordinator_operation alter_scram_operation = {
	.api_key = KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS,
	.is_controllers = true,
	.run = alter_credentials,
	.fail = alter_credentials_fail,
};
