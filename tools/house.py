"""The house's own rules: which module may import which, how long one may be, what is public and what it says of itself, how long a reader waits, which words are used.

    python tools/house.py          every rule; problems one a line, exit code 1 where there are any
    python tools/house.py order    the modules in the order of their imports

`make test` runs the same (group `house`), and checks that each rule notices what breaks it.
"""
import ast, json, re, sys
from collections import defaultdict
from pathlib import Path

root = Path(__file__).resolve().parent.parent
packages = 'basics config lane synth metrics models data weights training look runner predict video export benchmark cli'.split()   # each imports only those before it
max_module, max_run, max_line = 350, 60, 140   # lines of a module; exported lines before a reader sees something happen; characters of a line
tables = {'srlane.synth.tables'}                # modules that are mostly a table may be longer

# --- Imports

def modules()->dict: # dotted name -> path
    "Every module of the package"
    files = [p for p in (root/'srlane').rglob('*.py') if p.name != '_modidx.py']
    return {'.'.join(p.relative_to(root).with_suffix('').parts).removesuffix('.__init__'): p for p in files}

def imports(name:str, path:Path, known)->dict: # module -> names taken from it; also where the import stands inside a function
    "What a module imports of the package"
    found, package = defaultdict(set), name if path.name == '__init__.py' else name.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name in known: found[a.name]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit('.', node.level - 1)[0] if node.level else ''
            source = '.'.join(filter(None, (base, node.module))) if node.level else node.module
            for a in node.names:
                if f'{source}.{a.name}' in known: found[f'{source}.{a.name}']
                elif source in known and source != 'srlane': found[source].add(a.name)
    return found

def circles(graph:dict # module -> modules it imports
           )->list:    # of lists of modules
    "Modules that import one another in a circle"
    state, stack, found = {}, [], []
    def visit(m):
        state[m] = 1; stack.append(m)
        for n in sorted(graph[m]):
            if state.get(n) == 1: found.append(stack[stack.index(n):] + [n])
            elif n not in state: visit(n)
        stack.pop(); state[m] = 2
    for m in sorted(graph):
        if m not in state: visit(m)
    return found

def rank(module:str)->int: # place of its package in the order
    return packages.index(module.split('.')[1]) if module != 'srlane' else -1

def import_problems(graph:dict)->list:
    "Circles, and packages that import one below them"
    out = [f'imports in a circle: {" → ".join(c)}' for c in circles(graph)]
    unknown = sorted({m.split('.')[1] for m in graph if m != 'srlane'} - set(packages))
    if unknown: return out + [f'srlane.{u}: no such package in the order of tools/house.py' for u in unknown]
    return out + [f'{m} imports {n}, which stands below it' for m in sorted(graph) for n in sorted(graph[m]) if rank(n) > rank(m)]

def notebook_of(path:Path)->str: # `metrics/06_culane`; '' for a module without
    "The notebook that a module is exported from"
    m = re.search(r'File to edit: \S*?nbs/(\S+?)\.ipynb', path.read_text(encoding='utf-8'))
    return m[1] if m else ''

def order_problems(graph:dict, # module → modules it imports
                   source:dict, # module → its notebook
                  )->list:
    "Notebooks that import one of their folder that stands after them, or the folder's own index, which stands on them all"
    pairs = [(source[m], source[n]) for m in sorted(graph) for n in sorted(graph[m]) if source.get(m) and source.get(n)]
    folder, last = lambda s: s.rpartition('/')[0], lambda s: s.rpartition('/')[2] == 'index'
    return [f'nbs/{a} imports nbs/{b}, which stands after it' for a, b in pairs if folder(a) and folder(a) == folder(b) and not last(a) and (last(b) or b > a)]

def length_problems(lines:dict)->list: # module → its number of lines
    "Modules that nobody reads in one sitting"
    return [f'{m}: {n} lines, {max_module} at most' for m, n in sorted(lines.items()) if n > max_module and m not in tables]

