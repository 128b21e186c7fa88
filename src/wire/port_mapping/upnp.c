#include "wire/port_mapping/upnp.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/* --- the search ------------------------------------------------------------------------------- */
struct slice upnp_search(void)
{
	return SLICE("M-SEARCH * HTTP/1.1\r\n"
		     "HOST: 239.255.255.250:1900\r\n"
		     "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		     "MAN: \"ssdp:discover\"\r\n"
		     "MX: 1\r\n\r\n");
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* `wanted` is in small letters. */
static bool is_word(struct slice s, const char *wanted)
{
	size_t size = strlen(wanted);

	for (size_t i = 0; s.size == size && i < size; i++)
		if (lower(s.data[i]) != (uint8_t)wanted[i])
			return false;
	return s.size == size;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s)
{
	return slice_trim(s, " \t\r\n");
}

/* A path, with &amp; as the sign it stands for. */
static enum err read_path(struct slice text, char ret[UPNP_PATH_BYTES])
{
	size_t size = 0;

	while (text.size) {
		uint8_t c = text.data[0];

		if (c <= ' ' || c >= 127 || size == UPNP_PATH_BYTES - 1)
			return ERR_INVALID;
		ret[size++] = (char)c;
		text = slice_part(text, slice_starts_with(text, SLICE("&amp;")) ? 5 : 1, text.size);
	}
	ret[size] = '\0';
	return size > 0 && ret[0] == '/' ? OK : ERR_INVALID;
}

static enum err read_url(struct slice url, struct upnp_place *ret)
{
	struct slice rest = slice_part(url, 7, url.size), path = SLICE("/");
	const uint8_t *slash;

	if (url.size < 7 || !is_word(slice_part(url, 0, 7), "http://"))
		return ERR_INVALID;
	slash = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
	if (slash) {
		size_t host = (size_t)(slash - rest.data);

		path = slice_part(rest, host, rest.size);
		rest.size = host;
	}
	if (endpoint_parse(rest, &ret->address) && endpoint_parse_ip(rest, 80, &ret->address))
		return ERR_INVALID;
	if (!endpoint_is_ip4(&ret->address) || !endpoint_is_unicast(&ret->address))
		return ERR_INVALID;
	return read_path(path, ret->path);
}

enum err upnp_read_found(struct slice packet, struct upnp_place *ret)
{
	struct slice line = slice_cut(&packet, '\n'), location = { 0 };
	bool is_gateway = false;

	if (!slice_starts_with(line, SLICE("HTTP/1.1 200")) &&
	    !slice_starts_with(line, SLICE("HTTP/1.0 200")))
		return ERR_INVALID;
	while (packet.size) {
		struct slice value = slice_cut(&packet, '\n');
		struct slice name = trim(slice_cut(&value, ':'));

		if (is_word(name, "location"))
			location = trim(value);
		if (is_word(name, "st"))
			is_gateway = slice_starts_with(
				trim(value),
				SLICE("urn:schemas-upnp-org:device:InternetGatewayDevice:"));
	}
	return is_gateway ? read_url(location, ret) : ERR_INVALID;
}

/* --- elements --------------------------------------------------------------------------------- */
/* The next one: its name, "/" before it at the end of one, and the text behind it. */
static bool next_element(struct slice *rest, struct slice *ret_name, struct slice *ret_text)
{
	struct slice tag, name;
	const uint8_t *next;

	slice_cut(rest, '<');
	if (!rest->size)
		return false;
	tag = slice_cut(rest, '>');
	for (name = tag; name.size && !is_space(name.data[0]); name = slice_part(name, 1, SIZE_MAX))
		;
	tag.size -= name.size;
	if (tag.size && tag.data[tag.size - 1] == '/') /* empty */
		tag.size--;
	name = tag;
	if (memchr(tag.data, ':', tag.size) && tag.data[0] != '/') {
		slice_cut(&tag, ':');
		name = tag;
	}
	next = rest->size ? memchr(rest->data, '<', rest->size) : NULL;
	*ret_name = name;
	*ret_text = trim(slice_part(*rest, 0, next ? (size_t)(next - rest->data) : rest->size));
	return true;
}

static bool find_element(struct slice xml, const char *wanted, struct slice *ret_text)
{
	struct slice name;

	while (next_element(&xml, &name, ret_text))
		if (slice_equal(name, slice_from(wanted)))
			return true;
	return false;
}

/* --- the description -------------------------------------------------------------------------- */
/* Larger is better; 0: it maps no ports. */
static int rank_of(struct slice type)
{
	static const char *const types[] = {
		"urn:schemas-upnp-org:service:WANPPPConnection:1",
		"urn:schemas-upnp-org:service:WANIPConnection:1",
		"urn:schemas-upnp-org:service:WANIPConnection:2",
	};

	for (int i = 0; i < (int)(sizeof(types) / sizeof(types[0])); i++)
		if (slice_equal(type, slice_from(types[i])))
			return i + 1;
	return 0;
}

/* Whole, or a path, or the end of one, behind the last slash of the description's. */
static enum err read_control(struct slice url, const struct upnp_place *base,
			     struct upnp_place *ret)
{
	char text[2 * UPNP_PATH_BYTES];
	size_t last = 0;

