# Hanse.  Two commands are the front door: `make run` and `make test`.
# FLAVOUR: release (default), asan (what the tests run), fuzz (clang, libFuzzer).
FLAVOUR ?= release
B := build/$(FLAVOUR)
G := build/gen

# In this order; a layer links with itself and what stands before it.  The order itself is the
# table in ARCHITECTURE.md, which tools/layers reads; `make test` compares the two.
LAYERS := base wire loop buckets cells access streams server cli

PACKAGES := libuv sqlite3 libxxhash libzstd liblz4 snappy zlib jansson libcrypto
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wvla -Werror
CPPFLAGS += -D_GNU_SOURCE -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_SESSION -Isrc -I$(G)
CFLAGS_release := -O2 -g -fno-omit-frame-pointer
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_fuzz := $(CFLAGS_asan) -fsanitize=fuzzer-no-link
CC_fuzz := clang-14
ifneq ($(CC_$(FLAVOUR)),)
CC := $(CC_$(FLAVOUR))
endif
CFLAGS += -std=gnu17 $(WARNINGS) $(CFLAGS_$(FLAVOUR))
LDFLAGS += $(filter -fsanitize=address% -fno-sanitize%,$(CFLAGS_$(FLAVOUR)))

# Filled in from pkg-config, with sane answers before the packages are there.
CPPFLAGS += $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null || echo -luv -lsqlite3 -lxxhash -lzstd -llz4 -lsnappy -lz -ljansson -lcrypto) -lhttp_parser

find_sources = $(sort $(shell find src/$(1) -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' ! -name main.c 2>/dev/null))
TESTS := $(sort $(shell find src -name '*_test.c' 2>/dev/null))
FUZZERS := $(sort $(shell find src -name '*_fuzz.c' 2>/dev/null))
SIMS := $(sort $(wildcard test/sim/*.c))
TEST_PROGRAMS := $(TESTS:src/%.c=$(B)/unit/%)
FUZZ_PROGRAMS := $(FUZZERS:src/%.c=$(B)/fuzz/%)

.PHONY: all build run test bench fuzz sim interop man format tidy install clean programs
all: build

# --- generated code -------------------------------------------------------------------------
include tools/generate.mk

# --- objects and one archive a layer ----------------------------------------------------------
$(B)/obj/%.o: src/%.c $(GENERATED_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/obj/gen/%.o: $(G)/%.c $(GENERATED_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

define layer_archive
OBJECTS_$(1) := $$(patsubst src/%.c,$$(B)/obj/%.o,$$(call find_sources,$(1))) $$(GENERATED_OBJECTS_$(1):%=$$(B)/obj/gen/%)
$$(B)/lib$(1).a: $$(OBJECTS_$(1))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_archive,$(layer))))

layers_upto = $(if $(filter $(1),$(firstword $(2))),$(1),$(firstword $(2)) $(call layers_upto,$(1),$(wordlist 2,99,$(2))))
reverse = $(if $(1),$(call reverse,$(wordlist 2,99,$(1))) $(firstword $(1)))
archives_of = $(patsubst %,$(B)/lib%.a,$(call reverse,$(call layers_upto,$(1),$(LAYERS))))

ARCHIVES := $(patsubst %,$(B)/lib%.a,$(call reverse,$(LAYERS)))

$(B)/hanse: $(B)/obj/main.o $(ARCHIVES)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS)

build: $(B)/hanse
	@cp -f $(B)/hanse build/hanse.new && mv -f build/hanse.new build/hanse

# --- unit tests: linked only with the layers they may use ---------------------------------------
top_of = $(firstword $(subst /, ,$(1)))
.SECONDEXPANSION:
$(TEST_PROGRAMS): $(B)/unit/%: src/%.c $$(call archives_of,$$(call top_of,$$*))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(filter %.a,$^) -lcmocka $(LIBS)

$(FUZZ_PROGRAMS): $(B)/fuzz/%: src/%.c $$(call archives_of,$$(call top_of,$$*))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer -MMD -MP $(LDFLAGS) -o $@ $< $(filter %.a,$^) $(LIBS)

include tools/targets.mk

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
