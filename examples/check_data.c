/* Check data against a torrent and list what is damaged: check_data TORRENT PATH
 *
 *     cc check_data.c $(pkg-config --cflags --libs tarn) */
#include <stdio.h>
#include <tarn/tarn.h>

static void on_damaged(void *arg, const struct tarn_damaged *d)
{
    struct tarn_torrent_file file;
    tarn_torrent_file(arg, d->file, &file);
    printf("%s: %llu bytes from %llu\n", file.path, (unsigned long long)d->length,
           (unsigned long long)d->offset);
}

int main(int argc, char **argv)
{
    struct tarn_err err;
    if (argc != 3) {
        fprintf(stderr, "usage: check_data TORRENT PATH\n");
        return 2;
    }
    struct tarn_torrent *torrent = tarn_torrent_open(argv[1], &err);
    struct tarn_verify verify = {
        .torrent = torrent,
        .path = argv[2],
        .on_damaged = on_damaged,
        .arg = torrent,
    };
    struct tarn_verified result;
    bool good = torrent != NULL && tarn_verify(&verify, &result, &err);
    if (good)
        printf("all %u pieces are good\n", result.pieces_good);
    else
        fprintf(stderr, "%s\n", err.msg);
    tarn_torrent_free(torrent);
    return good ? 0 : tarn_code_exit(err.code);
}
