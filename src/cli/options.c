/* cli/options: the table itself. Texts obey the widths of help.c: a line of --help has 80 columns.
 */
#include "cli/options.h"

#include "cli/verbs.h"

#include <string.h>

const struct cli_option cli_options[CLI_OPTS] = {
    [CLI_AS] = { .name = "as", .arg = "NAME", .help = "the collection's name (the folder's own)" },
    [CLI_BT] = { .name = "bt",
                 .arg = "FORMAT",
                 .words = "hybrid v1 v2 off",
                 .help = "its torrent: hybrid (the default), v1, v2, or off" },
    [CLI_COMMENT] = { .name = "comment", .arg = "TEXT", .help = "write a comment" },
    [CLI_CONFIG] = { .name = "config",
                     .arg = "FILE",
                     .offer = CLI_OFFER_FILE,
                     .help = "read this configuration, and conf.d beside it" },
    [CLI_DATE] = { .name = "date",
                   .arg = "UNIX",
                   .is_arg_free = true,
                   .help = "write a creation date: seconds since 1970, else now",
                   .more = "Without this option no date is written, so that the same files always "
                           "give the same torrent." },
    [CLI_EXTRA] = { .name = "extra",
                    .help = "also list files that the torrent does not know",
                    .more = "They are no damage and do not change the exit code." },
    [CLI_FORCE] = { .name = "force", .help = "replace the torrent file when it exists" },
    [CLI_FORMAT] = { .name = "format",
                     .arg = "FORMAT",
                     .words = "hybrid v1 v2",
                     .help = "v1, v2, or hybrid: both at once (the default)",
                     .more = "Older clients and some trackers know v1 only. v2 checks each file by "
                             "a hash of its own." },
    [CLI_HELP] = { .name = "help", .letter = 'h', .help = "show this" },
    [CLI_HTTP] = { .name = "http",
                   .arg = "WHEN",
                   .words = "on off",
                   .help = "serve it on the web door (on)" },
    [CLI_IO] = { .name = "io",
                 .arg = "HOW",
                 .words = "auto mmap pread",
                 .is_rare = true,
                 .help = "how files are sent and written (auto)",
                 .more = "What arrives is the same. auto measures what costs least on this "
                         "machine; mmap goes through mappings, which count as memory of the "
                         "process; pread reads and writes." },
    [CLI_JOBS] = { .name = "jobs",
                   .letter = 'j',
                   .arg = "N",
                   .help = "worker threads (as many as processors)" },
    [CLI_JSON] = { .name = "json",
                   .help = "print JSON Lines",
                   .more = "Each line is an object with \"v\": 1 and \"type\". An error is the "
                           "last line: its \"error\" has \"code\" and \"message\"." },
    [CLI_LEAVES_IN] = { .name = "leaves",
                        .arg = "FILE",
                        .offer = CLI_OFFER_FILE,
                        .help = "hashes of each 16 KiB, written by create --leaves",
                        .more = "Damage is then told to the block of 16 KiB. The file is checked "
                                "against the torrent first." },
    [CLI_LEAVES_OUT] = { .name = "leaves",
                         .arg = "FILE",
                         .offer = CLI_OFFER_FILE,
                         .help = "also write the hashes of each 16 KiB, for verify",
                         .more = "For v2 and hybrid. It takes 1/512 of the size of the data." },
    [CLI_LISTEN] = { .name = "listen",
                     .arg = "ADDR:PORT",
                     .repeats = true,
                     .help = "where peers reach us (6881 to 6889, IPv4 and IPv6)",
                     .more = "With port 0 the system chooses one." },
    [CLI_MEMORY] = { .name = "memory",
                     .arg = "SIZE",
                     .is_rare = true,
                     .help = "memory for arriving data (64M)",
                     .more = "When it is full, peers are made to wait." },
    [CLI_METADATA] = { .name = "metadata",
                       .is_rare = true,
                       .arg = "SIZE",
                       .help = "memory for what torrents and peers say (256M)",
                       .more =
                           "Metadata, hashes, and who has which piece: when it is full, torrents "
                           "and peers are refused." },
    [CLI_NO_STATE] = { .name = "no-state",
                       .is_rare = true,
                       .help = "keep no state, and check everything",
                       .more =
                           "Nothing is remembered of this run, and what earlier ones left is not "
                           "believed." },
    [CLI_NO_TRACKER] = { .name = "no-tracker", .help = "ask no tracker" },
    [CLI_NO_WEB_SEED] = { .name = "no-web-seed",
                          .is_rare = true,
                          .help = "ask no web server for content",
                          .more = "Torrents and magnet links may name web servers that have the "
                                  "files; they are asked as peers are." },
    [CLI_ONLY] = { .name = "only",
                   .arg = "GLOB",
                   .repeats = true,
                   .help = "fetch only files whose path matches",
                   .more = "The pattern of a shell, for the whole path or for the part below the "
                           "torrent's name; '*' matches '/' too. Pieces that these files share "
                           "with others are fetched whole." },
    [CLI_ORIGIN] = { .name = "origin", .help = "also say where each value comes from" },
    [CLI_OUTPUT_FILE] = { .name = "output",
                          .letter = 'o',
                          .arg = "FILE",
                          .offer = CLI_OFFER_FILE,
                          .help = "the torrent file (NAME.torrent); - is stdout" },
    [CLI_OUTPUT_FOLDER] = { .name = "output",
                            .letter = 'o',
                            .arg = "DIR",
                            .offer = CLI_OFFER_FOLDER,
                            .help = "the folder to write below (this one)",
                            .more = "It is made when it does not exist." },
    [CLI_PATIENCE] = { .name = "patience",
                       .arg = "TIME",
                       .help = "give up after TIME with nobody to ask (60)" },
    [CLI_PAUSED] = { .name = "paused", .help = "do not begin before tarn resume" },
    [CLI_PEER] = { .name = "peer",
                   .arg = "HOST:PORT",
                   .repeats = true,
                   .help = "connect to this peer",
                   .more = "It is called again when the connection ends." },
    [CLI_PEERS] = { .name = "peers",
                    .arg = "N",
                    .help = "keep at most N connections (500)",
                    .more = "Each takes a descriptor: the system's limit for this process (ulimit "
                            "-n) is raised as far as it may be." },
    [CLI_PIECE_LENGTH] = { .name = "piece-length",
                           .arg = "SIZE",
                           .help = "bytes of a piece (by the size of the data)",
                           .more = "A power of two from 16K; with --format v1 any number up to "
                                   "536854528." },
    [CLI_POLICY] = { .name = "policy",
                     .arg = "WHO",
                     .words = "public partners mine",
                     .help = "who may have it (public)",
                     .more = "The web door serves what is public, and nothing else." },
    [CLI_PRIVATE] = { .name = "private", .help = "peers come from the trackers alone" },
    [CLI_PROGRESS] = { .name = "progress",
                       .arg = "WHEN",
                       .words = "auto json off",
                       .help = "auto: on a terminal; json: lines on stderr; off" },
    [CLI_RATE_DOWN] = { .name = "rate-down",
                        .arg = "SIZE",
                        .help = "receive at most SIZE a second (no limit)" },
    [CLI_RATE_UP] = { .name = "rate-up",
                      .arg = "SIZE",
                      .help = "send at most SIZE a second (no limit)" },
    [CLI_REQUESTS] = { .name = "requests",
                       .arg = "N",
                       .is_rare = true,
                       .help = "ask a peer for at most N blocks at once (by its rate)",
                       .more = "Fewer than its rate and distance call for make it slower: this is "
                               "for measuring." },
    [CLI_SAVE_TORRENT] = { .name = "save-torrent",
                           .arg = "FILE",
                           .offer = CLI_OFFER_FILE,
                           .help = "keep what a magnet link stands for" },
    [CLI_SEED_FOR] = { .name = "seed-for",
                       .arg = "TIME",
                       .help = "when complete, seed for so long (90, 30m, 2h, 1d)" },
    [CLI_SEQUENTIAL] = { .name = "sequential",
                         .help = "fetch from the beginning to the end",
                         .more = "The rarest pieces first is better for everybody." },
    [CLI_SET] = { .name = "set",
                  .arg = "KEY=VALUE",
                  .repeats = true,
                  .help = "a setting, as http.listen=0.0.0.0:80",
                  .more = "tarn config show lists them. It is stronger than the configuration and "
                          "the environment." },
    [CLI_SKIP_BAD_NAMES] = { .name = "skip-bad-names",
                             .help = "leave out names that no torrent can hold",
                             .more = "Names that are not UTF-8, or that other clients would change "
                                     "when they read them. Without this option they are an "
                                     "error." },
    [CLI_SLOTS] = { .name = "slots",
                    .arg = "N",
                    .is_rare = true,
                    .help = "send to at most N peers at once (by their rates)" },
    [CLI_SOURCE] = { .name = "source",
                     .arg = "TEXT",
                     .help = "write a source (another one, another torrent)" },
    [CLI_STATE] = { .name = "state",
                    .arg = "DIR",
                    .is_rare = true,
                    .offer = CLI_OFFER_FOLDER,
                    .help = "where to remember what is verified",
                    .more =
                        "Files that have not changed since are not read again at the next start. "
                        "Otherwise it is the folder resume in $TARN_HOME, or tarn/resume in "
                        "$XDG_STATE_HOME or in ~/.local/state." },
    [CLI_STAY] = { .name = "stay", .help = "when complete, seed until stopped" },
    [CLI_TRACKER] = { .name = "tracker",
                      .arg = "URL",
                      .repeats = true,
                      .help = "a tracker; each further one is the next tier" },
    [CLI_TRUST] = { .name = "trust",
                    .help = "do not check the data first",
                    .more = "Bytes that have changed since are then served as they are, and peers "
                            "refuse them." },
    [CLI_UPLINK] = { .name = "uplink",
                     .arg = "WHEN",
                     .words = "auto off",
                     .help = "keep the line's queue short by sending less (auto)",
                     .more = "A home router's queue is where calls and games wait behind an "
                             "upload. Its growth shows in the round trips of connections, on "
                             "Linux; peers less than a millisecond away are left alone. With "
                             "--rate-up the lesser counts." },
    [CLI_WAIT] = { .name = "wait",
                   .help = "wait until it is done, and show how far it is",
                   .more = "Ctrl-C ends the waiting (exit code 3), not the work." },
    [CLI_WEB_SEED] = { .name = "web-seed",
                       .arg = "URL",
                       .repeats = true,
                       .help = "where the same files lie on a web server" },
};

