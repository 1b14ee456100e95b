/* tarn: all of libtarn. */
#ifndef TARN_TARN_H
#define TARN_TARN_H

#include <tarn/err.h>
#include <tarn/node.h>
#include <tarn/session.h>
#include <tarn/torrent.h>
#include <tarn/transfer.h>

#endif
