#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small vocabularies and llama.cpp's ids of some hundred texts: tests/golden/vocab/*.gguf and *.txt.

  python3 tools/make_vocab_fixtures.py          # all
  python3 tools/make_vocab_fixtures.py bert     # those whose name begins with a word

Needs PyPI `llama-cpp-python`. Vocabularies and texts are made in this script and always the same.

NAME.txt has the ids themselves. pre.txt has hashes: each value of tokenizer.ggml.pre over the vocabulary
bpe.gguf, or raw.gguf where tokens are text. Format: tests/golden/README.md."""
import ctypes
import os
import random
import struct
import sys
import tempfile

import llama_cpp as L

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/golden/vocab')
PRES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../src/text/pre_tables.c')
ADD, PARSE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BLANK = '\u2581'
RAW = ['gemma4', 'granite-embed-multi-311m', 'sarvam-moe', 'whitespace']

# ---- GGUF --------------------------------------------------------------------------------------


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack('<Q', len(data)) + data


def value(v):
    """Returns type and bytes of a value. An int is a u32; a list of ints i32, of bytes u8, of floats f32."""
    if isinstance(v, bool):
        return 7, bytes([v])
    if isinstance(v, int):
        return 4, struct.pack('<I', v)
    if isinstance(v, str):
        return 8, string(v)
    if isinstance(v, bytes):
        return 9, struct.pack('<IQ', 0, len(v)) + v
    kind = {str: 8, int: 5, float: 6}[type(v[0])]
    form = {8: string, 5: lambda x: struct.pack('<i', x), 6: lambda x: struct.pack('<f', x)}[kind]
    return 9, struct.pack('<IQ', kind, len(v)) + b''.join(map(form, v))


def write(path, keys):
    """Writes a file without tensors."""
    with open(path, 'wb') as f:
        f.write(struct.pack('<4sIQQ', b'GGUF', 3, 0, len(keys)))
        for key, v in keys.items():
            kind, data = value(v)
            f.write(string(key) + struct.pack('<I', kind) + data)


def vocabulary(model, tokens, **keys):
    """tokens: (text, type, score). A list `merges` is taken as it is."""
    out = {'general.architecture': keys.pop('architecture', 'llama'), 'tokenizer.ggml.model': model}
    if 'name' in keys:
        out['general.name'] = keys.pop('name')
    out['tokenizer.ggml.tokens'] = [t[0] for t in tokens]
    out['tokenizer.ggml.token_type'] = [t[1] for t in tokens]
    if any(t[2] for t in tokens):
        out['tokenizer.ggml.scores'] = [float(t[2]) for t in tokens]
    for key, v in keys.items():
        out['tokenizer.ggml.' + key.replace('__', '.')] = v
    return out


# ---- texts -------------------------------------------------------------------------------------

# characters on both sides of every class that a pattern has
LETTERS = ['a', 'b', 's', 't', 'l', 'A', 'S', 'L', 'é', 'ǅ', 'ſ', 'ა', 'ا', 'ก', '漢', '龥', '鿃', '䶿', '豈',
    '𠮷', 'カ', 'ﾊ',
           '가', 'ㄱ', 'ㄅ', 'ʰ']
DIGITS = ['1', '2', '3', '٣', '½', '１', 'Ⅷ']
MARKS = ['\u0301', '\u093f']
SIGNS = ["'", '!', '.', ',', '/', '(', '|', '<', '~', '$', '_', '`', '。', '、', '…', '“', '—', '！', '😀',
    '°', '\u200d']
SPACES = [' ', '\n', '\r', '\t', '\u00a0', '\u3000', '\x85', '\x1c']
ALL = LETTERS + DIGITS + MARKS + SIGNS + SPACES
SAMPLES = [
    "I'm sure they'll say it's 'nuff, WE'VE SEEN'T: y'all'd've", 'fooBar HTTPServer snake_case_name x2y3',
    '12345678 1234567 123456 12345',
    'a1b22c333d4444 5e-10 3.14159 1,234,567.89 0x1F',
    'one  two   three    four\tfive\t\tsix \n seven\n\n\neight\r\nnine  ',
    ' leading and trailing ', '        eight' + ' ' * 600 + 'x' + ' ' * 130 + '\n',
    'if (x != y) {\n\treturn "str\\n";\n}\n//comment\n/* c */', '<sentinel:12> IMGIMGABCDZ IMGIMGABCDEZ',
    '東京は日本の首都です。人工知能、「引用」！', '한국어 문장입니다. ㄱㄴㄷ', 'ㄅㄆㄇ 〇々〆', 'مرحبا بالعالم ١٢٣٤٥٦٧ ١٢',
    'สวัสดีครับ ภาษาไทย ๑๒๓', 'नमस्ते दुनिया १२३', 'Ελληνικά Кириллица ÅÉÎÕÜ ñ ßẞ İı',
    '👩\u200d🚀👨\u200d👩\u200d👧\u200d👦🏳️\u200d🌈 ☺️ 🇫🇷', 'e\u0301a\u0300 \u0301x \u0301',
    '½¼12½ 1２3４5 ⅧⅨ123Ⅷ 123½4567', 'word\u00a0word\u2003word\u3000word\u2028word\x85word',
    '\x00\x01\x1f\x7f\ufeff\u200b\u00ad',
    'a' * 70, '1' * 40, '=' * 33 + '-' * 17, '\n' * 12, '漢' * 21, 'é' * 30 + "'s", "'S'T'RE'Ve'm'LL'd'",
    "x'sy 'tis rock'n'roll l'été 5'10\"",
    'https://example.org/a/b?c=d&e=%20#f', '$x += `a|b` ~^ <=>', '…—“quoted”‘x’', 'ﬁ ﬃ ﾊﾝｶｸ ＡＢＣ ａｂｃ',
    '𠮷野家 𪛖 豈 丽', 'ⅠⅡ ①② ²³', '▁ ▁▁a▁b', 'L’été, d’accord', 'Ab aB AB ab ABc abC aBCd',
]
INVALID = [b'\xff', b'abc \xff def', b'\xc3', b'a\xe2\x96', b'\xe2\x96 \x81', b'\xf0\x9f\x98', b'\xc0\x80',
    b'\xed\xa0\x80', b'\x80\x80 x',
           b'\xe2 a', b'\xf4\x90\x80', 'é'.encode()[:1] + b'e', b'1\xff2\xff3']


def texts(r, n, special=()):
    """Returns (flags, bytes): the samples, the invalid ones, and n drawn ones."""
    out = [(i % 4, s.encode()) for i, s in enumerate(SAMPLES)] + [(0, b) for b in INVALID] + [(ADD, b'')]
    for i in range(n):
        pools = r.sample([LETTERS, DIGITS, MARKS + LETTERS[:9], SIGNS, SPACES, ALL, LETTERS[:8] + [' '],
            DIGITS[:3], [' ', 'a'],
                          [' ', '\n', 'b', '!']], r.randint(1, 4))
        text = ''.join(r.choice(r.choice(pools)) for _ in range(r.randint(1, 24)))
        if special and r.random() < .3:
            text += r.choice(special) + r.choice(['', ' ', text[:3]])
        out.append((i % 4, text.encode()))
    return out


# ---- vocabularies ------------------------------------------------------------------------------


def letters():
    """GPT-2's alphabet: a letter for each byte."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def merges_of(symbols, joined):
    """Merges that make the given lists of symbols, each from the left, and the tokens that they make."""
    tokens, merges = dict.fromkeys(symbols), []
    for parts in joined:
        for i in range(1, len(parts)):
            left, text = ''.join(parts[:i]), ''.join(parts[:i + 1])
            if text not in tokens:
                tokens[text] = None
                merges.append(left + ' ' + parts[i])
    return list(tokens), merges


