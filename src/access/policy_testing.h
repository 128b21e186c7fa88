/* A small company for tests: four machines, a server, an office network and an exit. */
#ifndef ACCESS_POLICY_TESTING_H
#define ACCESS_POLICY_TESTING_H

#include <stdio.h>

#include "access/check.h"
#include "base/memory.h"

static inline struct ip testing_ip(const char *text)
{
	struct ip ip = { 0 };

	return ip_parse(slice_from(text), &ip) ? (struct ip) { 0 } : ip;
}

struct testing_company {
	struct access_machine machines[7];
	struct ip addresses[7][2];
	struct slice tags[2];
	struct ip_prefix routes[3];
	struct access_world world;
};

/* laptop, phone: alice; desk: bob; web, db: tagged; office: routes 10.1.0.0/16; exit: an exit. */
static inline void testing_company_init(struct testing_company *c)
{
	static const char *const names[] = { "laptop", "phone",	 "desk", "web",
					     "db",     "office", "exit" };
	static const char *const users[] = { "alice@example.com",
					     "alice@example.com",
					     "bob@example.com",
					     "alice@example.com",
					     "",
					     "carol@example.com",
					     "carol@example.com" };

	*c = (struct testing_company) { 0 };
	c->tags[0] = SLICE("tag:web");
	c->tags[1] = SLICE("tag:db");
	for (int i = 0; i < 7; i++) {
		char text[2][32];

		snprintf(text[0], sizeof(text[0]), "100.64.0.%d", i + 1);
		snprintf(text[1], sizeof(text[1]), "fd7a:115c:a1e0::%d", i + 1);
		c->addresses[i][0] = testing_ip(text[0]);
		c->addresses[i][1] = testing_ip(text[1]);
		c->machines[i] = (struct access_machine) { .id = (uint64_t)i + 1,
							   .name = slice_from(names[i]),
							   .user = slice_from(users[i]),
							   .addresses = c->addresses[i],
							   .address_count = 2 };
	}
	for (int i = 3; i < 5; i++) {
		c->machines[i].tags = &c->tags[i - 3];
		c->machines[i].tag_count = 1;
	}
	c->routes[0] = (struct ip_prefix) { testing_ip("10.1.0.0"), 16 };
	c->routes[1] = (struct ip_prefix) { testing_ip("0.0.0.0"), 0 };
	c->routes[2] = (struct ip_prefix) { testing_ip("::"), 0 };
	c->machines[5].routes = &c->routes[0];
	c->machines[5].route_count = 1;
	c->machines[6].routes = &c->routes[1];
	c->machines[6].route_count = 2;
	c->world = (struct access_world) { c->machines, 7 };
}

#endif
