#!/bin/sh
# The commands people and scripts use, against a running node: what they print, as text and as
# JSON, what they exit with, and what they say when something is wrong.
set -u
program=${HANSE:-$(cd "$(dirname "$0")/../.." && pwd)/build/hanse}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cli.XXXXXX")
scenarios=$(cd "$(dirname "$0")" && pwd)
unset HANSE_KAFKA HANSE_RUN_DIR
cd "$scratch" || exit 1
server=

# --- what tests are made of ---------------------------------------------------------------------

stop_server() {
	[ -z "$server" ] || kill "$1" "$server" 2>/dev/null
	[ -z "$server" ] || wait "$server" 2>/dev/null
	server=
}

finish() {
	stop_server -TERM
	cd / && rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 143' TERM INT

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

count=0
failed=0
it() { # sentence, test
	count=$((count + 1))
	sentence=$1
	shift
	: >out
	: >err
	if "$@"; then
		echo "ok $count - $sentence"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $count - $sentence"
	sed 's/^/# out: /' out
	sed 's/^/# err: /' err
}

# Run the program; `expect STATUS WORDS...`.
expect() {
	wanted=$1
	shift
	"$program" "$@" >out 2>err </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] && return 0
	echo "# hanse $* exited with $status, not $wanted"
	return 1
}

says() { # words that standard error must have
	grep -qF -e "$1" err || { echo "# not said: $1"; return 1; }
}

prints() { # an extended regular expression that standard output must match
	grep -qE -e "$1" out || { echo "# not printed: $1"; return 1; }
}

prints_nothing() {
	[ ! -s out ]
}

# The document `d` on standard output is JSON, and the Python expression holds.
json() {
	python3 -c 'import json, sys
d = json.load(open("out"))
if not eval(sys.argv[1]):
    print("# does not hold:", " ".join(sys.argv[1].split()))
    sys.exit(1)' "$1"
}

within() { # seconds, then a test that becomes true
	end=$(($(date +%s) + $1))
	shift
	until "$@" >retried 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || { cat retried; return 1; }
		sleep 0.1
	done
}

# --- without a server -----------------------------------------------------------------------------

commands='topic create|topic list|topic describe|topic delete|group list|group describe|status'
commands="$commands|serve|topic config|topic trim|topic partitions|topic tail|group reset"
commands="$commands|group delete|transaction list|transaction describe|transaction abort"
commands="$commands|producer list|topic deleted|topic undelete|topic purge"

helps_with_examples() {
	expect 0 "$@" && [ "$(head -n 1 out)" = Examples: ] && prints '^  hanse ' && [ ! -s err ]
}

every_help_begins_with_examples() {
	helps_with_examples && helps_with_examples --help &&
		helps_with_examples help && helps_with_examples -h || return 1
	for group in topic group; do
		helps_with_examples "$group" && helps_with_examples "$group" --help || return 1
	done
	echo "$commands" | tr '|' '\n' >commands
	while read -r command; do
		# shellcheck disable=SC2086  # a command is one or two words
		helps_with_examples $command --help && helps_with_examples help $command || return 1
	done <commands
}
it "every help begins with examples" every_help_begins_with_examples

help_lists_every_command() {
	expect 0 --help || return 1
	echo "$commands" | tr '|' '\n' | while read -r command; do
		prints "^  $command " || exit 1
	done
}
it "help lists every command and no process of the server" help_lists_every_command

version_is_one_line() {
	expect 0 --version && prints '^hanse [0-9]' && [ "$(wc -l <out)" -eq 1 ]
}
it "the version is one line" version_is_one_line

mistakes_are_answered_with_the_nearest_word() {
	expect 2 topik && says '"hanse topic"' && prints_nothing &&
		expect 2 topic lst && says '"hanse topic list"' &&
		expect 2 group descibe x && says '"hanse group describe"' &&
		expect 2 topic list --kafak x && says '"--kafka"' &&
		expect 2 help statsu && says '"hanse status"'
}
it "a mistake is answered with the nearest word" mistakes_are_answered_with_the_nearest_word

nothing_is_abbreviated() {
	expect 2 stat && expect 2 topic desc x && expect 2 topic list --js
}
it "nothing may be abbreviated" nothing_is_abbreviated