static const uint8_t create_options[] = {
    CLI_OUTPUT_FILE, CLI_FORCE,  CLI_FORMAT,   CLI_PIECE_LENGTH, CLI_TRACKER,    CLI_WEB_SEED,
    CLI_PRIVATE,     CLI_SOURCE, CLI_COMMENT,  CLI_DATE,         CLI_LEAVES_OUT, CLI_SKIP_BAD_NAMES,
    CLI_JOBS,        CLI_JSON,   CLI_PROGRESS, CLI_HELP,         CLI_END,
};
static const uint8_t show_options[] = { CLI_JSON, CLI_HELP, CLI_END };
static const uint8_t verify_options[] = {
    CLI_LEAVES_IN, CLI_EXTRA, CLI_JOBS, CLI_JSON, CLI_PROGRESS, CLI_HELP, CLI_END,
};
static const uint8_t fetch_options[] = {
    CLI_OUTPUT_FOLDER, CLI_ONLY,     CLI_PEER,   CLI_SEED_FOR,   CLI_STAY,        CLI_SEQUENTIAL,
    CLI_SAVE_TORRENT,  CLI_PATIENCE, CLI_LISTEN, CLI_NO_TRACKER, CLI_NO_WEB_SEED, CLI_RATE_DOWN,
    CLI_RATE_UP,       CLI_UPLINK,   CLI_PEERS,  CLI_SLOTS,      CLI_REQUESTS,    CLI_IO,
    CLI_MEMORY,        CLI_METADATA, CLI_STATE,  CLI_NO_STATE,   CLI_JSON,        CLI_PROGRESS,
    CLI_HELP,          CLI_END,
};
static const uint8_t seed_options[] = {
    CLI_LISTEN, CLI_PEER,     CLI_TRUST, CLI_NO_TRACKER, CLI_RATE_DOWN, CLI_RATE_UP,
    CLI_UPLINK, CLI_PEERS,    CLI_SLOTS, CLI_IO,         CLI_MEMORY,    CLI_METADATA,
    CLI_STATE,  CLI_NO_STATE, CLI_JSON,  CLI_PROGRESS,   CLI_HELP,      CLI_END,
};
static const uint8_t version_options[] = { CLI_JSON, CLI_HELP, CLI_END };

