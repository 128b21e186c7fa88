#include "mesh/realm/addresses.h"

bool address_is_free_for_machines(uint32_t v4)
{
	return v4 >= ADDRESSES_FIRST && v4 < ADDRESSES_FIRST + (uint32_t)ADDRESSES_COUNT &&
	       (v4 & 0xffff0000) != 0x64640000 && (v4 & 0xfffffe00) != 0x64735c00;
}

struct ip address_v6(uint32_t v4)
{
	uint8_t bytes[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0xab,
			      0x12, 0x48, 0x43, 0xcd, 0x96, 0x62 };

	bytes[13] = (uint8_t)(v4 >> 16);
	bytes[14] = (uint8_t)(v4 >> 8);
	bytes[15] = (uint8_t)v4;
	return ip_v6(bytes);
}
