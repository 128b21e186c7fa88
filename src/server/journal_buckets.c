#include "server/journal_buckets.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "buckets/hedge.h"
#include "buckets/sealed.h"
#include "server/options.h"

enum err journal_buckets_open(struct journal_buckets *b, const char *urls,
			      const struct keyring *keys, char why[TASK_WHY_BYTES])
{
	char copy[OPTION_VALUE_BYTES_MAX], *rest = copy;

	snprintf(copy, sizeof(copy), "%s", urls);
	for (char *url = strsep(&rest, ","); url; url = strsep(&rest, ",")) {
		assert(b->count < JOURNAL_BUCKETS_MAX);
		struct bucket **it = &b->list[b->count];
		enum err err = bucket_open(url, it, why);
		if (err)
			return err;
		*it = hedge_bucket_if_far(*it);
		if (keys)
			*it = sealed_bucket_new(*it, keyring_get(keys, KEY_JOURNAL));
		b->count++;
	}
	return OK;
}

void journal_buckets_finish(struct journal_buckets *b, struct loop *loop)
{
	for (int i = 0; i < b->count; i++)
		hedge_finish(b->list[i], loop);
}

void journal_buckets_close(struct journal_buckets *b)
{
	for (int i = 0; i < b->count; i++)
		bucket_close(b->list[i]);
}
