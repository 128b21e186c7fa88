#include "wire/control/register.h"

#include "wire/control/json_writer.h"
#include "wire/control/node_read.h"

/* The zero key of a tailnet lock, which is not there. */
static const char no_lock_key[] = "nlpub:0000000000000000000000000000000000000000000000000000000000"
				  "000000";

void control_register_request_encode(struct buf *b, const struct control_register_request *r)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	json_put_int(&w, "Version", r->version);
	json_put_key(&w, "NodeKey", MESH_KEY_NODE, &r->node_key);
	json_put_key(&w, "OldNodeKey", MESH_KEY_NODE, &r->old_node_key);
	json_put_text(&w, "NLKey", slice_from(no_lock_key));
	if (r->auth_key.size) {
		json_name(&w, "Auth");
		json_begin(&w, '{');
		json_put_text(&w, "AuthKey", r->auth_key);
		json_end(&w, '}');
	}
	json_put_time(&w, "Expiry", r->expiry_s);
	json_put_text(&w, "Followup", r->followup);
	json_name(&w, "Hostinfo");
	control_hostinfo_encode(b, &r->hostinfo);
	w.needs_comma = true;
	if (r->is_ephemeral)
		json_put_bool(&w, "Ephemeral", true);
	json_name(&w, "NodeKeySignature");
	json_raw(&w, SLICE("null"));
	json_end(&w, '}');
}

enum err control_register_request_decode(struct arena *a, struct slice json,
					 struct control_register_request *ret)
{
	struct control_register_request request;
	struct json_reader r;

	if (json.size > CONTROL_REQUEST_BYTES_MAX)
		return ERR_TOO_BIG;
	json_reader_init(&r, a, json);
	const json_t *auth = json_get_object(&r, r.root, "Auth", CONTROL_MEMBERS_MAX);
	request = (struct control_register_request) {
		.version = (uint32_t)json_get_int(&r, r.root, "Version", 0, UINT16_MAX),
		.node_key = json_get_key(&r, r.root, "NodeKey", MESH_KEY_NODE),
		.old_node_key = json_get_key(&r, r.root, "OldNodeKey", MESH_KEY_NODE),
		.auth_key = json_get_text(&r, auth, "AuthKey", CONTROL_TEXT_BYTES_MAX),
		.followup = json_get_text(&r, r.root, "Followup", CONTROL_TEXT_BYTES_MAX),
		.expiry_s = json_get_time(&r, r.root, "Expiry"),
		.is_ephemeral = json_get_bool(&r, r.root, "Ephemeral"),
	};
	hostinfo_read(&r, json_get_object(&r, r.root, "Hostinfo", CONTROL_MEMBERS_MAX), true,
		      &request.hostinfo);
	json_reader_done(&r);
	if (!r.err)
		*ret = request;
	return r.err;
}

void control_register_response_encode(struct buf *b, const struct control_register_response *r)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	json_name(&w, "User");
	json_begin(&w, '{');
	json_put_int(&w, "ID", r->user_id);
	json_put_text(&w, "DisplayName", r->display_name);
	json_end(&w, '}');
	json_name(&w, "Login");
	json_begin(&w, '{');
	json_put_int(&w, "ID", r->user_id);
	json_put_text(&w, "Provider", r->provider);
	json_put_text(&w, "LoginName", r->login_name);
	json_put_text(&w, "DisplayName", r->display_name);
	json_end(&w, '}');
	json_put_bool(&w, "NodeKeyExpired", r->is_key_expired);
	json_put_bool(&w, "MachineAuthorized", r->is_authorized);
	json_put_text(&w, "AuthURL", r->auth_url);
	json_name(&w, "NodeKeySignature");
	json_raw(&w, SLICE("null"));
	json_put_text(&w, "Error", r->error);
	json_end(&w, '}');
}

enum err control_register_response_decode(struct arena *a, struct slice json,
					  struct control_register_response *ret)
{
	struct control_register_response response;
	struct json_reader r;

	if (json.size > CONTROL_REGISTER_BYTES_MAX)
		return ERR_TOO_BIG;
	json_reader_init(&r, a, json);
	const json_t *user = json_get_object(&r, r.root, "User", CONTROL_MEMBERS_MAX);
	const json_t *login = json_get_object(&r, r.root, "Login", CONTROL_MEMBERS_MAX);
	response = (struct control_register_response) {
		.user_id = json_get_int(&r, user, "ID", INT64_MIN, INT64_MAX),
		.login_name = json_get_text(&r, login, "LoginName", CONTROL_TEXT_BYTES_MAX),
		.display_name = json_get_text(&r, login, "DisplayName", CONTROL_TEXT_BYTES_MAX),
		.provider = json_get_text(&r, login, "Provider", CONTROL_TEXT_BYTES_MAX),
		.is_key_expired = json_get_bool(&r, r.root, "NodeKeyExpired"),
		.is_authorized = json_get_bool(&r, r.root, "MachineAuthorized"),
		.auth_url = json_get_text(&r, r.root, "AuthURL", CONTROL_TEXT_BYTES_MAX),
		.error = json_get_text(&r, r.root, "Error", CONTROL_TEXT_BYTES_MAX),
	};
	json_reader_done(&r);
	if (!r.err)
		*ret = response;
	return r.err;
}

enum err control_verify_request_decode(struct slice json, struct mesh_key *ret)
{
	struct json_reader r;
	struct arena a;

	if (json.size > CONTROL_REQUEST_BYTES_MAX)
		return ERR_TOO_BIG;
	arena_init(&a);
	json_reader_init(&r, &a, json);
	struct mesh_key node = json_get_key(&r, r.root, "NodePublic", MESH_KEY_NODE);
	json_reader_done(&r);
	arena_done(&a);
	if (!r.err)
		*ret = node;
	return r.err;
}
