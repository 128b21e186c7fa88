# The matrix of Kafka APIs: `make matrix-table` writes doc/kafka-matrix.md.  The server it is run
# against is started by test/scenario/kafka_matrix.sh.
MATRIX_SOURCES := $(sort $(wildcard test/matrix/*.c))
MATRIX_OBJECTS := $(MATRIX_SOURCES:%.c=$(B)/%.o)

$(MATRIX_OBJECTS): $(B)/%.o: %.c $(B)/flags | $(GENERATED_HEADERS)
	@mkdir -p $(@D)
	$(call run,CC,$(COMPILE) -Itest/matrix -c $< -o $@)

$(B)/matrix/kafka_matrix: $(MATRIX_OBJECTS) $(B)/libwire.a $(B)/libbase.a
	@mkdir -p $(@D)
	$(call run,TEST,$(CC) $(LDFLAGS) -o $@ $^ $(LIBS))

programs: $(B)/matrix/kafka_matrix

.PHONY: matrix-table
matrix-table: $(B)/matrix/kafka_matrix
	$< --table > doc/kafka-matrix.md