def bpe(raw):
    """Any two neighbours of ALL that are likely merge, so that almost every cut between words is seen."""
    alphabet = letters()
    spell = (lambda c: [c.replace(' ', BLANK)]) if raw else (lambda c: [alphabet[b] for b in c.encode()])
    r = random.Random('pairs')
    whole = [spell(c) for c in ALL if c not in ('豈', '°') or not raw]
    frequent = LETTERS[:9] + DIGITS[:4] + MARKS[:1] + SIGNS[:8] + SPACES[:5] + ['漢', 'カ', '가', '。']
    pairs = [(a, b) for a in frequent for b in frequent if r.random() < .8]
    pairs += [(r.choice(ALL), r.choice(ALL)) for _ in range(900)]
    made = {c: ''.join(spell(c)) for c in ALL}
    ok = {c for c in ALL if not raw or c not in ('豈', '°')}
    longer = [[made[a], made[b]] for a, b in pairs if a in ok and b in ok]
    runs = [[made[c]] * n for c in (' ', 'a', '1', '\n', '漢', '=') if c in made for n in (2, 3, 4, 8)]
    words = [[made[c] for c in w] for w in ('123', "'ll", "'LL", 'abs', ' at', ' ab', 'a b', 'at a', '  b',
        '\n\n')]
    tokens, merges = merges_of([s for c in ALL for s in spell(c)] if raw else list(alphabet.values()), [])
    have, all_merges = dict.fromkeys(tokens), []
    for parts in whole + runs + words + longer:
        for i in range(1, len(parts)):
            left, text = ''.join(parts[:i]), ''.join(parts[:i + 1])
            if text not in have:
                have[text] = None
                all_merges.append(left + ' ' + parts[i])
    tokens = [(t, NORMAL, 0) for t in have]
    if raw:
        tokens = [t for t in tokens if t[0] not in ('豈', '°')]
        tokens += [(f'<0x{b:02X}>', BYTE, 0) for b in range(256) if b != 0x81]
    tokens += [('<bos>', CONTROL, 0), ('<eos>', CONTROL, 0), ('<mask>', CONTROL, 0), ('<user>', USER, 0)]
    at = len(tokens) - 4
    return dict(tokens=tokens, merges=all_merges, bos_token_id=at, eos_token_id=at + 1, add_bos_token=True)


