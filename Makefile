# Hanse.  Two commands are the front door: `make run` and `make test`; tools/targets.mk has the
# others.  FLAVOUR: release (default), asan (what tests run), tsan (what has
# threads, by hand), fuzz (clang with libFuzzer).
FLAVOUR ?= release
B := build/$(FLAVOUR)
G := build/gen

# --- flags ----------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wvla -Werror
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_release := -O2 -g -fno-omit-frame-pointer
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer $(SANITIZERS)
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -Wno-maybe-uninitialized
CFLAGS_fuzz := $(CFLAGS_asan) -fsanitize=fuzzer-no-link
LDFLAGS_asan := $(SANITIZERS)
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_fuzz := $(SANITIZERS)
CC_fuzz := clang-14
ifneq ($(CC_$(FLAVOUR)),)
CC := $(CC_$(FLAVOUR))
endif

# http-parser has no .pc file in Debian 12, so it is named by hand.
PACKAGES := libuv sqlite3 libxxhash libzstd liblz4 snappy zlib jansson libcurl expat \
	libsodium libnghttp2 libcrypto libssl libpcre2-8
# libcurl is loaded by whoever opens an S3 store (src/buckets/curl_library.h).
PACKAGE_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS := $(shell pkg-config --libs $(filter-out libcurl,$(PACKAGES)) 2>/dev/null) \
	-lhttp_parser

CPPFLAGS += -D_GNU_SOURCE -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_SESSION
CPPFLAGS += -Isrc -I$(G) $(PACKAGE_CFLAGS)
CFLAGS += -std=gnu17 $(WARNINGS) $(CFLAGS_$(FLAVOUR))
LDFLAGS += $(LDFLAGS_$(FLAVOUR))
LIBS := $(PACKAGE_LIBS) -lm
COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -MT $@

# One short line for each thing made; V=1 shows the commands.
run = $(if $(V),,@echo '  $(1) $@'; )$(2)

# --- what there is ----------------------------------------------------------------------------
# The layers in the order of the table in ARCHITECTURE.md; each links with those before it.
LAYERS := $(foreach layer,$(shell tools/layers order),$(if $(wildcard src/$(layer)),$(layer)))

find_sources = $(sort $(shell find src/$(1) -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' \
	2>/dev/null))
TEST_PROGRAMS := $(patsubst src/%.c,$(B)/unit/%,$(sort $(shell find src -name '*_test.c')))
FUZZ_PROGRAMS := $(patsubst src/%.c,$(B)/fuzz/%,$(sort $(shell find src -name '*_fuzz.c')))

.PHONY: all build clean
all: build

# --- generated code -------------------------------------------------------------------------
include tools/generate.mk

# --- objects, and one archive a layer ---------------------------------------------------------
# Everything is built again when its flags change: the recipe touches the file only then.
.PHONY: always
$(B)/flags: always
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' > $@

$(B)/obj/%.o: src/%.c $(B)/flags | $(GENERATED_HEADERS)
	@mkdir -p $(@D)
	$(call run,CC,$(COMPILE) -c $< -o $@)

$(B)/obj/gen/%.o: $(G)/%.c $(B)/flags | $(GENERATED_HEADERS)
	@mkdir -p $(@D)
	$(call run,CC,$(COMPILE) -c $< -o $@)

# A directory changes when a file comes or goes, so a removed source leaves its archive too.
define layer_archive
OBJECTS_$(1) := $$(patsubst src/%.c,$$(B)/obj/%.o,$$(call find_sources,$(1))) \
	$$(GENERATED_OBJECTS_$(1):%=$$(B)/obj/gen/%)
$$(B)/lib$(1).a: $$(OBJECTS_$(1)) $$(shell find src/$(1) -type d)
	@rm -f $$@
	@ar rcs $$@ $$(OBJECTS_$(1))
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_archive,$(layer))))

# The layers up to $(1), which a test may link, the lowest last.
upto = $(if $(2),$(if $(filter $(1),$(firstword $(2))),$(1),$(firstword $(2)) $(call \
	upto,$(1),$(wordlist 2,99,$(2)))))
reverse = $(if $(1),$(call reverse,$(wordlist 2,99,$(1))) $(firstword $(1)))
archives_of = $(patsubst %,$(B)/lib%.a,$(call reverse,$(call upto,$(1),$(LAYERS))))
ARCHIVES := $(patsubst %,$(B)/lib%.a,$(call reverse,$(LAYERS)))

$(B)/hanse: $(B)/obj/main.o $(ARCHIVES) tools/symbols
	@tools/symbols $(ARCHIVES)
	$(call run,LINK,$(CC) $(LDFLAGS) -o $@ $(filter-out tools/%,$^) $(LIBS))

# The program people start is the release; other flavours stay in their own directory.
build/hanse: build/release/hanse
	@cp -f $< $@.new && mv -f $@.new $@

ifeq ($(FLAVOUR),release)
build: build/hanse
else
build: $(B)/hanse
endif

# --- tests and fuzzers, linked only with the layers they may use --------------------------------
top_of = $(firstword $(subst /, ,$(1)))
.SECONDEXPANSION:
$(TEST_PROGRAMS): $(B)/unit/%: src/%.c $(B)/flags $$(call archives_of,$$(call top_of,$$*))
	@mkdir -p $(@D)
	$(call run,TEST,$(COMPILE) $(LDFLAGS) -o $@ $< $(filter %.a,$^) -lcmocka $(LIBS))

$(FUZZ_PROGRAMS): $(B)/fuzz/%: src/%.c $(B)/flags $$(call archives_of,$$(call top_of,$$*))
	@mkdir -p $(@D)
	$(call run,FUZZ,$(COMPILE) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(filter %.a,$^) $(LIBS))

include tools/targets.mk

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