# --- Names

def words_of(path:Path)->set:
    "Every identifier that a file of code, a notebook's cells or a page of text use"
    return set(re.findall(r'\w+', '\n'.join(s for _, _, s in cells(path))))

def public_names(path:Path)->list:
    "A module's `__all__`"
    return all_of(ast.parse(path.read_text(encoding='utf-8')))

def all_of(tree:ast.Module)->list: # of names
    "`__all__` of a syntax tree"
    assigned = [n for n in tree.body if isinstance(n, ast.Assign)]
    return next((ast.literal_eval(n.value) for n in assigned if getattr(n.targets[0], 'id', '') == '__all__'), [])

def lonely_problems(public:dict, # module → its public names
                    uses:list,   # (module that it belongs to or None, words) of each file
                   )->list:
    "Public names that nothing but their own module and notebook uses"
    out = []
    for name, names in sorted(public.items()):
        alone = [k for k in names if not any(k in words for owner, words in uses if owner != name)]
        if alone: out.append(f'{name}: only it uses {", ".join(alone)}: begin them with an underscore, or show them in use elsewhere')
    return out

def read_uses(mods:dict)->list: # as `lonely_problems` takes them
    "The words of all modules, notebooks, tools and benchmarks; a package's front repeats names and counts with its notebook only"
    out = [(name, words_of(p)) for name, p in mods.items() if p.name != '__init__.py']
    for p in notebooks():
        m = re.search(r'^#\| ?default_exp (\S+)', '\n'.join(s for _, _, s in cells(p)), re.M)
        out.append(('srlane.' + m[1].removesuffix('.__init__') if m else None, words_of(p)))
    return out + [(None, words_of(p)) for f in ('tools', 'bench') for p in (root/f).glob('*.py')]

# --- Docments

def unsaid(f,       # `ast.FunctionDef`
           lines,   # of its module, as bytes
           said='', # docstring of its class: what many methods take is explained there once
          )->list:  # of words: 'docstring', parameters without a comment behind them
    "What a function does not say of itself"
    plain, out = [*f.args.posonlyargs, *f.args.args], []
    defaults = dict(zip(plain[::-1], f.args.defaults[::-1])) | dict(zip(f.args.kwonlyargs, f.args.kw_defaults))
    for a in [*plain, *f.args.kwonlyargs]:
        end = defaults.get(a) or a
        commented = re.match(rb'[\s,):]*#', lines[end.end_lineno - 1][end.end_col_offset:])
        if a.arg not in ('self', 'cls') and not commented and f'`{a.arg}`' not in said: out.append(a.arg)
    brief = b'#' in lines[f.lineno - 1] and (len(plain) < 2 or f.lineno == f.end_lineno)     # a property or a line, explained behind it
    return out if ast.get_docstring(f) or brief or f.name == '__init__' else ['docstring', *out]

def patched(f)->str: # '' where it is no `@patch`
    "The class that a function becomes a method of"
    return ast.unparse(f.args.args[0].annotation or f.args.args[0]) if any(ast.unparse(d).startswith('patch') for d in f.decorator_list) else ''

