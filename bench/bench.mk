# make bench: build every bench/*.c with the release flags, run the programs that measure one thing
# each, then measure a running broker end to end, on a disk and on a store as slow as S3.
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(filter-out bench/kafka_% bench/relay_% \
	bench/realm_%, $(wildcard bench/*.c))))
RELAY_LOAD := $(B)/bench/relay_load
REALM_LOAD := $(B)/bench/realm_load
KAFKA_LOAD := $(B)/bench/kafka_load

.PHONY: bench bench-end-to-end bench-s3 bench-control-traffic bench-relay bench-realm
bench: $(BENCHES)
	@set -e; for program in $(BENCHES); do echo "== $$program"; $$program; done
	@$(MAKE) --no-print-directory bench-end-to-end bench-s3 bench-control-traffic \
		bench-relay bench-realm

bench-end-to-end: $(KAFKA_LOAD) $(B)/bench/crc_memcpy $(B)/bench/stream_bench $(B)/hanse
	@bench/end_to_end.py $(B)/hanse $(B)/bench

bench-s3: $(KAFKA_LOAD) $(B)/hanse
	@bench/s3_latency.py $(B)/hanse $(B)/bench

# What passes between control and an agent, for each GiB produced.
bench-control-traffic: $(B)/hanse
	@bench/control_traffic.py $(B)/hanse

# Our relay beside the official one, where that is there.
bench-relay: $(RELAY_LOAD) $(B)/hanse
	@bench/relay_bench.py $(B)/hanse $(B)/bench

# A thousand machines on one control server.
bench-realm: $(REALM_LOAD) $(B)/hanse
	@bench/realm_bench.py $(B)/hanse $(REALM_LOAD)

# The client library comes first: the compiler needs its header.
.PHONY: bench-packages
bench-packages:
	@tools/install-dependencies bench

$(KAFKA_LOAD): LIBS += -lrdkafka
$(KAFKA_LOAD): | bench-packages

$(BENCHES) $(KAFKA_LOAD) $(RELAY_LOAD) $(REALM_LOAD): $(B)/bench/%: bench/%.c $(B)/flags $(ARCHIVES)
	@mkdir -p $(@D)
	$(call run,BENCH,$(COMPILE) $(LDFLAGS) -o $@ $< $(filter %.a,$^) $(LIBS))

# Tunnels in network namespaces, beside the bare link and those of others; needs root.
.PHONY: bench-mesh
bench-mesh: $(B)/hanse
	@bench/mesh.py $(B)/hanse