static const uint8_t up_options[] = {
    CLI_SET, CLI_CONFIG, CLI_JSON, CLI_PROGRESS, CLI_HELP, CLI_END,
};
static const uint8_t publish_options[] = {
    CLI_AS, CLI_BT, CLI_HTTP, CLI_POLICY, CLI_WAIT, CLI_JSON, CLI_PROGRESS, CLI_HELP, CLI_END,
};
static const uint8_t add_options[] = {
    CLI_OUTPUT_FOLDER, CLI_PAUSED, CLI_WAIT, CLI_JSON, CLI_PROGRESS, CLI_HELP, CLI_END,
};
static const uint8_t scrub_options[] = {
    CLI_WAIT, CLI_JSON, CLI_PROGRESS, CLI_HELP, CLI_END,
};
static const uint8_t control_options[] = { CLI_JSON, CLI_HELP, CLI_END };
static const uint8_t config_options[] = {
    CLI_ORIGIN, CLI_CONFIG, CLI_SET, CLI_JSON, CLI_HELP, CLI_END,
};

#define REFS \
    "A REF is the number that tarn ls shows (an item keeps it for ever), a collection's name, or " \
    "NAME/PATH of a file in one; a path (with /, ./ or ../ in front); an info-hash, a file's " \
    "identity, or a URL of the node."

