"""Which lines of the package the tests of the notebooks run.

A definition stands twice: in a cell of its notebook, where the notebook's own test runs it, and in the module exported from that cell, where all others do.
A line counts when either ran. `begin` belongs into the process that tests a notebook, `report` to the end of all.
"""
import functools, importlib.util, itertools, json, os, re, subprocess, sys
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

# Before Python 3.12 a tracer slows all Python by two fifths. It rests in what takes long in other packages, and in what of ours a process has run so often
# that it has seen most of its lines: the true share is at least the one that is printed. Module → its functions → calls before the tracer rests.
rests = {'torch.export': dict(export=0), 'torch.onnx': dict(export=0), 'openvino': dict(convert_model=0), 'nncf': dict(quantize=0),
         'omegaconf': {'OmegaConf.unsafe_merge': 0, 'OmegaConf.structured': 0, 'OmegaConf.load': 0, 'OmegaConf.to_yaml': 0, 'OmegaConf.create': 0, 'OmegaConf.to_container': 0,
                       'OmegaConf.missing_keys': 0, 'DictConfig.copy': 0},
         'matplotlib.backends.backend_agg': {'FigureCanvasAgg.draw': 0}, 'matplotlib.figure': {'Figure.savefig': 0, 'Figure.add_subplot': 0}, 'matplotlib.axes': {'Axes.plot': 0, 'Axes.imshow': 0},
         'lightning.fabric': {'Fabric.__init__': 0, 'Fabric.backward': 0}, 'torch.utils.tensorboard': {'SummaryWriter.__init__': 0, 'SummaryWriter.add_scalar': 0}, 'torch': dict(save=0, load=0),
         'srlane.training.engine': {'Engine.forward_backward': 3, 'Engine.optimizer_step': 3}, 'srlane.models.detector': dict(build_net=4), 'srlane.models.infer': dict(infer=6),
         'srlane.data.datasets': {'LaneDataset.__getitem__': 12}, 'srlane.config.load': dict(load_config=6, parse_config=6), 'srlane.synth.render': dict(render=12),
         'srlane.training.memory': dict(check_memory=3), 'srlane.predict.network': {'Network.__call__': 6}}

def resting(f, after): # a function; its calls before the tracer rests
    "The same without the tracer"
    count = itertools.count()
    @functools.wraps(f)
    def rest(*args, **kwargs):
        tracer = sys.gettrace()
        if tracer is None or next(count) < after: return f(*args, **kwargs)
        sys.settrace(None)
        try: return f(*args, **kwargs)
        finally: sys.settrace(tracer)
    return rest

def let_rest(text:str): # of the notebook
    "Let the tracer rest in `rests`, of the packages that are imported already or that the notebook names"
    for module, names in rests.items():
        package = module.partition('.')[0]
        if package not in sys.modules and package not in text or importlib.util.find_spec(package) is None: continue
        for name, after in names.items():
            *outer, last = name.split('.')
            where = functools.reduce(getattr, outer, importlib.import_module(module))
            f = getattr(where, last)
            new = resting(f, after)
            if outer: setattr(where, last, staticmethod(new) if isinstance(vars(where).get(last), staticmethod) else new)
            else:                                          # whoever has imported it
                for m in [*sys.modules.values()]:
                    if getattr(m, '__dict__', {}).get(last) is f: setattr(m, last, new)

def begin(notebook:str, folder:str):
    "Note each line of the package that this process runs from here on"
    from IPython.core.compilerop import CachingCompiler
    where, named, usual = cell_lines(Path(notebook)), {}, CachingCompiler.get_code_name
    for c in json.loads(Path(notebook).read_text(encoding='utf-8'))['cells']:
        if c['id'] in where:
            module, line = where[c['id']]
            code = re.sub(r'\A(?:\s*#\|.*\n)+', '', ''.join(c['source']))
            named[code.strip()] = f'{folder}/cells/{module.relative_to(root)}@{line}'
    CachingCompiler.get_code_name = lambda self, raw, *rest: named.get(raw.strip()) or usual(self, raw, *rest)
    if not free: let_rest(Path(notebook).read_text(encoding='utf-8'))
    start(folder)

def start(folder:str):
    "Note the lines of modules and cells from here on"
    import atexit
    if free: os.environ.setdefault('COVERAGE_CORE', 'sysmon')
    from coverage import Coverage
    cov = Coverage(data_file=f'{folder}/lines', data_suffix=True, include=[f'{root}/srlane/*', f'{folder}/cells/*'], config_file=False)
    cov.set_option('run:patch', ['_exit'])      # the way forked workers end
    cov.start()
    atexit.register(cov.save)

def import_all(folder:str):
    "Note the lines that an import runs: a notebook's process begins with the package already imported"
    start(folder)
    for name in house.modules(): importlib.import_module(name)

def report(folder:str)->tuple: # percent, lines of text
    "What share of the package's lines ran, and the modules below `enough` with the lines that did not"
    from coverage import Coverage
    subprocess.run([sys.executable, __file__, folder], check=True, cwd=root)
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

if __name__ == '__main__': import_all(sys.argv[1])
