"""Which lines of the package the tests of the notebooks run.

A definition stands twice: in a cell of its notebook, where the notebook's own test runs it, and in the module exported from that cell, where all others do.
A line counts when either ran. `begin` belongs into the process that tests a notebook, `report` to the end of all.
"""
import functools, importlib.util, json, os, re, sys
from collections import defaultdict
from pathlib import Path

import house

root = Path(__file__).resolve().parent.parent
enough = 90   # percent
free = sys.version_info >= (3, 12)   # whether Python itself tells which lines run, at no cost

def cell_lines(notebook:Path)->dict: # cell's id -> module, line that its code begins after
    "Where a notebook's exported cells stand in the modules"
    head = re.compile(rf'# %% [./]*{re.escape(notebook.relative_to(root).as_posix())} #(\w+)$')
    return {m[1]: (path, i) for path in house.modules().values() for i, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1) if (m := head.match(line))}

# Before Python 3.12 a tracer slows all Python by a third. It rests in what takes long in other packages; lines of ours that these call are run elsewhere too.
rests = {'torch.export': 'export', 'torch.onnx': 'export', 'openvino': 'convert_model', 'nncf': 'quantize', 'omegaconf': 'OmegaConf.unsafe_merge OmegaConf.structured DictConfig.copy',
         'matplotlib.backends.backend_agg': 'FigureCanvasAgg.draw'}      # module → its functions

def resting(f): # a function
    "The same without the tracer"
    @functools.wraps(f)
    def rest(*args, **kwargs):
        tracer = sys.gettrace()
        sys.settrace(None)
        try: return f(*args, **kwargs)
        finally: sys.settrace(tracer)
    return rest

def let_rest(text:str): # of the notebook
    "Let the tracer rest in `rests`, of the packages that are imported already or that the notebook names"
    for module, names in rests.items():
        package = module.partition('.')[0]
        if package not in sys.modules and package not in text or importlib.util.find_spec(package) is None: continue
        for name in names.split():
            where = functools.reduce(getattr, name.split('.')[:-1], importlib.import_module(module))
            f, own = getattr(where, name.split('.')[-1]), isinstance(vars(where).get(name.split('.')[-1]), staticmethod)
            setattr(where, name.split('.')[-1], staticmethod(resting(f)) if own else resting(f))

def begin(notebook:str, folder:str):
    "Note each line of the package that this process runs from here on"
    import atexit
    if free: os.environ.setdefault('COVERAGE_CORE', 'sysmon')
    from coverage import Coverage
    from IPython.core.compilerop import CachingCompiler
    where, named, usual = cell_lines(Path(notebook)), {}, CachingCompiler.get_code_name
    for c in json.loads(Path(notebook).read_text(encoding='utf-8'))['cells']:
        if c['id'] in where:
            module, line = where[c['id']]
            code = re.sub(r'\A(?:\s*#\|.*\n)+', '', ''.join(c['source']))
            named[code.strip()] = f'{folder}/cells/{module.relative_to(root)}@{line}'
    CachingCompiler.get_code_name = lambda self, raw, *rest: named.get(raw.strip()) or usual(self, raw, *rest)
    cov = Coverage(data_file=f'{folder}/lines', data_suffix=True, include=[f'{root}/srlane/*', f'{folder}/cells/*'], config_file=False)
    cov.set_option('run:patch', ['_exit'])      # the way forked workers end
    if not free: let_rest(Path(notebook).read_text(encoding='utf-8'))
    cov.start()
    atexit.register(cov.save)

def report(folder:str)->tuple: # percent, lines of text
    "What share of the package's lines ran, and the modules below `enough` with the lines that did not"
    from coverage import Coverage
    cov = Coverage(data_file=f'{folder}/lines', include=[f'{root}/srlane/*'], config_file=False, messages=False)
    cov.combine([folder])
    data, lines, counts, text = cov.get_data(), defaultdict(set), [], []
    for f in data.measured_files():
        if m := re.search(r'/cells/(.*)@(\d+)$', f): lines[f'{root}/{m[1]}'] |= {n + int(m[2]) for n in data.lines(f)}
    data.add_lines(lines)
    for name, path in sorted(house.modules().items()):
        _, every, _, missing, where = cov.analysis2(str(path))
        counts.append((len(every), len(missing)))
        if len(missing)*100 > (100 - enough)*len(every): text.append(f'{name}: {100 - 100*len(missing)/len(every):.0f} %, not lines {where}')
    n, missed = map(sum, zip(*counts))
    return 100 - 100*missed/n, text
