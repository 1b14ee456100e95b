/* api/stop: what tarn_transfer_stop says, seen by the loops that run. */
#ifndef API_STOP_H
#define API_STOP_H

/* How often stopping was asked for; differs from an earlier answer when it was asked since. */
unsigned api_stops(void);

/* Loops look this often. */
enum { API_TICK_US = 200 * 1000 };

#endif
