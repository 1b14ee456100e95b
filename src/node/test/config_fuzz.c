/* Any bytes as a configuration: it is taken, or a sentence says why not; what is taken lies within
 * its range. */
#include "node/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tarn_err err = { 0 };
    struct tarn_out faults;
    tarn_out_init(&faults, 1 << 20);
    struct node_config *c = node_config_parse(tarn_bytes_of(data, size), "x", &faults, &err);
    if (c == NULL && (err.code == TARN_OK || faults.len == 0))
        abort();
    for (enum node_key key = 0; c != NULL && key < NODE_KEYS; key++) {
        const struct node_key_info *k = &node_keys[key];
        uint64_t n = node_config_number(c, key);
        if (k->max != 0 && (n < k->min || n > k->max) && !(n == 0 && k->words != NULL))
            abort();
    }
    for (size_t i = 0; c != NULL && i < node_config_collections(c); i++)
        if (node_config_collection(c, i)->path[0] != '/')
            abort();
    node_config_free(c);
    tarn_out_release(&faults);
    return 0;
}
