"""Hostile input: files, settings and command lines as careless people bring them, by the thousand; each gives a result or one clear line.

    python tools/fuzz.py [--quick] [--group NAME ...] [--inputs N] [--seconds S] [--first SEED] [--workers N]
    python tools/fuzz.py --group culane_text --seed 1234      one input again, with all that it says

An input is made from valid ones by mutation, from a seed, in a folder of its own. It must end in a result or in one of the library's errors, in one line
that names the file, option or key. A traceback, a hang, a process that is left, a file written outside or changed, memory without bound, a terminal code
or NaN taken for a setting is a finding. Inputs run in worker processes that are watched and killed. The last line is one JSON object; exit code 1 with findings.
`--quick` is what `make test-rest` does: the first inputs of each group. Everything happens in a temporary folder, without network.
"""
import argparse, copy, gc, hashlib, importlib, io, json, math, os, random, re, resource, shutil, signal, stat, struct, sys, tempfile, time, traceback, warnings, zlib
from collections import Counter, deque, namedtuple
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(k, '1')
os.environ.update(TQDM_DISABLE='1', MPLBACKEND='Agg')
sys.dont_write_bytecode = True
here, fork = Path(__file__).resolve(), get_context('fork')
MEMORY, PROCESSES, LONGEST = 4 << 30, 64, 600     # bytes that an input may add, processes, characters of a message

again = False      # one input alone: with all tracebacks

class Broken(Exception): "A result that must not be one"
Exit = namedtuple('Exit', 'code argv encoding')

# --- Mutations

VALUES = ['nan', 'inf', '-inf', '-1', '0', '1', '7', '-0.0', '.5', '1e308', '1e-320', '1e999', str(10**30), '9'*5000, '0x10', '1_000', '01', '1,5', '١٢', '', "''", 'null', 'None',
          'true', 'False', '[]', '{}', '[[[]]]', '[1, [2, [3]]]', '{a: 1}', 'x'*5000, 'é', '中文', '\x1b[31mred', 'a\nb', '\t', '\\', '"', '#', '~', '../..', '/', '${total_iter}',
          '${nope}', '${oc.env:HOME}', '${', '???', '%', 'auto', 'test', '[' * 2000, '-'*3000 + '1', '\u202e', '\ufeff', '\x7f']
WORDS = re.compile(r'[+-]?\d+\.?\d*(?:[eE][+-]?\d+)?|\w+|\s+|.', re.S)
NUMBER = re.compile(r'[+-]?\d')

def some(rng)->int: return 1 + min(int(rng.expovariate(1)), 5)

def mutate_text(rng, text:str, values=VALUES)->str:
    "A text with a few words, numbers or lines gone, doubled, swapped or replaced"
    for _ in range(some(rng)):
        words, lines = WORDS.findall(text), text.split('\n')
        if not words: return rng.choice(values)
        at, numbers = rng.randrange(len(words)), [i for i, w in enumerate(words) if NUMBER.match(w)]
        line, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.choice(['number']*5 + ['word']*2 + 'delete double swap insert char line-delete line-double line-swap join cut repeat blank indent'.split()):
            case 'number' if numbers: words[rng.choice(numbers)] = rng.choice(values)
            case 'word': words[at] = rng.choice(values)
            case 'delete': del words[at:at + some(rng)]
            case 'double': words[at:at] = words[at:at + some(rng)]
            case 'swap': i = rng.randrange(len(words)); words[at], words[i] = words[i], words[at]
            case 'insert': words.insert(at, rng.choice(values))
            case 'char': words.insert(at, rng.choice(',;:=()[]{}\'"\\#*&!|>%@`\0 -+.eE') if rng.random() < .9 else chr(rng.randrange(1, 0xd800)))
            case 'repeat': words[at:at] = words[max(0, at - 3):at]*rng.choice([10, 1000])
            case 'cut': words = words[:at]
            case op:
                match op:
                    case 'line-delete': del lines[line]
                    case 'line-double': lines.insert(line, lines[other])
                    case 'line-swap': lines[line], lines[other] = lines[other], lines[line]
                    case 'join': lines[line:line + 2] = [''.join(lines[line:line + 2])]
                    case 'blank': lines.insert(line, rng.choice(['', ' ', '\t', '   #']))
                    case 'indent': lines[line] = rng.choice([' ', '\t', '  ']) + lines[line]
                text = '\n'.join(lines)
                continue
        text = ''.join(words)
    return text

def mutate_bytes(rng, data:bytes)->bytes:
    "Bytes flipped, gone, doubled or overwritten"
    data = bytearray(data)
    for _ in range(some(rng)):
        if not data: return bytes([rng.randrange(256)])
        at, n = (rng.randrange(len(data)) if rng.random() < .5 else rng.randrange(min(len(data), 64))), rng.choice([1, 2, 4, 16, 400])
        match rng.choice('flip flip flip set zero delete double cut insert'.split()):
            case 'flip': data[at] ^= 1 << rng.randrange(8)
            case 'set': data[at] = rng.choice([0, 1, 127, 128, 255])
            case 'zero': data[at:at + n] = bytes(len(data[at:at + n]))
            case 'delete': del data[at:at + n]
            case 'double': data[at:at] = data[at:at + n]
            case 'cut': del data[at:]
            case 'insert': data[at:at] = rng.randbytes(n)
    return bytes(data)

def encode(rng, text:str)->bytes:
    "A text as some editor may save it"
    plain = lambda t, c='utf-8': t.encode(c, 'replace')
    if rng.random() < .75: return plain(text)
    at = rng.randrange(len(text) + 1)
    match rng.choice('bom utf-16 utf-16-le gbk latin-1 crlf cr nul bytes cut empty'.split()):
        case 'bom': return b'\xef\xbb\xbf' + plain(text)
        case 'utf-16' | 'utf-16-le' as c: return plain(text, c)
        case 'gbk': return plain(f'{text[:at]}车道线{text[at:]}' if rng.random() < .5 else f'# 车道线\n{text}', 'gbk')
        case 'latin-1': return plain(f'{text[:at]}é{text[at:]}', 'latin-1')
        case 'crlf': return plain(text.replace('\n', '\r\n'))
        case 'cr': return plain(text.replace('\n', '\r'))
        case 'nul': return plain(f'{text[:at]}\0{text[at:]}')
        case 'bytes': return mutate_bytes(rng, plain(text))
        case 'cut': return plain(text)[:rng.randrange(len(plain(text)) + 1)]
    return b''

RAW = ['NaN', 'Infinity', '-Infinity', '1e999', '9'*400, '9'*5000, '[' * 3000 + ']' * 3000, '{"a":' * 3000 + '1' + '}' * 3000, '01', '1.', "'a'", '"\\ud800"', '"\t"', 'True', '']
ODD = [None, True, False, 0, -1, -2, .5, 1e308, 10**30, '', '1', 'nan', 'x'*5000, 'a\nb', '\x1b[31m', [], {}, [[]], [[[1]]], [None], ['1'], {'a': 1}, '../../../above/x.jpg', '/', '..', '\0']

def nodes(tree, path=()):
    "Paths of all values of a JSON tree"
    yield path
    for k, v in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else (): yield from nodes(v, (*path, k))

def mutate_tree(rng, tree, odd=ODD, raw=()):
    "A tree of dicts, lists and values with some replaced, gone, doubled, moved; `raw` texts come as placeholders"
    tree = copy.deepcopy(tree)
    for _ in range(some(rng)):
        level = rng.randrange(1, 5)
        paths = [p for p in nodes(tree) if 0 < len(p) <= level]
        if not paths: return rng.choice(odd)
        *path, key = rng.choice(paths)
        where = tree
        for k in path: where = where[k]
        match rng.choice(['odd']*4 + ['raw']*bool(raw) + ['delete', 'rename', 'wrap', 'double', 'other', 'number']):
            case 'odd': where[key] = copy.deepcopy(rng.choice(odd))
            case 'raw': where[key] = f'@{rng.randrange(len(raw))}@'
            case 'delete': del where[key]
            case 'rename' if isinstance(where, dict): where[rng.choice([str(key) + 's', str(key).upper(), '', 'é', 'x'*300, 'a.b', str(key)[:-1]])] = where.pop(key)
            case 'wrap': where[key] = [where[key]] if rng.random() < .5 else {'a': where[key]}
            case 'double' if isinstance(where, list): where.insert(key, copy.deepcopy(where[key]))
            case 'number' if isinstance(where[key], (int, float)): where[key] = rng.choice([-where[key], where[key]*10**6, where[key] + .5, str(where[key])])
            case 'other':
                other = tree
                for k in rng.choice(paths): other = other[k]
                where[key] = copy.deepcopy(other)
    return tree

def json_text(tree, **kw)->str: return re.sub(r'"@(\d+)@"', lambda m: RAW[int(m[1])], json.dumps(tree, **kw))

# --- Valid files, from which the others are made

PUBLISHED = {'base.py': """dataset_type = "CULane"
dataset_path = "data"
ori_img_w = 164
ori_img_h = 59
img_w = 128
img_h = 64
cut_height = 27
max_lanes = 4
train_process = [
    dict(type="GenerateLaneLine", transforms=[
        dict(name="Resize", parameters=dict(size=dict(height=img_h, width=img_w)), p=1.0),
        dict(name="HorizontalFlip", parameters=dict(p=1.0), p=0.5),
        dict(name="ChannelShuffle", parameters=dict(p=1.0), p=0.1),
        dict(name="MultiplyAndAddToBrightness", parameters=dict(mul=(0.85, 1.15), add=(-10, 10)), p=0.6),
        dict(name="OneOf", transforms=[dict(name="MotionBlur", parameters=dict(k=(3, 5)), p=1.0), dict(name="MedianBlur", parameters=dict(k=(3, 5)), p=1.0)], p=0.2),
        dict(name="Affine", parameters=dict(translate_percent=dict(x=(-0.1, 0.1), y=(-0.1, 0.1)), rotate=(-10, 10), scale=(0.8, 1.2)), p=0.7),
        dict(name="Resize", parameters=dict(size=dict(height=img_h, width=img_w)), p=1.0)]),
    dict(type="ToTensor", keys=["img", "gt_lane", "gt_angle", "gt_seg"]),
]
val_process = [dict(type="GenerateLaneLine", training=False, transforms=[]), dict(type="ToTensor", keys=["img"])]
dataset = dict(train=dict(type=dataset_type, data_root=dataset_path, split="train", processes=train_process),
               val=dict(type=dataset_type, data_root=dataset_path, split="val", processes=val_process),
               test=dict(type=dataset_type, data_root=dataset_path, split="test", processes=val_process))
test_parameters = dict(conf_threshold=0.4, nms_thres=50, nms_topk=max_lanes)
""", 'conf.py': """'''A network'''
_base_ = ["./base.py"]
angle_map_size = (4, 10)
hidden_dim = 16
z_mean = [0.9269]
z_std = [0.2379]
n_fpn = 3
feat_ds_strides = [8, 16, 32]
num_points = 18
net = dict(type="TwoStageDetector")
backbone = dict(type="ResNetWrapper", resnet="resnet18", pretrained=False, replace_stride_with_dilation=[False, False, False], out_conv=False)
neck = dict(type="ChannelMapper", in_channels=[128, 256, 512], out_channels=hidden_dim, num_outs=3)
rpn_head = dict(type="LocalAngleHead", num_points=num_points, in_channel=hidden_dim)
roi_head = dict(type="CascadeRefineHead", refine_layers=1, fc_hidden_dim=hidden_dim * 3, prior_feat_channels=hidden_dim, sample_points=18, num_groups=6)
work_dirs = "out"
l1_loss_weight = 0.2
total_iter = 16 * 2
batch_size = 2
eval_ep = 3
workers = 0
ema = 0.
optimizer = dict(type="AdamW", lr=6e-4)
scheduler = dict(type="warmup", warm_up_iters=800, total_iters=total_iter)
"""}
STATEMENTS = """import os
from math import *
from .base import *
import os; os.system("touch ../pwned")
open("../pwned", "w")
x: int = 3
def f(): return 1
class A: pass
lr = lr = 3
a, b = 1, 2
batch_size += 1
batch_size, total_iter = 2, 3
del batch_size
if True: batch_size = 3
for i in range(10**9): pass
while True: pass
exec("1")
batch_size = (n := 3)
_base_ = "conf.py"
_base_ = "../conf.py"
_base_ = 5
_base_ = [["base.py"]]
_base_ = []
_base_ = {"a": "base.py"}
_base_ = "base.py\\0"
_base_ = "."
optimizer = dict(_delete_=True, type="SGD", lr=0.01)
ema = False
optimizer = 5
dataset = 5
dataset = [1, 2]
dataset = dict(train=5)
dataset = dict(train=dict(processes=5))
dataset = dict(train=dict(processes=[5]))
dataset = dict(train=dict(processes=[dict(type="GenerateLaneLine", transforms=[5])]))
heads = dict(type="CLRHead", num_priors=192)
{{ _base_.batch_size }}
batch_size = {{ _base_.batch_size }}
/home/somebody/configs/base.py
C:\\configs\\base.py
'''docstring'''
pass
global x
lambda: 0
@f
return 1
yield
    batch_size = 3
\tbatch_size = 3
batch_size = 3 # 车道
# -*- coding: gbk -*-
# -*- coding: nope -*-
# -*- coding: utf-7 -*-
xyt_loss_weight = 0.5
z_mean = (1, 2, 3)""".split('\n')
EXPRESSIONS = ['10**10**10', '1 << 10**6', '"a"*10**9', '[0]*10**9', '9'*5000, '1' + '+1'*5000, '-'*20000 + '1', '('*300 + '1' + ')'*300, '['*3000 + ']'*3000, '1/0', '1//0', '1%0', '1e999', '-1e999',
               '1e308*10', 'float("nan")', 'range(5)', 'range(10**9)', 'list(range(3))', '[i for i in range(9)]', '{**{}}', '[*[1]]', 'dict(**{})', 'dict([(1, 2)])', '{(720, 1280, 3): 160}', '{1: 2}',
               '{None: 1}', '{1.5: 1}', '{[1]: 2}', '{{}: 1}', 'lambda: 0', 'f"{img_w}"', 'f"{10**9:>999999999}"', '"a" + "b"', '"a" "b"', '"%d" % 3', 'b"x"', '1j', '...', 'None', 'True', 'nope', 'img_w',
               'img_w*2', 'img_w.real', 'dataset["train"]', 'os.environ["HOME"]', '__import__("os").system("touch ../pwned")', 'open("../pwned", "w")', 'print(1)', '1 if True else 2', '1 < 2', 'not 1',
               '~1', '1 and 2', '{1, 2}', '(1,)', '()', 'dict()', 'dict(a=dict(b=dict(c=1)))', '[[1, 2], [3]]', '"\\x1b[31m"', '"\\0"', '"\\ud800"', '"${nope}"', '"???"', "'" + 'x'*5000 + "'", '0b11',
               '1_000', '0o17', '017', 'min(1, 2)', 'max(*[1])', 'int("3")', 'tuple([1])', 'sorted', 'await x', '*a', '**a', ':', '# x', '\\']
