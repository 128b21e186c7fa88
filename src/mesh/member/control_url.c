#include "mesh/member/control_url.h"

#include <stdio.h>

#include "base/text.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

static bool cut_prefix(struct slice *s, struct slice prefix)
{
	if (!slice_starts_with(*s, prefix))
		return false;
	*s = slice_part(*s, prefix.size, s->size);
	return true;
}

static bool is_host(struct slice host)
{
	for (size_t i = 0; i < host.size; i++)
		if (host.data[i] <= ' ' || host.data[i] >= 0x7f || host.data[i] == '@' ||
		    host.data[i] == '/' || host.data[i] == '[' || host.data[i] == ']')
			return false;
	return host.size > 0 && host.size <= CONTROL_URL_HOST_BYTES_MAX;
}

/* "[v6]" or a name or number, and what stands behind it. */
static bool cut_host(struct slice *rest, struct slice *ret)
{
	if (!cut_prefix(rest, SLICE("["))) {
		size_t size = 0;
		while (size < rest->size && rest->data[size] != ':')
			size++;
		*ret = slice_part(*rest, 0, size);
		*rest = slice_part(*rest, size, rest->size);
		return is_host(*ret);
	}
	const uint8_t *end = memchr(rest->data, ']', rest->size);
	if (!end)
		return false;
	*ret = slice_part(*rest, 0, (size_t)(end - rest->data));
	*rest = slice_part(*rest, ret->size + 1, rest->size);
	return is_host(*ret);
}

enum err control_url_parse(struct slice text, struct control_url *ret)
{
	struct control_url u = { .port = PORT_HTTP };
	struct slice rest = text, host;
	uint64_t port;

	if (text.size > CONTROL_URL_BYTES_MAX)
		return ERR_TOO_BIG;
	if (cut_prefix(&rest, SLICE("https://"))) {
		u.is_tls = true;
		u.port = PORT_HTTPS;
	} else if (!cut_prefix(&rest, SLICE("http://"))) {
		return ERR_INVALID;
	}
	if (rest.size > 0 && rest.data[rest.size - 1] == '/')
		rest.size--;
	if (!cut_host(&rest, &host))
		return ERR_INVALID;
	if (rest.size > 0) {
		if (!cut_prefix(&rest, SLICE(":")) || text_to_u64(rest, UINT16_MAX, &port) ||
		    port == 0)
			return ERR_INVALID;
		u.port = (uint16_t)port;
	}
	memcpy(u.host, host.data, host.size);
	memcpy(u.text, text.data, text.size);
	*ret = u;
	return OK;
}

void control_url_authority(const struct control_url *u, char ret[CONTROL_URL_AUTHORITY_BYTES])
{
	bool is_v6 = strchr(u->host, ':');
	bool is_usual = u->port == (u->is_tls ? PORT_HTTPS : PORT_HTTP);
	char port[8] = "";

	if (!is_usual)
		snprintf(port, sizeof(port), ":%u", u->port);
	snprintf(ret, CONTROL_URL_AUTHORITY_BYTES, "%s%s%s%s", is_v6 ? "[" : "", u->host,
		 is_v6 ? "]" : "", port);
}

struct slice control_url_path(struct slice url)
{
	const uint8_t *at = memmem(url.data, url.size, "://", 3);

	for (size_t i = 0; i < url.size; i++)
		if (url.data[i] <= ' ' || url.data[i] >= 0x7f)
			return (struct slice) { 0 };
	if (!at)
		return (struct slice) { 0 };
	struct slice rest = slice_part(url, (size_t)(at - url.data) + 3, url.size);
	const uint8_t *slash = memchr(rest.data, '/', rest.size);
	return slash ? slice_part(rest, (size_t)(slash - rest.data), rest.size) : SLICE("/");
}
