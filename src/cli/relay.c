/* hanse relay ...: the relays of a mesh, asked of control at realm.sock.
 *
 * A relay beside control announces itself.  One elsewhere says a word, which an administrator takes
 * to control:
 *
 *	NAME,HOST,RELAY-PORT,STUN-PORT[+SECOND],SHA256 of its certificate or -,REGION or 0 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/mesh.h"
#include "cli/output.h"

enum {
	REGION_MIN = 900,
	REGION_MAX = 999,
	HEX_DIGITS = 64,
	WORD_BYTES_MAX = 512,
	TARGET_BYTES = 320,
};

enum part {
	PART_NAME,
	PART_HOST,
	PART_RELAY_PORT,
	PART_STUN_PORT,
	PART_CERTIFICATE,
	PART_REGION,
	PART_COUNT
};

static enum command_status get_relays(const struct command_line *l, json_t **ret)
{
	return local_request(l, "realm.sock", "GET", "/v1/relays", NULL, 0, ret);
}

/* --- list ------------------------------------------------------------------------------------ */
static void print_relays(struct arena *a, const json_t *relays)
{
	static const char *const headings[] = { "NAME", "REGION", "HOST", "PORT", "STUN", NULL };
	struct table t;

	table_init(&t, a, headings);
	for (size_t i = 0; i < json_array_size(relays); i++) {
		const json_t *it = json_array_get(relays, i);
		table_add_text(&t, mesh_text(a, it, "name"));
		table_add_number(&t, json_integer_value(json_object_get(it, "region")));
		table_add_text(&t, mesh_text(a, it, "host"));
		table_add_number(&t, json_integer_value(json_object_get(it, "relay_port")));
		table_add_number(&t, json_integer_value(json_object_get(it, "stun_port")));
	}
	table_print(&t, stdout);
	table_done(&t);
}

enum command_status relay_list_run(const struct command_line *l)
{
	struct arena a;
	json_t *answer;

	enum command_status status = get_relays(l, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	const json_t *relays = json_object_get(answer, "relays");
	arena_init(&a);
	if (json_array_size(relays) == 0)
		say("there are no relays yet: `hanse up` with the role relay is one");
	else
		print_relays(&a, relays);
	arena_done(&a);
	json_decref(answer);
	return COMMAND_DONE;
}

/* --- add ------------------------------------------------------------------------------------- */
static bool is_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	return text_to_u64(slice_from(text), max, ret) == OK && *ret >= min;
}