def bert_tokens():
    words = [BLANK, *(BLANK + c.lower() for c in ALL), *(BLANK + c for c in ALL), *(c for c in ALL),
        *(c.lower() for c in ALL)]
    words += [BLANK + w for w in ('ab', 'at', 'als', 'the', 'un', 'hello', 'world', 'e', 'E', 'É', 'ê',
        'i', 'ss', 'ß', 'ΐ', 'ι', '東', '京',
                                  '人', 'ก', 'ⱥ', '12', 'о', 'κ')]
    words += ['ing', 'ed', 'ab', 'bs', 'll', 'e', '2', '23', 'o', 'r', 'd', 'é', 'i', 'ê', 'ᄀ', 'ᄒ', 'ˆ',
        '\xc2\x80']
    names = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    seen = dict.fromkeys(w for w in words if w)
    return [(n, CONTROL, 0) for n in names] + [(w, NORMAL, 0) for w in seen]


def bert(**keys):
    return vocabulary('bert', bert_tokens(), padding_token_id=0, unknown_token_id=1, cls_token_id=2,
        bos_token_id=2,
                      seperator_token_id=3, mask_token_id=4, architecture='bert', **keys)


def charsmap(pairs):
    """Returns SentencePiece's precompiled normaliser of (prefix,
    replacement) pairs: see src/text/charsmap.h."""
    texts, at, root = b'', {}, {}
    for prefix, to in pairs:
        if to not in at:
            at[to] = len(texts)
            texts += to.encode() + b'\0'
        node = root
        for byte in prefix.encode():
            node = node.setdefault(byte, {})
        node[0] = at[to]
    units, targets, todo = {0: 0}, set(), [(0, root)]
    while todo:
        i, node = todo.pop()
        to = next(t for t in range(1, 1 << 20) if t not in targets and not any(t ^ c in units for c in node))
        targets.add(to)
        units[i] |= (i ^ to) << 10 | (0 in node) << 8
        for c, child in sorted(node.items()):
            units[to ^ c] = 1 << 31 | child if c == 0 else c
            if c:
                todo.append((to ^ c, child))
    n = (max([*units, *targets]) | 255) + 1
    trie = b''.join(struct.pack('<I', units.get(i, 1 << 31)) for i in range(n))
    return struct.pack('<I', len(trie)) + trie + texts


