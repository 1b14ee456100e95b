/* codec/html: text and paths into HTML. Pure. */
#ifndef CODEC_HTML_H
#define CODEC_HTML_H

#include "base/out.h"

/* Text between tags or in a quoted attribute: < > & " ' are written as entities, control characters
 * and what is not UTF-8 as U+FFFD. */
void html_text(struct tarn_out *o, struct tarn_bytes text);

/* A path in a link: elements percent-encoded, '/' kept. It needs no html_text after that. */
void html_path(struct tarn_out *o, struct tarn_bytes path);

#endif
