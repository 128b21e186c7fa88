# Simulation of the journal.  `make sim SEEDS=1000` runs seeds on 1, 3 and 5 buckets and the
# directed schedules; `make sim-bugs` the schedules alone, with and without the planted bugs.
SEEDS ?= 1000
SIM_ENGINE := $(sort $(filter-out %_test.c %_fuzz.c,$(wildcard src/cells/journal*.c)))
SIM_SHARED := test/sim/store.c test/sim/oracle.c
SIM_HEADERS := $(wildcard src/cells/journal*.h src/base/*.h test/sim/*.h)
SIM_BUGS := NOJOIN NORECHK GCFENCE NOFRESH NOCOPY NOREWRITE \
	NOSEAL NOPREFIX NOLOOK NOFLOOR NOGAP GCSEAL
SIM_PROGRAMS := $(B)/sim/journal_sim $(B)/sim/journal_bugs $(SIM_BUGS:%=$(B)/sim/journal_bugs_%)

define sim_program
$(B)/sim/$(1): $(2) $(SIM_SHARED) $(SIM_ENGINE) $(SIM_HEADERS) $(B)/libbase.a
	@mkdir -p $$(@D)
	$(CC) $(3) -Itest/sim $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $$@ $$(filter %.c %.a,$$^) $(LIBS)
endef
$(eval $(call sim_program,journal_sim,test/sim/journal_sim.c,))
$(eval $(call sim_program,journal_bugs,test/sim/journal_bugs.c,))
$(foreach bug,$(SIM_BUGS),$(eval $(call \
	sim_program,journal_bugs_$(bug),test/sim/journal_bugs.c,-DJOURNAL_BUG_$(bug))))

SIM_THIRD = $(shell expr \( $(SEEDS) + 2 \) / 3)
SIM_BUG_RUNS := $(B)/sim/journal_bugs $(foreach bug,$(SIM_BUGS),-- $(B)/sim/journal_bugs_$(bug))

.PHONY: sim sim-bugs
sim: $(SIM_PROGRAMS)
	@test/sim/run.sh $(SIM_BUG_RUNS) $(foreach n,1 3 5,-- \
		$(B)/sim/journal_sim --seeds 1-$(SIM_THIRD) --buckets $(n))

sim-bugs: $(filter %bugs,$(SIM_PROGRAMS)) $(SIM_BUGS:%=$(B)/sim/journal_bugs_%)
	@test/sim/run.sh $(SIM_BUG_RUNS)
