#include "wire/streams/tombstone.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"

static const struct slice magic = { (const uint8_t *)"HANSETMB", 8 };

/* Where a data file has the same: one look at the first bytes of an object tells them apart. */
enum {
	VERSION_AT = 8,
	FLAGS_AT = 10,
	SIZE_AT = 12,
	CLUSTER_ID_AT = 16,
	INCARNATION_AT = 32,
	SEQUENCE_AT = 40,
	CREATED_AT = 48,
	RESERVED_AT = 56,
	CRC_AT = 60,
};

void tombstone_encode(const struct tombstone *t, uint8_t ret[TOMBSTONE_BYTES])
{
	memset(ret, 0, TOMBSTONE_BYTES);
	memcpy(ret, magic.data, magic.size);
	put_u16(ret + VERSION_AT, TOMBSTONE_VERSION);
	put_u32(ret + SIZE_AT, TOMBSTONE_BYTES);
	memcpy(ret + CLUSTER_ID_AT, t->cluster_id, sizeof(t->cluster_id));
	put_u64(ret + INCARNATION_AT, t->incarnation);
	put_u64(ret + SEQUENCE_AT, t->sequence);
	put_u64(ret + CREATED_AT, (uint64_t)t->created_ms);
	put_u32(ret + CRC_AT, crc32c((struct slice) { ret, CRC_AT }));
}

enum err tombstone_decode(struct slice object, struct tombstone *ret)
{
	const uint8_t *p = object.data;

	if (object.size < TOMBSTONE_BYTES || !slice_starts_with(object, magic))
		return ERR_CORRUPT;
	if (get_u16(p + VERSION_AT) > TOMBSTONE_VERSION)
		return ERR_UNSUPPORTED;
	if (object.size != TOMBSTONE_BYTES ||
	    get_u32(p + CRC_AT) != crc32c((struct slice) { p, CRC_AT }) ||
	    get_u16(p + VERSION_AT) == 0 || get_u16(p + FLAGS_AT) != 0 ||
	    get_u32(p + SIZE_AT) != TOMBSTONE_BYTES || get_u32(p + RESERVED_AT) != 0)
		return ERR_CORRUPT;
	*ret = (struct tombstone) {
		.incarnation = get_u64(p + INCARNATION_AT),
		.sequence = get_u64(p + SEQUENCE_AT),
		.created_ms = (int64_t)get_u64(p + CREATED_AT),
	};
	memcpy(ret->cluster_id, p + CLUSTER_ID_AT, sizeof(ret->cluster_id));
	return OK;
}
