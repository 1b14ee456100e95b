/* node/config: reads the layers one over the other: built in, main file, conf.d, environment,
 * flags.
 *
 * inih takes lines apart. It cuts section names at 49 bytes without a word, goes on with indented
 * lines as if they were values, and does not say which line it is at, so the function that hands it
 * lines takes the indentation away, refuses what would be cut, and counts. */
#include "node/config.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/num.h"
#include "base/text.h"
#include "node/value.h"
#include "sys/file.h"

#include <ctype.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STRINGS_MAX = 16 << 20,
    SECTION_MAX = 49, /* inih's, which cuts longer ones */
    FAULTS_MAX = 50,  /* told; a file with more of them is something else */
};
static const char collection_word[] = "collection ", refused[] = "[!]";

struct setting {
    const char *text, *where; /* in the arena, or fixed */
    struct node_value v;
    enum node_origin origin;
    unsigned file, line; /* number of the file, from 1; 0: none */
};

enum { C_PATH, C_POLICY, C_BT, C_HTTP, C_HIDDEN, C_KEYS };

struct collection {
    struct node_config_collection c;
    unsigned file;        /* the file that the section is in */
    unsigned has[C_KEYS]; /* lines of its keys */
};

struct node_config {
    struct tarn_arena strings;
    struct setting settings[NODE_KEYS];
    struct collection *collections; /* owned */
    size_t n_collections, cap_collections;
    const char *path;
};

extern char **environ;

/* What happens while reading. */
struct reading {
    struct node_config *c;
    struct tarn_out *faults; /* or NULL */
    struct tarn_err *err;    /* the first one */
    unsigned n_faults;
    unsigned n_files;
};

static void fault(struct reading *r, const struct tarn_err *e)
{
    if (r->n_faults++ == 0)
        tarn_fail(r->err, e->code, "%s", e->msg);
    if (r->faults != NULL && r->n_faults <= FAULTS_MAX)
        tarn_out_fmt(r->faults, "%s\n", e->msg);
}

static const char *keep(struct reading *r, struct tarn_bytes text)
{
    struct tarn_err e;
    char *s = tarn_arena_strndup(&r->c->strings, text);
    if (s != NULL)
        return s;
    tarn_fail_mem(&e, "reading the configuration");
    fault(r, &e);
    return "";
}

static bool set(struct reading *r, enum node_key key, struct tarn_bytes text,
                enum node_origin origin, const char *where, struct tarn_err *err)
{
    struct setting *s = &r->c->settings[key];
    if (node_keys[key].kind == NODE_URL)
        while (text.len > 0 && text.p[text.len - 1] == '/')
            text.len--;
    if (!node_value_parse(key, text, &s->v, err))
        return false;
    s->text = keep(r, text);
    s->where = where;
    s->origin = origin;
    return true;
}

/* Files */

struct source {
    struct reading *r;
    const char *path; /* kept */
    const char *next;
    size_t left;
    unsigned number, line;         /* of the file, of the line handed out last */
    struct collection *in;         /* the section we are in, when it is one of these */
    char section[SECTION_MAX + 1]; /* the name, or "[!]" for one that was refused */
};

static void fault_here(struct source *s, struct tarn_err *e)
{
    struct tarn_quote q;
    tarn_fail_in(e, "%s:%u", tarn_quote_str(&q, s->path), s->line);
    fault(s->r, e);
}

/* Always false. */
static bool bad(struct source *s, const char *fmt, ...) TARN_PRINTF(2, 3);
static bool bad(struct source *s, const char *fmt, ...)
{
    char text[512];
    struct tarn_err e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    tarn_fail(&e, TARN_E_USAGE, "%s", text);
    fault_here(s, &e);
    return false;
}

static bool begin_collection(struct source *s, struct tarn_bytes name);

static bool is_section(const char *name)
{
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (strcmp(node_keys[key].section, name) == 0)
            return true;
    return false;
}

