/* sim/villain: peers that are no peers: they speak the first words of the protocol, or none, and
 * then do what wears others out. Scripted on the engine's streams, without its sessions. */
#ifndef SIM_VILLAIN_H
#define SIM_VILLAIN_H

#include "swarm.h"

enum villain_kind {
    VILLAIN_SILENT,  /* takes and makes connections, and says nothing */
    VILLAIN_MUTE,    /* says that it has everything, unchokes, and sends nothing */
    VILLAIN_FLOODS,  /* requests, haves and keep-alives without end */
    VILLAIN_BABBLES, /* bytes that mean nothing, behind a right handshake */
};

/* On a node of its own, known to the swarm's tracker. */
void villain_add(struct swarm *s, enum villain_kind kind, const struct node_line *line);

#endif
