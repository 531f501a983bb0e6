# SPDX-License-Identifier: Apache-2.0
"""Conversations for templates. styles/ holds short templates of our own in the styles of chat formats."""

TOOLS = [
    {"type": "function", "function": {
        "name": "count_stones", "description": "Counts the \"stones\" on a beach: <b>é</b>.",
        "parameters": {"type": "object", "properties": {
            "beach": {"type": "string", "description": "Its name."},
            "least": {"type": "integer", "minimum": 0},
            "wet": {"type": "boolean", "default": False},
            "kind": {"type": "string", "enum": ["flint", "chalk"]}},
            "required": ["beach"]}}},
    {"type": "function", "function": {"name": "tide", "description": "The tide now.",
                                      "parameters": {"type": "object", "properties": {}, "required": []}}},
]


def call(name, arguments, i):
    return {"id": f"call{i:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "Answer in one word. "}
ASK = {"role": "user", "content": "Which sea is north of Étretat? <b>\"It's\"</b>"}
BASE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "add_generation_prompt": True}
CALLS = [
    {"role": "user", "content": "How many stones?"},
    {"role": "assistant", "content": "", "tool_calls": [
        call("count_stones", {"beach": "Étretat", "least": 3, "wet": True, "part": 0.5, "of": [1, "a"],
                              "not": None}, 1)]},
    {"role": "tool", "name": "count_stones", "tool_call_id": "call00001", "content": "{\"n\": 12}"},
    {"role": "assistant", "content": "Twelve."}, {"role": "user", "content": "Thanks. And the tide?"},
]
TURNS = [ASK, {"role": "assistant", "content": " The Channel.\n"}, {"role": "user", "content": "\nAnd \"south\"?\t"},
         {"role": "assistant", "content": "日本 👩‍🚀"}, {"role": "user", "content": "OK"}]
THOUGHT = [ASK, {"role": "assistant", "content": "<think>\nhm, maps\n</think>\n\nThe Channel.",
                 "reasoning_content": "hm, maps"},
           {"role": "user", "content": "Sure?"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "One "}, {"type": "text", "text": "two"}]}]

CONVERSATIONS = {
    "one turn": {**BASE, "messages": [ASK]},
    "system": {**BASE, "messages": [SYSTEM, ASK]},
    "turns": {**BASE, "messages": [SYSTEM, *TURNS]},
    "no prompt": {**BASE, "messages": TURNS[:2], "add_generation_prompt": False},
    "tools": {**BASE, "messages": [SYSTEM, ASK], "tools": TOOLS},
    "calls": {**BASE, "messages": CALLS, "tools": TOOLS},
    "two calls": {**BASE, "messages": [SYSTEM, CALLS[0], {"role": "assistant", "content": None, "tool_calls": [
        call("count_stones", {"beach": "B"}, 1), call("tide", {}, 2)]}, CALLS[2],
        {"role": "tool", "name": "tide", "tool_call_id": "call00002", "content": "low"}], "tools": TOOLS},
    "reasoning": {**BASE, "messages": THOUGHT},
    "thinking on": {**BASE, "messages": [SYSTEM, *THOUGHT], "enable_thinking": True, "thinking": True,
                    "reasoning_effort": "high"},
    "thinking off": {**BASE, "messages": THOUGHT[:1], "enable_thinking": False, "thinking": False,
                     "reasoning_effort": "low"},
    "parts": {**BASE, "messages": PARTS},
    "two users": {**BASE, "messages": [ASK, ASK]},
}

# For templates of families (tools/make_template_goldens.py --defaults): answers with and without thoughts.
def answer(content, **fields):
    return {"role": "assistant", "content": content, **fields}


ANSWERS = {
    "last": [ASK, answer("\n\n The Channel.\n")],
    "last, thought": [ASK, answer("a <think>\n\nhm\n\n</think>\n\n\nThe Channel.")],
    "last, thought apart": [SYSTEM, ASK, answer("\nThe </think> Channel.", reasoning_content="\n\nhm\n")],
    "last, empty thought": [ASK, answer("<think>\n\n</think>\n\nThe Channel.", reasoning_content=None)],
    "two": [ASK, answer("<think>\nhm"), ASK, answer("</think>The", reasoning_content=""), answer("Channel.")],
    "two, thought": [ASK, answer("x</think>\n\nThe"), answer("<think>\n\n</think>y", reasoning_content="\n"), answer("b")],
    "many": [ASK, answer("<think>a</think>b</think>\nc<think>"), ASK, answer("1"), ASK],
    "no question": [SYSTEM, answer("Hello.")],
    "later system": [ASK, answer("\tHello. "), SYSTEM, ASK],
}

# For merge_system: besides the conversations above, what may stand before and behind a system message.
TEXT, IMAGE = {"type": "text", "text": "In <one>\nword."}, {"type": "image", "image": "a.png"}
LINES = {"role": "system", "content": [TEXT, IMAGE, {"type": "text", "text": "No more."}]}
MERGES = {
    "escapes": [{"role": "system", "content": "\"É\"\t"}, {"content": "\\n\n", "name": "Ann", "role": "user"}, ASK],
    "system alone": [SYSTEM],
    "parts alone": [LINES],
    "system, assistant": [SYSTEM, *TURNS[1:]],
    "two systems": [SYSTEM, SYSTEM, ASK],
    "later system": [ASK, SYSTEM, ASK],
    "to parts": [SYSTEM, {"role": "user", "content": [IMAGE, TEXT]}, *TURNS[1:]],
    "from parts": [LINES, ASK],
    "parts to parts": [LINES, *PARTS, ASK],
    "to a first part without type": [SYSTEM, {"role": "user", "content": [{"n": 1, "text": ""}, IMAGE]}],
    "to strings": [SYSTEM, {"role": "user", "content": ["a", {"text": None}]}],
    "no parts": [{"role": "system", "content": []}, {"role": "user", "content": []}],
    "empty": [{"role": "system", "content": ""}, {"role": "user", "content": ""}],
    "none": [{"role": "system", "content": None}, {"role": "user", "content": None}],
    "no content": [{"role": "system"}, {"role": "user", "name": "Ann"}],
    "numbers": [{"role": "system", "content": 5}, {"role": "user", "content": {"a": [1]}}],
    "strange parts": [{"role": "system", "content": ["a", {"text": 5}, {"text": ""}, {"text": "b"}, None]}, ASK],
    "no role": [{"content": "a"}, ASK],
    "no messages": [],
    "not messages": [5, ASK],
    "system, not a message": [SYSTEM, "user"],
    "a mapping": {"role": "system"},
    "a text": "system",
}