/* A label of DNS, as `hanse up --name` wants it: it becomes part of a path. */
static bool is_name(const char *text)
{
	size_t size = strlen(text);

	return size > 0 && size <= 63 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* "sha256-raw:" before the digits; "-" is none. */
static bool read_certificate(const char *hex, char *ret, size_t size)
{
	uint8_t hash[HEX_DIGITS / 2];

	ret[0] = '\0';
	if (strcmp(hex, "-") == 0)
		return true;
	if (strlen(hex) != HEX_DIGITS || hex_decode(slice_from(hex), hash, sizeof(hash)))
		return false;
	snprintf(ret, size, "sha256-raw:%s", hex);
	return true;
}

/* One port, or two with a plus between them; 0: there is no second one. */
static bool read_stun(char *text, uint64_t *ret_first, uint64_t *ret_second)
{
	char *second = text;

	strsep(&second, "+");
	*ret_second = 0;
	return is_number(text, 1, UINT16_MAX, ret_first) &&
	       (!second || is_number(second, 1, UINT16_MAX, ret_second));
}

/* The realm's request; NULL: the word makes no sense. */
static json_t *read_word(char word[WORD_BYTES_MAX], char *parts[PART_COUNT])
{
	uint64_t relay_port, stun_port, second_stun_port, region;
	char certificate[HEX_DIGITS + 16], *rest = word;
	uint8_t ip[16];

	for (int i = 0; i < PART_COUNT; i++)
		parts[i] = strsep(&rest, ",");
	if (rest || !parts[PART_REGION] || !is_name(parts[PART_NAME]) || !parts[PART_HOST][0] ||
	    !is_number(parts[PART_RELAY_PORT], 1, UINT16_MAX, &relay_port) ||
	    !read_stun(parts[PART_STUN_PORT], &stun_port, &second_stun_port) ||
	    !is_number(parts[PART_REGION], 0, REGION_MAX, &region) ||
	    (region && region < REGION_MIN) ||
	    !read_certificate(parts[PART_CERTIFICATE], certificate, sizeof(certificate)))
		return NULL;
	const char *host = parts[PART_HOST], *name = parts[PART_NAME];
	bool is_v4 = inet_pton(AF_INET, host, ip) == 1, is_v6 = inet_pton(AF_INET6, host, ip) == 1;
	return json_pack("{s:I, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "region",
			 (json_int_t)region, "is_shared", region != 0, "code", name, "title", name,
			 "host", host, "ipv4",
			 is_v4	 ? host
			 : is_v6 ? "none"
				 : "",
			 "ipv6",
			 is_v6	 ? host
			 : is_v4 ? "none"
				 : "",
			 "cert_name", certificate, "relay_port", (json_int_t)relay_port,
			 "stun_port", (json_int_t)stun_port, "second_stun_port",
			 (json_int_t)second_stun_port);
}

/* That of the relay if it is there already, else the first that none has; 0: all are taken. */
static json_int_t choose_region(const json_t *relays, const char *name)
{
	bool is_taken[REGION_MAX - REGION_MIN + 1] = { false };

	for (size_t i = 0; i < json_array_size(relays); i++) {
		const json_t *it = json_array_get(relays, i);
		json_int_t region = json_integer_value(json_object_get(it, "region"));
		const char *other = json_string_value(json_object_get(it, "name"));
		if (other && strcmp(other, name) == 0)
			return region;
		if (region >= REGION_MIN && region <= REGION_MAX)
			is_taken[region - REGION_MIN] = true;
	}
	for (int k = 0; k <= REGION_MAX - REGION_MIN; k++)
		if (!is_taken[k])
			return REGION_MIN + k;
	return 0;
}

static enum command_status put_relay(const struct command_line *l, json_t *body, const char *name)
{
	char target[TARGET_BYTES];
	json_t *answer;

	snprintf(target, sizeof(target), "/v1/relays/%s", name);
	enum command_status status =
		local_request(l, "realm.sock", "PUT", target, body, 0, &answer);
	if (status)
		return status;
	json_decref(answer);
	say("machines hear of the relay %s now", name);
	return COMMAND_DONE;
}

static enum command_status bring_back(const struct command_line *l, const char *name)
{
	char target[TARGET_BYTES];
	json_t *answer;

	snprintf(target, sizeof(target), "/v1/relays/%s", name);
	enum command_status status =
		local_request(l, "realm.sock", "POST", target, NULL, 0, &answer);
	if (status)
		return status;
	json_decref(answer);
	say("machines hear of the relay %s again", name);
	return COMMAND_DONE;
}

enum command_status relay_add_run(const struct command_line *l)
{
	char word[WORD_BYTES_MAX], *parts[PART_COUNT];
	json_t *answer, *body = NULL;

	if (is_name(l->arguments[0]))
		return bring_back(l, l->arguments[0]);
	if (strlen(l->arguments[0]) < sizeof(word)) {
		memcpy(word, l->arguments[0], strlen(l->arguments[0]) + 1);
		body = read_word(word, parts);
	}
	if (!body) {
		say("that is no relay: copy the whole word that `hanse up` said there");
		return COMMAND_MISUSED;
	}
	enum command_status status = get_relays(l, &answer);
	if (status) {
		json_decref(body);
		return status;
	}
	json_int_t region = choose_region(json_object_get(answer, "relays"), parts[PART_NAME]);
	if (json_integer_value(json_object_get(body, "region")) == 0)
		json_object_set_new(body, "region", json_integer(region));
	json_decref(answer);
	return put_relay(l, body, parts[PART_NAME]);
}

/* --- remove ---------------------------------------------------------------------------------- */
enum command_status relay_remove_run(const struct command_line *l)
{
	char target[TARGET_BYTES];
	json_t *answer;
	size_t left;

	if (!is_name(l->arguments[0])) {
		say("there is no relay with such a name: `hanse relay list` shows them");
		return COMMAND_NOT_FOUND;
	}
	snprintf(target, sizeof(target), "/v1/relays/%s", l->arguments[0]);
	enum command_status status =
		local_request(l, "realm.sock", "DELETE", target, NULL, 0, &answer);
	if (!status)
		json_decref(answer);
	if (!status)
		status = get_relays(l, &answer);
	if (status)
		return status;
	left = json_array_size(json_object_get(answer, "relays"));
	json_decref(answer);
	say("machines do without the relay %s now; `hanse relay add %s` takes it back",
	    l->arguments[0], l->arguments[0]);
	if (left == 0)
		say("no relay is left: machines that do not reach each other directly are apart, "
		    "and official clients cannot start");
	return COMMAND_DONE;
}