wrong_lines_are_refused() {
	expect 2 topic create && says NAME && expect 2 topic list extra && says extra &&
		expect 2 topic list --partitions 3 && says "no option --partitions" &&
		expect 2 topic create x --partitions 0 &&
		expect 2 topic create x --partitions four &&
		expect 2 topic create x --partitions=-1 && expect 2 topic create x --partitions &&
		expect 2 topic create '' && expect 2 topic list --json=yes &&
		expect 2 topic list --kafka 127.0.0.1 && says HOST:PORT &&
		expect 2 status --kafka 127.0.0.1:0 && expect 2 serve --nonsense 1 &&
		expect 2 serve --journal file:a,file:b && says "1, 3 or 5" &&
		expect 2 serve --journal file:a,file:b,file:a && says twice &&
		expect 2 serve --roles control,control
}
it "a wrong command line exits with 2 and says what is wrong" wrong_lines_are_refused

port=$(free_port)
nobody_is_there() {
	for command in 'topic create x' 'topic list' 'topic describe x' 'topic delete x' \
		'group list' 'group describe x'; do
		# shellcheck disable=SC2086
		expect 4 $command --kafka "127.0.0.1:$port" && says "127.0.0.1:$port" &&
			says "hanse serve" && prints_nothing || return 1
	done
	expect 4 status --run-dir "$scratch" --kafka "127.0.0.1:$port" && says "hanse serve" &&
		says "$scratch/admin-$port.sock" &&
		expect 4 topic list --kafka "nowhere.invalid:1" && says nowhere.invalid
}
it "without a server every command exits with 4 and says what to do" nobody_is_there

# --- with one -------------------------------------------------------------------------------------

export HANSE_KAFKA="127.0.0.1:$port" HANSE_RUN_DIR="$scratch/run"
"$program" serve --bucket "file:$scratch/bucket" --peer "127.0.0.1:$(free_port)" 2>server.log &
server=$!
it "the server comes up" within 60 expect 0 topic list

no_topics_yet() {
	expect 0 topic list && prints_nothing && says "hanse topic create" &&
		expect 0 topic list --json && json 'd == {"topics": []}'
}
it "an empty list says how to get a topic" no_topics_yet

create_says_what_is_next() {
	expect 0 topic create --partitions 3 orders && prints_nothing &&
		says "topic orders was created with 3 partitions" &&
		says "hanse topic describe orders" &&
		expect 0 topic create single && says "1 partition" &&
		expect 0 topic create other --json --partitions=2 && [ ! -s err ] &&
		json 'd["name"] == "other" and d["partitions"] == 2 and len(d["id"]) == 22' &&
		expect 0 topic create -- --odd && expect 0 topic delete -- --odd
}
it "create says what was made and what is next" create_says_what_is_next

create_is_refused() {
	expect 1 topic create orders && says exist && says TOPIC_ALREADY_EXISTS &&
		expect 1 topic create 'no spaces' && says INVALID_TOPIC &&
		expect 1 topic create .. && expect 1 topic create x --partitions 1000000 &&
		says INVALID_PARTITIONS && prints_nothing && expect 3 topic describe x
}
it "an existing name, a bad name and too many partitions exit with 1" create_is_refused

topics_are_listed() {
	expect 0 topic list && prints '^TOPIC +PARTITIONS$' && prints '^orders +3$' &&
		[ "$(awk '{ print $1 }' out | tr '\n' ' ')" = "TOPIC orders other single " ] &&
		expect 0 --json topic list &&
		json '[t["name"] for t in d["topics"]] == ["orders", "other", "single"]' &&
		json '[t["partitions"] for t in d["topics"]] == [3, 2, 1]' &&
		json 'all(not t["internal"] and len(t["id"]) == 22 for t in d["topics"])'
}
it "topics are listed by name, as text and as JSON" topics_are_listed

produce() { # partition, how many
	seq "$2" | kcat -b "$HANSE_KAFKA" -t orders -p "$1" -P 2>err
}

topic_is_described() {
	produce 0 50 && produce 1 30 && produce 2 20 &&
		expect 0 topic describe orders && prints '^topic +orders$' &&
		prints '^partitions +3$' &&
		prints '^PARTITION +FIRST +NEXT +LEADER +EPOCH$' &&
		[ "$(awk '/^ +[0-9]/ { print $1, $2, $3 }' out | tr '\n' ,)" = \
			"0 0 50,1 0 30,2 0 20," ] &&
		expect 0 topic describe --json orders && json 'd["name"] == "orders"' &&
		json '[p["partition"] for p in d["partitions"]] == [0, 1, 2]' &&
		json '[p["next_offset"] for p in d["partitions"]] == [50, 30, 20]' &&
		json 'all(p["first_offset"] == 0 and not p["error"] for p in d["partitions"])' &&
		json 'all(p["leader"] > 0 and p["leader_epoch"] >= 0 for p in d["partitions"])'
}
it "a topic is described with its offsets" topic_is_described

