/* tarn/export: marks what libtarn offers; everything else in the library is hidden. */
#ifndef TARN_EXPORT_H
#define TARN_EXPORT_H

#if defined(_WIN32)
#define TARN_API
#else
#define TARN_API __attribute__((visibility("default")))
#endif

#endif
