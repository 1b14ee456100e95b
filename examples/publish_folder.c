/* Publish a folder over HTTP and BitTorrent until Ctrl-C: publish_folder DIR STATE [KEY=VALUE]...
 *
 * STATE (a whole path) is where the node keeps what it knows of the files, so that they are not
 * read again the next time; KEY=VALUE are settings, as http.listen=0.0.0.0:8880. Says where the
 * folder is, then what the node has to say.
 *
 *     cc publish_folder.c $(pkg-config --cflags --libs tarn) */
#include <stdio.h>
#include <tarn/tarn.h>

static void on_log(void *arg, enum tarn_log_level level, const char *text)
{
    (void)arg;
    if (level <= TARN_LOG_INFO)
        fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    struct tarn_err err;
    if (argc < 3) {
        fprintf(stderr, "usage: publish_folder DIR STATE [KEY=VALUE]...\n");
        return 2;
    }
    const char *const folders[] = { argv[1] };
    const struct tarn_node_settings settings = {
        .config = { .set = (const char *const *)&argv[3], .n_set = (size_t)argc - 3 },
        .home = argv[2],
        .publish = folders,
        .n_publish = 1,
        .catches_signals = true, /* Ctrl-C begins to stop */
        .on_log = on_log,
    };
    struct tarn_node *node = tarn_node_open(&settings, &err);
    bool good = node != NULL;
    if (good && tarn_node_public_url(node) != NULL)
        printf("%s\n", tarn_node_public_url(node));
    fflush(stdout);
    while (good && !tarn_node_has_stopped(node))
        good = tarn_node_step(node, -1, &err);
    if (!good)
        fprintf(stderr, "%s\n", err.msg);
    tarn_node_close(node);
    return good ? 0 : tarn_code_exit(err.code);
}
