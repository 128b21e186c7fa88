#include "names/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/endian.h"

static const char netmap[] =
	"{\"sequence\": 7, \"domain\": \"home.example\","
	" \"self\": {\"name\": \"laptop\", \"addresses\": [\"100.64.0.1\", \"fd7a:115c:a1e0::1\"]},"
	" \"peers\": [{\"name\": \"phone\", \"addresses\": [\"100.64.0.2\"]},"
	" {\"name\": \"localhost\", \"addresses\": [\"100.64.0.3\"]},"
	" {\"name\": \"a b\", \"addresses\": [\"100.64.0.4\"]}],"
	" \"records\": [{\"name\": \"db.lab.home.example\", \"type\": \"A\", \"value\": "
	"\"10.1.2.3\"},"
	" {\"name\": \"db.lab.home.example\", \"type\": \"A\", \"value\": \"10.1.2.4\"},"
	" {\"name\": \"www.home.example\", \"type\": \"CNAME\", \"value\": \"phone.home.example\"},"
	" {\"name\": \"phone.home.example\", \"type\": \"A\", \"value\": \"6.6.6.6\"},"
	" {\"name\": \"note.home.example\", \"type\": \"TXT\", \"value\": \"hello\"},"
	" {\"name\": \"other.example\", \"type\": \"A\", \"value\": \"10.9.9.9\"}],"
	" \"routes\": {\"corp.example\": [\"192.0.2.53\"], \"deep.corp.example\": [\"192.0.2.54\"],"
	" \"here.example\": []}, \"resolvers\": [\"192.0.2.1\"]}";

struct rig {
	struct arena arena;
	struct mesh_view view;
	struct zone *zone;
	struct buf query, answer;
	struct dns_query seen;
	struct zone_route route;
	enum zone_outcome outcome;
	struct dns_header header;
	char text[600]; /* "A laptop.home.example 100.64.0.1;" for every record */
};

static void open_rig(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	arena_init(&r->arena);
	assert_int_equal(mesh_view_parse(&r->arena, slice_from(netmap), &r->view), OK);
	r->zone = zone_new(&r->view);
	assert_non_null(r->zone);
	buf_init(&r->query);
	buf_init(&r->answer);
}

static void close_rig(struct rig *r)
{
	zone_free(r->zone);
	buf_done(&r->query);
	buf_done(&r->answer);
	arena_done(&r->arena);
}

static void describe(struct rig *r)
{
	struct dns_reader reader = { .message = buf_slice(&r->answer) };
	struct dns_question question;
	struct dns_record record;
	struct dns_name target;
	size_t used = 0;

	r->text[0] = '\0';
	assert_int_equal(dns_read_header(&reader, &r->header), OK);
	assert_int_equal(dns_read_question(&reader, &question), OK);
	while (dns_read_record(&reader, &record) == OK) {
		char name[DNS_NAME_TEXT_BYTES], value[DNS_NAME_TEXT_BYTES] = "";
		struct ip ip = { .family = record.type == DNS_A ? IP_V4 : IP_V6 };
		struct dns_reader inner = { buf_slice(&r->answer), record.data_at };

		if (record.type == DNS_OPT)
			continue;
		dns_name_text(&record.name, name);
		if (record.type == DNS_A || record.type == DNS_AAAA) {
			memcpy(ip.bytes, record.data.data, record.data.size);
			ip_text(ip, value);
		} else if (record.type == DNS_TXT) {
			snprintf(value, sizeof(value), "%.*s",
				 SLICE_ARG(slice_part(record.data, 1, 255)));
		} else if (dns_read_name(&inner, &target) == OK) {
			dns_name_text(&target, value);
		}
		used += (size_t)snprintf(r->text + used, sizeof(r->text) - used, "%d %s %s %u;",
					 record.type, name, value, record.ttl_s);
	}
	assert_int_equal(reader.at, r->answer.size);
}

static void ask(struct rig *r, const char *text, uint16_t type)
{
	struct dns_name name;

	buf_clear(&r->query);
	buf_clear(&r->answer);
	assert_int_equal(dns_name_from_text(slice_from(text), &name), OK);
	dns_query_write(&r->query, 9, &name, type);
	r->outcome =
		zone_answer(r->zone, buf_slice(&r->query), true, &r->answer, &r->seen, &r->route);
	if (r->outcome == ZONE_ANSWERED)
		describe(r);
}

