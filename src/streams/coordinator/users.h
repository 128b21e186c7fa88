/* Users, as the administrator of the machine changes them: through the socket that only its owner
 * can open, so nobody is asked who they are. */
#ifndef STREAMS_COORDINATOR_USERS_H
#define STREAMS_COORDINATOR_USERS_H

#include "cells/leader.h"
#include "streams/catalog/guard.h"

struct coordinator;

enum user_change_kind { USER_ADD, USER_PASSWORD, USER_REMOVE };
enum { USER_VERIFIERS_MAX = 2 };

/* A child task.  OK: it is durable.  ERR_EXISTS, ERR_NOT_FOUND, ERR_INVALID (the name or a
 * verifier), ERR_FULL; ERR_UNAVAILABLE: this node does not lead. */
struct user_change {
	struct task task;
	struct coordinator *coordinator;
	enum user_change_kind kind;
	struct slice name; /* borrowed, with all of the verifiers, until it is done */
	bool is_admin;	   /* of USER_ADD */
	struct guard_verifier verifiers[USER_VERIFIERS_MAX];
	size_t verifier_count;

	/* private */
	struct leader_call call;
};

/* With kind, name, is_admin and verifiers filled in. */
void user_change_start(struct user_change *u, struct task *parent, struct coordinator *c);

#endif
