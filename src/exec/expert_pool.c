/* SPDX-License-Identifier: Apache-2.0 */
#include "expert_pool.h"
#include "../base/host.h"

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

enum { FREE = 0, ASKED = 1, LOADING = 2, LOADED = 3 };

static int32_t word_of(int32_t expert, int32_t state) { return expert << 2 | state; }

static bool swap(int32_t *word, int32_t from, int32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* ---- the leader's ------------------------------------------------------------------------------------- */

static int32_t state_of(const chord_stacks *s, int32_t expert)
{
    int32_t const slot = s->slot_of[expert];
    return slot < 0 ? FREE : LOAD(&s->slots[slot].word) & 3;
}

bool chord_expert_is_there(const chord_stacks *s, int32_t expert) { return state_of(s, expert) == LOADED; }

/* Takes the slot from its expert. */
static void leave(chord_stacks *s, chord_expert_slot *slot)
{
    if (slot->expert >= 0) s->slot_of[slot->expert] = CHORD_NONE;
    slot->expert = CHORD_NONE;
    STORE(&slot->fault, 0);
}

static bool is_needed(const chord_stacks *s, int32_t expert)
{
    return expert >= 0 && s->place[expert] >= s->n_done;
}

/* Returns the slot for an expert that has none; NULL: there is none yet. A slot whose load failed stays the
 * expert's that the batch needs, until the failure is reported. */
static chord_expert_slot *slot_to_take(const chord_stacks *s)
{
    chord_expert_slot *best = NULL;
    for (chord_expert_slot *slot = s->slots; slot < s->slots + s->n_slots; slot++) {
        int32_t const state = LOAD(&slot->word) & 3;
        if (state == ASKED || state == LOADING || is_needed(s, slot->expert)) continue;
        if (state == FREE) return slot;
        if (!best || slot->used < best->used) best = slot;
    }
    return best;
}

/* Asks for missing experts, as far as there are slots. */
static void ask(chord_pager *p, chord_stacks *s)
{
    bool has_asked = false;
    for (; s->n_asked < s->n_chosen; s->n_asked++) {
        int32_t const expert = s->order[s->n_asked];
        if (s->slot_of[expert] >= 0) continue;
        chord_expert_slot *slot = slot_to_take(s);
        if (!slot) break;
        leave(s, slot);
        s->slot_of[expert] = (int32_t)(slot - s->slots);
        slot->expert = expert;
        STORE(&slot->turn, s->n_asked);
        slot->used = p->n_experts;
        STORE(&slot->word, word_of(expert, ASKED));
        has_asked = true;
    }
    if (has_asked) chord_pager_bump(&p->words[1]);
}

/* Appends the batch's experts of which `first` <= state <= `last` to the order. */
static void append(chord_stacks *s, int32_t first, int32_t last)
{
    for (int32_t e = 0; e < s->n_expert; e++) {
        if (s->place[e] != INT32_MAX) continue;
        int32_t const state = state_of(s, e);
        if (state < first || state > last) continue;
        s->place[e] = s->n_chosen;
        s->order[s->n_chosen++] = e;
    }
}

static void begin(chord_pager *p, chord_stacks *s, const chord_batch *batch)
{
    const chord_plan *plan = p->plan;
    for (chord_expert_slot *slot = s->slots; slot < s->slots + s->n_slots; slot++)
        if (LOAD(&slot->word) == FREE) leave(s, slot); /* it failed, or an earlier batch asked for it */
    const chord_op *op = &plan->program.ops[s->op];
    const float *chosen = plan->slots[op->in[1]];
    int64_t const stride = chord_slot_stride(&plan->program.slots[op->in[1]]);
    s->turn = p->turn;
    for (int32_t e = 0; e < s->n_expert; e++) s->place[e] = CHORD_NONE;
    for (int32_t t = 0; t < batch->n_tokens; t++)
        for (int32_t u = 0; u < op->experts.n_used; u++)
            s->place[(int32_t)chosen[t * stride + u]] = INT32_MAX;
    s->n_chosen = s->n_asked = s->n_done = 0;
    append(s, LOADED, LOADED);
    p->n_hits += s->n_chosen;
    append(s, ASKED, LOADING);
    append(s, FREE, LOADED); /* what came meanwhile, too */
    p->n_experts += s->n_chosen;
    for (int32_t k = 0; k < s->n_chosen; k++)
        if (s->slot_of[s->order[k]] >= 0) s->slots[s->slot_of[s->order[k]]].used = p->n_experts;
    ask(p, s);
}

void chord_experts_begin(chord_pager *p, chord_stacks *s, const chord_batch *batch)
{
    if (s->turn == p->turn) return;
    const chord_op *ops = p->plan->program.ops;
    STORE(&p->stacks, (int32_t)(s - p->plan->stacks));
    begin(p, s, batch);
    chord_stacks *next = s + 1;
    if (next == p->plan->stacks + p->plan->n_stacks || next->layer != s->layer ||
        next->n_expert != s->n_expert || ops[next->op].in[1] != ops[s->op].in[1])
        return;
    begin(p, next, batch);
}

chord_status chord_experts_need(chord_pager *p, chord_stacks *s, int32_t expert, chord_error *e)
{
    s->n_done = s->place[expert];
    ask(p, s);
    int32_t const slot = s->slot_of[expert];
    if (slot < 0) return CHORD_NEED_WEIGHTS;
    int32_t const state = LOAD(&s->slots[slot].word) & 3;
    if (state == LOADED) return CHORD_OK;
    if (state != FREE) return CHORD_NEED_WEIGHTS;
    if (LOAD(&s->slots[slot].claimed) != LOAD(&p->turn)) {
        STORE(&s->slots[slot].word, word_of(expert, ASKED));
        chord_pager_bump(&p->words[1]);
        return CHORD_NEED_WEIGHTS;
    }
    chord_status const fault = LOAD(&s->slots[slot].fault);
    leave(s, &s->slots[slot]);
    chord_pager_tell(p, e);
    return e->length ? fault : chord_fail(e, fault, "layer %d: expert %d couldn't be read", s->layer, expert);
}

void chord_experts_rewind(chord_pager *p)
{
    int32_t const first = LOAD(&p->stacks);
    for (int32_t i = first; i < p->plan->n_stacks && i < first + 2; i++) {
        const chord_stacks *s = &p->plan->stacks[i];
        for (chord_expert_slot *slot = s->slots; slot < s->slots + s->n_slots; slot++)
            if (slot->expert >= 0) swap(&slot->word, word_of(slot->expert, ASKED), FREE);
    }
}

/* ---- the loader's ------------------------------------------------------------------------------------- */

/* Returns the slot of the stacks that was asked for first, or NULL. */
static chord_expert_slot *asked(const chord_stacks *s)
{
    chord_expert_slot *first = NULL;
    for (chord_expert_slot *slot = s->slots; slot < s->slots + s->n_slots; slot++)
        if ((LOAD(&slot->word) & 3) == ASKED && (!first || LOAD(&slot->turn) < LOAD(&first->turn)))
            first = slot;
    return first;
}

int32_t chord_experts_next(chord_pager *p, bool take)
{
    const chord_plan *plan = p->plan;
    int32_t const first = LOAD(&p->stacks);
    for (int32_t i = first; i < plan->n_stacks && i < first + 2; i++) {
        const chord_stacks *s = &plan->stacks[i];
        for (chord_expert_slot *slot; (slot = asked(s));) {
            int32_t const word = LOAD(&slot->word), expert = word >> 2;
            if ((word & 3) != ASKED) continue;
            if (take && !swap(&slot->word, word, word_of(expert, LOADING))) continue;
            if (take) {
                STORE(&slot->n_loaded, 0);
                STORE(&slot->claimed, LOAD(&p->turn));
            }
            return s->first_page + expert;
        }
    }
    return CHORD_NONE;
}

chord_stacks *chord_stacks_of_page(const chord_plan *plan, int32_t page)
{
    for (int32_t i = 0; i < plan->n_stacks; i++) {
        chord_stacks *s = &plan->stacks[i];
        if (page >= s->first_page && page < s->first_page + s->n_expert) return s;
    }
    return NULL;
}

chord_expert_slot *chord_expert_loading(const chord_stacks *s, int32_t expert)
{
    for (chord_expert_slot *slot = s->slots; slot < s->slots + s->n_slots; slot++)
        if (LOAD(&slot->word) == word_of(expert, LOADING)) return slot;
    return NULL;
}

void chord_expert_loaded(chord_expert_slot *slot, int32_t expert)
{
    STORE(&slot->word, word_of(expert, LOADED));
}

void chord_expert_failed(chord_expert_slot *slot, chord_status status)
{
    STORE(&slot->fault, status);
    STORE(&slot->word, FREE);
}
