/* TxnOffsetCommit: offsets that become those of the group when the transaction commits.
 *
 * Up to version 4 AddOffsetsToTxn came before; from version 5 on (KIP-890) the request itself adds
 * the group to the transaction. */
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/transaction_speaker.h"

enum { ABORTABLE_VERSION_FIRST = 4, ADDS_GROUP_VERSION_FIRST = 5 };

struct txn_commit {
	struct cell *cell;
	struct group_call *call;
	const struct kafka_txn_offset_commit_request *request;
	struct transaction transaction;
	int64_t now_ms;
};

static void txn_offset_commit_name(struct group_call *call)
{
	const struct kafka_txn_offset_commit_request *request = call->request;

	call->names = &request->group_id;
	call->name_count = 1;
}

/* --- may it? -----------------------------------------------------------------------------------
 */

/* Producers that know nothing of the group's members may commit for it all the same. */
static int16_t check_group(const struct txn_commit *c)
{
	const struct kafka_txn_offset_commit_request *request = c->request;
	struct groups *groups = c->call->kafka->coordinator->groups;
	struct group_entry *entry = groups_find(groups, request->group_id);
	struct group_row row;
	bool is_known = !group_row_find(c->call->kafka->arena, c->cell, request->group_id, &row);

	if (is_known && row.type == GROUP_SHARE) /* those have no committed offsets */
		return KAFKA_GROUP_ID_NOT_FOUND;
	if (request->generation_id < 0 && request->member_id.size == 0 &&
	    !request->group_instance_id.data)
		return KAFKA_NONE;
	if (!entry && request->generation_id < 0)
		return KAFKA_NONE;
	if (!entry) /* without members */
		return is_known ? (int16_t)KAFKA_UNKNOWN_MEMBER_ID
				: (int16_t)KAFKA_ILLEGAL_GENERATION;
	struct group_event event = {
		.kind = GROUP_COMMIT,
		.member_id = request->member_id,
		.instance_id = request->group_instance_id,
		.generation = request->generation_id,
		.commit = { .is_transaction = true },
	};
	groups_step(groups, entry, &event, NULL);
	return event.error;
}

/* Clients of the first protocol have said before that they would. */
static enum err check_state(struct txn_commit *c, int16_t *ret_error)
{
	struct transaction *t = &c->transaction;
	int version = c->call->kafka->version;

	if (version < ADDS_GROUP_VERSION_FIRST) {
		if (t->state != TRANSACTION_ONGOING ||
		    !transaction_has_group(c->cell, t, c->request->group_id))
			*ret_error = version < ABORTABLE_VERSION_FIRST
					     ? KAFKA_INVALID_TXN_STATE
					     : KAFKA_TRANSACTION_ABORTABLE;
		return OK;
	}
	if (t->state != TRANSACTION_ONGOING)
		transaction_begin(t, c->now_ms);
	return transaction_add_group(c->cell, t, c->request->group_id);
}

/* The first protocol does not say which transaction it is; see transaction_session.h. */
static bool is_outdated(struct txn_commit *c)
{
	struct kafka_call *kafka = c->call->kafka;
	struct transaction_session session = { kafka->incarnation, kafka->connection_id };
	struct transaction *t = &c->transaction;

	if (kafka->version >= ADDS_GROUP_VERSION_FIRST)
		return false;
	switch (transaction_session_look(t->offset_sessions, session)) {
	case TRANSACTION_SESSION_SAME:
		break;
	case TRANSACTION_SESSION_NEWER:
		t->offset_sessions =
			transaction_session_note(kafka->arena, t->offset_sessions, session);
		break;
	case TRANSACTION_SESSION_OLDER:
		return true;
	}
	return false;
}

static int16_t denial(const struct group_call *call,
		      const struct kafka_txn_offset_commit_request *request)
{
	if (!group_call_may(call, GRANT_WRITE, GRANT_TRANSACTIONAL_ID, request->transactional_id))
		return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	if (request->group_id.size == 0 || !group_name_is_valid(request->group_id))
		return KAFKA_INVALID_GROUP_ID;
	if (!group_call_may(call, GRANT_READ, GRANT_GROUP, request->group_id))
		return KAFKA_GROUP_AUTHORIZATION_FAILED;
	return KAFKA_NONE;
}

/* On KAFKA_NONE c->transaction may take offsets, and is to be saved. */
static enum err admit(struct txn_commit *c, int16_t *ret_error)
{
	const struct kafka_txn_offset_commit_request *request = c->request;
	struct transaction_speaker speaker = { request->transactional_id, request->producer_id,
					       request->producer_epoch };

