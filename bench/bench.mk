# make bench: build every bench/*.c with the release flags, run the programs that measure one thing
# each, then measure a running broker end to end, on a disk and on a store as slow as S3, and beside
# Apache Kafka.  make bench BENCH=NAME runs one of them: a program, or a part.
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(sort $(filter-out bench/kafka_% bench/relay_% \
	bench/realm_%, $(wildcard bench/*.c))))
RELAY_LOAD := $(B)/bench/relay_load
REALM_LOAD := $(B)/bench/realm_load
KAFKA_LOAD := $(B)/bench/kafka_load
BROKER_LOAD := $(B)/bench/broker_load

BENCH_COMPARED := rate max max-large far partitions connections backlog replay cold
BENCH_PARTS := end-to-end s3 control-traffic relay realm compare
BENCH ?= $(notdir $(BENCHES)) $(BENCH_PARTS)

.PHONY: bench
bench:
	@set -e; for name in $(BENCH); do echo "== $$name"; \
		$(MAKE) --no-print-directory bench-$$name; done

BENCH_PROGRAMS := $(addprefix bench-,$(notdir $(BENCHES)))
.PHONY: $(BENCH_PROGRAMS) $(addprefix bench-,$(BENCH_PARTS) $(BENCH_COMPARED))
$(BENCH_PROGRAMS): bench-%: $(B)/bench/%
	@$<

# Brokers side by side, under the same load.
$(addprefix bench-,$(BENCH_COMPARED)): bench-%: $(BROKER_LOAD) $(B)/hanse
	@bench/compare.py $(B)/hanse $(B)/bench $*
bench-compare: $(BROKER_LOAD) $(B)/hanse
	@bench/compare.py $(B)/hanse $(B)/bench $(BENCH_COMPARED)

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

# The load generator for any broker, of several files.
BROKER_LOAD_OBJECTS := $(patsubst bench/%.c,$(B)/bench/%.o,$(sort $(wildcard bench/load/*.c)))
$(BROKER_LOAD_OBJECTS): $(B)/bench/%.o: bench/%.c $(wildcard bench/load/*.h) $(B)/flags $(ARCHIVES)
	@mkdir -p $(@D)
	$(call run,CC,$(COMPILE) -c -o $@ $<)
$(BROKER_LOAD): $(BROKER_LOAD_OBJECTS) $(ARCHIVES)
	$(call run,BENCH,$(COMPILE) $(LDFLAGS) -o $@ $^ $(LIBS))