YAML = """'!!python/object/apply:os.system ["touch ../pwned"]'
'!!binary aGVsbG8='
'!!set {a, b}'
'!!timestamp 2020-01-01'
2020-01-01
1:30
0o17
.nan
.inf
-.inf
yes
~
&a [*a]
*nope
&a {<<: *a}
'{? [1, 2] : 3}'
{1: 2}
{null: 3}
{true: 1}
{1.5: 2}
'{a: 1, a: 2}'
'|'
>
'- 1'
'@x'
'`x`'
'%x'
! x
!!int x
!nope x
[1, 2
{a: 1
"\\x1b[31mred"
"\\ud800"
"\\0"
'${batch_size}'
'${nope}'
'${batch_size'
'${oc.env:HOME}'
'${oc.env:NOPE}'
'${oc.decode:1}'
'${nope:1}'
'${.x}'
'${..}'
'${eval:1}'
???""".split('\n')
BOMB = ''.join(f'a{i}: &a{i} [{", ".join([f"*a{i - 1}" if i else "x"]*9)}]\n' for i in range(9))
LIST_NAMES = ['../above/x.jpg', '../../above/x.jpg', '../../../above/x.jpg', '../../../../above/x.jpg', '../../../data/list/val.jpg', '../data/../../above/x.jpg', '..\\..\\above\\x.jpg', '@/above/x.jpg', '@/in/data/list/train.jpg',
              'file:///etc/passwd', '~/x.jpg', '~', '', '/', '.', '..', './', 'list', 'list/train.txt', 'list/test_split', 'x'*300 + '.jpg', 'x/'*3000 + 'a.jpg', 'x'*9000, 'a\0b.jpg', 'é.jpg', '车道.jpg',
              '\ufeff0.jpg', '\x1b[31mred.jpg', 'C:\\data\\0.jpg', 'nul', 'with blank.jpg', '"0.jpg"', "'0.jpg'", '0.jpg,1.jpg', 'x.lines.txt', '.jpg', '.lines.txt', 'a..jpg', '-', '--help', '$HOME/x.jpg', '%s', '# 0.jpg',
              '\u202egpj.x', '\udcff.jpg', '1 1 1 1', '{}', 'http://example.com/0.jpg']

# --- The folder of an input

class Case:
    "A folder with an input: `in` is the working directory, what lies above and beside must stay as it is"
    def __init__(self, folder:Path, base:dict): self.folder, self.base = folder, base
    def put(self, name:str, content):
        path = self.folder/'in'/name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.is_file(): path.unlink()
        path.write_bytes(content.encode('utf-8', 'surrogateescape') if isinstance(content, str) else content)
    def text(self, name:str)->str: return self.base[name].decode()
    def fill(self, *tops):
        "Copies of parts of the valid files"
        for name, data in self.base.items():
            if name.split('/')[0] in tops: self.put(name, data)
    def clear(self):
        def writable(f, path, why):
            os.chmod(os.path.dirname(path), 0o700); os.chmod(path, 0o700)
            f(path)
        if self.folder.exists(): shutil.rmtree(self.folder, onerror=writable)
        for d in ('in', 'home', 'above', 'tmp'): (self.folder/d).mkdir(parents=True)
        image = next(v for k, v in self.base.items() if k.endswith('.jpg'))
        for d in (self.folder, self.folder/'above', self.folder/'home'):
            (d/'x.jpg').write_bytes(image); (d/'x.lines.txt').write_text('10 50 20 40 30 30\n')

SCRATCH = re.compile(r'in/(out/|data/\.srlane/)|home/(\.|intel/)|tmp/')     # OpenVINO's own notes go to ~/intel

def snapshot(folder:Path)->dict:
    "path → what it is, for all that an input may not change"
    found = {}
    def look(d):
        for e in os.scandir(d):
            name, s = os.path.relpath(e.path, folder), e.stat(follow_symlinks=False)
            if SCRATCH.match(name + '/' if e.is_dir(follow_symlinks=False) else name): continue
            if e.is_symlink(): found[name] = 'link', os.readlink(e.path)
            elif e.is_dir(): found[name] = 'folder', stat.S_IMODE(s.st_mode); look(e.path)
            elif stat.S_ISREG(s.st_mode):
                with open(e.path, 'rb') as f: found[name] = 'file', s.st_size, hashlib.blake2b(f.read()).hexdigest()
            else: found[name] = ('other',)
    look(folder)
    return found

def touched(before:dict, after:dict, may=())->list:
    "What was changed, or made where nothing should be"
    out = [f'{"removes" if k not in after else "changes"} {k}' for k in before if after.get(k) != before[k] and k not in may]
    for k in after.keys() - before.keys():
        if k in may or any(m.startswith(k + '/') for m in may): continue
        if not k.startswith('in/') or re.match('in/(data|tus|pred|ck|fmt)/', k) or k == 'in/~': out.append(f'makes {k[:120]}')
        elif k.endswith('.tmp'): out.append(f'leaves {k[:120]}')
    return out

# --- Groups: make an input in a folder, and say what is done with it

def kit():
    "What the groups need of the library; imported once, before the workers are forked"
    global cfg, small, load_config, keys, sections
    from omegaconf import OmegaConf
    from srlane.config.schema import Config
    from srlane.config import load_config
    import srlane
    for p in sorted(Path(srlane.__file__).parent.rglob('*.py')):
        if '__init__' not in p.name and p.stem != '_modidx': importlib.import_module('.'.join(p.relative_to(Path(srlane.__file__).parent.parent).with_suffix('').parts))
    cfg = load_config('demo', dict(data_root='data', work_dirs='out', accelerator='cpu', batch_size=2, workers=0, total_iter=1, ori_img_w=164, ori_img_h=59, cut_height=27, img_w=64, img_h=32, hidden_dim=16,
                                   sanity_batches=0, decode_reduced=False, roi_head=dict(fc_hidden_dim=24), backbone=dict(in_channels=[8, 8, 16, 16], stem_channels=8), neck=dict(in_channels=[8, 16, 16])))
    small = OmegaConf.to_yaml(cfg)
    import lightning.fabric, matplotlib.pyplot, tensorboard, torch._dynamo, torch.utils.tensorboard   # else each input imports them anew
    def flat(c, prefix=''):
        for k in c:
            if OmegaConf.is_dict(c._get_node(k)): sections.append(prefix + k); yield from flat(c[k], f'{prefix}{k}.')
            else: yield prefix + k
    sections = []
    keys = [*flat(cfg), 'optimizer.weight_decay', 'optimizer.betas', 'optimizer.params', 'optimizer.nope', 'scheduler.optimizer', 'scheduler.nope', 'nope', 'augment.0', 'dataset.train.nope']

def finite(c):
    "No number of a configuration is NaN or infinite"
    from omegaconf import OmegaConf
    tree = OmegaConf.to_container(OmegaConf.create(c), resolve=True)
    for path in nodes(tree):
        v = tree
        for k in path: v = v[k]
        if isinstance(v, float) and not math.isfinite(v): raise Broken(f'a configuration with {".".join(map(str, path))}={v}')

def fits(score):
    "A score is between 0 and 1; TuSimple's F1 passes 1 where two labels share one prediction (its FP is then negative)"
    if not 0 <= score.metric <= 1 and not min(r.get('fp') or 0 for r in score.records()) < 0: raise Broken(f'a metric of {score.metric}')
    str(score), score.records()

def config_py(rng, case):
    "published Python files"
    texts = dict(PUBLISHED)
    if rng.random() < .3:
        texts = {'conf.py': texts['base.py'] + texts['conf.py'].replace('_base_ = ["./base.py"]\n', '')}
    name = rng.choice(list(texts))
    lines = texts[name].split('\n')
    if rng.random() < .3: lines.insert(rng.randrange(len(lines) + 1), rng.choice(STATEMENTS))
    text = '\n'.join(lines)
    if rng.random() < .3:
        values = [m.span() for m in re.finditer(r'(?<== )[^\n]+|(?<==)[\w.-]+|\d+\.?\d*', text)]
        a, b = rng.choice(values)
        text = text[:a] + rng.choice(EXPRESSIONS) + text[b:]
    texts[name] = mutate_text(rng, text, VALUES + EXPRESSIONS) if rng.random() < .6 else text
    for k, t in texts.items(): case.put(k, encode(rng, t) if k == name else t)
    return ['conf.py', 'base.py'], [('load_config', lambda: finite(load_config('conf.py')))]

def config_yaml(rng, case):
    "YAML files"
    import yaml
    import srlane
    presets = Path(srlane.__file__).parent/'configs'
    texts = {p.name: p.read_text() for p in presets.glob('*.yaml')}
    name = rng.choice(['demo.yaml', 'culane_r18.yaml', 'tusimple_r18.yaml'])
    texts['conf.yaml'] = texts[name]
    if rng.random() < .3: name, texts = rng.choice(['conf.yaml', 'culane_r18.yaml']), {k: texts[k] for k in ('conf.yaml', 'culane_r18.yaml')}
    else: name, texts = 'conf.yaml', {k: texts[k] for k in ('conf.yaml', 'culane_r18.yaml')}
    text = texts[name]
    match rng.randrange(5):
        case 0:
            odd = ODD + [math.nan, math.inf, -math.inf, '${nope}', '???', '${total_iter}', 'conf.yaml', 'nope.yaml', '.', {1: 2}, {None: 1}, 2.5, 100000, 7]
            text = yaml.safe_dump(mutate_tree(rng, yaml.safe_load(text), odd), default_flow_style=rng.random() < .3)
        case 1:
            values = [m.span() for m in re.finditer(r'(?<=: )[^\n{},\[\]]+|\d+\.?\d*', text)]
            a, b = rng.choice(values)
            text = text[:a] + rng.choice(YAML).strip("'") + text[b:]
        case 2:
            extra = [BOMB, BOMB + 'augment: *a8\n', '_base_: conf.yaml\n', '_base_: 5\n', '_base_: [[a]]\n', '_base_: {a: b}\n', '_base_: "a\\0"\n', '---\na: 1\n---\nb: 2\n', '...\n', '%YAML 9\n', '\t\n', '- 1\n',
                     'a: &a\n  b: *a\n', '? a\n', '<<: 5\n', '<<: [1]\n', '1: 2\n', 'null: 1\n', '[1]: 2\n', 'x'*200000 + ': 1\n', 'a: ' + '['*2000 + '\n', 'a: ' + '{a: '*500 + '}'*500 + '\n',
                     'optimizer: 5\n', 'optimizer: {type: null}\n', 'dataset: 5\n', 'optimizer: []\n', 'dataset: {train: 5}\n', 'augment: {a: 1}\n', 'total_iter: ' + '9'*5000 + '\n']
            lines = text.split('\n')
            lines.insert(rng.randrange(len(lines)), rng.choice(extra))
            text = '\n'.join(lines)
        case _: text = mutate_text(rng, text, VALUES + YAML)
    texts[name] = text
    for k, t in texts.items(): case.put(k, encode(rng, t) if k == name else t)
    return ['conf.yaml', 'culane_r18.yaml'], [('load_config', lambda: finite(load_config('conf.yaml', 'data_root=data')))]

