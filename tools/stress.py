"""Fault injection: runs are killed, starved and spoilt, and spread over processes; nothing may be lost or differ.

    python tools/stress.py [--quick] [GROUP ...]    groups: kills signals guards devices memory uneven nolanes dead launch interrupt restarts (all without a name)

Everything happens on synthetic roads in a temporary folder, with the network of the preset `demo`, on the CPU.
`--quick` is what `make test-rest` does: fewer kills, fewer ways to start processes.
"""
import argparse, io, os, queue, random, re, resource, shutil, signal, socket, subprocess, sys, tempfile, threading, time, traceback
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(k, '1')
os.environ['TQDM_DISABLE'] = '1'
import numpy as np, torch
from srlane import cli
from srlane.training.callbacks import Callback
from srlane.training.checkpoint import CheckpointError, load_checkpoint
from srlane.config import load_config
from srlane.data.loader import build_dataset, lane_loader
from srlane.runner import Runner
from srlane.synth import make_culane

here, fork, signals = Path(__file__).resolve(), get_context('fork'), (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

# --- Runs

def make_roads(root:Path)->Path:
    "Small roads; a third of the training images has no lane"
    make_culane(root, n_train=24, n_val=7, n_test=1, size=(410, 148), rain=0., workers=0, progress=False)
    for name in (root/'list/train.txt').read_text().split()[::3]: (root/name.lstrip('/')).with_suffix('.lines.txt').write_text('')
    return root

def settings(roads:Path, runs:Path, **more)->list: # of key=value
    "What all runs here have in common"
    common = dict(data_root=roads, work_dirs=runs, ori_img_w=410, ori_img_h=148, cut_height=68, img_w=256, img_h=96, accelerator='cpu', batch_size=4, workers=0, total_iter=30,
                  eval_ep=3, log_interval=1, decode_reduced='false')
    return [f'{k}={v}' for k, v in {**common, **more}.items()]

def weights(state)->torch.Tensor: return torch.cat([v.double().flatten() for v in state['net'].values()])

def same(a, b)->bool:
    "Whether two nested structures are equal to the bit"
    if isinstance(a, torch.Tensor): return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict): return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    return a == b

class Noise(Callback):
    "Makes weights depend on every generator, and on a state of its own"
    def __init__(self): self.steps = 0
    def state(self): return dict(steps=self.steps)
    def load_state(self, state): self.steps = state['steps']
    @torch.no_grad()
    def after_step(self, runner, batch, output):
        self.steps += 1
        p = next(runner.network.parameters())
        p.add_(1e-4*(torch.randn(p.shape) + float(np.random.randn()) + random.random())*(1 + self.steps % 3))

class Tell(Callback):
    "Tells another process which step was done"
    def __init__(self, value): self.value = value
    def after_step(self, runner, batch, output): self.value.value = runner.recorder.step

class At(Callback):
    "Calls a function of runner and batch before the steps named"
    def __init__(self, steps, f): self.steps, self.f = steps, f
    def before_step(self, runner, batch):
        if runner.recorder.step + 1 in self.steps: self.f(runner, batch)

def child(f, *args, log:Path):
    "Start `f` in a process of its own, in a session of its own, whose output goes to a file; it shares what was imported"
    def run():
        os.setsid()                                # what is sent to the session reaches its data workers too, and nobody else
        with open(log, 'ab') as out: os.dup2(out.fileno(), 1); os.dup2(out.fileno(), 2)
        sys.stdout, sys.stderr = open(1, 'w', buffering=1, closefd=False), open(2, 'w', buffering=1, closefd=False)
        try: code = f(*args)
        except KeyboardInterrupt: code = 130
        except (ValueError, OSError) as e: code = print(f'error: {type(e).__name__}: {e}', flush=True) or 2   # as the command does
        except BaseException: code = traceback.print_exc() or 1
        sys.stdout.flush()
        os._exit(code or 0)
    p = fork.Process(target=run)
    p.start()
    return p

def train(overrides, callbacks=()): Runner(load_config('demo', *overrides), callbacks=callbacks).train()

def finish(p, secs=120)->int: # exit code
    "Wait for a process; one that hangs is killed, and that is an error"
    p.join(secs)
    if p.exitcode is None: os.killpg(p.pid, signal.SIGKILL); p.join()
    return p.exitcode

def until(f, secs=60):
    "Wait until `f()` is true; what it returned"
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if found := f(): return found
        time.sleep(.01)
    raise TimeoutError(f'nothing happened for {secs} s')

def checkpoints(runs:Path)->dict: # path → state; an error where one cannot be read
    "Every checkpoint below a folder, read"
    return {p: load_checkpoint(p) for p in sorted(runs.rglob('*.ckpt'))}

def newest(runs:Path, name='last.ckpt')->Path: return max(runs.glob(f'*/{name}'), key=lambda p: p.stat().st_mtime_ns)

# --- Killed at any moment

def write_slowly(writing):
    "Make every write of a checkpoint last, and say when one goes on"
    save, replace, link = torch.save, os.replace, os.link
    def slow_save(state, f):
        whole = io.BytesIO()
        save(state, whole)
        for part in np.array_split(np.frombuffer(whole.getvalue(), np.uint8), 20):
            writing.value = 1
            f.write(part.tobytes()); f.flush(); time.sleep(.004)
    def slow(g):
        def run(*args):
            writing.value = 2
            time.sleep(.01); g(*args); time.sleep(.01)
            writing.value = 0
        return run
    torch.save, os.replace, os.link = slow_save, slow(replace), slow(link)

