/* cli/tarnd: the daemon's main. It stays in the foreground: whoever starts it (systemd, a shell)
 * also knows how to put it aside. Each key of the configuration is an option: http.listen is
 * --http-listen. */
#include "base/err.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <tarn/tarn.h>
#include <unistd.h>

enum { FLAGS_MAX = 200, KEY_MAX = 64 };

struct options {
    struct tarn_config config;
    const char *set[FLAGS_MAX];
    char *made[FLAGS_MAX]; /* owned: the strings of set */
    bool checks;
};

static const char help[] =
    "Usage: tarnd [OPTION]...\n"
    "Run a node in the foreground: published folders over HTTP and BitTorrent.\n"
    "\n"
    "      --config FILE         read this configuration, and conf.d beside it\n"
    "      --check-config        say whether it is valid (exit code 0 or 2), and end\n"
    "      --system              be the system's daemon: /etc/tarn, /var/lib/tarn,\n"
    "                            /run/tarn (always so for root)\n"
    "      --SECTION-KEY=VALUE   any setting: --http-listen=0.0.0.0:80,\n"
    "                            --log-format=json ('tarn config show' lists them)\n"
    "  -h, --help                show this\n"
    "      --version             which tarn this is\n"
    "\n"
    "HUP reads the configuration anew, USR1 opens log files anew, TERM and INT stop\n"
    "within 5 seconds (a second one at once). TARN_HOME is another state folder.\n"
    "Under systemd: Type=notify-reload, a watchdog, socket activation (http, admin,\n"
    "control). The control API is described in docs/api.md; 'tarn ls' and its\n"
    "fellows speak it.\n";

static int fail(const struct tarn_err *err)
{
    fprintf(stderr, "tarnd: %s\n", err->msg);
    return tarn_code_exit(err->code);
}

static void put(void *arg, const char *text, size_t len)
{
    fwrite(text, 1, len, arg);
}

static void on_fault(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "tarnd: %s\n", text);
}

/* --http-listen=X becomes "http.listen=X". */
static bool take_setting(struct options *o, const char *word, const char *value,
                         struct tarn_err *err)
{
    struct tarn_setting s;
    struct tarn_quote q;
    size_t len = strcspn(word, "=");
    for (size_t i = 0; tarn_config_key(i, &s); i++) {
        if (strlen(s.key) != len)
            continue;
        size_t same = 0;
        while (same < len && (word[same] == s.key[same] ||
                              (word[same] == '-' && (s.key[same] == '.' || s.key[same] == '_'))))
            same++;
        if (same < len)
            continue;
        if (o->config.n_set == FLAGS_MAX)
            return tarn_fail(err, TARN_E_USAGE, "more than %d settings", FLAGS_MAX);
        size_t size = len + strlen(value) + 2;
        char *text = tarn_calloc(1, size);
        if (text == NULL)
            return tarn_fail_mem(err, "reading the command line");
        snprintf(text, size, "%s=%s", s.key, value);
        o->made[o->config.n_set] = text;
        o->set[o->config.n_set++] = text;
        return true;
    }
    return tarn_fail(err, TARN_E_USAGE, "there is no option '--%s'; try 'tarnd --help'",
                     tarn_quote(&q, tarn_bytes_of(word, len)));
}

/* --NAME=VALUE or --NAME VALUE. */
static const char *value_of(int argc, char **argv, int *i, struct tarn_err *err)
{
    const char *equals = strchr(argv[*i], '=');
    struct tarn_quote q;
    if (equals != NULL)
        return equals + 1;
    if (*i + 1 < argc)
        return argv[++*i];
    tarn_fail(err, TARN_E_USAGE, "%s wants a value after it", tarn_quote_str(&q, argv[*i]));
    return NULL;
}

static bool is_option(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && (word[len] == '\0' || word[len] == '=');
}

/* An option with a value: --config, else the name of a setting. */
static bool read_valued(struct options *o, int argc, char **argv, int *i, struct tarn_err *err)
{
    const char *word = argv[*i], *value = value_of(argc, argv, i, err);
    if (value == NULL)
        return false;
    if (!is_option(word, "--config"))
        return take_setting(o, word + 2, value, err);
    o->config.file = value;
    return true;
}

static bool read_options(struct options *o, int argc, char **argv, struct tarn_err *err)
{
    struct tarn_quote q;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--check-config") == 0) {
            o->checks = true;
        } else if (strcmp(word, "--system") == 0) {
            o->config.is_system = true;
        } else if (strncmp(word, "--", 2) != 0 || word[2] == '\0') {
            return tarn_fail(err, TARN_E_USAGE, "'%s' makes no sense here; try 'tarnd --help'",
                             tarn_quote_str(&q, word));
        } else if (!read_valued(o, argc, argv, &i, err)) {
            return false;
        }
    }
    return true;
}

static int check(const struct options *o)
{
    struct tarn_err err;
    if (tarn_config_read(&o->config, NULL, on_fault, NULL, &err))
        return 0;
    return tarn_code_exit(err.code);
}

static int run(const struct options *o)
{
    struct tarn_err err;
    struct tarn_node_settings set = {
        .config = o->config,
        .is_service = true,
        .catches_signals = true,
        .logs_to_stderr = true,
    };
    int code = check(o); /* all faults, not the first alone */
    if (code != 0)
        return code;
    (void)tarn_raise_open_files(UINT32_MAX); /* what is refused is said when it is reached */
    struct tarn_node *n = tarn_node_open(&set, &err);
    if (n == NULL)
        return fail(&err);
    while (code == 0 && !tarn_node_has_stopped(n))
        if (!tarn_node_step(n, -1, &err))
            code = fail(&err);
    tarn_node_close(n);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = { .config = { .is_system = geteuid() == 0 } };
    struct tarn_err err;
    int code = 0;
    o.config.set = o.set;
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        fputs(help, stdout);
    else if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        printf("tarnd %s\n", tarn_version());
    else if (argc == 3 && strcmp(argv[1], "--generate") == 0 && strcmp(argv[2], "docs") == 0)
        code = tarn_config_docs(put, stdout, &err) ? 0 : fail(&err);
    else if (!read_options(&o, argc, argv, &err))
        code = fail(&err);
    else
        code = o.checks ? check(&o) : run(&o);
    for (size_t i = 0; i < o.config.n_set; i++)
        tarn_free(o.made[i]);
    return fflush(stdout) == 0 || code != 0 ? code : tarn_code_exit(TARN_E_FAILED);
}
