/* One frame of an agent that wants an answer, as a child task of its session. */
#ifndef STREAMS_COORDINATOR_CALL_H
#define STREAMS_COORDINATOR_CALL_H

#include "streams/coordinator/commit_file.h"
#include "streams/coordinator/hello.h"
#include "streams/coordinator/kafka_call.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/share_records.h"
#include "streams/coordinator/usage.h"
#include "wire/peer/frame.h"

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
		struct {
			struct peer_commit_file_request request;
			struct peer_commit_file_response response;
			struct commit_file run;
		} commit_file;
		struct peer_forget_files_request forget_files;
		struct {
			struct peer_usage_request request;
			struct usage_report report;
		} usage;
		struct {
			struct peer_condition_request request;
			int32_t others;
		} condition;
		struct {
			struct peer_share_request request;
			struct peer_share_response response;
			struct share_records run;
		} share;
		struct kafka_call kafka;
	};
};

/* NULL: nobody answers this message. */
struct call *call_start(struct coordinator *c, struct task *session, struct list *ended,
			const struct frame *frame);
void call_free(struct call *call);

#endif