def docment_problems(texts:dict)->list: # module → its text
    "Public functions, classes and methods without docstring or docments; a method need not repeat what its base class says of it"
    trees, lines = {m: ast.parse(t) for m, t in texts.items()}, {m: t.encode().splitlines() for m, t in texts.items()}
    public, classes = {m: all_of(t) for m, t in trees.items()}, [(m, n) for m, t in trees.items() for n in t.body if isinstance(n, ast.ClassDef)]
    functions = [(m, c.name, c.name in public[m], f) for m, c in classes for f in c.body if isinstance(f, ast.FunctionDef)]
    functions += [(m, patched(f), patched(f) or f.name in public[m], f) for m, t in trees.items() for f in t.body if isinstance(f, ast.FunctionDef)]
    bases, words, known = defaultdict(set), defaultdict(str), {(c, f.name) for _, c, _, f in functions if ast.get_docstring(f)}
    for _, c in classes:
        bases[c.name] |= {ast.unparse(b).rpartition('.')[2] for b in c.bases} - {c.name}
        words[c.name] += ast.get_docstring(c) or ''
    inherited = lambda c, name: any((b, name) in known or inherited(b, name) for b in [*bases[c]])
    said = lambda c: words[c] + ''.join(map(said, [*bases[c]]))
    out = [f'{m}: {c.name} does not say: docstring' for m, c in classes if c.name in public[m] and not ast.get_docstring(c)]
    for m, c, shown, f in functions:
        private = not shown or c[:1] == '_' or f.name[0] == '_' and f.name != '__init__' or any('.setter' in ast.unparse(d) for d in f.decorator_list)
        missing = [] if private or inherited(c, f.name) else unsaid(f, lines[m], said(c))
        if missing: out.append(f'{m}: {c}{"."*bool(c)}{f.name} does not say: {", ".join(missing)}')
    return out

# --- Reading

def notebooks()->list:
    "All notebooks"
    return sorted(p for p in (root/'nbs').rglob('*.ipynb') if not re.search(r'[/\\][._]', str(p.relative_to(root))))

def cells(path:Path)->list: # of (index, type, source)
    "The cells of a notebook; another file is one cell of text"
    text = path.read_text(encoding='utf-8')
    if path.suffix != '.ipynb': return [(0, 'text', text)]
    return [(i, c['cell_type'], ''.join(c['source'])) for i, c in enumerate(json.loads(text)['cells'])]

def has_directive(source:str, name:str)->bool:
    "Whether one of the directives at the top of a cell begins with `name`"
    top = re.match(r'(?:\s*#\|.*\n?)*', source)[0]
    return re.search(rf'^\s*#\|\s*{name}', top, re.M) is not None

def essay_problems(cells)->list: # of (index, what is wrong)
    "Where a reader waits too long for something to happen, or a line runs off the page"
    out, run = [], 0
    for i, kind, source in cells:
        exported = has_directive(source, 'export')
        if kind != 'code' or has_directive(source, 'hide') and not exported: continue
        lines = [l for l in source.splitlines() if l.strip()]
        if not exported: run = 0; continue
        if run <= max_run < run + len(lines): out.append((i, f'more than {max_run} exported lines before a reader sees anything happen'))
        run += len(lines)
        out += [(i, f'a line of {len(l)} characters, {max_line} at most: {l.strip()[:40]}…') for l in lines if len(l) > max_line]
    return out

# The field's word for each private one; CONTRIBUTING has the glossary. Where a word also has an honest use, that is let through.
_after = 'step|image|sample|batch|set|split|frame|epoch|loop|label|iteration|session|script|mode|run|data|list|road|example|tree|network|code'
old_words = {
    r'\bmade[- ]up\b(?! of\b)': 'synthetic', r'\bprocessors?\b': 'CPU', r'(?<!maximum )\bsuppression\b': 'NMS',
    r'\btrainings\b': 'runs', rf'\b[Aa] training\b(?! (?:{_after}))': 'a run',
    r'\bnumbers? that (?:is|are|was|were) no(?:ne| numbers?)\b|\b(?:is|are|was|were) no (?:finite )?numbers?\b|\bno finite number\b': 'NaN or infinite',
    r'\bfind_rate\b': 'lr_find', r'\btake_best\b': 'copy_best_checkpoint', r'\bshare_buffers\b': 'broadcast_buffers',
    r'(?<![\'(])\bKeepTables\b|\badd_rows\b': 'History', r'\bDeed\b': 'Command', r'\bVerdicts?\b|\w+_verdicts?\b': 'LaneMatches', r'\blikeness\b': 'similarity',
    r'\b\w+_figures\b(?=\()': '…_scores or …_counts', r'\bin_turn\b': 'scheduled_validation',
}
_runner = dict(
    stopping='stop_reason', asked='stop_votes', complete='last_complete_step', seen='samples_seen', bars='show_progress', trainer='_owner_thread',
    claim='_assert_not_training', tell='log_dataset_size', parts='micro_batches', whole='merge_outputs', summed='all_reduce_sum_',
    gradients='forward_backward', update='optimizer_step', rescue='save_and_reraise', announce='call_event')
