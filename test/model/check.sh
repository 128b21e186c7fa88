#!/bin/sh
# Model checks of the journal and of announced files: the protocol holds, and each broken rule is
# found.  Prints TAP.
# usage: test/model/check.sh [WORD]     only those whose sentence contains the word
# Needs spin and a C compiler; about 120 s and 0.5 GB.  THOROUGH=1 adds 10 minutes and 3 GB.
# timeout: 900 s
set -u
here=$(cd "$(dirname "$0")" && pwd)
word=${1:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
model=journal
level=-O2
count=0
bad=0

states() { sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p' out | head -n 1; }

verdict() { # holds, violated or unknown, from the output of the verifier
	if grep -q 'assertion violated' out; then
		echo violated
	elif grep -q 'errors: 0' out && ! grep -q 'out of memory\|search depth too small' out; then
		echo holds
	else
		echo unknown
	fi
}

check() { # SENTENCE EXPECTED OPTION...
	sentence=$1 expected=$2
	shift 2
	case $sentence in *"$word"*) ;; *) return ;; esac
	count=$((count + 1))
	if ! command -v spin >/dev/null; then
		echo "ok $count - $sentence # SKIP spin is not installed"
		return
	fi
	cd "$scratch" || exit 1
	rm -f ./*
	cp "$here/$model.pml" model.pml
	if spin -a "$@" model.pml >log 2>&1 &&
		cc $level -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c >>log 2>&1; then
		./pan -m200000 -w24 >out 2>&1
	else
		cat log >out
	fi
	got=$(verdict)
	if [ "$got" = "$expected" ]; then
		echo "ok $count - $sentence ($(states))"
	else
		bad=1
		echo "not ok $count - $sentence: $got with $*"
		sed 's/^/# /' out | head -n 20
	fi
}

check 'two leaders with two records each agree' holds -DP=2 -DR=2
check 'three leaders agree, whatever buckets they join' holds -DP=3 -DR=1
check 'counting a bucket without joining it is found' violated -DP=2 -DR=1 -DNOJOIN
check 'a fence check before the put is found' violated -DP=2 -DR=1 -DNORECHK
check 'deleting fences while zombies live is found' violated -DP=2 -DR=1 -DGCFENCE
check 'a start record before the copies is found' violated -DP=2 -DR=1 -DNOCOPY
check 'adopting the longest log is found' violated -DP=3 -DR=2 -DNOREWRITE -DSECOND=6 -DTHIRD=3
check 'fencing only down to the newest mark is found' violated -DP=3 -DR=1 -DSKIPMARKS
check 'create-if-absent: two leaders agree' holds -DP=2 -DR=2 -DCAS
check 'create-if-absent: three leaders agree' holds -DP=3 -DR=2 -DCAS
check 'create-if-absent: counting without joining is found' violated -DP=2 -DR=1 -DCAS -DNOJOIN
check 'create-if-absent: deleting seals is found' violated -DP=2 -DR=1 -DCAS -DGCFENCE
check 'create-if-absent: a start before the copies is found' violated -DP=2 -DR=1 -DCAS -DNOCOPY
check 'create-if-absent: a candidate that only fences is found' violated -DP=2 -DR=1 -DCAS -DNOSEAL
if [ "${THOROUGH:-}" ]; then
	check 'three leaders with two records each agree' holds -DP=3 -DR=2 -DSECOND=6 -DTHIRD=3
	check 'two leaders with three records each agree' holds -DP=2 -DR=3
fi
model=journal_slot
check 'slots: nothing counts behind a seal, with trimming' holds
check 'slots: a create that counts behind a gap is found' violated -DNOPREFIX
check 'slots: no second look at the floors is found' violated -DNOLOOK
check 'slots: trimming before the floor is found' violated -DNOFLOOR
check 'slots: a floor over what was not created is found' violated -DEARLYFLOOR
model=announced
level=-O1 # most are found faster than compiled
check 'announced: what is told early every later leader makes again' holds
check 'announced: a name that stays free is found' violated -DNOBURN
check 'announced: serving before all is settled is found' violated -DLATESETTLE
check 'announced: settling in any order is found' violated -DANYORDER
check 'announced: a commit that waits for no older file is found' violated -DNOORDER
check 'announced: not waiting for firm commands is found' violated -DNOFIRM
check 'announced: not waiting for the announcement is found' violated -DUNANNOUNCED
check 'announced: refusals that do not wait are found' violated -DEARLYNO
check 'announced: withdrawals that do not wait are found' violated -DEARLYDEAD
check 'announced: tombstones deleted while former leaders answer are found' violated -DNOAGE
if [ "${THOROUGH:-}" ]; then
	check 'announced: three leaders one after the other' holds -DLEADERS=3 -DQUEUE=2
fi
echo "1..$count"
exit $bad