FOLDS = [('\t', ' '), ('\n', ' '), ('\r', ''), ('\u00a0', ' '), ('\u3000', ' '), ('\u200d', ''), ('ﾊ',
'ハ'), ('１', '1'), ('½', '1⁄2'),
         ('ﬁ', 'fi'), ('ﬃ', 'ffi'), ('e\u0301', 'é'), ('a\u0300', 'à'), ('…', '...'), ('豈', '豈'), ('Ⅷ',
         'VIII'), ('！', '!'), ('\u0301', ''),
         ('ﷺ', 'صلى الله عليه وسلم'), ('\x85', ' '), ('Å', 'A'), ('ẞ', 'ss'), ('ſ', 's'), ('abb', 'b  b'),
         ('°', '\x01')]


def unigram(**keys):
    r = random.Random('scores')
    words = [BLANK, *(c for c in ALL if c not in (' ', '😀', 'ა', 'ㄅ')), 'ハ', 'f', 'i', 'VIII', '⁄', 'V',
    '..', '...', 'abs', 'at', 'all',
             BLANK + 'a', BLANK + 'ab', BLANK + 'at', BLANK + 'the', BLANK + BLANK, BLANK * 3, 'a' + BLANK,
             'll', "'s", "'ll", '12', '123', '23',
             '漢字', BLANK + '漢', 'カ漢', 'sS', 'ta', 'ab', 'ba', 'lé', 'és', 'صلى', '!!', BLANK + '1',
             '\u0301', 'é' + BLANK, 'o', 'n', 'e', 'r', 'u']
    tokens = [('<pad>', CONTROL, 0), ('</s>', CONTROL, 0), ('<unk>', UNKNOWN, 0)]
    tokens += [(w, NORMAL, round(-r.random() * 12, 3)) for w in dict.fromkeys(words)]
    tokens += [('<user>', USER, -5), ('<us>\tx', USER, -5), ('<mask>', CONTROL, 0), ('absent', UNUSED, -3),
    ('<0x41>', BYTE, 0)]
    return vocabulary('t5', tokens, eos_token_id=1, padding_token_id=0, unknown_token_id=2, **keys)


def rwkv():
    """All bytes but 0xF7, words, and tokens of any bytes; two spell one text."""
    words = [c for c in ALL] + ['the', ' the', 'ab', 'abs', ' at', 'all', "'s", '12', '123', '漢字',
        '\n\n', '  ',
        ' ' * 8, 'é ', 'カ漢', 'it', "it's", 'ow', 'low', 'slow', '<bos', '<user', '\t\t', '\r\n', '\\',
        '"', 'x\\']
    escape = {ord('\t'): '\\t', ord('\n'): '\\n', ord('\r'): '\\r', ord('\\'): '\\\\'}
    texts = [''.join(f'\\x{b:02x}' if b < 32 and b not in escape or b > 126 else escape.get(b,
        chr(b)) for b in [b])
        for b in range(256) if b != 0xF7]
    texts += [w.translate(escape) for w in words]
    texts += ['\\xe2\\x96', '\\xf0\\x9f\\x98', '\\xff\\xfe', 'ab\\x73\\x73', '\\"q\\"', "\\'s\\'",
        '\\xe6\\xbc\\xa2a', '\\x41\\x42',
        'AB\\x43', '\\xC3', '\\x4A', 'dupe\\x65', 'dupee', 'tail\\x6', 'end\\\\', 'lone\\']
    tokens = [('<s>', CONTROL, 0)] + [(t, NORMAL, 0) for t in dict.fromkeys(texts)]
    tokens += [('<user>', USER, 0), ('<mask>', CONTROL, 0), ('[PAD1]', UNUSED, 0), ('<|end|>', NORMAL, 0)]
    return vocabulary('rwkv', tokens, bos_token_id=0, eos_token_id=0, add_bos_token=True,
        architecture='rwkv7')


