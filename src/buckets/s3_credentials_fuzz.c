/* Any bytes as a file of credentials and as a machine's answer.
 * seeds: test/corpus/s3_credentials */
#include "buckets/s3_credentials.h"

#include <stdlib.h>

static void require_header(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			abort();
}

static void require(const struct s3_credentials *c)
{
	if (!c->access_key[0] || !c->secret[0])
		abort();
	require_header(c->access_key);
	require_header(c->secret);
	require_header(c->token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { data, size };
	char why[TASK_WHY_BYTES] = "";
	struct s3_credentials c;
	int64_t expires_ms;

	if (s3_credentials_parse(&c, text, SLICE("default")) == OK)
		require(&c);
	if (s3_credentials_parse_json(&c, &expires_ms, text, why) == OK)
		require(&c);
	else if (!why[0])
		abort();
	return 0;
}
