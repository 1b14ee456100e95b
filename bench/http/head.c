/* bench/http/head: what reading a request head and writing an answer's head cost.
 *
 *     http_head [ROUNDS]
 *
 * Prints the processor time of one, in ns. The requests are those of a load generator, of curl with
 * a range, and of a browser. */
#include "http/core/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct {
    const char *name, *text;
} heads[] = {
    { "hello", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8880\r\n\r\n" },
    { "range",
      "GET /c/data/file.bin HTTP/1.1\r\nHost: 127.0.0.1:8880\r\nUser-Agent: curl/7.88.1\r\n"
      "Accept: */*\r\nRange: bytes=0-99\r\n\r\n" },
    { "browser",
      "GET /c/data/index.html?x=1 HTTP/1.1\r\nHost: localhost:8880\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
      "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nDNT: 1\r\n"
      "Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n"
      "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
      "Sec-Fetch-Site: none\r\nIf-None-Match: \"0123456789abcdef0123456789abcdef-123\"\r\n"
      "Cache-Control: max-age=0\r\n\r\n" },
};

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void read_heads(const char *name, struct tarn_bytes text, unsigned rounds)
{
    struct http_field fields[HTTP_FIELDS_DEFAULT];
    struct http_request req = { .fields = fields };
    struct http_scan scan = { 0 };
    double begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++)
        if (http_head_next(&scan, &http_limits_default, text, &req, NULL) != HTTP_DONE)
            abort();
    printf("read %s, %zu bytes: %.0f ns\n", name, text.len, (cpu_ns() - begin) / rounds);
}

static void write_heads(unsigned rounds)
{
    static char storage[1024];
    struct http_request req = { .method = HTTP_GET, .minor = 1 };
    struct tarn_out o;
    tarn_out_fixed(&o, storage, sizeof storage);
    double begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++) {
        tarn_out_clear(&o);
        http_reply_begin(&o, 200, "Sun, 06 Nov 1994 08:49:37 GMT");
        if (!http_reply_field(&o, tarn_bytes_str("Content-Type"), tarn_bytes_str("text/plain"),
                              NULL))
            abort();
        http_reply_length(&o, 14);
        http_reply_end(&o, &req, HTTP_FRAME_LENGTH, true);
    }
    printf("write hello, %zu bytes: %.0f ns\n", o.len, (cpu_ns() - begin) / rounds);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
    rounds = rounds == 0 ? 1 : rounds;
    for (size_t i = 0; i < TARN_COUNT_OF(heads); i++)
        read_heads(heads[i].name, tarn_bytes_str(heads[i].text), rounds);
    write_heads(rounds);
    return 0;
}
