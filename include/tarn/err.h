/* tarn/err: how every call of libtarn says that it failed.
 *
 * The caller puts a struct tarn_err on its stack and passes its address (or NULL, to learn only
 * that the call failed). Failing never needs memory. A code is for programs, the sentence is for
 * people: what was being done, what refused, what to try. The sentence is UTF-8 in one line; bytes
 * of names that are not UTF-8 or that a terminal would obey are shown as \xNN.
 *
 * After success the error is untouched. */
#ifndef TARN_ERR_H
#define TARN_ERR_H

#include <tarn/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first ten are also the exit codes of the program `tarn`, and stay as they are. */
enum tarn_code {
    TARN_OK = 0,
    TARN_E_FAILED = 1,    /* it did not work; the sentence says why */
    TARN_E_USAGE = 2,     /* the request itself makes no sense, or a setting is wrong */
    TARN_E_PARTIAL = 3,   /* some of it was done */
    TARN_E_INTEGRITY = 4, /* data does not match its hashes */
    TARN_E_NOT_FOUND = 5,
    TARN_E_NETWORK = 6, /* network or peer unreachable */
    TARN_E_NO_SPACE = 7,
    TARN_E_DAEMON = 8, /* the node cannot be reached */
    TARN_E_POLICY = 9, /* refused by a rule: permissions, unsafe paths, limits */
    TARN_E_NO_MEMORY = 10,
    TARN_E_CANCELED = 11, /* the caller's progress function asked to stop */
};

struct tarn_err {
    enum tarn_code code;
    char msg[1020]; /* NUL-terminated; cut at a character with "..." when longer */
};

/* The exit code a program should end with: 0 to 9, as listed above. */
TARN_API int tarn_code_exit(enum tarn_code code);

/* A short stable name for JSON and logs: "integrity", "no-space" ... */
TARN_API const char *tarn_code_name(enum tarn_code code);

#ifdef __cplusplus
}
#endif
#endif
