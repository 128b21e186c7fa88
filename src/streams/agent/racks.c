#include "streams/agent/racks.h"

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

struct client {
	struct list link; /* oldest first */
	struct hash128 hash;
	size_t size;
	uint8_t rack[RACK_BYTES_MAX];
};

struct racks {
	struct map by_hash; /* struct client */
	struct list clients;
};

static struct slice key_of(const struct hash128 *hash)
{
	return (struct slice) { (const uint8_t *)hash, sizeof(*hash) };
}

struct racks *racks_new(void)
{
	struct racks *racks = NEW(struct racks);

	map_init(&racks->by_hash);
	list_init(&racks->clients);
	return racks;
}

static void forget(struct racks *racks, struct client *client)
{
	map_remove(&racks->by_hash, key_of(&client->hash));
	list_remove(&client->link);
	memory_free(client);
}

void racks_free(struct racks *racks)
{
	LIST_EACH (&racks->clients, struct client, link, client)
		forget(racks, client);
	map_done(&racks->by_hash);
	memory_free(racks);
}

static struct client *add(struct racks *racks, struct hash128 hash)
{
	struct client *client = NEW(struct client);

	if (racks->by_hash.count >= RACKS_MAX)
		forget(racks, CONTAINER(racks->clients.next, struct client, link));
	client->hash = hash;
	list_add(&racks->clients, &client->link);
	map_put(&racks->by_hash, key_of(&client->hash), client);
	return client;
}

void racks_remember(struct racks *racks, struct hash128 hash, struct slice rack)
{
	struct client *client = map_get(&racks->by_hash, key_of(&hash));

	if (rack.size == 0 || rack.size > RACK_BYTES_MAX)
		return;
	if (!client)
		client = add(racks, hash);
	memcpy(client->rack, rack.data, rack.size);
	client->size = rack.size;
}

struct slice racks_find(const struct racks *racks, struct hash128 hash)
{
	const struct client *client = map_get(&racks->by_hash, key_of(&hash));

	return client ? (struct slice) { client->rack, client->size } : SLICE("");
}
