/* node/value: one value of the configuration from its text, by the kind of its key. Pure. */
#ifndef NODE_VALUE_H
#define NODE_VALUE_H

#include "node/config.h"

struct node_value {
    uint64_t n; /* of numbers, words and switches */
    struct sys_addr addrs[NODE_CONFIG_ADDRS_MAX];
    size_t n_addrs;
};

/* The error begins with the key and says what is allowed. *v is written only on success. A NODE_URL
 * may end in '/', which means nothing. */
bool node_value_parse(enum node_key key, struct tarn_bytes text, struct node_value *v,
                      struct tarn_err *err) TARN_MUST;

/* on off, yes no, true false, 1 0. */
bool node_switch_parse(struct tarn_bytes text, bool *on) TARN_MUST;
/* The place of text among words with spaces between; false: none of them. */
bool node_word_parse(const char *words, struct tarn_bytes text, uint64_t *at) TARN_MUST;
/* A path or words: no control character and, for a path, absolute, without ".." and no longer than
 * a path may be. why says what is wrong. */
bool node_text_ok(struct tarn_bytes text, const char **why) TARN_MUST;
bool node_path_ok(struct tarn_bytes text, const char **why) TARN_MUST;

#endif
