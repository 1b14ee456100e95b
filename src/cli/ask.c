/* cli/ask: see the header. */
#include "cli/ask.h"

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "codec/url.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tarn/node.h>
#include <unistd.h>

enum { TARGET_MAX = 64 << 10 };

/* ---- what objects say ---- */

json_t *cli_answer(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

const char *cli_text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

uint64_t cli_number_of(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n < 0 ? 0 : (uint64_t)n;
}

bool cli_is(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

const char *cli_name_of(const json_t *o)
{
    const char *name = cli_text_of(o, "name"), *v2 = cli_text_of(o, "v2");
    return *name != '\0' ? name : *v2 != '\0' ? v2 : cli_text_of(o, "v1");
}

void cli_put_done(const char *done, const json_t *o)
{
    const char *url = cli_text_of(o, "url");
    printf("%s %llu ", done, (unsigned long long)cli_number_of(o, "id"));
    cli_put_text(stdout, cli_name_of(o));
    if (*url != '\0') {
        fputs(" at ", stdout);
        cli_put_text(stdout, url);
    }
    putchar('\n');
}

void cli_put_scrub(struct tarn_out *o, const json_t *scrub)
{
    uint64_t damaged = cli_number_of(scrub, "damaged"), bps = cli_number_of(scrub, "rate");
    struct cli_count files;
    cli_progress_amounts(o, &(struct cli_progress_now){
                                .done = cli_number_of(scrub, "bytes_done"),
                                .total = cli_number_of(scrub, "bytes"),
                                .rate = bps == 0 ? -1 : (double)bps,
                                .more = "",
                            });
    if (damaged > 0)
        tarn_out_fmt(o, "  %s damaged", cli_count(&files, damaged, "file"));
}

/* ---- what a request is about ---- */

static bool is_path(const char *ref)
{
    return ref[0] == '/' || strcmp(ref, ".") == 0 || strcmp(ref, "..") == 0 ||
           strncmp(ref, "./", 2) == 0 || strncmp(ref, "../", 3) == 0;
}

/* A link to a file is a name of its own, which may be published as such. */
static bool is_linked_file(const char *path)
{
    struct stat itself, behind;
    return lstat(path, &itself) == 0 && S_ISLNK(itself.st_mode) && stat(path, &behind) == 0 &&
           !S_ISDIR(behind.st_mode);
}

/* "/path", "./path" and "../path" are made absolute; all else is for the node to understand. What
 * is not here stays as it is written: the node may remember it. */
static char *absolute(const char *ref, struct tarn_err *err)
{
    if (!is_path(ref))
        return strdup(ref);
    char *real = is_linked_file(ref) ? NULL : realpath(ref, NULL);
    if (real != NULL || ref[0] == '/')
        return real != NULL ? real : strdup(ref);
    char *here = getcwd(NULL, 0), *whole = NULL;
    if (here == NULL || asprintf(&whole, "%s/%s", here, ref) < 0) {
        tarn_fail_sys(err, "cannot tell what folder this is");
        whole = NULL;
    }
    free(here);
    return whole;
}

static bool put_ref(struct tarn_out *target, const char *ref, struct tarn_err *err)
{
    char *whole = absolute(ref, err);
    if (whole == NULL)
        return false;
    tarn_out_str(target, "?ref=");
    url_escape(target, tarn_bytes_str(whole));
    free(whole);
    return true;
}

/* ---- asking ---- */

static bool goes_on(void *arg)
{
    (void)arg;
    return !cli_stop_asked();
}

static bool on_line(void *arg, const char *line, size_t len)
{
    struct cli_asking *a = arg;
    json_t *object = cli_answer(line, len);
    snprintf(a->kind, sizeof a->kind, "%s", cli_text_of(object, "type"));
    if (*a->kind == '\0') {
        json_decref(object);
        return tarn_fail(&a->err, TARN_E_DAEMON, "what answers there is no tarn, or a broken one");
    }
    if (a->as_json && !a->is_quiet) {
        fwrite(line, 1, len, stdout);
        putchar('\n');
        fflush(stdout); /* its failure is found by cli_flush */
    }
    if (a->show != NULL && !a->as_json)
        a->show(a, object);
    if (a->look != NULL)
        a->look(a, object);
    json_decref(object);
    return !ferror(stdout);
}

void cli_ask_begin(struct cli_asking *a, const struct cli_args *args)
{
    *a = (struct cli_asking){ .as_json = cli_has(args, CLI_JSON) };
}

bool cli_ask(struct cli_asking *a, const char *method, const char *path, const char *ref,
             const char *body)
{
    struct tarn_out target;
    a->err.code = TARN_OK;
    a->kind[0] = '\0';
    tarn_out_init(&target, TARGET_MAX);
    tarn_out_str(&target, path);
    bool ok = ref == NULL || put_ref(&target, ref, &a->err);
    tarn_out_u8(&target, 0);
    if (ok && !tarn_out_ok(&target))
        ok = tarn_fail(&a->err, TARN_E_USAGE, "that is too long for a request");
    struct tarn_call call = {
        .method = method,
        .target = (const char *)target.p,
        .body = body,
        .on_line = on_line,
        .arg = a,
        .goes_on = goes_on,
    };
    ok = ok && tarn_call(&call, &a->err) && a->err.code == TARN_OK;
    if (ok && *a->kind == '\0' && !a->is_list)
        ok = tarn_fail(&a->err, TARN_E_DAEMON, "the node answered nothing: is it a tarn?");
    tarn_out_release(&target);
    return ok;
}

int cli_ask_end(const struct cli_asking *a, bool ok)
{
    return ok ? 0 : cli_fail(a->as_json, &a->err);
}
