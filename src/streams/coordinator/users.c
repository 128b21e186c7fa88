#include "streams/coordinator/users.h"

#include <stdlib.h>

#include "streams/coordinator/access.h"
#include "streams/coordinator/private.h"
#include "wire/sasl/scram.h"

static bool verifier_is_sound(const struct guard_verifier *v)
{
	if (v->kind != SCRAM_KIND_SHA_256 && v->kind != SCRAM_KIND_SHA_512)
		return false;
	size_t size = scram_hash_bytes((enum scram_hash)v->kind);
	return v->iterations >= SCRAM_ITERATIONS_MIN && v->iterations <= SCRAM_ITERATIONS_MAX &&
	       v->salt.size > 0 && v->salt.size <= SCRAM_SALT_BYTES_MAX &&
	       v->stored_key.size == size && v->server_key.size == size;
}

static bool is_sound(const struct user_change *u)
{
	for (size_t i = 0; i < u->verifier_count; i++)
		if (!verifier_is_sound(&u->verifiers[i]))
			return false;
	return access_user_name_is_valid(u->name) &&
	       (u->kind != USER_PASSWORD || u->verifier_count > 0);
}

static enum err find_user(struct cell *cell, const struct user_change *u, int64_t *ret)
{
	struct guard_user user;
	struct arena a;

	arena_init(&a);
	enum err err = guard_find_user(&a, cell, u->name, &user);
	if (!err)
		*ret = user.id;
	arena_done(&a);
	return err;
}

static enum err run(struct cell *cell, void *argument)
{
	struct user_change *u = argument;
	int64_t now_ms = (int64_t)leader_now_ms(u->coordinator->config.leader), row = 0;
	enum err err = find_user(cell, u, &row);

	if (!err && u->kind == USER_ADD)
		return ERR_EXISTS;
	if (err && u->kind != USER_ADD)
		return err;
	coordinator_forget_guard(u->coordinator);
	if (u->kind == USER_REMOVE)
		return access_user_remove(cell, row);
	err = OK;
	if (u->kind == USER_ADD)
		err = access_user_insert(cell, u->name, u->is_admin, now_ms, &row);
	for (size_t i = 0; i < u->verifier_count && !err; i++)
		err = access_verifier_set(cell, row, &u->verifiers[i]);
	return err;
}

static enum step end(struct user_change *u, enum err err)
{
	struct coordinator *c = u->coordinator;

	c->errand_count--;
	if (c->stop)
		task_wake(c->stop);
	return task_done(&u->task, err);
}

enum { CHANGE_START, CHANGE_DURABLE };

static enum step change_step(struct task *t)
{
	struct user_change *u = CONTAINER(t, struct user_change, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case CHANGE_START:
		if (!is_sound(u))
			return end(u, ERR_INVALID);
		leader_run(&u->call, t, u->coordinator->config.leader, run, u);
		return task_wait(t, CHANGE_DURABLE);
	case CHANGE_DURABLE:
		return end(u, u->call.task.err);
	}
	abort();
}

static const char *const change_places[] = { "start", "durable" };
static const struct task_kind change_kind = {
	.name = "user_change",
	.places = change_places,
	.place_count = 2,
	.step = change_step,
};

void user_change_start(struct user_change *u, struct task *parent, struct coordinator *c)
{
	u->coordinator = c;
	c->errand_count++;
	task_start(&u->task, &change_kind, parent);
}