const struct cli_verb cli_verbs[] = {
    {
        .name = "create",
        .operands = "PATH",
        .min = 1,
        .max = 1,
        .offers = { CLI_OFFER_FILE, CLI_OFFER_FILE },
        .help = "make a torrent of a file or a folder",
        .more =
            "Reads PATH once, on all processors, and writes a torrent file. Files are listed in "
            "the order of their names, so the same files give the same torrent, byte for byte, "
            "whenever and wherever it is made.\n\n"
            "Only regular files belong to a torrent; symbolic links and others are left out, and "
            "each is named. A file that changes while it is read makes the command fail: nothing "
            "is written then.",
        .examples = "a hybrid torrent, photos.torrent\ttarn create photos\n"
                    "for a tracker\ttarn create photos --tracker https://tracker.example/announce\n"
                    "only v2, with block hashes for verify\ttarn create photos --format v2 "
                    "--leaves photos.leaves\n",
        .options = create_options,
        .run = cli_create,
    },
    {
        .name = "show",
        .operands = "TORRENT|MAGNET",
        .min = 1,
        .max = 1,
        .offers = { CLI_OFFER_TORRENT, CLI_OFFER_TORRENT },
        .help = "what a torrent or magnet link says",
        .more = "Prints name, hashes, files, trackers and web seeds, and the magnet link. TORRENT "
                "may be - for standard input. On a terminal files are a tree with rounded sizes; "
                "elsewhere each is a line of its size in bytes, a tab, and its path.",
        .examples = "show a torrent\ttarn show photos.torrent\n"
                    "only its magnet link\ttarn show --json photos.torrent | head -n 1 | "
                    "jq -r .magnet\n",
        .options = show_options,
        .run = cli_show,
    },
    {
        .name = "verify",
        .operands = "TORRENT PATH",
        .min = 2,
        .max = 2,
        .offers = { CLI_OFFER_TORRENT, CLI_OFFER_FILE },
        .help = "check data against a torrent",
        .more = "Reads the data once and compares it with every hash that the torrent has. PATH is "
                "the file or folder itself, or the folder that holds it. Damage is listed by file "
                "and range of bytes, as precisely as the torrent allows: to the piece, or to 16 "
                "KiB with --leaves.\n\n"
                "The exit code is 4 when anything is missing, short, too long or does not match, "
                "and 5 when nothing of it is there.",
        .examples = "check a folder\ttarn verify photos.torrent photos\n",
        .options = verify_options,
        .run = cli_verify,
    },
    {
        .name = "fetch",
        .operands = "TORRENT|MAGNET|URL",
        .min = 1,
        .max = 1,
        .offers = { CLI_OFFER_TORRENT, CLI_OFFER_TORRENT },
        .help = "fetch a torrent's files from peers",
        .more =
            "Writes DIR/<name>. Every piece is checked before it is written under a final "
            "name; files that are not complete are called <name>.part. What is there already "
            "is checked and kept, so a fetch that was stopped, or killed, goes on where it was. "
            "With a URL (http or https) the torrent file is fetched from there first.\n\n"
            "Stopped by Ctrl-C before it is complete, the exit code is 3.",
        .examples = "fetch into a folder\ttarn fetch photos.torrent -o downloads\n"
                    "one file of a magnet link, from a friend\ttarn fetch 'magnet:?xt=...' "
                    "--only '*/one.jpg' --peer friend.example:6881\n",
        .options = fetch_options,
        .run = cli_fetch,
    },
    {
        .name = "seed",
        .operands = "TORRENT PATH",
        .min = 2,
        .max = 2,
        .offers = { CLI_OFFER_TORRENT, CLI_OFFER_FILE },
        .help = "serve a torrent's files to peers",
        .more =
            "Serves until it is stopped (Ctrl-C), which is success. PATH is the file or folder "
            "itself, or the folder that holds it. The data is checked first, unless it was before "
            "and has not changed since; data that does not match ends the command with exit "
            "code 4.",
        .examples = "seed a folder\ttarn seed photos.torrent photos --listen 0.0.0.0:6881\n",
        .options = seed_options,
        .run = cli_seed,
    },
    {
        .name = "up",
        .operands = "[DIR]...",
        .max = CLI_OPERANDS_MAX,
        .offers = { CLI_OFFER_FOLDER, CLI_OFFER_FOLDER },
        .help = "run a node here that publishes folders",
        .more =
            "A node in the foreground: each DIR is published as a collection of its own name, over "
            "HTTP and BitTorrent, beside what was published before. It prints where, and a page to "
            "look at, and stays until it is stopped (Ctrl-C). The other verbs then speak to it.\n\n"
            "Files are read once, for all hashes. What it knows is kept in $TARN_HOME, or tarn in "
            "$XDG_STATE_HOME or in ~/.local/state; one node at a time uses it.",
        .examples = "publish a folder on this machine\ttarn up /srv/www\n"
                    "for others\ttarn up /srv/www --set http.listen=0.0.0.0:80\n",
        .options = up_options,
        .run = cli_up,
    },
    {
        .name = "publish",
        .operands = "DIR",
        .min = 1,
        .max = 1,
        .offers = { CLI_OFFER_FOLDER, CLI_OFFER_FOLDER },
        .help = "publish a folder on the node",
        .more = "The node that runs reads the folder once and serves it from then on, also after "
                "a restart; what changes in it is read again. Publishing it again changes its "
                "settings.\n\n"
                "With --wait the command ends when all of it is served: with exit code 3 when "
                "something in it cannot be read.",
        .examples = "a folder under another name\ttarn publish /srv/data --as archive\n"
                    "and go on when all is served\ttarn publish /srv/data --wait\n",
        .options = publish_options,
        .run = cli_publish,
    },
    {
        .name = "add",
        .operands = "TORRENT|MAGNET|URL",
        .min = 1,
        .max = 1,
        .offers = { CLI_OFFER_TORRENT, CLI_OFFER_TORRENT },
        .help = "have the node fetch and seed a torrent",
        .more = "The node fetches it into the folder (bt.downloads, unless --output says another) "
                "and seeds it from then on. With --wait the command ends when all of it is here.",
        .options = add_options,
        .run = cli_add,
    },
    {
        .name = "ls",
        .operands = "[REF]",
        .max = 1,
        .offers = { CLI_OFFER_FOLDER, CLI_OFFER_FOLDER },
        .help = "what the node holds",
        .more = "Without REF: collections and torrents, a row each. With one: what it is, and its "
                "files. On a terminal it is a table with rounded sizes; elsewhere fields have tabs "
                "between and sizes are bytes.\n\n" REFS,
        .options = control_options,
        .run = cli_ls,
    },
    {
        .name = "status",
        .operands = "",
        .help = "how the node is",
        .more = "What it serves and where, what it is doing, and what is wrong.",
        .options = control_options,
        .run = cli_status,
    },
    {
        .name = "peers",
        .operands = "REF",
        .min = 1,
        .max = 1,
        .help = "who is connected for a torrent",
        .more = "One row for each connection. FLAGS: i it came to us, o we called it, s it has "
                "all, c we send it nothing now.\n\n" REFS,
        .options = control_options,
        .run = cli_peers,
    },
    {
        .name = "pause",
        .operands = "REF",
        .min = 1,
        .max = 1,
        .help = "stop the BitTorrent side of an item",
        .more =
            "No connections and no announces until tarn resume, also after a restart. HTTP goes "
            "on.\n\n" REFS,
        .options = control_options,
        .run = cli_pause,
    },
    {
        .name = "resume",
        .operands = "REF",
        .min = 1,
        .max = 1,
        .help = "go on after tarn pause",
        .more = "The item is announced and has connections again.\n\n" REFS,
        .options = control_options,
        .run = cli_resume,
    },
    {
        .name = "rm",
        .operands = "REF",
        .min = 1,
        .max = 1,
        .help = "stop publishing or fetching an item",
        .more = "The node forgets it; files stay where they are. A collection that the "
                "configuration names is removed there, not here (exit code 9).\n\n" REFS,
        .options = control_options,
        .run = cli_rm,
    },
    {
        .name = "scrub",
        .operands = "[REF]",
        .max = 1,
        .help = "have the node check what it holds",
        .more = "Everything held, or what one collection holds, is read again and compared with "
                "its hashes, to 16 KiB, at the rate of scrub.rate. tarn status says how far it is; "
                "damage is in tarn ls, the log and /v1/changes. With --wait the command shows the "
                "way, names what was found, and ends with exit code 4 when that is anything. While "
                "a scrub runs, another one follows it.\n\n" REFS,
        .examples = "check everything, for a script\ttarn scrub --wait\n",
        .options = scrub_options,
        .run = cli_scrub,
    },
    {
        .name = "config",
        .operands = "show|check",
        .min = 1,
        .max = 1,
        .help = "show or check the configuration",
        .more = "show prints every setting as it would be taken now; what a node runs with may be "
                "older. check says each fault with its file and line, and ends with 0 or 2. Root "
                "sees the system's configuration.",
        .examples = "where each value comes from\ttarn config show --origin\n",
        .options = config_options,
        .run = cli_config,
    },
    {
        .name = "version",
        .operands = "",
        .help = "which tarn this is, and how it was built",
        .more = "Prints the version and a line about this build: how it hashes on this processor, "
                "and what is in it.",
        .options = version_options,
        .run = cli_version,
    },
};
const unsigned cli_verbs_n = TARN_COUNT_OF(cli_verbs);

const struct cli_verb *cli_verb_find(const char *name)
{
    for (unsigned i = 0; i < cli_verbs_n; i++)
        if (strcmp(cli_verbs[i].name, name) == 0)
            return &cli_verbs[i];
    return NULL;
}

const struct cli_exit cli_exits[] = {
    { 0, "done" },
    { 1, "failed: the message says why" },
    { 2, "the command line makes no sense, or a setting is wrong" },
    { 3, "partly done: stopped before the end" },
    { 4, "data does not match its hashes" },
    { 5, "not found" },
    { 6, "network or peers unreachable" },
    { 7, "no space left" },
    { 8, "the node cannot be reached" },
    { 9, "refused by a rule: permissions, unsafe paths, limits" },
};
const unsigned cli_exits_n = TARN_COUNT_OF(cli_exits);
