#include "wire/kafka/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text.h"
#include "kafka_messages.h"
#include "peer_messages.h"

enum { MESSAGE_BYTES_MAX = 8192, STRING_BYTES = 12, ELEMENTS = 3, STRUCT_BYTES = 1024 };

/* --- messages made up from a seed ---------------------------------------------------------------
 */

struct filler {
	struct prng prng;
	struct arena arena;
};

static void fill_struct(struct filler *f, const struct schema *s, uint8_t *value);

static bool may_be_null(const struct schema_field *field)
{
	return field->null_first != SCHEMA_VERSION_NEVER;
}

static struct slice make_slice(struct filler *f, bool with_null)
{
	size_t size = (size_t)prng_below(&f->prng, STRING_BYTES);

	if (with_null && prng_below(&f->prng, 4) == 0)
		return (struct slice) { NULL, 0 };
	uint8_t *data = arena_take(&f->arena, size + 1);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)prng_next(&f->prng);
	return (struct slice) { data, size };
}

static void fill_number(struct filler *f, uint8_t *value, size_t size)
{
	uint64_t number = prng_next(&f->prng) >> prng_below(&f->prng, 64);

	memcpy(value, &number, size);
}

static size_t value_bytes(const struct schema_field *field)
{
	static const size_t bytes[] = {
		[SCHEMA_BOOL] = 1,
		[SCHEMA_INT8] = 1,
		[SCHEMA_INT16] = 2,
		[SCHEMA_UINT16] = 2,
		[SCHEMA_INT32] = 4,
		[SCHEMA_UINT32] = 4,
		[SCHEMA_INT64] = 8,
		[SCHEMA_FLOAT64] = 8,
		[SCHEMA_UUID] = sizeof(struct uuid),
		[SCHEMA_STRING] = sizeof(struct slice),
		[SCHEMA_BYTES] = sizeof(struct slice),
		[SCHEMA_STRUCT] = 0,
	};

	return field->kind == SCHEMA_STRUCT ? field->child->struct_bytes : bytes[field->kind];
}

static void fill_value(struct filler *f, const struct schema_field *field, bool with_null,
		       uint8_t *value)
{
	if (field->kind == SCHEMA_STRUCT)
		fill_struct(f, field->child, value);
	else if (field->kind == SCHEMA_STRING || field->kind == SCHEMA_BYTES)
		*(struct slice *)(void *)value = make_slice(f, with_null);
	else if (field->kind == SCHEMA_BOOL)
		*value = (uint8_t)prng_below(&f->prng, 2);
	else if (field->kind == SCHEMA_UUID)
		random_bytes(value, sizeof(struct uuid));
	else
		fill_number(f, value, value_bytes(field));
}

/* Fields of all versions, so that the encoder has something to skip. */
static void fill_struct(struct filler *f, const struct schema *s, uint8_t *value)
{
	schema_defaults(s, value);
	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *field = &s->fields[i];
		bool with_null = may_be_null(field);

		if (field->tag != SCHEMA_TAG_NONE && prng_below(&f->prng, 2))
			continue;
		bool is_pointer = with_null && field->kind == SCHEMA_STRUCT && !field->is_array;
		if (!field->is_array && !is_pointer) {
			fill_value(f, field, with_null, value + field->offset);
			continue;
		}
		if (with_null && prng_below(&f->prng, 4) == 0)
			continue;
		if (is_pointer) {
			uint8_t *child = arena_take(&f->arena, field->child->struct_bytes);
			fill_struct(f, field->child, child);
			*(void **)(void *)(value + field->offset) = child;
			continue;
		}
		size_t count = (size_t)prng_below(&f->prng, ELEMENTS);
		size_t bytes = value_bytes(field);
		uint8_t *elements = arena_take_array(&f->arena, count + 1, bytes);
		for (size_t j = 0; j < count; j++)
			fill_value(f, field, false, elements + j * bytes);
		*(void **)(void *)(value + field->offset) = elements;
		*(size_t *)(void *)(value + field->count_offset) = count;
	}
}

/* --- helpers
 * -------------------------------------------------------------------------------------- */

