/* cli/version: tarn version. */
#include "cli/output.h"
#include "cli/verbs.h"

int cli_version(const struct cli_args *args)
{
    if (!cli_has(args, CLI_JSON)) {
        printf("tarn %s\n%s\n", tarn_version(), tarn_build());
        return 0;
    }
    struct cli_line l;
    cli_line_begin(&l, "version");
    json_put_str(&l.json, "version", tarn_version());
    json_put_str(&l.json, "build", tarn_build());
    cli_line_end(&l, stdout);
    return 0;
}
