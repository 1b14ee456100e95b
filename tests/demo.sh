#!/bin/sh
# What ./dev demo shows, on real files: one machine makes a torrent and seeds it, another knows only
# the magnet link and fetches all of it, every byte verified; then a stock client does, if one is here.
#   demo.sh BUILD [DIR]
# BUILD holds the program; DIR is what to share, else headers and documents of this system.
set -eu
tarn=$(cd "$1" && pwd)/tarn
work=$(mktemp -d "${TMPDIR:-/tmp}/tarn-demo-XXXXXX")
export TARN_HOME="$work/home"
seeder= client=

clean_up() {
    for process in $seeder $client; do
        kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
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

# wait_for FILE PATTERN WHAT: until the pattern stands in the file of a program we started.
wait_for() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "$3 did not happen within a minute"
        sleep 0.1
    done
}

# seed TORRENT [OPTION...]: in the background; sets $seeder, and $port once it listens.
seed() {
    torrent=$1
    shift
    "$tarn" seed --json --listen 127.0.0.1:0 "$@" "$torrent" "$payload" >"$work/seed.log" 2>&1 &
    seeder=$!
    wait_for "$work/seed.log" '"state":"seeding"' "seeding"
    port=$(sed -n 's/.*"listening","text":"[^"]*:\([0-9]*\)".*/\1/p' "$work/seed.log" | head -n 1)
}

stop_seed() {
    kill "$seeder"
    wait "$seeder" || fail "the seed did not end well"
    seeder=
}

if [ $# -gt 1 ]; then
    [ -d "$2" ] || { echo "demo: '$2' is no folder" >&2; exit 1; }
    payload=$(cd "$2" && pwd)
else
    payload=$work/system
    mkdir "$payload"
    cp -R /usr/include "$payload/headers"
    cp -R /usr/share/doc "$payload/documents"
    find "$payload" -type l -delete # tarn skips symlinks; so that diff has nothing to say
fi
name=$(basename "$payload")

say "1. make a torrent of $payload: v1 and v2 in one, each file read once"
"$tarn" create "$payload" -o "$work/$name.torrent" 2>"$work/create.log" || fail "create failed"
[ -s "$work/create.log" ] && echo "($(wc -l <"$work/create.log") files or links skipped)"
"$tarn" show "$work/$name.torrent" >"$work/show"
sed -n '1,8p' "$work/show"
files=$(find "$payload" -type f | wc -l)
mib=$(find "$payload" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.1f", n / 1048576 }')

say "2. seed it, and fetch it by its magnet link alone"
magnet=$(sed -n 's/^magnet *//p' "$work/show")
seed "$work/$name.torrent"
echo "seed listens at 127.0.0.1:$port"
from=$(date +%s.%N)
"$tarn" fetch "$magnet" --listen 127.0.0.1:0 --peer "127.0.0.1:$port" -o "$work/fetched" ||
    fail "fetch failed"
took=$(echo "$(date +%s.%N) $from" | awk '{ printf "%.2f", $1 - $2 }')
stop_seed

say "3. check it, in two ways"
"$tarn" verify "$work/$name.torrent" "$work/fetched" || fail "verify found damage"
# Folders without a file are in no torrent; a file that were missing verify would have told.
if diff -r "$payload" "$work/fetched/$name" | grep -v '^Only in '; then
    fail "diff found a difference"
fi
echo "diff -r: the same"

others=
if command -v aria2c >/dev/null; then
    say "4. a stock client, aria2, fetches the same files from us"
    "$tarn" create "$payload" --format v1 -o "$work/v1.torrent" >/dev/null 2>&1
    aria_port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 20000) }')
    aria2c --quiet --no-conf --dir="$work/aria2" --listen-port="$aria_port" --interface=127.0.0.1 \
        --enable-dht=false --bt-enable-lpd=false --enable-peer-exchange=false --disable-ipv6=true \
        --file-allocation=none --seed-time=0 "$work/v1.torrent" >"$work/aria2.log" 2>&1 &
    client=$!
    seed "$work/v1.torrent" --peer "127.0.0.1:$aria_port"
    wait "$client" || fail "aria2 did not get it"
    client=
    stop_seed
    "$tarn" verify "$work/v1.torrent" "$work/aria2" || fail "what aria2 wrote is damaged"
    others=", and by aria2"
fi

rate=$(echo "$mib $took" | awk '{ printf "%.0f", $1 / $2 }')
say "done"
printf 'demo: %s files, %s MiB, fetched in %s s (%s MiB/s) by tarn%s: every byte verified\n' \
    "$files" "$mib" "$took" "$rate" "$others"
