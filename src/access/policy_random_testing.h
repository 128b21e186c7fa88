/* Random policies and questions, for the test and the fuzzer that hold compile and decide against
 * each other. */
#ifndef ACCESS_POLICY_RANDOM_TESTING_H
#define ACCESS_POLICY_RANDOM_TESTING_H

#include "access/compile.h"
#include "access/decide.h"
#include "access/policy_testing.h"
#include "base/random.h"

static inline void random_list(struct prng *random, struct buf *b, const char *const *words,
			       size_t count, const char *const *ports, size_t port_count)
{
	size_t n = 1 + prng_below(random, 3);

	buf_add_text(b, "[");
	for (size_t i = 0; i < n; i++) {
		buf_add_format(b, "%s\"%s", i ? "," : "", words[prng_below(random, count)]);
		if (ports)
			buf_add_format(b, ":%s", ports[prng_below(random, port_count)]);
		buf_add_text(b, "\"");
	}
	buf_add_text(b, "]");
}

static inline void random_rules(struct prng *random, struct buf *b, size_t max)
{
	static const char *const sources[] = {
		"*",
		"alice@example.com",
		"user:*@example.com",
		"group:dev",
		"tag:web",
		"tag:db",
		"laptop",
		"autogroup:member",
		"desk",
		"autogroup:tagged",
		"10.1.0.0/24",
		"100.64.0.1-100.64.0.3",
		"100.64.0.0/29",
		"lan",
		"autogroup:danger-all",
		"fd7a:115c:a1e0::/126",
	};
	static const char *const targets[] = {
		"*",
		"bob@example.com",
		"group:dev",
		"tag:web",
		"tag:db",
		"phone",
		"office",
		"autogroup:member",
		"autogroup:self",
		"autogroup:internet",
		"lan",
		"10.1.0.7",
		"100.64.0.4",
		"100.64.0.0/10",
		"0.0.0.0/0",
		"autogroup:tagged",
	};
	static const char *const ports[] = { "*", "22", "80,443", "20-25", "0-100", "443-65535" };
	static const char *const services[] = { "*",	  "22",	  "tcp:80-90", "udp:22",
						"icmp:*", "47:*", "sctp:80" };
	static const char *const protocols[] = { "tcp", "udp", "", "sctp" };
	size_t count = prng_below(random, max + 1);

	buf_add_text(b, "[");
	for (size_t i = 0; i < count; i++) {
		bool is_grant = prng_below(random, 2);

		buf_add_format(b, "%s{\"src\":", i ? "," : "");
		random_list(random, b, sources, 16, NULL, 0);
		buf_add_text(b, ",\"dst\":");
		random_list(random, b, targets, 16, is_grant ? NULL : ports, 6);
		if (is_grant) {
			buf_add_text(b, ",\"ip\":");
			random_list(random, b, services, 7, NULL, 0);
		} else {
			buf_add_format(b, ",\"proto\":\"%s\"", protocols[prng_below(random, 4)]);
		}
		buf_add_text(b, "}");
	}
	buf_add_text(b, "]");
}

static inline void random_policy(struct prng *random, struct buf *b)
{
	buf_clear(b);
	buf_add_text(b, "{\"groups\":{\"group:dev\":[\"alice@example.com\",\"carol@example.com\"]},"
			"\"hosts\":{\"lan\":\"10.1.0.0/20\"},"
			"\"tagOwners\":{\"tag:web\":[],\"tag:db\":[]},\"allow\":");
	random_rules(random, b, 5);
	buf_add_text(b, ",\"forbid\":");
	random_rules(random, b, 2);
	buf_add_text(b, "}");
}

/* A packet from anywhere to something of the machine; true if compile and decide agree. */
static inline bool random_question_agrees(struct prng *random, const struct policy *policy,
					  const struct testing_company *company,
					  const struct compiled_filter *filter, size_t machine,
					  bool *ret_allowed)
{
	static const char *const from[2][9] = {
		{ "100.64.0.1", "100.64.0.2", "100.64.0.3", "100.64.0.4", "100.64.0.5",
		  "100.64.0.6", "10.1.0.9", "8.8.8.8", "100.64.9.9" },
		{ "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::3",
		  "fd7a:115c:a1e0::4", "fd7a:115c:a1e0::5", "fd7a:115c:a1e0::6", "2001:db8::1",
		  "2001:db8::2", "fd7a:115c:a1e0::99" }
	};
	static const char *const behind[2][4] = {
		{ "10.1.0.7", "10.1.200.1", "1.1.1.1", "192.168.0.1" },
		{ "2001:db8::9", "fd00::1", "2001:db8::1", "::9" }
	};
	static const uint8_t protocols[] = { 6, 17, 132, 47, 1 };
	static const uint16_t ports[] = { 0, 19, 22, 25, 26, 80, 90, 91, 100, 443, 444, 65535 };
	const struct access_machine *m = &company->machines[machine];
	int family = (int)prng_below(random, 2);
	struct ip source = testing_ip(from[family][prng_below(random, 9)]);
	struct ip target = m->route_count && prng_below(random, 2)
				   ? testing_ip(behind[family][prng_below(random, 4)])
				   : m->addresses[family];
	const struct access_machine *sender = access_find_machine(&company->world, SLICE(""));
	struct question q = { .protocol = protocols[prng_below(random, 5)],
			      .port = ports[prng_below(random, 12)],
			      .to_is_exit = access_is_exit(m) };
	bool is_there = ip_equal(target, m->addresses[family]);

	for (size_t i = 0; i < company->world.machine_count; i++)
		for (size_t j = 0; j < 2; j++)
			if (ip_equal(company->machines[i].addresses[j], source))
				sender = &company->machines[i];
	for (size_t i = 0; i < m->route_count; i++)
		is_there |= ip_prefix_has(m->routes[i], target);
	q.from = sender ? subject_of(sender, source)
			: (struct subject) { .has_ip = true, .ip = source };
	q.to = subject_of(m, target);
	*ret_allowed = is_there && decide(policy, &company->world, &q).is_allowed;
	return *ret_allowed == compiled_allows(filter, source, target, q.protocol, q.port);
}

#endif
