#include "fault_private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/scope.h"

enum {
	PATH_BYTES_MAX = 512,
	OPEN_FILES_MAX = 8,
	POLL_MS = 10,
	UNHEARD_MS = 1200, /* then the agent doubts whether control still leads */
	DAMAGED_AT = 200,  /* inside of the batches */
};

int fault_node_pid;
const char *fault_bucket;

/* --- processes ---------------------------------------------------------------------------------
 */

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

static bool is_role(int pid, const char *role)
{
	char path[64], words[256] = "", wanted[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	snprintf(wanted, sizeof(wanted), "role:%s", role);
	AUTO_FILE file = fopen(path, "re");
	size_t size = file ? fread(words, 1, sizeof(words), file) : 0;
	return memmem(words, size, wanted, strlen(wanted) + 1) != NULL;
}

int fault_find_role(const char *role)
{
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", fault_node_pid, fault_node_pid);
	AUTO_FILE file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		if (is_role(pid, role))
			return pid;
	return 0;
}

void fault_need_node(struct test *t)
{
	if (!fault_node_pid || !fault_bucket)
		test_skip(t, "kafka_matrix was not told the node's process and bucket");
}

static int stopped_pid; /* what has to go on in the end */

void fault_signal(struct test *t, const char *role, int number)
{
	int pid = fault_find_role(role);
	if (!pid || kill(pid, number) < 0)
		FAIL(t, "there is no process %s", role);
	stopped_pid = number == SIGSTOP ? pid : 0;
}

/* Afterwards nothing that was read or written is in memory any more. */
static void restart_streams(struct test *t)
{
	uint64_t end_ms = clock_now_ms() + TEST_PATIENCE_MS;
	int old = fault_find_role("streams");

	fault_signal(t, "streams", SIGKILL);
	for (;;) {
		int now = fault_find_role("streams");
		if (now && now != old && client_may_connect())
			return;
		if (clock_now_ms() >= end_ms)
			FAIL(t, "streams was not started again");
		sleep_ms(POLL_MS);
	}
}

/* --- the bucket --------------------------------------------------------------------------------
 */

static char hidden[PATH_BYTES_MAX]; /* the directory that is not there now, "" for none */
static char newest[PATH_BYTES_MAX]; /* the data file written last */
static struct timespec newest_time;
static bool is_damaged;

static void away_path(char *ret)
{
	snprintf(ret, PATH_BYTES_MAX, "%.500s.away", hidden);
}

/* A file where there should be a directory stops root as well. */
static void hide(struct test *t, const char *name)
{
	char away[PATH_BYTES_MAX];

	snprintf(hidden, sizeof(hidden), "%.400s/%s", fault_bucket, name);
	away_path(away);
	if (rename(hidden, away) < 0) {
		hidden[0] = '\0';
		FAIL(t, "%s cannot be moved: %s", name, strerror(errno));
	}
	int fd = open(hidden, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		FAIL(t, "%s cannot be replaced: %s", name, strerror(errno));
	close(fd);
}

static void show_again(void)
{
	char away[PATH_BYTES_MAX];

	if (!hidden[0])
		return;
	away_path(away);
	if (unlink(hidden) < 0 || rename(away, hidden) < 0)
		perror(hidden);
	hidden[0] = '\0';
}

static int look_for_newest(const char *path, const struct stat *status, int type, struct FTW *place)
{
	const struct timespec *at = &status->st_mtim;
	bool is_newer = at->tv_sec > newest_time.tv_sec ||
			(at->tv_sec == newest_time.tv_sec && at->tv_nsec > newest_time.tv_nsec);

	(void)place;
	if (type == FTW_F && is_newer) {
		snprintf(newest, sizeof(newest), "%s", path);
		newest_time = *at;
	}
	return 0;
}

/* Twice is not at all. */
static bool flip_byte(void)
{
	uint8_t byte = 0;
	int fd = open(newest, O_RDWR | O_CLOEXEC);
	bool done = fd >= 0 && pread(fd, &byte, 1, DAMAGED_AT) == 1;

	byte = (uint8_t)~byte;
	done = done && pwrite(fd, &byte, 1, DAMAGED_AT) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

static void damage(struct test *t)
{
	char path[PATH_BYTES_MAX];

	snprintf(path, sizeof(path), "%.400s/v1/d", fault_bucket);
	newest_time = (struct timespec) { 0 };
	if (nftw(path, look_for_newest, OPEN_FILES_MAX, FTW_PHYS) || !newest_time.tv_sec)
		FAIL(t, "no data file is there");
	is_damaged = flip_byte();
	if (!is_damaged)
		FAIL(t, "%s cannot be damaged: %s", newest, strerror(errno));
}

void fault_heal(void)
{
	show_again();
	if (is_damaged && !flip_byte())
		perror(newest);
	is_damaged = false;
	if (stopped_pid)
		kill(stopped_pid, SIGCONT);
	stopped_pid = 0;
}

/* --- a round -----------------------------------------------------------------------------------
 */

/* A change that cannot become durable: every later answer waits for it. */
static struct client *leave_pending(struct test *t)
{
	struct client *c = client_open(t);
	struct kafka_metadata_request_topic topic = { .name = test_name(t, "pending") };
	const struct kafka_metadata_request request = {
		.topics = &topic,
		.topics_count = 1,
		.allow_auto_topic_creation = true,
	};

	client_send(t, c, KAFKA_API_METADATA, 1, &request);
	return c;
}

/* Returns a connection whose answer says that it is over, or NULL. */
static struct client *break_it(struct test *t, enum fault_kind kind)
{
	struct client *pending = NULL;

	switch (kind) {
	case FAULT_JOURNAL_BLOCKED:
		hide(t, "v1/j");
		pending = leave_pending(t);
		sleep_ms(UNHEARD_MS);
		break;
	case FAULT_DATA_REFUSED:
		hide(t, "v1/d");
		break;
	case FAULT_DATA_MISSING:
		restart_streams(t);
		hide(t, "v1/d");
		break;
	case FAULT_DATA_DAMAGED:
		restart_streams(t);
		damage(t);
		break;
	}
	return pending;
}

static struct slice keep(struct slice s)
{
	uint8_t *copy = memory_take(s.size + 1);

	memcpy(copy, s.data, s.size);
	return (struct slice) { copy, s.size };
}

const struct matrix_api *fault_api(int16_t key)
{
	for (size_t i = 0; i < matrix_apis_count; i++)
		if (matrix_apis[i]->key == key)
			return matrix_apis[i];
	abort();
}

static void ask_all(struct test *t, struct fault_round *round)
{
	const struct kafka_api *spoken = kafka_api_find(t->key);
	int16_t first = spoken->version_first, last = fault_api(t->key)->last, mine = t->version;
	struct client *clients[FAULT_VERSIONS_MAX];
	const void *requests[FAULT_VERSIONS_MAX];

	CHECK(t, last < FAULT_VERSIONS_MAX);
	round->topic = topic_make(t, 1);
	(void)topic_append(t, &round->topic, 0, batch_make(t, FAULT_RECORDS));
	for (t->version = first; t->version <= last; t->version++)
		requests[t->version] = round->ask(t, &round->topic);
	t->version = mine;
	struct client *pending = break_it(t, round->kind);
	for (int16_t v = first; v <= last; v++) {
		clients[v] = client_open(t);
		round->correlation_ids[v] = client_send(t, clients[v], t->key, v, requests[v]);
	}
	for (int16_t v = first; v <= last; v++)
		round->answers[v] = keep(client_receive_bytes(t, clients[v]));
	fault_heal();
	if (pending)
		client_receive_bytes(t, pending);
	round->topic.name = keep(round->topic.name);
	round->is_done = true;
}

const void *fault_answer(struct test *t, struct fault_round *round)
{
	fault_need_node(t);
	if (!round->is_done)
		ask_all(t, round);
	return client_decode(t, t->key, t->version, round->correlation_ids[t->version],
			     round->answers[t->version]);
}
