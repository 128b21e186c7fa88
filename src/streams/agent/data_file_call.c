/* What the job of a data file says to control. */
#include "base/clock.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/file_commit.h"
#include "streams/agent/file_writer_private.h"
#include "wire/peer/frame.h"

/* --- turns -------------------------------------------------------------------------------------
 */

/* Sent on the connection that stands, answered or not. */
static bool commit_is_on_its_way(const struct data_file_job *f)
{
	return f->task.at == FILE_COMMITTED && (f->call.link || f->call.ret_bytes);
}

static bool is_whole(const struct data_file_job *f)
{
	return f->is_whole || f->announcing == NOT_ANNOUNCED;
}

bool data_file_is_turn(const struct data_file_job *f, int64_t *ret_after)
{
	struct commit_chain chain;

	*ret_after = 0;
	commit_chain_begin(&chain, &f->order);
	for (struct list *link = f->link.prev; link != &f->writer->files; link = link->prev) {
		const struct data_file_job *earlier = CONTAINER(link, struct data_file_job, link);

		if (earlier->incarnation != f->incarnation)
			return false; /* it will be gone in a moment */
		switch (commit_chain_look(&chain, &earlier->order)) {
		case COMMIT_FREE:
			break;
		case COMMIT_NEAREST:
			if (!commit_is_on_its_way(earlier))
				return false;
			*ret_after = earlier->sequence;
			break;
		case COMMIT_DECIDED:
			return false;
		}
	}
	return is_whole(f) || *ret_after == 0 || *ret_after == f->announced_after;
}

/* The first file that is not decided; this one at the latest. */
static int64_t low_sequence(const struct data_file_job *f)
{
	LIST_EACH (&f->writer->files, struct data_file_job, link, earlier)
		if (earlier->incarnation == f->incarnation)
			return earlier->sequence;
	return f->sequence;
}

static void send_request(struct data_file_job *f, struct control_call *call, int64_t after_sequence,
			 bool is_announcement)
{
	struct peer_commit_file_request request = {
		.incarnation = f->incarnation,
		.sequence = f->sequence,
		.low_sequence = low_sequence(f),
		.after_sequence = after_sequence,
		.key = slice_from(f->key),
		.size = (int64_t)data_file_writer_size(&f->data),
		.is_announcement = is_announcement,
	};
	struct arena a;

	arena_init(&a);
	file_commit_describe(&a, &f->data, f->transactions, &request);
	control_call(call, &f->task, f->writer->agent->link, &peer_commit_file_request_schema,
		     &request);
	arena_done(&a);
}

static void send_confirmation(struct data_file_job *f)
{
	struct peer_confirm_file_request request = {
		.incarnation = f->incarnation,
		.sequence = f->sequence,
		.low_sequence = low_sequence(f),
	};

	control_call(&f->call, &f->task, f->writer->agent->link, &peer_confirm_file_request_schema,
		     &request);
}

void data_file_send_commit(struct data_file_job *f, int64_t after_sequence)
{
	f->is_whole = is_whole(f);
	if (f->is_whole)
		send_request(f, &f->call, after_sequence, false);
	else
		send_confirmation(f);
	f->is_resent |= f->is_sent && f->call.link;
	f->is_sent |= f->call.link != NULL;
}

void data_file_send_withdrawal(struct data_file_job *f)
{
	struct peer_withdraw_file_request request = {
		.incarnation = f->incarnation,
		.sequence = f->sequence,
	};

	control_call(&f->call, &f->task, f->writer->agent->link, &peer_withdraw_file_request_schema,
		     &request);
}

/* --- announcing --------------------------------------------------------------------------------
 */

/* What goes in parts may not keep to create-if-absent everywhere: it could hide a tombstone. */
static bool may_be_announced(const struct data_file_job *f)
{
	const struct file_writer *w = f->writer;

	return w->is_far && w->agent->config.bucket->class == BUCKET_CAS &&
	       f->incarnation == w->incarnation &&
	       data_file_writer_size(&f->data) <= FILE_WRITER_ANNOUNCED_BYTES_MAX &&
	       control_link_wants_announcements(w->agent->link);
}

/* The nearest earlier file that matters to this one, 0: none; it is put or queued. */
static int64_t nearest_before(const struct data_file_job *f)
{
	struct commit_chain chain;

	commit_chain_begin(&chain, &f->order);
	for (struct list *link = f->link.prev; link != &f->writer->files; link = link->prev) {
		const struct data_file_job *earlier = CONTAINER(link, struct data_file_job, link);

		if (earlier->incarnation == f->incarnation &&
		    commit_chain_look(&chain, &earlier->order) == COMMIT_NEAREST)
			return earlier->sequence;
	}
	return 0;
}

void data_file_announce(struct data_file_job *f)
{
	if (!may_be_announced(f))
		return;
	f->announced_after = nearest_before(f);
	send_request(f, &f->announcement, f->announced_after, true);
	f->announcing = f->announcement.link ? ANNOUNCING : NOT_ANNOUNCED;
	f->announced_us = clock_now_us();
}

/* Which answers say that control has not kept it? */
static enum announcing announcing_of(enum err err)
{
	switch (err) {
	case OK:
		return ANNOUNCED;
	case ERR_FULL:
	case ERR_TOO_BIG:
	case ERR_BUSY:
	case ERR_DENIED:
	case ERR_UNSUPPORTED:
		return NOT_ANNOUNCED;
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_CONFLICT:
	case ERR_INVALID:
	case ERR_TIMEOUT:
	case ERR_CANCELED:
	case ERR_UNAVAILABLE:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_UNKNOWN:
	case ERR_COUNT:
		break;
	}
	return MAYBE_ANNOUNCED;
}

void data_file_take_announcement(struct data_file_job *f)
{
	struct peer_commit_file_response response;
	struct agent_numbers *numbers = f->writer->agent->numbers;
	enum err err = f->announcement.task.err;
	struct arena a;

	if (f->announcing != ANNOUNCING || task_is_running(&f->announcement.task))
		return;
	arena_init(&a);
	if (!err && schema_decode_all(&a, &peer_commit_file_response_schema, 0,
				      f->announcement.ret_body, &response))
		err = ERR_CORRUPT;
	else if (!err)
		err = peer_error_decode(response.error);
	arena_done(&a);
	blob_unref(&f->announcement.ret_bytes);
	f->announcing = err == ERR_UNAVAILABLE && f->announcement.task.err ? NOT_ANNOUNCED
									   : announcing_of(err);
	if (f->announcing == ANNOUNCED)
		histogram_add(&numbers->announcement_took, &histogram_times,
			      clock_now_us() - f->announced_us);
	numbers->announcements_refused += f->announcing == NOT_ANNOUNCED;
}