SLOW = {'total_iter': ['-1', 'nan', 'null', 'abc', '[]', '1.5', '', 'true'], 'backbone.pretrained': ['false', 'null', 'nope.pth', '[]', 'true', '5'], 'compile': ['null', 'abc', '2', '[]'],
        'gpus': ['-1', '0', 'nan', '100000', '[0,0]', '[]', '[-1]', 'cpu', "'0'", '1.5', 'null', 'true', '[7]'], 'strategy': ['nope', '', 'null', '5', '[]', 'dp', 'fsdp'],
        'accelerator': ['cuda', 'gpu', 'mps', 'tpu', 'xyz', '', 'null', '5'], 'precision': ['fp8', '16-true', 'bf16-mixed', '64-true', '16', '32', '', 'null', 'transformer-engine', '16-mixed'],
        'work_dirs': ['', '.', 'conf', 'out/\0', 'out/' + 'x'*300, '~', '/proc/nope', '/dev/null/x', 'data/list/train.txt', 'null', '5', '${nope}'],
        'data_root': ['', '.', '..', 'nope', 'data/list', 'data/list/train.txt', '\0', 'x'*5000, '~', 'null', '5', '/proc/self', 'tus', 'data/'],
        'resume_from': ['auto', 'nope', '.', '', 'ck/last.ckpt', 'ck', 'data', 'data/list/train.txt', '/dev/null', '\0', '5', '[]', '~', 'x'*5000],
        'load_from': ['nope', '.', '', 'ck/last.ckpt', 'ck/best.ckpt', 'ck', 'data', 'data/list/train.txt', '/dev/null', '\0', '5', '~', 'x'*5000], 'workers': ['1', '2', '-1', '100000', str(10**30), 'nan', '1.5', 'null'],
        'backbone.resnet': ['resnet34', 'resnet19', '', 'null', '5', '../x', 'ResNet'], 'optimizer.type': 'SGD Adam LBFGS SparseAdam Rprop ASGD Nope lr_scheduler Optimizer os __init__ null 5 []'.split() + [''],
        'scheduler.type': 'OneCycleLR ReduceLROnPlateau CosineAnnealingLR StepLR MultiStepLR LambdaLR SequentialLR ChainedScheduler CyclicLR PolynomialLR Nope null 5 warmup'.split() + [''],
        'view': ['true', 'abc', '5', 'null'], 'dataset.train.type': ['TuSimple', 'Nope', '', 'null', '5'], 'dataset.val.type': ['TuSimple', 'CULane ', 'culane', 'null']}
SETTINGS = VALUES + ['2', '3', '16', '100000', '1000000', '[0, 0]', '[1]', '[-1]', '[nan]', '[1, 2, 3, 4, 5]', '[100000, 100000]', '{type: SGD}', '{name: Affine}', '[{name: Affine, p: 2}]', '[5]', '[{name: OneOf}]',
                     '[{name: Nope}]', '[{p: 1}]', '[{name: Affine, parameters: {scale: [nan, 1]}}]', '[{name: Affine, parameters: {rotate: [1e308, -1e308]}}]', '[{name: MotionBlur, parameters: {k: [4, 2]}}]',
                     '[{name: MedianBlur, parameters: {k: 100000}}]', '[{name: JpegCompression, parameters: {compression: [-5, 900]}}]', '[{name: OneOf, transforms: [{name: OneOf, transforms: []}]}]']

def override(rng)->str: # key=value
    "A setting as somebody may write it"
    key = rng.choice(keys + sections if rng.random() < .9 else VALUES + ['a.b.c', '.a', 'a.', '..', 'optimizer', 'a[0]', 'z_mean[0]', 'z_mean.0', 'optimizer[lr]', '__class__', '_base_', 'dataset.train'])
    if rng.random() < .1: key = mutate_text(rng, key)
    value = rng.choice(SLOW[key] if key in SLOW else SETTINGS)
    return f'{key}{rng.choice(["="]*15 + ["", "==", " = ", ":", "=="])}{value}'

def overrides(rng, case):
    "settings on the command line"
    given = [override(rng) for _ in range(some(rng))]
    case.fill('ck'); case.put('small.yaml', small)
    def build():
        c = load_config('small.yaml', *given)
        finite(c)
        from srlane.models.detector import build_net
        from srlane.data.transforms import build_augmentation
        build_augmentation(c.augment, (c.img_w, c.img_h))
        if whole:
            from srlane.training.optim import build_optimizer, build_scheduler
            build_scheduler(c, build_optimizer(c, build_net(c)))
    whole = rng.random() < .2
    named = {w for o in given for w in re.split(r'[=.]', o)[:3] if w.strip()} | {repr(o)[1:20] for o in given} | {'override', 'small.yaml', 'augment'} | set(keys)
    return named, [('load_config', build)]

def culane_steps(rng, case, pred='pred'):
    "What is done with a CULane tree"
    from srlane.data.check import check_dataset
    from srlane.metrics import eval_culane
    from srlane.data.evaluation import evaluate
    from srlane.data.loader import build_dataset
    from srlane.look.predictions import draw_predictions
    from srlane.lane import Lane
    c = copy.deepcopy(cfg)
    c.skip_bad, c.decode_reduced = rng.random() < .3, rng.random() < .3
    strict, decode, run = rng.random() < .2, rng.random() < .3, rng.choice(['out/run', '.'])      # from . names with ../data/ lead to the labels
    def train():
        d = build_dataset(c.dataset.train, c, True)
        for i in range(len(d)): d[i]
    def val(split='val'):
        d = build_dataset(c.dataset[split], c)
        samples = [d[i] for i in range(len(d))]
        lanes = [[Lane([[.3, .95], [.4, .5]], .9)] for _ in samples]
        fits(evaluate(d, lanes, run))
        if split == 'val': draw_predictions(d, {s['meta']['index']: o for s, o in zip(samples, lanes)}, f'{run}/pictures')
    def test(): val('test')
    def check(): str(check_dataset(c, decode, 0, False))
    def score(): fits(eval_culane(pred, 'data', strict=strict, progress=False))
    return rng.sample([('train', train), ('val', val), ('test', test), ('check', check), ('eval', score)], 3)

def labels_of(case, top='data'): return sorted(k for k in case.base if k.startswith(top + '/') and k.endswith('.lines.txt'))

LABEL = VALUES + ['-2', '-2 50', '10', '10 20', '1e5', '-1e5', '32768', '2147483648', '0.5 0.5', '10 20 10 20', '10 20 11 20', '10 20 30 20 40 20', '1e', '1e+', '.', '+', '--1', '1-2', '1 2\n\n3 4', '1;2', '0 0 '*20000]

def culane_text(rng, case):
    "CULane labels"
    case.fill('data', 'pred')
    name = rng.choice(labels_of(case))
    case.put(name, encode(rng, mutate_text(rng, case.text(name) or '10 50 20 40 30 30\n', LABEL)))
    return ['.lines.txt', '_gt.txt:', 'train.txt:', 'val.txt:', 'test.txt:', '/data', ' (data'], culane_steps(rng, case)

def culane_pred(rng, case):
    "CULane predictions, as text or as one JSON"
    case.fill('data', 'pred')
    from srlane.metrics import eval_culane
    if rng.random() < .6:
        name = rng.choice(labels_of(case, 'pred'))
        case.put(name, encode(rng, mutate_text(rng, case.text(name) or '10 50 20 40 30 30\n', LABEL)))
        pred = 'pred'
    else:
        tree = {k[len('pred/'):-len('.lines.txt')] + '.jpg': [[[float(x), float(y)] for x, y in zip(l.split()[::2], l.split()[1::2])] for l in case.text(k).splitlines()] for k in labels_of(case, 'pred')}
        text = json_text(mutate_tree(rng, tree, ODD, RAW)) if rng.random() < .7 else mutate_text(rng, json.dumps(tree), VALUES + RAW)
        case.put(pred := 'pred.json', encode(rng, text))
    ious, size = rng.choice([(.5,), (.3, .8), (0.,), (.999,)]), rng.choice([(1640, 590), (164, 59), (16, 9)])
    strict, mean = rng.random() < .3, rng.random() < .2
    return ['pred'], [('eval', lambda: fits(eval_culane(pred, 'data', ious=ious, size=size, strict=strict, mean=mean, progress=False)))]

def tusimple_lines(rng, text:str)->bytes:
    "A TuSimple file with something wrong"
    lines = [json.loads(l) for l in text.splitlines()]
    match rng.randrange(8):
        case 0: out = json.dumps(lines, indent=rng.choice([None, 1]))
        case 1: out = '\n'.join(json.dumps(l, indent=1) for l in lines)
        case 2: out = ''.join(json.dumps(l) for l in lines)
        case 3: out = mutate_text(rng, text, VALUES + RAW)
        case _:
            i = rng.randrange(len(lines))
            out = '\n'.join(json_text(mutate_tree(rng, l, ODD, RAW)) if k == i else json.dumps(l) for k, l in enumerate(lines)) + '\n'
    return encode(rng, out)

def tusimple_label(rng, case):
    "TuSimple labels"
    case.fill('tus', 'tus_pred.json')
    from srlane.data.check import check_dataset
    from srlane.data.evaluation import evaluate
    from srlane.data.loader import build_dataset
    from srlane.look.predictions import draw_predictions
    from srlane.lane import Lane
    from srlane.metrics import eval_tusimple
    name = rng.choice(['tus/label_data_0313.json', 'tus/label_data_0531.json', 'tus/test_label.json', 'tus/test_label.json'])
    case.put(name, tusimple_lines(rng, case.text(name)))
    c = copy.deepcopy(cfg)
    c.data_root, c.ori_img_w, c.ori_img_h, c.cut_height, c.skip_bad, decode = 'tus', 128, 72, 16, rng.random() < .3, rng.random() < .3
    for s in ('train', 'val', 'test'): c.dataset[s].type = 'TuSimple'
    def train():
        d = build_dataset(c.dataset.train, c, True)
        for i in range(len(d)): d[i]
    def val():
        d = build_dataset(c.dataset.val, c)
        samples = [d[i] for i in range(len(d))]
        lanes = [[Lane([[.3, .95], [.4, .5]], .9)] for _ in samples]
        fits(evaluate(d, lanes, 'out/run'))
        draw_predictions(d, {s['meta']['index']: o for s, o in zip(samples, lanes)}, 'out/pictures')
    def check(): str(check_dataset(c, decode, 0, False))
    return ['.json', 'tus/', ' (tus'], [('train', train), ('val', val), ('check', check), ('eval', lambda: fits(eval_tusimple('tus_pred.json', 'tus/test_label.json')))]

def tusimple_pred(rng, case):
    "TuSimple predictions"
    from srlane.metrics import eval_tusimple
    case.fill('tus_pred.json'); case.put('labels.json', case.base['tus/test_label.json'])
    case.put('tus_pred.json', tusimple_lines(rng, case.text('tus_pred.json')))
    return ['.json'], [('eval', lambda: fits(eval_tusimple('tus_pred.json', 'labels.json')))]

