#!/bin/sh
# What ./dev demo shows, on real files: a node publishes a folder; curl fetches a file of it from the
# web, whole and in part, and a stock BitTorrent client fetches the same file from the swarm. Both have
# the same bytes under the same identity, and the node has read each byte once.
#   demo.sh BUILD [DIR]
# BUILD holds the programs; DIR is what to publish, else headers and documents of this system.
set -eu
tarn=$(cd "$1" && pwd)/tarn
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-demo-XXXXXX")
TARN_HOME="$work/home"
export TARN_HOME
node=

clean_up() {
    [ -z "$node" ] || { kill "$node" 2>/dev/null && wait "$node" 2>/dev/null; } || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say() {
    printf '\n== %s\n' "$*"
}

fail() {
    echo "demo: $*" >&2
    for log in "$work"/*.log; do
        [ -s "$log" ] && tail -n 5 "$log" >&2
    done
    exit 1
}

# field KEY: its text in the JSON that comes in.
field() {
    sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p" | head -n 1
}

# number KEY: likewise.
number() {
    sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p" | head -n 1
}

ask() {
    curl --silent --fail --unix-socket "$TARN_HOME/tarn.sock" "http://tarn$1"
}

# wait_for WHAT COMMAND...: until it succeeds; a minute, or as long as the node gets on.
wait_for() {
    what=$1
    shift
    tries=0
    until "$@"; do
        kill -0 "$node" 2>/dev/null || fail "the node ended before $what"
        left=$(ask /v1/status 2>/dev/null | number bytes_left)
        [ "${left:-0}" != "${last:-0}" ] && tries=0
        last=$left
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "$what did not happen within a minute"
        sleep 0.1
    done
}

is_up() {
    url=$(grep '"type":"up"' "$work/up.log" | field url)
    [ -n "$url" ]
}

is_published() {
    item=$(ask "/v1/collections?limit=1") || return 1
    [ "$(echo "$item" | field state)" = ok ] && [ -n "$(echo "$item" | field magnet)" ]
}

seconds() {
    date +%s.%N
}

since() {
    echo "$(seconds) $1" | awk '{ printf "%.2f", $1 - $2 }'
}

if [ $# -gt 1 ]; then
    [ -d "$2" ] || { echo "demo: '$2' is no folder" >&2; exit 1; }
    payload=$(cd "$2" && pwd)
else
    payload=$work/system
    mkdir "$payload"
    cp -R /usr/include "$payload/headers"
    cp -R /usr/share/doc "$payload/documents"
    find "$payload" -type l -delete # tarn skips symlinks; so that there is nothing to say about them
fi
files=$(find "$payload" -type f | wc -l)
[ "$files" -gt 0 ] || fail "there is no file in $payload"
mib=$(find "$payload" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.1f", n / 1048576 }')
big=$(find "$payload" -type f -not -path '*/.*' -printf '%s %P\n' | sort -n | tail -n 1 | cut -d' ' -f2-)

say "1. tarn up: $files files, $mib MiB; each is read once, for the web and for BitTorrent"
from=$(seconds)
"$tarn" up --json --set http.listen=127.0.0.1:0 --set admin.listen=off --set bt.listen=127.0.0.1:0 \
    "$payload" >"$work/up.log" 2>"$work/err.log" &
node=$!
wait_for "it was up" is_up
wait_for "all was published" is_published
took=$(since "$from")
name=$(echo "$item" | field name)
"$tarn" ls
echo "published at ${url}c/$name/ within $took s"

say "2. the web: curl fetches the largest file, and a part of it"
path=$(printf %s "$big" | od -An -v -tx1 | tr -d '\n' | sed 's/ /%/g; s/%2f/\//g')
file=${url}c/$name/$path
curl --silent --show-error --fail -D "$work/head" -o "$work/web" "$file" || fail "curl did not get $big"
identity=$(tr -d '\r' <"$work/head" | sed -n 's/^ETag: "\(.*\)"$/\1/p')
cmp "$work/web" "$payload/$big" || fail "what curl got differs"
size=$(stat -c %s "$work/web")
half=$((size / 2))
curl --silent --show-error --fail -r "$half-" -o "$work/part" "$file" || fail "curl did not get a range"
tail -c +$((half + 1)) "$payload/$big" | cmp - "$work/part" || fail "the part differs"
curl --silent --show-error --fail -o "$work/sum" "$file.sha256" || fail "there is no checksum"
[ "$(cut -d' ' -f1 "$work/sum")" = "$(sha256sum <"$work/web" | cut -d' ' -f1)" ] ||
    fail "the published checksum differs"
echo "$big: $size bytes, and again from byte $half on"
echo "ETag      $identity"
echo "SHA-256   $(cut -d' ' -f1 "$work/sum")"

say "3. BitTorrent: libtorrent fetches the same file from the swarm"
port=$(ask /v1/status | sed -n 's/.*"addrs":\["[^"]*:\([0-9]*\)".*/\1/p')
curl --silent --show-error --fail -o "$work/all.torrent" "${url}c/$name.torrent" || fail "there is no torrent"
other=libtorrent
if /usr/bin/python3 -c 'import libtorrent' 2>/dev/null; then
    /usr/bin/python3 "$here/demo_client.py" "$work/all.torrent" "$name/$big" "$work/swarm" "127.0.0.1:$port" ||
        fail "libtorrent did not get $big"
else
    other="tarn fetch (libtorrent is not here)"
    "$tarn" fetch "$work/all.torrent" --only "$name/$big" --listen 127.0.0.1:0 --peer "127.0.0.1:$port" \
        -o "$work/swarm" >/dev/null || fail "tarn did not get $big"
fi
cmp "$work/swarm/$name/$big" "$work/web" || fail "the swarm's file is not the web's"
echo "cmp: the web's and the swarm's are the same file"

say "4. how the node sees it"
"$tarn" status
kill "$node"
wait "$node" || fail "the node did not end well"
node=

say "done"
printf '%-28s %s\n' "files published" "$files, $mib MiB" "until all was published" "$took s" \
    "fetched from the web by" curl "fetched from the swarm by" "$other" "one file under one identity" \
    "$(echo "$identity" | cut -c1-16)...-$size"