/* Decode, encode: the same bytes, or the test fails. */
static void check_bytes(const struct schema *s, int version, struct slice bytes)
{
	uint8_t value[STRUCT_BYTES];
	struct arena arena;
	struct buf out;

	arena_init(&arena);
	buf_init(&out);
	assert_true(s->struct_bytes <= sizeof(value));
	enum err err = schema_decode_all(&arena, s, version, bytes, value);
	if (err)
		print_error("%s version %d: %s\n", s->name, version, err_name(err));
	assert_int_equal(err, OK);
	schema_encode(s, version, value, &out);
	if (!slice_equal(buf_slice(&out), bytes))
		print_error("%s version %d: other bytes\n", s->name, version);
	assert_true(slice_equal(buf_slice(&out), bytes));
	buf_done(&out);
	arena_done(&arena);
}

/* No beginning of a message is a message, and none with a byte more. */
static void check_cuts(const struct schema *s, int version, struct slice bytes)
{
	uint8_t value[STRUCT_BYTES], untouched[STRUCT_BYTES];
	uint8_t *cut = test_malloc(bytes.size + 1);
	struct arena arena;

	arena_init(&arena);
	memset(value, 0xa5, sizeof(value));
	memset(untouched, 0xa5, sizeof(untouched));
	for (size_t size = 0; size < bytes.size; size++) {
		uint8_t *exact = test_malloc(size + 1); /* so that ASan sees reads past the end */
		memcpy(exact + 1, bytes.data, size);
		struct slice in = { exact + 1, size };
		assert_int_not_equal(schema_decode(&arena, s, version, &in, value), OK);
		assert_ptr_equal(in.data, exact + 1);
		assert_memory_equal(value, untouched, sizeof(value));
		test_free(exact);
	}
	if (bytes.size)
		memcpy(cut, bytes.data, bytes.size);
	cut[bytes.size] = 0;
	struct slice longer = { cut, bytes.size + 1 };
	assert_int_equal(schema_decode_all(&arena, s, version, longer, value), ERR_INVALID);
	test_free(cut);
	arena_done(&arena);
}

static enum err decode_hex(struct arena *a, const struct schema *s, int version, const char *hex,
			   void *ret)
{
	size_t size = strlen(hex) / 2;
	uint8_t *bytes = arena_take(a, size + 1);

	assert_int_equal(hex_decode(slice_from(hex), bytes, size), OK);
	return schema_decode_all(a, s, version, (struct slice) { bytes, size }, ret);
}

static const struct schema *schema_number(size_t i)
{
	if (i < kafka_schemas_count)
		return kafka_schemas[i];
	i -= kafka_schemas_count;
	return i < peer_schemas_count ? peer_schemas[i] : NULL;
}

/* --- all messages
 * --------------------------------------------------------------------------------- */

static void test_every_message_and_version_comes_back_as_it_was(void **state)
{
	enum { ROUNDS = 30 };
	const struct schema *s;

	(void)state;
	for (size_t i = 0; (s = schema_number(i)); i++) {
		for (int version = s->version_first; version <= s->version_last; version++) {
			for (uint64_t seed = 0; seed < ROUNDS; seed++) {
				struct filler f = { .prng = { seed } };
				uint8_t value[STRUCT_BYTES];
				struct buf bytes;

				buf_init(&bytes);
				assert_true(s->struct_bytes <= sizeof(value));
				fill_struct(&f, s, value);
				schema_encode(s, version, value, &bytes);
				check_bytes(s, version, buf_slice(&bytes));
				if (seed == 0)
					check_cuts(s, version, buf_slice(&bytes));
				buf_done(&bytes);
				arena_done(&f.arena);
			}
		}
	}
}

/* test/corpus/kafka/README.md tells who made these bytes. */
static void check_foreign_file(const struct schema *s, int version)
{
	char path[128], line[2 * MESSAGE_BYTES_MAX];
	uint8_t bytes[MESSAGE_BYTES_MAX];
	int messages = 0;

	snprintf(path, sizeof(path), "test/corpus/kafka/%s.v%d.hex", s->name + strlen("kafka_"),
		 version);
	FILE *file = fopen(path, "r");
	if (!file)
		print_error("%s is missing\n", path);
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '#')
			continue;
		size_t size = strlen(line) / 2;
		assert_int_equal(hex_decode(slice_from(line), bytes, size), OK);
		check_bytes(s, version, (struct slice) { bytes, size });
		check_cuts(s, version, (struct slice) { bytes, size });
		messages++;
	}
	fclose(file);
	assert_in_range(messages, 1, 100);
}

