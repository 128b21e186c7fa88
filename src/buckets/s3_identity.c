#include "buckets/s3_identity.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"

enum {
	HEADER_BYTES = S3_PLACE_TOKEN_BYTES + 64,
	URL_BYTES = S3_PLACE_BYTES + 256,
	ROLE_BYTES = 128,
	ANSWER_BYTES_MAX = 64 << 10,
	HOST_BYTES_SHOWN = 22,
	PAUSE_DOUBLINGS_MAX = 6,
};

enum fetch { FETCH_NOTHING, FETCH_CONTAINER, FETCH_TOKEN, FETCH_ROLE, FETCH_KEYS };

struct s3_identity {
	char profile[S3_PLACE_BYTES];
	bool is_fixed; /* from environment or file */
	struct s3_place place;
	struct s3_http *http;
	struct list users;

	struct s3_credentials credentials;
	uint64_t number;		      /* of what there is now; 0: nothing yet */
	int64_t usable_until_ms, renew_at_ms; /* wall clock: it goes on while a machine sleeps */

	enum fetch at;
	struct s3_exchange exchange;
	char url[URL_BYTES], token[HEADER_BYTES];
	const char *headers[2];
	struct loop *loop;
	int failures;	       /* since the last that did not fail */
	uint64_t failed_at_ms; /* of the loop's clock */
	char why[TASK_WHY_BYTES];
};

/* --- one fetch ------------------------------------------------------------------------------- */
static void wake_all(struct s3_identity *i)
{
	LIST_EACH (&i->users, struct s3_user, link, u) {
		if (u->is_waiting)
			task_wake(u->task);
		u->is_waiting = false;
	}
}

static struct slice host_of(const struct s3_identity *i)
{
	const char *host = strstr(i->place.url, "://") + 3;
	size_t size = strcspn(host, "/");

	return (struct slice) { (const uint8_t *)host,
				size < HOST_BYTES_SHOWN ? size : HOST_BYTES_SHOWN };
}

/* Said once: operations say it when they cannot go on. */
static void fail(struct s3_identity *i, const char *reason)
{
	i->at = FETCH_NOTHING;
	i->failed_at_ms = loop_now_ms(i->loop);
	if (i->number)
		snprintf(i->why, sizeof(i->why), "no new credentials from %.*s: %.60s",
			 SLICE_ARG(host_of(i)), reason);
	else
		snprintf(i->why, sizeof(i->why),
			 "no S3 credentials in AWS_ACCESS_KEY_ID, ~/.aws/credentials or at "
			 "%.*s: %.30s",
			 SLICE_ARG(host_of(i)), reason);
	if (i->failures++ == 0 && i->number)
		log_warn("%s", i->why);
	wake_all(i);
}

static void on_over(struct s3_exchange *x);

static void ask(struct s3_identity *i, enum fetch at, const char *method)
{
	i->at = at;
	s3_exchange_done(&i->exchange);
	i->exchange = (struct s3_exchange) {
		.method = method,
		.url = i->url,
		.headers = i->headers,
		.header_count = i->token[0] ? 1 : 0,
		.body_bytes_max = ANSWER_BYTES_MAX,
		.timeout_ms = S3_FETCH_MS,
		.is_direct = true,
		.on_over = on_over,
	};
	i->headers[0] = i->token;
	s3_exchange_start(&i->exchange, i->http, i->loop);
}

static void start_fetch(struct s3_identity *i)
{
	char token[S3_PLACE_TOKEN_BYTES] = "", why[TASK_WHY_BYTES] = "";

	if (!i->place.is_container) {
		snprintf(i->url, sizeof(i->url), "%s/latest/api/token", i->place.url);
		snprintf(i->token, sizeof(i->token), "X-aws-ec2-metadata-token-ttl-seconds: %d",
			 S3_FETCH_SECONDS_MAX);
		ask(i, FETCH_TOKEN, "PUT");
		return;
	}
	if (s3_place_token(token, why)) {
		fail(i, why);
		return;
	}
	snprintf(i->url, sizeof(i->url), "%s", i->place.url);
	snprintf(i->token, sizeof(i->token), token[0] ? "Authorization: %s" : "%s", token);
	ask(i, FETCH_CONTAINER, "GET");
}

/* The first line of the answer, as a part of a header or of a path. */
static bool take_line(const struct s3_exchange *x, char *ret, size_t size)
{
	struct slice line = x->body ? blob_slice(x->body) : SLICE("");

	line = slice_cut(&line, '\n');
	if (line.size == 0 || line.size >= size)
		return false;
	for (size_t k = 0; k < line.size; k++)
		if (line.data[k] <= ' ' || line.data[k] > '~')
			return false;
	memcpy(ret, line.data, line.size);
	ret[line.size] = '\0';
	return true;
}

/* A quarter of their time before they expire, or up to an eighth earlier: not all nodes at once. */
static void take_credentials(struct s3_identity *i)
{
	struct s3_exchange *x = &i->exchange;
	int64_t expires_ms, left_ms, now_ms = clock_wall_ms();
	char why[TASK_WHY_BYTES] = "";

	if (s3_credentials_parse_json(&i->credentials, &expires_ms,
				      x->body ? blob_slice(x->body) : SLICE(""), why)) {
		fail(i, why);
		return;
	}
	if (expires_ms < now_ms + S3_LIFE_MS_MIN)
		expires_ms = now_ms + S3_LIFE_MS_MIN;
	left_ms = expires_ms - now_ms;
	i->usable_until_ms = expires_ms;
	i->renew_at_ms = expires_ms;
	if (expires_ms != INT64_MAX)
		i->renew_at_ms -=
			left_ms / 4 + (int64_t)(random_u64() % (uint64_t)(left_ms / 8 + 1));
	i->number++;
	i->failures = 0;
	i->at = FETCH_NOTHING;
	if (i->number == 1)
		log_info("S3 credentials come from %.*s", SLICE_ARG(host_of(i)));
	wake_all(i);
}