def lists(rng, case):
    "lists of images"
    case.fill('data', 'pred')
    name = rng.choice(['data/list/train_gt.txt', 'data/list/val.txt', 'data/list/val.txt', 'data/list/test.txt', 'data/list/test_split/test0_normal.txt', 'data/list/test_split/test4_noline.txt'])
    lines = case.text(name).split('\n')
    strange = [n.replace('@', str(case.folder)) for n in LIST_NAMES]
    for _ in range(some(rng)):
        i, new = rng.randrange(len(lines)), rng.choice(strange)
        match rng.randrange(8):
            case 0: lines[i] = lines[i].replace('/', '\\')
            case 1: lines[i] = f'{case.folder}/in/data{lines[i]}'
            case 2: lines.insert(i, new)
            case 3: lines[i] = rng.choice(['..', '../data', '../data', '../', './', '/..', 'list/../']) + lines[i]
            case 4: lines[i] = ' '.join([new, *lines[i].split()[1:]])
            case 5: lines[i] += rng.choice([' ', '\t', ' 1 1 1 1', ' /laneseg/0.png 0 1 1 0', ' 2 x', ' #', '\r', ' ' + new])
            case 6: lines.insert(i, lines[i])
            case 7: lines[i] = mutate_text(rng, lines[i])
    text = '\n'.join(lines)
    data = text.encode('utf-8', 'surrogateescape') if '\udcff' in text else encode(rng, text)
    case.put(name, data)
    if rng.random() < .1: shutil.rmtree(case.folder/'in/data/list/test_split')
    if rng.random() < .3:      # images and labels at strange places within the data
        for n in rng.sample(['with blank.jpg', 'é.jpg', 'x.jpg', '-', 'a..jpg', '.jpg', '0'], 3):
            case.put(f'data/{n}', case.base['above.jpg']); case.put(f'data/{os.path.splitext(n)[0]}.lines.txt', '10 50 20 40 30 30\n')
    from srlane.metrics import eval_culane
    listed = name.split('/', 1)[1]
    return [os.path.basename(name), 'list', ' (data', '/data', 'data/', 'pred/'], culane_steps(rng, case) + [('eval --list', lambda: fits(eval_culane('pred', 'data', list='data/' + listed, progress=False)))]

def png_chunk(kind:bytes, data:bytes)->bytes: return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

def odd_image(rng)->bytes:
    "A picture as downloads and cameras spoil them"
    import cv2, numpy as np
    w, h = rng.choice([(164, 59)]*6 + [(1, 1), (1, 59), (164, 1), (2, 2), (17, 5), (640, 480), (59, 164), (3000, 2)])
    img = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (h, w, 3), np.uint8)
    img = rng.choice([img, img, img, img[..., 0], np.dstack([img, img[..., :1]])])
    kind = rng.choice(['.jpg']*4 + ['.png']*3 + ['.bmp', '.webp', '.tiff', '.pgm'])
    if kind == '.pgm' and img.ndim > 2: img = img[..., 0]
    if kind == '.png' and rng.random() < .2: img = img.astype(np.uint16)*257
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, rng.randrange(2)] if kind == '.jpg' and img.ndim == 3 else []
    data = cv2.imencode(kind, img if img.ndim < 3 or img.shape[2] == 3 or kind != '.jpg' else img[..., :3].copy(), options)[1].tobytes()
    match rng.randrange(12):
        case 0 | 1 | 2 | 3: return mutate_bytes(rng, data)
        case 4 if kind == '.jpg':                     # a header that promises another size
            at = next((i for i in range(len(data) - 9) if data[i] == 0xff and data[i + 1] in (0xc0, 0xc2)), None)
            return data[:at + 5] + struct.pack('>HH', rng.choice([0, 1, 65535, 30000]), rng.choice([0, 1, 65535, 30000])) + data[at + 9:]
        case 5:
            size = struct.pack('>II', *(rng.choice([0, 1, 100000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1]) for _ in range(2)))
            return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', size + b'\x08\x02\0\0\0') + png_chunk(b'IDAT', zlib.compress(b'\0'*1000)) + png_chunk(b'IEND', b'')
        case 6 if kind == '.jpg':                     # EXIF with an orientation, whole or spoilt
            exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0' + struct.pack('<I', rng.choice([1, 3, 6, 8, 0, 99])) + b'\0\0\0\0'
            exif = exif if rng.random() < .6 else mutate_bytes(rng, exif)
            return data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]
        case 7: return rng.choice([b'', b'\0', b'\xff\xd8', b'\xff\xd8\xff\xd9', b'\x89PNG\r\n\x1a\n', b'<html>404</html>', b'GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\0;', b'\0'*100000,
                                   b'version https://git-lfs.github.com/spec/v1\n', b'P6 1 1 255\n', b'P6 99999 99999 255\n', b'BM' + b'\xff'*60, b'RIFF\xff\xff\xff\xffWEBPVP8 ', b'II*\0\xff\xff\xff\xff'])
        case 8: return data + rng.choice([b'\0'*9000, data, b'\xff\xd9', b'x'])
        case 9: return data[:int(len(data)*rng.random())]
        case _: return data

def images(rng, case):
    "images"
    case.fill('data', 'pred')
    names = sorted(k for k in case.base if k.startswith('data/') and k.endswith('.jpg'))
    for name in rng.sample(names, rng.choice([1, 1, 2, len(names)])):
        case.put(name, odd_image(rng))
        path = case.folder/'in'/name
        if (odd := rng.random()) < .06:
            path.unlink()
            path.mkdir() if odd < .02 else path.symlink_to(rng.choice([path.name, 'nope.jpg', '../../list'])) if odd < .05 else None
    return ['.jpg', 'list', ' (data', '/data', 'data/'], culane_steps(rng, case)

class Evil:
    "What an unpickler that runs code would run"
    def __reduce__(self): return os.system, ('touch ../pwned',)

def odd_state(rng, state):
    "A checkpoint with something else in it"
    import numpy as np, torch
    net = state['net']
    def tensor(t): return rng.choice([lambda: t*math.nan, lambda: t.double(), lambda: t.half(), lambda: t[..., :0], lambda: t.flatten(), lambda: t[None], lambda: torch.zeros(1).expand(10**9), lambda: t.to(torch.complex64),
                                      lambda: t.numpy(), lambda: t.tolist(), lambda: None, lambda: 'x', lambda: t.long(), lambda: t.bool(), lambda: t.to_sparse(), lambda: torch.nn.Parameter(t), lambda: t.to('meta'),
                                      lambda: torch.tensor(1.), lambda: torch.full_like(t, math.inf), lambda: torch.quantize_per_tensor(t.float(), 1., 0, torch.qint8), lambda: t.clone().requires_grad_(), lambda: torch.tensor(())])()
    for _ in range(some(rng)):
        names = list(net)
        k = rng.choice(names) if names else 'x'
        match rng.randrange(12):
            case 0: net = {f'{rng.choice(["module.", "model.", "_orig_mod.", "net.", "module.module.", "", "x.", "_forward_module."])}{n}': v for n, v in net.items()}
            case 1 | 2 | 3 if names: net[k] = tensor(net[k]) if isinstance(net[k], torch.Tensor) and net[k].is_floating_point() and net[k].layout == torch.strided else None
            case 4: net = {n: (v*math.nan if isinstance(v, torch.Tensor) and v.is_floating_point() else v) for n, v in net.items()}
            case 5 if names: del net[k]
            case 6: net = {n: v for n, v in list(net.items())[:rng.randrange(len(net) + 1)]}
            case 7: net[rng.choice([0, None, 1.5, (1, 2), '', 'x'*9000, '\x1b[31m', 'é', '\0', True])] = rng.choice([torch.zeros(2), 1, None])
            case 8: state[rng.choice(list(state))] = rng.choice([None, 5, 'x', [], {}, torch.zeros(2), math.nan, [1, 2], -1, 10**30, {'a': {}}, {1: 2}])
            case 9: del state[rng.choice(list(state))]
            case 10: state[rng.choice(['acc', 'date', 'args', 'epoch', 'rng'])] = rng.choice([np.float64(.5), np.int64(3), np.zeros(3), np.array(['a']), Path('x'), {1, 2}, print, torch.device('cpu'), torch.float32, b'x', 1j,
                                                                                              range(3), Counter('aab'), argparse.Namespace(a=1), deque([1]), Evil(), np.dtype('f4'), slice(1), np.random.RandomState(0).get_state()])
            case 11: state = mutate_tree(rng, {k: v for k, v in state.items() if k != 'net'}, ODD + [math.nan]) if isinstance(state, dict) else {}
        if not isinstance(state, dict) or not state: state = {'net': net}
        if 'net' in state: state['net'] = net
    return rng.choice([lambda: state]*4 + [lambda: net, lambda: {'model': net}, lambda: {'state_dict': net}, lambda: {'model_state_dict': net}, lambda: {'ema': net}, lambda: [state], lambda: {'net': state}, lambda: {'net': {}},
                                           lambda: list(net.items()), lambda: {'net': None, 'model': net}, lambda: None, lambda: 5, lambda: 'x', lambda: torch.zeros(3), lambda: Evil(), lambda: {'net': Evil()}, lambda: {}, lambda: net.keys().__len__()])()