static bool bad_section(struct source *s)
{
    struct tarn_quote q;
    const char *near = NULL;
    unsigned best = TARN_NEAR_MAX;
    if (strcmp(s->section, "collection") == 0)
        return bad(s, "a collection has a name: [collection NAME]");
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (tarn_is_near(s->section, node_keys[key].section, &best))
            near = node_keys[key].section;
    tarn_quote_str(&q, s->section);
    if (near != NULL)
        return bad(s, "there is no section [%s]; did you mean [%s]?", q.s, near);
    return bad(s,
               "there is no section [%s] (http, admin, bt, index, scrub, catalog, log, collection "
               "NAME)",
               q.s);
}

/* A [section] line, without blanks around it. False: it was refused. */
static bool begin_section(struct source *s, struct tarn_bytes line)
{
    const size_t prefix = sizeof collection_word - 1;
    const uint8_t *end = memchr(line.p, ']', line.len);
    s->in = NULL;
    if (end == NULL)
        return bad(s, "a section ends in ]");
    struct tarn_bytes name = tarn_bytes_of(line.p + 1, (size_t)(end - line.p) - 1);
    if (name.len > SECTION_MAX)
        return bad(s, "the name of a section has at most %d bytes, and that of a collection %d",
                   SECTION_MAX, NODE_CONFIG_NAME_MAX);
    memcpy(s->section, name.p, name.len);
    s->section[name.len] = 0;
    if (name.len > prefix && memcmp(name.p, collection_word, prefix) == 0)
        return begin_collection(s, tarn_bytes_of(name.p + prefix, name.len - prefix));
    return is_section(s->section) || bad_section(s);
}

/* The next line of the text, without blanks around it; false: it is not one for inih. */
static bool take_line(struct source *s, size_t max, struct tarn_bytes *line)
{
    const char *end = memchr(s->next, '\n', s->left);
    size_t len = end == NULL ? s->left : (size_t)(end - s->next);
    struct tarn_bytes l = tarn_bytes_of(s->next, len);
    s->next += len + (end != NULL);
    s->left -= len + (end != NULL);
    if (s->line++ == 0 && l.len >= 3 && memcmp(l.p, "\xEF\xBB\xBF", 3) == 0)
        l = tarn_bytes_of(l.p + 3, l.len - 3);
    while (l.len > 0 && isspace(l.p[0]))
        l = tarn_bytes_of(l.p + 1, l.len - 1);
    while (l.len > 0 && isspace(l.p[l.len - 1]))
        l.len--;
    *line = l;
    if (l.len > max)
        return bad(s, "the line has %zu bytes, at most %zu are taken", l.len, max);
    if (l.len > 0 && memchr(l.p, 0, l.len) != NULL)
        return bad(s, "the line has a zero byte: this is no text");
    return true;
}

/* fgets for inih: never a line that it would misunderstand. */
static char *next_line(char *dst, int num, void *stream)
{
    struct source *s = stream;
    struct tarn_bytes line;
    if (s->left == 0)
        return NULL;
    if (!take_line(s, (size_t)num - 3, &line)) {
        line.len = 0;
    } else if (line.len > 0 && line.p[0] == '[' && !begin_section(s, line)) {
        line = tarn_bytes_str(refused); /* what follows belongs to no section that we know */
        memcpy(s->section, refused, sizeof refused);
    }
    if (line.len > 0)
        memcpy(dst, line.p, line.len);
    memcpy(dst + line.len, "\n", 2);
    return dst;
}

static bool is_name_ok(struct tarn_bytes name, const char **why)
{
    *why = "a collection's name has at most 38 bytes";
    if (name.len > NODE_CONFIG_NAME_MAX)
        return false;
    *why = "a collection's name is UTF-8 without control characters, and no '/' is in it";
    const char *ignored;
    if (!node_text_ok(name, &ignored) || !tarn_utf8_valid(name) ||
        memchr(name.p, '/', name.len) != NULL)
        return false;
    *why = "a collection's name may not begin with a dot or a blank, nor end in a blank";
    return name.p[0] != '.' && name.p[0] != ' ' && name.p[name.len - 1] != ' ';
}

