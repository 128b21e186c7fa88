/* Any packet with any head is cut within its room or refused; any packets are put together within
 * their own bytes. */
#include "loop/tun_offload.h"

#include <assert.h>

#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKETS = 64, ROOM = 64 << 10 };

static void put_together(const uint8_t *data, size_t size)
{
	struct tun_packet packets[8];
	uint8_t *copies[8];
	struct tun_offload_head head;
	size_t count = 0, skip;

	while (size > 1 && count < 8) {
		size_t bytes = data[0] < size ? data[0] : size - 1;
		copies[count] = memory_take(bytes + 1);
		memcpy(copies[count], data + 1, bytes);
		packets[count] = (struct tun_packet) { copies[count], bytes };
		count++;
		data += 1 + bytes;
		size -= 1 + bytes;
	}
	for (size_t i = 0; i < count;) {
		size_t n = tun_gather(packets + i, count - i, true, &head, &skip);
		assert(n >= 1 && n <= count - i);
		for (size_t k = 1; k < n; k++)
			assert(skip < packets[i + k].size);
		i += n;
	}
	for (size_t i = 0; i < count; i++)
		memory_free(copies[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tun_layout layout = { 16, 16, 16, 1420 };
	struct tun_packet packets[PACKETS];
	struct tun_offload_head head;
	uint8_t *room = memory_take(ROOM);
	size_t count = 0;

	put_together(data, size);
	if (size >= sizeof(head)) {
		memcpy(&head, data, sizeof(head));
		struct slice packet = { data + sizeof(head), size - sizeof(head) };
		size_t used =
			tun_split(&layout, &head, packet, room, ROOM, packets, PACKETS, &count);
		assert(used <= ROOM && count <= PACKETS);
		for (size_t i = 0; i < count; i++)
			assert(packets[i].data >= room + 16 &&
			       packets[i].data + packets[i].size + 16 <= room + used);
	}
	memory_free(room);
	return 0;
}