unknown_names_exit_with_3() {
	expect 3 topic describe nothing && says nothing && prints_nothing &&
		expect 3 topic describe nothing --json && prints_nothing &&
		expect 3 topic delete nothing && expect 3 group describe nothing && says nothing &&
		expect 0 topic list && ! grep -q nothing out
}
it "an unknown topic or group exits with 3 and is not made by asking" unknown_names_exit_with_3

# --- groups ---------------------------------------------------------------------------------------

no_groups_yet() {
	expect 0 group list && prints_nothing && says "no groups" &&
		expect 0 group list --json && json 'd == {"groups": []}'
}
it "an empty list of groups says so" no_groups_yet

read_as_group() { # how many records
	timeout 60 kcat -b "$HANSE_KAFKA" -G readers -X auto.offset.reset=earliest -c "$1" orders \
		>/dev/null 2>kcat.err
}

group_is_empty() {
	expect 0 group list --json && json 'd["groups"][0]["state"] == "Empty"'
}

lag_is_counted() {
	read_as_group 100 && within 20 group_is_empty &&
		expect 0 group list && prints '^readers +Empty$' &&
		expect 0 group list --json &&
		json 'd["groups"] == [{"name": "readers", "state": "Empty",
			"protocol_type": "consumer"}]' &&
		expect 0 group describe readers --json && json 'd["lag"] == 0' &&
		json '[p["committed_offset"] for p in d["partitions"]] == [50, 30, 20]' &&
		json 'd["members"] == [] and not any(p["member"] for p in d["partitions"])' &&
		produce 0 5 && produce 2 2 &&
		expect 0 group describe readers --json && json 'd["lag"] == 7' &&
		json '[p["lag"] for p in d["partitions"]] == [5, 0, 2]' &&
		expect 0 group describe readers && prints '^group +readers$' &&
		prints '^lag +7$' && prints '^TOPIC +PARTITION +COMMITTED +NEXT +LAG +MEMBER$' &&
		[ "$(awk '$1 == "orders" { sum += $5 } END { print sum }' out)" -eq 7 ]
}
it "what a group has not read yet is counted" lag_is_counted

member_reads_all() {
	expect 0 group describe readers --json && json 'd["state"] == "Stable"' &&
		json '[a["topic"] for m in d["members"] for a in m["assignments"]] == ["orders"]'
}

members_are_shown() {
	kcat -b "$HANSE_KAFKA" -G readers orders >/dev/null 2>&1 &
	consumer=$!
	within 30 member_reads_all && expect 0 group describe readers --json &&
		json 'd["members"][0]["assignments"][0]["partitions"] == [0, 1, 2]' &&
		json 'all(p["member"] == d["members"][0]["id"] for p in d["partitions"])' &&
		json 'd["protocol_type"] == "consumer" and d["protocol"]' &&
		expect 0 group describe readers && prints '^state +Stable$' &&
		prints '^MEMBER +CLIENT +HOST +PARTITIONS$' && prints ' rdkafka .* 3$'
	result=$?
	kill "$consumer"
	wait "$consumer" 2>/dev/null
	return $result
}
it "members and what each reads are shown" members_are_shown

# --- records --------------------------------------------------------------------------------------

produce_with_headers() {
	printf 'k1:one\nk2:two\nk3:\nk4:four\n' |
		kcat -b "$HANSE_KAFKA" -t tailed -p 0 -P -K: -Z -H color=red -H size=7 -z gzip 2>err
}

