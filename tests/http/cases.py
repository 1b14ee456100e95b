"""Raw HTTP/1.1 requests, and what a server may answer to them.

Data only: check.py plays them. Three classes:
  must    a rule of RFC 9110 or 9112 that has no choice in it
  should  advice of theirs, or what every client relies on
  safe    where a choice is left, the one that cannot be used against a program in front of the server

A case is good when what came back has one of its shapes: a status for each answer, and whether the
connection was closed or still answered another request. In what is sent, {path} is a file that a GET
answers with 200 and at least two bytes, {host} the server's own host and port.

Many refusals are followed by a complete request: a server that goes on reading after them answers
it too, and has been smuggled into."""
from dataclasses import dataclass

MUST, SHOULD, SAFE = "must", "should", "safe"
CLOSED, KEPT, EITHER = "closed", "kept", "closed or kept"


@dataclass(frozen=True)
class Shape:
    statuses: tuple  # one for each answer: a tuple of "400", "2xx" ...
    end: str


@dataclass(frozen=True)
class Case:
    name: str
    level: str
    why: str
    send: tuple  # bytes, sent one after the other
    shapes: tuple
    silent: tuple = ()  # answers that have no body, whatever their fields say
    fields: tuple = ()  # (status, name of a field that an answer with it has)
    waits: bool = False  # something must come back before the next bytes are sent
    no_interim: bool = False  # no 100 may come


def one(*statuses, end=EITHER):
    return Shape((statuses,), end)


def refused(*statuses):
    return one(*(statuses or ("400",)), end=CLOSED)


SERVED = one("2xx", end=KEPT)  # and the next request is found where it begins
# The framing was understood: what is said about the method is another matter.
READ = one("2xx", "403", "404", "405")
# A fault in a body that a server need not read: an answer and the end, but nothing behind the fault.
CUT = one("2xx", "400", "403", "404", "405", "413", "431", end=CLOSED)

CASES = []


def add(name, level, why, send, *shapes, **more):
    send = (send,) if isinstance(send, bytes) else tuple(send)
    CASES.append(Case(name, level, why, send, shapes, **more))


def get(*lines, first=b"GET {path} HTTP/1.1", host=b"Host: {host}"):
    """A request without a body."""
    every = [first, *([host] if host else []), *lines]
    return b"".join(line + b"\r\n" for line in every) + b"\r\n"


NEXT = get()  # what follows a refusal


def framed(*lines, body=b"", first=b"POST {path} HTTP/1.1"):
    """A request with these framing fields and this body."""
    return get(*lines, first=first) + body


HELLO = b"5\r\nhello\r\n0\r\n\r\n"  # five bytes, chunked
CHUNKED = b"Transfer-Encoding: chunked"

# ---- Content-Length (RFC 9112 section 6.3)
add("cl", MUST, "a length frames the body; the next request begins behind it",
    framed(b"Content-Length: 5", body=b"hello"), READ)
add("cl-zero", MUST, "an empty body", framed(b"Content-Length: 0"), READ)
add("cl-blanks", MUST, "white space around a value is no part of it",
    framed(b"Content-Length: \t 5 \t", body=b"hello"), READ)
add("cl-zeros", SHOULD, "1*DIGIT has no rule against leading zeros",
    framed(b"Content-Length: 005", body=b"hello"), READ)
for name, level, value in (
        ("list-different", MUST, b"5, 6"), ("plus", MUST, b"+5"), ("minus", MUST, b"-5"),
        ("empty", MUST, b""), ("underscore", MUST, b"1_0"), ("inner-space", MUST, b"1 0"),
        ("hex", MUST, b"0x5"), ("letter", MUST, b"5a"), ("nbsp", MUST, b"5\xa0"),
        ("arabic-digit", MUST, b"\xd9\xa5"), ("quoted", MUST, b'"5"'), ("fraction", MUST, b"5.0"),
        ("semicolon", MUST, b"5;"), ("vtab", MUST, b"\x0b5"), ("list-same", SAFE, b"5, 5"),
        ("comma", SAFE, b"5,"), ("wraps-64-bit", MUST, b"18446744073709551621"),
        ("wraps-32-bit", SAFE, b"99999999999999999999999999999999")):
    add(f"cl-{name}", level, f"Content-Length {value!r} is not one decimal number that can be kept",
        framed(b"Content-Length: " + value, body=b"hello" + NEXT), refused("400", "411", "413"))