static void refused(struct s3_identity *i)
{
	const struct s3_exchange *x = &i->exchange;
	char reason[TASK_WHY_BYTES];

	if (x->outcome != S3_ANSWERED)
		snprintf(reason, sizeof(reason), "%.100s", x->timed_out ? "no answer" : x->trouble);
	else
		snprintf(reason, sizeof(reason), "%s %d",
			 i->at == FETCH_ROLE ? "no role," : "it answers", x->status);
	fail(i, reason);
}

static void on_over(struct s3_exchange *x)
{
	struct s3_identity *i = CONTAINER(x, struct s3_identity, exchange);
	char line[S3_PLACE_TOKEN_BYTES];

	if (x->outcome != S3_ANSWERED || x->status != 200) {
		refused(i);
		return;
	}
	switch (i->at) {
	case FETCH_NOTHING:
		break;
	case FETCH_CONTAINER:
	case FETCH_KEYS:
		take_credentials(i);
		return;
	case FETCH_TOKEN:
		if (!take_line(x, line, sizeof(line))) {
			fail(i, "its token is none");
			return;
		}
		snprintf(i->token, sizeof(i->token), "X-aws-ec2-metadata-token: %s", line);
		snprintf(i->url, sizeof(i->url), "%s/latest/meta-data/iam/security-credentials/",
			 i->place.url);
		ask(i, FETCH_ROLE, "GET");
		return;
	case FETCH_ROLE:
		if (!take_line(x, line, ROLE_BYTES) || strpbrk(line, "/?#%")) {
			fail(i, "its role is none");
			return;
		}
		snprintf(i->url, sizeof(i->url),
			 "%s/latest/meta-data/iam/security-credentials/%.127s", i->place.url, line);
		ask(i, FETCH_KEYS, "GET");
		return;
	}
	abort();
}

/* --- who uses it ----------------------------------------------------------------------------- */
void s3_user_begin(struct s3_user *u, struct s3_identity *i, struct task *task)
{
	u->identity = i;
	u->task = task;
	list_add(&i->users, &u->link);
}

void s3_user_end(struct s3_user *u)
{
	struct s3_identity *i = u->identity;

	if (!i || !list_is_linked(&u->link))
		return;
	list_remove(&u->link);
	if (!list_is_empty(&i->users))
		return;
	s3_exchange_done(&i->exchange);
	i->at = FETCH_NOTHING;
}

/* Is it too early for another attempt?  While there are usable ones there is no hurry. */
static bool is_pausing(const struct s3_identity *i, bool is_usable)
{
	int doublings = i->failures - 1;

	if (i->failures == 0)
		return false;
	if (!is_usable)
		doublings = 0;
	else if (doublings > PAUSE_DOUBLINGS_MAX)
		doublings = PAUSE_DOUBLINGS_MAX;
	return loop_now_ms(i->loop) < i->failed_at_ms + ((uint64_t)S3_FETCH_PAUSE_MS << doublings);
}

enum err s3_user_credentials(struct s3_user *u, const struct s3_credentials **ret,
			     char why[TASK_WHY_BYTES])
{
	struct s3_identity *i = u->identity;
	int64_t now_ms = clock_wall_ms();
	bool is_usable = i->is_fixed || (i->number > 0 && now_ms < i->usable_until_ms);

	i->loop = u->task->loop;
	if (!i->is_fixed && (!is_usable || now_ms >= i->renew_at_ms) && i->at == FETCH_NOTHING &&
	    !is_pausing(i, is_usable))
		start_fetch(i);
	u->is_waiting = !is_usable && i->at != FETCH_NOTHING;
	if (u->is_waiting)
		return ERR_BUSY;
	if (!is_usable) {
		snprintf(why, TASK_WHY_BYTES, "%s", i->why);
		return i->number ? ERR_UNAVAILABLE : ERR_DENIED;
	}
	u->number = i->number;
	*ret = &i->credentials;
	return OK;
}

bool s3_user_renew(struct s3_user *u, char why[TASK_WHY_BYTES])
{
	struct s3_identity *i = u->identity;

	if (i->is_fixed)
		return s3_credentials_load(&i->credentials, i->profile, why) == OK;
	if (u->number == i->number) /* else somebody was quicker */
		i->usable_until_ms = i->renew_at_ms = 0;
	return true;
}

/* --- life ------------------------------------------------------------------------------------ */
enum err s3_identity_new(const char *profile, struct s3_http *h, struct s3_identity **ret,
			 char why[TASK_WHY_BYTES])
{
	struct s3_identity i = { .http = h };
	enum err err = s3_credentials_load(&i.credentials, profile, why);

	i.is_fixed = err == OK;
	if (err == ERR_NOT_FOUND)
		err = s3_place_find(&i.place, why);
	if (err)
		return err;
	snprintf(i.profile, sizeof(i.profile), "%s", profile);
	*ret = NEW(struct s3_identity);
	**ret = i;
	list_init(&(*ret)->users);
	memset(&i.credentials, 0, sizeof(i.credentials));
	return OK;
}

void s3_identity_free(struct s3_identity *i)
{
	if (!i)
		return;
	assert(list_is_empty(&i->users) && i->at == FETCH_NOTHING);
	s3_exchange_done(&i->exchange);
	memset(&i->credentials, 0, sizeof(i->credentials));
	memset(i->token, 0, sizeof(i->token));
	memory_free(i);
}
