/* base/near: which of some names was probably meant by a word with typing slips in it. */
#ifndef BASE_NEAR_H
#define BASE_NEAR_H

#include "base/attr.h"

#include <stdbool.h>

enum { TARN_NEAR_MAX = 31 }; /* longer words are near to nothing */

/* Is name nearer to word than what *best (begin with TARN_NEAR_MAX) says, and so near that it was
 * probably meant? Then *best becomes smaller. Slips are letters added, left out, changed, or two of
 * them swapped; the first three letters of a name are near too. */
bool tarn_is_near(const char *word, const char *name, unsigned *best);

#endif