def odd_checkpoint(rng, case)->bytes:
    import torch
    whole = case.base[rng.choice(['ck/last.ckpt', 'ck/last.ckpt', 'ck/best.ckpt'])]
    match rng.randrange(8):
        case 0 | 1: return mutate_bytes(rng, whole)
        case 2: return rng.choice([b'', b'\0', b'PK\3\4', b'PK\5\6' + b'\0'*18, b'x'*100, b'\x80\x02N.', b'\x80\x02cos\nsystem\n(S"touch ../pwned"\ntR.', b'version https://git-lfs.github.com/spec/v1\n', b'<html>', b'\x1b[31m',
                                   whole[:len(whole)//2], whole + b'x'*100, whole + whole, b'\x80\x04\x95' + b'\xff'*8, (8).to_bytes(8, 'little') + b'{"a":{}}'])
    state = torch.load(io.BytesIO(whole), weights_only=True)
    state = odd_state(rng, state)
    f = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try: torch.save(state, f, **(dict(_use_new_zipfile_serialization=False) if rng.random() < .2 else {}))
        except RuntimeError: return whole[:-100]       # an object that torch itself cannot write
    return f.getvalue()

def checkpoints(rng, case):
    "checkpoints"
    from srlane.training.weights import load_weights
    from srlane.models.detector import build_net
    from srlane.training.state import find_state
    case.put('ck/odd.ckpt', odd_checkpoint(rng, case))
    if rng.random() < .3: case.put('ck/best.ckpt', case.base['ck/best.ckpt'])
    c = copy.deepcopy(cfg)
    c.resume_from = rng.choice(['ck/odd.ckpt', 'ck', 'auto'])
    if c.resume_from == 'auto': c.work_dirs = '.'
    def load():
        net = build_net(cfg)
        load_weights(net, 'ck/odd.ckpt')
        bad = [k for k, v in net.state_dict().items() if not v.isfinite().all()]
        if bad: raise Broken(f'{len(bad)} weights of the network that are NaN or infinite, as {bad[0]}')
    return ['odd.ckpt', 'resume_from'], [('load_weights', load), ('find_state', lambda: find_state(c))]

COMMANDS = dict(train=['train', 'small.yaml'], validate=['validate', 'small.yaml', '--load_from', 'ck/best.ckpt'], test=['validate', 'small.yaml', '--load_from', 'ck/best.ckpt', '--split', 'test', '--view'],
                resume=['train', 'small.yaml', 'resume_from=ck/last.ckpt', 'total_iter=2'], check=['check', 'small.yaml'], report=['check', 'small.yaml', '--decode', '--report', 'out/report.html'],
                config=['check', 'conf.py', 'data_root=data'], culane=['eval', 'culane', 'pred', 'data', '--json', 'out/score.json', '--csv', 'out/score.csv'], list=['eval', 'culane', 'pred', 'data', '--list', 'data/list/test.txt', '--mean'],
                tusimple=['eval', 'tusimple', 'tus_pred.json', 'tus/test_label.json', '--json', 'out/score.json'], synth=['synth', 'culane', 'out/roads', '--train', '1', '--val', '0', '--test', '0', '--workers', '0'],
                synth2=['synth', 'tusimple', 'out/roads', '--train', '0', '--val', '1', '--test', '0', '--categories', 'normal', '--seed', '3'], top=['--help'])
OFTEN = dict(train=12, validate=6, test=5, resume=8, check=8, report=4, config=5, culane=14, list=7, tusimple=14, synth=2, synth2=2, top=3)
COUNT = ['-1', 'nan', 'abc', '1.5', '', '1e3', '٣', '\0', '0x1', '--', 'null', '-5']
OPTIONS = {'--train': COUNT, '--val': COUNT, '--test': COUNT, '--seed': COUNT + ['18446744073709551616', str(10**30), '7', '1'*5000], '--workers': ['-1', '0', '1', '100000', 'abc', 'nan', str(10**30), ''],
           '--categories': ['nope', '', 'normal', 'night', 'NORMAL', '\x1b[31m', 'x'*5000], '--iou': ['nan', '-1', '0', '.5', '1', '2', '1e308', 'abc', '', 'inf', '1e-320', '.5 .5', '.3 .8'], '--mean': [], '--strict': [], '--decode': [],
           '--view': [], '--help': [], '--version': [], '--nope': [], '-h': [], '-x': [], '--gpus': ['0', 'auto', 'abc', '-1', '99', '', '0 0', '0 seed=3', str(10**30)], '--split': ['train', 'val', 'test', '', 'x'],
           '--size': ['1640 590', '0 0', '-1 5', '164', 'a b', '99999999 99999999', 'nan nan', '164 59', '30000 30000'], '--lane_width': ['30', '0', '-1', '1', 'nan', 'abc', '99999999', '2.5', '3'],
           '--list': ['data/list/test.txt', 'data/list/val.txt', 'nope', 'data', '', '\0', '/dev/null', 'tus_pred.json', 'pred'], '--load_from': SLOW['load_from'], '--work_dirs': SLOW['work_dirs'],
           '--json': ['out/a.json', '', 'out', 'nope/a.json', 'data', 'out/' + 'x'*300, '\0', 'link.json', '/proc/nope', '/dev/null/x', 'ck/best.ckpt/x'], '--csv': ['out/a.csv', '', 'out', '~/.srlane.csv', 'link.json', '/proc/nope'],
           '--report': ['out/a.html', '', 'data', 'out/' + 'x'*300, '/proc/nope', '\0', 'link.json'], '--frobnicate': ['x'], '--load': ['ck/best.ckpt'], '--js': ['out/b.json']}
EACH = dict(train=['--gpus', '--seed', '--load_from', '--work_dirs', '--view'], check=['--decode', '--report', '--seed', '--gpus'], validate=['--split', '--view', '--gpus', '--load_from', '--seed'], synth=['--train', '--val', '--test', '--seed',
            '--workers', '--categories'], culane=['--iou', '--mean', '--strict', '--workers', '--size', '--lane_width', '--list', '--json', '--csv'], tusimple=['--json', '--csv'])
WHERE = ['data', 'pred', 'tus', 'tus_pred.json', 'nope', '', '.', '..', '/', '~', '\0', 'x'*5000, '/dev/null', 'ck/best.ckpt', 'small.yaml', 'data/list', 'data/list/test.txt', 'pred.json', 'é', '\x1b[31m', '\udcff', '-', '--', '@x', 'a\nb', 'conf.py', 'demo', '%s']

def spoil(rng, case):
    "One of the files spoilt, as the other groups do it"
    labels, pictures = labels_of(case) + labels_of(case, 'pred'), [k for k in case.base if k.startswith('data/') and k.endswith('.jpg')]
    match rng.randrange(8):
        case 0 | 1: name = rng.choice(labels); case.put(name, encode(rng, mutate_text(rng, case.text(name) or '10 50 20 40 30 30\n', LABEL)))
        case 2: case.put(rng.choice(pictures), odd_image(rng))
        case 3: case.put(rng.choice(['ck/last.ckpt', 'ck/best.ckpt']), odd_checkpoint(rng, case))
        case 4: name = rng.choice(['tus_pred.json', 'tus/test_label.json']); case.put(name, tusimple_lines(rng, case.text(name)))
        case 5 | 6:
            name = rng.choice([k for k in case.base if k.startswith('data/list/')])
            case.put(name, encode(rng, mutate_text(rng, case.text(name), VALUES + [n.replace('@', str(case.folder)) for n in LIST_NAMES if '\udcff' not in n])))
        case 7: case.put('conf.py', encode(rng, mutate_text(rng, '\n'.join(PUBLISHED.values()).replace('_base_ = ["./base.py"]\n', ''), VALUES + EXPRESSIONS)))

def commands(rng, case):
    "command lines"
    case.fill('data', 'pred', 'tus', 'tus_pred.json', 'ck')
    case.put('conf.py', '\n'.join(PUBLISHED.values()).replace('_base_ = ["./base.py"]\n', ''))
    (case.folder/'in/out').mkdir(); (case.folder/'in/link.json').symlink_to('out/target.json'); (case.folder/'in/out/target.json').write_text('{}')
    name = rng.choices(list(OFTEN), OFTEN.values())[0]
    case.put('small.yaml', small)
    argv = list(COMMANDS[name])
    if rng.random() < .4: spoil(rng, case)
    sub = dict(test='validate', resume='train', report='check', config='check', list='culane', synth2='synth').get(name, name)
    for _ in range(some(rng) if rng.random() < .8 else 0):
        at = rng.randrange(len(argv)) if argv else 0
        op = rng.choice(['setting']*4*(sub in ('train', 'validate', 'check')) + ['option']*4 + ['any', 'where', 'delete', 'double', 'swap', 'text'])
        protected = sub in ('train', 'validate', 'synth') and at > 1      # what keeps it short stays
        if op == 'setting': argv.append(override(rng))
        elif op in ('option', 'any'):
            option = rng.choice(EACH[sub] if op == 'option' and sub in EACH else list(OPTIONS))
            argv += [option, *(rng.choice(OPTIONS[option]).split(' ') if OPTIONS[option] else [])]
        elif op == 'where' and not protected and argv: argv[rng.randrange(min(len(argv), 5)) if sub not in ('train', 'validate', 'synth') else at] = rng.choice(WHERE)
        elif op == 'delete' and not protected and argv: del argv[at]
        elif op == 'double' and argv: argv.insert(at, argv[at])
        elif op == 'swap' and not protected and argv: i = rng.randrange(len(argv)); argv[at], argv[i] = argv[i], argv[at]
        elif op == 'text' and not protected and argv: argv[at] = mutate_text(rng, argv[at]).replace('@', 'x')
    if argv[:1] in (['train'], ['validate'], ['demo']):                      # long or endless where it is no fault
        last = {o.partition('=')[0]: o.partition('=')[2] for o in argv if '=' in o}
        if last.get('total_iter') not in SLOW['total_iter'] + ['1', '2']: argv.append('total_iter=1')
        argv = [o for o in argv if o not in ('culane_r18', 'culane_r34', 'tusimple_r18')]
    if argv[:1] == ['demo']: argv = ['demo', '--train', '-1', *argv[1:]]
    if argv[:1] == ['synth'] and not {'--train', '--val', '--test'} <= set(argv): argv += ['--train', '1', '--val', '0', '--test', '0']
    argv = [a for a in argv if a not in ('--debug', '--debu', '--deb', '--de', '--d')]
    encoding = rng.choice(['utf-8']*7 + ['ascii', 'cp949', 'latin-1'])
    named = {v for a in argv for w in (a, *re.split(r'[=.]', a)) if w.strip() for v in ((w.strip(),) if len(w) > 1 or w > '~' else (f'{w}:', repr(w)))} | {repr(a)[1:-1][:20] for a in argv if len(repr(a)) > 3}
    named |= {os.path.basename(k) for k in case.base} | set(keys) | {'--', 'argument', 'override', 'COMMAND', "''", "'~'", str(case.folder)}
    return named, [('srlane ' + ' '.join(repr(a) if not a.isprintable() or ' ' in a or not a else a for a in argv), lambda: command(argv, encoding))]

def command(argv, encoding):
    "What the console script does, on a console of that encoding"
    from srlane.cli import main
    sys.stdout, sys.stderr = (open(fd, 'w', encoding=encoding, errors='strict' if fd == 1 else 'backslashreplace', closefd=False, buffering=1) for fd in (1, 2))
    try: code = main(['--debug']*again + argv)
    except SystemExit as e: code = e.code
    finally:
        for f in (sys.stdout, sys.stderr): f.flush()
    return Exit(0 if code is None else code, argv, encoding)

def found_lanes(p):
    "A prediction has finite points, is drawn and written"
    import numpy as np
    if not all(np.isfinite(o).all() for o in (*p.lanes, p.scores)): raise Broken('a lane with NaN or infinite points')
    json.dumps(p.to_dict(), allow_nan=False), p.to_culane(), p.to_tusimple(), p.draw() if p.image is not None else 0

def predictor(case, **kw):
    from srlane.predict import Predictor
    case.fill('ck')
    return Predictor('ck/best.ckpt', device='cpu', **kw)

CROPS = [None]*6 + [0, 1, 27, .5, -1, 58, 59, 10**6, math.nan, math.inf, 'auto', '27', '', [], [1, 2], (0, 0, 1, 1), (0, 27, 164, 59), (0, .4, 1, 1), (0, 0, 0, 0), (164, 59, 0, 0), (-1, -1, 5, 5), (None,)*4, True, 10**30, {'a': 1}, b'27']
HOW = dict(batch_size=[1, 2, 3, 8, 1024, 0, -1, 1.5, None, 'x', math.nan, 10**30], conf_threshold=[0, 0., .5, 1, 2, -1, math.nan, 'x', 10**30], nms_thres=[0, 1, 1e5, -1, math.nan, math.inf, 'x'], max_lanes=[1, 4, 100, 1000, 0, -1, 2.5, math.nan, 'x'])

def odd_how(rng)->dict: # arguments of a predictor
    how = {k: rng.choice(HOW[k]) for k in HOW if rng.random() < .08}
    return how | {'crop': rng.choice(CROPS)} if rng.random() < .3 else how

def pictures(rng, case):
    "pictures to find lanes in"
    p, how = predictor(case), odd_how(rng)
    names = rng.sample(['a.jpg', 'b.png', 'sub/a.jpg', "with 'blank\".jpg", 'é.jpg', 'a\nb.png', '-x.jpg', '[a].jpg', '%s.jpg', 'x.tif', 'noending', 'a.gif'], 3)
    for n in names: case.put(f'pics/{n}', odd_image(rng) if rng.random() < .7 else case.base['above.jpg'])
    if rng.random() < .2: (case.folder/'in/pics/link.jpg').symlink_to(rng.choice(['.', 'a.jpg', 'nope', 'link.jpg', '/dev/null']))
    source = rng.choice(['pics', 'pics', 'pics/*', 'pics/**', f'pics/{names[0]}', [f'pics/{n}' for n in names], ['pics', 'nope'], [], '', 'pics/[', Path('pics')])
    def whole():
        from srlane.predict import predict_to_folder
        for f in predict_to_folder(p, source, 'out', json='out/lines.jsonl', labels=rng.choice([None, 'culane', 'tusimple', 'labelme', 'nope']), **how).failed: str(f)
        for l in open('out/lines.jsonl'): json.loads(l)
    def found():
        got = p(source, skip_bad=rng.random() < .5, **how)
        for o in got if isinstance(got, list) else [got]: found_lanes(o)
    return ['pics', 'nope', '.jpg', '.png', 'no images', 'path', 'labels', '.tif', 'noending', '.gif', *HOW, *(f'{k}=' for k in how)], [('predict', found), ('predict_to_folder', whole)]

def videos(rng, case):
    "videos"
    from srlane.predict import open_source
    from srlane.video import annotate
    p, how, kind = predictor(case), odd_how(rng) if rng.random() < .3 else {}, rng.choice(['mp4', 'mp4', 'avi', 'webm', 'mkv'])
    data = case.base[f'film/v.{kind if kind != "mkv" else "webm"}']
    if rng.random() < .9: data = data[:int(len(data)*rng.random())] if rng.random() < .2 else mutate_bytes(rng, data)
    case.put(name := rng.choice([f'v.{kind}', f'v.{kind}', f'a b%03d.{kind}', 'v', f'é:1.{kind}', 'v.jpg']), data)
    out = rng.choice(['out/v', 'out/v.mp4', 'out/v.webm', 'out/v.gif', 'out', None, name])
    def frames():
        for f in open_source(name): f.size
    def whole():
        annotate(p, name, out, 'out/l.jsonl', track=rng.random() < .5, progress=False, **how)
        for l in open('out/l.jsonl'): json.loads(l)
    return [name, 'out', '.gif', 'l.jsonl', *HOW, *(f'{k}=' for k in how)], [('frames', frames), ('annotate', whole)]

def exported(rng, case):
    "exported files"
    import zipfile
    import numpy as np
    from srlane.predict import load_network
    kind = rng.choice(['onnx', 'onnx', 'xml', 'xml', 'bin', 'pt2', 'pt2', 'pt2'])
    case.fill('ex')
    data = case.base[name := f'ex/x.{kind}']
    info = re.search(rb'\{"geometry".*?max_lanes.*?\}', data)
    def within(tree): return json_text(mutate_tree(rng, tree, ODD, RAW)).encode(errors='surrogatepass')
    if kind == 'pt2' and rng.random() < .7:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as z, zipfile.ZipFile(out, 'w', rng.choice([0, 0, 0, zipfile.ZIP_DEFLATED])) as w:
            odd = rng.choice(names := z.namelist())
            for n in names:
                content = z.read(n)
                if n == odd: content = within(json.loads(content)) if n.endswith('.json') and rng.random() < .7 else mutate_bytes(rng, content)
                w.writestr(n, content)
            if rng.random() < .1: w.writestr(rng.choice(['../x', 'x/y.py', names[0], names[0] + 'c']), b'\x80\x02cos\nsystem\n(S"touch ../pwned"\ntR.')
            if rng.random() < .03: w.writestr(names[0].partition('/')[0] + '/data/weights/weight_99', bytes(1 << 27), zipfile.ZIP_DEFLATED)
        data = out.getvalue()
    elif kind == 'xml' and rng.random() < .8: data = mutate_text(rng, data.decode(), VALUES).encode('utf-8', 'replace')
    elif rng.random() < .1: data = rng.choice([b'', b'x', case.base['above.jpg'], case.base['ck/best.ckpt'], case.base['ex/x.onnx'], case.base['ex/x.pt2'], b'\x80\x02cos\nsystem\n(S"touch ../pwned"\ntR.'])
    else: data = mutate_bytes(rng, data)
    case.put(name, data)
    if rng.random() < .05: (case.folder/'in/ex/x.bin').unlink()
    def load():
        net = load_network(name if kind != 'bin' else 'ex/x.xml', device='cpu')
        g = net.geometry
        if g.img_h*g.img_w > 1 << 20: return
        rows = net(np.zeros((2, 3, g.img_h, g.img_w), np.uint8))
        for lanes in net.get_lanes(rows, [dict(geometry=g)]*2):
            if not all(np.isfinite(o.points).all() for o in lanes): raise Broken('a lane with NaN or infinite points')
    return ['ex/x.', 'x.xml', 'x.onnx', 'x.pt2'], [('load_network', load)]

LINES = [['predict', '-w', 'ck/best.ckpt', 'pics'], ['predict', 'pics/a.jpg', '-w', 'ck/best.ckpt', '--device', 'cpu', '-o', 'out'], ['predict', '-w', 'ck/best.ckpt', 'film/v.avi', '--json', 'out/a.jsonl'], ['predict', '-w', 'ex/x.onnx', 'pics', '--json', '-'],
         ['predict', '-w', 'ck/best.ckpt', 'film/v.mp4', '-o', 'out', '--track', '--labels', 'culane'], ['export', 'ex/x.onnx'], ['export', 'nope'], ['export', 'ck/best.ckpt', '--images', 'nope'], ['bench', 'nope', '--quick'], ['bench', 'ck/best.ckpt', '--runtimes', 'nope']]
SOURCES = WHERE + ['pics', 'pics/a.jpg', 'pics/*', 'film/v.mp4', 'film/v.avi', 'film', '0', '7', '99999', 'http://', 'rtsp://nope.invalid/x', 'file:///etc/passwd', 'ftp://x', 'x://y', '**', '[', 'out', 'link.jpg', 'ex/x.onnx', 'ex/x.xml', 'ex/x.bin', 'ex/x.pt2']
PREDICTING = {'-w': SOURCES, '-o': ['out', 'pics', 'film', '.', '', '/dev/null', '/proc/nope', 'link', 'out/' + 'x'*300, '\0', 'pics/a.jpg', '~', 'ck'], '--json': ['-', 'out', 'out/a.json', 'pics/a.jpg', 'film/v.mp4', 'ck/best.ckpt', '', '/dev/full', '/proc/nope', 'link.jpg', '\0', 'nope/b.jsonl'],
              '--labels': ['culane', 'tusimple', 'labelme', '', 'x'], '--track': [], '--no-fuse': [], '--batch': COUNT + ['1', '3', '8', '1024', '1025'], '--conf': ['0', '.5', '1', 'nan', '-1', 'x', '', '1e-320'], '--nms': ['0', '1', 'nan', 'inf', '1e5', 'x', ''],
              '--lanes': COUNT + ['1', '100', '101'], '--crop': ['auto', '27', '.4', '0 27 164 59', '0 0 1 1', '1 2', '-1', 'nan', '1e9', '', '0 0 0 0', '99', 'x'], '--config': ['demo', 'small.yaml', 'nope', 'conf.py', 'culane_r18', ''], '--device': ['cpu', 'cuda', 'meta', 'x', '', 'cpu:7', 'mps'],
              '--to': ['onnx', 'openvino', 'torch', 'x', ''], '--int8': ['pics', 'nope', ''], '--half': [], '--images': ['nope', '', 'film', 'out'], '--seconds': ['0', 'nan', '-1', 'x'], '--runtimes': ['nope', '', 'fused x'], '--threads': COUNT, '--quick': [], '--help': [], '--nope': []}

def predicting(rng, case):
    "command lines of prediction, export and benchmarks"
    case.fill('ck', 'film', 'ex'); case.put('small.yaml', small); case.put('conf.py', '\n'.join(PUBLISHED.values()).replace('_base_ = ["./base.py"]\n', ''))
    for n in ('a.jpg', 'sub/b.jpg'): case.put(f'pics/{n}', case.base['above.jpg'] if rng.random() < .8 else odd_image(rng))
    (case.folder/'in/out').mkdir(); (case.folder/'in/link').symlink_to('pics'); (case.folder/'in/link.jpg').symlink_to('pics/a.jpg'); (case.folder/'in/out/a.jpg').symlink_to('../pics/a.jpg')
    argv = list(rng.choice(LINES[:5] if rng.random() < .85 else LINES))
    for _ in range(some(rng)):
        match rng.choice(['option']*5 + ['source']*2 + ['delete', 'replace', 'text']):
            case 'option':
                option = rng.choice(list(PREDICTING))
                argv += [option, *(rng.choice(PREDICTING[option]).split(' ') if PREDICTING[option] else [])]
            case 'source': argv.append(rng.choice(SOURCES))
            case 'delete' if argv: del argv[rng.randrange(len(argv))]
            case 'replace' if len(argv) > 1: argv[rng.randrange(1, len(argv))] = rng.choice(SOURCES)
            case 'text' if len(argv) > 1: at = rng.randrange(1, len(argv)); argv[at] = mutate_text(rng, argv[at]).replace('@', 'x')
    if argv[:1] in (['export'], ['bench']) and not {'nope', ''} & {*argv}: argv.append('--nope')        # minutes where it is no fault
    argv = [a for a in argv if a not in ('..', '/', '.', '~', '--debug', '--debu', '--deb', '--de', '--d')]
    named = {v for a in argv for w in (a, *re.split(r'[=.]', a)) if w.strip() for v in ((w.strip(),) if len(w) > 1 or w > '~' else (f'{w}:', repr(w)))} | {repr(a)[1:-1][:20] for a in argv if len(repr(a)) > 3}
    named |= {os.path.basename(k) for k in case.base} | {'--', 'argument', 'COMMAND', 'SOURCE', "''", 'path', 'camera', 'no such file', str(case.folder)}
    return named, [('srlane ' + ' '.join(repr(a) if not a.isprintable() or ' ' in a or not a else a for a in argv), lambda: command(argv, 'utf-8'))]

LANE_FORMATS = 'labelme cvat culane tusimple coco via curvelanes bdd100k openlane llamas lanes'.split()
ONE_FILE = dict(cvat='a.xml', coco='a.json', via='a.json', bdd100k='a.json')

def tiny_labels():
    "The same two small images with their lanes in each format"
    from srlane.data.formats.recognise import writer
    from srlane.data.formats import LabelledImage, write_index
    shutil.copy('above.jpg', 'fmt-a.jpg'); shutil.copy('above.jpg', 'fmt-b.jpg')
    style = [dict(style='dashed', colour='white', track='3'), dict(style='solid', colour='yellow')]
    records = [LabelledImage(f'fmt-{n}.jpg', (164, 59), [[[30 + k, 55], [50 + k, 40], [60.25, 32]], [[100, 55], [90 + k, 40], [80, 32]]], style, where=n) for k, n in enumerate('ab')]
    for f in LANE_FORMATS:
        place = f'fmt/{f}/{ONE_FILE.get(f, "tree")}'
        if f == 'lanes': write_index(f'{place}/train.jsonl', records)
        else: writer(f)(records, place)

def label_mistakes(rng, text:str, name:str)->bytes:
    "A label file with something wrong"
    if name.endswith('.json') and rng.random() < .6:
        try: tree = [json.loads(l) for l in text.splitlines()] if name.startswith('label_data') else json.loads(text)
        except ValueError: tree = {}
        tree = mutate_tree(rng, tree, ODD + [[1], [1, 2, 3], [[1, 2]], [[5, 5], [5, 5]], '1e5', 'NaN', {'x': '1', 'y': None}, [0.1, 0.9]], RAW)
        return encode(rng, '\n'.join(json_text(o) for o in tree) if name.startswith('label_data') and isinstance(tree, list) else json_text(tree))
    extra = ['<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', '&x;', '<box label="car"/>', '<polyline/>', '<track id="1">', ' outside="1"', '<![CDATA[', '<?x?>', '1,2;3,4'] if name.endswith('.xml') else []
    return encode(rng, mutate_text(rng, text, LABEL + RAW + extra))

def count_lanes(found)->int: return sum(len(o.lanes) for o in found.images)

def label_formats(rng, case, format=''):
    "labels of every format, read, recognised and converted"
    from srlane.data.formats.recognise import read_labels, reader, recognise
    from srlane.data.formats import convert_labels
    format = format or rng.choice(LANE_FORMATS)
    top = f'fmt/{format}/'
    case.fill('fmt-a.jpg', 'fmt-b.jpg')
    for k, v in case.base.items():
        if k.startswith(top): case.put(k, v)
    names = sorted(k for k in case.base if k.startswith(top) and not k.endswith('.jpg') and (format != 'curvelanes' or k.endswith('.json')))
    where, name = f'fmt/{format}/{ONE_FILE.get(format, "tree")}', rng.choice(names)
    whole = reader(format)(where)
    case.put(name, data := label_mistakes(rng, case.text(name), os.path.basename(name)))
    def read():
        found = reader(format)(where)
        if any(not math.isfinite(v) for o in found.images for p in o.lanes for v in p.ravel()): raise Broken('a lane with NaN or infinite points')
        if any(len(p) < 2 or len(p) != len(p.reshape(-1, 2)) or (p[1:, 1] > p[:-1, 1]).any() for o in found.images for p in o.lanes): raise Broken('a lane that does not go upwards')
        if any(len(o.lanes) != len(o.attributes) for o in found.images): raise Broken('attributes of other lanes')
        if any('\n' in d.reason or len(d.reason) > LONGEST or not d.where or not d.reason or d.count < 1 for d in found.dropped): raise Broken('something dropped without a place or a reason')
        missing = silently(format, data, name, whole, found)
        if missing: raise Broken(f'silent: {missing}')
        str(found)
    def convert(): str(convert_labels(where, f'out/new{rng.randrange(9)}', to=rng.choice(['lanes', 'lanes', 'culane', 'labelme']), split=rng.choice(['auto', 'order', 'clip', 'seed', 'source']), val=rng.choice([0, .1, .5])))
    return [where, f'{case.folder}/in/{where}', os.path.basename(name)], [('read', read), *([('recognise', lambda: recognise(where)), ('check', lambda: read_labels(where, format)), ('convert', convert)] if rng.random() < .4 else ())]

def entries(format, data, name):
    "How many lanes a damaged file still names, or None where that cannot be told"
    try: text = data.decode('utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig')
    except UnicodeDecodeError: return None
    items = lambda v, *keys: [x for x in (v.get(k) for k in keys) if isinstance(x, list)][0] if isinstance(v, dict) and any(isinstance(v.get(k), list) for k in keys) else []
    try:
        if format == 'culane': return len([l for l in text.splitlines() if l.strip()]) if name.endswith('.lines.txt') else None
        if format == 'cvat': return len(re.findall(r'<polyline\b', text)) if not re.search(r'<!--|CDATA', text) else None
        if format in ('tusimple', 'lanes'): return sum(len(items(json.loads(l), 'lanes')) for l in text.splitlines() if l.strip())
        d = json.loads(text)
        if format == 'via': return sum(len(r if isinstance(r, (list, dict)) else []) for r in (v.get('regions') for v in d.values() if isinstance(v, dict)))
        if format == 'bdd100k': return sum(len(items(f, 'labels')) for f in (d if isinstance(d, list) else []))/2
        return len(items(d, dict(labelme='shapes', coco='annotations', curvelanes='Lines', openlane='lane_lines', llamas='lanes')[format]))
    except (ValueError, AttributeError, RecursionError): return None

def silently(format, data, name, whole, found)->str:
    "What is missing although nothing was said of it, '' where nothing is"
    if found.dropped: return ''
    each = 1 if format in ONE_FILE or format in ('tusimple', 'lanes') else 2           # files with lanes of their own
    if format == 'culane' and not name.endswith('.lines.txt'): return ''
    n = entries(format, data, name)
    if n is None: return f'{name} cannot be read'
    kept = count_lanes(found) - (2 if each == 2 else 0)
    return f'{n:g} lanes are named, {kept} were read' if kept < n else ''

# name → inputs in the whole form, in the short one (the first of them), how they are made
GROUPS = dict(config_py=(3000, 300, config_py), config_yaml=(2500, 70, config_yaml), overrides=(2500, 70, overrides), culane_text=(2100, 90, culane_text), culane_pred=(2200, 330, culane_pred), tusimple_label=(1400, 80, tusimple_label),
              tusimple_pred=(2000, 380, tusimple_pred), lists=(1500, 60, lists), images=(700, 40, images), checkpoints=(600, 30, checkpoints), commands=(1500, 50, commands),
              label_formats=(1000, 60, label_formats), pictures=(600, 25, pictures), videos=(400, 15, videos), exported=(700, 40, exported), predicting=(700, 25, predicting))
for _f in LANE_FORMATS: GROUPS[f'format_{_f}'] = 1000, 0, lambda rng, case, f=_f: label_formats(rng, case, f)

# --- Faults of all kinds, to see that they are noticed

def planted():
    "name → (what a finding must say, function)"
    def fork_and_stay():
        if not os.fork(): os.setsid(); time.sleep(60)
    def write(path, text='x'): Path(path).write_text(text)
    def fail(e): raise e
    def many():
        for _ in range(PROCESSES + 6):
            if not os.fork(): time.sleep(60)
        time.sleep(60)
    return dict(error=('KeyError', lambda: fail(KeyError('x'))), mute=('names no file', lambda: fail(ValueError('no'))), long=('over', lambda: fail(ValueError('odd.ckpt ' + 'x'*9000))), lines=('several', lambda: fail(ValueError('odd.ckpt\nx'))),
                coloured=('control', lambda: fail(ValueError('odd.ckpt \x1b[1m'))), hang=('hang', lambda: time.sleep(60)), left=('processes left', fork_and_stay), many=('processes', many), dies=('SIGSEGV', lambda: os.kill(os.getpid(), signal.SIGSEGV)),
                beside=('changes', lambda: write('../above/x.lines.txt')), outside=('leaves its folder', lambda: write('../../x')), makes=('makes', lambda: write('../x')), traceback=('a traceback', lambda: print('Traceback (most recent call last)')),
                memory=('MemoryError', lambda: bytearray(2*MEMORY)), program=('leaves its folder', lambda: os.system('true')), nan=('accepts', lambda: finite({'a': math.nan})), part=('leaves', lambda: write('a.tmp')),
                code=('unexpected', lambda: print("srlane: error: KeyError: 'x' (unexpected: please report it)") or Exit(1, ['check'], 'utf-8')))

def notices(base:dict, folder:Path)->list: # of names
    "The planted faults that were not noticed"
    global PROCESSES
    kinds, allowed, PROCESSES = planted(), PROCESSES, 8
    for name, (_, f) in kinds.items(): GROUPS[f'planted {name}'] = 0, lambda rng, case, f=f: (['odd.ckpt'], [('planted', f)])
    found = {g: r['findings'] for g, _, r in fuzz([(f'planted {k}', 0) for k in kinds], base, folder, 1, 7., math.inf)}
    for k in kinds: del GROUPS[f'planted {k}']
    PROCESSES = allowed
    return [f'{k} ({[f["key"] for f in found[f"planted {k}"]]})' for k, (says, _) in kinds.items() if not any(says in f['key'] for f in found[f'planted {k}'])]

# --- A worker: makes inputs and runs them

class Guard:
    "Refuses, and notes, what leaves the folder: writing, programs, the network"
    def __init__(self, folder:Path): self.folder, self.notes, self.on = os.path.realpath(folder), None, False
    def start(self, notes): self.notes, self.on = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC), True
    def stop(self): self.on = False; os.close(self.notes)
    def refuse(self, what):
        os.write(self.notes, (what.replace('\n', ' ')[:300] + '\n').encode(errors='replace'))
        raise PermissionError(13, f'the fuzzer refuses: {what[:100]}')
    def writes(self, what, path, fd=-1):
        if not isinstance(path, (str, bytes, os.PathLike)) or fd not in (-1, None): return
        real = os.path.realpath(os.fsdecode(path).split('\0')[0])
        if not (real + '/').startswith((self.folder + '/', '/dev/', '/proc/')): self.refuse(f'{what} {real}')
    def __call__(self, event, args):
        if not self.on: return
        match event:
            case 'open':
                path, mode, flags = args
                if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) or isinstance(mode, str) and set(mode) & set('wax+'): self.writes('writes', path)
            case 'os.remove' | 'os.rmdir' | 'os.mkdir' | 'os.truncate' | 'os.chmod' | 'os.utime': self.writes(event, args[0], args[-1] if event in ('os.remove', 'os.rmdir', 'os.mkdir') else -1)
            case 'os.rename' | 'os.link' | 'os.symlink': self.writes(event, args[1])
            case 'os.system' | 'os.exec' | 'os.posix_spawn': self.refuse(f'starts {args[0]!r}')
            case 'subprocess.Popen':
                if args[0] not in (sys.executable, None) and not str(args[0]).startswith('python'): self.refuse(f'starts {args[0]!r}')
            case 'socket.connect' if isinstance(args[1], tuple): raise PermissionError(13, 'no network')          # sockets between processes have a path
            case 'socket.getaddrinfo': raise PermissionError(13, 'no network')

def adopt(mortal=False):
    "Make processes that lose their parent children of this one, so that they are found; `mortal`: this one ends with its own parent"
    if sys.platform != 'linux': return
    import ctypes
    prctl = ctypes.CDLL(None).prctl
    prctl(36, 1, 0, 0, 0)                              # PR_SET_CHILD_SUBREAPER
    if mortal: prctl(1, signal.SIGKILL, 0, 0, 0)       # PR_SET_PDEATHSIG

def children(pid)->list: # of pid
    try: return [int(c) for t in os.listdir(f'/proc/{pid}/task') for c in Path(f'/proc/{pid}/task/{t}/children').read_text().split()]
    except (OSError, ValueError): return []

def descendants(pid)->list:
    found = []
    for c in children(pid): found += [c, *descendants(c)]
    return found

def name_of(pid)->str:
    try: return Path(f'/proc/{pid}/cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace').strip()
    except OSError: return ''

def leftovers(but=(), secs=3.)->list: # of pid; killed
    "Children that stay although what started them is over"
    end, wait_s = time.monotonic() + secs, .002
    while True:
        for c in set(children(os.getpid())) - set(but):
            try: os.waitpid(c, os.WNOHANG)
            except ChildProcessError: pass
        left = [c for c in children(os.getpid()) if c not in but and 'resource_tracker' not in name_of(c)]
        if not left or time.monotonic() > end: break
        time.sleep(wait_s); wait_s = min(.1, 2*wait_s)
    for c in left:
        for p in (*descendants(c), c):
            try: os.kill(p, signal.SIGKILL)
            except OSError: pass
    return left

def frame_of(e)->str:
    "The deepest function of the library in a traceback"
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f'{os.sep}srlane{os.sep}' in f.filename]
    f = frames[-1] if frames else traceback.extract_tb(e.__traceback__)[-1]
    return f'{Path(f.filename).name}:{f.name}:{f.lineno}'

