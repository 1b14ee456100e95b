/* cli/ask: requests of docs/api.md to a node, one after the other, and what its answers say. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "base/out.h"
#include "cli/parse.h"

#include <jansson.h>
#include <tarn/err.h>

struct cli_asking {
    bool as_json;  /* lines of answers go to standard output as they come */
    bool is_quiet; /* ... but not these: they are looked at only */
    /* Each object of an answer: for people, so not with as_json; and always. Either may be NULL. */
    void (*show)(struct cli_asking *a, json_t *object);
    void (*look)(struct cli_asking *a, json_t *object);
    bool is_list; /* an answer may have no object at all */
    struct tarn_err err;
    char kind[32]; /* the type of the last object; "": there was none */
};

void cli_ask_begin(struct cli_asking *a, const struct cli_args *args);
/* ref: what it is about, as somebody wrote it, or NULL; body: an object, or NULL. False: a->err. */
bool cli_ask(struct cli_asking *a, const char *method, const char *path, const char *ref,
             const char *body);
/* The exit code; what went wrong is said. */
int cli_ask_end(const struct cli_asking *a, bool ok);

/* Of a line; NULL when it is no object: json_decref. */
json_t *cli_answer(const char *line, size_t len);

/* What objects say: "" and 0 when they do not. o may be NULL. */
const char *cli_text_of(const json_t *o, const char *key);
uint64_t cli_number_of(const json_t *o, const char *key);
bool cli_is(const json_t *o, const char *key);
/* "paused 7 www at http://...": what was done with an item. */
void cli_put_done(const char *done, const json_t *o);
/* How far a running scrub is: "  35%  1.2 GiB of 3.4 GiB ...". */
void cli_put_scrub(struct tarn_out *o, const json_t *scrub);
/* Of an item: its name; of a magnet link that says none, and is not known yet: its hash. */
const char *cli_name_of(const json_t *o);

#endif
