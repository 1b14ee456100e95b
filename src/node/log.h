/* node/log: lines to standard error, for people, for programs (JSON), or for the journal.
 *
 * Any thread. A line holds no control character, whoever wrote what it says. Under the journal
 * ($JOURNAL_STREAM names the file that standard error is) a line begins with its priority and has
 * no time: the journal knows it. */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include "base/attr.h"
#include "base/err.h"
#include <stdatomic.h>

enum node_level { NODE_ERROR, NODE_WARNING, NODE_NOTICE, NODE_INFO, NODE_DEBUG };
enum node_log_format { NODE_LOG_TEXT, NODE_LOG_JSON };

struct node_log {
    int fd;            /* borrowed */
    atomic_int level;  /* enum node_level: what is above is left out */
    atomic_int format; /* enum node_log_format */
    bool is_journal;
    /* Also told, when not NULL: for who embeds a node. From any thread. */
    void (*also)(void *arg, enum node_level level, const char *text);
    void *arg;
};

void node_log_init(struct node_log *l, int fd, enum node_log_format format, enum node_level level);

/* about: a few fixed words that say which part speaks: "http", "bt", "index". */
void node_log(struct node_log *l, enum node_level level, const char *about, const char *fmt, ...)
    TARN_PRINTF(4, 5);
void node_log_err(struct node_log *l, enum node_level level, const char *about,
                  const struct tarn_err *err);

/* The line itself, with its end; pure. wall_ms below 0: no time. */
struct tarn_out;
void node_log_line(struct tarn_out *o, enum node_log_format format, bool is_journal,
                   enum node_level level, const char *about, const char *text, int64_t wall_ms);

#endif
