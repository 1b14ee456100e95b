/* base/near: see the header. */
#include "base/near.h"

#include <stdint.h>
#include <string.h>

/* Typing slips between two words: letters added, left out, changed, or two of them swapped. */
static unsigned slips(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > TARN_NEAR_MAX || m > TARN_NEAR_MAX)
        return TARN_NEAR_MAX;
    uint8_t d[TARN_NEAR_MAX + 1][TARN_NEAR_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (uint8_t)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1] ? 1U : 0U);
            best = best < d[i - 1][j] + 1U ? best : d[i - 1][j] + 1U;
            best = best < d[i][j - 1] + 1U ? best : d[i][j - 1] + 1U;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1U < best)
                best = d[i - 2][j - 2] + 1U;
            d[i][j] = (uint8_t)best;
        }
    return d[n][m];
}

bool tarn_is_near(const char *word, const char *name, unsigned *best)
{
    unsigned n = slips(word, name);
    unsigned fine = strlen(name) <= 4 ? 1 : strlen(name) <= 8 ? 2 : 3;
    bool begins = strlen(word) >= 3 && strncmp(name, word, strlen(word)) == 0;
    if (begins)
        n = 1;
    if (n > fine || n >= *best)
        return false;
    *best = n;
    return true;
}