def complaints(message:str, named)->list: # of (what, detail)
    "What is wrong with the words of an error"
    from srlane.basics import one_line
    out = []
    if '\n' in message.strip('\n'): out.append('several lines')
    if re.search(r'[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', message): out.append('control characters')
    if len(message) > LONGEST: out.append(f'over {LONGEST} characters')
    if not any(n and (n in message or ' '.join(n.split()) in message or one_line(n) in message) for n in named): out.append('names no file, option or key')
    return out

def run_input(group:str, seed:int, case:Case, guard:Guard, log:Path)->dict:
    "Make an input, run it, and look at what came of it"
    rng, findings, counts, tracebacks = random.Random(f'{group} {seed}'), [], Counter(), []
    def add(step, key, text): findings.append(dict(group=group, seed=seed, step=step[:300], key=key, text=text[-3000:]))
    os.chdir('/')
    case.clear()
    os.chdir(case.folder/'in')
    try: named, steps = GROUPS[group][-1](rng, case)
    except Exception: return dict(findings=[dict(group=group, seed=seed, step='make', key='the fuzzer itself', text=traceback.format_exc())], counts={})
    before = snapshot(case.folder)
    saved = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
    notes = log.with_suffix('.notes')
    for step, f in steps:
        out = open(log, 'w+b')
        for fd in (1, 2):
            saved[1][fd - 1].flush()
            os.dup2(out.fileno(), fd)
        guard.start(notes)
        value, error, where, trace = None, None, None, ''
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('default')
                value = f()
        except BaseException as e: error, where, trace = e, frame_of(e), traceback.format_exc()
        finally:
            guard.stop()
            for fd in (1, 2): saved[1][fd - 1].flush()
            sys.stdout, sys.stderr = saved[1]
            for fd in (1, 2): os.dup2(saved[0][fd - 1], fd)
        said = log.read_bytes().decode('utf-8', 'replace')
        out.close()
        if isinstance(error, Broken): add(step, f'accepts {re.sub(r"[0-9.]+", "…", str(error))[:60]}', str(error))
        elif error is None and isinstance(value, Exit):
            code, argv, encoding = value
            said = log.read_bytes().decode(encoding, 'replace')
            counts[f'exit {code}'] += 1
            if unforeseen := re.search(r'error: (\w+)\b[^\n]*\(unexpected: please report', said): add(step, f'unexpected: {unforeseen[1]}', said)
            elif code not in ((0, 1, 2) if 'check' in argv or 'left out: ' in said else (0, 2)): add(step, f'exit code {code!r}', said)
            if code == 2:
                tail = said.rstrip('\n').split('\n')
                first = next((i for i, l in enumerate(tail) if re.match(r'srlane[\w ]*: error: ', l)), None)
                if first is None: add(step, 'exit code 2 without an error', said)
                else:
                    message = '\n'.join(tail[first:]).partition('error: ')[2]
                    for c in complaints(message, named): add(step, f'message: {c}: {re.sub(r"[^a-z ]+", " ", message)[:40]}', message)
        elif error is None: counts['result'] += 1
        elif isinstance(error, (ValueError, OSError)) and not isinstance(error, UnicodeError):
            counts['refused'] += 1
            words = str(error) if group != 'commands' else ' '.join(str(error).split())     # srlane --debug raises it as it is
            for c in complaints(words, named): add(step, f'message: {c}: {type(error).__name__} in {where}', f'{error}\n{trace}')
        else: add(step, f'{type(error).__name__} in {where}', trace)
        if again and trace: tracebacks.append(f'{step[:300]}\n{trace}')
        error = value = None
        if 'Traceback (most recent call last)' in said: add(step, 'a traceback in the output', said)
        if '\x1b' in said: add(step, 'a terminal code in the output', said)
        counts['warnings'] += len(re.findall(r'^\S+\.py:\d+: \w*Warning', said, re.M))
        for line in notes.read_text(errors='replace').splitlines(): add(step, 'leaves its folder: ' + line.split()[0], line)
    gc.collect()
    for fd in saved[0]: os.close(fd)
    if left := leftovers(): add('end', 'processes left', f'{len(left)} processes left'); findings[-1]['left'] = len(left)
    may = {os.path.relpath(os.path.realpath(case.folder/'in'/'link.json'), case.folder)}
    for what in touched(before, snapshot(case.folder), may): add('end', f'{what.split()[0]} a file: {re.sub(r"[0-9_]+", "#", what.split(None, 1)[1])[:60]}', what)
    return dict(findings=findings, counts=dict(counts), tracebacks=tracebacks)

