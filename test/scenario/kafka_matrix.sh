#!/bin/sh
# Every API in every version with every outcome a client can meet, against a new node, and
# doc/kafka-matrix.md against the tables.  test/matrix has the tests.   timeout: 600 s
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
program=${HANSE:-$root/build/asan/hanse}
matrix=$(dirname "$program")/matrix/kafka_matrix
scratch=$(mktemp -d "${TMPDIR:-/tmp}/matrix.XXXXXX")
unset HANSE_KAFKA HANSE_RUN_DIR HANSE_BUCKET
export HANSE_TEST_HELD_MS=20 # nobody fills the gaps in sequences
cd "$root" || exit 1

finish() {
	kill "$server" 2>/dev/null && wait "$server"
	rm -rf "$scratch"
}
server=
trap finish EXIT
trap 'exit 143' TERM INT

port=$(python3 -c 'import sys; sys.path.insert(0, "test/scenario"); import node
print(node.free_port())')
"$program" serve --bucket "file:$scratch/bucket" --run-dir "$scratch/run" --log-level error \
	--kafka "127.0.0.1:$port" >"$scratch/log" 2>&1 &
server=$!
tries=300
until grep -q 'serves Kafka on' "$scratch/log"; do
	tries=$((tries - 1))
	if [ "$tries" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
		cat "$scratch/log" >&2
		echo "Bail out! the node did not start"
		exit 1
	fi
	sleep 0.1
done

MATRIX_PID=$server MATRIX_BUCKET=$scratch/bucket "$matrix" "127.0.0.1:$port"
status=$?

"$matrix" --table >"$scratch/table.md"
if difference=$(diff "$scratch/table.md" doc/kafka-matrix.md); then
	echo "ok - doc/kafka-matrix.md is what kafka_matrix --table prints"
else
	echo "not ok - doc/kafka-matrix.md is what kafka_matrix --table prints"
	echo "$difference" | sed 's/^/# /'
	echo "# make matrix-table writes it"
	status=1
fi
echo 1..1
[ "$status" -eq 0 ] || cat "$scratch/log" >&2
exit "$status"