static void test_the_bytes_of_another_implementation_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < kafka_schemas_count; i++) {
		const struct schema *s = kafka_schemas[i];
		for (int version = s->version_first; version <= s->version_last; version++)
			check_foreign_file(s, version);
	}
}

static void test_every_nesting_is_within_the_depth_limit_and_every_tag_ascends(void **state)
{
	const struct schema *s;

	(void)state;
	for (size_t i = 0; (s = schema_number(i)); i++) {
		int previous = -1;
		for (size_t j = 0; j < s->field_count; j++) {
			if (s->fields[j].tag == SCHEMA_TAG_NONE)
				continue;
			assert_true(s->fields[j].tag > previous);
			previous = s->fields[j].tag;
		}
		assert_true(s->version_first <= s->version_last);
	}
}

/* --- single rules
 * ----------------------------------------------------------------------------------- */

static void test_fields_of_a_version_that_lacks_them_get_their_defaults(void **state)
{
	struct arena a = { 0 };
	struct kafka_metadata_request request;
	struct kafka_fetch_request fetch;

	(void)state;
	assert_int_equal(decode_hex(&a, &kafka_metadata_request_schema, 0, "00000000", &request),
			 OK);
	assert_true(request.allow_auto_topic_creation);
	assert_non_null(request.topics);
	assert_int_equal(request.topics_count, 0);

	memset(&fetch, 0xff, sizeof(fetch));
	schema_defaults(&kafka_fetch_request_schema, &fetch);
	assert_int_equal(fetch.replica_id, -1);
	assert_int_equal(fetch.replica_state.replica_epoch, -1);
	assert_int_equal(fetch.max_bytes, INT32_MAX);
	assert_int_equal(fetch.session_epoch, -1);
	assert_int_equal(fetch.max_wait_ms, 0);
	assert_null(fetch.cluster_id.data);
	assert_null(fetch.topics);
	arena_done(&a);
}

/* W3 */
static void test_null_and_empty_are_told_apart(void **state)
{
	struct arena a = { 0 };
	struct kafka_metadata_request request;
	const struct schema *s = &kafka_metadata_request_schema;

	(void)state;
	assert_int_equal(decode_hex(&a, s, 1, "ffffffff", &request), OK);
	assert_null(request.topics);
	assert_int_equal(decode_hex(&a, s, 1, "00000000", &request), OK);
	assert_non_null(request.topics);
	assert_int_equal(decode_hex(&a, s, 9, "0001000000", &request), OK);
	assert_null(request.topics);
	assert_int_equal(decode_hex(&a, s, 9, "0101000000", &request), OK);
	assert_non_null(request.topics);
	assert_int_equal(decode_hex(&a, s, 0, "ffffffff", &request), ERR_INVALID);
	arena_done(&a);
}

static void test_null_is_written_as_empty_where_the_version_knows_none(void **state)
{
	struct kafka_join_group_response response;
	struct buf out;

	(void)state;
	buf_init(&out);
	schema_defaults(&kafka_join_group_response_schema, &response);
	schema_encode(&kafka_join_group_response_schema, 0, &response, &out);
	static const uint8_t expected[] = { 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0,
					    0, 0, 0,	0,    0,    0,	  0, 0 };
	assert_true(slice_equal(buf_slice(&out), (struct slice) { expected, sizeof(expected) }));
	buf_done(&out);
}

/* W3 */
static void test_unknown_tags_are_stepped_over_and_known_ones_read(void **state)
{
	struct arena a = { 0 };
	struct kafka_fetch_request request;
	/* tags 0 (cluster_id "x"), 1 (replica_state 7, 8, and a tag 3 of nothing), 77 (two bytes)
	 */
	const char *hex = "0000000100000002000000030400000000ffffffff010101"
			  "03"
			  "00020278"
			  "010f0000000700000000000000080103"
			  "00"
			  "4d02abcd";

	(void)state;
	assert_int_equal(decode_hex(&a, &kafka_fetch_request_schema, 15, hex, &request), OK);
	assert_true(slice_equal(request.cluster_id, SLICE("x")));
	assert_int_equal(request.replica_state.replica_id, 7);
	assert_int_equal(request.replica_state.replica_epoch, 8);
	arena_done(&a);
}