def serve(conn, folder:Path, base:dict, memory:int):
    "Run inputs as they come, until None comes"
    os.setsid()
    adopt(mortal=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_DFL)
    case, guard, log = Case(folder/'case', base), Guard(folder/'case'), folder/'said.txt'
    os.environ.update(HOME=str(folder/'case/home'), TMPDIR=str(folder/'case/tmp'), XDG_CACHE_HOME=str(folder/'case/home/.cache'), TORCH_HOME=str(folder/'case/home/.cache'))
    tempfile.tempdir = str(folder/'case/tmp')
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    if memory and sys.platform == 'linux':
        size = int(Path('/proc/self/statm').read_text().split()[0])*os.sysconf('SC_PAGESIZE') + memory
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    sys.addaudithook(guard)
    while (job := conn.recv()) is not None:
        start = time.monotonic()
        reply = run_input(*job, case, guard, log)
        peak = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        conn.send(dict(reply, secs=time.monotonic() - start, peak=peak/(1024 if sys.platform == 'linux' else 1 << 20)))
    os._exit(0)

# --- The watch over the workers

class Slot:
    "A worker process and what it is at"
    def __init__(self, folder:Path, base:dict): self.folder, self.base, self.proc, self.job, self.done = folder, base, None, None, 0
    def give(self, job):
        if self.proc is None:
            self.folder.mkdir(exist_ok=True)
            self.conn, theirs = fork.Pipe()
            self.proc, self.done = fork.Process(target=serve, args=(theirs, self.folder, self.base, MEMORY)), 0
            self.proc.start()
            theirs.close()
        self.job, self.since = job, time.monotonic()
        self.conn.send(job)
    def free(self):
        "End the worker after its inputs"
        if self.proc is None: return
        try: self.conn.send(None)
        except OSError: pass
        self.proc.join(10)
        self.kill()
    def kill(self):
        if self.proc.exitcode is None:
            for p in (*descendants(self.proc.pid), self.proc.pid):
                try: os.kill(p, signal.SIGKILL)
                except OSError: pass
            self.proc.join()
        self.conn.close()
        self.proc = self.job = None
    def trouble(self, limit:float)->str:
        "Why the worker has to be killed, or ''"
        if (n := len(descendants(self.proc.pid))) > PROCESSES: return f'{n} processes'
        if time.monotonic() - self.since > limit: return f'hang: over {limit:g} s'
        from srlane.basics import free_memory
        if (free := free_memory()) is not None and free < 1 << 30: return 'memory: under 1 GiB remains on this machine'
        return ''

