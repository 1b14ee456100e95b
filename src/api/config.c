/* api/config: a node's configuration for programs. */
#include "node/config.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <tarn/node.h>

static const char *const kinds[] = {
    [NODE_BOOL] = "switch",     [NODE_COUNT] = "number", [NODE_SIZE] = "size", [NODE_RATE] = "rate",
    [NODE_DURATION] = "time",   [NODE_WORD] = "word",    [NODE_PATH] = "path", [NODE_URL] = "url",
    [NODE_ADDRS] = "addresses", [NODE_TEXT] = "text",
};

static void describe(enum node_key key, const char *name, struct tarn_setting *s)
{
    const struct node_key_info *k = &node_keys[key];
    *s = (struct tarn_setting){
        .key = name,
        .value = k->is_secret ? NULL : k->usual,
        .usual = k->usual,
        .origin = "built-in",
        .kind = kinds[k->kind],
        .words = k->words,
        .help = k->help,
        .is_reloadable = k->is_reloadable,
    };
}

bool tarn_config_key(size_t i, struct tarn_setting *s)
{
    static _Thread_local struct node_key_text name; /* borrowed until the thread's next call */
    if (i >= NODE_KEYS)
        return false;
    describe((enum node_key)i, node_key_text(&name, (enum node_key)i), s);
    return true;
}

static void tell_faults(struct tarn_out *faults, void (*on_fault)(void *arg, const char *text),
                        void *arg)
{
    char *text = tarn_out_take_str(faults);
    for (char *line = text, *end; line != NULL && (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        *end = 0;
        on_fault(arg, line);
    }
    tarn_free(text);
}

typedef void on_setting_fn(void *arg, const struct tarn_setting *s);

static void tell_collection(const struct node_config_collection *c, on_setting_fn *on_setting,
                            void *arg)
{
    static const char *const bts[] = { "hybrid", "v1", "v2", "off" };
    static const char *const policies[] = { "public", "partners", "mine" };
    const struct {
        const char *key, *value, *usual, *kind, *words, *help;
    } rows[] = {
        { "path", c->path, "", "path", NULL, "the folder" },
        { "policy", policies[c->policy], "public", "word", "public partners mine",
          "who may have it" },
        { "bt", bts[c->bt], "hybrid", "word", "hybrid v1 v2 off", "its torrent" },
        { "http", c->http ? "on" : "off", "on", "switch", NULL, "the web door serves it" },
        { "hidden", c->hidden ? "on" : "off", "off", "switch", NULL,
          "names that begin with a dot" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        char name[NODE_CONFIG_NAME_MAX + 32], origin[NODE_CONFIG_LINE_MAX + 32];
        snprintf(name, sizeof name, "collection.%s.%s", c->name, rows[i].key);
        snprintf(origin, sizeof origin, "%s:%u", c->file, c->line);
        struct tarn_setting s = {
            .key = name,
            .value = rows[i].value,
            .usual = rows[i].usual,
            .origin = origin,
            .kind = rows[i].kind,
            .words = rows[i].words,
            .help = rows[i].help,
            .is_reloadable = true,
        };
        on_setting(arg, &s);
    }
}

static void tell_settings(const struct node_config *c, on_setting_fn *on_setting, void *arg)
{
    for (enum node_key key = 0; key < NODE_KEYS; key++) {
        struct node_key_text name;
        struct tarn_setting s;
        describe(key, node_key_text(&name, key), &s);
        s.value = node_keys[key].is_secret ? NULL : node_config_text(c, key);
        s.origin = node_config_origin_text(c, key);
        on_setting(arg, &s);
    }
    for (size_t i = 0; i < node_config_collections(c); i++)
        tell_collection(node_config_collection(c, i), on_setting, arg);
}

bool tarn_config_read(const struct tarn_config *config, on_setting_fn *on_setting,
                      void (*on_fault)(void *arg, const char *text), void *arg,
                      struct tarn_err *err)
{
    enum { FAULTS_LEN = 64 << 10 };
    struct tarn_out faults;
    struct node_config_from from = { .file = config->file,
                                     .flags = config->set,
                                     .n_flags = config->n_set,
                                     .is_system = config->is_system };
    tarn_out_init(&faults, FAULTS_LEN);
    struct node_config *c = node_config_read(&from, &faults, err);
    if (c == NULL && on_fault != NULL)
        tell_faults(&faults, on_fault, arg);
    tarn_out_release(&faults);
    if (c == NULL)
        return false;
    if (on_setting != NULL)
        tell_settings(c, on_setting, arg);
    node_config_free(c);
    return true;
}

bool tarn_config_docs(void (*put)(void *arg, const char *text, size_t len), void *arg,
                      struct tarn_err *err)
{
    enum { DOCS_LEN = 1 << 20 };
    struct tarn_out o;
    tarn_out_init(&o, DOCS_LEN);
    node_config_docs(&o);
    bool ok = tarn_out_ok(&o);
    if (ok)
        put(arg, (const char *)o.p, o.len);
    tarn_out_release(&o);
    return ok || tarn_fail_mem(err, "writing the page");
}