static void test_tags_out_of_order_or_of_the_wrong_size_are_refused(void **state)
{
	struct arena a = { 0 };
	struct kafka_heartbeat_response r;
	struct kafka_fetch_request request;
	const struct schema *s = &kafka_heartbeat_response_schema;

	(void)state;
	assert_int_equal(decode_hex(&a, s, 4,
				    "00000000000002050006"
				    "00",
				    &r),
			 OK);
	assert_int_equal(decode_hex(&a, s, 4,
				    "00000000000002050005"
				    "00",
				    &r),
			 ERR_INVALID);
	assert_int_equal(decode_hex(&a, s, 4,
				    "00000000000002050004"
				    "00",
				    &r),
			 ERR_INVALID);
	assert_int_equal(decode_hex(&a, s, 4, "000000000000010502aa", &r), ERR_INVALID);
	assert_int_equal(decode_hex(&a, s, 4, "000000000000ffff03", &r), ERR_TOO_BIG);
	assert_int_equal(decode_hex(&a, &kafka_fetch_request_schema, 15,
				    "0000000100000002000000030400000000ffffffff010101"
				    "01"
				    "0003027800",
				    &request),
			 ERR_INVALID);
	arena_done(&a);
}

/* S3 */
static void test_lengths_that_the_input_cannot_hold_are_refused_before_memory_is_taken(void **state)
{
	struct arena a = { 0 };
	struct kafka_metadata_request metadata;
	struct kafka_delete_groups_request groups;
	struct kafka_heartbeat_request heartbeat;

	(void)state;
	static const struct {
		int version;
		const char *hex;
	} bombs[] = {
		{ 0, "7fffffff" },     { 0, "7fffffff0000" },	    { 0, "00000002000161" },
		{ 0, "fffffffe" },     { 0, "80000000" },	    { 9, "ffffffff0f" },
		{ 9, "808080800f00" }, { 9, "ffffffffffffff" },	    { 9, "8080808080" },
		{ 9, "ffffffff1f00" }, { 9, "80808080808000" },	    { 9, "0201" },
		{ 12, "04" },	       { 9, "02ffffffff0f010000" },
	};
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		assert_int_equal(decode_hex(&a, &kafka_metadata_request_schema, bombs[i].version,
					    bombs[i].hex, &metadata),
				 ERR_INVALID);
	}
	assert_int_equal(decode_hex(&a, &kafka_delete_groups_request_schema, 0, "00000001fffe",
				    &groups),
			 ERR_INVALID);
	assert_int_equal(decode_hex(&a, &kafka_heartbeat_request_schema, 0, "fff0", &heartbeat),
			 ERR_INVALID);
	assert_true(a.used < 16 * 1024);
	arena_done(&a);
}

static enum err decode_zeros(const struct schema *s, int version, struct slice front, size_t size,
			     size_t *ret_used)
{
	struct arena a = { 0 };
	struct buf in;
	uint8_t value[STRUCT_BYTES];

	buf_init(&in);
	buf_add_slice(&in, front);
	memset(buf_add_zero(&in, size), 1, size);
	enum err err = schema_decode_all(&a, s, version, buf_slice(&in), value);
	*ret_used = a.used;
	buf_done(&in);
	arena_done(&a);
	return err;
}

static void test_memory_for_one_message_has_a_limit(void **state)
{
	/* 2^20 - 1 members of 7 bytes each want more than the limit; 2^21 strings are too many. */
	static const uint8_t members[] = { 0, 0, 0, 0, 2, 0, 0, 1, 1, 1, 1, 0x80, 0x80, 0x40 };
	static const uint8_t strings[] = { 0x80, 0x80, 0x80, 0x01 };
	size_t used;

	(void)state;
	assert_int_equal(decode_zeros(&kafka_describe_groups_response_schema, 5,
				      (struct slice) { members, sizeof(members) }, 8 << 20, &used),
			 ERR_TOO_BIG);
	assert_true(used <= SCHEMA_ARENA_BYTES_MAX);
	assert_int_equal(decode_zeros(&kafka_delete_groups_request_schema, 2,
				      (struct slice) { strings, sizeof(strings) }, 3 << 20, &used),
			 ERR_TOO_BIG);
	assert_true(used < 4096);
}

