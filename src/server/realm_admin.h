/* What the files of the realm's admin API share. */
#ifndef SERVER_REALM_ADMIN_H
#define SERVER_REALM_ADMIN_H

#include <jansson.h>

#include "server/realm_role.h"

/* Takes `page` over. */
void realm_admin_answer(struct http_exchange *e, int status, json_t *page);
void realm_admin_error(struct http_exchange *e, int status, const char *why);
int realm_admin_status(enum err err);

/* `rest`: what stands behind "/v1/policy/". */
void realm_policy_on_request(struct realm_role *role, struct http_exchange *e, struct slice rest);

#endif
