/* fetch/stub: what stands in for fetch.c where libcurl is not built in. */
#include "fetch/fetch.h"

struct fetcher *fetcher_new(struct loop *l, const char *user_agent, struct tarn_err *err)
{
    (void)l, (void)user_agent;
    (void)tarn_fail(err, TARN_E_FAILED,
                    "HTTP trackers and URLs need libcurl, which this tarn was built without");
    return NULL;
}

void fetcher_free(struct fetcher *f)
{
    (void)f;
}

void fetch_start(struct fetcher *fr, struct fetch *f, const char *url)
{
    (void)fr, (void)f, (void)url; /* nobody has a fetcher */
}

void fetch_cancel(struct fetch *f)
{
    (void)f;
}

void fetch_resume(struct fetch *f)
{
    (void)f;
}

const char *fetch_url(const struct fetch *f)
{
    (void)f;
    return "";
}

bool fetch_met_public(const struct fetch *f)
{
    (void)f;
    return false;
}
