/* http/share: servers of several loops that listen on the same sockets.
 *
 * Of those who wait the system wakes one for each connection (SYS_EXCLUSIVE): they stand in line,
 * and who has taken something goes to its end, so each gets as much. But whoever is woken and then
 * takes nothing, since it is full, has been woken in place of the others: it tells them to look. */
#include "http/priv.h"

#include "base/mem.h"
#include "sys/thread.h"

struct http_share {
    struct sys_lock lock;
    struct tarn_list members; /* under the lock: http_server.sharing */
};

/* Another one could not take what it was woken for. */
static void on_look(struct loop_msg *m)
{
    struct http_server *s = TARN_OUTER(m, struct http_server, look);
    sys_lock_take(&s->share->lock);
    s->is_look_out = false;
    sys_lock_give(&s->share->lock);
    server_accept(s);
}

static void join(struct http_share *share, struct http_server *s)
{
    s->share = share;
    s->look.on_loop = on_look;
    sys_lock_take(&share->lock);
    tarn_list_push_back(&share->members, &s->sharing);
    sys_lock_give(&share->lock);
}

bool share_join(struct http_server *s, struct http_server *with, struct tarn_err *err)
{
    if (with->share == NULL) {
        struct http_share *share = tarn_calloc(1, sizeof *share);
        if (share == NULL)
            return tarn_fail_mem(err, "sharing listening sockets");
        sys_lock_init(&share->lock);
        tarn_list_init(&share->members);
        join(share, with);
    }
    join(with->share, s);
    return true;
}

void share_pass_on(struct http_server *s)
{
    struct http_share *share = s->share;
    if (share == NULL)
        return;
    sys_lock_take(&share->lock);
    for (struct tarn_list *at = share->members.next; at != &share->members; at = at->next) {
        struct http_server *other = TARN_OUTER(at, struct http_server, sharing);
        if (other == s || other->is_look_out)
            continue;
        other->is_look_out = true;
        loop_post(other->loop, &other->look);
    }
    sys_lock_give(&share->lock);
}

void share_leave(struct http_server *s)
{
    struct http_share *share = s->share;
    if (share == NULL)
        return;
    sys_lock_take(&share->lock);
    tarn_list_remove(&s->sharing);
    bool is_last = tarn_list_empty(&share->members);
    sys_lock_give(&share->lock);
    loop_unpost(s->loop, &s->look); /* nobody posts it any more */
    s->share = NULL;
    if (!is_last)
        return;
    sys_lock_release(&share->lock);
    tarn_free(share);
}
