#include "cli/command.h"

#define NAMES_KAFKA (FLAG_BIT(FLAG_KAFKA) | FLAG_BIT(FLAG_HELP))
#define ASKS_KAFKA                                                                                 \
	(NAMES_KAFKA | FLAG_BIT(FLAG_AS) | FLAG_BIT(FLAG_PASSWORD_FILE) |                          \
	 FLAG_BIT(FLAG_MECHANISM) | FLAG_BIT(FLAG_TOKEN_FILE) | FLAG_BIT(FLAG_CLEARTEXT) |         \
	 FLAG_BIT(FLAG_CA) | FLAG_BIT(FLAG_CERTIFICATE) | FLAG_BIT(FLAG_KEY))
#define PRINTS_DATA FLAG_BIT(FLAG_JSON)
#define ASKS_MESH (FLAG_BIT(FLAG_RUN_DIR) | FLAG_BIT(FLAG_HELP))

#define ASKS_CONTROL "Asks control of the mesh, where it runs on this machine.\n"

const struct command commands[] = {
	{ .words = "serve",
	  .arguments = "",
	  .summary = "Serves Kafka with a bucket as the only storage",
	  .examples = "  hanse serve --bucket file:/srv/bucket\n",
	  .details = "" },
	{ .words = "up",
	  .arguments = "",
	  .summary = "Makes this machine one of a private network",
	  .examples = "  hanse up --address 192.0.2.7\n"
		      "  hanse up --join hanse-join-1-...\n",
	  .details = "" },
	{ .words = "down",
	  .arguments = "",
	  .summary = "Stops `hanse up`, and leaves the machine as it was",
	  .examples = "  hanse down\n",
	  .details =
		  "The machine stays a member: `hanse up` brings it back.  What a `hanse up` that\n"
		  "was killed left behind is removed too.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = down_run },
	{ .words = "logout",
	  .arguments = "",
	  .summary = "Leaves the mesh for good, and stops `hanse up`",
	  .examples = "  hanse logout\n",
	  .details = "Control forgets the key of this machine; to come back it needs a new join "
		     "key.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = logout_run },
	{ .words = "ping",
	  .arguments = "NAME",
	  .summary = "Asks a machine for an answer, and says by which way it came",
	  .examples = "  hanse ping laptop\n"
		      "  hanse ping 100.64.0.2 --times 3 --json | jq .direct\n",
	  .details =
		  "NAME is a name or an address of a machine of the mesh.  Ends when the way is\n"
		  "direct.  A relay says why there is no direct way.\n",
	  .flags = FLAG_BIT(FLAG_TIMES) | PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = ping_run },
	{ .words = "whois",
	  .arguments = "ADDRESS",
	  .summary = "Shows which machine of the mesh has an address",
	  .examples = "  hanse whois 100.64.0.2\n"
		      "  hanse whois 100.64.0.2:50123 --json | jq -r .machine.user\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = whois_run },
	{ .words = "machine list",
	  .arguments = "",
	  .summary = "Lists the machines of the mesh, and who waits to be let in",
	  .examples = "  hanse machine list\n"
		      "  hanse machine list --json | jq -r '.machines[].name'\n",
	  .details = ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = machine_list_run },
	{ .words = "machine show",
	  .arguments = "NAME",
	  .summary = "Shows all that control knows of a machine",
	  .examples = "  hanse machine show laptop\n"
		      "  hanse machine show 100.64.0.2 --json | jq .endpoints\n",
	  .details = "NAME is its name, its id or an address of it.\n" ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = machine_show_run },
	{ .words = "machine approve",
	  .arguments = "NAME",
	  .summary = "Lets in a machine that waits for it",
	  .examples = "  hanse machine approve laptop\n"
		      "  hanse machine approve 65bca97ecb92310355dadf6a    the end of its link\n",
	  .details = ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = machine_approve_run },
	{ .words = "machine rename",
	  .arguments = "NAME NEW",
	  .summary = "Gives a machine another name",
	  .examples = "  hanse machine rename localhost web-1\n",
	  .details = "From then on what the machine calls itself no longer counts.\n" ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 2,
	  .run = machine_rename_run },
	{ .words = "machine tag",
	  .arguments = "NAME TAG,...",
	  .summary = "Makes a machine one of a kind instead of somebody's",
	  .examples = "  hanse machine tag web-1 tag:web,tag:prod\n"
		      "  hanse machine tag web-1 none\n",
	  .details = "The key of a machine with tags does not expire.\n" ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 2,
	  .run = machine_tag_run },
	{ .words = "machine routes",
	  .arguments = "NAME CIDR,...",
	  .summary = "Approves networks that others reach through a machine",
	  .examples = "  hanse machine routes router 10.1.0.0/16\n"
		      "  hanse machine routes router 0.0.0.0/0,::/0    as an exit node\n"
		      "  hanse machine routes router none\n",
	  .details =
		  "It carries those that it offers too, with `--advertise-routes`.  Of several\n"
		  "machines with the same network one carries it, another when that is away.\n" //
	  ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 2,
	  .run = machine_routes_run },
	{ .words = "machine expire",
	  .arguments = "NAME",
	  .summary = "Ends the key of a machine, now or later",
	  .examples = "  hanse machine expire laptop                  now\n"
		      "  hanse machine expire laptop --expires 90d\n"
		      "  hanse machine expire laptop --expires never\n",
	  .details = "It keeps its name and address, and has to join again.\n" ASKS_CONTROL,
	  .flags = FLAG_BIT(FLAG_EXPIRES) | PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = machine_expire_run },
	{ .words = "machine remove",
	  .arguments = "NAME",
	  .summary = "Removes a machine from the mesh",
	  .examples = "  hanse machine remove laptop\n"
		      "  hanse machine remove laptop --force\n",
	  .details = "On a terminal it asks first; a script has already said what it means.\n" //
	  ASKS_CONTROL,
	  .flags = FLAG_BIT(FLAG_FORCE) | PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = machine_remove_run },
	{ .words = "relay list",
	  .arguments = "",
	  .summary = "Lists the relays of the mesh",
	  .examples = "  hanse relay list\n"
		      "  hanse relay list --json | jq -r '.relays[].host'\n",
	  .details = ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = relay_list_run },
	{ .words = "relay add",
	  .arguments = "WORD",
	  .summary = "Tells the machines of the mesh of a relay that runs elsewhere",
	  .examples = "  hanse relay add vps,192.0.2.9,8643,3478,5f70...e1,0\n"
		      "  hanse relay add vps\n",
	  .details =
		  "WORD is what `hanse up --roles relay --login-server URL` says on its machine,\n"
		  "or the name of a relay that was removed.\n"
		  "A relay beside control needs no word.\n" ASKS_CONTROL,
	  .flags = ASKS_MESH,
	  .argument_count = 1,
	  .run = relay_add_run },
	{ .words = "relay remove",
	  .arguments = "NAME",
	  .summary = "Makes the machines of the mesh forget a relay",
	  .examples = "  hanse relay remove vps\n",
	  .details = "It stays away, also while it runs, until `hanse relay add NAME`.\n" //
	  ASKS_CONTROL,
	  .flags = ASKS_MESH,
	  .argument_count = 1,
	  .run = relay_remove_run },
	{ .words = "netcheck",
	  .arguments = "",
	  .summary = "Shows what the network of this machine lets pass",
	  .examples = "  hanse netcheck\n"
		      "  hanse netcheck --json | jq .mapping_varies\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = netcheck_run },
	{ .words = "send",
	  .arguments = "FILE... NAME:",
	  .summary = "Sends files and folders to another machine of the mesh",
	  .examples = "  hanse send report.pdf phone:\n"
		      "  hanse send photos/ notes.txt server:\n"
		      "  hanse send --list                what waits for machines that are away\n",
	  .details = "Goes on where an earlier attempt was cut off.  What cannot be delivered now\n"
		     "is kept on disk and sent when the machine is back.\n",
	  .flags = FLAG_BIT(FLAG_LIST) | FLAG_BIT(FLAG_CANCEL) | PRINTS_DATA | ASKS_MESH,
	  .takes_more = true,
	  .run = send_run },
	{ .words = "receive",
	  .arguments = "[DIR]",
	  .summary = "Takes files that others sent out of the inbox",
	  .examples = "  hanse receive                    into this directory\n"
		      "  hanse receive --wait ~/Downloads\n"
		      "  hanse receive --follow /srv/in   for as long as it runs\n",
	  .details = "Nothing is overwritten: another file of the same name gets a number.\n",
	  .flags = FLAG_BIT(FLAG_WAIT) | FLAG_BIT(FLAG_FOLLOW) | FLAG_BIT(FLAG_KEEP_DOTS) |
		   ASKS_MESH,
	  .takes_more = true,
	  .run = receive_run },
	{ .words = "drop status",
	  .arguments = "",
	  .summary = "Shows the inbox, its room, and what waits for others",
	  .examples = "  hanse drop status\n"
		      "  hanse drop status --json | jq .inbox.usage\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = drop_status_run },
	{ .words = "topic create",
	  .arguments = "NAME",
	  .summary = "Creates a topic",
	  .examples = "  hanse topic create orders\n"
		      "  hanse topic create orders --partitions 4\n",
	  .details = "Fails when a topic of that name exists.\n",
	  .flags = FLAG_BIT(FLAG_PARTITIONS) | PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = topic_create_run },
	{ .words = "topic list",
	  .arguments = "",
	  .summary = "Lists topics and how many partitions each has",
	  .examples = "  hanse topic list\n"
		      "  hanse topic list --limit 100\n"
		      "  hanse topic list --json | jq -r '.topics[].name'\n",
	  .details = "",
	  .flags = FLAG_BIT(FLAG_LIMIT) | FLAG_BIT(FLAG_AFTER) | PRINTS_DATA | ASKS_KAFKA,
	  .run = topic_list_run },
	{ .words = "topic describe",
	  .arguments = "NAME",
	  .summary = "Shows a topic's partitions: first and next offset, leader",
	  .examples = "  hanse topic describe orders\n"
		      "  hanse topic describe orders --kafka 127.0.0.1:9093 --json\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = topic_describe_run },
	{ .words = "topic delete",
	  .arguments = "NAME",
	  .summary = "Deletes a topic and all its records",
	  .examples = "  hanse topic delete orders\n"
		      "  hanse topic delete orders --force\n",
	  .details = "On a terminal it asks first; a script has already said what it means.\n"
		     "Hanse keeps what was deleted for a while: see `hanse topic undelete`.\n",
	  .flags = FLAG_BIT(FLAG_FORCE) | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = topic_delete_run },
	{ .words = "topic deleted",
	  .arguments = "",
	  .summary = "Lists deleted topics that can be brought back, and until when",
	  .examples = "  hanse topic deleted\n"
		      "  hanse topic deleted --json | jq -r '.topics[].name'\n",
	  .details = "They are kept for hanse.topic.undelete.ms, a setting of all brokers.\n",
	  .flags = PRINTS_DATA | FLAG_BIT(FLAG_RUN_DIR) | NAMES_KAFKA,
	  .run = topic_deleted_run },
	{ .words = "topic undelete",
	  .arguments = "NAME|ID [NEW]",
	  .summary = "Brings a deleted topic back, under another name if one is given",
	  .examples = "  hanse topic undelete orders\n"
		      "  hanse topic undelete orders orders-of-may\n",
	  .details = "Records, settings and offsets of groups are as they were.  Of topics with\n"
		     "the same name the one that was deleted last is meant.\n",
	  .flags = FLAG_BIT(FLAG_RUN_DIR) | NAMES_KAFKA,
	  .argument_count = 1,
	  .takes_more = true,
	  .run = topic_undelete_run },
	{ .words = "topic purge",
	  .arguments = "[NAME|ID]",
	  .summary = "Lets go of deleted topics, so that their bytes are freed",
	  .examples = "  hanse topic purge\n"
		      "  hanse topic purge orders --execute\n",
	  .details = "Without a name: of all of them.\n",
	  .flags = FLAG_BIT(FLAG_EXECUTE) | FLAG_BIT(FLAG_RUN_DIR) | NAMES_KAFKA,
	  .takes_more = true,
	  .run = topic_purge_run },
	{ .words = "topic config",
	  .arguments = "NAME [KEY=VALUE...]",
	  .summary = "Shows the settings of a topic, and changes them",
	  .examples =
		  "  hanse topic config orders\n"
		  "  hanse topic config orders max.message.bytes=500000 retention.ms=604800000\n"
		  "  hanse topic config orders --unset retention.ms\n",
	  .details = "What is not named stays as it is.\n",
	  .flags = FLAG_BIT(FLAG_UNSET) | PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .takes_more = true,
	  .run = topic_config_run },
	{ .words = "topic trim",
	  .arguments = "NAME",
	  .summary = "Shows which of a topic's oldest records would go, and deletes them",
	  .examples = "  hanse topic trim orders --before 7d\n"
		      "  hanse topic trim orders --before 1200 --partition 0 --execute\n"
		      "  hanse topic trim orders --before latest --execute    all of them\n",
	  .details = "PLACE is the first record that stays; -N is counted from the end of each\n"
		     "partition.\n",
	  .flags = FLAG_BIT(FLAG_BEFORE) | FLAG_BIT(FLAG_PARTITION) | FLAG_BIT(FLAG_EXECUTE) |
		   PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = topic_trim_run },
	{ .words = "topic partitions",
	  .arguments = "NAME COUNT",
	  .summary = "Gives a topic more partitions",
	  .examples = "  hanse topic partitions orders 12\n",
	  .details =
		  "There is no way back.  Producers that choose by key send new records of a key\n"
		  "to another partition than the old ones.\n",
	  .flags = ASKS_KAFKA,
	  .argument_count = 2,
	  .run = topic_partitions_run },
	{ .words = "topic tail",
	  .arguments = "NAME",
	  .summary = "Shows the last records of a topic: time, key, value and headers",
	  .examples = "  hanse topic tail orders\n"
		      "  hanse topic tail orders --follow\n"
		      "  hanse topic tail orders --from 30m --partition 3\n"
		      "  hanse topic tail orders --from earliest --limit 100 --json | jq -r .key\n",
	  .details =
		  "A line has partition, offset, time, key, value and headers with tabs between\n"
		  "them; - is null.  With --json each line is a document.  PLACE is counted in "
		  "each\n"
		  "partition, and -N from its end.  Nothing is committed, and no group is "
		  "joined.\n",
	  .flags = FLAG_BIT(FLAG_FROM) | FLAG_BIT(FLAG_PARTITION) | FLAG_BIT(FLAG_LIMIT) |
		   FLAG_BIT(FLAG_FOLLOW) | FLAG_BIT(FLAG_COMMITTED) | PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = topic_tail_run },
	{ .words = "group list",
	  .arguments = "",
	  .summary = "Lists consumer groups and the state of each",
	  .examples = "  hanse group list\n"
		      "  hanse group list --limit 100\n"
		      "  hanse group list --json | jq -r '.groups[].name'\n",
	  .details = "",
	  .flags = FLAG_BIT(FLAG_LIMIT) | FLAG_BIT(FLAG_AFTER) | PRINTS_DATA | ASKS_KAFKA,
	  .run = group_list_run },
	{ .words = "group describe",
	  .arguments = "NAME",
	  .summary = "Shows a group's members, committed offsets and lag",
	  .examples = "  hanse group describe readers\n"
		      "  hanse group describe readers --json | jq .lag\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = group_describe_run },
	{ .words = "group reset",
	  .arguments = "NAME",
	  .summary = "Shows where a group would go on reading, and moves it there",
	  .examples =
		  "  hanse group reset readers --to earliest\n"
		  "  hanse group reset readers --to 2026-11-22T14:00Z --execute\n"
		  "  hanse group reset readers --to -100 --topic orders --execute\n"
		  "  hanse group reset readers --to +1 --topic orders --partition 3 --execute\n",
	  .details = "Only a group without members can be moved.  -N and +N count from what it\n"
		     "committed.  With --topic all partitions of that topic are set, also those "
		     "where\n"
		     "it committed nothing, and a group that is not there yet is made.\n",
	  .flags = FLAG_BIT(FLAG_TO) | FLAG_BIT(FLAG_TOPIC) | FLAG_BIT(FLAG_PARTITION) |
		   FLAG_BIT(FLAG_EXECUTE) | PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = group_reset_run },
	{ .words = "group delete",
	  .arguments = "NAME",
	  .summary = "Deletes a group without members, and what it committed",
	  .examples = "  hanse group delete readers\n",
	  .details = "",
	  .flags = ASKS_KAFKA,
	  .argument_count = 1,
	  .run = group_delete_run },
	{ .words = "user add",
	  .arguments = "NAME",
	  .summary = "Adds a user of Kafka, with a password from standard input",
	  .examples = "  hanse user add --admin operator\n"
		      "  pass show orders | hanse user add orders\n"
		      "  hanse user add --no-password CN=billing    known by its certificate\n",
	  .details = "With the first user everybody has to sign in, and may do what an access\n"
		     "list allows; admins may do everything.  The server is not told the\n"
		     "password, only what it checks one with (SCRAM).\n",
	  .flags = FLAG_BIT(FLAG_ADMIN) | FLAG_BIT(FLAG_NO_PASSWORD) | FLAG_BIT(FLAG_RUN_DIR) |
		   NAMES_KAFKA,
	  .argument_count = 1,
	  .run = user_add_run },
	{ .words = "user list",
	  .arguments = "",
	  .summary = "Lists the users of Kafka",
	  .examples = "  hanse user list\n"
		      "  hanse user list --json | jq -r '.users[].name'\n",
	  .details = "",
	  .flags = FLAG_BIT(FLAG_RUN_DIR) | PRINTS_DATA | NAMES_KAFKA,
	  .run = user_list_run },
	{ .words = "user password",
	  .arguments = "NAME",
	  .summary = "Gives a user of Kafka another password",
	  .examples = "  hanse user password orders\n",
	  .details = "Who is signed in stays so.\n",
	  .flags = FLAG_BIT(FLAG_RUN_DIR) | NAMES_KAFKA,
	  .argument_count = 1,
	  .run = user_password_run },
	{ .words = "user remove",
	  .arguments = "NAME",
	  .summary = "Removes a user of Kafka and ends its connections",
	  .examples = "  hanse user remove orders\n",
	  .details = "Access lists that name it stay.\n",
	  .flags = FLAG_BIT(FLAG_RUN_DIR) | NAMES_KAFKA,
	  .argument_count = 1,
	  .run = user_remove_run },
	{ .words = "transaction list",
	  .arguments = "",
	  .summary = "Lists transactional ids and the state of each",
	  .examples = "  hanse transaction list\n"
		      "  hanse transaction list --json | jq '.transactions[] | "
		      "select(.state == \"Ongoing\")'\n",
	  .details = "",
	  .flags = FLAG_BIT(FLAG_LIMIT) | FLAG_BIT(FLAG_AFTER) | PRINTS_DATA | ASKS_KAFKA,
	  .run = transaction_list_run },
	{ .words = "transaction describe",
	  .arguments = "ID",
	  .summary = "Shows the transaction of an id: its producer, since when, and where it wrote",
	  .examples = "  hanse transaction describe billing-1\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = transaction_describe_run },
	{ .words = "transaction abort",
	  .arguments = "ID",
	  .summary = "Aborts the open transaction of an id, and fences its producer",
	  .examples = "  hanse transaction abort billing-1\n",
	  .details = "A producer that is still there is told that another one took its place.\n",
	  .flags = ASKS_KAFKA,
	  .argument_count = 1,
	  .run = transaction_abort_run },
	{ .words = "producer list",
	  .arguments = "TOPIC",
	  .summary = "Lists who writes to a topic with a producer id, and open transactions",
	  .examples = "  hanse producer list orders\n"
		      "  hanse producer list orders --partition 0 --json\n",
	  .details = "OPEN FROM is the first offset of a transaction that is not over: "
		     "read_committed\n"
		     "consumers wait there.\n",
	  .flags = FLAG_BIT(FLAG_PARTITION) | PRINTS_DATA | ASKS_KAFKA,
	  .argument_count = 1,
	  .run = producer_list_run },
	{ .words = "status",
	  .arguments = "",
	  .summary = "Shows what the node on this machine is doing",
	  .examples = "  hanse status\n"
		      "  hanse status --kafka 127.0.0.1:9093    of two nodes on this machine\n"
		      "  hanse status --json | jq -r .state\n",
	  .details = "Asks the local node's administrative socket, which is named for the port\n"
		     "of its --kafka.\n",
	  .flags = FLAG_BIT(FLAG_RUN_DIR) | PRINTS_DATA | NAMES_KAFKA,
	  .run = status_run },
	{ .words = "top",
	  .arguments = "",
	  .summary = "Shows rates, lag, requests and money of nodes, while you look",
	  .examples = "  hanse top\n"
		      "  hanse top --metrics 192.0.2.1:9292,192.0.2.2:9292\n"
		      "  hanse top --once --json | jq '.nodes[].produce'\n",
	  .details = "Asks /metrics of each node twice, and then again every second; q quits.\n"
		     "Where it is not a terminal it does so once.\n",
	  .flags = FLAG_BIT(FLAG_METRICS) | FLAG_BIT(FLAG_ONCE) | PRINTS_DATA,
	  .run = top_run },
	{ .words = "restore",
	  .arguments = "",
	  .summary = "Brings a cluster back from its bucket, on a new machine",
	  .examples = "  hanse restore --bucket 's3://records?endpoint=https://s3.example.org'\n"
		      "  hanse restore --bucket file:/mnt/bucket --dry-run    looks and changes "
		      "nothing\n"
		      "  hanse restore --bucket file:/mnt/bucket --deep       reads every byte\n",
	  .details =
		  "Needs nothing but the bucket, or the buckets, and the recovery key where they\n"
		  "are sealed.  Takes the journal over, so that whoever led before never writes\n"
		  "again, says what came back and what is missing, and ends with the line to run\n"
		  "next.  The manual is hanse-restore(1).\n",
	  .flags = FLAG_BIT(FLAG_BUCKET) | FLAG_BIT(FLAG_JOURNAL) | FLAG_BIT(FLAG_DEEP) |
		   FLAG_BIT(FLAG_DRY_RUN) | FLAG_BIT(FLAG_TAKE_OVER) | FLAG_BIT(FLAG_KEY_FILE) |
		   PRINTS_DATA | FLAG_BIT(FLAG_HELP),
	  .run = restore_command_run },
	{ .words = "fsck",
	  .arguments = "",
	  .summary = "Proves what every object of a cluster is, and that nothing is missing",
	  .examples = "  hanse fsck --bucket file:/srv/bucket\n"
		      "  hanse fsck --bucket file:/srv/bucket --deep       reads every byte\n"
		      "  hanse fsck --bucket file:/srv/bucket --json | jq .objects\n",
	  .details =
		  "Reads only, beside a running cluster or without any node.  The exit code is 0\n"
		  "when everything is as it has to be, and 1 otherwise.  With --settle it asks "
		  "the\n"
		  "local node to delete what may be newer than the catalog.  The manual is\n"
		  "hanse-fsck(1).\n",
	  .flags = FLAG_BIT(FLAG_BUCKET) | FLAG_BIT(FLAG_JOURNAL) | FLAG_BIT(FLAG_DEEP) |
		   FLAG_BIT(FLAG_KEY_FILE) | FLAG_BIT(FLAG_SETTLE) | FLAG_BIT(FLAG_RUN_DIR) |
		   PRINTS_DATA | NAMES_KAFKA,
	  .run = fsck_run },
	{ .words = "rebuild",
	  .arguments = "",
	  .summary = "Makes a lost journal anew, from the data files alone",
	  .examples = "  hanse rebuild --bucket file:/mnt/bucket --journal file:/srv/new\n"
		      "  hanse rebuild --bucket file:/mnt/bucket --journal file:/srv/new "
		      "--execute\n"
		      "  hanse rebuild --bucket s3://records --journal s3://new --deep --json\n",
	  .details = "For when the journal and all its copies are gone; while there is one, use\n"
		     "restore.  Shows what would come back, and writes it with --execute into\n"
		     "an empty journal.  The bucket of the records is only read.  The manual is\n"
		     "hanse-rebuild(1).\n",
	  .flags = FLAG_BIT(FLAG_BUCKET) | FLAG_BIT(FLAG_JOURNAL) | FLAG_BIT(FLAG_DEEP) |
		   FLAG_BIT(FLAG_KEY_FILE) | FLAG_BIT(FLAG_EXECUTE) | FLAG_BIT(FLAG_UNDECIDED) |
		   PRINTS_DATA | FLAG_BIT(FLAG_HELP),
	  .run = rebuild_command_run },
	{ .words = "bucket probe",
	  .arguments = "URL",
	  .summary = "Tries what a bucket can be trusted with, and cleans up",
	  .examples = "  hanse bucket probe 's3://name/hanse?endpoint=https://s3.example.org'\n"
		      "  hanse bucket probe file:/srv/hanse --json | jq -r .use\n",
	  .details = "Writes some 40 small objects below v1/probe/ with about 800 requests, and\n"
		     "removes them.  A bucket in use may be probed.  hanse-bucket(1) says what is\n"
		     "tried and what it means.\n",
	  .flags = PRINTS_DATA | FLAG_BIT(FLAG_HELP),
	  .argument_count = 1,
	  .run = bucket_probe_run },
	{ .words = "cost",
	  .arguments = "",
	  .summary = "Shows what the buckets were asked, and what that costs",
	  .examples = "  hanse cost                             of the node on this machine\n"
		      "  hanse cost --store aws-s3              if its bucket were there\n"
		      "  hanse cost --gb-month 2628 --fan-out 2 --retention-days 7\n"
		      "  hanse cost --prices my-prices.conf --json | jq .hanse.dollars\n",
	  .details =
		  "Beside it stands what the same load costs on Kafka, self-run and managed, line\n"
		  "by line.  Prices are list prices of a day; hanse-cost(1) says how to write\n"
		  "your own.  --store is one of aws-s3, aws-s3-express, r2, b2, own, or of "
		  "yours.\n",
	  .flags = FLAG_BIT(FLAG_PRICES) | FLAG_BIT(FLAG_STORE) | FLAG_BIT(FLAG_GB_MONTH) |
		   FLAG_BIT(FLAG_FAN_OUT) | FLAG_BIT(FLAG_RETENTION_DAYS) | FLAG_BIT(FLAG_AGENTS) |
		   FLAG_BIT(FLAG_FLUSH_MS) | FLAG_BIT(FLAG_PARTITIONS) | FLAG_BIT(FLAG_RUN_DIR) |
		   PRINTS_DATA | NAMES_KAFKA,
	  .run = cost_run },
	{ .words = "key create",
	  .arguments = "",
	  .summary = "Makes a key with which a machine joins the mesh",
	  .examples = "  hanse key create\n"
		      "  hanse key create --uses any --expires 30d --tags tag:server\n"
		      "  hanse key create --json | jq -r .key\n",
	  .details = "One machine may join with it, within 7 days, unless it says otherwise.\n" //
	  ASKS_CONTROL,
	  .flags = FLAG_BIT(FLAG_EXPIRES) | FLAG_BIT(FLAG_USES) | FLAG_BIT(FLAG_TAGS) |
		   FLAG_BIT(FLAG_USER) | FLAG_BIT(FLAG_EPHEMERAL) | PRINTS_DATA | ASKS_MESH,
	  .run = key_create_run },
	{ .words = "key list",
	  .arguments = "",
	  .summary = "Lists the keys with which machines join the mesh",
	  .examples = "  hanse key list\n",
	  .details = "It shows no secret: only its hash is kept.\n" ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = key_list_run },
	{ .words = "key revoke",
	  .arguments = "ID",
	  .summary = "Ends a key with which machines join the mesh",
	  .examples = "  hanse key revoke 3\n",
	  .details = "Machines that joined with it stay.\n" ASKS_CONTROL,
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = key_revoke_run },
	{ .words = "tunnel",
	  .arguments = "NAME",
	  .summary = "Makes a WireGuard device, which wg(8) configures",
	  .examples = "  hanse tunnel wg0 &\n"
		      "  wg setconf wg0 wg0.conf && ip address add 10.0.0.1/24 dev wg0 &&\n"
		      "  ip link set wg0 up\n",
	  .details =
		  "In the foreground, until it is told to stop, the device is deleted, or its\n"
		  "socket below /var/run/wireguard is removed.  Works with any WireGuard on the\n"
		  "other side, and without one in the kernel on this.\n",
	  .flags = FLAG_BIT(FLAG_OFFLOADS) | FLAG_BIT(FLAG_THREADS) | FLAG_BIT(FLAG_HELP),
	  .argument_count = 1,
	  .run = tunnel_command_run },
	{ .words = "policy set",
	  .arguments = "FILE",
	  .summary = "Puts a policy in force: who may reach what in the mesh",
	  .examples = "  hanse policy set policy.hujson\n"
		      "  hanse policy get | sed s/22/2222/ | hanse policy set -\n",
	  .details = "Refused, with line and column, unless the tests in the file pass.  Machines\n"
		     "follow within a second; what is no longer allowed stops.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = policy_set_run },
	{ .words = "policy get",
	  .arguments = "",
	  .summary = "Prints the policy that is in force",
	  .examples = "  hanse policy get > policy.hujson\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = policy_get_run },
	{ .words = "policy check",
	  .arguments = "FILE",
	  .summary = "Looks for mistakes in a policy, and changes nothing",
	  .examples = "  hanse policy check policy.hujson\n",
	  .details = "Errors, tests that fail, and rules, groups and names that do nothing.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = policy_check_run },
	{ .words = "policy explain",
	  .arguments = "FROM TO",
	  .summary = "Says whether one may reach the other, and by which rule",
	  .examples = "  hanse policy explain laptop db:5432\n"
		      "  hanse policy explain alice@example.com db:53/udp\n"
		      "  hanse policy explain laptop db\n"
		      "  hanse policy explain alice topic:orders --operation READ\n"
		      "  hanse policy explain alice group:readers --operation all\n",
	  .details =
		  "FROM is a machine, an address, a user or a tag; TO a machine or an address,\n"
		  "with a port or without.  With --operation, what a user may do with Kafka: FROM\n"
		  "is the user, TO is topic:NAME, group:NAME, transactional-id:NAME or cluster, "
		  "and\n"
		  "control of this machine's `hanse serve` is asked.  --host goes with it.  Exits\n"
		  "with 1 when it may not.\n",
	  .flags = FLAG_BIT(FLAG_OPERATION) | FLAG_BIT(FLAG_HOST) | FLAG_BIT(FLAG_KAFKA) |
		   PRINTS_DATA | ASKS_MESH,
	  .argument_count = 2,
	  .run = policy_explain_run },
	{ .words = "policy who-can",
	  .arguments = "TO",
	  .summary = "Lists the machines that may reach a machine or one of its ports",
	  .examples = "  hanse policy who-can db:5432\n"
		      "  hanse policy who-can db\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = policy_who_can_run },
	{ .words = "policy diff",
	  .arguments = "FILE|VERSION",
	  .summary = "Lists who would gain (+) and lose (-) what by another policy",
	  .examples = "  hanse policy diff policy.hujson\n"
		      "  hanse policy diff 3\n",
	  .details = "",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = policy_diff_run },
	{ .words = "policy history",
	  .arguments = "",
	  .summary = "Lists the policies that were in force, the newest first",
	  .examples = "  hanse policy history\n",
	  .details = "The last 100 are kept.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .run = policy_history_run },
	{ .words = "policy rollback",
	  .arguments = "VERSION",
	  .summary = "Puts the text of an older policy in force again",
	  .examples = "  hanse policy rollback 3\n"
		      "  hanse policy rollback 0\n",
	  .details = "It becomes a new version.  0 is no policy: everybody reaches everything.\n",
	  .flags = PRINTS_DATA | ASKS_MESH,
	  .argument_count = 1,
	  .run = policy_rollback_run },
	{ .words = "key new",
	  .arguments = "",
	  .summary = "Makes the key of a cluster that is yet to be",
	  .examples = "  hanse key new --key-file hanse.key\n"
		      "  hanse key new | gpg --encrypt -r me > hanse.key.gpg\n",
	  .details = "Prints the recovery key, or puts it in a file that is not there yet.\n"
		     "`hanse serve --key-file FILE` makes one by itself at a first start.\n",
	  .flags = FLAG_BIT(FLAG_KEY_FILE) | FLAG_BIT(FLAG_HELP),
	  .run = key_new_run },
	{ .words = "key show",
	  .arguments = "",
	  .summary = "Shows whose key a file holds, and no secret",
	  .examples = "  hanse key show --key-file hanse.key\n"
		      "  hanse key show --key-file hanse.key --json | jq -r .key_id\n",
	  .details = "`hanse status` shows the key id of a cluster.\n",
	  .flags = FLAG_BIT(FLAG_KEY_FILE) | PRINTS_DATA | FLAG_BIT(FLAG_HELP),
	  .run = key_show_run },
	{ .words = "key derive",
	  .arguments = "ROLE",
	  .summary = "Prints the part of a key that one role needs",
	  .examples = "  hanse key derive control --key-file hanse.key > control.key\n"
		      "  hanse key derive streams --key-file hanse.key > streams.key\n",
	  .details = "For machines that run only control or only streams: with its part control\n"
		     "cannot read records, and streams cannot read or write the journal.  A key\n"
		     "file may be read by its owner only: `umask 077` first, or chmod 600.\n",
	  .flags = FLAG_BIT(FLAG_KEY_FILE) | FLAG_BIT(FLAG_HELP),
	  .argument_count = 1,
	  .run = key_derive_run },
};

const size_t commands_count = sizeof(commands) / sizeof(commands[0]);

_Static_assert(sizeof(commands) / sizeof(commands[0]) <= COMMANDS_MAX, "more than that");
