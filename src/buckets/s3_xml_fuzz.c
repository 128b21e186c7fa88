/* Any bytes as the answer of a store.  seeds: test/corpus/s3 */
#include "buckets/s3_xml.h"

#include <stdlib.h>

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_upload upload = { 0 };
	struct s3_list list = { 0 };
	struct s3_error error;
	struct arena a;

	arena_init(&a);
	if (s3_xml_list(&a, (struct slice) { data, size }, &list) == OK) {
		require(list.key_count <= S3_LIST_KEYS_MAX);
		for (size_t i = 0; i < list.key_count; i++)
			require(list.keys[i].size <= S3_XML_TEXT_BYTES_MAX);
	} else {
		require(list.key_count == 0 && list.next_token.size == 0);
	}
	if (s3_xml_upload((struct slice) { data, size }, &upload) == OK)
		require(strlen(upload.id) < sizeof(upload.id));
	struct s3_begun_list begun = { 0 };
	if (s3_xml_begun(&a, (struct slice) { data, size }, &begun) == OK) {
		require(begun.count <= S3_LIST_KEYS_MAX);
		for (size_t i = 0; i < begun.count; i++)
			require(begun.begun[i].key.size > 0 && begun.begun[i].id.size > 0);
	} else {
		require(begun.count == 0);
	}
	s3_xml_error((struct slice) { data, size }, &error);
	for (const char *p = error.message; *p; p++)
		require(*p >= ' ' && *p <= '~');
	arena_done(&a);
	return 0;
}