records_are_shown() {
	expect 0 topic create tailed --partitions 2 && produce_with_headers &&
		expect 0 topic tail tailed && [ "$(wc -l <out)" -eq 4 ] && [ ! -s err ] &&
		[ "$(head -n 1 out | cut -f 1,2,4-)" = "$(printf '%b' \
			'0\t0\tk1\tone\tcolor=red size=7')" ] &&
		prints 'T[0-9:.]+Z.k3.-.color=red size=7$' &&
		expect 0 topic tail tailed --from -1 --json &&
		json 'd["key"] == "k4" and d["value"] == "four" and d["offset"] == 3' &&
		json 'd["headers"] == [{"key": "color", "value": "red"},
			{"key": "size", "value": "7"}]' &&
		expect 0 topic tail tailed --limit 2 --partition 0 && [ "$(cut -f 4 out)" = "k3
k4" ] && expect 0 topic tail tailed --limit 2 && [ "$(wc -l <out)" -eq 2 ] &&
		expect 0 topic tail tailed --from earliest --limit 2 &&
		[ "$(wc -l <out)" -eq 2 ] &&
		expect 0 topic tail tailed --from 1h --partition 0 && [ "$(wc -l <out)" -eq 4 ] &&
		expect 0 topic tail tailed --from 2 --partition 0 && [ "$(cut -f 2 out)" = "2
3" ] && expect 0 topic tail tailed --partition 1 && prints_nothing
}
it "records are shown with time, key, value and headers" records_are_shown

bytes_are_told_exactly() {
	printf '\377\001:\200ok\n' | kcat -b "$HANSE_KAFKA" -t bytes -p 0 -P -K: &&
		expect 0 topic tail bytes && prints '\?\?.\?ok$' &&
		expect 0 topic tail bytes --json &&
		json '(d["key"], d["value"]) == ("?\1", "?ok")' &&
		json '(d["key_base64"], d["value_base64"]) == ("/wE=", "gG9r")' &&
		expect 0 topic delete bytes
}
it "bytes that are no text can be had back from JSON" bytes_are_told_exactly

what_comes_is_followed() {
	timeout 60 "$program" topic tail tailed --follow --from earliest --partition 1 --limit 1 \
		>followed 2>err &
	follower=$!
	echo late | kcat -b "$HANSE_KAFKA" -t tailed -p 1 -P && wait "$follower" &&
		cut -f 1,2,5 followed | grep -qx '1	0	late'
}
it "what comes is followed" what_comes_is_followed

tail_refuses() {
	expect 3 topic tail nothing && expect 3 topic tail tailed --partition 9 &&
		expect 2 topic tail tailed --from yesterday && says "30m ago" &&
		expect 2 topic tail tailed --from +1 && says "-N from the end" &&
		expect 2 topic tail tailed --limit 0
}
it "places and partitions that are none are refused" tail_refuses

names_come_in_pages() {
	expect 0 topic list --limit 1 && says "--after orders" && [ "$(wc -l <out)" -eq 2 ] &&
		expect 0 topic list --limit 1 --after orders --json &&
		json '[t["name"] for t in d["topics"]] == [d["more_after"]] == ["other"]' &&
		expect 0 topic list --after tailed --json && json 'd == {"topics": []}' &&
		expect 2 topic list --limit none
}
it "long lists come in pages" names_come_in_pages

settings_are_changed() {
	expect 0 topic config tailed --json &&
		json 'all(c["from"] != "topic" for c in d["configs"])' &&
		expect 0 topic config tailed retention.ms=86400000 max.message.bytes=500000 &&
		prints '^retention.ms +topic +86400000$' &&
		expect 0 topic config tailed --unset retention.ms,max.message.bytes --json &&
		json 'all(c["from"] != "topic" for c in d["configs"])' &&
		expect 1 topic config tailed retention.ms=soon && says retention.ms &&
		expect 1 topic config tailed no.such.thing=1 && expect 3 topic config nothing &&
		expect 2 topic config tailed retention.ms && says KEY=VALUE
}
it "settings of a topic are shown and changed" settings_are_changed

the_oldest_go() {
	expect 0 topic trim tailed --before -1 && says "--execute" &&
		expect 0 topic tail tailed --from earliest && [ "$(wc -l <out)" -eq 5 ] &&
		expect 0 topic trim tailed --before -1 --execute --json && json 'd["executed"]' &&
		expect 0 topic tail tailed --from earliest && [ "$(wc -l <out)" -eq 2 ] &&
		expect 0 topic describe tailed --json &&
		json '[p["first_offset"] for p in d["partitions"]] == [3, 0]' &&
		expect 2 topic trim tailed && expect 2 topic trim tailed --before earliest &&
		expect 0 topic trim tailed --before latest --partition 0 --execute &&
		expect 0 topic tail tailed --from earliest && prints '^1	0	' &&
		[ "$(wc -l <out)" -eq 1 ]
}
it "the oldest records go, after they were shown" the_oldest_go

a_topic_grows() {
	expect 0 topic partitions tailed 5 && expect 0 topic describe tailed --json &&
		json 'len(d["partitions"]) == 5' && expect 1 topic partitions tailed 5 &&
		says INVALID_PARTITIONS && expect 2 topic partitions tailed none &&
		expect 3 topic partitions nothing 5 && expect 0 topic delete tailed
}
it "a topic gets more partitions" a_topic_grows

a_group_is_moved() {
	expect 0 group reset readers --to earliest && says "--execute" &&
		expect 0 group describe readers --json && json 'd["lag"] == 0' &&
		expect 0 group reset readers --to -10 --execute &&
		expect 0 group describe readers --json && json 'd["lag"] == 30' &&
		expect 0 group reset readers --to earliest --execute --json &&
		json '[p["new_offset"] for p in d["partitions"]] == [0, 0, 0]' &&
		expect 0 group reset readers --to 1h --execute &&
		expect 0 group describe readers --json &&
		json '[p["committed_offset"] for p in d["partitions"]] == [0, 0, 0]' &&
		expect 0 group reset readers --to latest --execute &&
		expect 0 group describe readers --json && json 'd["lag"] == 0' &&
		expect 3 group reset nobody --to latest && expect 2 group reset readers &&
		expect 0 group reset fresh --to 5 --topic orders --execute &&
		expect 0 group describe fresh --json &&
		json '[p["committed_offset"] for p in d["partitions"]] == [5, 5, 5]' &&
		expect 0 group reset fresh --to +1 --topic orders --partition 1 --execute &&
		expect 0 group describe fresh --json &&
		json '[p["committed_offset"] for p in d["partitions"]] == [5, 6, 5]' &&
		expect 2 group reset fresh --to +1 --partition 1 && says "--topic" &&
		expect 3 group reset fresh --to +1 --topic orders --partition 9
}
it "a group is moved, after it was shown where to" a_group_is_moved

a_group_with_members_stays() {
	kcat -b "$HANSE_KAFKA" -G readers orders >/dev/null 2>&1 &
	consumer=$!
	within 30 member_reads_all && expect 1 group reset readers --to earliest --execute &&
		says members && expect 1 group delete readers && says NON_EMPTY_GROUP &&
		says "have to stop first"
	result=$?
	kill "$consumer"
	wait "$consumer" 2>/dev/null
	return $result
}
it "a group with members is not moved or deleted" a_group_with_members_stays

a_group_is_deleted() {
	expect 0 group delete fresh && expect 3 group describe fresh &&
		expect 3 group delete fresh
}
it "a group is deleted" a_group_is_deleted

# --- transactions ---------------------------------------------------------------------------------

# A producer with a transactional id, which ends one transaction and leaves another one open.
leave_open() {
	PYTHONPATH=$scenarios python3 -B - "$HANSE_KAFKA" >out 2>err <<'PYTHON'
import os, sys
from transactor import TransactionalProducer
producer = TransactionalProducer(sys.argv[1], "billing")
producer.begin_life()
for value, ends in ((b"paid", True), (b"open", False)):
    producer.begin()
    producer.send("orders", value, partition=0)
    assert producer.flush(20)
    if ends:
        producer.commit()
os._exit(0)
PYTHON
}

transactions_are_shown_and_aborted() {
	expect 0 transaction list && prints_nothing && leave_open &&
		expect 0 transaction list && prints '^billing +[0-9]+  Ongoing$' &&
		expect 0 transaction describe billing && prints '^orders +0$' &&
		expect 0 transaction describe billing --json &&
		json 'd["partitions"] == [{"topic": "orders", "partition": 0}]' &&
		json 'd["started_ms"] > 0 and d["state"] == "Ongoing"' &&
		expect 0 producer list orders --partition 0 --json &&
		json 'max(p["transaction_first_offset"] or 0 for p in d["producers"]) == 57' &&
		expect 0 topic tail orders --from -3 --partition 0 --committed &&
		prints 'paid' && ! grep -q open out &&
		expect 0 topic tail orders --from -1 --partition 0 && prints 'open' &&
		expect 0 transaction abort billing && says aborted &&
		expect 0 transaction describe billing --json &&
		json 'd["state"] == "Empty" and d["partitions"] == []' &&
		expect 0 topic tail orders --from -3 --partition 0 --committed &&
		! grep -q open out && expect 0 transaction abort billing &&
		expect 3 transaction describe nobody && expect 3 transaction abort nobody
}
it "transactions are shown, and an open one is aborted" transactions_are_shown_and_aborted

# --- status ---------------------------------------------------------------------------------------

status_is_shown() {
	expect 0 status && prints '^state +leading$' && prints "^kafka +$HANSE_KAFKA$" &&
		prints '^journal committed index +[0-9]+$' &&
		expect 0 status --json && json 'd["state"] == "leading"' &&
		json 'd["journal"]["committed_index"] > 0 and d["streams"]["agents"] == 1' &&
		HANSE_RUN_DIR='' expect 0 status --run-dir "$scratch/run" --json &&
		HANSE_KAFKA='' expect 0 status --kafka="$HANSE_KAFKA" &&
		expect 4 status --kafka 127.0.0.1:1 && says admin-1.sock
}
it "status is shown as text and as JSON" status_is_shown

full_device_is_noticed() {
	[ ! -c /dev/full ] && return 0
	for words in 'topic list' 'topic list --json' 'status' 'topic tail orders'; do
		# shellcheck disable=SC2086
		"$program" $words >/dev/full 2>err && return 1
		says "standard output" && [ "$(wc -l <err)" -eq 1 ] && ! grep -q Success err ||
			return 1
	done
}
it "output that cannot be written is a failure" full_device_is_noticed

# --- deletion -------------------------------------------------------------------------------------

# Run the program on a terminal of its own and type a line; what it says goes to `out`.
on_terminal() {
	python3 - "$program" "$@" >out <<'PYTHON'
import os, pty, sys
typed, words = sys.argv[2], sys.argv[3:]
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], ["hanse"] + words)
text, has_typed = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    text += piece
    if not has_typed and text.endswith(b"Type its name to go on: "):
        os.write(terminal, typed.encode() + b"\n")
        has_typed = True