static struct collection *find_collection(struct node_config *c, struct tarn_bytes name)
{
    for (size_t i = 0; i < c->n_collections; i++)
        if (tarn_bytes_eq_str(name, c->collections[i].c.name))
            return &c->collections[i];
    return NULL;
}

/* The same name in a later file replaces the section as a whole. */
static bool begin_collection(struct source *s, struct tarn_bytes name)
{
    struct node_config *c = s->r->c;
    struct tarn_err e;
    struct tarn_quote q;
    const char *why;
    struct collection *in = find_collection(c, name);
    if (!is_name_ok(name, &why))
        return bad(s, "%s: '%s'", why, tarn_quote(&q, name));
    if (in != NULL && in->file == s->number)
        return bad(s, "collection '%s' is in line %u already", in->c.name, in->c.line);
    if (in == NULL && c->n_collections == NODE_CONFIG_COLLECTIONS_MAX)
        return bad(s, "a configuration has at most %d collections; publish others by tarn publish",
                   NODE_CONFIG_COLLECTIONS_MAX);
    if (in == NULL && !TARN_GROW(c->collections, c->n_collections, c->cap_collections)) {
        tarn_fail_mem(&e, "reading the configuration");
        fault(s->r, &e);
        return false;
    }
    if (in == NULL)
        in = &c->collections[c->n_collections++];
    *in = (struct collection){ .file = s->number };
    in->c = (struct node_config_collection){
        .name = keep(s->r, name), .path = "", .http = true, .file = s->path, .line = s->line
    };
    s->in = in;
    return true;
}

static const char *const c_keys[C_KEYS] = { "path", "policy", "bt", "http", "hidden" };
static const char c_policies[] = "public partners mine", c_bts[] = "hybrid v1 v2 off";

static bool take_collection_value(struct source *s, int key, struct tarn_bytes text,
                                  struct tarn_err *err)
{
    struct node_config_collection *c = &s->in->c;
    struct tarn_quote q;
    uint64_t word = 0;
    const char *why;
    tarn_quote(&q, text);
    switch (key) {
    case C_PATH:
        if (!node_path_ok(text, &why))
            return tarn_fail(err, TARN_E_USAGE, "path wants a path %s, not '%s'", why, q.s);
        c->path = keep(s->r, text);
        return true;
    case C_POLICY:
        if (!node_word_parse(c_policies, text, &word))
            return tarn_fail(err, TARN_E_USAGE, "policy wants one of: %s, not '%s'", c_policies,
                             q.s);
        c->policy = (enum node_policy)word;
        return true;
    case C_BT:
        if (!node_word_parse(c_bts, text, &word))
            return tarn_fail(err, TARN_E_USAGE, "bt wants one of: %s, not '%s'", c_bts, q.s);
        c->bt = (enum node_bt_kind)word;
        return true;
    default:
        return node_switch_parse(text, key == C_HTTP ? &c->http : &c->hidden) ||
               tarn_fail(err, TARN_E_USAGE, "%s wants on or off, not '%s'", c_keys[key], q.s);
    }
}

static bool take_collection(struct source *s, const char *name, struct tarn_bytes text,
                            struct tarn_err *err)
{
    unsigned best = TARN_NEAR_MAX;
    const char *near = NULL;
    struct tarn_quote q;
    for (int key = 0; key < C_KEYS; key++) {
        if (strcmp(name, c_keys[key]) == 0) {
            unsigned *line = &s->in->has[key];
            if (*line != 0)
                return tarn_fail(err, TARN_E_USAGE, "%s is set in line %u already", name, *line);
            *line = s->line;
            return take_collection_value(s, key, text, err);
        }
        if (tarn_is_near(name, c_keys[key], &best))
            near = c_keys[key];
    }
    return tarn_fail(err, TARN_E_USAGE, "a collection has no '%s'%s%s%s", tarn_quote_str(&q, name),
                     near == NULL ? " (path, policy, bt, http, hidden)" : "; did you mean '",
                     near == NULL ? "" : near, near == NULL ? "" : "'?");
}

