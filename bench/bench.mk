# make bench: build every bench/*.c with the release flags and run one after the other.
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(wildcard bench/*.c)))

.PHONY: bench
bench: $(BENCHES)
	@set -e; for program in $(BENCHES); do echo "== $$program"; $$program; done

$(BENCHES): $(B)/bench/%: bench/%.c $(B)/flags $(ARCHIVES)
	@mkdir -p $(@D)
	$(call run,BENCH,$(COMPILE) $(LDFLAGS) -o $@ $< $(filter %.a,$^) $(LIBS))
