/* chat.c: what is rendered for a file without a chat template, where the architecture is one family's. The
 * texts are our own; for text messages they render what the named templates render. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

/* Qwen2.5's and Qwen2's templates, and ChatML in general. Without a system message the two say who they are,
 * each in its own words; here nobody speaks for the model. */
const char chord_chat_qwen2[] =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/* Qwen3's template: thoughts of answers before the last question are left out, and the last answer has them,
 * at least as an empty block. */
const char chord_chat_qwen3[] =
    "{% set ns = namespace(asked=messages|length - 1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{% set text = m.content %}{% set thought = m.reasoning_content %}"
    "{% if m.role == 'assistant' %}"
    "{% if thought is not string %}"
    "{% set thought = text.split('</think>')[0].split('<think>')[-1].strip('\n') if '</think>' in text else '' %}"
    "{% set text = text.split('</think>')[-1].lstrip('\n') if '</think>' in text else text %}{% endif %}"
    "{% if loop.index0 > ns.asked and (loop.last or thought) %}"
    "{% set text = '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + text.lstrip('\n') %}{% endif %}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + text + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}";

/* Gemma 3's template (gemma-3-270m-it): the system's text begins the first turn. */
const char chord_chat_gemma3[] =
    "{{ bos_token }}{% set lead = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}"
    "{% for m in (messages[1:] if lead else messages) %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must take turns, the user first') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + (lead if loop.first else '') }}"
    "{{ (m.content + '')|trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";
