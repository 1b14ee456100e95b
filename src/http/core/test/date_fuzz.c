/* Any bytes as a date: what is read is written so that it is read the same again. */
#include "http/core/date.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t s, again;
    char text[HTTP_DATE_LEN + 1];
    if (http_date_parse(tarn_bytes_of(data, size), 1700000000, &s)) {
        http_date(text, s);
        if (!http_date_parse(tarn_bytes_of(text, HTTP_DATE_LEN), 0, &again) || again != s)
            abort();
    }
    return 0;
}
