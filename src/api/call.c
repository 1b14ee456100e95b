/* api/call: one request to a node's control API, its answer taken apart into lines. */
#include "fetch/call.h"

#include "base/mem.h"
#include "base/out.h"
#include "node/home.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <tarn/node.h>
#include <tarn/torrent.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 16 << 20 };

struct taking {
    struct tarn_call *call;
    struct tarn_out line; /* what has come of the next one; of a failure: all of it */
    bool is_too_long;
};

static bool give_line(struct taking *t)
{
    size_t len = t->line.len;
    tarn_out_u8(&t->line, 0);
    t->is_too_long = t->is_too_long || !tarn_out_ok(&t->line);
    bool goes_on = !t->is_too_long && (t->call->on_line == NULL ||
                                       t->call->on_line(t->call->arg, (char *)t->line.p, len));
    tarn_out_clear(&t->line);
    return goes_on;
}

static bool on_bytes(void *arg, const struct fetch_call *c, struct tarn_bytes part)
{
    struct taking *t = arg;
    while (part.len > 0) {
        const uint8_t *end = c->status >= 300 ? NULL : memchr(part.p, '\n', part.len);
        size_t len = end == NULL ? part.len : (size_t)(end - part.p);
        tarn_out_put(&t->line, tarn_bytes_of(part.p, len));
        part = tarn_bytes_of(part.p + len + (end != NULL), part.len - len - (end != NULL));
        t->is_too_long = !tarn_out_ok(&t->line);
        if (t->is_too_long)
            return false;
        if (end != NULL && t->line.len > 0 && !give_line(t)) /* empty lines keep it alive */
            return false;
    }
    return true;
}

static enum tarn_code code_named(const char *name)
{
    for (enum tarn_code code = TARN_E_FAILED; code <= TARN_E_CANCELED; code++)
        if (strcmp(tarn_code_name(code), name) == 0)
            return code;
    return TARN_E_FAILED;
}

/* What the node says of a failure: problem details (RFC 9457) with our code. */
static bool fail_as_told(const struct taking *t, const struct fetch_call *c, struct tarn_err *err)
{
    struct tarn_quote q;
    json_t *told = c->is_problem ? json_loadb((const char *)t->line.p, t->line.len, 0, NULL) : NULL;
    const char *code = json_string_value(json_object_get(told, "code"));
    const char *detail = json_string_value(json_object_get(told, "detail"));
    if (detail != NULL)
        tarn_fail(err, code_named(code == NULL ? "" : code), "%s", tarn_quote_str(&q, detail));
    else
        tarn_fail(err, TARN_E_FAILED, "the node refused %s %s: HTTP status %d", t->call->method,
                  tarn_quote_str(&q, t->call->target), c->status);
    json_decref(told);
    return false;
}

static bool goes_on(void *arg)
{
    const struct taking *t = arg;
    return t->call->goes_on == NULL || t->call->goes_on(t->call->arg);
}

/* A socket that is there, and not for us? */
static bool is_forbidden(const char *socket)
{
    return faccessat(AT_FDCWD, socket, W_OK, AT_EACCESS) != 0 && errno == EACCES;
}

static bool ask(struct tarn_call *call, const char *socket, struct tarn_err *err)
{
    char agent[64];
    struct taking t = { .call = call };
    snprintf(agent, sizeof agent, "tarn/%s", tarn_version());
    tarn_out_init(&t.line, LINE_BYTES_MAX);
    struct fetch_call c = {
        .socket = socket,
        .agent = agent,
        .method = call->method,
        .target = call->target,
        .body = call->body == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_str(call->body),
        .silence_s = call->silence_s,
        .on_bytes = on_bytes,
        .goes_on = goes_on,
        .arg = &t,
    };
    struct tarn_quote q;
    bool ok = is_forbidden(socket)
                  ? tarn_fail(err, TARN_E_POLICY,
                              "you may not control the node at %s: that is for its own user, and "
                              "the group of its socket",
                              tarn_quote_str(&q, socket))
                  : fetch_call(&c, err);
    call->status = c.status;
    if (ok && t.is_too_long)
        ok = tarn_fail(err, TARN_E_FAILED, "the node's answer has a line of more than %d MiB",
                       LINE_BYTES_MAX >> 20);
    else if (ok && c.status >= 300)
        ok = fail_as_told(&t, &c, err);
    else if (ok && !c.has_stopped && t.line.len > 0)
        (void)give_line(&t); /* the last line: whether more is wanted means nothing now */
    tarn_out_release(&t.line);
    return ok;
}

/* Nobody at the first place: the next one is asked, and what is said names them all. */
static bool ask_usual(struct tarn_call *call, struct tarn_err *err)
{
    struct tarn_out tried;
    struct tarn_err why = { 0 };
    char *socket;
    bool ok = false, goes_on = true;
    tarn_out_init(&tried, 8192);
    for (size_t i = 0; goes_on && (socket = node_home_socket(i)) != NULL; i++) {
        struct tarn_quote q;
        ok = ask(call, socket, &why);
        goes_on = !ok && why.code == TARN_E_DAEMON && call->status == 0;
        tarn_out_fmt(&tried, "%s%s", i == 0 ? "" : " or ", tarn_quote_str(&q, socket));
        tarn_free(socket);
    }
    char *places = tarn_out_take_str(&tried);
    if (goes_on)
        tarn_fail(err, TARN_E_DAEMON,
                  "no node answers at %s: is one running? 'tarn up DIR' starts one here, "
                  "'systemctl start tarn' the system's",
                  places == NULL ? "its socket" : places);
    else if (!ok)
        tarn_fail(err, why.code, "%s", why.msg);
    tarn_free(places);
    return ok;
}

bool tarn_call(struct tarn_call *call, struct tarn_err *err)
{
    call->status = 0;
    return call->socket != NULL ? ask(call, call->socket, err) : ask_usual(call, err);
}
