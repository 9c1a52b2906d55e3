"""The notebooks: run them, test them, look them over.

    python tools/notebooks.py run [NAME ...]     execute, save the outputs, clean (all of them without a name)
    python tools/notebooks.py test [NAME ...]    nbdev_test, each in a process of its own
    python tools/notebooks.py lint [NAME ...]    what nbdev, git and a reader would stumble over
"""
import ast, base64, builtins, io, json, os, re, signal, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import house
from forks import Forks

root = Path(__file__).resolve().parent.parent
max_bytes = 600_000  # of a notebook with its pictures

def notebooks(names=())->list: # paths of the notebooks named (`metrics/culane`, `06_culane`, `index`, `nbs/30_runner.ipynb`), or of all, in reading order
    "The notebooks of the project"
    every = sorted(p for p in (root/'nbs').rglob('*.ipynb') if not re.search(r'[/\\][._]', str(p.relative_to(root))))
    if not names: return every
    paths = {p: short(p) for p in every}
    bare, found = lambda name: re.sub(r'(^|/)\d+\w*?_', r'\1', name), set()
    for name in (n.removesuffix('.ipynb').rpartition('nbs/')[2] for n in names):
        same = [p for p in every if paths[p] == name] or [p for p in every if name in (p.stem, bare(paths[p]), bare(p.stem))]   # a whole path first
        if not same: raise SystemExit(f'no notebook {name}; there are {", ".join(paths.values())}')
        found |= {*same}
    return [p for p in every if p in found]

def short(path:Path)->str: # `metrics/06_culane`
    return path.relative_to(root/'nbs').with_suffix('').as_posix()

# --- Running

def shrink(nb):
    "Keep the pictures of photographs, which PNG stores badly, in 256 colours"
    from PIL import Image
    for o in (o for c in nb.cells for o in c.get('outputs', []) if len(o.get('data', {}).get('image/png', '')) > 60_000):
        out, img = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(o.data['image/png'])))
        if img.mode == 'P': continue
        img.convert('RGB').quantize(256).save(out, 'PNG', optimize=True)
        o.data['image/png'] = base64.b64encode(out.getvalue()).decode()

def once(nb):
    "Keep an image and its words, not the HTML that brings both to a screen: half the bytes, and GitHub shows it"
    for o in (o for c in nb.cells for o in c.get('outputs', []) if 'text/html' in o.get('data', {})):
        if any(o.data.get(m) and o.data[m].strip() in o.data['text/html'] for m in ('image/png', 'image/jpeg')): del o.data['text/html']

def drop_bars(nb):
    "A progress bar that has gone by is no output worth keeping"
    bar = lambda o: 'application/vnd.jupyter.widget-view+json' in o.get('data', {}) and re.search(r'\d%\|', o.data.get('text/plain', ''))
    for c in nb.cells:
        if c.cell_type == 'code': c.outputs = [o for o in c.outputs if not bar(o)]

def run(path:Path, # a notebook
       )->float:   # seconds
    "Execute a notebook, save its outputs and clean it; it stays as it was when a cell fails"
    import nbformat
    from nbclient import NotebookClient
    from nbdev.clean import nbdev_clean
    nb, start = nbformat.read(path, 4), time.time()
    nb.metadata.pop('widgets', None)   # of the run before
    os.environ['TQDM_DISABLE'] = '1'   # bars that are text
    os.environ.pop('MPLBACKEND', None) # pictures belong into the notebook, whatever the shell has set
    NotebookClient(nb, timeout=1800, kernel_name='python3', resources=dict(metadata=dict(path=str(path.parent)))).execute()
    once(nb)
    drop_bars(nb)
    shrink(nb)
    nbformat.write(nb, path)
    nbdev_clean(str(path))
    return time.time() - start

# --- Testing

def tests(fresh:bool=False # each notebook in a new process, not in a copy of one that has imported the libraries
         )->Forks:
    "Where notebooks are tested: pictures go to no screen, and each has one thread, since two tests at once are quicker than one with two threads"
    return Forks(root, {**os.environ, 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '1'), 'MPLBACKEND': 'agg'}, **(dict(copy=False) if fresh else {}))

def test_one(path:Path,        # a notebook
             forks:Forks,      # where it gets its process
             flags:str='',     # nbdev's test flags to run too, such as `slow`
             lines:str='',     # folder for what tools/covered.py notes
            )->tuple:          # passed, seconds, output
    "`nbdev_test` on one notebook in its own process, so that no notebook leans on what another has left"
    start = time.time()
    note = f'import sys; sys.path.insert(0, {str(root/"tools")!r}); import covered; del sys.path[0]; covered.begin({str(path)!r}, {lines!r}); ' if lines else ''
    status, text = forks.run(note + f'from nbdev.test import nbdev_test; nbdev_test(path={str(path)!r}, flags={flags!r}, n_workers=0)')
    return status == 0 and 'Success.' in text, time.time() - start, text

