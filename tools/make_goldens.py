#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes llama.cpp's answers for the fixtures and for real models: tests/golden/*.txt and *.logits.

  python3 tools/make_goldens.py fixtures [NAME ...]
  python3 tools/make_goldens.py smollm2 | gemma3-270m | qwen2.5-coder-0.5b | qwen2.5-coder-1.5b
  python3 tools/make_goldens.py depth    SmolLM2 behind 4,064 tokens, by type of KV cache
  python3 tools/make_goldens.py best     the best token behind each of 128 tokens of three models
  python3 tools/make_goldens.py dump MODEL ID [ID ...]     prints llama.cpp's activations, for debugging

The real models are in models/ (tools/fetch.py). The F32 copy of a model takes 4 bytes per weight in the
temporary folder and in memory. Needs PyPI `llama-cpp-python`, `gguf` and `numpy` (versions:
tests/golden/README.md).

*Exact* is llama.cpp on the same weights dequantised to F32, with an F32 KV cache and without flash attention.
*Native* is llama.cpp on the file itself. tolerances() derives how far a runtime may be from exact from the
distance of native. Formats: tests/golden/README.md."""
import argparse
import ctypes
import glob
import json
import os
import tempfile

import gguf
import llama_cpp as L
import numpy as np

from ggml_types import dequantize

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, '../tests/golden')
MODELS = os.path.join(HERE, '../models')

# In llama.cpp a KV cache of q8_0 needs flash attention, and heads of a multiple of 32 elements. It has its
# own tolerance.
KV8 = dict(kv='q8_0', flash=True)
NATIVE = {'kv16': dict(kv='f16'), 'kv16fa': dict(kv='f16', flash=True), 'kv32': dict(kv='f32')}
PROMPT_TOKENS = (1, 31, 32, 33, 70)  # one token; 31, 32 and 33 around a page of 32; two pages and six tokens
GREEDY_TOKENS = 40  # greedy tokens of each prompt, so that each run crosses the end of a page

PARAGRAPH = (
    "The keeper of the lighthouse climbed the stairs every morning, "
    "and every morning the sea had moved the stones.\n"
    "def tide(n):\n"
    "    return n + 1 if n < 12 else tide(n - 12)   # twice a day\n"
    "Nobody in the town believed him; they said that stones don't walk. In 1984 he began to count them.")

TEXTS = ['', ' ', '  ', 'Hello world', ' Hello  world ', 'a\nb\n\nc\t d', "I'll say it's 12345.67 o'clock",
         'ends in blanks   ', 'naïve café 東京 мир', 'x\u0301\u200d👩\u200d🚀🏳️\u200d🌈',
         '<|im_start|>user\nhi<|im_end|>', '<s>a</s> <unk> <tool>b<|eot_id|><unused0>', 'tail <tool> tail',
         'AAAAAAAA!!!!!!!!........', '\u2581under\u2581score', 'line\r\nline\r\n', '0 00 000 0000',
         'if(x){return y;}//z']
GEMMA_TEXTS = ['<bos><start_of_turn>user\nthe sea<end_of_turn>\n<start_of_turn>model\n',
               '\n\n\n\n\n\n  \n      x', '<table> <td></td>[multimodal]<unused0>',
               ' \u2581 the  \u2581\u2581sea', 'the \n tower   was']

CHATML = '<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n'
SMOLLM2_PROMPTS = [
    CHATML % 'What is the capital of France?',
    CHATML % 'Write a short story about a boat that is afraid of the sea.',
    CHATML % 'Explain to a child why the sky is blue.',
    CHATML % 'Write a Python function that returns the n-th Fibonacci number.',
    CHATML % 'List five rules for a good night of sleep, each with its reason.',
    'Once upon a time, in a small village by the sea, there lived an old fisherman who every morning',
    'The three laws of thermodynamics can be summed up as follows. The first law says that',
    'def quicksort(items):\n    """Sort a list."""\n    if len(items) <= 1:\n        return items\n',
    PARAGRAPH + ' ' + PARAGRAPH.replace('keeper', 'owner').replace('sea', 'wind') + '\nThat year the owner of the lighthouse',
    'Dear Sir or Madam,\n\nI am writing to complain about the umbrella which I bought in your shop on Monday. It',
]
DAYS = ' '.join('On day %d the sea moved %d stones and the keeper wrote it down.' % (i, i * 7 % 11 + 1) for i in range(1, 36))
QWEN = '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' + CHATML
QWEN_PROMPTS = [
    QWEN % 'Write a Python function that returns the n-th Fibonacci number.',
    'class Stack {\n  #items = [];\n\n  push(item) {\n',
    PARAGRAPH + '\nThat year the owner of the lighthouse',
    '# 将列表反转\ndef reverse(items):\n    """Возвращает список наоборот."""\n',
    QWEN % 'What does `SELECT COUNT(*) FROM stones WHERE moved = 1` return? Answer in German.',
    '#include <stdio.h>\n\nint main(void)\n{\n    for (int i = 0; i < 10; i++)',
]
TOP, SAMPLE_EVERY = 32, 8
# prompts, greedy tokens of each, distance between the logits kept for the NMSE, context
REAL = {
    'smollm2': dict(file='SmolLM2-135M-Instruct.Q4_1.gguf', prompts=SMOLLM2_PROMPTS, steps=64, stride=96),
    'gemma3-270m': dict(file='gemma-3-270m.Q4_K_M.gguf', steps=32, stride=512, n_ctx=1024, prompts=[
        'The capital of France is', PARAGRAPH + ' Every morning', SMOLLM2_PROMPTS[6], 'Es war einmal ein Fischer, der', '日本の首都は',
        DAYS + ' On day 36']),  # the last prompt is longer than the window of 512 tokens
    'qwen2.5-coder-0.5b': dict(file='Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf', prompts=QWEN_PROMPTS, steps=32, stride=512),
    'qwen2.5-coder-1.5b': dict(file='Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf', prompts=QWEN_PROMPTS[:4], steps=24, stride=512),
}


# ---- llama.cpp

log_callback = L.llama_log_callback(lambda level, text, user: None)
L.llama_log_set(log_callback, None)
L.llama_backend_init()


class Run:
    """A model with one context of one sequence. Weights aren't repacked: repacking has a noise of its own."""

    def __init__(self, path, kv='f16', flash=False, n_ctx=256, threads=1, dump=None):
        mp = L.llama_model_default_params()
        mp.n_gpu_layers, mp.use_extra_bufts = 0, False
        self.model = L.llama_model_load_from_file(os.fsencode(path), mp)
        if not self.model:
            raise SystemExit('llama.cpp refuses ' + path)
        self.vocab = L.llama_model_get_vocab(self.model)
        self.n_vocab = L.llama_vocab_n_tokens(self.vocab)
        cp = L.llama_context_default_params()
        cp.n_ctx = cp.n_batch = cp.n_ubatch = n_ctx
        cp.n_threads = cp.n_threads_batch = threads
        cp.flash_attn_type = 1 if flash else 0
        cp.type_k = cp.type_v = {'f32': 0, 'f16': 1, 'q8_0': 8}[kv]
        if dump:
            cp.cb_eval = dump
        self.context = L.llama_init_from_model(self.model, cp)
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        L.llama_free(self.context)
        L.llama_model_free(self.model)

    def tokenize(self, text, flags):
        """flags as in chord.h: 1 adds special tokens, 2 parses special tokens in the text"""
        data = text.encode()
        ids = (L.llama_token * (len(data) + 16))()
        n = L.llama_tokenize(self.vocab, data, len(data), ids, len(ids), bool(flags & 1), bool(flags & 2))
        assert n >= 0
        return list(ids[:n])

    def text(self, ids):
        buffer = ctypes.create_string_buffer(64 + 64 * len(ids))
        n = L.llama_detokenize(self.vocab, (L.llama_token * len(ids))(*ids), len(ids), buffer, len(buffer),
                               False, True)
        return buffer.raw[:n].decode('utf-8', 'replace')

    def head_dim(self):
        buffer = ctypes.create_string_buffer(64)

        def value(key):
            n = L.llama_model_meta_val_str(self.model, key.encode(), buffer, len(buffer))
            return n >= 0 and buffer.value.decode()

        length = value(value('general.architecture') + '.attention.key_length')
        return int(length) if length else L.llama_model_n_embd(self.model) // L.llama_model_n_head(self.model)

    def end_tokens(self):
        return [i for i in range(self.n_vocab) if L.llama_vocab_is_eog(self.vocab, i)]

    def reset(self):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)
        self.position = 0

    def feed(self, ids, every=True):
        """Logits of every token, or of the last token: float32 [rows, n_vocab]."""
        b = L.llama_batch_init(len(ids), 0, 1)
        b.n_tokens = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = token, self.position + i, 1, 0
            b.logits[i] = every or i == len(ids) - 1
        assert L.llama_decode(self.context, b) == 0
        L.llama_batch_free(b)
        self.position += len(ids)
        p = ctypes.cast(L.llama_get_logits(self.context), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(p, (len(ids) if every else 1, self.n_vocab)).copy()

    def prefill(self, ids):
        self.reset()
        return self.feed(ids)

    def one_by_one(self, ids):
        self.reset()
        return np.concatenate([self.feed([i]) for i in ids])

    def greedy(self, ids, n):
        """Ids of the largest logits, and how far each leads the second-largest."""
        self.reset()
        row, out, margins = self.feed(ids, every=False)[0], [], []
        for _ in range(n):
            best, second = np.sort(row)[[-1, -2]]
            out.append(int(np.argmax(row)))
            margins.append(float(best) - float(second))
            row = self.feed(out[-1:])[0]
        return out, margins


def exact_file(path, directory):
    """The same file with every tensor in F32. llama.cpp reads output.scale beside a matrix in NVFP4 alone, so
    the matrix is multiplied by it."""
    reader = gguf.GGUFReader(path)
    out = os.path.join(directory, 'exact.gguf')
    w = gguf.GGUFWriter(out, reader.fields['general.architecture'].contents())
    for key, field in reader.fields.items():
        if key.startswith('GGUF.') or key == 'general.architecture':
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        w.add_key_value(key, field.contents(), kind, element)
    scale = [t.data[0] for t in reader.tensors if t.name == 'output.scale']
    for t in reader.tensors:
        if t.name in ('output.scale', 'output.input_scale'):
            continue
        data = dequantize(t.data, t.tensor_type)
        if t.name == 'output.weight' and scale:
            data = data * scale[0]
        w.add_tensor(t.name, np.ascontiguousarray(data, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return out


# ---- noise and tolerances

def noise(logits, exact):
    logits, exact = logits.astype(np.float64), exact.astype(np.float64)
    error, power = ((logits - exact) ** 2).sum(-1), (exact ** 2).sum(-1)
    rows = np.arange(len(exact))
    regret = exact.max(-1) - exact[rows, np.argmax(logits, -1)]
    return dict(nmse=error.sum() / power.sum(), median=float(np.median(error / power)),
                p90=float(np.quantile(error / power, 0.9)), regret=float(regret.max()),
                differ=int((np.argmax(logits, -1) != np.argmax(exact, -1)).sum()))


def tolerances(native, rms, is_trained):
    """NMSE: three times llama.cpp's own deviation from exact. The minimum of 1e-5 lets an F32 file run with
    an F16 KV cache. Regret (exact's largest logit minus exact's logit of the chosen token): five sigma of the
    noise of one of llama.cpp's logits. In a trained model the noise is mostly a common shift of all logits
    and moves the argmax far less; there the regret is three times the worst observed."""
    worst = {k: max(n[k] for n in native.values()) for k in ('nmse', 'median', 'p90', 'regret')}
    regret = max(5 * max(2e-6, worst['p90']) ** 0.5 * rms, 1.5 * worst['regret'])
    return dict(nmse=max(1e-5, 3 * worst['nmse']), median=max(1e-5, 3 * worst['median']),
                regret=max(0.1, 3 * worst['regret']) if is_trained else regret)


class Text:
    """Lines of `key value ...`. Floats have 9 digits, which are exact for float32."""

    def __init__(self, first):
        self.lines = ['# ' + first]

    def put(self, key, *values):
        self.lines.append(' '.join([key] + ['%.9g' % v if isinstance(v, float) else str(v) for v in values]))

    def put_noise(self, label, n):
        self.put('noise', label, *(float('%.3g' % n[k]) for k in ('nmse', 'median', 'p90', 'regret')), n['differ'])

    def put_tolerances(self, t, key='tolerance'):
        self.put(key, *(float('%.3g' % t[k]) for k in ('nmse', 'median', 'regret')))

    def write(self, path):
        with open(path, 'w') as f:
            f.write('\n'.join(self.lines) + '\n')


def hex_text(text):
    return text.encode().hex() or '-'


# ---- fixtures

def fixture_prompts(run):
    """A prompt of PROMPT_TOKENS tokens: text cut to length where the length is odd, random ids where it is
    even."""
    random = np.random.Generator(np.random.PCG64(7))
    text = run.tokenize(PARAGRAPH, 1)
    for n in PROMPT_TOKENS:
        yield text[:n] if n % 2 and n > 1 else [int(i) for i in random.integers(0, run.n_vocab, n)]


def make_fixture(path, directory):
    name = os.path.basename(path)[:-5]
    prompts = []
    with Run(exact_file(path, directory), kv='f32') as exact:
        for ids in fixture_prompts(exact):
            greedy, margins = exact.greedy(ids, GREEDY_TOKENS)
            sequence = ids + greedy[:-1]
            prompts.append((ids, greedy, margins, sequence, exact.prefill(sequence)))
        reference = np.concatenate([p[4] for p in prompts])
        itself = noise(np.concatenate([exact.one_by_one(p[3]) for p in prompts]), reference)
        all_texts = TEXTS + (GEMMA_TEXTS if name.startswith('gemma') else [])
        texts = [(t, flags, exact.tokenize(t, flags)) for t in all_texts for flags in (0, 1, 2, 3)]
        ends, n_vocab = exact.end_tokens(), exact.n_vocab
    native = {}
    for label, options in NATIVE.items():
        with Run(path, **options) as run:
            native[label] = noise(np.concatenate([run.prefill(p[3]) for p in prompts]), reference)
    with Run(path, kv='f32') as run:
        head_dim = run.head_dim()
    kv8 = None
    if head_dim % 32 == 0:
        with Run(path, **KV8) as run:
            kv8 = noise(np.concatenate([run.prefill(p[3]) for p in prompts]), reference)
    rms = float(np.sqrt((reference.astype(np.float64) ** 2).mean()))
    tolerance = tolerances(native, rms, is_trained=False)

    out, rows_out = Text("llama.cpp's answers for %s.gguf; format: README.md" % name), []
    out.put('n_vocab', n_vocab)
    out.put('rms', rms)
    out.put_tolerances(tolerance)
    out.put_noise('exact-one-by-one', itself)
    for label in native:
        out.put_noise(label, native[label])
    if kv8:
        out.put_noise('kv8fa', kv8)
        out.put_tolerances(tolerances({'kv8fa': kv8}, rms, is_trained=False), 'tolerance_kv8')
    out.put('end_tokens', *ends)
    for ids, greedy, margins, sequence, logits in prompts:
        n = len(ids)
        rows = sorted({0, n // 2, n - 1, n + GREEDY_TOKENS // 2, n + GREEDY_TOKENS - 2})
        out.put('prompt', n)
        out.put('ids', *ids)
        out.put('greedy', *greedy)
        out.put('margins', *(float('%.4g' % m) for m in margins))
        out.put('rows', *rows)
        rows_out.append(logits[rows])
    for text, flags, ids in texts:
        out.put('text', flags, hex_text(text), *ids)
    out.write(os.path.join(GOLDEN, name + '.txt'))
    np.concatenate(rows_out).astype('<f4').tofile(os.path.join(GOLDEN, name + '.logits'))
    n = native['kv16fa']
    above = sum(m > tolerance['regret'] for p in prompts for m in p[2])
    print('%-16s rms %.2f  exact %.1e  ' % (name, rms, itself['nmse']) +
          'native nmse %.1e median %.1e regret %.3f ' % (n['nmse'], n['median'], n['regret']) +
          'differ %d/%d  ' % (n['differ'], len(reference)) +
          'tolerance %.1e %.1e %.3f  ' % (tolerance['nmse'], tolerance['median'], tolerance['regret']) +
          'margins: %d of %d above' % (above, GREEDY_TOKENS * len(prompts)), flush=True)


# ---- real models

def make_real(name, directory, file, prompts, steps, stride, n_ctx=512):
    """Exact's own greedy tokens for each prompt, and exact's logits for them: the best 32 of each step, and
    every `stride`th logit of every 8th step for the NMSE."""
    path, texts, prompts = os.path.join(MODELS, file), prompts, []
    options = dict(n_ctx=n_ctx, threads=os.cpu_count())
    with Run(exact_file(path, directory), kv='f32', **options) as exact:
        for text in texts:
            ids = exact.tokenize(text, 3)
            greedy, margins = exact.greedy(ids, steps)
            logits = exact.prefill(ids + greedy[:-1])[len(ids) - 1:].copy()
            prompts.append((text, ids, greedy, margins, logits))
            print('%3d tokens %r' % (len(ids), exact.text(greedy)[:90]), flush=True)
        itself = noise(np.concatenate([exact.one_by_one(p[1] + p[2][:-1])[len(p[1]) - 1:] for p in prompts]),
                       np.concatenate([p[4] for p in prompts]))
        ends, n_vocab = exact.end_tokens(), exact.n_vocab
    reference = np.concatenate([p[4] for p in prompts])
    native, same_text = {}, {}
    for label, o in NATIVE.items():
        with Run(path, **o, **options) as run:
            for way, feed in (('prefill', run.prefill), ('one-by-one', run.one_by_one)):
                native[label + '-' + way] = noise(
                    np.concatenate([feed(p[1] + p[2][:-1])[len(p[1]) - 1:] for p in prompts]), reference)
            same_text[label] = sum(run.greedy(p[1], steps)[0] == p[2] for p in prompts)
    rms = float(np.sqrt((reference.astype(np.float64) ** 2).mean()))
    tolerance = tolerances(native, rms, is_trained=True)

    out, top, sample = Text("llama.cpp's answers for %s; format: README.md" % file), [], []
    out.put('n_vocab', n_vocab)
    out.put('rms', rms)
    out.put_tolerances(tolerance)
    out.put_noise('exact-one-by-one', itself)
    for label in native:
        out.put_noise(label, native[label])
    out.put('sample', SAMPLE_EVERY, stride)
    out.put('end_tokens', *ends)
    for label in same_text:
        out.put('same_text', label, same_text[label])
    for text, ids, greedy, margins, logits in prompts:
        out.put('prompt', len(ids))
        out.put('prompt_text', hex_text(text))
        out.put('ids', *ids)
        out.put('greedy', *greedy)
        out.put('margins', *(float('%.4g' % m) for m in margins))
        best = np.argsort(-logits, -1, kind='stable')[:, :TOP]
        top.append(np.stack([best.astype('<i4').view('<f4'), np.take_along_axis(logits, best, -1)], -1))
        sample.append(logits[::SAMPLE_EVERY, ::stride])
    out.write(os.path.join(GOLDEN, name + '.txt'))
    with open(os.path.join(GOLDEN, name + '.logits'), 'wb') as f:
        for part in top + sample:
            f.write(np.ascontiguousarray(part, dtype='<f4').tobytes())
    for label, n in native.items():
        print('%-18s nmse %.2e median %.2e p90 %.2e regret %.3f differ %d/%d' %
              (label, n['nmse'], n['median'], n['p90'], n['regret'], n['differ'], len(reference)))
    print('exact one by one: nmse %.1e; texts equal to the end %s; tolerance %s' % (itself['nmse'], same_text, tolerance))


# ---- depth

def make_depth(directory, before=4064, rows=32, stride=96):
    """Exact's logits of the `rows` tokens behind `before` others, and how far native is from them with each
    type of KV cache: what a quantised cache costs where many keys are read."""
    path = os.path.join(MODELS, REAL['smollm2']['file'])
    text = '\n'.join('On day %d the sea moved %d stones, %d of them grey, and the keeper wrote it down.' %
                     (i, i * 7 % 11 + 1, i * 5 % 7) for i in range(1, 400))
    options = dict(n_ctx=before + rows + 32, threads=os.cpu_count())

    def logits_of(run, ids):
        run.reset()
        for at in range(0, before, 254):
            run.feed(ids[at:min(at + 254, before)], every=False)
        return run.feed(ids[before:])

    with Run(exact_file(path, directory), kv='f32', **options) as exact:
        ids = exact.tokenize(text, 3)[:before + rows]
        assert len(ids) == before + rows
        reference, n_vocab = logits_of(exact, ids), exact.n_vocab
    rms = float(np.sqrt((reference.astype(np.float64) ** 2).mean()))
    out = Text('SmolLM2 behind %d tokens; format: README.md' % before)
    out.put('n_vocab', n_vocab)
    out.put('rms', rms)
    for label, o in {**NATIVE, 'kv8fa': KV8}.items():
        with Run(path, **o, **options) as run:
            n = noise(logits_of(run, ids), reference)
        out.put_noise(label, n)
        out.put_tolerances(tolerances({label: n}, rms, is_trained=True), 'tolerance_' + label)
        print(label, n, flush=True)
    out.put('sample', rows, stride)
    out.put('ids', *ids)
    out.put('best', *(int(i) for i in np.argmax(reference, -1)))
    out.write(os.path.join(GOLDEN, 'smollm2-depth.txt'))
    with open(os.path.join(GOLDEN, 'smollm2-depth.logits'), 'wb') as f:
        f.write(np.ascontiguousarray(reference[:, ::stride], dtype='<f4').tobytes())


# ---- best tokens

VALLEY = (
    'The river rises in the hills above the town, where the first mills were built. For two hundred years\n'
    'the water turned their wheels, and the roads to the coast carried flour and cloth. In the spring the\n'
    'meadows stood under water, and the children went to school by boat. When the railway came, the mills\n'
    'moved to the harbour, the bridge was widened, and the market moved from the church to the station.\n'
    'Today the valley is quiet. Two of the mills are still there; one of them is a museum, and the other\n'
    'one a house with a garden. On Sundays the people of the town walk along the bank as far as the old\n'
    'lock, where boats can be hired, and come back by the road.')
BEST_TOKENS, BEST_PROMPT = 128, 32


def make_best(directory):
    """The tokens that exact and native prefer behind each of BEST_TOKENS tokens: of native's own greedy text
    behind BEST_PROMPT tokens (own), and of a text that no model wrote (foreign), where two tokens are often
    equally good."""
    found = {}
    for name in ('smollm2', 'gemma3-270m', 'qwen2.5-coder-0.5b'):
        path = os.path.join(MODELS, REAL[name]['file'])
        options = dict(n_ctx=256, threads=os.cpu_count())
        with Run(path, **NATIVE['kv16fa'], **options) as run:
            foreign = run.tokenize(VALLEY, 3)[:BEST_TOKENS]
            prompt = foreign[:BEST_PROMPT]
            own = prompt + run.greedy(prompt, BEST_TOKENS - 1)[0]
            texts = dict(own=(own, BEST_PROMPT - 1), foreign=(foreign, 0))
            native = {key: np.argmax(run.prefill(ids)[first:], -1) for key, (ids, first) in texts.items()}
        with Run(exact_file(path, directory), kv='f32', **options) as run:
            exact = {key: np.argmax(run.prefill(ids)[first:], -1) for key, (ids, first) in texts.items()}
        found[name] = {key: dict(ids=ids, first=first, exact=exact[key].tolist(), native=native[key].tolist())
                       for key, (ids, first) in texts.items()}
        both = {key: int((exact[key] == native[key]).sum()) for key in texts}
        print(name, both, 'of', BEST_TOKENS, flush=True)
    with open(os.path.join(GOLDEN, 'best.json'), 'w') as f:
        json.dump(found, f)
        f.write('\n')


# ---- activations

def dump(path, ids):
    """Name, shape, first values and norm of every tensor that llama.cpp computes for these ids."""
    lib = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(L.__file__), 'lib', 'libggml-base.so*'))[0])
    lib.ggml_get_name.restype, lib.ggml_get_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    lib.ggml_nelements.restype, lib.ggml_nelements.argtypes = ctypes.c_int64, [ctypes.c_void_p]
    lib.ggml_get_data.restype, lib.ggml_get_data.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    lib.ggml_is_contiguous.restype, lib.ggml_is_contiguous.argtypes = ctypes.c_bool, [ctypes.c_void_p]

    def show(tensor, ask, user):
        # The first field of ggml_tensor is its type.
        is_f32 = ctypes.cast(tensor, ctypes.POINTER(ctypes.c_int32))[0] == 0
        if not ask and is_f32 and lib.ggml_is_contiguous(tensor):
            n = lib.ggml_nelements(tensor)
            floats = ctypes.cast(lib.ggml_get_data(tensor), ctypes.POINTER(ctypes.c_float))
            x = np.ctypeslib.as_array(floats, (n,))
            print('%-24s %8d  norm %-12.6g %s' % (lib.ggml_get_name(tensor).decode(), n, np.linalg.norm(x), x[:6]))
        return True
    callback = L.ggml_backend_sched_eval_callback(show)
    with Run(path, kv='f32', dump=callback) as run:
        run.feed(ids)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('command', choices=('fixtures', 'depth', 'best', 'dump', *REAL))
    ap.add_argument('rest', nargs='*')
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if a.command == 'fixtures':
            for path in sorted(glob.glob(os.path.join(GOLDEN, '*.gguf'))):
                if not a.rest or os.path.basename(path)[:-5] in a.rest:
                    make_fixture(path, directory)
        elif a.command == 'depth':
            make_depth(directory)
        elif a.command == 'best':
            make_best(directory)
        elif a.command in REAL:
            make_real(a.command, directory, **REAL[a.command])
        else:
            dump(a.rest[0], [int(i) for i in a.rest[1:]])


if __name__ == '__main__':
    main()
