# Simulation of the journal.  `make sim SEEDS=1000`, `make sim-bugs`; both print TAP.
SEEDS ?= 1000
SIM_BUCKETS ?=
SIM_CPPFLAGS := -Itest/sim
SIM_ENGINE := $(sort $(filter-out %_test.c %_fuzz.c,$(wildcard src/cells/journal*.c)))
SIM_SHARED := test/sim/store.c test/sim/oracle.c
SIM_BUGS := NOJOIN NORECHK GCFENCE NOCOPY NOREWRITE

$(B)/sim/journal_sim: test/sim/journal_sim.c $(SIM_SHARED) $(SIM_ENGINE) $(B)/libbase.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(SIM_CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LIBS)

# The directed schedules, with the engine as it is and with each planted bug.
$(B)/sim/journal_bugs: test/sim/journal_bugs.c $(SIM_SHARED) $(SIM_ENGINE) $(B)/libbase.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(SIM_CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LIBS)

$(SIM_BUGS:%=$(B)/sim/journal_bugs_%): $(B)/sim/journal_bugs_%: test/sim/journal_bugs.c \
		$(SIM_SHARED) $(SIM_ENGINE) $(B)/libbase.a
	@mkdir -p $(@D)
	$(CC) -DJOURNAL_BUG_$* $(CPPFLAGS) $(SIM_CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ \
		$(filter %.c %.a,$^) $(LIBS)

.PHONY: sim sim-bugs
sim: $(B)/sim/journal_sim
	$< --seeds 1-$(SEEDS) $(if $(SIM_BUCKETS),--buckets $(SIM_BUCKETS))

sim-bugs: $(B)/sim/journal_bugs $(SIM_BUGS:%=$(B)/sim/journal_bugs_%)
	@sh test/sim/bugs.sh $(B)/sim $(SIM_BUGS)