def kills(root:Path, quick:bool)->list:
    "SIGKILL at random moments, also while a checkpoint is written: nothing unreadable, and the result is that of an undisturbed run"
    n, total, rng, log = (5, 20, random.Random(1), root/'kills.txt') if quick else (25, 90, random.Random(0), root/'kills.txt')
    roads = make_roads(root/'roads')
    more = dict(total_iter=total, ema=.9, patience=50, eval_ep=2, save_interval=7)
    if code := finish(child(train, settings(roads, root/'straight', **more), [Noise()], log=log)): return [f'the undisturbed run ended with {code}:\n{log.read_text()}']
    step, writing, killed, hit, code = fork.Value('l', 0), fork.Value('i', 0), 0, 0, None
    def victim(overrides):
        write_slowly(writing)
        train(overrides, [Noise(), Tell(step)])
    while code != 0:
        step.value, writing.value = 0, 0
        changed = more | dict(resume_from='auto', workers=rng.choice([0, 2]), save_interval=rng.choice([1, 1, 2, 3]))
        p = child(victim, settings(roads, root/'killed', **changed), log=log)
        try:
            if killed < n:
                first = until(lambda: step.value or p.exitcode is not None and -1)
                k = first + rng.randrange(4)
                until(lambda: step.value >= k or p.exitcode is not None)
                if rng.random() < .6: until(lambda: writing.value or p.exitcode is not None)
                time.sleep(rng.random()*.1)
                if p.is_alive():
                    hit += writing.value > 0
                    os.killpg(p.pid, signal.SIGKILL)
                    killed += 1
        except TimeoutError as e: return [f'{e}:\n{log.read_text()[-3000:]}']
        code = finish(p)
        if code not in (0, -signal.SIGKILL): return [f'after {killed} kills a run ended with {code}:\n{log.read_text()[-3000:]}']
        try: checkpoints(root/'killed')
        except CheckpointError as e: return [f'after {killed} kills: {e}']
    a, b = (load_checkpoint(newest(root/s)) for s in ('straight', 'killed'))
    print(f'{killed} kills, {hit} of them during a write, in {len(list((root/"killed").iterdir()))} runs; largest difference of a weight {(weights(a) - weights(b)).abs().max().item():g}')
    problems = [f'the state of {k} differs' for k, v in a['callbacks'].items() if not same(v, b['callbacks'][k])]
    problems += [f'{k} differs' for k in ('net', 'optimizer', 'scheduler', 'state', 'random') if not same(a[k], b[k])]
    x, y = (s['recorder']['history'] for s in (a, b))
    names = lambda h: [(r['step'], *r) for r in h['logged']]
    if names(x) != names(y): problems.append('the rows that were logged differ')
    problems += [f'{k} of the history differ' for k in ('steps', 'losses') if not same(x[k], y[k])]
    tables = lambda h: [row | dict(memory=0) for row in h['validations']]     # the memory that a process needed is its own
    if not same(tables(x), tables(y)): problems.append('the tables of the history differ')
    if not same(*(load_checkpoint(newest(root/s, 'best.ckpt'))['net'] for s in ('straight', 'killed'))): problems.append('the best models differ')
    return problems + [f'only {killed} of {n} kills'] * (killed < n) + ['no kill during a write'] * (not hit)

# --- Asked to stop

def ask(root, roads, name, workers, how)->list:
    "One run that is asked to stop"
    runs, log = root/name, root/f'{name}.txt'
    p = child(lambda: cli.main(['train', 'demo', *settings(roads, runs, total_iter=100000, workers=workers, eval_ep=10**6)]), log=log)
    done = lambda: next((len(f.read_text().splitlines()) - 1 for f in runs.glob('*/metrics.csv')), 0)
    try: until(lambda: done() >= 3 or not p.is_alive())
    except TimeoutError: pass
    start = time.monotonic()
    how(p, next(runs.iterdir(), None))
    code, secs = finish(p, 60), time.monotonic() - start
    said = log.read_text()
    if code != 0: return [f'{name}: exit code {code}:\n{said[-2000:]}']
    state = load_checkpoint(next(runs.glob('*/last.ckpt')))
    return ([f'{name}: ended after {secs:.0f} s'] * (secs > 30) + [f'{name}: the log does not say how to continue'] * ('continue with resume_from=' not in said)
            + [f'{name}: last holds step {state["state"]["step"]} of {done()}'] * (state['state']['step'] < done()) + [f'{name}: a traceback:\n{said[-2000:]}'] * ('Traceback' in said))

def stopping(root:Path, quick:bool)->list:
    "Ctrl-C, SIGTERM, SIGUSR1 (to the process, or as Slurm does to its data workers too) and a STOP file save and end with success; a second Ctrl-C ends at once"
    roads, problems = make_roads(root/'roads'), []
    alone, group = (lambda s: lambda p, d: os.kill(p.pid, s)), (lambda s: lambda p, d: os.killpg(p.pid, s))
    ways = [(f'{s.name}{w}{k}', w, how(s)) for s in signals for w, k, how in ((0, '', alone), (2, 'group', group))]
    ways += [('STOP', 0, lambda p, d: (d/'STOP').touch())]
    for name, workers, how in [o for o in ways if 'group' in o[0] or o[0] == 'STOP'] if quick else ways: problems += ask(root, roads, name, workers, how)
    ready, log = fork.Value('l', 0), root/'twice.txt'
    def sleepy(runner, batch):
        ready.value = 1
        time.sleep(30)
    p = child(train, settings(roads, root/'twice'), [At({3}, sleepy)], log=log)
    until(lambda: ready.value)
    start = time.monotonic()
    os.kill(p.pid, signal.SIGINT); time.sleep(.5); os.kill(p.pid, signal.SIGINT)
    code = finish(p, 40)
    if code != 130 or time.monotonic() - start > 10: problems.append(f'a second Ctrl-C: exit code {code} after {time.monotonic() - start:.0f} s')
    return problems

