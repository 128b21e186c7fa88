#include "wire/mesh_view.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char netmap[] =
	"{\"sequence\": 7, \"domain\": \"Home.Example.\","
	" \"self\": {\"id\": \"n1\", \"name\": \"Laptop\", \"addresses\": [\"100.64.0.1/32\","
	" \"fd7a:115c:a1e0::1\", 5], \"user\": \"me\", \"online\": true},"
	" \"peers\": [{\"id\": \"n2\", \"name\": \"phone.home.example.\","
	" \"addresses\": [\"100.64.0.2\"], \"tags\": [\"tag:x\"],"
	" \"services\": [{\"proto\": \"peerapi4\", \"port\": 40000}, {\"proto\": \"http\","
	" \"port\": 80}, {\"proto\": \"peerapi6\", \"port\": 99999}],"
	" \"capabilities\": [\"https://tailscale.com/cap/file-send\"]},"
	" {\"name\": \"nowhere\"}, 3],"
	" \"records\": [{\"name\": \"db.home.example\", \"type\": \"A\", \"value\": "
	"\"100.64.0.2\"},"
	" {\"name\": \"x\"}], \"routes\": {\"corp.example.\": [\"192.0.2.53\"], \"here\": []},"
	" \"resolvers\": [\"192.0.2.54\"]}";

static bool is(struct slice s, const char *text)
{
	return slice_equal(s, slice_from(text));
}

static void check_view(const struct mesh_view *view)
{
	assert_int_equal(view->sequence, 7);
	assert_true(is(view->domain, "home.example"));
	assert_true(view->has_self);
	assert_int_equal(view->machine_count, 2);
	assert_true(is(view->machines[0].name, "laptop"));
	assert_int_equal(view->machines[0].address_count, 2);
	assert_true(view->machines[0].is_online && !view->machines[0].is_tagged);
	const struct mesh_view_machine *phone = &view->machines[1];
	assert_true(is(phone->name, "phone") && is(phone->id, "n2"));
	assert_true(phone->is_tagged && phone->may_send_files && phone->has_hanse_inbox);
	assert_int_equal(phone->peerapi4, 40000);
	assert_int_equal(phone->peerapi6, 0);
	assert_int_equal(view->record_count, 1);
	assert_int_equal(view->route_count, 3);
}

static void test_a_netmap_is_read_and_written(void **state)
{
	struct mesh_view view, again;
	struct arena a;
	struct buf text;

	(void)state;
	arena_init(&a);
	buf_init(&text);
	assert_int_equal(mesh_view_parse(&a, slice_from(netmap), &view), OK);
	check_view(&view);
	assert_true(mesh_view_encode(&view, &text));
	assert_int_equal(mesh_view_parse(&a, buf_slice(&text), &again), OK);
	check_view(&again);
	buf_done(&text);
	arena_done(&a);
}

static void test_machines_are_found_by_name_and_address(void **state)
{
	static const char *const names[] = { "phone", "PHONE.home.example", "phone.home.example.",
					     "100.64.0.2" };
	static const char *const others[] = { "", ".", "pho", "phone.corp.example", "100.64.0.9" };
	struct mesh_view view;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(mesh_view_parse(&a, slice_from(netmap), &view), OK);
	for (size_t i = 0; i < 4; i++)
		assert_ptr_equal(mesh_view_find_name(&view, slice_from(names[i])),
				 &view.machines[1]);
	for (size_t i = 0; i < 5; i++)
		assert_null(mesh_view_find_name(&view, slice_from(others[i])));
	arena_done(&a);
}

static void test_whois_is_read_and_written(void **state)
{
	struct mesh_view view;
	struct mesh_view_machine m;
	struct arena a;
	struct buf text;

	(void)state;
	arena_init(&a);
	buf_init(&text);
	assert_int_equal(mesh_view_parse(&a, slice_from(netmap), &view), OK);
	assert_true(mesh_view_encode_whois(&view.machines[1], &text));
	assert_int_equal(mesh_view_parse_whois(&a, buf_slice(&text), &m), OK);
	assert_true(is(m.name, "phone") && m.may_send_files);
	assert_int_equal(mesh_view_parse_whois(&a, SLICE("{\"machine\":{}}"), &m), ERR_INVALID);
	buf_done(&text);
	arena_done(&a);
}

static void test_what_is_no_netmap_is_refused(void **state)
{
	struct mesh_view view;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(mesh_view_parse(&a, SLICE(""), &view), ERR_INVALID);
	assert_int_equal(mesh_view_parse(&a, SLICE("[]"), &view), ERR_INVALID);
	assert_int_equal(mesh_view_parse(&a, SLICE("{\"peers\":[]}"), &view), ERR_INVALID);
	assert_int_equal(mesh_view_parse(&a, SLICE("{\"sequence\":1}"), &view), OK);
	assert_int_equal(view.machine_count, 0);
	arena_done(&a);
}

static void test_services_are_written(void **state)
{
	static const struct mesh_view_service services[] = { { "peerapi4", 40000 },
							     { "http", 80 } };
	struct buf text;

	(void)state;
	buf_init(&text);
	mesh_view_encode_services(services, 2, &text);
	assert_true(slice_equal(buf_slice(&text),
				SLICE("{\"services\":[{\"proto\":\"peerapi4\",\"port\":40000},"
				      "{\"proto\":\"http\",\"port\":80}]}\n")));
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_netmap_is_read_and_written),
		cmocka_unit_test(test_machines_are_found_by_name_and_address),
		cmocka_unit_test(test_whois_is_read_and_written),
		cmocka_unit_test(test_what_is_no_netmap_is_refused),
		cmocka_unit_test(test_services_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