add("cl-twice-different", MUST, "two lengths: whoever reads the other one sees another request",
    framed(b"Content-Length: 5", b"Content-Length: 6", body=b"hello" + NEXT), refused())
add("cl-twice-same", SAFE, "equal lengths may be folded; refusing is safer",
    framed(b"Content-Length: 5", b"Content-Length: 5", body=b"hello" + NEXT), refused())
add("cl-space-before-colon", MUST, "the name would not be seen by another reader",
    framed(b"Content-Length : 5", body=b"hello" + NEXT), refused())
add("cl-other-name", SAFE, "Content_Length is another field: there is no body",
    get(b"Content_Length: 500"), SERVED, refused())

for name, fields, body in (("cl", b"Content-Length: 5", b"hello"), ("chunked", CHUNKED, HELLO)):
    add(f"get-{name}", SHOULD, "a GET's body means nothing: it is passed over, or refused",
        framed(fields, body=body, first=b"GET {path} HTTP/1.1"), SERVED, refused("400", "413"))

# ---- Transfer-Encoding (RFC 9112 section 6.1)
add("te-chunked", MUST, "every server of 1.1 reads chunked", framed(CHUNKED, body=HELLO), READ)
add("te-case", MUST, "names of codings have no case",
    framed(b"transfer-ENCODING: ChUnKeD", body=HELLO), READ)
add("te-blanks", MUST, "white space around a value is no part of it",
    framed(b"Transfer-Encoding:\t chunked \t", body=HELLO), READ)
for name, fields in (("te-and-cl", (CHUNKED, b"Content-Length: 5")),
                     ("cl-and-te", (b"Content-Length: 5", CHUNKED))):
    add(name, MUST, "both framings: chunked rules, and the connection ends",
        framed(*fields, body=HELLO + NEXT), refused(),
        one("2xx", "403", "404", "405", end=CLOSED))
    add(name + "-refused", SAFE, "both framings: it is an attack more often than a mistake",
        framed(*fields, body=HELLO + NEXT), refused())
add("te-in-1.0", MUST, "1.0 has no codings: the framing is faulty, and the connection ends",
    framed(CHUNKED, b"Connection: keep-alive", body=HELLO + NEXT, first=b"POST {path} HTTP/1.0"),
    refused("400", "501"), one("2xx", "403", "404", "405", end=CLOSED))
add("te-in-1.0-refused", SAFE, "a faulty framing is refused",
    framed(CHUNKED, b"Connection: keep-alive", body=HELLO + NEXT, first=b"POST {path} HTTP/1.0"),
    refused("400", "501"))
for name, level, value in (
        ("unknown", MUST, b"foo"), ("gzip", MUST, b"gzip"),
        ("chunked-not-last", MUST, b"chunked, gzip"), ("xchunked", MUST, b"xchunked"),
        ("chunkedx", MUST, b"chunkedx"), ("quoted", MUST, b'"chunked"'),
        ("vtab", MUST, b"\x0bchunked"), ("form-feed", MUST, b"\x0cchunked"),
        ("nul", MUST, b"chunked\x00"), ("nbsp", MUST, b"chunked\xa0"),
        ("two-words", MUST, b"chun ked"), ("gzip-chunked", SHOULD, b"gzip, chunked"),
        ("chunked-twice", SHOULD, b"chunked, chunked"), ("empty", SHOULD, b""),
        ("identity", SAFE, b"identity"), ("comma-first", SAFE, b", chunked"),
        ("parameter", SAFE, b"chunked;a=b")):
    add(f"te-{name}", level, f"Transfer-Encoding {value!r} is not one chunked at the end",
        framed(b"Transfer-Encoding: " + value, body=HELLO + NEXT), refused("400", "411", "501"))
add("te-twice", SHOULD, "chunked twice, on two lines",
    framed(CHUNKED, CHUNKED, body=HELLO + NEXT), refused("400", "501"))
add("te-two-lines", MUST, "the lines are one list, and its last coding is not chunked",
    framed(CHUNKED, b"Transfer-Encoding: identity", body=HELLO + NEXT), refused("400", "501"))