static void expect(struct rig *r, const char *name, uint16_t type, enum dns_rcode rcode,
		   const char *text)
{
	ask(r, name, type);
	assert_int_equal(r->outcome, ZONE_ANSWERED);
	assert_int_equal(r->header.flags & DNS_RCODE, rcode);
	assert_true(r->header.flags & DNS_AUTHORITATIVE);
	assert_string_equal(r->text, text);
}

#define SOA "6 home.example home.example 10;"

static void test_machines_have_both_their_names(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	expect(&r, "laptop.home.example", DNS_A, DNS_NOERROR,
	       "1 laptop.home.example 100.64.0.1 5;");
	expect(&r, "LapTop.Home.Example", DNS_AAAA, DNS_NOERROR,
	       "28 laptop.home.example fd7a:115c:a1e0::1 5;");
	expect(&r, "laptop", DNS_A, DNS_NOERROR, "1 laptop 100.64.0.1 5;");
	expect(&r, "phone.home.example", DNS_A, DNS_NOERROR, "1 phone.home.example 100.64.0.2 5;");
	close_rig(&r);
}

static void test_what_is_not_there_does_not_exist_for_ten_seconds(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	expect(&r, "nobody.home.example", DNS_A, DNS_NXDOMAIN, SOA);
	expect(&r, "phone.home.example", DNS_AAAA, DNS_NOERROR, SOA);
	expect(&r, "phone.home.example", 65, DNS_NOERROR, SOA);
	expect(&r, "lab.home.example", DNS_A, DNS_NOERROR, SOA);
	expect(&r, "x.laptop.home.example", DNS_A, DNS_NXDOMAIN, SOA);
	expect(&r, "home.example", DNS_SOA, DNS_NOERROR, "6 home.example home.example 5;");
	close_rig(&r);
}

static void test_records_are_answered_and_take_no_machines_name(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	expect(&r, "db.lab.home.example", DNS_A, DNS_NOERROR,
	       "1 db.lab.home.example 10.1.2.3 5;1 db.lab.home.example 10.1.2.4 5;");
	expect(&r, "www.home.example", DNS_A, DNS_NOERROR,
	       "5 www.home.example phone.home.example 5;1 phone.home.example 100.64.0.2 5;");
	expect(&r, "note.home.example", DNS_TXT, DNS_NOERROR, "16 note.home.example hello 5;");
	expect(&r, "_netmap.home.example", DNS_TXT, DNS_NOERROR, "16 _netmap.home.example 7 5;");
	expect(&r, "other.example", DNS_A, DNS_NOERROR, "1 other.example 10.9.9.9 5;");
	close_rig(&r);
}

static void test_addresses_have_names(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	expect(&r, "2.0.64.100.in-addr.arpa", DNS_PTR, DNS_NOERROR,
	       "12 2.0.64.100.in-addr.arpa phone.home.example 5;");
	expect(&r, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa",
	       DNS_PTR, DNS_NOERROR,
	       "12 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa "
	       "laptop.home.example 5;");
	expect(&r, "9.0.127.100.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN,
	       "6 127.100.in-addr.arpa home.example 10;");
	ask(&r, "9.0.128.100.in-addr.arpa", DNS_PTR);
	assert_int_equal(r.outcome, ZONE_FORWARD);
	ask(&r, "1.0.168.192.in-addr.arpa", DNS_PTR);
	assert_int_equal(r.outcome, ZONE_FORWARD);
	close_rig(&r);
}

static void test_other_names_go_where_the_longest_route_says(void **state)
{
	struct rig r;
	char text[IP_TEXT_BYTES];

	(void)state;
	open_rig(&r);
	ask(&r, "a.corp.example", DNS_A);
	assert_int_equal(r.outcome, ZONE_FORWARD);
	ip_text(r.route.resolvers[0], text);
	assert_string_equal(text, "192.0.2.53");
	ask(&r, "a.deep.corp.example", DNS_A);
	ip_text(r.route.resolvers[0], text);
	assert_string_equal(text, "192.0.2.54");
	ask(&r, "notcorp.example", DNS_A);
	ip_text(r.route.resolvers[0], text);
	assert_string_equal(text, "192.0.2.1");
	expect(&r, "x.here.example", DNS_A, DNS_NXDOMAIN, "6 here.example home.example 10;");
	expect(&r, "hidden.onion", DNS_A, DNS_NXDOMAIN, "6  home.example 10;");
	close_rig(&r);
}

