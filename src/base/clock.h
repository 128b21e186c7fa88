/* Time.  Engines never call this: they get `now` in the event. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void);  /* monotonic; for deadlines */
uint64_t clock_boot_ms(void); /* the same, and it goes on while the machine sleeps */
uint64_t clock_now_us(void);  /* monotonic; for measurements */
int64_t clock_wall_ms(void);  /* Unix time; for people and protocol timestamps */

#endif
