/* Where a control server is: "http://192.0.2.1:8641", "https://control.example". */
#ifndef MESH_MEMBER_CONTROL_URL_H
#define MESH_MEMBER_CONTROL_URL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum { CONTROL_URL_BYTES_MAX = 512, CONTROL_URL_HOST_BYTES_MAX = 253 };

struct control_url {
	bool is_tls;
	uint16_t port;				   /* 80 or 443 where the text has none */
	char host[CONTROL_URL_HOST_BYTES_MAX + 1]; /* without brackets */
	char text[CONTROL_URL_BYTES_MAX + 1];
};

/* A path other than "/" is ERR_INVALID: the protocol has its own. */
MUST_CHECK enum err control_url_parse(struct slice text, struct control_url *ret);

/* What stands in the Host header: with the port where it is not the usual one. */
enum { CONTROL_URL_AUTHORITY_BYTES = CONTROL_URL_HOST_BYTES_MAX + 16 };
void control_url_authority(const struct control_url *u, char ret[CONTROL_URL_AUTHORITY_BYTES]);

/* The path and query of any URL, "/" where there is none; what a server asks to be called at over
 * the connection that stands.  Nothing: that is no URL. */
struct slice control_url_path(struct slice url);

#endif
