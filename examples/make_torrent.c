/* Make a torrent of a file or folder: make_torrent PATH TORRENT
 *
 *     cc make_torrent.c $(pkg-config --cflags --libs tarn) */
#include <stdio.h>
#include <tarn/tarn.h>

static bool on_progress(void *arg, const struct tarn_progress *p)
{
    (void)arg;
    fprintf(stderr, "%llu of %llu bytes\n", (unsigned long long)p->done,
            (unsigned long long)p->total);
    return true; /* go on */
}

int main(int argc, char **argv)
{
    struct tarn_err err;
    if (argc != 3) {
        fprintf(stderr, "usage: make_torrent PATH TORRENT\n");
        return 2;
    }
    /* What is not set is the default: a hybrid torrent, a piece length that fits. */
    struct tarn_create create = { .path = argv[1], .on_progress = on_progress };
    struct tarn_torrent *torrent = tarn_create(&create, &err);
    if (torrent == NULL || !tarn_torrent_save(torrent, argv[2], &err)) {
        fprintf(stderr, "%s\n", err.msg);
        tarn_torrent_free(torrent);
        return tarn_code_exit(err.code);
    }
    printf("%s\n", tarn_torrent_magnet(torrent));
    tarn_torrent_free(torrent);
    return 0;
}
