#include "wire/disco/geneve.h"

#include <assert.h>

#include "base/endian.h"

enum { CONTROL = 0x80 };

void geneve_put(uint8_t ret[GENEVE_BYTES], const struct geneve *g)
{
	assert(g->vni > 0 && g->vni <= GENEVE_VNI_MAX);
	ret[0] = 0;
	ret[1] = g->is_control ? CONTROL : 0;
	put_u16(ret + 2, g->protocol);
	put_u32(ret + 4, g->vni << 8);
}

enum err geneve_get(struct slice packet, struct geneve *ret)
{
	struct geneve g;

	if (packet.size < GENEVE_BYTES || packet.data[0] != 0)
		return ERR_INVALID;
	g = (struct geneve) {
		.protocol = get_u16(packet.data + 2),
		.vni = get_u32(packet.data + 4) >> 8,
		.is_control = packet.data[1] & CONTROL,
	};
	if (g.vni == 0)
		return ERR_INVALID;
	*ret = g;
	return OK;
}