add("te-space-before-colon", MUST, "the name would not be seen by another reader",
    framed(b"Transfer-Encoding : chunked", body=HELLO + NEXT), refused())
add("te-tab-before-colon", MUST, "the name would not be seen by another reader",
    framed(b"Transfer-Encoding\t: chunked", body=HELLO + NEXT), refused())
add("te-fold", MUST, "a folded line is refused, or read with spaces in its place",
    framed(b"Transfer-Encoding:\r\n chunked", body=HELLO), refused("400", "501"), READ)
add("te-cr", SAFE, "a CR inside a value",
    framed(b"Transfer-Encoding: chunked\rX: y", body=HELLO + NEXT), refused("400", "501"))

# ---- chunks (RFC 9112 section 7.1)
for name, level, why, body in (
        ("many", MUST, "content in several chunks", b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n"),
        ("empty", MUST, "the last chunk alone", b"0\r\n\r\n"),
        ("ext", MUST, "extensions that are not known are passed over",
         b"5;a;b=c\r\nhello\r\n0;d\r\n\r\n"),
        ("ext-quoted", MUST, "an extension's value may be quoted",
         b'5;a="b;c\\"d"\r\nhello\r\n0\r\n\r\n'),
        ("upper-hex", MUST, "digits of either case", b"A\r\n0123456789\r\n0\r\n\r\n"),
        ("leading-zeros", SHOULD, "1*HEXDIG has no rule against them", b"0005\r\nhello\r\n000\r\n\r\n"),
        ("trailers", MUST, "fields behind the last chunk", b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n"),
        ("trailer-cl", MUST, "a length in the trailers frames nothing",
         b"5\r\nhello\r\n0\r\nContent-Length: 500\r\n\r\n"),
        ("trailer-te", MUST, "a coding in the trailers frames nothing",
         b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")):
    add(f"chunk-{name}", level, why, framed(CHUNKED, body=body), READ)
for name, level, why, body in (
        ("size-minus", MUST, "a size is hex digits", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("size-plus", MUST, "a size is hex digits", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("size-0x", MUST, "a size is hex digits", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("size-underscore", MUST, "a size is hex digits", b"0_5\r\nhello\r\n0\r\n\r\n"),
        ("size-empty", MUST, "a size has a digit", b"\r\nhello\r\n0\r\n\r\n"),
        ("size-none-but-ext", MUST, "a size has a digit", b";a\r\nhello\r\n0\r\n\r\n"),
        ("size-wraps-64-bit", MUST, "2^64 + 5 is not 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size-wraps-32-bit", MUST, "2^32 + 5 is not 5", b"10000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size-space-before", SAFE, "no white space in front of a size",
         b" 5\r\nhello\r\n0\r\n\r\n"),
        ("size-space-behind", SAFE, "white space only where an extension follows",
         b"5 \r\nhello\r\n0\r\n\r\n"),
        ("size-cr", MUST, "a CR alone ends no line", b"5\rhello\r\n0\r\n\r\n"),
        ("size-lf", SAFE, "an LF alone ends no line of chunks", b"5\nhello\r\n0\r\n\r\n"),
        ("longer", MUST, "content goes on behind the size", b"5\r\nhello!\r\n0\r\n\r\n"),
        ("shorter", MUST, "content ends before the size", b"7\r\nhello\r\n0\r\n\r\n"),
        ("data-lf", SAFE, "CRLF ends a chunk, not LF", b"5\r\nhello\n0\r\n\r\n"),
        ("data-cr", MUST, "CRLF ends a chunk, not CR", b"5\r\nhello\r0\r\n\r\n"),
        ("ext-lf", SAFE, "an LF in an extension: others end the line there",
         b"5;a\nhello\r\n0\r\n\r\n"),
        ("ext-quoted-lf", SAFE, "an LF in a quoted value", b'5;a="\nhello"\r\n0\r\n\r\n'),
        ("ext-cr", MUST, "a CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("ext-nul", SAFE, "a NUL in an extension", b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
        ("ext-flood", SAFE, "tiny chunks with long extensions cost the server much, the client little",
         b"".join(b"1;" + b"a" * 200 + b"\r\nx\r\n" for _ in range(400)) + b"0\r\n\r\n"),
        ("zero-flood", SAFE, "a size that never ends", b"0" * 70000 + b"5\r\nhello\r\n0\r\n\r\n"),
        ("last-lf", SAFE, "the empty line ends with CRLF", b"5\r\nhello\r\n0\r\n\n"),
        ("trailer-fold", SAFE, "a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
        ("trailer-space", SAFE, "white space before a colon", b"0\r\nA : b\r\n\r\n"),
        ("trailer-no-colon", SAFE, "a trailer without a colon", b"0\r\nA\r\n\r\n"),
        ("trailer-nul", SAFE, "a NUL in a trailer", b"0\r\nA: b\x00\r\n\r\n")):
    add(f"chunk-{name}", level, why, framed(CHUNKED, body=body + NEXT), CUT)
add("chunk-trailer-flood", SAFE, "trailers count against the limits of fields",
    framed(CHUNKED, body=b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n" + NEXT), CUT)

# ---- fields (RFC 9112 section 5)
add("field-empty-value", MUST, "a value may be empty", get(b"A:", b"B: "), SERVED)
add("field-tabs", MUST, "a tab is white space in a value", get(b"A:\tb\tc\t"), SERVED)
add("field-no-space", MUST, "no white space is needed behind a colon", get(b"A:b"), SERVED)
add("field-latin1", MUST, "bytes above 0x7F may stand in values", get(b"A: caf\xe9"), SERVED)
add("field-odd-name", MUST, "every sign that a token may have", get(b"!#$%&'*+-.^_`|~09Az: b"),
    SERVED)
add("field-4-KiB", SHOULD, "a long value (a cookie)", get(b"Cookie: " + b"a" * 4096), SERVED)
add("field-fifty", SHOULD, "many fields", get(*(b"A%d: b" % n for n in range(50))), SERVED)
for name, level, why, line in (
        ("space-before-colon", MUST, "white space before a colon", b"A : b"),
        ("tab-before-colon", MUST, "white space before a colon", b"A\t: b"),
        ("no-colon", SHOULD, "a line without a colon", b"A"),
        ("no-name", SHOULD, "a line without a name", b": b"),
        ("name-paren", SHOULD, "a name is a token", b"A(b): c"),
        ("name-quote", SHOULD, "a name is a token", b'"A": b'),
        ("name-space", SHOULD, "a name is a token", b"A b: c"),
        ("name-latin1", SHOULD, "a name is a token", b"caf\xe9: b"),
        ("name-nul", SHOULD, "a name is a token", b"A\x00: b"),
        ("name-ctl", SHOULD, "a name is a token", b"A\x01: b"),
        ("value-nul-refused", SAFE, "a NUL ends texts of other programs", b"A: b\x00c"),
        ("value-ctl", SAFE, "control bytes end in logs and terminals", b"A: b\x01c"),
        ("value-del", SAFE, "control bytes end in logs and terminals", b"A: b\x7fc"),
        ("value-cr-refused", SAFE, "a CR ends lines of other programs", b"A: b\rc"),
        ("fold-refused", SAFE, "folded lines are read in two ways", b"A: b\r\n c"),
        ("fold-tab", SAFE, "folded lines are read in two ways", b"A: b\r\n\tc")):
    add(f"field-{name}", level, why, get(line) + NEXT, refused())
add("field-value-nul", MUST, "a NUL is refused or made a space", get(b"A: b\x00c"), refused(), SERVED)
add("field-value-cr", MUST, "a CR is refused or made a space", get(b"A: b\rc"), refused(), SERVED)
add("field-fold", MUST, "a folded line is refused, or read with spaces in its place",
    get(b"A: b\r\n c"), refused(), SERVED)
add("field-space-first", MUST, "white space before the first field: the line is refused or dropped",
    b"GET {path} HTTP/1.1\r\n A: b\r\nHost: {host}\r\n\r\n", refused(), SERVED)
add("field-space-first-refused", SAFE, "white space before the first field",
    b"GET {path} HTTP/1.1\r\n A: b\r\nHost: {host}\r\n\r\n" + NEXT, refused())
add("field-too-many", SHOULD, "a limit on fields", get(*(b"A%d: b" % n for n in range(5000))),
    refused("431", "400", "413"))
add("field-too-long", SHOULD, "a limit on fields", get(b"A: " + b"a" * 200000),
    refused("431", "400", "413"))
add("lines-lf", SAFE, "an LF alone may end a line; other programs may not think so",
    b"GET {path} HTTP/1.1\nHost: {host}\n\n" + NEXT, refused())
add("lines-lf-in-field", SAFE, "an LF alone inside a head",
    b"GET {path} HTTP/1.1\r\nA: b\nHost: {host}\r\n\r\n" + NEXT, refused())
add("lines-lf-last", SAFE, "an LF alone at the end of a head",
    b"GET {path} HTTP/1.1\r\nHost: {host}\r\n\n" + NEXT, refused())
add("lines-cr-only", MUST, "a CR alone ends no line",
    b"GET {path} HTTP/1.1\rHost: {host}\r\r" + NEXT, refused())
add("lines-crcrlf", MUST, "a CR alone in a head is refused or made a space",
    b"GET {path} HTTP/1.1\r\r\nHost: {host}\r\r\n\r\r\n" + NEXT, refused())

# ---- Host (RFC 9112 section 3.2)
add("host-missing", MUST, "1.1 needs a Host", get(host=None) + NEXT, refused())
add("host-missing-1.0", MUST, "1.0 does not", get(host=None, first=b"GET {path} HTTP/1.0"),
    one("2xx", end=CLOSED))
add("host-missing-absolute", MUST, "1.1 needs a Host, whatever the target says",
    get(host=None, first=b"GET http://{host}{path} HTTP/1.1") + NEXT, refused())
add("host-case", MUST, "names of fields have no case", get(host=b"hOsT: {host}"), SERVED)
add("host-ipv6", MUST, "an IPv6 address in brackets", get(host=b"Host: [::1]:80"),
    one("2xx", "404", "421", end=KEPT))
add("host-empty-port", SHOULD, "port = *DIGIT", get(host=b"Host: localhost:"),
    one("2xx", "404", "421", end=KEPT))
add("host-twice", MUST, "two hosts", get(b"Host: other") + NEXT, refused())
add("host-twice-same", MUST, "two hosts, even the same", get(b"Host: {host}") + NEXT, refused())
add("host-twice-1.0", MUST, "two hosts, in 1.0 too",
    get(b"Host: other", first=b"GET {path} HTTP/1.0") + NEXT, refused())
for name, level, value in (
        ("space", MUST, b"a b"), ("slash", MUST, b"a/b"), ("userinfo", MUST, b"user@a"),
        ("url", MUST, b"http://a"), ("question", MUST, b"a?b"), ("hash", MUST, b"a#b"),
        ("nul", MUST, b"a\x00b"), ("control", MUST, b"a\x01b"), ("port-letters", MUST, b"a:http"),
        ("ipv6-open", MUST, b"[::1"), ("backslash", SAFE, b"a\\b"), ("list", SAFE, b"a, b"),
        ("port-big", SAFE, b"a:65536"), ("two-ports", SAFE, b"a:80:80"), ("less", SAFE, b"<a>"),
        ("latin1", SAFE, b"caf\xe9")):
    add(f"host-{name}", level, f"Host {value!r} is not host[:port]", get(host=b"Host: " + value) + NEXT,
        refused())

# ---- the request line (RFC 9112 section 3)
add("target-absolute", MUST, "every server takes a whole URL",
    get(first=b"GET http://{host}{path} HTTP/1.1"), SERVED)
add("target-absolute-case", MUST, "schemes have no case",
    get(first=b"GET HTTP://{host}{path} HTTP/1.1"), SERVED)
add("target-absolute-other-host", MUST, "the URL's host counts, not the field",
    get(first=b"GET http://{host}{path} HTTP/1.1", host=b"Host: other.example"), SERVED,
    one("404", "421", end=KEPT))
add("target-absolute-userinfo", SHOULD, "a user in the URL's host hides the host",
    get(first=b"GET http://user@{host}{path} HTTP/1.1") + NEXT, refused())
add("target-absolute-no-host", MUST, "an http URL has a host", get(first=b"GET http:///a HTTP/1.1") + NEXT,
    refused())
add("target-query", MUST, "a query is no part of the path", get(first=b"GET {path}?a=b%zz&c HTTP/1.1"),
    SERVED)
add("target-8000", SHOULD, "request lines of 8,000 bytes",
    get(first=b"GET {path}?" + b"a" * 7900 + b" HTTP/1.1"), SERVED)
add("target-too-long", SHOULD, "a target that is too long",
    get(first=b"GET {path}?" + b"a" * 200000 + b" HTTP/1.1"), refused("414", "400", "431"))
add("target-options", SHOULD, "OPTIONS * asks about the server", get(first=b"OPTIONS * HTTP/1.1"),
    one("2xx", "405", "501"))
add("target-connect", MUST, "no tunnel is opened", get(first=b"CONNECT {host} HTTP/1.1"),
    one("4xx", "501"))
for name, level, why, first in (
        ("asterisk", SHOULD, "* is for OPTIONS", b"GET * HTTP/1.1"),
        ("authority", SHOULD, "host:port is for CONNECT", b"GET {host} HTTP/1.1"),
        ("relative", SHOULD, "a path begins with a slash", b"GET a HTTP/1.1"),
        ("fragment", SHOULD, "a fragment stays with the client", b"GET {path}#a HTTP/1.1"),
        ("space", SHOULD, "a space ends the target", b"GET {path} a HTTP/1.1"),
        ("nul", SHOULD, "a control byte", b"GET {path}\x00 HTTP/1.1"),
        ("ctl", SAFE, "a control byte", b"GET {path}\x01 HTTP/1.1"),
        ("del", SAFE, "a control byte", b"GET {path}\x7f HTTP/1.1"),
        ("cr", MUST, "a CR alone", b"GET {path}\ra HTTP/1.1"),
        ("other-scheme", SAFE, "no proxy for other schemes", b"GET ftp://{host}{path} HTTP/1.1")):
    add(f"target-{name}", level, why, get(first=first) + NEXT, refused())
for name, level, why, path in (
        ("climbs", MUST, "above the root", b"/../../../../../../etc/passwd"),
        ("climbs-escaped", MUST, "above the root, escaped", b"/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        ("climbs-slash", MUST, "an escaped slash is no way up", b"/..%2f..%2f..%2fetc/passwd"),
        ("climbs-twice", MUST, "unescaped once, not twice", b"/%252e%252e/%252e%252e/etc/passwd"),
        ("escaped-nul", SHOULD, "no file name has a NUL", b"{path}%00"),
        ("escape-cut", SHOULD, "a percent sign without digits", b"{path}%"),
        ("escape-bad", SHOULD, "a percent sign without digits", b"{path}%zz")):
    add(f"path-{name}", level, why, get(first=b"GET " + path + b" HTTP/1.1"), one("400", "403", "404"))
for name, level, why, first, statuses in (
        ("version-1.10", SHOULD, "one digit on either side", b"GET {path} HTTP/1.10", ("400", "505")),
        ("version-lower", MUST, "HTTP is upper case", b"GET {path} http/1.1", ("400", "505")),
        ("version-comma", SHOULD, "a point between the digits", b"GET {path} HTTP/1,1", ("400", "505")),
        ("version-word", SHOULD, "another protocol", b"GET {path} FTP/1.1", ("400", "505")),
        ("version-2.0", SHOULD, "a major version that is not ours", b"GET {path} HTTP/2.0",
         ("505", "400")),
        ("version-0.9", SAFE, "a major version that is not ours", b"GET {path} HTTP/0.9",
         ("505", "400")),
        ("version-none", SAFE, "a first line without a version", b"GET {path}", ("400", "505")),
        ("line-spaces", SAFE, "one space between the parts", b"GET  {path} HTTP/1.1", ("400",)),
        ("line-spaces-2", SAFE, "one space between the parts", b"GET {path}  HTTP/1.1", ("400",)),
        ("line-space-behind", SAFE, "no space behind the version", b"GET {path} HTTP/1.1 ", ("400",)),
        ("line-space-before", SAFE, "no space before the method", b" GET {path} HTTP/1.1",
         ("400", "501")),
        ("line-tabs", SAFE, "a tab is no space", b"GET\t{path}\tHTTP/1.1", ("400", "501")),
        ("method-paren", SHOULD, "a method is a token", b"G(T {path} HTTP/1.1", ("400", "501"))):
    add(name, level, why, get(first=first) + NEXT, refused(*statuses))
add("version-1.2", SHOULD, "later ones of 1 are read as 1.1", get(first=b"GET {path} HTTP/1.2"), SERVED)
add("method-unknown", SHOULD, "a method nobody knows", get(first=b"FROB {path} HTTP/1.1"),
    one("501", "405", "400"))
add("method-lower", MUST, "methods have case", get(first=b"get {path} HTTP/1.1"),
    one("501", "405", "400"))
add("method-long", SHOULD, "a method longer than any", get(first=b"A" * 3000 + b" {path} HTTP/1.1"),
    one("501", "405", "400", "414"))
add("method-trace", SAFE, "TRACE shows a client's secrets to scripts", get(first=b"TRACE {path} HTTP/1.1"),
    one("405", "501", "403", "400"))
add("method-post-file", MUST, "405 says what is allowed",
    get(b"Content-Length: 0", first=b"POST {path} HTTP/1.1"), one("2xx", "405", "403", "501"),
    fields=(("405", "allow"),))
add("garbage-tls", SAFE, "TLS on a plain port is told, or cut",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 160, refused(), Shape((), CLOSED))
add("garbage-h2", SAFE, "the first bytes of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    refused("505", "400", "405"), Shape((), CLOSED))
add("empty-line-first", SHOULD, "an empty line before a request is passed over", b"\r\n" + NEXT, SERVED)

# ---- connections (RFC 9112 section 9)
add("kept", SHOULD, "1.1 stays open", get(), SERVED)
add("close", MUST, "the client asks for the end", get(b"Connection: close") + NEXT,
    one("2xx", end=CLOSED))
add("close-case", MUST, "options have no case", get(b"connection: Close") + NEXT, one("2xx", end=CLOSED))
add("close-in-list", MUST, "options are a list", get(b"Connection: x, close ,y") + NEXT,
    one("2xx", end=CLOSED))
add("close-second-line", MUST, "the lines are one list",
    get(b"Connection: x", b"Connection: close") + NEXT, one("2xx", end=CLOSED))
add("close-not-quite", SHOULD, "closed is not close", get(b"Connection: closed"), SERVED)
add("kept-1.0", SHOULD, "1.0 stays open when asked", get(b"Connection: keep-alive",
    first=b"GET {path} HTTP/1.0"), one("2xx"))
add("closed-1.0", MUST, "1.0 ends", get(first=b"GET {path} HTTP/1.0") + NEXT, one("2xx", end=CLOSED))
add("pipelined", MUST, "answers come in the order of requests", get() * 2 + get(b"Connection: close"),
    Shape((("2xx",),) * 3, CLOSED))
add("pipelined-16", SHOULD, "many requests in one segment", get() * 16, Shape((("2xx",),) * 16, KEPT))
add("pipelined-body", MUST, "a body between two requests",
    framed(b"Content-Length: 5", body=b"hello") + get(), Shape((READ.statuses[0], ("2xx",)), KEPT),
    one(*READ.statuses[0], end=CLOSED))
add("pipelined-refused", MUST, "good ones before a bad one are answered",
    get() + get(b"A : b") + NEXT, Shape((("2xx",), ("400",)), CLOSED))
add("in-pieces", MUST, "slices mean nothing",
    (b"GET {pa", b"th} HTTP/1.1\r", b"\nHo", b"st: {host}\r\n\r", b"\n"), SERVED)
add("byte-by-byte", MUST, "slices mean nothing", tuple(bytes((c,)) for c in get()), SERVED)
add("body-byte-by-byte", MUST, "slices mean nothing",
    tuple(bytes((c,)) for c in framed(CHUNKED, body=HELLO)), READ)
add("head", MUST, "HEAD has no body", get(first=b"HEAD {path} HTTP/1.1"), SERVED, silent=(0,))
add("head-pipelined", MUST, "HEAD has no body; the next answer begins behind its head",
    get(first=b"HEAD {path} HTTP/1.1") + get(), Shape((("2xx",), ("2xx",)), KEPT), silent=(0,))
add("head-missing", MUST, "HEAD has no body, with an error neither",
    get(first=b"HEAD {path}-missing HTTP/1.1"), one("404", end=KEPT), silent=(0,))
add("missing-kept", SHOULD, "404 does not end a connection", get(first=b"GET {path}-missing HTTP/1.1"),
    one("404", end=KEPT))
add("expect", MUST, "100 or a final answer, before the body is sent",
    (get(b"Expect: 100-continue", b"Content-Length: 5", first=b"POST {path} HTTP/1.1"), b"hello"),
    one("2xx", "403", "405", "417", end=None), waits=True)
add("expect-1.0", MUST, "a client of 1.0 knows no 100",
    get(b"Expect: 100-continue", b"Content-Length: 5", first=b"POST {path} HTTP/1.0") + b"hello",
    one("2xx", "403", "405", end=CLOSED), no_interim=True)
add("expect-unknown", SAFE, "an expectation nobody knows", get(b"Expect: 42-towels"), one("417", "2xx"))
add("upgrade-unknown", MUST, "a protocol nobody knows is passed over",
    get(b"Connection: Upgrade", b"Upgrade: frobnicate/7"), SERVED)
add("upgrade-h2c", SAFE, "HTTP/2 in clear is passed over",
    get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    SERVED, one("101", end=None))
add("hop-names-host", SAFE, "naming Host a field of one hop takes nothing away",
    get(b"Connection: Host, Content-Length"), SERVED, refused())
add("unread-body", SHOULD, "an answer arrives though its request's body was not read",
    get(b"Content-Length: 300000", first=b"POST {path}-missing HTTP/1.1") + b"a" * 300000,
    one("404", "405", "403", "413"))
add("huge-length", SAFE, "a length of 2^63 - 1 is not waited for before an answer",
    get(b"Content-Length: 9223372036854775807", first=b"POST {path} HTTP/1.1"),
    one("2xx", "400", "403", "405", "413", end=None))

# ---- semantics (RFC 9110)
add("date", MUST, "an answer says when", get(), SERVED, fields=(("200", "date"),))
add("if-none-match", MUST, "304 has no body", get(b"If-None-Match: *"), one("304", end=KEPT), silent=(0,))
add("if-none-match-head", MUST, "304 has no body", get(b"If-None-Match: *", first=b"HEAD {path} HTTP/1.1"),
    one("304", end=KEPT), silent=(0,))
add("if-match", SHOULD, "If-Match with another tag", get(b'If-Match: "no such tag"'), one("412"))
add("if-match-any", MUST, "If-Match: * fits what exists", get(b"If-Match: *"), SERVED)
add("if-unmodified", MUST, "changed since 1980",
    get(b"If-Unmodified-Since: Tue, 01 Jan 1980 00:00:00 GMT"), one("412"), SERVED)
add("if-modified-bad", MUST, "a date that is none is passed over", get(b"If-Modified-Since: yesterday"),
    SERVED)
add("if-order", MUST, "If-None-Match hides If-Modified-Since",
    get(b'If-None-Match: "other"', b"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"), SERVED)
add("range", SHOULD, "one range", get(b"Range: bytes=0-0"), one("206", end=KEPT),
    fields=(("206", "content-range"),))
add("range-suffix", SHOULD, "the last byte", get(b"Range: bytes=-1"), one("206", end=KEPT),
    fields=(("206", "content-range"),))
add("range-outside", SHOULD, "416 says the size", get(b"Range: bytes=999999999-"), one("416", end=KEPT),
    fields=(("416", "content-range"),))
add("range-unit", MUST, "another unit is passed over", get(b"Range: bananas=0-0"), one("200", end=KEPT))
add("range-bad", SAFE, "a range that is none is passed over or refused", get(b"Range: bytes=9-0"),
    one("200", "416", "400"))
add("range-many", SAFE, "many overlapping ranges are not multiplied",
    get(b"Range: bytes=" + b",".join([b"0-"] * 500)), one("200", "206", "416", "400"))
add("range-post", MUST, "Range is for GET",
    get(b"Range: bytes=0-0", b"Content-Length: 0", first=b"POST {path} HTTP/1.1"),
    one("200", "201", "204", "403", "405", "501"))
add("if-range", MUST, "If-Range with another tag: the whole",
    get(b"Range: bytes=0-0", b'If-Range: "no such tag"'), one("200", end=KEPT))
