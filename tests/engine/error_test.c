/* error_test.c: chord_last_error returns the text of the last call only. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"

static chord_loaded *loaded;
static chord_session *session;

/* Fails with a text that no other failure has. */
static void fail_once(void)
{
    int32_t const id = -77777;
    CHECK_EQ(chord_session_push(session, &id, 1), CHORD_INVALID_ARGUMENT);
    char text[330];
    chord_last_error(loaded->model, text, sizeof text);
    CHECK_TEXT(text, "-77777");
}

static const char *last(void)
{
    static char text[330];
    CHECK_EQ(chord_last_error(loaded->model, text, sizeof text), strlen(text));
    return text;
}

/* FAILS: the call fails, and the last error holds `part`. WORKS: the call succeeds, and the last error is
 * empty. */
#define FAILS(call, part)                                                                      \
    do {                                                                                       \
        fail_once();                                                                           \
        CHECK((call) < 0);                                                                     \
        if (!strstr(last(), part) || !last()[0])                                               \
            test_fail(__FILE__, __LINE__, "%s: \"%s\", want '%s' in it", #call, last(), part); \
        CHECK(!strstr(last(), "77777"));                                                       \
    } while (0)
#define WORKS(call)                                                                    \
    do {                                                                               \
        fail_once();                                                                   \
        CHECK((call) >= 0);                                                            \
        if (last()[0]) test_fail(__FILE__, __LINE__, "%s left \"%s\"", #call, last()); \
    } while (0)

TEST(the_last_error_is_the_last_call_s_whatever_failed_before_it)
{
    loaded = load_fixture("f32-mha", 0, CHORD_KV_F32, 1, 8);
    session = open_session(loaded);
    chord_model *m = loaded->model;
    chord_tensor_info tensor;
    chord_model_info info;
    chord_session_state state;
    chord_session *fork = NULL;
    chord_batch_info batch;
    static float row[4096];
    CHECK(chord_model_plan_of(m)->n_vocab <= 4096);
    static _Alignas(64) char block[1 << 16];
    int32_t ids[16] = { 1, 2, 3 }, far = 1 << 20;
    double logprobs[3];
    chord_config const config = chord_config_default();
    chord_plan_info plan;
    chord_sampling sampling = { .version = CHORD_ABI_VERSION,
                                .size = (int32_t)sizeof sampling,
                                .top_p = 1,
                                .typical_p = 1,
                                .repetition_penalty = 1 };

    FAILS(chord_model_set_file_bytes(m, 1), "chord_model_set_file_bytes");
    FAILS(chord_model_give(m, NULL, 1), "block");
    FAILS(chord_model_give(m, block + 1, 1), "aligned");
    FAILS(chord_model_push(m, 0, 0, NULL, 1), "bytes");
    FAILS(chord_model_push(m, 1, 0, block, 1), "file 1");
    FAILS(chord_model_push(m, -1, 0, block, 1), "file -1");
    WORKS(chord_model_push(m, 0, 0, block, 1));
    WORKS(chord_model_end(m));
    FAILS(chord_model_plan(m, &config, &plan), "chord_model_plan");
    FAILS(chord_model_plan(m, NULL, &plan), "config");
    FAILS(chord_model_begin(m, block, sizeof block), "chord_model_begin");
    FAILS(chord_model_begin(m, NULL, 0), "block");
    FAILS(chord_model_tensor(m, -1, &tensor, NULL, 0), "no tensor -1, the file has 21");
    FAILS(chord_model_tensor(m, 0, NULL, NULL, 0), "out");
    WORKS(chord_model_tensor(m, 0, &tensor, NULL, 0));
    CHECK_EQ(tensor.file, 0);
    FAILS(chord_model_get_info(m, NULL), "out");
    WORKS(chord_model_get_info(m, &info));
    FAILS(chord_model_row(m, 21, 0, block, sizeof block), "no tensor 21, the file has 21");
    FAILS(chord_model_row(m, 0, 1 << 30, block, sizeof block), "rows");
    FAILS(chord_model_row(m, 0, 0, block, 1), "takes 192 bytes");
    WORKS(chord_model_row(m, 0, 0, block, sizeof block));
    FAILS(chord_model_profile(m, (double *)(void *)(block + 4)), "aligned");
    WORKS(chord_model_profile(m, NULL));
    FAILS(chord_tokenize(m, NULL, 1, 0, ids, 16, block, sizeof block), "text");
    FAILS(chord_tokenize(m, "abc", 3, 0, ids, 16, block, 0), "scratch");
    WORKS(chord_tokenize(m, "abc", 3, 0, ids, 16, block, sizeof block));
    FAILS(chord_detokenize(m, NULL, 1, 0, block, sizeof block), "ids");
    FAILS(chord_detokenize(m, &far, 1, 0, block, sizeof block), "ids[0] is 1048576");
    WORKS(chord_detokenize(m, ids, 1, 0, block, sizeof block));
    FAILS(chord_token_flags(m, far), "1048576");
    WORKS(chord_token_flags(m, 1));

    FAILS(chord_session_open(m, block, 1) ? 0 : -1, "a block of");
    FAILS(chord_session_push(session, NULL, 2), "2 ids at NULL");
    FAILS(chord_session_push_embeddings(session, NULL, NULL, 2), "the address is NULL");
    FAILS(chord_session_accept_token(session, far), "1048576");
    FAILS(chord_session_next_batch(session, NULL), "out is NULL");
    FAILS(chord_session_accept_batch(session), "no batch");
    WORKS(chord_session_next_batch(session, &batch));
    WORKS(chord_session_drop_batch(session));
    FAILS(chord_session_sample_row(session, &sampling, NULL), "logits is NULL");
    FAILS(chord_session_sample_row(session, NULL, row), "sampling");
    WORKS(chord_session_sample_row(session, &sampling, row));
    FAILS(chord_session_outputs(session, 7), "mode 7");
    WORKS(chord_session_outputs(session, CHORD_OUTPUT_LAST));
    FAILS(chord_session_sample(session, &sampling), "no logits");
    FAILS(chord_session_sample(session, NULL), "sampling");
    FAILS(chord_session_logprobs(session, 1, 2, ids, logprobs), "no logits");
    FAILS(chord_session_truncate(session, 1000), "1000");
    WORKS(chord_session_truncate(session, 0));
    FAILS(chord_session_fork(session, block, 1, &fork), "a block of");
    FAILS(chord_session_fork(session, block, sizeof block, NULL), "out");
    WORKS(chord_session_fork(session, block, sizeof block, &fork));
    FAILS(chord_session_get_state(session, NULL), "out");
    WORKS(chord_session_push(session, ids, 3));
    WORKS(chord_load_run(loaded, session, CHORD_NO_LIMIT));
    WORKS(chord_session_sample(session, &sampling));
    FAILS(chord_session_logprobs(session, far, 2, ids, logprobs), "1048576");
    FAILS(chord_session_logprobs(session, -1, 2, ids, logprobs), "id -1");
    FAILS(chord_session_logprobs(session, 1, CHORD_MAX_TOP + 1, ids, logprobs), "k is 21, not 0 to 20");
    FAILS(chord_session_logprobs(session, 1, -1, ids, logprobs), "k is -1");
    FAILS(chord_session_logprobs(session, 1, 2, NULL, logprobs), "NULL");
    FAILS(chord_session_logprobs(session, 1, 2, ids, NULL), "NULL");
    FAILS(chord_session_logprobs(session, 1, 2, ids, (double *)(void *)(block + 4)), "8 bytes");
    CHECK_EQ(chord_session_logprobs(session, 1, 2, ids, logprobs), 3);
    CHECK_EQ(ids[0], 1);
    CHECK(logprobs[1] >= logprobs[2] && logprobs[1] >= logprobs[0] && logprobs[1] < 0);
    CHECK_EQ(chord_session_get_state(session, &state), CHORD_OK);
    chord_unload(loaded);
}
