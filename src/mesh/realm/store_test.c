#include "mesh/realm/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/realm/addresses.h"
#include "mesh/realm/names.h"
#include "mesh/realm/private.h"

struct rig {
	struct cell *cell;
	struct arena a;
	enum err (*inside)(struct rig *r);
};

static struct rig *rig_new(void)
{
	struct rig *r = NEW(struct rig);
	char why[CELL_WHY_BYTES];

	arena_init(&r->a);
	r->cell = cell_new(REALM_CELL);
	assert_int_equal(cell_upgrade_schema(r->cell, realm_schema, realm_schema_count, why), OK);
	return r;
}

static void rig_free(struct rig *r)
{
	cell_free(r->cell);
	arena_done(&r->a);
	memory_free(r);
}

static enum err run_inside(struct cell *cell, void *argument)
{
	struct rig *r = argument;

	assert_ptr_equal(cell, r->cell);
	return r->inside(r);
}

static void run(struct rig *r, enum err (*inside)(struct rig *r))
{
	r->inside = inside;
	assert_int_equal(cell_run(r->cell, run_inside, r), OK);
}

static struct machine_row row_of(uint8_t seed, struct slice name)
{
	struct machine_row row = { .user = STORE_USER_OWNER,
				   .name = name,
				   .created_s = 7,
				   .hostinfo = SLICE("{}"),
				   .tags = SLICE("tag:a\ntag:b") };

	memset(row.machine.bytes, seed, sizeof(row.machine.bytes));
	memset(row.node.bytes, seed + 100, sizeof(row.node.bytes));
	return row;
}

/* --- names and addresses -----------------------------------------------------------------------
 */

static void test_host_names_become_labels(void **state)
{
	static const char *const pairs[][2] = {
		{ "laptop", "laptop" },
		{ "Bob's MacBook Pro", "bobs-macbook-pro" },
		{ "db.example.org", "db" },
		{ "--x--", "x" },
		{ "", "node" },
		{ "\xc3\xa4\xc3\xb6", "node" },
		{ "a__b", "a-b" },
		{ ".x", "node" },
	};
	char label[NAME_LABEL_BYTES], host[300];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		name_sanitize(slice_from(pairs[i][0]), 63, label);
		assert_string_equal(label, pairs[i][1]);
	}
	memset(host, 'x', sizeof(host));
	host[299] = '\0';
	name_sanitize(slice_from(host), 63, label);
	assert_int_equal(strlen(label), 63);
	assert_true(name_is_label(slice_from(label)));
	assert_false(name_is_label(SLICE("-a")));
	assert_false(name_is_label(SLICE("A")));
	assert_false(name_is_label(SLICE("")));
}

static void test_addresses_of_others_are_left_alone(void **state)
{
	char text[IP_TEXT_BYTES];

	(void)state;
	assert_true(address_is_free_for_machines(0x64400001));
	assert_false(address_is_free_for_machines(0x64400000));
	assert_false(address_is_free_for_machines(0x64646464)); /* 100.100.100.100 */
	assert_false(address_is_free_for_machines(0x64735d01)); /* 100.115.93.1 */
	assert_false(address_is_free_for_machines(0x64800001)); /* 100.128.0.1 */
	ip_text(address_v6(0x64400001), text);
	assert_string_equal(text, "fd7a:115c:a1e0:ab12:4843:cd96:6240:1");
}

static enum err three_of_one_name(struct rig *r)
{
	static const char *const names[] = { "box", "box-1", "box-2" };
	struct machine_row row;

	for (uint8_t i = 0; i < 3; i++) {
		row = row_of((uint8_t)(i + 1), (struct slice) { 0 });
		assert_int_equal(store_machine_begin(r->cell, &row), OK);
		assert_int_equal(store_machine_name(&r->a, r->cell, SLICE("Box"), row.id,
						    &row.name),
				 OK);
		assert_true(slice_equal(row.name, slice_from(names[i])));
		assert_int_equal(store_machine_put(r->cell, &row), OK);
		assert_int_equal(row.v4, 0x64400001 + i);
	}
	/* its own name is free for itself */
	assert_int_equal(store_machine_name(&r->a, r->cell, SLICE("box"), 1, &row.name), OK);
	assert_true(slice_equal(row.name, SLICE("box")));
	return OK;
}

/* An address that became free comes back last, an id never. */
static enum err not_soon_again(struct rig *r)
{
	struct machine_row row = row_of(9, SLICE("late"));

	assert_int_equal(store_machine_remove(r->cell, 3), OK);
	assert_int_equal(store_machine_begin(r->cell, &row), OK);
	assert_int_equal(row.id, 4);
	assert_int_equal(row.v4, 0x64400004);
	return OK;
}

static void test_names_and_addresses_are_nobody_elses(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	run(r, three_of_one_name);
	run(r, not_soon_again);
	rig_free(r);
}

