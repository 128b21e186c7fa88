#include "wire/control/netmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/control/corpus_testing.h"

struct fixture {
	struct arena a;
	struct netmap map;
	struct netmap_change change;
};

static void start(struct fixture *f)
{
	arena_init(&f->a);
	netmap_init(&f->map);
}

static void end(struct fixture *f)
{
	netmap_done(&f->map);
	arena_done(&f->a);
}

static enum err apply_text(struct fixture *f, struct slice json)
{
	struct control_map_response r;

	enum err err = control_map_response_decode(&f->a, json, &r);
	return err ? err : netmap_apply(&f->map, &f->a, &r, &f->change);
}

static void apply(struct fixture *f, const char *json)
{
	assert_int_equal(apply_text(f, slice_from(json)), OK);
}

static void apply_file(struct fixture *f, const char *name)
{
	struct buf text = control_corpus(name);

	assert_int_equal(apply_text(f, buf_slice(&text)), OK);
	buf_done(&text);
}

static unsigned what_of(const struct fixture *f, int64_t id)
{
	unsigned what = 0;
	int found = 0;

	for (size_t i = 0; i < f->change.peer_count; i++) {
		if (f->change.peers[i].id == id) {
			what = f->change.peers[i].what;
			found++;
		}
	}
	assert_true(found <= 1);
	return what;
}

/* --- what the official server sends ------------------------------------------------------------
 */

static void test_the_official_first_response_makes_a_map(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	apply_file(&f, "map_response.2.json");
	assert_int_equal(f.map.self->id, 1);
	assert_int_equal(f.map.self->home_relay, 1);
	assert_int_equal(f.map.self->address_count, 2);
	assert_int_equal(f.map.self->cap_count, 5);
	assert_non_null(control_node_cap(f.map.self, SLICE("funnel")));
	assert_int_equal(f.map.peer_count, 1);
	const struct control_node *peer = netmap_peer(&f.map, 2);
	assert_true(slice_equal(control_node_label(peer), SLICE("node-b")));
	assert_int_equal(peer->allowed_count, 2);
	assert_ptr_equal(netmap_peer_by_key(&f.map, &peer->key), peer);
	assert_int_equal(what_of(&f, 2), NETMAP_PEER_ADDED);
	assert_int_equal(f.map.relays->region_count, 1);
	assert_int_equal(f.map.relays->regions[0].relays[0].stun_port, 36784);
	assert_true(f.map.relays->regions[0].relays[0].is_insecure);
	assert_int_equal(f.map.filter_count, 1);
	assert_true(slice_equal(f.map.filters[0]->name, SLICE("base")));
	assert_int_equal(f.map.filters[0]->rule_count, 2);
	assert_int_equal(f.map.filters[0]->rules[0].sources[0].kind, CONTROL_IPS_ANY);
	assert_int_equal(f.map.filters[0]->rules[0].destinations[0].last, 65535);
	assert_int_equal(f.map.filters[0]->rules[1].grants[0].destination_count, 2);
	assert_int_equal(f.map.user_count, 2);
	assert_string_equal(f.map.domain, "fake-control.example.net");
	end(&f);
}

static void test_a_map_written_and_read_is_the_same(void **state)
{
	struct control_map_response whole;
	struct fixture f, g;
	struct buf once, twice;

	(void)state;
	start(&f);
	start(&g);
	buf_init(&once);
	buf_init(&twice);
	apply_file(&f, "map_response.2.json");
	apply(&f, "{\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"a.example\"],\"Routes\":{"
		  "\"a.example\":null,\"b.example\":[{\"Addr\":\"10.0.0.1\"}]},"
		  "\"ExtraRecords\":[{\"Name\":\"x.a.example\",\"Value\":\"10.0.0.2\"}]},"
		  "\"Health\":[\"sick\"],\"HanseControl\":[\"http://10.0.0.1:8641\"],"
		  "\"PacketFilters\":{\"more\":[{\"SrcIPs\":[\"10.0.0.0/8\",\"::1\","
		  "\"10.0.0.1-10.0.0.3\",\"cap:x\"],\"IPProto\":[6,17],\"DstPorts\":["
		  "{\"IP\":\"100.64.0.1\",\"Ports\":{\"First\":22,\"Last\":22}}]}]}}");
	netmap_response(&f.a, &f.map, &whole);
	control_map_response_encode(&once, &whole);
	assert_int_equal(apply_text(&g, buf_slice(&once)), OK);
	netmap_response(&g.a, &g.map, &whole);
	control_map_response_encode(&twice, &whole);
	assert_int_equal(once.size, twice.size);
	assert_memory_equal(once.data, twice.data, once.size);
	assert_int_equal(g.map.filter_count, 2);
	assert_int_equal(g.map.filters[1]->rules[0].source_count, 4);
	assert_int_equal(g.map.dns->route_count, 2);
	assert_string_equal(g.map.health[0], "sick");
	assert_string_equal(g.map.control_urls[0], "http://10.0.0.1:8641");
	buf_done(&once);
	buf_done(&twice);
	end(&f);
	end(&g);
}