print(text.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
PYTHON
}

a_person_is_asked() {
	on_terminal no topic delete single
	[ $? -eq 1 ] && prints 'nothing was deleted' && expect 0 topic describe single &&
		on_terminal single topic delete single && prints 'was deleted' &&
		expect 3 topic describe single &&
		expect 0 topic create single && on_terminal no topic delete single --force &&
		! grep -q 'Type its name' out && expect 3 topic describe single
}
it "a person at a terminal is asked before a topic is deleted" a_person_is_asked

a_script_is_not_asked() {
	expect 0 topic delete other && prints_nothing && says "was deleted" &&
		says "hanse topic list" && expect 3 topic delete other && says other &&
		expect 0 topic list && ! grep -q other out
}
it "a script is not asked" a_script_is_not_asked

# --- buckets --------------------------------------------------------------------------------------

a_bucket_is_probed() {
	expect 0 bucket probe file:probed && prints 'create     passed' &&
		prints 'Use: file:probed' && [ -z "$(find probed -type f)" ] &&
		expect 0 bucket probe 'file:probed?class=raw' --json &&
		prints '"use": "file:probed\?class=cas"' && prints '"left": 0' &&
		[ "$(grep -c '"outcome": ' out)" -eq 7 ]
}
it "a bucket is probed, and nothing is left of it" a_bucket_is_probed

