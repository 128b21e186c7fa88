#include "wire/derp/derp_map.h"

const struct derp_region *derp_map_find(const struct derp_map *map, int region)
{
	for (size_t i = 0; i < map->region_count; i++)
		if (map->regions[i].id == region)
			return &map->regions[i];
	return NULL;
}