	if (slice_starts_with(url, SLICE("http://")))
		return read_url(url, ret);
	ret->address = base->address;
	if (url.size && url.data[0] == '/')
		return read_path(url, ret->path);
	for (size_t i = 0; base->path[i]; i++)
		last = base->path[i] == '/' ? i : last;
	if (url.size >= UPNP_PATH_BYTES)
		return ERR_INVALID;
	snprintf(text, sizeof(text), "%.*s/%.*s", (int)last, base->path, SLICE_ARG(url));
	return read_path(slice_from(text), ret->path);
}

enum err upnp_read_description(struct slice xml, const struct upnp_place *from,
			       struct upnp_service *ret)
{
	struct slice name, text, type = { 0 }, control = { 0 }, best_type = { 0 };
	struct upnp_place base = *from, found;
	struct slice best_control = { 0 };

	while (next_element(&xml, &name, &text)) {
		if (slice_equal(name, SLICE("URLBase"))) {
			if (text.size && read_url(text, &base))
				return ERR_INVALID;
		} else if (slice_equal(name, SLICE("service"))) {
			type = control = (struct slice) { 0 };
		} else if (slice_equal(name, SLICE("serviceType"))) {
			type = text;
		} else if (slice_equal(name, SLICE("controlURL"))) {
			control = text;
		} else if (slice_equal(name, SLICE("/service")) && control.size &&
			   rank_of(type) > rank_of(best_type)) {
			best_type = type;
			best_control = control;
		}
	}
	if (!rank_of(best_type))
		return ERR_NOT_FOUND;
	if (read_control(best_control, &base, &found) ||
	    !endpoint_same_ip(&found.address, &from->address))
		return ERR_INVALID;
	ret->at = found;
	snprintf(ret->type, sizeof(ret->type), "%.*s", SLICE_ARG(best_type));
	return OK;
}

/* --- requests --------------------------------------------------------------------------------- */
static const char *const action_names[] = {
	[UPNP_ASK_ADDRESS] = "GetExternalIPAddress",
	[UPNP_ADD] = "AddPortMapping",
	[UPNP_DELETE] = "DeletePortMapping",
};

static void add_which(struct buf *b, uint16_t outside_port)
{
	buf_add_format(b,
		       "<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
		       "<NewProtocol>UDP</NewProtocol>",
		       outside_port);
}

void upnp_request(enum upnp_action action, const struct upnp_service *service,
		  const struct upnp_mapping *mapping, struct buf *ret_body,
		  char ret_header[UPNP_HEADERS_BYTES])
{
	char ours[ENDPOINT_TEXT_BYTES];

	snprintf(ret_header, UPNP_HEADERS_BYTES, "SOAPAction: \"%s#%s\"\r\n", service->type,
		 action_names[action]);
	buf_add_format(ret_body,
		       "<?xml version=\"1.0\"?>\r\n<s:Envelope "
		       "xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
		       "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
		       "<u:%s xmlns:u=\"%s\">",
		       action_names[action], service->type);
	if (action != UPNP_ASK_ADDRESS)
		add_which(ret_body, mapping->outside_port);
	if (action == UPNP_ADD) {
		endpoint_ip_text(&mapping->ours, ours);
		buf_add_format(ret_body,
			       "<NewInternalPort>%u</NewInternalPort>"
			       "<NewInternalClient>%s</NewInternalClient>"
			       "<NewEnabled>1</NewEnabled>"
			       "<NewPortMappingDescription>hanse</NewPortMappingDescription>"
			       "<NewLeaseDuration>%u</NewLeaseDuration>",
			       mapping->ours.port, ours, mapping->seconds);
	}
	buf_add_format(ret_body, "</u:%s></s:Body></s:Envelope>\r\n", action_names[action]);
}

/* --- answers ---------------------------------------------------------------------------------- */
enum err upnp_read_address(struct slice xml, struct endpoint *ret)
{
	struct endpoint found;
	struct slice text;

	if (!find_element(xml, "NewExternalIPAddress", &text) ||
	    endpoint_parse_ip(text, 0, &found) || !endpoint_is_ip4(&found))
		return ERR_INVALID;
	*ret = found;
	return OK;
}

int upnp_read_error(struct slice xml)
{
	struct slice text;
	uint64_t code;

	if (!find_element(xml, "errorCode", &text) || text_to_u64(text, 999, &code))
		return 0;
	return (int)code;
}