def plamo2():
    """Scores that many spellings share, tokens whose score costs as much as an unknown character (-1000), and
    one that is never taken."""
    r = random.Random('plamo2')
    words = [c for c in ALL if c not in ('😀', 'ა', 'ㄅ')]
    words += ['the', ' the', 'ab', 'abs', 'bs', ' at', 'all', 'lab', "'s", "'ll", '12', '123', '23', '漢字',
        '字', '\n\n', '  ', '    ', 'é ', 'カ漢', 'sS', 'ta', 'ba', 'lé', 'és', '!!', 'aa', 'aaa', 'aaaa', 'tt',
        'ttt', '\ufffd', BLANK, BLANK + 'a', 'a' + BLANK, *'oneruwPD[', 'ow', 'low', 'slow', 's low', 'word',
        'ord', 'rd ', '東京', '京', '[PA', '[P', 'x[', 'D2', '<us', '</s>', 'zzz', 'z', 'az', 'hi<0x41>',
        'b[PAD2]']
    tokens = [('<|plamo:unk|>', UNKNOWN, 0)]
    tokens += [(f'<|plamo:{name}|>', CONTROL, 0) for name in ('bos', 'eos', 'pad')]
    tokens += [(f'<0x{b:02X}>', BYTE, 0) for b in range(256)]
    tokens += [(w, NORMAL, -r.randint(2, 13) / 2) for w in dict.fromkeys(words)]
    tokens += [('[PAD1]', UNUSED, -1000), ('[PAD2]', NORMAL, -1000), ('zz', NORMAL, -1000),
        ('never', NORMAL, -2500), ('<user>', USER, -1000), ('<mask>', CONTROL, -3), ('qz', UNUSED, -2)]
    return vocabulary('plamo2', tokens, bos_token_id=1, eos_token_id=2, padding_token_id=3,
        unknown_token_id=0, add_bos_token=True, architecture='plamo2')


def fixtures():
    made = bpe(False)
    tokens = made.pop('tokens')
    out = {'bpe': vocabulary('gpt2', tokens, pre='gpt-2', **made)}
    made = bpe(True)
    tokens = made.pop('tokens')
    out['raw'] = vocabulary('gpt2', tokens, pre='gemma4', **made)
    out['gemma4'] = vocabulary('gemma4', tokens, **{**made, 'add_bos_token': False})
    out['bert'] = bert()
    out['bert-cased'] = bert(normalizer__lowercase=False)
    out['bert-accents'] = bert(normalizer__strip_accents=False)
    folds = charsmap(FOLDS)
    out['unigram'] = unigram(precompiled_charsmap=folds, add_space_prefix=True, remove_extra_whitespaces=True,
                             architecture='t5')
    out['unigram-plain'] = unigram(add_eos_token=False)
    out['unigram-prefix'] = unigram(precompiled_charsmap=folds, add_space_prefix=True)
    out['unigram-mask'] = unigram(precompiled_charsmap=folds, remove_extra_whitespaces=True,
    add_bos_token=True,
                                  bos_token_id=1, architecture='jina-bert-v3')
    out['rwkv'] = rwkv()
    out['plamo2'] = plamo2()
    return out


# ---- llama.cpp ---------------------------------------------------------------------------------


