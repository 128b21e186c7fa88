/* doc/formats/realm.md */
#include "mesh/realm/store.h"

const struct cell_schema realm_schema[] = {
	{
		.name = "realm",
		.version = 1,
		.sql =
			/* noise_secret, domain */
		"CREATE TABLE setting (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" value BLOB NOT NULL);"
		"CREATE TABLE counter (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" last INTEGER NOT NULL);"

		"CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE,"
		" display TEXT NOT NULL, created_s INTEGER NOT NULL);"

		"CREATE TABLE machine (id INTEGER PRIMARY KEY, user INTEGER NOT NULL,"
		" name TEXT NOT NULL UNIQUE, machine_key BLOB NOT NULL,"
		" node_key BLOB NOT NULL UNIQUE, v4 INTEGER NOT NULL UNIQUE,"
		" version INTEGER NOT NULL, created_s INTEGER NOT NULL, expiry_s INTEGER NOT NULL,"
		" seen_s INTEGER NOT NULL, is_named INTEGER NOT NULL,"
		" is_authorized INTEGER NOT NULL, is_ephemeral INTEGER NOT NULL,"
		" tags TEXT NOT NULL, hostinfo TEXT NOT NULL, routes TEXT NOT NULL,"
		" UNIQUE (machine_key, user));"

		"CREATE TABLE join_key (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
		" hint TEXT NOT NULL, description TEXT NOT NULL, user INTEGER NOT NULL,"
		" tags TEXT NOT NULL, uses_max INTEGER NOT NULL, uses INTEGER NOT NULL,"
		" created_s INTEGER NOT NULL, expiry_s INTEGER NOT NULL,"
		" revoked_s INTEGER NOT NULL, is_ephemeral INTEGER NOT NULL,"
		" is_preapproved INTEGER NOT NULL);"

		"CREATE TABLE relay (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		" region INTEGER NOT NULL, code TEXT NOT NULL, title TEXT NOT NULL,"
		" host TEXT NOT NULL, ipv4 TEXT NOT NULL, ipv6 TEXT NOT NULL,"
		" cert_name TEXT NOT NULL, relay_port INTEGER NOT NULL,"
		" stun_port INTEGER NOT NULL, is_insecure INTEGER NOT NULL);"

		"CREATE TABLE server (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE,"
		" url TEXT NOT NULL);",
	},
	{
		.name = "realm",
		.version = 2,
		.sql = "CREATE TABLE policy (id INTEGER PRIMARY KEY, text BLOB NOT NULL,"
		       " created_s INTEGER NOT NULL, note TEXT NOT NULL);",
	},
	{
		.name = "realm",
		.version = 3,
		.sql = "ALTER TABLE relay ADD COLUMN is_removed INTEGER NOT NULL DEFAULT 0;",
	},
	{
		.name = "realm",
		.version = 4,
		.sql = "ALTER TABLE relay ADD COLUMN second_stun_port INTEGER NOT NULL DEFAULT 0;",
	},
};
const size_t realm_schema_count = sizeof(realm_schema) / sizeof(realm_schema[0]);
