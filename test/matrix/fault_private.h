/* What the files of fault.h share. */
#ifndef MATRIX_FAULT_PRIVATE_H
#define MATRIX_FAULT_PRIVATE_H

#include "fault.h"
#include "matrix.h"

/* Skips the test where the node is not known. */
void fault_need_node(struct test *t);

/* The process of a role, or 0. */
int fault_find_role(const char *role);

/* Stop it, or kill it: the node starts it again. */
void fault_signal(struct test *t, const char *role, int number);

const struct matrix_api *fault_api(int16_t key);

#endif
