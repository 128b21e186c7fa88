/* POST /machine/register: a machine asks to be known, or to be known no longer. */
#ifndef WIRE_CONTROL_REGISTER_H
#define WIRE_CONTROL_REGISTER_H

#include "wire/control/node.h"

/* What the client sends as Expiry to be logged out, in Unix seconds. */
enum { CONTROL_LOGOUT_EXPIRY_S = 123 };

struct control_register_request {
	uint32_t version; /* capability version of the client */
	struct mesh_key node_key;
	struct mesh_key old_node_key; /* zero: none */
	struct slice auth_key;	      /* join key; empty: none */
	struct slice followup;	      /* the AuthURL it waits for; empty: none */
	struct control_hostinfo hostinfo;
	int64_t expiry_s; /* 0: not asked for; in the past: log out */
	bool is_ephemeral;
};

struct control_register_response {
	int64_t user_id;
	struct slice login_name; /* never empty in an answer without error */
	struct slice display_name;
	struct slice provider;
	bool is_key_expired;
	bool is_authorized;
	struct slice auth_url; /* not empty: a person has to approve */
	struct slice error;    /* not empty: refused, for the person */
};

void control_register_request_encode(struct buf *b, const struct control_register_request *r);
MUST_CHECK enum err control_register_request_decode(struct arena *a, struct slice json,
						    struct control_register_request *ret);
void control_register_response_encode(struct buf *b, const struct control_register_response *r);
MUST_CHECK enum err control_register_response_decode(struct arena *a, struct slice json,
						     struct control_register_response *ret);

/* POST /verify: a relay asks whether the machine with this node key may use it. */
MUST_CHECK enum err control_verify_request_decode(struct slice json, struct mesh_key *ret);

#endif