old_words |= {rf'\brunner\.{old}\b': f'runner.{new}' for old, new in _runner.items()}
# What libraries call by such a word
foreign = r'nbdev\.processors|\bsave_figures\b|\bget_figures\b'

def word_problems(text:str)->list: # of (old word, new word)
    "Old words in a text"
    text = re.sub(foreign, '', text)
    return [(m[0], new) for old, new in old_words.items() for m in re.finditer(old, text)]

def without_glossary(text:str)->str:
    "CONTRIBUTING's glossary names the old words; the rest of it must not"
    return re.sub(r'^## Words$.*?(?=^## |\Z)', '', text, flags=re.M|re.S)

def reading_problems(path:Path)->list: # one line each
    "The limits of an essay and the old words, for a notebook or a page of text"
    at = lambda i: f'{path.relative_to(root)}' + (f', cell {i}' if path.suffix == '.ipynb' else '')
    essay = essay_problems(cells(path)) if path.suffix == '.ipynb' else []
    return [f'{at(i)}: {what}' for i, what in essay] + [f'{at(i)}: {old!r}: say {new!r}' for i, _, s in cells(path) for old, new in word_problems(without_glossary(s))]

def texts()->list:
    "What people read apart from the notebooks"
    files = [root/n for n in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'Makefile', 'settings.ini', '_quarto.yml', 'constraints.txt')]
    files += [p for f, g in (('tools', '*.py'), ('bench', '*.py'), ('srlane/configs', '*.yaml')) for p in sorted((root/f).glob(g))]
    return [p for p in files if p.exists() and p.resolve() != Path(__file__).resolve()]

# --- All of it

def check()->dict: # rule → problems, one line each
    "What breaks the house's rules"
    mods = modules()
    graph = {name: set(imports(name, p, mods)) for name, p in mods.items()}
    public = {name: public_names(p) for name, p in mods.items() if p.name != '__init__.py'}
    return {'no imports in a circle, and none against the order of packages': import_problems(graph),
            'notebooks import from those before them': order_problems(graph, {name: notebook_of(p) for name, p in mods.items()}),
            f'modules have at most {max_module} lines': length_problems({name: len(p.read_text(encoding='utf-8').splitlines()) for name, p in mods.items()}),
            'public names are used outside their module': lonely_problems(public, read_uses(mods)),
            'public names say what they do, and what each parameter is': docment_problems({name: p.read_text(encoding='utf-8') for name, p in mods.items()}),
            f'at most {max_run} exported lines before something happens, lines of at most {max_line}, no old words: notebooks': [m for p in notebooks() for m in reading_problems(p)],
            'no old words: pages, tools, benchmarks, presets': [m for p in texts() for m in reading_problems(p)]}