static bool unknown_key(struct tarn_bytes name, enum node_key near, struct tarn_err *err)
{
    struct tarn_quote q;
    struct node_key_text text;
    tarn_quote(&q, name);
    if (near == NODE_KEYS)
        return tarn_fail(err, TARN_E_USAGE, "there is no setting %s", q.s);
    return tarn_fail(err, TARN_E_USAGE, "there is no setting %s; did you mean %s?", q.s,
                     node_key_text(&text, near));
}

static bool take_setting(struct source *s, const char *name, struct tarn_bytes text,
                         struct tarn_err *err)
{
    char full[NODE_CONFIG_LINE_MAX + SECTION_MAX + 2];
    char where[32];
    enum node_key near;
    if (s->section[0] == '\0')
        return tarn_fail(err, TARN_E_USAGE, "a [section] must come before the first setting");
    snprintf(full, sizeof full, "%s.%s", s->section, name);
    enum node_key key = node_key_find(tarn_bytes_str(full), &near);
    if (key == NODE_KEYS)
        return unknown_key(tarn_bytes_str(full), near, err);
    struct setting *old = &s->r->c->settings[key];
    if (old->file == s->number)
        return tarn_fail(err, TARN_E_USAGE, "%s is set in line %u already", full, old->line);
    old->file = s->number;
    old->line = s->line;
    struct tarn_out at;
    tarn_out_init(&at, NODE_CONFIG_LINE_MAX * 2);
    snprintf(where, sizeof where, ":%u", s->line);
    tarn_out_str(&at, s->path);
    tarn_out_str(&at, where);
    const char *kept = keep(s->r, tarn_out_bytes(&at));
    tarn_out_release(&at);
    return set(s->r, key, text, NODE_FROM_FILE, kept, err);
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
    struct source *s = user;
    struct tarn_err e;
    (void)section; /* ours is the same, and whole */
    if (strcmp(s->section, refused) == 0)
        return 1;
    struct tarn_bytes text = tarn_bytes_str(value == NULL ? "" : value);
    if (s->in != NULL ? !take_collection(s, name, text, &e) : !take_setting(s, name, text, &e))
        fault_here(s, &e);
    return 1; /* inih goes on, so that all faults are found */
}

static void read_text(struct reading *r, const char *path, struct tarn_bytes text)
{
    struct source s = { .r = r,
                        .path = keep(r, tarn_bytes_str(path)),
                        .next = (const char *)text.p,
                        .left = text.len,
                        .number = ++r->n_files };
    struct tarn_err e;
    ini_max_line = NODE_CONFIG_LINE_MAX + 3; /* for the whole process: a line's end, and a zero */
    int line = ini_parse_stream(next_line, &s, on_value, &s);
    if (line > 0) {
        s.line = (unsigned)line;
        bad(&s, "this is neither [section] nor key = value");
    } else if (line < 0) {
        tarn_fail_mem(&e, "reading the configuration");
        fault(r, &e);
    }
    for (size_t i = 0; i < r->c->n_collections; i++) {
        struct collection *c = &r->c->collections[i];
        if (c->file != s.number || c->has[C_PATH] != 0)
            continue;
        s.line = c->c.line;
        bad(&s, "collection '%s' has no path", c->c.name);
    }
}

