/* One frame of an agent that wants an answer, as a child task of its session. */
#ifndef STREAMS_COORDINATOR_CALL_H
#define STREAMS_COORDINATOR_CALL_H

#include "loop/timer.h"
#include "streams/coordinator/announced.h"
#include "streams/coordinator/commit_file.h"
#include "streams/coordinator/compaction_swap.h"
#include "streams/coordinator/forget_files.h"
#include "streams/coordinator/hello.h"
#include "streams/coordinator/kafka_call.h"
#include "streams/coordinator/key_job.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/share_records.h"
#include "streams/coordinator/usage.h"
#include "wire/peer/frame.h"

/* Everything about a data file before it is committed: call_file.c. */
struct call_commit_file {
	struct peer_commit_file_request request;
	struct peer_commit_file_response response;
	struct commit_file run;
	struct announced_command announced;
	struct announced_hold hold;
	struct sleep sleep;
};

struct call {
	struct task task;
	struct list link;   /* in the session's list of calls, in `ended` when it has ended */
	struct list *ended; /* of the session, so that it need not look at all of them */
	struct coordinator *coordinator;
	struct arena arena;
	struct slice body; /* in the arena */
	uint32_t correlation_id;
	struct buf response; /* a whole frame when the task is done */
	struct leader_call leader;
	int64_t incarnation; /* of a hello that went well */
	union {
		struct {
			struct peer_hello_request request;
			struct hello run;
		} hello;
		struct call_commit_file commit_file;
		struct peer_settle_request settle;
		struct forget_files forget_files;
		struct {
			struct peer_usage_request request;
			struct usage_report report;
		} usage;
		struct {
			struct peer_job_take_request request;
			uint64_t number; /* of the job; 0: none */
			int64_t incarnation;
		} job_take;
		struct {
			struct peer_job_finish_request request;
			struct compaction_swap run;
		} job_finish;
		struct {
			struct peer_condition_request request;
			int32_t others;
		} condition;
		struct {
			struct peer_share_request request;
			struct peer_share_response response;
			struct share_records run;
		} share;
		struct {
			struct peer_orphans_request request;
			struct orphans_page page;
		} orphans;
		struct {
			struct peer_key_job_response response;
			struct key_job_call run;
		} key_job;
		struct {
			struct peer_key_swap_request request;
			struct key_swap run;
		} key_swap;
		struct kafka_call kafka;
	};
};

/* NULL: nobody answers this message. */
struct call *call_start(struct coordinator *c, struct task *session, struct list *ended,
			const struct frame *frame);
void call_free(struct call *call);

/* The incarnation of the agent that asks; 0: it has not said hello. */
int64_t call_agent(const struct call *call);

/* True: there is a job for the agent, which needs an incarnation; else *ret_err is the answer. */
bool call_take_job(struct call *call, enum err *ret_err);

/* The command that swaps; `argument` is the call. */
MUST_CHECK enum err call_finish_job(struct cell *cell, void *argument);

/* --- for the steps of calls --------------------------------------------------------------------
 */
enum { CALL_START, CALL_DURABLE, CALL_CHECKED };

enum step call_end(struct call *call, enum err err);
enum step call_answer(struct call *call, const struct schema *schema, const void *value);
MUST_CHECK enum err call_decode(struct call *call, const struct schema *schema, void *ret);

/* What most calls are: a request, one command on the cell, and an answer when that is durable. */
struct call_decision {
	enum err (*begin)(struct call *call, void **ret_argument); /* decodes, and checks */
	enum err (*run)(struct cell *cell, void *argument);
	enum step (*answer)(struct call *call, enum err err);
	enum leader_kind kind;
};
enum step call_decide(struct task *t, const struct call_decision *d);

enum step call_commit_file_step(struct task *t);
enum step call_confirm_file_step(struct task *t);
enum step call_withdraw_file_step(struct task *t);
enum step call_settle_step(struct task *t);

#endif
