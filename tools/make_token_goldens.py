#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes llama.cpp's ids of some hundred texts: tests/golden/*_tokens.txt.

  python3 tools/make_token_goldens.py smollm2 > tests/golden/smollm2_tokens.txt

Other vocabularies: gemma3-270m, qwen2.5-coder.

Needs PyPI `llama-cpp-python`. The texts are written or drawn in this script and always the same. Format:
tests/golden/README.md."""
import os
import random
import sys

import llama_cpp as L

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../models')
ADD, PARSE = 1, 2


def code(r):
    names = ['count', 'x', 'myValue', 'HTTP_STATUS', '_private', 'i', 'buf2', 'Foo', 'snake_case_name',
             'camelCaseName', '$el', 'π']
    name = lambda: r.choice(names)
    number = lambda: r.choice(['0', '1', '42', '0xFF', '1e-9', '3.14159', '1_000_000', '0b1010', '-7'])
    tab = r.choice(['    ', '\t', '  '])
    forms = [
        lambda: f'def {name()}({name()}, {name()}={number()}):\n{tab}return {name()} + {number()}\n',
        lambda: f'for (int {name()} = 0; {name()} < {number()}; {name()}++) {{\n{tab}{name()}[{name()}] += {number()};\n}}\n',
        lambda: f'const {name()} = async ({name()}) => {{ await fetch(`/api/${{{name()}}}?q=${{{number()}}}`); }};',
        lambda: f'#include <{name()}.h>\n#define {name()} ({number()} << {number()})\n/* {name()} isn\'t {name()} */\n',
        lambda: f'SELECT {name()}, COUNT(*) FROM {name()} WHERE {name()} >= {number()} GROUP BY 1; -- {name()}',
        lambda: f'<div class="{name()} {name()}" id=\'{name()}\'>\n{tab}{tab}<p>{number()}</p>\n{tab}</div>\r\n',
        lambda: f'{{"{name()}": [{number()}, null, true], "{name()}": {{"{name()}": "\\u00e9\\n"}}}}',
        lambda: f'impl<T: {name()}> {name()} for Vec<T> {{ fn {name()}(&self) -> Option<&T> {{ self.get({number()})? }} }}',
        lambda: f'if [ -z "${{{name()}:-}}" ]; then\n{tab}echo "{name()}" >&2 && exit {number()}\nfi\n',
        lambda: f'{name()}!={name()}&&({name()}||!{name()})?{number()}:{name()}**{number()}//{name()}',
    ]
    return r.choice(forms)() + (r.choice(forms)() if r.random() < .5 else '')


CJK = ['東京は日本の首都です。', '人工知能', '你好，世界！', '機械學習', '今天天氣很好。', '한국어 문장입니다.', '안녕하세요', 'カタカナ', 'ひらがな', '「引用」',
       '２０２４年', '中文English混排', '漢字かな交じり文', '龘', '𠮷野家', '한글 자모 ㄱㄴㄷ', '……', '、', '\u3000', '円¥100', 'ﾊﾝｶｸ',
       '々〆ヶ', '①②③', '第3章', '數學：a²+b²=c²']
RIGHT = ['مرحبا بالعالم', 'السلام عليكم', 'שלום עולם', 'עברית עם נִקּוּד', 'สวัสดีครับ',
         'ภาษาไทยไม่มีช่องว่าง', 'القرآن الكريم', '١٢٣٤', '۱۲۳', '٪', '؟', '،', 'مَرْحَبًا', 'ירושלים',
         'กรุงเทพมหานคร', '฿๑๒๓', 'عدد 42 كتاب', 'אבג123', 'ـــ', '\u200f', '\u200e', 'لا إله', 'ש״ס',
         'เก้าอี้', '\u0640', 'پارسی']
EMOJI = ['😀', '👩\u200d🚀', '👨\u200d👩\u200d👧\u200d👦', '🏳️\u200d🌈',
         '🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f', '👍🏽', '❤️', '🇫🇷', '🇩🇪🇯🇵', '1️⃣',
         '#️⃣', '🧑🏿\u200d🤝\u200d🧑🏻', '☺', '\ufe0f', '\u200d', '🤷\u200d♀️', '🫠', '™️', '©', '🐈\u200d⬛', '🦜',
         '✅✅', '→', '🎉🎉🎉', '\u20e3']
BLANKS = [' ', '  ', '   ', '\t', '\t\t', '\n', '\n\n', '\r\n', '\r', '\u00a0', '\u2003', '\u3000', '\u2028',
          '\x85', '\x0b', '\x0c', ' \n', '\n ', ' ' * 7, ' ' * 16, ' ' * 40, '\n' * 9]
CONTRACTED = ["I'm", "you're", "it's", "we've", "they'll", "he'd", "can't", "I'M", "YOU'RE", "IT'S", "WE'VE",
              "THEY'LL", "HE'D", "CAN'T", "o'clock", "'tis", "rock'n'roll", "'s", "'S", "''s", "'ll'll",
              "x'sy", "don’t", "it’s", "y'all'd've", "'re ", " 'm", "l'été", "d'accord", "5'10\"",
              "the dogs' bowls", "'t'd'l", "'ſ"]
SMOLLM2 = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<repo_name>', '<reponame>', '<file_sep>',
           '<filename>', '<gh_stars>', '<issue_start>', '<issue_comment>', '<issue_closed>',
           '<jupyter_start>', '<jupyter_text>', '<jupyter_code>', '<jupyter_output>', '<jupyter_script>',
           '<empty_output>']
GEMMA3 = ['<bos>', '<eos>', '<pad>', '<unk>', '<mask>', '<start_of_turn>', '<end_of_turn>', '<unused0>',
          '<unused42>', '[multimodal]', '<start_of_image>', '<table>', '</td>', '<h1>', '</code>', '\n\n\n',
          '\t\t', '▁▁▁', '<0x0A>']
QWEN2 = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|object_ref_start|>', '<|box_end|>',
         '<|vision_pad|>', '<|fim_prefix|>', '<|fim_middle|>', '<|fim_suffix|>', '<|fim_pad|>',
         '<|repo_name|>', '<|file_sep|>', '<tool_call>', '</tool_call>']
AROUND = ['', ' ', '\n', 'user', 'assistant\n', 'Hello', ' text ', '<|', '|>', '<|im_', 'start|>',
          '<|IM_START|>', '<', '>', '<s>', '</s>', '42', 'é', '\r\n', '  ', '<|im_start', 'im_end|>']


def joined(r, parts, most, separators=('', '', ' ', ', ', '\n')):
    return ''.join(r.choice(parts) + r.choice(separators) for _ in range(r.randint(1, most)))


def blanks(r):
    words = ['a', 'word', 'x', '.', '!', '7', 'é', '東', '}', '']
    return ''.join(r.choice(words) + ''.join(r.choice(BLANKS) for _ in range(r.randint(1, 3)))
                   for _ in range(r.randint(1, 5))) + r.choice(words)


def digits(r):
    forms = [lambda: str(r.randrange(10 ** r.randint(1, 20))), lambda: f'{r.random():.{r.randint(1, 12)}f}',
             lambda: f'{r.randrange(10 ** 9):,}', lambda: '0' * r.randint(1, 9),
             lambda: f'{r.randint(1, 31)}/{r.randint(1, 12)}/{r.randint(1900, 2100)}',
             lambda: f'{r.randint(0, 23):02}:{r.randint(0, 59):02}',
             lambda: f'v{r.randint(0, 9)}.{r.randint(0, 99)}', lambda: '½¼²³', lambda: '٣٤٥', lambda: 'Ⅷ',
             lambda: '１２３', lambda: f'${r.randint(1, 999)}', lambda: f'{r.randint(1, 99)}%', lambda: '१२३']
    return ''.join(r.choice(forms)() + r.choice(['', ' ', ' x', '-', '\n', 'e', ', '])
                   for _ in range(r.randint(1, 5)))


KINDS = [
    ('code', code, [0]),
    ('cjk', lambda r: joined(r, CJK, 6), [0]),
    ('arabic-hebrew-thai', lambda r: joined(r, RIGHT, 6), [0]),
    ('emoji', lambda r: joined(r, EMOJI, 6, ('', '', ' ', 'a', ' wow ')), [0]),
    ('white-space', blanks, [0]),
    ('digits', digits, [0]),
    ('contractions', lambda r: joined(r, CONTRACTED, 7, ('', ' ', ' ', '. ', '\n')), [0]),
    ('special',
     lambda r: ''.join(r.choice(AROUND) + r.choice(special) + r.choice(AROUND)
                       for _ in range(r.randint(1, 4))),
     [0, PARSE, ADD | PARSE]),
]
# the model with the vocabulary, number of texts of each kind, special tokens
VOCABULARIES = {
    'smollm2': ('SmolLM2-135M-Instruct.Q4_1.gguf', 40, SMOLLM2),
    'gemma3-270m': ('gemma-3-270m.Q4_K_M.gguf', 15, GEMMA3),
    'qwen2.5-coder': ('Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf', 15, QWEN2),
}
file, each, special = VOCABULARIES[sys.argv[1]]


def texts(make, r):
    """Returns `each` different texts."""
    seen = []
    while len(seen) < each:
        text = make(r)
        if text not in seen:
            seen.append(text)
    return seen


log_callback = L.llama_log_callback(lambda level, text, user: None)


def main():
    L.llama_log_set(log_callback, None)
    L.llama_backend_init()
    parameters = L.llama_model_default_params()
    parameters.vocab_only = True
    model = L.llama_model_load_from_file(os.path.join(MODELS, file).encode(), parameters)
    vocab = L.llama_model_get_vocab(model)
    n_vocab = L.llama_vocab_n_tokens(vocab)
    print(f'# llama.cpp\'s ids for {file}; made by tools/make_token_goldens.py, format: README.md')
    print('n_vocab', n_vocab)
    print('end_tokens', *(i for i in range(n_vocab) if L.llama_vocab_is_eog(vocab, i)))
    for kind, make, flags in KINDS:
        print('#', kind)
        for text in texts(make, random.Random(kind)):
            data = text.encode()
            for flag in flags:
                ids = (L.llama_token * (len(data) + 8))()
                n = L.llama_tokenize(vocab, data, len(data), ids, len(ids),
                                     bool(flag & ADD), bool(flag & PARSE))
                print('text', flag, data.hex() or '-', *ids[:n])


main()
