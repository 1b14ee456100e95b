/* node/sockets: see the header. */
#include "node/sockets.h"

#include "sys/file.h"

#include <stdio.h>

static const char *const door_names[NODE_DOORS] = { "http", "admin", "control" };

static void add(struct node_sockets *s, int fd, enum node_door door, bool is_inherited)
{
    s->all[s->n++] = (struct node_socket){ fd, door, is_inherited };
}

static bool has_inherited(const struct node_sockets *s, enum node_door door)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->all[i].door == door && s->all[i].is_inherited)
            return true;
    return false;
}

/* What is called by none of our names is for the web door, as a unit with one socket has it:
 * systemd then gives the unit's name. */
static bool take_inherited(struct node_sockets *s, struct tarn_err *err)
{
    struct sys_inherited got[SYS_INHERITED_MAX];
    size_t n;
    if (!sys_inherited(got, &n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        enum node_door door = NODE_DOOR_HTTP;
        for (enum node_door d = 0; d < NODE_DOORS; d++)
            if (strcmp(got[i].name, door_names[d]) == 0)
                door = d;
        add(s, got[i].fd, door, true);
    }
    return true;
}

static bool fail_listen(const struct node_config *c, enum node_key key, const struct sys_addr *at,
                        struct tarn_err *err)
{
    struct sys_addr_text where;
    struct node_key_text name;
    if (err == NULL)
        return false;
    struct tarn_err why = *err;
    return tarn_fail(err, TARN_E_USAGE,
                     "%s (%s, %s); 'ss -ltnp sport = :%u' says who listens at %s", why.msg,
                     node_key_text(&name, key), node_config_origin_text(c, key), at->port,
                     sys_addr_text(&where, at));
}

static bool listen_at(struct node_sockets *s, const struct node_config *c, enum node_key key,
                      enum node_door door, const struct sys_addr *addrs, size_t n,
                      struct tarn_err *err)
{
    for (size_t i = 0; i < n && !has_inherited(s, door); i++) {
        int fd = sys_tcp_listen(&addrs[i], err);
        if (fd < 0)
            return fail_listen(c, key, &addrs[i], err);
        add(s, fd, door, false);
    }
    return true;
}

bool node_sockets_open(struct node_sockets *s, const struct node_config *c, bool takes_inherited,
                       const struct sys_addr *admin_usual, struct tarn_err *err)
{
    size_t n_http, n_admin;
    const struct sys_addr *http = node_config_addrs(c, NODE_HTTP_LISTEN, &n_http);
    const struct sys_addr *admin = node_config_addrs(c, NODE_ADMIN_LISTEN, &n_admin);
    *s = (struct node_sockets){ 0 };
    if (admin_usual != NULL && node_config_origin(c, NODE_ADMIN_LISTEN) == NODE_BUILT_IN) {
        admin = admin_usual;
        n_admin = 1;
    }
    if ((!takes_inherited || take_inherited(s, err)) &&
        listen_at(s, c, NODE_HTTP_LISTEN, NODE_DOOR_HTTP, http, n_http, err) &&
        listen_at(s, c, NODE_ADMIN_LISTEN, NODE_DOOR_ADMIN, admin, n_admin, err))
        return true;
    node_sockets_release(s);
    return false;
}

void node_sockets_release(struct node_sockets *s)
{
    for (size_t i = 0; i < s->n; i++)
        sys_close(&s->all[i].fd);
    s->n = 0;
}