static void test_large_records_are_left_out_and_fit_back_in(void **state)
{
	enum { SMALL = 99, LARGE = 100 };
	static const uint8_t bytes[LARGE] = "records";
	struct kafka_fetch_response_partition partitions[] = {
		{ .records = { bytes, LARGE } },	 { .records = { bytes, SMALL } },
		{ .records = { bytes + 1, LARGE - 1 } }, { .records = { bytes, LARGE } },
		{ .records = { bytes, LARGE } },
	};
	struct kafka_fetch_response_topic topic = { .topic = SLICE("t"), .partitions = partitions };
	struct kafka_fetch_response response = { .responses = &topic, .responses_count = 1 };
	struct schema_gap gaps[2];
	struct buf whole, around, joined;

	(void)state;
	topic.partitions_count = sizeof(partitions) / sizeof(partitions[0]);
	for (int version = 4; version <= 18; version++) {
		buf_init(&whole);
		buf_init(&around);
		buf_init(&joined);
		schema_encode(&kafka_fetch_response_schema, version, &response, &whole);
		assert_int_equal(schema_encode_around(&kafka_fetch_response_schema, version,
						      &response, LARGE, gaps, 2, &around),
				 2);
		assert_int_equal(around.size + 2 * LARGE, whole.size); /* no place for the third */
		size_t taken = 0;
		for (size_t i = 0; i < 2; taken = gaps[i++].position) {
			buf_add(&joined, around.data + taken, gaps[i].position - taken);
			buf_add_slice(&joined, gaps[i].bytes);
		}
		buf_add(&joined, around.data + taken, around.size - taken);
		assert_true(slice_equal(buf_slice(&joined), buf_slice(&whole)));
		buf_done(&whole);
		buf_done(&around);
		buf_done(&joined);
	}
}

/* W3 */
static void test_varints_are_written_as_the_protocol_says(void **state)
{
	static const struct {
		uint32_t value;
		const char *hex;
	} rows[] = {
		{ 0, "00" },
		{ 127, "7f" },
		{ 128, "8001" },
		{ 300, "ac02" },
		{ 16384, "808001" },
		{ 2097151, "ffff7f" },
		{ 268435456, "8080808001" },
		{ UINT32_MAX, "ffffffff0f" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		char hex[16];
		uint32_t value;

		buf_init(&out);
		schema_varint_encode(&out, rows[i].value);
		hex_encode(hex, buf_slice(&out));
		assert_string_equal(hex, rows[i].hex);
		struct slice in = buf_slice(&out);
		assert_int_equal(schema_varint_decode(&in, &value), OK);
		assert_int_equal(value, rows[i].value);
		assert_int_equal(in.size, 0);
		buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message_and_version_comes_back_as_it_was),
		cmocka_unit_test(test_the_bytes_of_another_implementation_are_read_and_written),
		cmocka_unit_test(
			test_every_nesting_is_within_the_depth_limit_and_every_tag_ascends),
		cmocka_unit_test(test_fields_of_a_version_that_lacks_them_get_their_defaults),
		cmocka_unit_test(test_null_and_empty_are_told_apart),
		cmocka_unit_test(test_null_is_written_as_empty_where_the_version_knows_none),
		cmocka_unit_test(test_unknown_tags_are_stepped_over_and_known_ones_read),
		cmocka_unit_test(test_tags_out_of_order_or_of_the_wrong_size_are_refused),
		cmocka_unit_test(
			test_lengths_that_the_input_cannot_hold_are_refused_before_memory_is_taken),
		cmocka_unit_test(test_memory_for_one_message_has_a_limit),
		cmocka_unit_test(test_large_records_are_left_out_and_fit_back_in),
		cmocka_unit_test(test_varints_are_written_as_the_protocol_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