/* --- deltas ------------------------------------------------------------------------------------
 */

#define KEY(digit) "nodekey:" digit digit digit digit digit digit digit digit
#define EIGHT(d) d d d d d d d d
#define NODE(id, digit)                                                                            \
	"{\"ID\":" id ",\"Name\":\"n" id                                                           \
	".example.\",\"Key\":\"" KEY(digit) "\",\"Addresses\":[\"100.64.0." id "/32\"]}"

static void start_three(struct fixture *f)
{
	start(f);
	apply(f, "{\"Node\":" NODE("1", "11111111") ",\"Peers\":[" NODE("2", "22222222") "," NODE(
			 "3", "33333333") "]}");
	assert_int_equal(f->map.peer_count, 2);
}

static void test_peers_come_change_and_go(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	uint64_t sequence = f.map.sequence;
	apply(&f, "{\"PeersRemoved\":[2,77],\"PeersChanged\":[" NODE("4", "44444444") "," NODE(
			  "3", "33333333") "]}");
	assert_int_equal(f.map.peer_count, 2);
	assert_null(netmap_peer(&f.map, 2));
	assert_int_equal(what_of(&f, 2), NETMAP_PEER_REMOVED);
	assert_int_equal(what_of(&f, 4), NETMAP_PEER_ADDED);
	assert_int_equal(what_of(&f, 3), 0);
	assert_int_equal(f.map.sequence, sequence + 1);
	end(&f);
}

/* Else they would be routes, and names in /etc/hosts. */
static void test_machines_have_addresses_of_the_mesh_only(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	assert_false(netmap_peer(&f.map, 2)->has_foreign_address);
	apply(&f, "{\"PeersChanged\":[{\"ID\":4,\"Name\":\"google.example.\",\"Key\":\"" KEY(
			  "44444444") "\",\"Addresses\":[\"8.8.8.8/32\",\"100.64.0.0/10\","
				      "\"100.128.0.1/32\",\"100.64.0.4/32\",\"100.100.100.100/32\","
				      "\"2001:db8::1/128\",\"fd7a:115c:a1e0::/48\","
				      "\"fd7a:115c:a1e0::53/128\",\"fd7a:115c:a1e0::4/128\"]}]}");
	const struct control_node *c = netmap_peer(&f.map, 4);
	assert_true(c->has_foreign_address);
	assert_int_equal(c->address_count, 2);
	assert_int_equal(c->allowed_count, 2);
	assert_true(control_is_machine_address(c->addresses[0]));
	assert_int_equal(c->addresses[0].ip.bytes[3], 4);
	assert_int_equal(c->addresses[1].ip.bytes[15], 4);
	end(&f);
}

static void test_a_patch_changes_only_what_it_has(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	apply(&f, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DERPRegion\":900,\"Online\":true,"
		  "\"Endpoints\":[\"192.0.2.1:41641\"]},{\"NodeID\":99,\"Online\":true}],"
		  "\"OnlineChange\":{\"3\":false}}");
	const struct control_node *n = netmap_peer(&f.map, 2);
	assert_int_equal(n->home_relay, 900);
	assert_int_equal(n->endpoint_count, 1);
	assert_int_equal(n->online, CONTROL_YES);
	assert_true(slice_equal(control_node_label(n), SLICE("n2")));
	assert_int_equal(what_of(&f, 2),
			 NETMAP_PEER_ENDPOINTS | NETMAP_PEER_RELAY | NETMAP_PEER_ONLINE);
	assert_int_equal(what_of(&f, 3), NETMAP_PEER_ONLINE);
	assert_int_equal(f.change.what, NETMAP_PEERS);
	apply(&f, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Key\":\"" KEY("55555555") "\"}]}");
	assert_int_equal(what_of(&f, 2), NETMAP_PEER_KEY);
	assert_int_equal(f.change.peers[0].key.bytes[0], 0x55);
	assert_int_equal(f.change.peers[0].key_before.bytes[0], 0x22);
	end(&f);
}

