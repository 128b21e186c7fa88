/* Any datagram is told from the others, and none that was not made by who has the keys is opened.
 * seeds: test/corpus/wireguard */
#include <assert.h>

#include "wire/corpus_fuzz.h"
#include "wire/wireguard/handshake.h"

static struct wireguard_identity own, other;
static struct wireguard_remote remote;

static void set_up(void)
{
	uint8_t secret[WIREGUARD_KEY_BYTES];

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(0x40 + i);
	wireguard_identity_init(&own, secret);
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	wireguard_identity_init(&other, secret);
	bool is_good = wireguard_remote_init(&remote, &own, other.public);
	assert(is_good);
}

static void take_initiation(const uint8_t *message)
{
	uint8_t public[WIREGUARD_KEY_BYTES], timestamp[WIREGUARD_TIMESTAMP_BYTES];
	uint8_t response[WIREGUARD_RESPONSE_BYTES], ephemeral[WIREGUARD_KEY_BYTES] = { 1 };
	struct wireguard_handshake h;

	(void)wireguard_has_mac1((struct slice) { message, WIREGUARD_INITIATION_BYTES },
				 own.mac_key);
	if (!wireguard_open_static(&own, message, &h, public))
		return;
	if (wireguard_open_timestamp(&remote, message, &h, timestamp)) {
		assert(memcmp(public, other.public, sizeof(public)) == 0);
		if (wireguard_respond(&remote, ephemeral, 1, &h, response))
			assert(wireguard_kind((struct slice) { response, sizeof(response) }) ==
			       WIREGUARD_RESPONSE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac1[WIREGUARD_MAC_BYTES];
	struct wireguard_handshake h = { .ephemeral = { 8, [31] = 64 } };
	uint8_t cookie[WIREGUARD_MAC_BYTES];
	enum wireguard_kind kind = wireguard_kind((struct slice) { data, size });

	if (own.secret[0] == 0)
		set_up();
	switch (kind) {
	case WIREGUARD_INITIATION:
		take_initiation(data);
		break;
	case WIREGUARD_RESPONSE:
		assert(!wireguard_open_response(&own, &remote, data, &h));
		break;
	case WIREGUARD_COOKIE:
		assert(!wireguard_open_cookie(data, remote.cookie_key, mac1, cookie));
		break;
	case WIREGUARD_TRANSPORT:
		(void)wireguard_counter(data);
		break;
	case WIREGUARD_NONE:
		return 0;
	}
	if (kind != WIREGUARD_INITIATION)
		(void)wireguard_receiver(kind, data);
	return 0;
}
