# The targets of daily work.  Each of them can be run on a fresh clone.
JOBS ?= $(shell nproc)
SUBMAKE := $(MAKE) --no-print-directory -j$(JOBS)
PREFIX ?= /usr/local

.PHONY: soak run test unit programs fuzzers fuzz man format tidy install

# Install what is missing, build, and serve with data in ./var.
run:
	@tools/install-dependencies build
	@$(SUBMAKE) build
	@mkdir -p var
	@exec build/hanse serve

# Everything; the last line is the count.  test/run WORD runs a part of it again.
test:
	@tools/install-dependencies test
	@$(SUBMAKE) build
	@$(SUBMAKE) FLAVOUR=asan build programs
	@if command -v clang-14 >/dev/null; then $(SUBMAKE) FLAVOUR=fuzz fuzzers; fi
	@test/run

programs: $(TEST_PROGRAMS)
fuzzers: $(FUZZ_PROGRAMS)

# The unit tests alone, of the flavour that was asked for.
unit: $(TEST_PROGRAMS)
	@set -e; for test in $(TEST_PROGRAMS); do echo "== $$test"; $$test; done

# Every fuzzer for TIME seconds, from a random seed.
TIME ?= 60
fuzz:
	@$(SUBMAKE) FLAVOUR=fuzz fuzzers
	@FUZZ_SECONDS=$(TIME) FUZZ_SEED=0 test/run fuzz/

# The checker of anomalies, for MINUTES; SEED=n repeats what it chose.
MINUTES ?= 30
soak:
	@tools/install-dependencies test
	@$(SUBMAKE) FLAVOUR=asan build
	@MINUTES=$(MINUTES) test/run scenario/anomalies

man:
	@tools/man_test
	@mkdir -p build/man
	@for page in doc/man/*.[157]; do \
		mandoc -Tutf8 $$page | col -b > build/man/$$(basename $$page).txt; \
	done

format:
	clang-format-14 -i $$(find src test bench tools -name '*.[ch]' 2>/dev/null)

# What compilers and checkers other than the daily one say.
tidy: $(GENERATED_HEADERS)
	clang-tidy-14 --quiet $$(find src -name '*.c') -- $(CPPFLAGS) -std=gnu17
	cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr \
		--suppress=normalCheckLevelMaxBranches -Isrc src
	$(SUBMAKE) FLAVOUR=analyze CFLAGS_analyze='-O1 -fanalyzer -Wno-error' build

install: build
	install -D -m 755 build/hanse $(DESTDIR)$(PREFIX)/bin/hanse
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7 \
		$(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 doc/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 doc/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -D -m 644 packaging/prices.conf $(DESTDIR)$(PREFIX)/share/hanse/prices.conf
	for unit in hanse hanse-up; do \
		sed 's|/usr/local|$(PREFIX)|' packaging/$$unit.service \
			> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service || exit 1; \
	done

# sim, bench and interop are defined where their programs are.
-include test/nat/nat.mk test/sim/sim.mk bench/bench.mk test/matrix/matrix.mk \
	test/interop/interop.mk