	*ret_error = denial(c->call, request);
	if (*ret_error)
		return OK;
	enum err err = transaction_find_for(c->call->kafka->arena, c->cell, &speaker,
					    &c->transaction, ret_error);
	if (*ret_error == KAFKA_PRODUCER_FENCED)
		*ret_error = KAFKA_INVALID_PRODUCER_EPOCH;
	if (err || *ret_error)
		return err;
	*ret_error = check_group(c);
	if (*ret_error)
		return OK;
	if (is_outdated(c)) {
		c->call->is_outdated = true;
		*ret_error = KAFKA_INVALID_PRODUCER_EPOCH;
		return OK;
	}
	return check_state(c, ret_error);
}

/* --- the offsets -------------------------------------------------------------------------------
 */

static enum err take_partition(struct txn_commit *c, const struct catalog_topic *topic,
			       const struct kafka_txn_offset_commit_request_partition *p,
			       int16_t *ret_error)
{
	struct transaction_offset offset = {
		.group = c->request->group_id,
		.topic = topic->id,
		.partition = p->partition_index,
		.committed_offset = p->committed_offset,
		.leader_epoch = p->committed_leader_epoch,
		.metadata = p->committed_metadata,
	};

	if (p->partition_index < 0 || p->partition_index >= topic->partition_count) {
		*ret_error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return OK;
	}
	if (p->committed_metadata.size > OFFSET_METADATA_BYTES_MAX) {
		*ret_error = KAFKA_OFFSET_METADATA_TOO_LARGE;
		return OK;
	}
	*ret_error = KAFKA_NONE;
	enum err err = transaction_add_offset(c->cell, &c->transaction, &offset);
	return err == ERR_FULL ? ERR_TOO_BIG : err;
}

static void begin_topic(struct arena *a, const struct kafka_txn_offset_commit_request_topic *topic,
			struct kafka_txn_offset_commit_response_topic *ret, int16_t error)
{
	*ret = (struct kafka_txn_offset_commit_response_topic) {
		.name = topic->name,
		.partitions_count = topic->partitions_count,
		.partitions =
			arena_take_array(a, topic->partitions_count, sizeof(*ret->partitions)),
	};
	for (size_t i = 0; i < topic->partitions_count; i++)
		ret->partitions[i] = (struct kafka_txn_offset_commit_response_partition) {
			.partition_index = topic->partitions[i].partition_index,
			.error_code = error,
		};
}

static enum err take_topic(struct txn_commit *c,
			   const struct kafka_txn_offset_commit_request_topic *topic,
			   struct kafka_txn_offset_commit_response_topic *ret)
{
	struct catalog_topic found;

	if (!group_call_may(c->call, GRANT_READ, GRANT_TOPIC, topic->name)) {
		begin_topic(c->call->kafka->arena, topic, ret, KAFKA_TOPIC_AUTHORIZATION_FAILED);
		return OK;
	}
	enum err err = catalog_topic_by_name(c->call->kafka->arena, c->cell, topic->name, &found);

	begin_topic(c->call->kafka->arena, topic, ret, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	for (size_t i = 0; i < topic->partitions_count && !err; i++)
		err = take_partition(c, &found, &topic->partitions[i],
				     &ret->partitions[i].error_code);
	return err;
}

/* --- the operation -----------------------------------------------------------------------------
 */

static void txn_offset_commit_fail(struct group_call *call, int16_t error)
{
	const struct kafka_txn_offset_commit_request *request = call->request;
	struct kafka_txn_offset_commit_response *response = call->response;

	response->topics_count = request->topics_count;
	response->topics = arena_take_array(call->kafka->arena, request->topics_count,
					    sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count; i++)
		begin_topic(call->kafka->arena, &request->topics[i], &response->topics[i], error);
}

static enum err txn_offset_commit(struct cell *cell, struct group_call *call)
{
	struct kafka_txn_offset_commit_response *response = call->response;
	struct txn_commit c = {
		.cell = cell,
		.call = call,
		.request = call->request,
		.now_ms = (int64_t)leader_now_ms(call->kafka->coordinator->config.leader),
	};
	int16_t error;

	enum err err = admit(&c, &error);
	if (err)
		return err;
	txn_offset_commit_fail(call, error);
	if (error)
		return OK;
	for (size_t i = 0; i < c.request->topics_count && !err; i++)
		err = take_topic(&c, &c.request->topics[i], &response->topics[i]);
	return err ? err : transaction_save(cell, &c.transaction);
}

const struct group_api txn_offset_commit_api = {
	.key = KAFKA_API_TXN_OFFSET_COMMIT,
	.name = txn_offset_commit_name,
	.run = txn_offset_commit,
	.fail = txn_offset_commit_fail,
};