a_bucket_that_cannot_be_probed_says_why() {
	expect 1 bucket probe ftp://name && says 'write file:DIRECTORY or s3://NAME' &&
		expect 1 bucket probe file:not/there && says 'create it first' &&
		expect 2 bucket probe && says 'needs URL' &&
		AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b expect 4 bucket probe \
			's3://name?endpoint=http://127.0.0.1:1&timeout_ms=100' &&
		says 'no connection to 127.0.0.1:1'
}
it "a bucket that cannot be probed says why" a_bucket_that_cannot_be_probed_says_why

# --- a tunnel ------------------------------------------------------------------------------------

a_tunnel_that_cannot_be_says_why() {
	expect 2 tunnel && says 'needs NAME' &&
		expect 2 tunnel --offloads some wg0 && says 'one of all, tun, udp, none' &&
		expect 2 tunnel --threads 5 wg0 && says '1 to 4' &&
		expect 1 tunnel a-name-that-is-too-long && says 'cannot be opened'
}
it "a tunnel that cannot be says why" a_tunnel_that_cannot_be_says_why

# --- a server that is gone ------------------------------------------------------------------------

the_dead_are_told_from_the_absent() {
	stop_server -KILL
	within 20 expect 4 topic list && expect 4 status && says "hanse serve"
}
it "a server that was killed is reported, its sockets left behind or not" \
	the_dead_are_told_from_the_absent

broken='AddressSanitizer|LeakSanitizer|runtime error|[Aa]ssertion'
nothing_broke() {
	! grep -E "$broken" server.log | sed 's/^/# /' | grep .
}
it "the server says nothing of broken memory or assertions" nothing_broke

[ "$failed" -eq 0 ] || sed 's/^/# server: /' server.log | tail -n 40
echo "1..$count"