/* may_miss: then a file that is not there is as an empty one. */
static void read_file(struct reading *r, const char *path, bool may_miss)
{
    struct tarn_err e;
    struct tarn_quote q;
    uint8_t *data = NULL;
    size_t len = 0;
    if (sys_read_whole(path, NODE_CONFIG_FILE_MAX, &data, &len, &e)) {
        read_text(r, path, tarn_bytes_of(data, len));
        tarn_free(data);
    } else if (!may_miss || e.code != TARN_E_NOT_FOUND) {
        tarn_fail_in(&e, "cannot read the configuration %s", tarn_quote_str(&q, path));
        e.code = TARN_E_USAGE;
        fault(r, &e);
    }
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static void read_names(struct reading *r, int dir, const char *folder)
{
    struct tarn_err e;
    struct tarn_quote q;
    const char **names;
    size_t n;
    unsigned files = 0;
    if (!sys_list_folder(dir, &names, &n, &e)) {
        tarn_fail_in(&e, "cannot read the configuration %s", tarn_quote_str(&q, folder));
        e.code = TARN_E_USAGE;
        fault(r, &e);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char path[NODE_CONFIG_LINE_MAX * 2];
        if (names[i][0] == '.' || !ends_in(names[i], ".conf"))
            continue;
        if (++files > NODE_CONFIG_FILES_MAX) {
            tarn_fail(&e, TARN_E_USAGE, "%s has more than %d files *.conf",
                      tarn_quote_str(&q, folder), NODE_CONFIG_FILES_MAX);
            fault(r, &e);
            break;
        }
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        read_file(r, path, false);
    }
    tarn_free(names);
}

/* The folder conf.d beside the main file. */
static void read_folder(struct reading *r, const char *main_file)
{
    char folder[NODE_CONFIG_LINE_MAX + 16];
    const char *slash = strrchr(main_file, '/');
    struct tarn_err e;
    snprintf(folder, sizeof folder, "%.*sconf.d", slash == NULL ? 0 : (int)(slash - main_file) + 1,
             main_file);
    SYS_AUTO_FD dir = sys_open(folder, SYS_OPEN_FOLDER, &e);
    if (dir >= 0) {
        read_names(r, dir, folder);
    } else if (e.code != TARN_E_NOT_FOUND) {
        e.code = TARN_E_USAGE;
        fault(r, &e);
    }
}

/* The other layers */

static void read_environment(struct reading *r, const char *const *env)
{
    for (enum node_key key = 0; key < NODE_KEYS; key++) {
        struct node_key_text name;
        struct tarn_err e;
        char variable[80] = "TARN_";
        size_t n = 5;
        for (const char *p = node_key_text(&name, key); *p != '\0'; p++)
            variable[n++] = (char)(*p == '.' ? '_' : toupper((unsigned char)*p));
        variable[n] = 0;
        for (size_t i = 0; env[i] != NULL; i++) {
            if (strncmp(env[i], variable, n) != 0 || env[i][n] != '=')
                continue;
            const char *where = keep(r, tarn_bytes_of(variable, n));
            if (!set(r, key, tarn_bytes_str(env[i] + n + 1), NODE_FROM_ENVIRONMENT, where, &e)) {
                tarn_fail_in(&e, "%s in the environment", variable);
                fault(r, &e);
            }
            break;
        }
    }
}

static void read_flags(struct reading *r, const char *const *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tarn_err e;
        struct tarn_quote q;
        enum node_key near;
        size_t len = strcspn(flags[i], "=");
        enum node_key key = node_key_find(tarn_bytes_of(flags[i], len), &near);
        if (flags[i][len] != '=')
            tarn_fail(&e, TARN_E_USAGE, "a setting is given as section.key=value, not '%s'",
                      tarn_quote_str(&q, flags[i]));
        else if (key == NODE_KEYS)
            unknown_key(tarn_bytes_of(flags[i], len), near, &e);
        else if (set(r, key, tarn_bytes_str(flags[i] + len + 1), NODE_FROM_FLAG, "flag", &e))
            continue;
        fault(r, &e);
    }
}

/* What only shows when all is read. */
static void check_together(struct reading *r)
{
    struct tarn_err e;
    struct setting *s = r->c->settings;
    if ((*s[NODE_HTTP_TLS_CERT].text == '\0') == (*s[NODE_HTTP_TLS_KEY].text == '\0'))
        return;
    tarn_fail(&e, TARN_E_USAGE, "http.tls_cert and http.tls_key belong together: %s is missing",
              *s[NODE_HTTP_TLS_CERT].text == '\0' ? "http.tls_cert" : "http.tls_key");
    fault(r, &e);
}

static const char *usual_path(char *dst, size_t size, bool is_system)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (is_system)
        return "/etc/tarn/tarn.conf";
    if (xdg != NULL && xdg[0] == '/')
        snprintf(dst, size, "%s/tarn/tarn.conf", xdg);
    else if (home != NULL && home[0] == '/')
        snprintf(dst, size, "%s/.config/tarn/tarn.conf", home);
    else
        return "/etc/tarn/tarn.conf";
    return dst;
}

