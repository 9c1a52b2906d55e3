"""The house's own rules: which module may import which, how long one may be, what is public, and which words are used.

    python tools/house.py          every rule; problems one a line, exit code 1 where there are any
    python tools/house.py order    the modules in the order of their imports
"""
import ast, json, re, sys
from collections import defaultdict
from pathlib import Path

root = Path(__file__).resolve().parent.parent
packages = 'basics config lane synth metrics models data training look runner predict video export cli'.split()   # each imports only those before it
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

# --- Names

def words_of(path:Path)->set:
    "Every identifier that a file of code, a notebook's cells or a page of text use"
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb': text = '\n'.join(''.join(c['source']) for c in json.loads(text)['cells'])
    return set(re.findall(r'\w+', text))

def lonely_names(mods:dict)->list:
    "Public names that nothing but their own module and notebook uses"
    notebooks, out = {}, []
    for p in (root/'nbs').rglob('*.ipynb'):
        m = re.search(r'default_exp (\S+?)(?:\\n)?"', p.read_text(encoding='utf-8'))
        notebooks[p] = 'srlane.' + m[1].removesuffix('.__init__') if m else None
    uses = {p: (owner, words_of(p)) for p, owner in notebooks.items()}
    uses |= {p: (name, words_of(p)) for name, p in mods.items() if p.name != '__init__.py'}
    uses |= {p: (None, words_of(p)) for f in ('tools', 'bench') for p in (root/f).glob('*.py')}
    for name, path in sorted(mods.items()):
        if path.name == '__init__.py': continue
        public = next((ast.literal_eval(n.value) for n in ast.parse(path.read_text(encoding='utf-8')).body if isinstance(n, ast.Assign) and n.targets[0].id == '__all__'), [])
        alone = [k for k in public if not any(k in words for owner, words in uses.values() if owner != name)]
        if alone: out.append(f'{name}: only it uses {", ".join(alone)}: begin them with an underscore, or show them in use elsewhere')
    return out

# --- Reading

def cells(path:Path): # of (index, type, source)
    for i, c in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells']): yield i, c['cell_type'], ''.join(c['source'])

def essay_problems(path:Path)->list:
    "Where a reader waits too long for something to happen, or a line runs off the page"
    out, run = [], 0
    for i, kind, source in cells(path):
        if kind != 'code' or source.lstrip().startswith('#| hide'): continue
        lines = [l for l in source.splitlines() if l.strip()]
        if not source.lstrip().startswith('#| export'): run = 0; continue
        if run <= max_run < run + len(lines): out.append(f'{path.relative_to(root)}, cell {i}: more than {max_run} exported lines before a reader sees anything happen')
        run += len(lines)
        out += [f'{path.relative_to(root)}, cell {i}: a line of {len(l)} characters, {max_line} at most: {l.strip()[:40]}…' for l in lines if len(l) > max_line]
    return out

# The field's word for each private one; CONTRIBUTING has the glossary
old_words = {r'made[- ]up[- ]roads?': 'synthetic roads', r'\bprocessors?\b': 'CPU', r'(?<!maximum )\bsuppression\b': 'NMS', r'\btrainings\b': 'runs', r'\b[Aa] training\b(?! (?:step|image|sample|batch|set|split|frame|epoch|loop|label|iteration|session|script|mode|run))': 'a run',
             r'numbers? that (?:is|are) no(?:ne| number)|\bis no number\b|\bno finite number\b': 'NaN or infinite'}

def word_problems(path:Path)->list:
    "Old words, wherever somebody reads them"
    text = [(i, s) for i, _, s in cells(path)] if path.suffix == '.ipynb' else [(0, path.read_text(encoding='utf-8'))]
    where = lambda i: f'{path.relative_to(root)}, cell {i}' if path.suffix == '.ipynb' else f'{path.relative_to(root)}'
    return [f'{where(i)}: {m[0]!r}: say {new!r}' for i, s in text for old, new in old_words.items() for m in re.finditer(old, s)]

def problems()->list: # one line each
    "What breaks the house's rules"
    mods = modules()
    graph = {name: set(imports(name, p, mods)) for name, p in mods.items()}
    long = [f'{name}: {n} lines, {max_module} at most' for name, p in sorted(mods.items()) if name not in tables and (n := len(p.read_text(encoding="utf-8").splitlines())) > max_module]
    notebooks = sorted(p for p in (root/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
    text = notebooks + [root/n for n in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'Makefile', 'settings.ini')] + [*(root/'tools').glob('*.py'), *(root/'bench').glob('*.py')]
    text = [p for p in text if p.resolve() != Path(__file__).resolve()]
    return import_problems(graph) + long + lonely_names(mods) + [m for p in notebooks for m in essay_problems(p)] + [m for p in text for m in word_problems(p)]

def main(argv:list):
    if argv == ['order']:
        mods = modules()
        for m in sorted(mods, key=lambda m: (rank(m), m)): print(m)
        return 0
    found = problems()
    print('\n'.join(found) or 'the house is in order')
    return int(bool(found))

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
