#include "mesh/realm/view.h"

#include <stdlib.h>

#include "base/memory.h"
#include "mesh/realm/policy.h"

void view_done(struct view *v)
{
	memory_free(v->ids);
	*v = (struct view) { 0 };
}

static struct hash128 hash_filter(const struct control_filter *filter)
{
	struct hash128 hash;
	struct buf json;

	buf_init(&json);
	control_rules_encode(&json, filter->rules, filter->rule_count);
	hash = hash_content(buf_slice(&json));
	buf_done(&json);
	return hash;
}

static void note(struct view *v, const int64_t *ids, size_t count, uint64_t serial)
{
	memory_free(v->ids);
	v->ids = memory_take_array(count + 1, sizeof(*v->ids));
	memcpy(v->ids, ids, count * sizeof(*ids));
	v->count = count;
	v->serial = serial;
}

static int64_t *ids_of(struct arena *a, struct machine *const *list, size_t count)
{
	int64_t *ids = arena_take_array(a, count + 1, sizeof(*ids));

	for (size_t i = 0; i < count; i++)
		ids[i] = list[i]->id;
	return ids;
}

struct machine **view_all(struct arena *a, struct realm *r, struct machine *m, struct view *v,
			  size_t *ret_count)
{
	struct control_filter filter = realm_policy_filter(a, r, m);
	struct machine **list = realm_policy_visible(a, r, m, ret_count);

	v->filter = hash_filter(&filter);
	note(v, ids_of(a, list, *ret_count), *ret_count, r->policy->serial);
	return list;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool has_id(const int64_t *ids, size_t count, int64_t id)
{
	return count > 0 && bsearch(&id, ids, count, sizeof(*ids), compare_ids);
}

/* Who is to be told of as a whole: new in view, or changed as a whole. */
static struct machine **find_changed(struct arena *a, struct realm *r, const struct round *round,
				     const struct view *v, const int64_t *ids, size_t count,
				     size_t *ret_count)
{
	struct machine **list =
		arena_take_array(a, count + round->all_count + 1, sizeof(struct machine *));
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!has_id(v->ids, v->count, ids[i]))
			list[n++] = machine_find(r, ids[i]);
	for (size_t i = 0; i < round->all_count; i++)
		if (has_id(ids, count, round->all[i]->id) &&
		    has_id(v->ids, v->count, round->all[i]->id))
			list[n++] = round->all[i];
	*ret_count = n;
	return list;
}

static void find_patches(struct arena *a, const struct round *round, const struct view *v,
			 struct control_map_response *ret)
{
	struct control_peer_patch *patches =
		arena_take_array(a, round->patch_count + 1, sizeof(*patches));

	for (size_t i = 0; i < round->patch_count; i++)
		if (has_id(v->ids, v->count, round->patches[i].id))
			patches[ret->patch_count++] = round->patches[i];
	ret->patches = patches;
}

static void find_removed(struct arena *a, const struct view *v, const int64_t *ids, size_t count,
			 struct control_map_response *ret)
{
	int64_t *removed = arena_take_array(a, v->count + 1, sizeof(*removed));

	for (size_t i = 0; i < v->count; i++)
		if (!has_id(ids, count, v->ids[i]))
			removed[ret->removed_count++] = v->ids[i];
	ret->removed = removed;
}

static bool is_empty(const struct control_map_response *r, size_t changed_count)
{
	return changed_count == 0 && r->removed_count == 0 && r->patch_count == 0 &&
	       r->filter_count == 0 && !r->node && !r->relays && r->control_url_count == 0;
}

struct blob *view_delta(struct realm *r, struct round *round, struct machine *m, struct view *v,
			bool has_self)
{
	struct control_map_response response = round_response(r, round, m, has_self);
	bool is_other = realm_policy_serial(r) != v->serial;
	const int64_t *ids = v->ids;
	size_t count = v->count, changed_count;
	struct control_filter filter;
	struct blob *message = NULL;
	struct machine **changed;
	struct arena a;

	arena_init(&a);
	if (is_other) {
		struct machine **visible = realm_policy_visible(&a, r, m, &count);
		struct hash128 hash;

		ids = ids_of(&a, visible, count);
		filter = realm_policy_filter(&a, r, m);
		hash = hash_filter(&filter);
		if (!hash128_equal(hash, v->filter)) {
			v->filter = hash;
			response.filters = &filter;
			response.filter_count = 1;
		}
	}
	find_removed(&a, v, ids, count, &response);
	find_patches(&a, round, v, &response);
	changed = find_changed(&a, r, round, v, ids, count, &changed_count);
	if (changed_count > 0)
		fill_users_of(&a, r, changed, changed_count, &response);
	if (!is_empty(&response, changed_count))
		message = round_message(&response, changed, changed_count);
	if (is_other)
		note(v, ids, count, r->policy->serial);
	arena_done(&a);
	return message;
}
