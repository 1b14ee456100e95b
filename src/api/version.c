/* api/version: which tarn this is. */
#include "crypt/sha.h"

#include <tarn/torrent.h>

#ifdef TARN_WITH_FETCH
#define URLS "HTTP trackers and URLs through libcurl"
#else
#define URLS "without HTTP trackers and URLs (no libcurl)"
#endif

const char *tarn_version(void)
{
    return TARN_VERSION;
}

const char *tarn_build(void)
{
    switch (crypt_lanes_now()) {
    case CRYPT_LANES_AVX512:
        return "hashes in 16 lanes of AVX-512; " URLS;
    case CRYPT_LANES_AVX2:
        return "hashes in 8 lanes of AVX2; " URLS;
    case CRYPT_LANES_OFF:
    default:
        return "hashes one by one, by OpenSSL; " URLS;
    }
}