static enum err over_the_services(struct rig *r)
{
	struct machine_row row = row_of(1, SLICE("x"));
	sqlite3_stmt *s =
		cell_statement(r->cell, "INSERT INTO counter (name, last) VALUES ('address', ?)");

	cell_bind_int(s, 1, 0x6463ffff - 0x64400001); /* the next one is 100.99.255.255 */
	assert_int_equal(cell_execute(r->cell, s), OK);
	assert_int_equal(store_machine_begin(r->cell, &row), OK);
	assert_int_equal(row.v4, 0x6463ffff);
	assert_int_equal(store_machine_begin(r->cell, &row), OK);
	assert_int_equal(row.v4, 0x64650000);
	return OK;
}

static void test_no_machine_gets_an_address_of_the_services(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	run(r, over_the_services);
	rig_free(r);
}

/* --- machines ----------------------------------------------------------------------------------
 */

static enum err put_and_find(struct rig *r)
{
	struct machine_row row = row_of(1, SLICE("one")), got;

	row.routes = SLICE("10.0.0.0/8");
	row.is_authorized = row.is_named = true;
	row.expiry_s = 99;
	assert_int_equal(store_machine_begin(r->cell, &row), OK);
	assert_int_equal(store_machine_put(r->cell, &row), OK);
	static const char *const texts[] = { "one", "n1", "1", "100.64.0.1",
					     "fd7a:115c:a1e0:ab12:4843:cd96:6240:1" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(store_machine_by_text(&r->a, r->cell, slice_from(texts[i]), &got),
				 OK);
		assert_int_equal(got.id, 1);
	}
	assert_int_equal(store_machine_by_text(&r->a, r->cell, SLICE("two"), &got), ERR_NOT_FOUND);
	assert_int_equal(store_machine_by_text(&r->a, r->cell, SLICE("fd7a::6240:1"), &got),
			 ERR_NOT_FOUND);
	assert_int_equal(store_machine_by_node(&r->a, r->cell, &row.node, &got), OK);
	assert_true(slice_equal(got.tags, row.tags));
	assert_true(slice_equal(got.routes, row.routes));
	assert_true(got.is_authorized && got.is_named && !got.is_ephemeral);
	assert_int_equal(got.expiry_s, 99);
	assert_int_equal(store_machine_by_machine(&r->a, r->cell, &row.machine, 1, &got), OK);
	assert_int_equal(store_machine_by_machine(&r->a, r->cell, &row.machine, 2, &got),
			 ERR_NOT_FOUND);
	return OK;
}

/* Machines choose what they are called. */
static enum err named_like_another(struct rig *r)
{
	struct machine_row one = row_of(1, SLICE("n2")), two = row_of(2, SLICE("two")), got;

	assert_int_equal(store_machine_begin(r->cell, &one), OK);
	assert_int_equal(store_machine_put(r->cell, &one), OK);
	assert_int_equal(store_machine_by_text(&r->a, r->cell, SLICE("n2"), &got), OK);
	assert_int_equal(got.id, one.id);
	assert_int_equal(store_machine_begin(r->cell, &two), OK);
	assert_int_equal(store_machine_put(r->cell, &two), OK);
	assert_int_equal(two.id, 2);
	assert_int_equal(store_machine_by_text(&r->a, r->cell, SLICE("n2"), &got), OK);
	assert_int_equal(got.id, 2);
	return OK;
}

static void test_a_machine_is_not_found_by_the_id_of_another(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	run(r, named_like_another);
	rig_free(r);
}

static void test_machines_are_found_by_whatever_names_them(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	run(r, put_and_find);
	rig_free(r);
}

/* --- join keys and the rest --------------------------------------------------------------------
 */

static enum err keys(struct rig *r)
{
	struct key_row key = { .user = 1, .uses_max = 1, .created_s = 5 }, got;
	struct key_row *all;
	size_t count;

	store_key_hash(SLICE("secret"), key.hash);
	assert_int_equal(store_key_put(r->cell, &key, 5), OK);
	assert_int_equal(key.id, 1);
	assert_int_equal(store_key_by_secret(&r->a, r->cell, SLICE("Secret"), &got), ERR_NOT_FOUND);
	assert_int_equal(store_key_by_secret(&r->a, r->cell, SLICE("secret"), &got), OK);
	got.uses = 1;
	assert_int_equal(store_key_put(r->cell, &got, 5), OK);
	store_keys(&r->a, r->cell, &all, &count);
	assert_int_equal(count, 1);
	assert_int_equal(all[0].uses, 1);
	return OK;
}

static void test_of_a_join_key_only_the_hash_is_kept(void **state)
{
	struct rig *r = rig_new();
	struct buf record;

	(void)state;
	run(r, keys);
	buf_init(&record);
	cell_seal(r->cell, 1, &record);
	assert_null(memmem(record.data, record.size, "secret", 6));
	buf_done(&record);
	rig_free(r);
}

static enum err more_than_fit(struct rig *r)
{
	struct server_row *servers;
	struct relay_row *relays;
	size_t count;
	char text[32];

