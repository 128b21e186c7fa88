#include "streams/agent/read_places.h"

#include "base/hash.h"
#include "base/memory.h"

struct place {
	int64_t partition, offset;
	int64_t incarnation, sequence, position;
	uint64_t row_bytes;
};

struct read_places {
	struct place places[READ_PLACES_COUNT]; /* by hash; the last one noted wins */
};

struct read_places *read_places_new(void)
{
	return NEW(struct read_places);
}

void read_places_free(struct read_places *places)
{
	memory_free(places);
}

static size_t slot_of(int64_t partition, int64_t offset)
{
	int64_t key[2] = { partition, offset };

	return hash_bytes((struct slice) { (const uint8_t *)key, sizeof(key) }) % READ_PLACES_COUNT;
}

void read_places_note(struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t position, uint64_t row_bytes)
{
	places->places[slot_of(partition, offset)] = (struct place) {
		.partition = partition,
		.offset = offset,
		.incarnation = run->incarnation,
		.sequence = run->sequence,
		.position = position,
		.row_bytes = row_bytes,
	};
}

uint64_t read_places_row_bytes(const struct read_places *places, int64_t partition, int64_t offset)
{
	const struct place *p = &places->places[slot_of(partition, offset)];

	return p->partition == partition && p->offset == offset ? p->row_bytes : 0;
}

bool read_places_find(const struct read_places *places, int64_t partition, int64_t offset,
		      const struct catalog_run *run, int64_t *ret_position)
{
	const struct place *p = &places->places[slot_of(partition, offset)];

	if (p->partition != partition || p->offset != offset ||
	    p->incarnation != run->incarnation || p->sequence != run->sequence ||
	    p->position < run->position || p->position >= run->position + run->size)
		return false;
	*ret_position = p->position;
	return true;
}
