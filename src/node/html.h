/* node/html: the frame and the look of the public door's pages. Pure. */
#ifndef NODE_HTML_H
#define NODE_HTML_H

#include "base/out.h"

/* 1536 -> "1.5 KiB" */
void html_size(struct tarn_out *o, uint64_t bytes);

/* The frame of the public door's pages: up to <main>, and from </main> on. */
void html_begin(struct tarn_out *o, struct tarn_bytes title);
void html_end(struct tarn_out *o);

/* The value of Content-Security-Policy for these pages: nothing but their own style. */
void html_policy(struct tarn_out *o);

#endif