# --- Spoilt

def expect(problems, what, log, code, wanted_code, *words):
    "Note where a run did not end as it should"
    said = log.read_text()
    if code != wanted_code: problems.append(f'{what}: exit code {code}, not {wanted_code}:\n{said[-2500:]}')
    problems += [f'{what}: nothing said of {w!r}:\n{said[-2500:]}' for w in words if not re.search(w, said)]

def usable(problems, what, runs, least):
    "Note where a run's folder holds no `last` to go on from"
    try: state = load_checkpoint(newest(runs))
    except (CheckpointError, ValueError) as e: return problems.append(f'{what}: no usable last: {e}')
    if state['state']['step'] < least: problems.append(f"{what}: last holds step {state['state']['step']}, not {least}")
    if not torch.isfinite(weights(state)).all(): problems.append(f'{what}: weights in last are not finite')

def disk_full(root, roads, problems, quick):
    def fill(runner, batch): resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    log = root/'full.txt'
    code = finish(child(train, settings(roads, root/'full', save_interval=2), [At({5}, fill)], log=log))
    expect(problems, 'full disk', log, code, 2, r'CheckpointError: .*last\.ckpt: cannot be written: File too large; what was there before is untouched')
    usable(problems, 'full disk', root/'full', 4)

def full_filesystem(root, roads, problems, quick):
    "A file system of 64 MB, where this may be mounted"
    if quick: return
    disk, log = root/'disk', root/'disk.txt'
    disk.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'none', disk], capture_output=True).returncode: return print('no file system could be mounted: only RLIMIT_FSIZE was tried')
    try:
        def fill(runner, batch): (disk/'other').write_bytes(bytes(disk_free(disk) - 200_000))
        code = finish(child(train, settings(roads, disk/'runs', save_interval=2, eval_ep=100), [At({5}, fill)], log=log))
        expect(problems, 'full file system', log, code, 2, 'No space left on device')
        usable(problems, 'full file system', disk/'runs', 4)
    finally: subprocess.run(['umount', '-l', disk], check=True)

def disk_free(path): return shutil.disk_usage(path).free

def damaged_checkpoints(root, roads, problems, quick):
    log, runs = root/'damaged.txt', root/'damaged'
    expect(problems, 'a run to damage', log, finish(child(train, settings(roads, runs, total_iter=6, save_interval=2), log=log)), 0)
    last = newest(runs)
    whole, state, rng = last.read_bytes(), load_checkpoint(last), np.random.default_rng(0)
    for at in sorted(rng.integers(0, len(whole), 40)) + list(range(len(whole) - 40, len(whole))) + list(range(0, 400, 10)):
        last.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1:])
        try: unharmed = same(load_checkpoint(last), state)
        except CheckpointError: continue
        if not unharmed: problems.append(f'a bit changed at byte {at} of {len(whole)} changes what is read and is not noticed')
    for at in rng.integers(0, len(whole), 10):
        last.write_bytes(whole[:at])
        try: load_checkpoint(last)
        except CheckpointError: continue
        problems.append(f'cut short at byte {at} of {len(whole)}, and not noticed')
    named = child(train, settings(roads, runs, total_iter=8, resume_from=last), log=log)
    expect(problems, 'a damaged checkpoint that was named', log, finish(named), 2, r'last\.ckpt: cannot be read', r'the newest that can be read is .*previous\.ckpt')
    auto = child(train, settings(roads, runs, total_iter=8, resume_from='auto'), log=log)
    expect(problems, 'going on from the one before', log, finish(auto), 0, r'last\.ckpt: cannot be read.*; trying the one before', r'resumed from .*previous\.ckpt at step')
    usable(problems, 'going on from the one before', runs, 8)

def spoil(runner, batch): batch['img'] = torch.full(batch['img'].shape, float('nan'))

def no_number(root, roads, problems, quick):
    log = root/'nan.txt'
    code = finish(child(train, settings(roads, root/'nan', save_interval=2), [At({6}, spoil)], log=log))
    expect(problems, 'NaN', log, code, 2, r'NonFiniteLoss: step 6: the loss is not finite \(.*loss nan\); images: \S+\.jpg, ')
    usable(problems, 'NaN', root/'nan', 4)
    batch = next((root/'nan').glob('*/bad_batch_6_rank0.pt'), None)
    if not batch or not load_checkpoint(batch)['img'].isnan().all(): problems.append('NaN: the batch was not written')
    log = root/'nan2.txt'
    code = finish(child(train, settings(roads, root/'nan2', total_iter=9, max_bad_steps=2), [At({3, 6}, spoil)], log=log))
    expect(problems, 'NaN twice, two allowed', log, code, 0, 'left out, 2 of at most 2: step 6')
    usable(problems, 'NaN twice, two allowed', root/'nan2', 9)
    if quick: return
    log = root/'nan3.txt'
    code = finish(child(train, settings(roads, root/'nan3', save_interval=2, max_bad_steps=2), [At({3, 5, 6}, spoil)], log=log))
    expect(problems, 'NaN three times, two allowed', log, code, 2, 'NonFiniteLoss: step 6')
    usable(problems, 'NaN three times, two allowed', root/'nan3', 4)

