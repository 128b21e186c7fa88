# Generated code: GENERATED_HEADERS, and GENERATED_OBJECTS_<layer> under build/gen.
GENERATED_HEADERS :=

# Messages: wire/kafka/*.schema and wire/peer/peer.schema as structs and tables.
HOST_CC ?= cc
GENERATED_HEADERS += $(G)/kafka_messages.h $(G)/peer_messages.h
GENERATED_OBJECTS_wire += kafka_tables.o peer_tables.o

$(G)/schema: tools/schema.c
	@mkdir -p $(@D)
	$(HOST_CC) -std=gnu17 $(WARNINGS) -O1 -g -o $@ $<

KAFKA_SCHEMAS := $(sort $(wildcard src/wire/kafka/*.schema))

$(G)/kafka_messages.h $(G)/kafka_tables.c &: $(KAFKA_SCHEMAS) $(G)/schema
	$(G)/schema apis kafka $(KAFKA_SCHEMAS) $(G)/kafka_messages.h $(G)/kafka_tables.c

$(G)/peer_messages.h $(G)/peer_tables.c &: src/wire/peer/peer.schema $(G)/schema
	$(G)/schema messages peer $< $(G)/peer_messages.h $(G)/peer_tables.c

# The prices of `hanse cost`, as the text they are written in.
GENERATED_OBJECTS_cli += prices_text.o

$(G)/prices_text.c: packaging/prices.conf
	@mkdir -p $(@D)
	@{ echo '#include "cli/prices.h"'; echo 'const char prices_text[] ='; \
		sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $<; echo ';'; } > $@.new
	@mv -f $@.new $@
