# Targets of daily work: run, test, bench, fuzz, sim, interop, man, format, tidy, install.
unit: $(TEST_PROGRAMS)
	@set -e; for t in $(TEST_PROGRAMS); do echo "== $$t"; $$t; done
.PHONY: unit
