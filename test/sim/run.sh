#!/bin/sh
# Runs simulations and joins their TAP.  usage: test/sim/run.sh COMMAND [-- COMMAND]...
set -u

all() {
	while [ $# -gt 0 ]; do
		command=''
		while [ $# -gt 0 ] && [ "$1" != -- ]; do
			command="$command $1"
			shift
		done
		[ $# -gt 0 ] && shift
		$command || echo "# $command: exit status $?"
	done
}

all "$@" | awk '
	/^1\.\./ { next }
	/^(not )?ok / {
		n++
		bad = bad || /^not/
		sub(/ok [0-9]+/, "ok " n)
	}
	/exit status/ && !bad { print "not ok " ++n " - a simulation died"; bad = 1 }
	{ print; fflush() }
	END { print "1.." n; exit bad }'