static void test_an_old_disco_key_of_an_absent_peer_is_not_taken(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	apply(&f, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DiscoKey\":\"discokey:" EIGHT(
			  "66666666") "\",\"Online\":false}]}");
	assert_true(mesh_key_is_zero(&netmap_peer(&f.map, 2)->disco));
	apply(&f,
	      "{\"PeersChangedPatch\":[{\"NodeID\":2,\"DiscoKey\":\"discokey:" EIGHT(
		      "66666666") "\",\"Online\":false,\"LastSeen\":\"2026-11-22T10:00:00Z\"}]}");
	assert_false(mesh_key_is_zero(&netmap_peer(&f.map, 2)->disco));
	end(&f);
}

static void test_no_peers_listed_means_unchanged(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	apply(&f, "{\"Peers\":[],\"Node\":" NODE("1", "11111111") "}");
	assert_int_equal(f.map.peer_count, 2);
	apply(&f, "{\"Peers\":[" NODE("3", "33333333") "],\"PeersRemoved\":[3]}");
	assert_int_equal(f.map.peer_count, 1);
	assert_int_equal(what_of(&f, 2), NETMAP_PEER_REMOVED);
	assert_non_null(netmap_peer(&f.map, 3));
	end(&f);
}

static void test_filters_are_replaced_by_name(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	assert_int_equal(f.map.filter_count, 0);
	apply(&f, "{\"PacketFilters\":{\"b\":[],\"a\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":["
		  "{\"IP\":\"*\",\"Ports\":{\"First\":1,\"Last\":2}}]}]}}");
	assert_int_equal(f.map.filter_count, 2);
	assert_int_equal(f.map.filters[0]->rule_count, 1);
	apply(&f, "{\"PacketFilters\":{\"a\":null}}");
	assert_int_equal(f.map.filter_count, 1);
	apply(&f, "{\"PacketFilters\":{\"c\":[],\"*\":null}}");
	assert_int_equal(f.map.filter_count, 1);
	assert_true(slice_equal(f.map.filters[0]->name, SLICE("c")));
	apply(&f, "{\"PacketFilter\":[]}");
	assert_int_equal(f.map.filter_count, 2);
	apply(&f, "{\"PacketFilter\":null}");
	assert_int_equal(f.change.what, 0);
	end(&f);
}

static void test_what_is_null_or_absent_stays(void **state)
{
	struct fixture f;

	(void)state;
	start_three(&f);
	apply(&f, "{\"Health\":[\"x\"],\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,\"Nodes\":"
		  "[{\"Name\":\"a\",\"HostName\":\"h\"}]},\"2\":null}}}");
	assert_int_equal(f.map.relays->region_count, 1);
	apply(&f, "{\"DERPMap\":{},\"Health\":null,\"DNSConfig\":null,\"Node\":null,\"Future\":7}");
	assert_int_equal(f.change.what, 0);
	assert_int_equal(f.map.relays->region_count, 1);
	assert_int_equal(f.map.health_count, 1);
	apply(&f, "{\"Health\":[]}");
	assert_int_equal(f.map.health_count, 0);
	apply(&f, "{\"KeepAlive\":true}");
	assert_int_equal(f.change.what, 0);
	end(&f);
}

/* --- refused -----------------------------------------------------------------------------------
 */

static void test_a_first_response_without_the_node_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(apply_text(&f, SLICE("{\"Domain\":\"x\"}")), ERR_INVALID);
	assert_string_equal(f.map.domain, "");
	apply(&f, "{\"KeepAlive\":true}");
	end(&f);
}