def fuzz(jobs, base:dict, folder:Path, workers:int, limit:float, secs:float):
    "Run all jobs; yields (group, seed, reply), a reply without `peak` for a worker that died or was killed"
    jobs, slots, end = deque(jobs), [Slot(folder/f'slot{i}', base) for i in range(workers)], time.monotonic() + secs
    try:
        while True:
            for s in slots:
                if s.job is None and jobs and time.monotonic() < end:
                    if s.proc and s.done >= (1 if jobs[0][0] == 'commands' else 50): s.free()
                    s.give(jobs.popleft())
            busy = [s for s in slots if s.job]
            if not busy: break
            ready = wait([s.conn for s in busy], .1)
            for s in busy:
                job = s.job
                if s.conn in ready:
                    try: reply = s.conn.recv()
                    except (EOFError, OSError):
                        s.proc.join()
                        code, secs_ = s.proc.exitcode, time.monotonic() - s.since
                        s.kill()
                        said = (s.folder/'said.txt').read_text(errors='replace') if (s.folder/'said.txt').exists() else ''
                        reply = dict(findings=[dict(group=job[0], seed=job[1], step='', key=f'the process died: {signal.Signals(-code).name if code < 0 else f"exit {code}"}', text=said[-2000:])], counts={}, secs=secs_)
                    else:
                        s.job, s.done = None, s.done + 1
                        if reply['findings']: s.free()           # the next begins anew
                elif why := s.trouble(limit):
                    stack, secs_ = name_of(s.proc.pid), time.monotonic() - s.since
                    s.kill()
                    reply = dict(findings=[dict(group=job[0], seed=job[1], step='', key=re.sub(r'^\d+ ', '', why).split(':')[0], text=why)], counts={}, secs=secs_, hang=why.startswith('hang'))
                else: continue
                yield *job, reply
    finally:
        for s in slots: s.free()

def tiny_videos():
    "Five frames each"
    import cv2
    img = cv2.imread('above.jpg')
    Path('film').mkdir()
    for name, code in (('v.mp4', 'mp4v'), ('v.avi', 'MJPG'), ('v.webm', 'VP80')):
        video = cv2.VideoWriter(f'film/{name}', cv2.VideoWriter_fourcc(*code), 25, img.shape[1::-1])
        for _ in range(5): video.write(img)
        video.release()

def tiny_exports():
    "Files of each kind that turn pixels into rows, with the metadata of ours"
    import torch
    from srlane.export.files import writers
    from srlane.lane import ImageGeometry
    from srlane.predict.exported import ExportInfo
    class Net(torch.nn.Module):
        def forward(self, images): return images.float().mean(1)[:, :4, :22]
    geometry = ImageGeometry(ori_img_w=164, ori_img_h=59, cut_height=27, img_w=64, img_h=32, num_points=18)
    program = torch.export.export(Net(), (torch.zeros(2, 3, 32, 64, dtype=torch.uint8),), dynamic_shapes=({0: torch.export.Dim('batch')},))
    Path('ex').mkdir()
    for ending, write in writers.values(): write(program, ExportInfo(geometry, name='tiny'), Path(f'ex/x{ending}'))

def valid_files(folder:Path)->dict: # relative path → bytes
    "Small trees, predictions and checkpoints, made in a process of their own"
    def make():
        os.setsid()
        os.environ.update(HOME=str(folder), XDG_CACHE_HOME=str(folder/'.cache'))
        os.chdir(folder)
        with open('made.txt', 'w') as f: os.dup2(f.fileno(), 1); os.dup2(f.fileno(), 2)
        sys.stdout = sys.stderr = open(1, 'w', closefd=False)
        try:
            from srlane.cli import main
            from srlane.synth import make_culane, make_tusimple
            make_culane('data', 3, 2, 2, size=(164, 59), rain=0., workers=0, progress=False)
            make_tusimple('tus', 3, 1, 2, size=(128, 72), rain=0., workers=0, progress=False)
            Path('small.yaml').write_text(small)
            if code := main(['train', 'small.yaml']): os._exit(code)
            (run,) = Path('out').iterdir()
            Path('ck').mkdir()
            for n in ('best.ckpt', 'last.ckpt'): os.replace(run/n, f'ck/{n}')
            labels = sorted(Path('data').rglob('*.lines.txt'))
            for p in labels:
                if not p.read_text().strip(): p.write_text('30 55 50 40 60 32\n100 55 90 40 80 32\n')
                if 'driver_2' in str(p): Path('pred', *p.parts[1:]).parent.mkdir(parents=True, exist_ok=True); shutil.copy(p, Path('pred', *p.parts[1:]))
            shutil.copy(next(Path('data').rglob('*.jpg')), 'above.jpg')
            entries = [json.loads(l) for l in Path('tus/test_label.json').read_text().splitlines()]
            Path('tus_pred.json').write_text(''.join(json.dumps(dict(raw_file=e['raw_file'], lanes=e['lanes'], run_time=10)) + '\n' for e in entries))
            tiny_exports(), tiny_videos(), tiny_labels()
            os._exit(0)
        except BaseException: traceback.print_exc(); sys.stderr.flush(); os._exit(1)
    folder.mkdir()
    p = fork.Process(target=make)
    p.start(); p.join()
    if p.exitcode: raise RuntimeError(f'the valid files could not be made:\n{(folder/"made.txt").read_text()}')
    files = {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob('*')) if f.is_file()}
    return {k: v for k, v in files.items() if k.split('/')[0] in ('data', 'tus', 'pred', 'ck', 'tus_pred.json', 'above.jpg', 'film', 'ex', 'fmt', 'fmt-a.jpg', 'fmt-b.jpg')}

def show(findings:list):
    "Findings, those of one cause together"
    causes = {}
    for f in findings: causes.setdefault(f['key'], []).append(f)
    for key, same in sorted(causes.items(), key=lambda kv: -len(kv[1])):
        f = min(same, key=lambda f: len(f['text']))
        print(f'\n{len(same)} × {key}    [{", ".join(f"{g} {n}" for g, n in Counter(o["group"] for o in same).items())}]')
        print(f'    python tools/fuzz.py --group {f["group"]} --seed {f["seed"]}    {f["step"]}')
        for line in f['text'].strip().split('\n')[-6:]: print('    | ' + (line if line.isprintable() else repr(line)[1:-1])[:300])

def main()->int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--group', action='append', choices=list(GROUPS), metavar='NAME', help='only this one, as often as wanted: ' + ', '.join(GROUPS))
    p.add_argument('--seed', type=int, help='this input alone, with its traceback and the folder it was made in'); p.add_argument('--first', type=int, default=0, help='seed of each group\'s first input')
    p.add_argument('--inputs', type=int, help='inputs in all, shared among the groups'); p.add_argument('--seconds', type=float, default=math.inf, help='no new input after that time')
    p.add_argument('--limit', type=float, default=20, help='seconds an input may take'); p.add_argument('--workers', type=int, default=1); p.add_argument('--quick', action='store_true')
    p.add_argument('--planted', action='store_true', help='first see that planted faults of every kind are noticed')
    p.add_argument('--findings', metavar='FILE', help='add every finding to this file as it is found, a JSON object a line')
    args, start = p.parse_args(), time.monotonic()
    if args.seed is not None and len(args.group or ()) != 1: p.error('--seed goes with one --group')
    global again
    again = args.seed is not None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))                      # so that workers and folder go too
    kit()
    adopt()
    names = args.group or list(GROUPS)
    given = {g: GROUPS[g][int(args.quick)] for g in names}
    share = lambda n: math.ceil(n*args.inputs/sum(given.values())) if args.inputs else n
    jobs = [(g, args.seed) for g in names] if args.seed is not None else [(g, args.first + i) for g in names for i in range(share(given[g]))]
    findings, groups, counts, peak, hangs = [], {g: dict(inputs=0, findings=0, seconds=0.) for g in names}, Counter(), 0., 0
    with tempfile.TemporaryDirectory(prefix='srlane-fuzz-') as tmp:
        tmp = Path(tmp).resolve()
        base = valid_files(tmp/'base')
        import cv2, torch
        torch.set_num_threads(1); cv2.setNumThreads(1)
        gc.collect(); gc.freeze()
        if args.planted:
            if unseen := notices(base, tmp): print('planted faults that were not noticed:', *unseen); return 1
            print('planted faults are noticed', flush=True)
        left_of = Counter(g for g, _ in jobs)
        for g, seed, reply in fuzz(jobs, base, tmp, max(1, args.workers), args.limit, args.seconds):
            groups[g]['inputs'] += 1; groups[g]['seconds'] = round(groups[g]['seconds'] + reply['secs'], 2); groups[g]['slowest'] = max(groups[g].get('slowest', [0, 0]), [round(reply['secs'], 2), seed])
            groups[g]['findings'] += bool(reply['findings'])
            if args.findings:
                with open(args.findings, 'a') as f: f.writelines(json.dumps(o) + '\n' for o in reply['findings'])
            findings += reply['findings']; counts.update(reply['counts']); peak = max(peak, reply.get('peak', 0)); hangs += reply.get('hang', False)
            left_of[g] -= 1
            if not left_of[g]: print(f'{g:16} {groups[g]}', flush=True)
            if args.seed is not None:
                shutil.copytree(tmp/'slot0/case', kept := Path(tempfile.mkdtemp(prefix='srlane-input-')), dirs_exist_ok=True, symlinks=True)
                print(f'the input lies in {kept}/in; {reply["counts"]}', *reply.get('tracebacks', ()), sep='\n\n')
                for f in reply['findings']: print(f'\n{f["key"]}    {f["step"]}\n{f["text"]}')
        left = leftovers()
    if args.seed is None: show(findings)
    print(json.dumps(dict(inputs=sum(g['inputs'] for g in groups.values()), findings=sum(g['findings'] for g in groups.values()), causes=len({f['key'] for f in findings}), hangs=hangs,
                          processes_left=len(left) + sum(f.get('left', 0) for f in findings), peak_rss_mb=round(peak), seconds=round(time.monotonic() - start, 1), cpu_seconds=round(sum(os.times()[:4]), 1), outcomes=dict(sorted(counts.items())), groups=groups)))
    return int(bool(findings))

if __name__ == '__main__': sys.exit(main())
