#include "kv/kv.h"

#include "kv/test/room.h"

/* Opening. */

static void test_what_was_written_is_there_after_opening_again(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    room_expect(kv, WORDS, "a", NULL);
    room_put(kv, WORDS, "a", "one");
    room_put(kv, WORDS, "b", "");
    room_put(kv, NUMBERS, "a", "1");
    room_expect(kv, WORDS, "a", "one");
    uint64_t seq = kv_seq(kv);
    kv_close(kv);
    kv = room_open_usual();
    assert_int_equal(kv_seq(kv), seq); /* opening writes nothing */
    room_expect(kv, WORDS, "a", "one");
    room_expect(kv, WORDS, "b", "");
    room_expect(kv, NUMBERS, "a", "1");
    room_expect(kv, NUMBERS, "b", NULL);
    room_put(kv, WORDS, "a", NULL);
    room_put(kv, WORDS, "a", NULL); /* fine when there is none */
    room_expect(kv, WORDS, "a", NULL);
    assert_int_equal(room_count(kv, WORDS), 1);
    kv_close(kv);
    kv_close(NULL);
}

TEST_MAIN(IN_ROOM(test_what_was_written_is_there_after_opening_again))