static void read_built_in(struct reading *r)
{
    struct tarn_err e;
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (!set(r, key, tarn_bytes_str(node_keys[key].usual), NODE_BUILT_IN, "built-in", &e))
            fault(r, &e); /* a table that contradicts itself: a test looks */
}

static void read_layers(struct reading *r, const struct node_config_from *from)
{
    char usual[NODE_CONFIG_LINE_MAX];
    struct tarn_err e;
    const char *path =
        from->file != NULL ? from->file : usual_path(usual, sizeof usual, from->is_system);
    if (strlen(path) >= NODE_CONFIG_LINE_MAX) {
        tarn_fail(&e, TARN_E_USAGE, "the path of the configuration is too long");
        fault(r, &e);
        return;
    }
    r->c->path = keep(r, tarn_bytes_str(path));
    read_file(r, path, from->file == NULL);
    read_folder(r, path);
    read_environment(r, from->environ_ != NULL ? from->environ_ : (const char *const *)environ);
    read_flags(r, from->flags, from->n_flags);
}

static bool begin(struct reading *r, struct tarn_out *faults, struct tarn_err *err)
{
    *r = (struct reading){ .c = tarn_calloc(1, sizeof *r->c), .faults = faults, .err = err };
    if (r->c == NULL)
        return tarn_fail_mem(err, "reading the configuration");
    tarn_arena_init(&r->c->strings, STRINGS_MAX);
    read_built_in(r);
    return true;
}

static struct node_config *end(struct reading *r)
{
    check_together(r);
    if (r->n_faults == 0)
        return r->c;
    if (r->faults != NULL && r->n_faults > FAULTS_MAX)
        tarn_out_fmt(r->faults, "and %u more\n", r->n_faults - FAULTS_MAX);
    node_config_free(r->c);
    return NULL;
}

struct node_config *node_config_read(const struct node_config_from *from, struct tarn_out *faults,
                                     struct tarn_err *err)
{
    struct reading r;
    if (!begin(&r, faults, err))
        return NULL;
    read_layers(&r, from);
    return end(&r);
}

struct node_config *node_config_parse(struct tarn_bytes text, const char *path,
                                      struct tarn_out *faults, struct tarn_err *err)
{
    struct reading r;
    if (!begin(&r, faults, err))
        return NULL;
    r.c->path = keep(&r, tarn_bytes_str(path));
    read_text(&r, path, text);
    return end(&r);
}

void node_config_free(struct node_config *c)
{
    if (c == NULL)
        return;
    tarn_arena_release(&c->strings);
    tarn_free(c->collections);
    tarn_free(c);
}

const char *node_config_text(const struct node_config *c, enum node_key key)
{
    return c->settings[key].text;
}

uint64_t node_config_number(const struct node_config *c, enum node_key key)
{
    return c->settings[key].v.n;
}

bool node_config_on(const struct node_config *c, enum node_key key)
{
    return c->settings[key].v.n != 0;
}

const struct sys_addr *node_config_addrs(const struct node_config *c, enum node_key key, size_t *n)
{
    *n = c->settings[key].v.n_addrs;
    return c->settings[key].v.addrs;
}

enum node_origin node_config_origin(const struct node_config *c, enum node_key key)
{
    return c->settings[key].origin;
}

const char *node_config_origin_text(const struct node_config *c, enum node_key key)
{
    return c->settings[key].where;
}

size_t node_config_collections(const struct node_config *c)
{
    return c->n_collections;
}

const struct node_config_collection *node_config_collection(const struct node_config *c, size_t i)
{
    return &c->collections[i].c;
}

const char *node_config_path(const struct node_config *c)
{
    return c->path;
}

enum node_key node_config_differs(const struct node_config *a, const struct node_config *b)
{
    for (enum node_key key = 0; key < NODE_KEYS; key++)
        if (!node_keys[key].is_reloadable &&
            strcmp(a->settings[key].text, b->settings[key].text) != 0)
            return key;
    return NODE_KEYS;
}