def broken_data(root, roads, problems, quick):
    name = (roads/'list/train.txt').read_text().split()[1].lstrip('/')
    for what, file, change, words in (('a JPEG cut in half', roads/name, lambda b: b[:len(b)//2], 'DataError: .*' + re.escape(name)),
                                      ('a label with letters', (roads/name).with_suffix('.lines.txt'), lambda b: b'12 ab 3 4\n', r'DataError: .*\.lines\.txt:1')):
        for workers in (2,) if quick else (0, 2):
            whole, runs = file.read_bytes(), root/f'{what.split()[1]}{workers}'.lower()
            log = root/f'{runs.name}.txt'
            file.write_bytes(change(whole))
            try:
                expect(problems, what, log, finish(child(train, settings(roads, runs, workers=workers), log=log)), 2, words)
                if file.suffix == '.txt':                         # labels are looked at before the first step: nothing is left of such a start
                    if [*runs.glob('*')]: problems.append(f'{what}: left {[*runs.glob("*")]}')
                else: usable(problems, what, runs, max([int(s) for s in re.findall(r'step (\d+)/30', log.read_text())], default=0))
                if workers == 0 or quick and file.suffix == '.jpg': expect(problems, f'{what}, skip_bad', log, finish(child(train, settings(roads, root/f'{runs.name}skip', total_iter=8, skip_bad='true'), log=log)), 0, 'left out')
            finally: file.write_bytes(whole)

def dead_worker(root, roads, problems, quick):
    def kill_worker(runner, batch):
        found = [int(p) for p in subprocess.run(['ps', '-o', 'pid=', '--ppid', str(os.getpid())], capture_output=True, text=True).stdout.split()]
        for p in found:
            try: os.kill(p, signal.SIGKILL)
            except ProcessLookupError: pass        # ps itself
        time.sleep(.5)
    log = root/'worker.txt'
    code = finish(child(train, settings(roads, root/'worker', workers=2, save_interval=2), [At({6}, kill_worker)], log=log))
    expect(problems, 'killed data worker', log, code, 2, 'ChildProcessError: step [456]: a process that reads images died')
    usable(problems, 'killed data worker', root/'worker', 4)

def vanished(root, roads, problems, quick):
    log = root/'vanished.txt'
    for name, more in (('vanished', {}), ('vanished before a save', dict(log_interval=100, save_interval=1))):
        code = finish(child(train, settings(roads, root/name, **more), [At({5}, lambda runner, batch: shutil.rmtree(runner.recorder.work_dir))], log=log))
        expect(problems, name, log, code, 2, 'FileNotFoundError: .* vanished during training')
        usable(problems, name, root/name, 4)

def own_folders(root, roads, problems, quick):
    "Runs that start at the same moment"
    start, log = fork.Barrier(4), root/'same.txt'
    def begin():
        start.wait()
        Runner(load_config('demo', *settings(roads, root/'same')))
    for p in [child(begin, log=log) for _ in range(4)]: expect(problems, 'four runs at once', log, finish(p), 0)
    if len(list((root/'same').iterdir())) != 4: problems.append(f"four runs made {len(list((root/'same').iterdir()))} folders")

def guards(root:Path, quick:bool)->list:
    "Full disk, damaged checkpoints, NaN, broken images and labels, dead workers, vanished folders: a named error and something to go on from"
    roads, problems = make_roads(root/'roads'), []
    for f in (disk_full, full_filesystem, damaged_checkpoints, no_number, broken_data, dead_worker, vanished, own_folders):
        try: f(root, roads, problems, quick)
        except Exception: problems.append(f'{f.__name__}: {traceback.format_exc()}')
    return problems

# --- On several processes

class StopInValidation(Callback):
    "The first process is asked to stop as it begins to validate"
    def before_validate(self, runner):
        if runner.fabric.global_rank == 0: runner.stop('asked to')

def report(out:Path, overrides:list, callbacks=()):
    "A run that writes what came of it: what `--report` does, so that launchers can start it"
    losses = []
    class Losses(Callback):
        def after_step(self, runner, batch, output): losses.append(float(output['loss']))
    runner = Runner(load_config('demo', *overrides), callbacks=[Losses(), *callbacks])
    runner.train()
    if not runner.fabric.is_global_zero: return
    predictions = {str(f.relative_to(runner.recorder.work_dir)): f.read_text() for f in sorted(runner.recorder.work_dir.glob('predictions/**/*.txt'))}
    torch.save(dict(losses=torch.tensor(losses, dtype=torch.float64), weights=weights(runner.state_dict()), metric=runner.metric, predictions=predictions), out)

def free_port()->int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def torchrun(*args)->list: return [sys.executable, '-m', 'torch.distributed.run', *map(str, args)]

def started(how, arguments)->list: # of commands that together are one run
    "Commands that start a run on several processes"
    port = free_port()
    if how == 'torchrun': return [torchrun('--nproc_per_node=2', f'--master_port={port}', *arguments)]
    if how == 'fabric run': return [[sys.executable, '-m', 'lightning.fabric.cli', '--accelerator=cpu', '--devices=2', f'--main-port={port}', *arguments]]
    if how == 'slurm':
        task = lambda i: dict(JOB_NAME='train', JOB_ID=port, NTASKS=2, NTASKS_PER_NODE=2, NNODES=1, NODELIST='localhost', PROCID=i, LOCALID=i, NODEID=0)
        return [['env', *(f'SLURM_{k}={v}' for k, v in task(i).items()), sys.executable, *arguments] for i in (0, 1)]
    if how == 'two nodes': return [torchrun('--nnodes=2', f'--node_rank={i}', '--nproc_per_node=1', '--master_addr=127.0.0.1', f'--master_port={port}', *arguments) for i in (0, 1)]
    return [[sys.executable, *arguments]]

def start(commands, log, **kwargs)->list: # of Popen
    with open(log, 'ab') as out: return [subprocess.Popen([str(c) for c in cmd], stdout=out, stderr=out, start_new_session=True, **kwargs) for cmd in commands]

def end(processes, secs)->list: # of exit codes; None for one that had to be killed
    "Wait for processes"
    limit, codes = time.monotonic() + secs, []
    for p in processes:
        try: codes.append(p.wait(max(.1, limit - time.monotonic())))
        except subprocess.TimeoutExpired: codes.append(None)
        if codes[-1] is None: os.killpg(p.pid, signal.SIGKILL); p.wait()
    return codes

def devices(root:Path, quick:bool)->list:
    "However a run is spread over processes and parts, losses, weights and metric are the same"
    roads, problems, one = make_roads(root/'roads'), [], {}
    more = dict(total_iter=8 if quick else 20, batch_size=8, freeze_bn='true', seg_loss_weight=.5, frame_filter=.01, eval_ep=100, log_interval=2, **{'test_parameters.conf_threshold': 0., 'scheduler.warm_up_iters': 2})
    runs = [('1', '', dict(gpus=1)), ('2 processes, 2 parts', '', dict(gpus=2, accumulate=2))]
    if not quick: runs += [('2 processes', '', dict(gpus=2)), ('2 processes, accumulate=auto', '', dict(gpus=2, accumulate='auto')), ('4 processes', '', dict(gpus=4)), ('1 process, 4 parts', '', dict(accumulate=4)), ('torchrun', 'torchrun', {}), ('two nodes', 'two nodes', {}), ('two tasks as of Slurm', 'slurm', dict(gpus=2)),
                           ('2 processes, 4 data workers', '', dict(gpus=2, workers=4))]
    if not quick and find_spec('click'): runs.append(('fabric run', 'fabric run', {}))
    elif not quick: print('`fabric run` needs the package click, which is not there: not tried')
    plan = [('64-true', *r) for r in runs] + [('32-true', *r) for r in runs[:4] if not quick and 'parts' not in r[0]]
    print(f"{'precision':10}{'':30}{'losses':>12}{'weights':>12}   largest difference to one process; of {more['total_iter']} losses, relative, and of the weights")
    for precision, name, how, extra in plan:
        out, log, folder = root/'out.pt', root/'log.txt', root/f'{precision} {name}'
        codes = end(start(started(how, [here, '--report', out, *settings(roads, folder, precision=precision, **more, **extra)]), log), 240)
        if any(codes) or not out.exists(): problems.append(f'{precision}, {name}: exit codes {codes}:\n{log.read_text()[-4000:]}'); continue
        found = torch.load(out, weights_only=True)
        a = one.setdefault(precision, found)
        losses, params = ((found['losses']/a['losses'] - 1).abs().max().item(), (found['weights'] - a['weights']).abs().max().item())
        print(f'{precision:10}{name:30}{losses:12.1e}{params:12.1e}', flush=True)
        if precision == '64-true':
            if not max(losses, params) < 1e-8: problems.append(f'{name}: losses differ by {losses:g}, weights by {params:g}')
            if (found['metric'], found['predictions']) != (a['metric'], a['predictions']): problems.append(f"{name}: metric {found['metric']}, not {a['metric']}, or other lanes")
            if len(found['predictions']) != 7 or not any(found['predictions'].values()): problems.append(f'{name}: too little was predicted to compare')
        if len(list(folder.iterdir())) != 1 or len(list(folder.glob('*/log.txt'))) != 1: problems.append(f'{name}: {len(list(folder.iterdir()))} folders')
        out.unlink(); log.unlink()
    if len(list((roads/'.srlane').iterdir())) != 1: problems.append('more than one cache of frame differences')
    return problems

class Starve(Callback):
    "Takes the memory from a process's first step, and gives it back later"
    def __init__(self, ranks, room): self.ranks, self.room = ranks, room # which processes; bytes that are left
    def before_step(self, runner, batch):
        if runner.fabric.global_rank not in self.ranks: return
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        step = runner.recorder.step - runner.first_step
        if step < 2: resource.setrlimit(resource.RLIMIT_AS, (pages*resource.getpagesize() + self.room if step == 0 else resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def memory(root:Path, quick:bool)->list:
    "Out of memory in one process or in one of two: the step is made again in more parts, everywhere, as if it had had them from the start; a resumed run begins with them"
    if sys.platform != 'linux': return print('only Linux limits the memory of a process: not tried') or []
    roads, problems = make_roads(root/'roads'), []
    more = dict(img_w=800, img_h=320, batch_size=8, total_iter=3, save_interval=1)      # large: oneDNN keeps 20 MB for each new size of a batch
    plain = os.environ | dict(MALLOC_ARENA_MAX='1', MALLOC_MMAP_THRESHOLD_='65536')      # what is freed is free at once, as with the allocator of a GPU
    for gpus in (2,) if quick else (1, 2):
        def go(name, *flags, **extra):
            out, log = root/f'{name}{gpus}.pt', root/f'{name}{gpus}.txt'
            codes = end(start([[sys.executable, here, *flags, '--report', out, *settings(roads, root/f'{name}{gpus}', **more | dict(gpus=gpus) | extra)]], log, env=plain), 400)
            if codes != [0]: raise RuntimeError(f'{name}, {gpus} processes: exit codes {codes}:\n{log.read_text()[-3000:]}')
            return torch.load(out, weights_only=True), load_checkpoint(newest(root/f'{name}{gpus}'))['n_parts'], log.read_text()
        try:
            found, n, said = go('starved', '--starve', accumulate='auto')
            words = [l for l in said.splitlines() if 'out of memory with' in l]
            print(f'{gpus} process{"es"*(gpus > 1)}: {n} parts of {8//gpus} images; {words[-1][-150:] if words else "nothing was said"}', flush=True)
            if n < 2 or len(words) != np.ceil(np.log2(n)): problems.append(f'{gpus} processes: {n} parts, {len(words)} lines in the log')
            wanted, *_ = go('wanted', accumulate=n)
            if not same(found['losses'], wanted['losses']) or not same(found['weights'], wanted['weights']):
                problems.append(f"{gpus} processes: {n} parts from the start give other weights, by {(found['weights'] - wanted['weights']).abs().max().item():g}")
            _, again, said = go('starved', accumulate='auto', total_iter=4, resume_from='auto')
            if again != n or said.count('out of memory with') > len(words): problems.append(f'{gpus} processes: resumed with {again} parts instead of {n}:\n{said[-1500:]}')
        except (RuntimeError, CheckpointError) as e: problems.append(str(e))
    return problems

def no_lanes(root:Path, quick:bool)->list:
    "Batches without any lane are trained on by several processes too"
    roads, found = make_roads(root/'roads'), []
    listed = [roads/o.lstrip('/') for o in (roads/'list/train.txt').read_text().split()]
    unseen = {listed[i].with_suffix('.lines.txt') for i in np.random.default_rng([0, 0]).permutation(24)[12:]}   # three batches of the first epoch are seen
    for f in {*roads.rglob('*.lines.txt')} - unseen: f.write_text('')
    for gpus in (1, 2):
        out, log = root/f'{gpus}.pt', root/f'{gpus}.txt'
        codes = end(start([[sys.executable, here, '--report', out, *settings(roads, root/'runs', total_iter=3, precision='64-true', freeze_bn='true', gpus=gpus)]], log), 120)
        if any(codes): return [f'{gpus} processes: exit codes {codes}:\n{log.read_text()[-4000:]}']
        found.append(torch.load(out, weights_only=True))
    difference = (found[0]['weights'] - found[1]['weights']).abs().max().item()
    return [] if difference < 1e-8 and found[1]['losses'].isfinite().all() else [f'weights differ by {difference:g}, losses are {found[1]["losses"]}']

def uneven(root:Path, quick:bool)->list:
    "Validation waits for nobody: there are fewer images than processes, and one process is asked to stop before it has seen its own"
    roads, problems = make_roads(root/'roads'), []
    (roads/'list/val.txt').write_text((roads/'list/val.txt').read_text().splitlines(True)[0])
    for name, more in (('few', []), ('asked', ['--stop'])):
        out, log = root/f'{name}.pt', root/f'{name}.txt'
        codes = end(start([[sys.executable, here, *more, '--report', out, *settings(roads, root/name, total_iter=6, eval_ep=1, gpus=2)]], log), 60)
        said = log.read_text()
        if any(codes): problems.append(f'{name}: exit codes {codes}:\n{said[-3000:]}')
        if more and 'validation interrupted by stop request' not in said: problems.append(f'{name}: the validation was not interrupted:\n{said[-3000:]}')
    return problems

def steps_of(folder)->int: return max([len(f.read_text().splitlines()) - 1 for f in folder.glob('*/metrics.csv')], default=0)

def children(pid)->list: # of process ids
    out = subprocess.run(['ps', '-o', 'pid=,args=', '--ppid', str(pid)], capture_output=True, text=True).stdout
    return [int(o.split()[0]) for o in out.splitlines() if 'ps -o' not in o]

def dead_rank(root:Path, quick:bool)->list:
    "A process that dies ends the others within a minute, with its error shown; SIGTERM to one process stops all, with everything saved"
    roads, problems = make_roads(root/'roads'), []
    command = root/'command.py'
    command.write_text('import sys\nfrom srlane.cli import main\nsys.exit(main())\n')
    name = np.random.default_rng([0, 0]).permutation(24)      # the order of the first epoch
    victim = roads/[o.lstrip('/') for o in (roads/'list/train.txt').read_text().split()][name[4*3 + 3]]   # second process, fourth step
    def killed(ps): os.kill(max(children(ps[0].pid)), signal.SIGKILL)
    def terminated(ps): os.kill(ps[0].pid, signal.SIGTERM)
    tries = [('killed', '', killed, None), ('error', '', None, re.escape(victim.name)), ('stopped', '', terminated, 'continue with resume_from=')]
    if not quick: tries += [('killed', 'torchrun', killed, 'SIGKILL|Signal 9'), ('error', 'torchrun', None, re.escape(victim.name)), ('stopped', 'torchrun', terminated, None)]
    for what, how, act, words in tries:
        runs, log, whole = root/f'{what}{how}', root/f'{what}{how}.txt', victim.read_bytes()
        if what == 'error': victim.write_bytes(whole[:len(whole)//2])
        extra = {} if how else dict(gpus=2)
        ps = start(started(how, [command, 'train', 'demo', *settings(roads, runs, total_iter=10**6, eval_ep=10**6, save_interval=2, **extra)]), log)
        try:
            until(lambda: steps_of(runs) >= 3 or ps[0].poll() is not None, 120)
            begin = time.monotonic()
            if act: act(ps)
            codes, secs = end(ps, 90), time.monotonic() - begin
        except TimeoutError: codes, secs = end(ps, 1), 120.
        finally: victim.write_bytes(whole)
        said = log.read_text()
        print(f'{how or "srlane train gpus=2"}, {what}: ended with {codes} after {secs:.0f} s', flush=True)
        ok = codes == [0] if what == 'stopped' and not how else None not in codes and (any(codes) or what == 'stopped')
        if not ok or secs > 60: problems.append(f'{what} {how}: exit codes {codes} after {secs:.0f} s:\n{said[-3000:]}')
        if words and not re.search(words, said): problems.append(f'{what} {how}: nothing said of {words}:\n{said[-3000:]}')
        usable(problems, f'{what} {how}', runs, 2)
        left = lambda: subprocess.run(['pgrep', '-a', '-f', str(runs)], capture_output=True, text=True).stdout.splitlines()
        try: until(lambda: not left(), 30)
        except TimeoutError: problems.append(f'{what} {how}: processes are left after 30 s: {left()}')
    return problems

from_notebook = """
from srlane.config import load_config
from srlane.runner import launch

cfg = load_config('demo', *SETTINGS)
def fn(runner):
    runner.train()
    return runner.fabric.world_size, runner.recorder.step, list(range(100_000))
found = launch(cfg, fn)
assert found[:2] == (2, 3) and len(found[2]) == 100_000, found[:2]
def fails(runner):
    if runner.fabric.global_rank == 1: raise ValueError('the second process has had enough')
    runner.train()
try: launch(cfg, fails)
except Exception as e: assert 'has had enough' in str(e), e
else: raise AssertionError('no error')
print('launched twice')
"""

def launched(root:Path, quick:bool)->list:
    "`launch` trains on two processes from a notebook, returns what came of it, and shows the error of one"
    import nbformat
    from nbclient import NotebookClient
    roads = make_roads(root/'roads')
    code = from_notebook.replace('SETTINGS', repr(settings(roads, root/'runs', total_iter=3, gpus=2)))
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in code.split('\n\n')])
    NotebookClient(nb, timeout=180, kernel_name='python3', resources=dict(metadata=dict(path=str(root)))).execute()
    said = ''.join(o.get('text', '') for c in nb.cells for o in c.outputs)
    return [] if 'launched twice' in said else [said]

# --- A notebook's interrupt

in_background = """
import os, signal, subprocess, time
from srlane.config import load_config
from srlane.runner import Runner

runner, phase = Runner(load_config('demo', *SETTINGS)), ['']
head, step = runner.network.roi_head, runner.optimizer_step
find = head.get_lanes
def slowly(*args):
    phase[0] = 'validation' if runner.recorder.step else 'sanity check'
    time.sleep(.4)
    return find(*args)
def steps():
    phase[0] = 'training'
    return step()
head.get_lanes, runner.optimizer_step = slowly, steps
def workers(): return [int(o.split()[0]) for o in subprocess.run(['ps', '-o', 'pid=,args=', '--ppid', str(os.getpid())], capture_output=True, text=True).stdout.splitlines() if 'ps -o' not in o]
def waits(name, start=False):
    global monitor
    if start: monitor = runner.train(background=True, view='none')
    while phase[0] != name or not workers(): time.sleep(.005)
    print(name, flush=True)
    time.sleep(60)
def goes_on():
    begin, at = time.monotonic(), runner.recorder.step
    while monitor.running and runner.recorder.step < at + 3 and time.monotonic() < begin + 60: time.sleep(.05)
    print('went on' if monitor.running and runner.recorder.step >= at + 3 else f'{monitor.status} at step {at}: {monitor.error}', len(workers()))
"""

in_foreground = """
from srlane.training.callbacks import Callback
class At(Callback):
    def before_step(self, runner, batch):
        if runner.recorder.step == 3: print('three steps', flush=True)
        if runner.recorder.step == 3 and SLEEP: time.sleep(60)
runner = Runner(load_config('demo', *SETTINGS), callbacks=[At()])
runner.train(view='none')
print(runner.stop_reason, (runner.recorder.work_dir/'last.ckpt').exists(), runner.recorder.step < 1000)
"""

class Kernel:
    "A Jupyter kernel, and somebody who runs cells and interrupts them"
    def __init__(self, folder):
        from jupyter_client.manager import start_new_kernel
        self.manager, self.client = start_new_kernel(cwd=str(folder), extra_arguments=['--log-level=ERROR'])

    def run(self, code, interrupt_at='', times=1, secs=90)->str: # what it printed, and its error
        "Run a cell; once it has printed `interrupt_at`, interrupt the kernel"
        number, said, end = self.client.execute(code), '', time.monotonic() + secs
        while time.monotonic() < end:
            try: m = self.client.get_iopub_msg(timeout=.5)
            except queue.Empty: continue
            kind, content = m['msg_type'], m['content']
            if m['parent_header'].get('msg_id') != number: continue
            if kind == 'stream': said += content['text']
            if kind == 'error': said += f"{content['ename']}: {content['evalue']}"
            if interrupt_at and interrupt_at in said:
                interrupt_at = ''
                for _ in range(times): self.manager.interrupt_kernel(); time.sleep(.2)
            if kind == 'status' and content['execution_state'] == 'idle': return said
        raise TimeoutError(f'a cell took more than {secs} s, and said {said[-2000:]!r}')

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

def interrupt(root:Path, quick:bool)->list:
    "Interrupting a cell, once or twice, stops what that cell does and nothing else: not a run in the background, nor the processes that read its images"
    roads, problems = make_roads(root/'roads'), []
    more = dict(total_iter=10**6, workers=2, eval_ep=2, batch_size=2, sanity_batches=3, log_interval=10**6, save_interval=0)
    for times in (2,) if quick else (1, 2):
        kernel = Kernel(root)
        try:
            kernel.run(in_background.replace('SETTINGS', repr(settings(roads, root/'runs', **more))))
            for phase in ('sanity check', 'training', 'validation'):
                said = kernel.run(f"waits({phase!r}, {phase == 'sanity check'})", phase, times)
                if 'KeyboardInterrupt' not in said: problems.append(f'{phase}, interrupted {times} times: the cell went on: {said}')
                said = kernel.run('goes_on()')
                if not re.search(r'went on [1-9]', said): problems.append(f'{phase}, interrupted {times} times: {said}')
            kernel.run('monitor.stop().wait()')
            code = in_foreground.replace('SETTINGS', repr(settings(roads, root/'runs', **more | dict(eval_ep=10**6))))
            said = kernel.run(code.replace('SLEEP', 'False'), 'three steps')
            if 'SIGINT True True' not in said: problems.append(f'a run in the cell itself was not stopped with everything saved: {said[-2000:]}')
            if times == 2:
                said = kernel.run(code.replace('SLEEP', 'True'), 'three steps', 2, secs=40)
                if 'KeyboardInterrupt' not in said: problems.append(f'a run in the cell itself, interrupted twice, did not end: {said[-2000:]}')
        except TimeoutError as e: problems.append(str(e))
        finally: kernel.close()
    return problems

# --- Loaders that start again and again

def restarts(root:Path, quick:bool)->list:
    "Loaders start 200 times, in two threads, beside threads that take the locks of pinning threads: each brings its batches, and none hangs"
    roads, log, n, done = make_roads(root/'roads'), root/'restarts.txt', 12 if quick else 200, fork.Value('l', 0)
    def body():
        import torch.utils.data._utils.pin_memory as pinning
        lock, problems = threading.Lock(), []
        def pin(todo, ready, device, stop, kind):       # as torch's thread: its first steps take locks that workers need too
            with lock: torch.set_num_threads(1); time.sleep(.02)
            while not stop.is_set():
                try: ready.put(todo.get(timeout=.1))
                except queue.Empty: pass
        pinning._pin_memory_loop = pin
        torch.accelerator.is_available, torch.accelerator.current_device_index, torch.accelerator.current_accelerator = (lambda: True), (lambda: 0), (lambda *a: None)
        cfg = load_config('demo', *settings(roads, root/'runs'))
        train, val = (build_dataset(cfg.dataset[k], cfg, is_train=k == 'train') for k in ('train', 'val'))
        for d in (train, val):
            def item(key, own=type(d).__getitem__, d=d):
                if not lock.acquire(timeout=10): raise RuntimeError('a lock was held when this worker was forked')
                lock.release()
                return own(d, key)
            d.__class__ = type('Locked', (type(d),), dict(__getitem__=lambda self, key, item=item: item(key)))
        def again(k):
            for i in range(k, n, 2):
                loader = lane_loader(val if i % 4 > 1 else train, 4, workers=1 + i % 2, pin_memory=True)
                batches = iter(loader)
                for _ in range(1 + i % 2): next(batches)   # and leave it in the middle, or at its end
                del batches, loader
                done.value += 1
        threads = [threading.Thread(target=again, args=(k,)) for k in (0, 1)]
        for t in threads: t.start()
        for t in threads: t.join()
        return int(done.value != n)
    code = finish(child(body, log=log), 120 if quick else 600)
    print(f'{done.value} of {n} loaders started and brought their batches', flush=True)
    return [] if code == 0 and done.value == n else [f'exit code {code} after {done.value} of {n} loaders:\n{log.read_text()[-3000:]}']

groups = dict(kills=kills, signals=stopping, guards=guards, devices=devices, memory=memory, restarts=restarts, uneven=uneven, nolanes=no_lanes, dead=dead_rank, launch=launched, interrupt=interrupt)

def main():
    if sys.argv[1:2] == ['--report']: return report(Path(sys.argv[2]), sys.argv[3:])
    if sys.argv[1:3] == ['--stop', '--report']: return report(Path(sys.argv[3]), sys.argv[4:], [StopInValidation()])
    if sys.argv[1:3] == ['--starve', '--report']:
        several = any(o == 'gpus=2' for o in sys.argv)
        return report(Path(sys.argv[3]), sys.argv[4:], [Starve([1] if several else [0], int(12e7 if several else 23e7))])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*', metavar='GROUP'); p.add_argument('--quick', action='store_true')
    args = p.parse_args()
    if unknown := set(args.names) - set(groups): p.error(f'no such group: {", ".join(unknown)}; there are {", ".join(groups)}')
    failed = 0
    for name in args.names or groups:
        start = time.time()
        with tempfile.TemporaryDirectory(prefix='srlane-') as tmp:
            try: problems = groups[name](Path(tmp), args.quick)
            except Exception: problems = [traceback.format_exc()]
        failed += bool(problems)
        print(f'{"FAILED" if problems else "passed"}  {groups[name].__doc__}  {time.time() - start:.1f} s', *problems, sep='\n        ', flush=True)
    return int(failed > 0)

if __name__ == '__main__': sys.exit(main())
