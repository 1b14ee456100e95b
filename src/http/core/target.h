/* http/core/target: from the path of a request to the names of folders and files.
 *
 * The path is split at its slashes first, then each part is unescaped, once; so an escaped slash is
 * no slash, and what an escape hid is not unescaped again. Parts that say "." or ".." (escaped or
 * not) are taken out before anybody checks access or opens a file. Pure. */
#ifndef HTTP_CORE_TARGET_H
#define HTTP_CORE_TARGET_H

#include "base/err.h"
#include "base/out.h"

/* Append to o the plain form of an escaped path: "/", then parts with single slashes between them,
 * then a slash when a folder is meant (the path ends with one, or with "." or ".."). Empty parts
 * are left out. An empty path is "/". At most path.len + 1 bytes. False (answer 400): no slash in
 * front, a '%' without two hex digits, more ".." than there are folders, for files %00 or %2F.
 * False also when o is full. o keeps what it held. */
bool http_path_plain(struct tarn_out *o, struct tarn_bytes path, struct tarn_err *err) TARN_MUST;

/* host[:port] as a Host field or a target has it: a name, an IPv4 address, or an IPv6 one in
 * brackets; no user, no path, no white space. *host_len: bytes of the host; *port: 0 when not
 * given. Only the host may be empty, and then nothing may follow. */
bool http_authority_parse(struct tarn_bytes text, uint32_t *host_len, uint16_t *port) TARN_MUST;

#endif
