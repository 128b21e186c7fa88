/* Control dies while it owes answers: nobody knows what became of the requests, and there is no
 * word for that, so the agent ends the connections. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "fault_private.h"

enum { APIS = 8, WAIT_MS = 300, POLL_MS = 10, GROUP_MEMBER_VERSION = 9 };

static const int16_t keys[APIS] = {
	KAFKA_API_JOIN_GROUP,	   KAFKA_API_SYNC_GROUP,    KAFKA_API_HEARTBEAT,
	KAFKA_API_LEAVE_GROUP,	   KAFKA_API_OFFSET_COMMIT, KAFKA_API_OFFSET_FETCH,
	KAFKA_API_DESCRIBE_GROUPS, KAFKA_API_DELETE_GROUPS,
};

/* What one version of one API came to: "" or a complaint. */
static const char *ends[APIS][FAULT_VERSIONS_MAX];
static bool is_done;

/* --- a request of each ---------------------------------------------------------------------------
 */

/* About a group that nobody knows: it does not matter what would have been answered. */
static const void *request_of(struct test *t, int16_t key, const struct topic *topic)
{
	static struct kafka_sync_group_request sync;
	static struct kafka_heartbeat_request heartbeat;
	static struct kafka_leave_group_request leave;
	static struct kafka_leave_group_request_member leaver;
	static struct kafka_offset_commit_request commit;
	static struct kafka_offset_commit_request_topic commit_topic;
	static struct kafka_offset_commit_request_partition commit_partition;
	static struct kafka_offset_fetch_request fetch;
	static struct kafka_offset_fetch_request_group fetch_group;
	static struct kafka_describe_groups_request describe;
	static struct kafka_delete_groups_request delete;
	static struct slice group;

	group = test_name(t, "group");
	switch (key) {
	case KAFKA_API_JOIN_GROUP:
		return join_request(t, &(struct member) { .group = group, .member_id = SLICE("") });
	case KAFKA_API_SYNC_GROUP:
		sync = (struct kafka_sync_group_request) { .group_id = group,
							   .member_id = SLICE("me") };
		return &sync;
	case KAFKA_API_HEARTBEAT:
		heartbeat = (struct kafka_heartbeat_request) { .group_id = group,
							       .member_id = SLICE("me") };
		return &heartbeat;
	case KAFKA_API_LEAVE_GROUP:
		leaver = (struct kafka_leave_group_request_member) { .member_id = SLICE("me") };
		leave = (struct kafka_leave_group_request) { group, SLICE("me"), &leaver, 1 };
		return &leave;
	case KAFKA_API_OFFSET_COMMIT:
		commit_partition = (struct kafka_offset_commit_request_partition) {
			.committed_metadata = SLICE(""),
		};
		commit_topic = (struct kafka_offset_commit_request_topic) { topic->name, topic->id,
									    &commit_partition, 1 };
		commit = (struct kafka_offset_commit_request) {
			.group_id = group,
			.generation_id_or_member_epoch = -1,
			.member_id = SLICE(""),
			.topics = &commit_topic,
			.topics_count = 1,
		};
		return &commit;
	case KAFKA_API_OFFSET_FETCH:
		fetch_group = (struct kafka_offset_fetch_request_group) { .group_id = group };
		fetch = (struct kafka_offset_fetch_request) {
			.group_id = group,
			.groups = &fetch_group,
			.groups_count = 1,
		};
		return &fetch;
	case KAFKA_API_DESCRIBE_GROUPS:
		describe = (struct kafka_describe_groups_request) { &group, 1, false };
		return &describe;
	default:
		delete = (struct kafka_delete_groups_request) { &group, 1 };
		return &delete;
	}
}

/* --- all of them at once -------------------------------------------------------------------------
 */

static bool has_something(const struct client *c)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) != 0;
}

static const char *how_it_ends(const struct client *c, uint64_t end_ms)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };
	uint64_t now_ms = clock_now_ms();
	uint8_t byte;

	if (poll(&poll_fd, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0) == 0)
		return "the connection stays open";
	return read(c->fd, &byte, 1) > 0 ? "there was an answer" : "";
}

static void await_control(struct test *t)
{
	uint64_t end_ms = clock_now_ms() + TEST_PATIENCE_MS;

	while (!fault_find_role("control")) {
		if (clock_now_ms() >= end_ms)
			FAIL(t, "control was not started again");
		usleep(POLL_MS * 1000);
	}
}

static void let_control_die(struct test *t)
{
	struct client *clients[APIS][FAULT_VERSIONS_MAX];
	struct topic topic = topic_make(t, 1);
	int16_t mine = t->version;

	fault_signal(t, "control", SIGSTOP);
	for (int i = 0; i < APIS; i++) {
		const struct matrix_api *api = fault_api(keys[i]);
		for (int16_t v = api->first; v <= api->last; v++) {
			clients[i][v] = client_open(t);
			t->version = v;
			client_send(t, clients[i][v], keys[i], v, request_of(t, keys[i], &topic));
		}
	}
	t->version = mine;
	usleep(WAIT_MS * 1000);
	for (int i = 0; i < APIS; i++)
		for (int16_t v = fault_api(keys[i])->first; v <= fault_api(keys[i])->last; v++)
			if (has_something(clients[i][v]))
				ends[i][v] = "it did not wait for control";
	fault_signal(t, "control", SIGKILL);
	uint64_t end_ms = clock_now_ms() + TEST_PATIENCE_MS;
	for (int i = 0; i < APIS; i++)
		for (int16_t v = fault_api(keys[i])->first; v <= fault_api(keys[i])->last; v++)
			if (!ends[i][v])
				ends[i][v] = how_it_ends(clients[i][v], end_ms);
	await_control(t);
	is_done = true;
}

void fault_control_dies(struct test *t)
{
	int i = 0;

	fault_need_node(t);
	if (!is_done)
		let_control_die(t);
	while (keys[i] != t->key)
		i++;
	if (ends[i][t->version][0])
		FAIL(t, "%s", ends[i][t->version]);
}