static void test_what_nobody_should_ask_is_refused(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	ask(&r, "home.example", DNS_AXFR);
	assert_int_equal(r.header.flags & DNS_RCODE, DNS_REFUSED);
	buf_clear(&r.answer);
	r.query.data[5] = 2; /* questions */
	assert_int_equal(zone_answer(r.zone, buf_slice(&r.query), true, &r.answer, &r.seen,
				     &r.route),
			 ZONE_ANSWERED);
	assert_int_equal(get_u16(r.answer.data + 2) & DNS_RCODE, DNS_FORMERR);
	r.query.data[2] |= 0x80; /* a response */
	assert_int_equal(zone_answer(r.zone, buf_slice(&r.query), true, &r.answer, &r.seen,
				     &r.route),
			 ZONE_NOTHING);
	close_rig(&r);
}

static void add_host(void *context, struct ip ip, const char *names)
{
	char text[IP_TEXT_BYTES];

	ip_text(ip, text);
	buf_add_format(context, "%s %s;", text, names);
}

static void test_a_file_of_hosts_gets_plain_names_only(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	zone_each_host(r.zone, add_host, &r.answer);
	assert_true(
		slice_equal(buf_slice(&r.answer),
			    SLICE("100.64.0.1 laptop.home.example laptop;"
				  "fd7a:115c:a1e0::1 laptop.home.example laptop;"
				  "100.64.0.2 phone.home.example phone;"
				  "10.1.2.3 db.lab.home.example;10.1.2.4 db.lab.home.example;")));
	close_rig(&r);
}

/* "google" of the mesh "com" is not google.com. */
static void test_a_domain_of_one_label_is_none(void **state)
{
	static const char com[] =
		"{\"sequence\":1,\"domain\":\"com\",\"self\":{\"name\":\"google.com\","
		"\"addresses\":[\"100.64.0.1\"]}}";
	struct rig r = { .outcome = ZONE_NOTHING };

	(void)state;
	arena_init(&r.arena);
	buf_init(&r.query);
	buf_init(&r.answer);
	assert_int_equal(mesh_view_parse(&r.arena, slice_from(com), &r.view), OK);
	r.zone = zone_new(&r.view);
	assert_non_null(r.zone);
	assert_int_equal(zone_domain(r.zone).size, 0);
	zone_each_host(r.zone, add_host, &r.answer);
	assert_true(slice_equal(buf_slice(&r.answer), SLICE("100.64.0.1 google;")));
	buf_clear(&r.answer);
	ask(&r, "google.com", DNS_A);
	assert_int_equal(r.outcome, ZONE_FORWARD);
	expect(&r, "google", DNS_A, DNS_NOERROR, "1 google 100.64.0.1 5;");
	close_rig(&r);
	assert_true(zone_is_domain(SLICE("hanse.internal")));
	assert_false(zone_is_domain(SLICE(".internal")));
	assert_false(zone_is_domain(SLICE("a b.internal")));
}

static void test_an_empty_netmap_makes_no_zone(void **state)
{
	struct mesh_view view = { .sequence = 8, .domain = SLICE("home.example") };

	(void)state;
	assert_null(zone_new(&view));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines_have_both_their_names),
		cmocka_unit_test(test_what_is_not_there_does_not_exist_for_ten_seconds),
		cmocka_unit_test(test_records_are_answered_and_take_no_machines_name),
		cmocka_unit_test(test_addresses_have_names),
		cmocka_unit_test(test_other_names_go_where_the_longest_route_says),
		cmocka_unit_test(test_what_nobody_should_ask_is_refused),
		cmocka_unit_test(test_a_file_of_hosts_gets_plain_names_only),
		cmocka_unit_test(test_a_domain_of_one_label_is_none),
		cmocka_unit_test(test_an_empty_netmap_makes_no_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