def unnoticed()->list: # one line each
    "Rules that let through what breaks them, or refuse what is fine, tried on small examples"
    code = lambda n, width=9, top='#| export\n': top + '\n'.join(['x'*width]*n)
    tried = {
        'a circle': import_problems({'srlane.lane.a': {'srlane.lane.b'}, 'srlane.lane.b': {'srlane.lane.a'}}),
        'a package that imports one below it': import_problems({'srlane.lane.a': {'srlane.metrics.b'}, 'srlane.metrics.b': set()}),
        'a package that has no place': import_problems({'srlane.utils': set()}),
        'a notebook that imports a later one': order_problems({'srlane.a.b': {'srlane.a.c'}}, {'srlane.a.b': 'a/01_b', 'srlane.a.c': 'a/02_c'}),
        'a notebook that imports its own index': order_problems({'srlane.a.b': {'srlane.a'}}, {'srlane.a.b': 'a/01_b', 'srlane.a': 'a/index'}),
        'a long module': length_problems({'srlane.lane.a': max_module + 1}),
        'a lonely name': lonely_problems({'srlane.a': ['f', 'g']}, [('srlane.a', {'f', 'g'}), ('srlane.b', {'g'})]),
        'a function without docstring': docment_problems({'a': '__all__ = ["f"]\ndef f(): pass'}),
        'a parameter without docment': docment_problems({'a': '__all__ = ["f"]\ndef f(x, # metres\n      y=(1, 2)): "Why"'}),
        'two parameters before one docment': docment_problems({'a': '__all__ = ["f"]\ndef f(x, y): # metres\n    "Why"'}),
        'a docment of the result alone': docment_problems({'a': '__all__ = ["f"]\ndef f(x)->int: # metres\n    "Why"'}),
        'a class without docstring': docment_problems({'a': '__all__ = ["C"]\nclass C: x = 1'}),
        'a patched method without docment': docment_problems({'a': '@patch\ndef f(self:C, x): "Why"'}),
        'a long run': essay_problems([(0, 'code', code(40)), (1, 'markdown', 'And now'), (2, 'code', code(40, top='#| exporti\n'))]),
        'a long run behind another directive': essay_problems([(0, 'code', code(max_run + 1, top='#| echo: false\n#| export\n'))]),
        'a long line': essay_problems([(0, 'code', code(1, max_line + 1))]),
        **{f'the words {w!r}': word_problems(w) for w in ('made-up roads', 'a processor', 'after suppression', 'many trainings', 'stop a training', 'A loss that is no number',
                                                          'numbers that are none', 'runner.stopping', 'find_rate(', 'f1_figures(3)')}}
    fine = {
        'the order': import_problems({'srlane.metrics.a': {'srlane.lane.b'}, 'srlane.lane.b': {'srlane.basics'}, 'srlane.basics': set(), 'srlane': set()}),
        'notebooks in order': order_problems({'srlane.a.c': {'srlane.a.b'}, 'srlane.a': {'srlane.a.c'}}, {'srlane.a.b': 'a/01_b', 'srlane.a.c': 'a/02_c', 'srlane.a': 'a/index'}),
        'a name that another uses': lonely_problems({'srlane.a': ['f']}, [('srlane.a', {'f'}), (None, {'f'})]),
        'documented names': docment_problems({'a': '__all__ = ["f", "C", "D"]\ndef f(x, # metres\n      y=1, # pixels\n      *args): "Why"\nclass C:\n    "`i` is a number"\n'
            '    def f(self, i): "Why"\n    def g(self): return 1 # metres\n    def _h(self, x): pass\nclass D(C):\n    "Another"\n    def f(self, i): pass\n    def __init__(self, x): # metres\n        pass'}),
        'runs with something to see between': essay_problems([(0, 'code', code(40)), (1, 'code', 'f(3)'), (2, 'code', code(40))]),
        **{f'the words {w!r}': word_problems(w) for w in ('non-maximum suppression', 'a training step', 'a set made up of lanes', 'in turn', 'from nbdev.processors import x', 'not a number')},
        'the glossary': word_problems(without_glossary('# A\n## Words\nmade-up roads\n## B\nsynthetic roads\n'))}
    return [f'{k} went unnoticed' for k, found in tried.items() if not found] + [f'{k}: refused, though fine: {found}' for k, found in fine.items() if found]

def main(argv:list):
    if argv == ['order']:
        mods = modules()
        for m in sorted(mods, key=lambda m: (rank(m), m)): print(m)
        return 0
    found = [m for ms in check().values() for m in ms] + unnoticed()
    print('\n'.join(found) or 'the house is in order')
    return int(bool(found))

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
