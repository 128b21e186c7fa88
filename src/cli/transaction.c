/* hanse transaction list, describe, abort: ListTransactions of every broker, DescribeTransactions;
 * InitProducerId, which ends what is open and fences whoever began it. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/broker.h"
#include "cli/output.h"
#include "cli/page.h"
#include "cli/table.h"
#include "cli/where.h"
#include "wire/kafka/errors.h"

/* --- list --------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	const struct kafka_list_transactions_response_transaction *left = a, *right = b;

	return slice_compare(left->transactional_id, right->transactional_id);
}

static enum command_status ask_list(struct broker *b, struct kafka_list_transactions_response *ret)
{
	struct kafka_list_transactions_request request = { .duration_filter = -1 };
	struct broker_answers all;
	size_t count = 0;

	*ret = (struct kafka_list_transactions_response) { 0 };
	enum command_status status =
		broker_ask_all(b, KAFKA_API_LIST_TRANSACTIONS, &request, sizeof(*ret), &all);
	if (status)
		return status;
	for (size_t i = 0; i < all.count; i++) {
		const struct kafka_list_transactions_response *answer = all.answers[i];
		if (answer->error_code)
			return broker_refused("the transactions are not told", answer->error_code,
					      (struct slice) { 0 });
		count += answer->transaction_states_count;
	}
	struct kafka_list_transactions_response_transaction *rows =
		arena_take_array(&b->arena, count, sizeof(*rows));
	size_t used = 0;
	for (size_t i = 0; i < all.count; i++) {
		const struct kafka_list_transactions_response *answer = all.answers[i];
		for (size_t j = 0; j < answer->transaction_states_count; j++)
			rows[used++] = answer->transaction_states[j];
	}
	if (used > 1)
		qsort(rows, used, sizeof(*rows), by_name);
	ret->transaction_states = rows;
	/* While an agent comes or goes two may speak for one. */
	for (size_t i = 0; i < used; i++)
		if (i == 0 || by_name(&rows[ret->transaction_states_count - 1], &rows[i]) != 0)
			rows[ret->transaction_states_count++] = rows[i];
	return COMMAND_DONE;
}

static enum command_status print_list_json(const struct kafka_list_transactions_response *response,
					   const struct page *page)
{
	json_t *rows = json_array();

	for (size_t i = page->first; i < page->end; i++) {
		const struct kafka_list_transactions_response_transaction *row =
			&response->transaction_states[i];
		json_array_append_new(rows,
				      json_pack("{s:o, s:I, s:o}", "id",
						output_json_text(row->transactional_id),
						"producer_id", (json_int_t)row->producer_id,
						"state", output_json_text(row->transaction_state)));
	}
	json_t *document = json_pack("{s:o}", "transactions", rows);
	if (page->more_after.data)
		json_object_set_new(document, "more_after", output_json_text(page->more_after));
	return output_json(document);
}

static enum command_status print_list(struct broker *b,
				      const struct kafka_list_transactions_response *response,
				      const struct page *page)
{
	const char *const headings[] = { "ID", "PRODUCER", "STATE", NULL };
	struct table t;

	if (response->transaction_states_count == 0) {
		say("there are no transactional ids: a producer makes one when it begins");
		return COMMAND_DONE;
	}
	table_init(&t, &b->arena, headings);
	for (size_t i = page->first; i < page->end; i++) {
		table_add_text(&t, response->transaction_states[i].transactional_id);
		table_add_number(&t, response->transaction_states[i].producer_id);
		table_add_text(&t, response->transaction_states[i].transaction_state);
	}
	table_print(&t, stdout);
	table_done(&t);
	page_say_more(page);
	return COMMAND_DONE;
}

enum command_status transaction_list_run(const struct command_line *l)
{
	struct kafka_list_transactions_response response;
	struct page page = { 0 };
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = ask_list(&b, &response);
	if (!status)
		status =
			page_find(l, response.transaction_states, response.transaction_states_count,
				  sizeof(*response.transaction_states),
				  offsetof(struct kafka_list_transactions_response_transaction,
					   transactional_id),
				  &page);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_list_json(&response, &page)
							: print_list(&b, &response, &page);
	broker_close(&b);
	return status;
}

/* --- describe ----------------------------------------------------------------------------------
 */

