/* node/path: a path on disk as somebody wrote it, as the index may have it: collections stand there
 * by their real path, without symbolic links. */
#ifndef NODE_PATH_H
#define NODE_PATH_H

/* Other ways to write one path; both owned, each NULL where there is none. Neither says that
 * something is there. */
struct node_path {
    /* Its folders real as far as they are there, the rest as it was written: the last name may be a
     * link that is published itself, or what has gone from the disk but not from the index. */
    char *named;
    char *real; /* where it leads in the end */
};

/* Asks the file system, which may take its time: not on a loop. path is absolute. What cannot be
 * found out stays NULL. */
void node_path_resolve(struct node_path *p, const char *path);
void node_path_release(struct node_path *p); /* accepts a zeroed one */

#endif