static void test_nonsense_is_refused_and_changes_nothing(void **state)
{
	static const char *const wrong[] = {
		"{\"Node\":{}}",
		"{\"Node\":{\"ID\":0}}",
		"{\"Node\":{\"ID\":9007199254740992}}",
		"{\"Peers\":{}}",
		"{\"PeersChanged\":[7]}",
		"{\"PeersRemoved\":[\"1\"]}",
		"{\"OnlineChange\":{\"x\":true}}",
		"{\"OnlineChange\":{\"1\":1}}",
		"{\"PacketFilters\":{\"a\":{}}}",
		"{\"PacketFilter\":[{\"SrcIPs\":[\"10.0.0.1/8\"]}]}",
		"{\"PacketFilter\":[{\"SrcIPs\":[\"10.0.0.3-10.0.0.1\"]}]}",
		"{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\"}]}]}",
		"{\"PacketFilter\":[{\"IPProto\":[256]}]}",
		"{\"DERPMap\":{\"Regions\":{\"1\":{}}}}",
		"{\"DNSConfig\":{\"Routes\":{\"a\":7}}}",
		"{\"PeersChangedPatch\":[{}]}",
		"{\"PingRequest\":{\"Payload\":\"x\"}}",
		"{\"PingRequest\":{\"Payload\":\"=\"}}",
	};
	struct fixture f;

	(void)state;
	start_three(&f);
	uint64_t sequence = f.map.sequence;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(apply_text(&f, slice_from(wrong[i])), ERR_INVALID);
	assert_int_equal(f.map.sequence, sequence);
	end(&f);
}

/* --- frames ------------------------------------------------------------------------------------
 */

static void test_frames_come_out_as_they_went_in(void **state)
{
	struct arena a;
	struct buf b;
	struct slice json, rest;

	(void)state;
	arena_init(&a);
	buf_init(&b);
	control_frame_encode(&b, SLICE("{\"KeepAlive\":true}"));
	size_t start = b.size;
	control_frame_begin(&b);
	control_chunk_encode(&b, SLICE("{\"Dom"));
	control_chunk_encode(&b, SLICE("ain\":\"x\"}"));
	control_frame_end(&b, start);
	for (size_t i = 0; i < start; i++) {
		rest = slice_part(buf_slice(&b), 0, i);
		assert_int_equal(control_frame_decode(&a, &rest, &json), ERR_BUSY);
		assert_int_equal(rest.size, i);
	}
	rest = buf_slice(&b);
	assert_int_equal(control_frame_decode(&a, &rest, &json), OK);
	assert_true(slice_equal(json, SLICE("{\"KeepAlive\":true}")));
	assert_int_equal(control_frame_decode(&a, &rest, &json), OK);
	assert_true(slice_equal(json, SLICE("{\"Domain\":\"x\"}")));
	assert_int_equal(rest.size, 0);
	buf_done(&b);
	arena_done(&a);
}

static void test_a_frame_that_claims_too_much_is_refused(void **state)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0x7f, 0 };
	static const uint8_t nonsense[] = { 3, 0, 0, 0, 1, 2, 3 };
	/* a zstd frame whose header says 1 GiB */
	static const uint8_t bomb[] = { 12,   0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd,
					0xa0, 0, 0, 0, 0x40, 1,	   0,	 0 };
	struct slice rest = { huge, sizeof(huge) };
	struct slice json;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(control_frame_decode(&a, &rest, &json), ERR_TOO_BIG);
	rest = (struct slice) { nonsense, sizeof(nonsense) };
	assert_int_equal(control_frame_decode(&a, &rest, &json), ERR_INVALID);
	rest = (struct slice) { bomb, sizeof(bomb) };
	assert_int_equal(control_frame_decode(&a, &rest, &json), ERR_TOO_BIG);
	assert_int_equal(a.used, 0);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_official_first_response_makes_a_map),
		cmocka_unit_test(test_a_map_written_and_read_is_the_same),
		cmocka_unit_test(test_peers_come_change_and_go),
		cmocka_unit_test(test_machines_have_addresses_of_the_mesh_only),
		cmocka_unit_test(test_a_patch_changes_only_what_it_has),
		cmocka_unit_test(test_an_old_disco_key_of_an_absent_peer_is_not_taken),
		cmocka_unit_test(test_no_peers_listed_means_unchanged),
		cmocka_unit_test(test_filters_are_replaced_by_name),
		cmocka_unit_test(test_what_is_null_or_absent_stays),
		cmocka_unit_test(test_a_first_response_without_the_node_is_refused),
		cmocka_unit_test(test_nonsense_is_refused_and_changes_nothing),
		cmocka_unit_test(test_frames_come_out_as_they_went_in),
		cmocka_unit_test(test_a_frame_that_claims_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