	for (int i = 0; i < STORE_SERVERS_MAX + 3; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d:8642", i);
		struct server_row server = { slice_from(text), SLICE("http://x") };
		assert_int_equal(store_server_put(r->cell, &server), OK);
		assert_int_equal(store_server_put(r->cell, &server), OK);
	}
	store_servers(&r->a, r->cell, &servers, &count);
	assert_int_equal(count, STORE_SERVERS_MAX);
	assert_true(slice_equal(servers[0].address, SLICE("10.0.0.3:8642")));
	for (int i = 0; i <= STORE_RELAYS_MAX; i++) {
		snprintf(text, sizeof(text), "relay-%d", i);
		struct relay_row relay = { .name = slice_from(text), .host = SLICE("h") };
		assert_int_equal(store_relay_put(r->cell, &relay),
				 i < STORE_RELAYS_MAX ? OK : ERR_FULL);
	}
	struct relay_row known = { .name = SLICE("relay-0"), .host = SLICE("other") };
	assert_int_equal(store_relay_put(r->cell, &known), OK);
	store_relays(&r->a, r->cell, &relays, &count);
	assert_int_equal(count, STORE_RELAYS_MAX);
	/* One that was removed makes room when there is no other. */
	struct relay_row another = { .name = SLICE("another"), .host = SLICE("h") }, removed;
	assert_int_equal(store_relay_remove(r->cell, SLICE("relay-0")), OK);
	assert_int_equal(store_relay_remove(r->cell, SLICE("relay-0")), ERR_NOT_FOUND);
	assert_int_equal(store_removed_relay(&r->a, r->cell, SLICE("relay-0"), &removed), OK);
	assert_true(slice_equal(removed.host, SLICE("other")));
	store_relays(&r->a, r->cell, &relays, &count);
	assert_int_equal(count, STORE_RELAYS_MAX - 1);
	assert_int_equal(store_relay_put(r->cell, &another), OK);
	assert_int_equal(store_removed_relay(&r->a, r->cell, SLICE("relay-0"), &removed),
			 ERR_NOT_FOUND);
	return OK;
}

static void test_what_is_full_still_takes_what_it_knows(void **state)
{
	struct rig *r = rig_new();

	(void)state;
	run(r, more_than_fit);
	rig_free(r);
}

static void test_lists_are_lines(void **state)
{
	struct arena a;
	size_t count;

	(void)state;
	arena_init(&a);
	struct slice *lines = store_lines(&a, SLICE("a\n\nb"), &count);
	assert_int_equal(count, 2);
	assert_true(slice_equal(store_join(&a, lines, count), SLICE("a\nb")));
	assert_true(store_has_line(SLICE("a\nb"), SLICE("b")));
	assert_false(store_has_line(SLICE("ab\nc"), SLICE("b")));
	assert_false(store_has_line((struct slice) { 0 }, SLICE("b")));
	arena_done(&a);
}

static void test_what_changes_often_is_not_kept(void **state)
{
	static const char *const pairs[][2] = {
		{ "{\"A\":1,\"NetInfo\":{\"x\":{\"}\":1}},\"B\":2}", "{\"A\":1,\"B\":2}" },
		{ "{\"NetInfo\":{}}", "{}" },
		{ "{\"A\":1,\"NetInfo\":{\"q\":\"\\\"}\"}}", "{\"A\":1}" },
		{ "{\"\\\"NetInfo\":{\"x\":1},\"B\":2}", "{\"\\\"NetInfo\":{\"x\":1},\"B\":2}" },
		{ "{\"\\\"NetInfo\":{},\"NetInfo\":{\"y\":2}}", "{\"\\\"NetInfo\":{}}" },
		{ "{\"A\":{\"NetInfo\":{}}}", "{\"A\":{\"NetInfo\":{}}}" },
		{ "{\"A\":1}", "{\"A\":1}" },
		{ "", "{}" },
		{ "{\"NetInfo\":{", "{\"NetInfo\":{" },
	};
	struct buf b;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		buf_clear(&b);
		hostinfo_keep(&b, slice_from(pairs[i][0]));
		assert_true(slice_equal(buf_slice(&b), slice_from(pairs[i][1])));
	}
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_names_become_labels),
		cmocka_unit_test(test_addresses_of_others_are_left_alone),
		cmocka_unit_test(test_names_and_addresses_are_nobody_elses),
		cmocka_unit_test(test_no_machine_gets_an_address_of_the_services),
		cmocka_unit_test(test_a_machine_is_not_found_by_the_id_of_another),
		cmocka_unit_test(test_machines_are_found_by_whatever_names_them),
		cmocka_unit_test(test_of_a_join_key_only_the_hash_is_kept),
		cmocka_unit_test(test_what_is_full_still_takes_what_it_knows),
		cmocka_unit_test(test_lists_are_lines),
		cmocka_unit_test(test_what_changes_often_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
