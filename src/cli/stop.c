/* cli/stop: see the header. */
#include "cli/stop.h"

#include <signal.h>
#include <stddef.h>
#include <tarn/transfer.h>

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    (void)number;
    asked = 1;
    tarn_transfer_stop();
}

void cli_stop_install(void)
{
    struct sigaction act = { .sa_handler = on_signal };
    act.sa_flags =
        (int)(SA_RESETHAND | (unsigned)SA_RESTART); /* glibc: SA_RESETHAND is the top bit */
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool cli_stop_asked(void)
{
    return asked != 0;
}