class Vocab:
    def __init__(self, path):
        parameters = L.llama_model_default_params()
        parameters.vocab_only = True
        self.model = L.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            sys.exit(f'llama.cpp refuses {path}')
        self.vocab = L.llama_model_get_vocab(self.model)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        L.llama_model_free(self.model)

    def ids(self, flags, data):
        ids = (L.llama_token * (4 * len(data) + 16))()
        n = L.llama_tokenize(self.vocab, data, len(data), ids, len(ids), bool(flags & ADD),
            bool(flags & PARSE))
        return ids[:n]

    def piece(self, token):
        text = ctypes.create_string_buffer(256)
        n = L.llama_token_to_piece(self.vocab, token, text, len(text), 0, True)
        return text.raw[:n]


log_callback = L.llama_log_callback(lambda level, text, user: None)


def hash_of(ids):
    h = 0x811C9DC5
    for byte in b''.join(struct.pack('<i', i) for i in ids):
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


# texts for one vocabulary
OWN = {
    'rwkv': ['abss ABC dupee "q" \'s\' \\ lone\\ end\\ tail\x06', '<s><user><mask>[PAD1]<|end|>\\n\n',
        '\u00f7\u3000漢a'],
    'plamo2': ['aaaaa zzzz azzz never qz hi<0x41> b[PAD2] [PAD1]x[PAD2] <user><mask>tttt',
        'slow lows low東京 \ufffd\u2581a\u2581',
        '\ufeffabs \ufeff', '</s><|plamo:eos|><us<user'],
}
GROUP = 8
HEAD = "# llama.cpp's ids for {}; made by tools/make_vocab_fixtures.py, format: ../README.md"


def pre_goldens(files):
    names = [line.split('"')[1] for line in open(PRES).read().replace('PRE(',
        '\nPRE(').split('\n') if line.startswith('PRE("')]
    all_texts = texts(random.Random('pre'), 420, ['<mask>', '<user>', '<bos>'])
    with open(f'{OUT}/pre.txt', 'w') as f, tempfile.TemporaryDirectory() as folder:
        print(HEAD.format('bpe.gguf and raw.gguf'), file=f)
        for flags, data in all_texts:
            print('text', flags, data.hex() or '-', file=f)
        for name in sorted(names):
            path = f'{folder}/pre.gguf'
            keys = {**files['raw' if name in RAW else 'bpe'], 'tokenizer.ggml.pre': name}
            if name == 'whitespace':  # llama.cpp aborts on blanks without this model
                keys['tokenizer.ggml.model'] = 'whitespace'
            write(path, keys)
            with Vocab(path) as vocab:
                ids = [vocab.ids(*text) for text in all_texts]
            print('pre', name, *(f'{hash_of(sum(ids[i:i + GROUP], [])):08x}' for i in range(0, len(ids),
                GROUP)), file=f)


def goldens(name, keys):
    special = [t for t, kind in zip(keys['tokenizer.ggml.tokens'],
        keys['tokenizer.ggml.token_type']) if kind in (CONTROL, USER)]
    with open(f'{OUT}/{name}.txt', 'w') as f, Vocab(f'{OUT}/{name}.gguf') as vocab:
        print(HEAD.format(name + '.gguf'), file=f)
        n = L.llama_vocab_n_tokens(vocab.vocab)
        print('n_vocab', n, file=f)
        print('end_tokens', *(i for i in range(n) if L.llama_vocab_is_eog(vocab.vocab, i)), file=f)
        own = OWN.get(name, [])
        if own:
            print('pieces', *((vocab.piece(i).hex() or '-') for i in range(n)), file=f)
        for flags, data in texts(random.Random(name), 80, special) + [(i % 4, t.encode()) for i,
        t in enumerate(own)]:
            print('text', flags, data.hex() or '-', *vocab.ids(flags, data), file=f)


def main():
    L.llama_log_set(log_callback, None)
    L.llama_backend_init()
    words, files = sys.argv[1:], fixtures()
    for name, keys in files.items():
        if words and not any(name.startswith(word) for word in words):
            continue
        write(f'{OUT}/{name}.gguf', keys)
        if name not in ('bpe', 'raw'):
            goldens(name, keys)
    if not words or 'pre' in words:
        pre_goldens(files)


main()
