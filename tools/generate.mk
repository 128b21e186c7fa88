# Generated code: GENERATED_HEADERS, and GENERATED_OBJECTS_<layer> under build/gen.
GENERATED_HEADERS :=
