/* http/log: the access log: a line for each answer, written by jobs, never by the loop.
 *
 * Each server has two buffers of records: one is filled while a job writes the other as lines, four
 * times a second or when it is half full. What finds no room is dropped, counted (http_counters)
 * and told of (on_trouble): a slow disk never holds an answer up. One log serves the servers of all
 * loops: lines are whole, and in order for each loop. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include "base/err.h"

#include <stdbool.h>

enum http_log_format {
    HTTP_LOG_COMBINED, /* as Apache and nginx write it, and the time it took in seconds behind */
    HTTP_LOG_JSON,     /* an object a line: time, peer, user, method, target, status, ... */
};

struct http_log;

/* path is made when missing (mode 0640) and appended to; "-" is standard error. Counted: one
 * reference. NULL on failure. */
struct http_log *http_log_open(const char *path, enum http_log_format format, struct tarn_err *err)
    TARN_MUST;
struct http_log *http_log_ref(struct http_log *log); /* returns log */
void http_log_unref(struct http_log *log);           /* closes with the last; accepts NULL */

/* Open the path anew before the next line (after it was renamed). Any thread. Should that fail, the
 * old file is written to, and on_trouble of the servers says why. */
void http_log_reopen(struct http_log *log);

#endif