static enum command_status ask(struct broker *b, const char *name,
			       struct kafka_describe_transactions_response_transaction *ret)
{
	struct slice id = slice_from(name);
	struct kafka_describe_transactions_request request = { .transactional_ids = &id,
							       .transactional_ids_count = 1 };
	struct kafka_describe_transactions_response response;
	const char *what = arena_format(&b->arena, "transactional id %s", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_DESCRIBE_TRANSACTIONS, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.transaction_states_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	*ret = response.transaction_states[0];
	if (ret->error_code)
		return broker_refused(what, ret->error_code, (struct slice) { 0 });
	return COMMAND_DONE;
}

static enum command_status print_one_json(
	const struct kafka_describe_transactions_response_transaction *t)
{
	json_t *partitions = json_array();

	for (size_t i = 0; i < t->topics_count; i++)
		for (size_t j = 0; j < t->topics[i].partitions_count; j++)
			json_array_append_new(partitions,
					      json_pack("{s:o, s:i}", "topic",
							output_json_text(t->topics[i].topic),
							"partition",
							(int)t->topics[i].partitions[j]));
	return output_json(json_pack(
		"{s:o, s:o, s:I, s:i, s:i, s:o, s:o}", "id", output_json_text(t->transactional_id),
		"state", output_json_text(t->transaction_state), "producer_id",
		(json_int_t)t->producer_id, "producer_epoch", (int)t->producer_epoch, "timeout_ms",
		(int)t->transaction_timeout_ms, "started_ms",
		output_json_offset(t->transaction_start_time_ms), "partitions", partitions));
}

static enum command_status print_one(
	struct broker *b, const struct kafka_describe_transactions_response_transaction *one)
{
	const char *const headings[] = { "TOPIC", "PARTITION", NULL };
	char when[WHERE_TIME_TEXT_BYTES];
	struct table t;

	where_time_text(one->transaction_start_time_ms, when);
	table_init(&t, &b->arena, NULL);
	table_add_text(&t, SLICE("id"));
	table_add_text(&t, one->transactional_id);
	table_add_text(&t, SLICE("state"));
	table_add_text(&t, one->transaction_state);
	table_add_text(&t, SLICE("producer"));
	table_add_text(&t, slice_from(arena_format(&b->arena, "%" PRId64 ", epoch %d",
						   one->producer_id, (int)one->producer_epoch)));
	table_add_text(&t, SLICE("began"));
	table_add_text(&t, slice_from(when));
	table_add_text(&t, SLICE("timeout"));
	table_add_text(&t, slice_from(arena_format(&b->arena, "%" PRId32 " ms",
						   one->transaction_timeout_ms)));
	table_print(&t, stdout);
	table_done(&t);
	if (one->topics_count == 0)
		return COMMAND_DONE;
	putchar('\n');
	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < one->topics_count; i++) {
		for (size_t j = 0; j < one->topics[i].partitions_count; j++) {
			table_add_text(&t, one->topics[i].topic);
			table_add_number(&t, one->topics[i].partitions[j]);
		}
	}
	table_print(&t, stdout);
	table_done(&t);
	return COMMAND_DONE;
}

enum command_status transaction_describe_run(const struct command_line *l)
{
	struct kafka_describe_transactions_response_transaction one = { 0 };
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = ask(&b, l->arguments[0], &one);
	if (!status)
		status =
			command_line_has(l, FLAG_JSON) ? print_one_json(&one) : print_one(&b, &one);
	broker_close(&b);
	return status;
}

/* --- abort -------------------------------------------------------------------------------------
 */

static enum command_status fence(struct broker *b, const char *name, int32_t timeout_ms)
{
	struct kafka_init_producer_id_request request = {
		.transactional_id = slice_from(name),
		.transaction_timeout_ms = timeout_ms,
		.producer_id = -1,
		.producer_epoch = -1,
	};
	struct kafka_init_producer_id_response response;
	const char *what = arena_format(&b->arena, "transactional id %s is as it was", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_INIT_PRODUCER_ID, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been done nevertheless: `hanse transaction describe %s` "
			 "shows it.",
			 name);
	if (status)
		return status;
	if (response.error_code)
		return broker_refused(what, response.error_code, (struct slice) { 0 });
	return COMMAND_DONE;
}

enum command_status transaction_abort_run(const struct command_line *l)
{
	struct kafka_describe_transactions_response_transaction one = { 0 };
	const char *name = l->arguments[0];
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = ask(&b, name, &one);
	if (!status)
		status = fence(&b, name, one.transaction_timeout_ms);
	if (!status && slice_equal(one.transaction_state, SLICE("Ongoing")))
		say("the transaction of %s was aborted, and its producer is fenced", name);
	else if (!status)
		say("%s had no open transaction; its producer is fenced", name);
	broker_close(&b);
	return status;
}