def affected()->list: # paths, nearest first
    "Notebooks that differ from the branch `main`, then those that name a module of theirs, then those that name one of these, and so on"
    git = lambda *cmd: subprocess.run(['git', *cmd], cwd=root, capture_output=True, text=True).stdout.split()
    base = (git('merge-base', 'HEAD', 'main') or ['HEAD'])[0]
    differ = {root/f for f in git('diff', '--name-only', base, '--', 'nbs') + git('ls-files', '--others', '--exclude-standard', 'nbs')}
    code = {p: '\n'.join(s for _, kind, s in house.cells(p) if kind == 'code') for p in notebooks()}
    own  = {p: 'srlane.' + m[1].removesuffix('.__init__') for p, s in code.items() if (m := re.search(r'^#\| ?default_exp (\S+)', s, re.M))}
    named = {p: {*re.findall(r'\bsrlane(?:\.[a-z]\w*)+', s)} for p, s in code.items()}
    found = [p for p in code if p in differ]
    for p in found: found += [q for q in code if q not in found and own.get(p) in named[q]]
    return found

# --- Looking over

def bound(tree:ast.AST)->set: # names that the code imports, assigns or defines
    "Every name that some code binds"
    names = {(a.asname or a.name).split('.')[0] for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
    names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)} | {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}

def lean_on_others(cells:list # of a notebook
                  )->list:    # indices of the cells that do
    """nbdev runs the exported cells and those with an import, and no others, when it builds the docs.
    A cell with an import may therefore use no name from a cell without one."""
    known, bad = set(dir(builtins)), []
    for i, c in enumerate(cells):
        src = ''.join(c['source'])
        if c['cell_type'] != 'code' or re.search(r'^\s*[%!]', src, re.M): continue
        tree = ast.parse(src)
        exported = re.search(r'^#\|\s*(export|exports|exporti)\b', src, re.M)
        if not exported and not any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.walk(tree)): continue
        known |= bound(tree)
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if not exported and not used <= known: bad.append(i)
    return bad

_folders = re.compile(r'(?:/home/|/root/|/Users/|/tmp/|/private/var/|[A-Z]:\\\\Users|' + re.escape(str(root)) + r'/)[^"\s]*'
                      r'|(?<=File )\\?"?/[^"\s]*|(?<![\w.:/<])/[\w./+-]*\.py\b')   # roots, what a traceback names, any absolute path of a module

def machine_path(outputs:list # of a cell
                )->str:       # '' where there is none
    "The first folder of one machine that outputs name; pictures are not looked into"
    found = _folders.search(re.sub(r'"image/[\w+]+": "[^"]*"', '', json.dumps(outputs)))
    return found[0] if found else ''

def lint(path:Path  # a notebook
        )->list:    # problems, one line each
    "What is wrong with a saved notebook, short of a failing test"
    text = path.read_text(encoding='utf-8')
    cells, out = json.loads(text)['cells'], []
    say = lambda i, msg: out.append(f'{path.relative_to(root)}, cell {i}: {msg}')
    if len(text) > max_bytes: out.append(f'{path.relative_to(root)}: {len(text)//1000} kB, more than {max_bytes//1000}; make its pictures smaller')
    if not re.match(r'# .+\n+> .+', ''.join(cells[0]['source'])): say(0, 'should be "# name" and "> one sentence that says what it is"')
    for i in lean_on_others(cells): say(i, 'imports something and uses names of other cells, but nbdev runs it without those when it builds the docs; give the import a cell of its own')
    for i, c in enumerate(cells):
        if c['cell_type'] != 'code': continue
        if any(o['output_type'] == 'error' for o in c.get('outputs', [])): say(i, 'its saved output is an error')
        if found := machine_path(c.get('outputs', [])): say(i, f'its saved output names a folder of one machine: {found[:60]}')
    return out + house.reading_problems(path)

def hear_ctrl_c():
    "A shell starts what it puts into the background deaf to Ctrl-C, and notebooks test that"
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)

def main(argv:list):
    hear_ctrl_c()
    cmd, *names = argv or ['']
    paths = notebooks(names)
    if cmd == 'run':
        for p in paths: print(f'{p.relative_to(root)}: {run(p):.1f} s', flush=True)
    elif cmd == 'test':
        def test(path):
            ok, secs, text = test_one(path, forks)
            print(f'{"passed" if ok else "FAILED"} {path.relative_to(root)} {secs:.1f} s' + ('' if ok else '\n' + text), flush=True)
            return ok
        with tests(fresh=len(paths) < 4) as forks, ThreadPoolExecutor(os.cpu_count() or 1) as ex: return int(not all(list(ex.map(test, paths))))
    elif cmd == 'lint':
        problems = [m for p in paths for m in lint(p)]
        if problems: print('\n'.join(problems))
        return int(bool(problems))
    else: raise SystemExit(__doc__)

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
