/* http/core/media: the media type of a file by the last extension of its name. Pure. */
#ifndef HTTP_CORE_MEDIA_H
#define HTTP_CORE_MEDIA_H

#include "base/bytes.h"

/* "text/html; charset=utf-8" for "index.HTML"; "application/octet-stream" when the extension is not
 * known, or there is none. A static string. */
const char *http_media_type(struct tarn_bytes file_name);

#endif
