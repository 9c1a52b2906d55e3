"""What no CPU can show: the checks that need a CUDA device, one line each, and as the last line one JSON object.

    python tools/gpu.py [--write [FILE]] [--minutes 6] [CHECK ...]      all checks without a name; `--list` names them
    python tools/gpu.py --cpu [CHECK ...]                               the same code at tiny size on the CPU: is this script whole?

Without a CUDA device it says so and exits 0. `--write` puts the JSON object into bench/gpu.json (or FILE) after every check, so that
a run cut short leaves what it had; other checks made before on the same device with the same packages stay in it. Exit code 1: a check failed.

**A machine without network** needs the repository and these packages; the script prints which versions it found, and which are missing:
torch built for CUDA (with triton, for `compile`), lightning, numpy, scipy, opencv (headless will do), matplotlib, tensorboard, tqdm, Pillow,
PyYAML, omegaconf, fastcore. Images that have torch usually lack the last two. They are pure Python and small enough to carry:

    pip download --no-deps --only-binary=:all: -d wheels omegaconf fastcore                     (where there is a network)
    pip install --no-index --no-deps --target site wheels/*.whl && PYTHONPATH=site python tools/gpu.py --write      (where there is none)

srlane itself is taken from the repository, installed or not. ../shared/golden is used where it is; without it the figures in nbs/golden do.

Every check runs in a process of its own, forked from one that has imported everything and never touches CUDA (a process that has used CUDA
cannot be forked), so one that fails, hangs or crashes leaves the others alone. The roads are synthetic and made on the spot.

Known of CUDA, and allowed for: the backward pass of `grid_sample` adds with atomics and has no deterministic form. `resume` therefore swaps
it for two matrix products that give the same numbers and are; `repeat` reports what else warns, and how far two equal steps lie apart.
"""
import argparse, contextlib, gc, importlib.util, json, math, os, re, signal, subprocess, sys, tempfile, time, traceback, warnings
from importlib import metadata
from pathlib import Path

os.environ['PYTORCH_NVML_BASED_CUDA_CHECK'] = '1'      # `torch.cuda.is_available()` must not begin to use CUDA in a process that will fork
root = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root), str(root/'tools'), str(root/'bench'), str(root/'nbs/golden')]
os.environ['PYTHONPATH'] = os.pathsep.join([str(root), *filter(None, [os.environ.get('PYTHONPATH')])])
needed = dict(torch='torch', lightning='lightning', numpy='numpy', scipy='scipy', cv2='opencv-python', matplotlib='matplotlib', tensorboard='tensorboard',
              tqdm='tqdm', PIL='pillow', yaml='PyYAML', omegaconf='omegaconf', fastcore='fastcore')      # module → package

def versions()->dict: # package → version; None where it is missing
    "What is installed"
    def of(module, name):
        if importlib.util.find_spec(module) is None: return None
        for n in (name, f'{name}-headless', f'{name}-contrib-python'):
            with contextlib.suppress(metadata.PackageNotFoundError): return metadata.version(n)
        return 'there'
    return dict(python=sys.version.split()[0], **{name: of(module, name) for module, name in needed.items()}, triton=of('triton', 'triton'))

found = versions()
if missing := [k for k, v in found.items() if v is None and k != 'triton']:
    sys.exit(f"gpu: missing: {', '.join(missing)}; `pip install {' '.join(missing)}`, or carry them as wheels (see the top of {Path(__file__).name})")

import numpy as np, torch
import lightning.fabric.loggers, torch.utils.tensorboard, matplotlib.figure         # once here instead of in every process
import srlane.look.monitor, srlane.look.profile
import stress
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from rule import eval_images, rule_weights, train_images
from runner_overhead import Batches
from step import made_up_batch, timed
from stress import Noise, Tell, child, finish, make_roads, newest, same, settings, until
from srlane.training.callbacks import EMA, Callback
from srlane.training.checkpoint import load_checkpoint
from srlane.config import load_config
from srlane.data.device_augment import augment_batch
from srlane.data.loader import build_dataloader, build_dataset
from srlane.data.prepare import prepare
from srlane.models.detector import build_net
from srlane.runner import Runner, launch
from srlane.training.devices import begin_copy, build_precision
from srlane.export import export
from srlane.models.fuse import fuse
from srlane.predict import Predictor, load_network
from srlane.synth import make_culane, make_scene

# --- A check: what it says, and how it is kept apart from the others

class Skip(Exception): "There is nothing to check here; the message says why"

class Found(dict):
    "Figures of a check; `must` notes what is wrong, and the figures are kept all the same"
    def __init__(self): self.problems = []
    def must(self, ok, words): # says what is wrong
        if not ok: self.problems.append(words)
    def close(self, name, value, limit): # a difference and the most it may be
        "Note a difference, and say so where it is larger than it may be"
        self[name] = float(f'{value:.3g}')
        self.must(value <= limit, f'{name} is {value:.3g}, more than {limit:g}')

class Where:
    "The device and the sizes of this run"
    def __init__(self, device, tmp, count=0): # cuda or cpu; a folder; CUDA devices
        self.device, self.tmp, self.count, self.roads = device, Path(tmp), count, Path(tmp)/'roads'
        self.cuda, self.cores = device == 'cuda', len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
        if not self.cuda: self.cores = 1
    def need(self, devices=1):
        if self.count < devices: raise Skip(f'needs {devices} CUDA device{"s"*(devices > 1)}')
    def settings(self, name, **more)->list: # of key=value
        "A small training on this device, in a folder of its own"
        tiny = {} if self.cuda else dict(img_w=128, img_h=64)
        return settings(self.roads, self.tmp/name, **(dict(accelerator=self.device, gpus=1, sanity_batches=1, log_interval=5) | tiny | more))

checks, alone = {}, set() # name → (function of `Found` and `Where`, seconds at most); names of those that measure, and want the device to themselves

def check(seconds, measures=False):
    "Register a check"
    def add(f):
        if measures: alone.add(f.__name__)
        checks[f.__name__] = f, seconds
        return f
    return add

def family(pid)->list: # of process ids, the process itself first
    "A process and all that came of it"
    return [pid] + [o for p in stress.children(pid) for o in family(p)]

class Job:
    "A check that runs in a process of its own"
    def __init__(self, name, where, seconds): # at most
        self.name, self.seconds, self.begin = name, seconds, time.monotonic()
        self.out, self.log = where.tmp/f'{name}.json', where.tmp/f'{name}.txt'
        def body():
            figures, status, why = Found(), 'passed', []
            try:
                checks[name][0](figures, where)
                why = figures.problems
            except Skip as e: status, why = 'skipped', [str(e)]
            except Exception: why = [*figures.problems, traceback.format_exc().replace(f'{root}/', '')]      # paths of this machine are nobody's concern
            if why and status == 'passed': status = 'FAILED'
            self.out.write_text(json.dumps(dict(status=status, problems=why, figures=figures)))
        self.process = child(body, log=self.log)

    def over(self)->bool:
        "Whether it has ended, or has to"
        return self.process.exitcode is not None or time.monotonic() - self.begin > self.seconds

    def result(self)->dict: # status, seconds, problems and figures
        "What came of it; a process that hangs is killed, with all that it started"
        if hung := self.process.exitcode is None:
            for o in reversed(family(self.process.pid)):
                with contextlib.suppress(OSError): os.kill(o, signal.SIGKILL)
        self.process.join()
        secs = dict(seconds=round(time.monotonic() - self.begin, 1))
        try: return json.loads(self.out.read_text()) | secs
        except (OSError, ValueError): pass
        why = f'stopped after {self.seconds:.0f} s' if hung else f'the process ended with {self.process.exitcode}'
        said = self.log.read_text(errors='replace')[-2500:] if self.log.exists() else ''
        return dict(status='FAILED', problems=[f'{why}:\n{said}'], figures={}) | secs

def run_all(names, where, end, together):
    "Run checks, several at a time but for those that measure; yields a name and what came of it"
    waiting, jobs = sorted(names, key=lambda n: n in alone), []      # in order, what measures last
    while waiting or jobs:
        for j in [j for j in jobs if j.over()]:
            jobs.remove(j)
            yield j.name, j.result()
        if waiting and len(jobs) < (1 if waiting[0] in alone else together) and not any(j.name in alone for j in jobs):
            name = waiting.pop(0)
            left = end - time.monotonic()
            if left > 0: jobs.append(Job(name, where, min(checks[name][1], left + 30)))
            else: yield name, dict(status='skipped', problems=['no time left'], figures={}, seconds=0.)
        else: time.sleep(.02)

# --- Runs

class Losses(Callback):
    "Keeps the loss of every step"
    def __init__(self): self.values = []
    def state(self): return [float(v) for v in self.values]
    def load_state(self, state): self.values = list(state)
    def after_step(self, runner, batch, output): self.values.append(output['loss'].detach())      # read later: nobody waits now

class DeviceNoise(Noise):
    "`Noise` on any device: weights depend on every generator, that of the device too"
    @torch.no_grad()
    def after_step(self, runner, batch, output):
        self.steps += 1
        p = next(runner.network.parameters())
        p.add_(1e-4*(torch.randn(p.shape, device=p.device) + float(torch.randn(())) + float(np.random.randn())))

def runner_of(overrides, callbacks=(), preset='demo', **scaler)->Runner: # of `key=value`; what to set of the scaler's state
    "A Runner; on the CPU too 16-mixed has its scaler, which the Runner itself only uses on a GPU"
    cfg, fabric = load_config(preset, *overrides), None
    if cfg.precision == '16-mixed' and cfg.accelerator == 'cpu':
        fabric = Fabric(plugins=[build_precision('16-mixed', 'cpu')], accelerator='cpu', devices=1)
        fabric.launch()
    runner = Runner(cfg, callbacks=callbacks, fabric=fabric)
    if scaler:
        s = runner.fabric.strategy.precision.scaler
        if cfg.resume_from is None or runner.resumed_from is None: s.load_state_dict(s.state_dict() | scaler)
    return runner

constant = {'scheduler.type': 'ConstantLR', 'scheduler.factor': 1.}      # a rate without warm-up: the first step counts too

def noise_batch(runner, n)->dict:
    "Noise with lanes on the Runner's device; the targets of `bench/step.py`"
    cfg, g = runner.cfg, runner.network.roi_head.geometry
    batch = made_up_batch(g, tuple(cfg.feat_ds_strides), n, cfg.max_lanes, runner.fabric.device)
    return dict(batch, meta=[dict(name=f'noise {i}', index=i, size=g.ori_size, cut_height=g.cut_height) for i in range(n)])

def flat(state)->torch.Tensor: # float64
    "Every weight in one row"
    return torch.cat([v.detach().double().flatten() for v in state.values()]) if isinstance(state, dict) else torch.cat([p.detach().double().flatten() for p in state])

def sync(where): torch.cuda.synchronize() if where.cuda else None

# --- Golden figures

variants = dict(r18=[], r18_attn=['attn_loss_weight=.05'], r18_refine2=['roi_head.refine_layers=2'], r18_seg=['seg_loss_weight=.5'])
# The most that may differ. Predictions: the largest difference in float32, the mean in half precision, where single pixels tip over.
# Losses, gradients (norm of all): relative. Float32 has the room of nbs/17 on any machine (3e-3 on gradients, times three for another order
# of adding) and again as much. Half precision has twice what CPUs showed, where a pair of proposal and lane or two is another: bfloat16 6 % of the
# loss and 8 % of the gradient, float16 1 % of both. TF32 rounds like float16, but only what goes into products.
room = dict(fp32=dict(prediction=1e-3, loss=1.2e-3, gradient=2e-2, statistics=1e-4), tf32=dict(prediction=2e-3, loss=.05, gradient=.1, statistics=.01),
            bf16=dict(prediction=1e-2, loss=.15, gradient=.2, statistics=.05), fp16=dict(prediction=2e-3, loss=.05, gradient=.1, statistics=.01))

def golden_batch(device, dtype=torch.float32)->dict:
    "The four noise images with known lanes of nbs/17"
    z = np.load(root/'nbs/golden/targets.npz')
    move = lambda a, t=dtype: torch.from_numpy(a).to(device, t)
    levels = lambda k, t=dtype: [move(z[f'{k}_{s}'], t) for s in (8, 16, 32)]
    return dict(img=train_images().to(device, dtype), gt_lane=move(z['gt_lane']), gt_angle=levels('gt_angle'), gt_seg=levels('gt_seg', torch.int64))

def golden_net(tag, device, dtype=torch.float32):
    "The network of a variant, with the rule's weights"
    return rule_weights(build_net(load_config('culane_r18', 'backbone.pretrained=false', *variants[tag]))).to(device, dtype)

def tf32(on):
    "Whether matrix products and convolutions in float32 may round their inputs to 10 bits; torch's own default is convolutions alone"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on

def compare_golden(r, where, kind, tags, half=None): # a key of `room`; variants; dtype of autocast
    "Predictions and a training step against the stored figures"
    limits, wanted, rel = room[kind], json.loads((root/'nbs/golden/train.json').read_text()), lambda a, b: abs(a - b)/max(abs(b), 1e-8)
    cast = lambda: torch.autocast(where.device, half) if half else contextlib.nullcontext()
    kept, batch, shared = np.load(root/'nbs/golden/model.npz'), golden_batch(where.device), root.parent/'shared/golden'
    average = (lambda a: a.mean()) if half or kind == 'tf32' else (lambda a: a.max())
    for tag in tags:
        net, seen, w = golden_net(tag, where.device), [], wanted[tag]
        name = dict(r18='predictions', r18_refine2='predictions_refine2').get(tag)
        if name:
            with torch.no_grad(), cast(): p = net.eval()(eval_images().to(where.device))
            r.close(f'{tag} prediction', float(average(np.abs(p.float().cpu().numpy() - kept[name]))), limits['prediction'])
            r.must(p.dtype == torch.float32, f'{tag}: predictions are {p.dtype}')
        net.train().roi_head.register_forward_hook(lambda m, i, o: seen.append(o))
        with cast(): out = net(batch)
        out['loss'].backward()
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        statistics = {k: net.state_dict()[f'backbone.model.bn1.running_{k}'][:8].cpu().numpy() for k in ('mean', 'var')}
        r.close(f'{tag} loss', rel(out['loss'].item(), w['loss']), limits['loss'])
        r.close(f'{tag} gradient', rel(torch.stack([g.double().norm() for g in grads]).norm().item(), w['total_grad_norm']), limits['gradient'])
        r.close(f'{tag} statistics', max(np.abs(v - w[f'bn1_running_{k}_after_first8']).max() for k, v in statistics.items()), limits['statistics'])
        r.must(out['loss'].dtype == torch.float32, f'{tag}: the loss is {out["loss"].dtype}')
        file = shared/f'd_train_{tag}.npz'
        if kind == 'fp32' and file.exists():
            for i, (p, most) in enumerate(zip(seen[0][0], (4e-3, 1.5e-2))):
                r.close(f'{tag} training prediction {i}', np.abs(p.detach().cpu().numpy() - np.load(file)[f'predictions_stage{i}']).max(), most)

@check(40)
def golden_fp32(r, where):
    "Golden figures in float32, without TF32"
    tf32(False)
    compare_golden(r, where, 'fp32', variants if where.cuda else ['r18'])

@check(60)
def golden_fp64(r, where):
    "The same step in float64 on the GPU and on the CPU: what is left is not rounding"
    where.need()
    torch.set_num_threads(max(1, where.cores - 1))
    sides = []
    for device in ('cpu', where.device):
        net, batch = golden_net('r18_refine2', device, torch.float64), golden_batch(device, torch.float64)
        batch = {k: v[:2] if isinstance(v, torch.Tensor) else [o[:2] for o in v] for k, v in batch.items()}
        with torch.no_grad(): p = net.eval()(eval_images().to(device, torch.float64)).cpu()
        out = net.train()(batch)
        out['loss'].backward()
        sides.append((p, out['loss'].detach().cpu(), torch.cat([o.grad.flatten().cpu() for o in net.parameters() if o.grad is not None])))
    (p, loss, grad), (q, loss2, grad2) = sides
    r.close('prediction', (p - q).abs().max().item(), 1e-8)
    r.close('loss', (loss/loss2 - 1).abs().item(), 1e-9)
    r.close('gradient', ((grad - grad2).norm()/grad.norm()).item(), 1e-6)

@check(40)
def golden_tf32(r, where):
    "Golden figures with TF32 in convolutions and products"
    where.need()
    tf32(True)
    compare_golden(r, where, 'tf32', ['r18'])

@check(40)
def golden_bf16(r, where):
    "Golden figures under bfloat16 autocast"
    where.need()
    compare_golden(r, where, 'bf16', ['r18', 'r18_refine2'], torch.bfloat16)

@check(40)
def golden_fp16(r, where):
    "Golden figures under float16 autocast"
    where.need()
    compare_golden(r, where, 'fp16', ['r18', 'r18_refine2'], torch.float16)

# --- The step

def synchronisations(where, f, *args)->list: # of 'file:line', one for each time the program waited for the device
    "Call `f`; where it made the program wait"
    if not where.cuda:
        f(*args)
        return []
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try: f(*args)
        finally: torch.cuda.set_sync_debug_mode('default')
    return [f'{Path(w.filename).name}:{w.lineno}' for w in said if 'called a synchronizing' in str(w.message)]

@check(60)
def no_waiting(r, where):
    "Forward, backward and update of a Runner's step, and its callbacks, never wait for the device"
    for name, more in dict(fp32={}, bf16=dict(precision='bf16-mixed'), fp16=dict(precision='16-mixed'), accumulate=dict(accumulate=2), auto=dict(accumulate='auto'),
                           clip=dict(clip_grad=1.), seg_attn=dict(seg_loss_weight=.5, attn_loss_weight=.1, channels_last='true')).items():
        if not where.cuda and name in ('bf16', 'fp16', 'clip'): continue
        runner = runner_of(where.settings('no_waiting', precision='32-true', **constant) + [f'{k}={v}' for k, v in more.items()])
        batch = noise_batch(runner, 4)
        runner.train_mode()
        def step():
            runner.forward_backward(batch)
            runner.optimizer_step()
        for _ in range(2 if where.cuda else 1): step()
        waits = synchronisations(where, step)
        r.must(not waits, f'{name}: forward, backward or update waits in {", ".join(waits)}')
        if not where.cuda: continue
        torch.cuda.set_sync_debug_mode('error')
        try: step()
        finally: torch.cuda.set_sync_debug_mode('default')
    more = dict(ema=.9, log_interval=1000, precision='16-mixed' if where.cuda else '32-true')
    runner = runner_of(where.settings('no_waiting', **constant, **more), [Losses()])
    srlane.look.monitor.Monitor(runner, 'none')
    for c in runner.callbacks:
        if isinstance(c, EMA): c.before_train(runner)
    steps, batch = (4 if where.cuda else 1), noise_batch(runner, 4)
    loader = Batches([batch], steps, range(10**9))
    runner.train_epoch(loader)
    waits = synchronisations(where, runner.train_epoch, loader)
    r['waits a step, scaler'] = sum(w.startswith('grad_scaler.py') for w in waits)/steps      # once with optimizer.fused=false
    strange = sorted({w for w in waits if not w.startswith('grad_scaler.py')})
    r.must(not strange, f'a whole step waits in {", ".join(strange)}')
    r.must(r['waits a step, scaler'] == 0, 'the scaler waits, though the update is fused')

@check(60)
def out_of_memory(r, where):
    "`accumulate=auto`: with room for less than a batch the step is made in more parts, as if it had had them from the start"
    sides, n = [], 1
    for more in (dict(accumulate='auto'), None):
        runner = runner_of(where.settings('out_of_memory', precision='32-true', batch_size=32, **(more or dict(accumulate=n))))
        batch = noise_batch(runner, 32)
        runner.train_mode()
        if more and where.cuda:
            kept = {k: v.clone() for k, v in runner.network.state_dict().items()}
            runner.forward_backward(batch)
            runner.network.load_state_dict(kept)
            room = .6*torch.cuda.max_memory_allocated()/torch.cuda.get_device_properties(0).total_memory
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(room)
        elif more:
            def backward(grad):
                if len(grad) > 16: raise torch.OutOfMemoryError('pretended')
            runner.network.neck.register_forward_hook(lambda neck, features, pyramid: [pyramid[0].register_hook(backward), None][1])
        loss = runner.forward_backward(batch)['loss'].item()
        n = runner.n_parts
        sides.append((loss, flat([p.grad for p in runner.network.parameters() if p.grad is not None]), flat(list(runner.network.buffers()))))
        if where.cuda: torch.cuda.set_per_process_memory_fraction(1.)
    r['parts'] = n
    r.must(n > 1, 'the whole batch fitted')
    r.close('loss', abs(sides[0][0]/sides[1][0] - 1), 1e-5)
    r.close('gradient', ((sides[0][1] - sides[1][1]).norm()/sides[1][1].norm()).item(), 1e-3)
    r.close('statistics', (sides[0][2] - sides[1][2]).abs().max().item(), 1e-4)

@check(60)
def amp(r, where):
    "With the fp16 scaler: gradients are clipped after they are unscaled, an overflow skips the step, the average of weights is exact"
    common = dict(precision='16-mixed', clip_grad=.01, **constant, **{'optimizer.type': 'SGD', 'optimizer.lr': .5})
    runner = runner_of(where.settings('amp', **common), scale=256.)
    batch, scaler = noise_batch(runner, 2), runner.fabric.strategy.precision.scaler
    runner.train_mode()
    def step(): # how far the weights moved
        before = flat(runner.network.parameters())
        runner.forward_backward(batch)
        runner.optimizer_step()
        return (flat(runner.network.parameters()) - before).norm().item()
    r.close('length of a clipped step', abs(step()/(.5*.01) - 1), 1e-3)
    scaler.update(2.**60)
    r.must(step() == 0, 'an overflow moved the weights')
    r.must(scaler.get_scale() == 2.**59, f'after an overflow the scale is {scaler.get_scale()}, not half of what it was')
    scaler.update(256.)
    r.close('length of the step after an overflow', abs(step()/(.5*.01) - 1), 1e-3)

    class Follow(Callback):
        "The average once more, in float64"
        def before_train(self, runner): self.average, self.off = self.copy(runner), 0.
        def copy(self, runner): return {k: v.detach().double().clone() for k, v in runner.network.state_dict().items() if v.is_floating_point()}
        def after_step(self, runner, batch, output):
            decay = min(.9, (1 + runner.state.step)/(10 + runner.state.step))      # random weights are soon forgotten
            self.average = {k: decay*self.average[k] + (1 - decay)*v for k, v in self.copy(runner).items()}
            self.raw = self.copy(runner)
        def before_validate(self, runner):
            if not hasattr(self, 'raw'): return
            own = next(c for c in runner.callbacks if isinstance(c, EMA))
            self.off = (flat(self.average) - flat(self.copy(runner))).abs().max().item()
            self.placed = all(torch.equal(v, own.average[k]) and v.device == own.average[k].device for k, v in runner.network.state_dict().items())
        def after_train(self, runner): self.restored = same(self.raw, self.copy(runner))
    follow = Follow()
    runner = runner_of(where.settings('amp', precision='16-mixed', ema=.9, clip_grad=1., total_iter=8 if where.cuda else 3, eval_ep=100), [follow])
    runner.train()
    r.close('average of weights', follow.off, 1e-5)
    r.must(follow.placed, 'the validation did not see the average'), r.must(follow.restored, 'the weights were not put back after the validation')

def sample_by_products(level, points):
    "`sample_features` as two matrix products, whose backward pass adds in a fixed order"
    hat = lambda p, n: (1 - (p[..., None]*(n - 1) - torch.arange(n, device=p.device, dtype=p.dtype)).abs()).clamp(min=0)
    x, y = hat(points[..., 0], level.shape[-1]).flatten(1, 2), hat(points[..., 1], level.shape[-2]).flatten(1, 2)      # (B,N*K,w), (B,N*K,h)
    weights = (y[..., :, None]*x[..., None, :]).flatten(2)                                                             # (B,N*K,h*w)
    return (level.to(points.dtype).flatten(2) @ weights.transpose(1, 2)).unflatten(2, points.shape[1:3])

def deterministic():
    "Only algorithms that add in a fixed order; those without one warn"
    os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'      # read when the process first multiplies on the device
    torch.use_deterministic_algorithms(True, warn_only=True)

def nondeterministic(said)->list: return sorted(set(re.findall(r'(\w+) does not have a deterministic implementation', said)))

@check(40)
def repeat(r, where):
    "Two equal steps give equal gradients with deterministic algorithms; what warns, and by how much they differ without"
    deterministic()
    runner = runner_of(where.settings('repeat', precision='32-true'))
    batch = noise_batch(runner, 4)
    runner.train_mode()
    def twice(): # largest difference of two gradients, what warned
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            grads = []
            for _ in range(2):
                runner.forward_backward(batch)
                grads.append(torch.cat([p.grad.flatten() for p in runner.network.parameters() if p.grad is not None]).clone())
        return (grads[0] - grads[1]).abs().max().item(), nondeterministic(' '.join(str(w.message) for w in said))
    level, points = torch.randn(2, 5, 7, 9, device=where.device), torch.rand(2, 3, 4, 2, device=where.device)*1.2 - .1
    r.close('two products instead of grid_sample', (sample_by_products(level, points) - srlane.models.refine.sample_features(level, points)).abs().max().item(), 2e-3)
    r['as it is'], r['without a deterministic form'] = twice()
    srlane.models.refine.sample_features = sample_by_products
    r['with products'], left = twice()
    r.must(r['with products'] == 0, f'two equal steps differ by {r["with products"]:g}')
    r.must(not left, f'without a deterministic form: {", ".join(left)}')

def train_repeatably(overrides, tell=None):
    "A run with noise from every generator whose scaler changes every few steps"
    deterministic()
    srlane.models.refine.sample_features = sample_by_products
    runner = runner_of(overrides, [DeviceNoise(), Losses(), *([Tell(tell)] if tell is not None else [])], scale=2.**13, growth_interval=3)
    runner.train()
    runner.close()

@check(100)
def resume(r, where):
    "Killed and resumed with the fp16 scaler, averaged weights and clipping: every bit as if nothing had happened"
    steps, log = (26 if where.cuda else 8), where.tmp/'resume_runs.txt'
    more = dict(precision='16-mixed', ema=.9, clip_grad=1., channels_last='true', workers=2, total_iter=steps, eval_ep=2, save_interval=3, patience=50)
    train = lambda name, tell=None, **extra: child(train_repeatably, where.settings(name, **more, **extra), tell, log=log)
    def ended(p, what):
        code = finish(p, 40)
        if code: raise RuntimeError(f'{what} ended with {code}:\n{log.read_text()[-3000:]}')
    straight, step = train('straight'), stress.fork.Value('l', 0)
    ended(straight, 'the undisturbed run')
    p = train('killed', step)
    until(lambda: step.value >= steps//2 or p.exitcode is not None)
    os.killpg(p.pid, signal.SIGKILL)
    p.join()
    r['killed after step'] = step.value
    r.must(step.value < steps, 'the run had ended before it was killed')
    ended(train('killed', resume_from='auto'), 'the resumed run')
    a, b = (load_checkpoint(newest(where.tmp/s)) for s in ('straight', 'killed'))
    names = 'net', 'optimizer', 'scheduler', 'precision', 'state', 'random'
    differ = [k for k in names if not same(a[k], b[k])] + [k for k, v in a['callbacks'].items() if not same(v, b['callbacks'][k])]
    first = next((i for i, (x, y) in enumerate(zip(*(o['callbacks']['Losses'] for o in (a, b))), 1) if x != y), None)
    r['largest difference of a weight'] = (flat(a['net']) - flat(b['net'])).abs().max().item()
    r['scale at the end'] = a['precision'].get('scale')
    r.must(not differ, f'{", ".join(differ)} differ' + (f'; losses from step {first} on' if first else ''))
    r.must(log.read_text().count('resumed from') == 1, 'the run was not resumed')
    r.must(a['precision'].get('scale', 0) not in (0, 2.**13), 'the scaler did not change, so this proves nothing of it')
    if left := nondeterministic(log.read_text()): r.must(False, f'without a deterministic form: {", ".join(left)}')

@check(60)
def channels_last(r, where):
    "Pixel by pixel: the same loss, weights that stay so laid out through training, saving and resuming"
    tf32(False)
    losses, batch = {}, None
    for name in ('false', 'true'):
        runner = runner_of(where.settings('channels_last', precision='32-true', channels_last=name))
        batch = batch or noise_batch(runner, 4)
        runner.train_mode()
        losses[name] = runner.forward_backward(batch)['loss'].item()
    r.close('loss', abs(losses['true']/losses['false'] - 1), 1e-3)
    more = dict(precision='16-mixed' if where.cuda else '32-true', channels_last='true', eval_ep=100)
    runner_of(where.settings('channels_last_run', total_iter=4, **more)).train()
    runner = runner_of(where.settings('channels_last_run', total_iter=6, resume_from='auto', **more))
    runner.train()
    laid = lambda t: t.is_contiguous(memory_format=torch.channels_last)
    weight = runner.network.backbone.model.layer1[0].conv1.weight
    r.must(laid(weight) and laid(runner.optimizer.state[weight]['exp_avg']), 'after resuming, weights or moments are laid out otherwise')

# --- torch.compile

@check(200)
def compile(r, where):
    "torch.compile of network, assignment and losses: one graph each for training and validation, the same loss, no recompilation"
    import torch._dynamo as dynamo
    more = dict(seg_loss_weight=.5, attn_loss_weight=.1, **{'roi_head.refine_layers': 2})
    if where.cuda and found['triton'] is None: raise Skip('triton is not installed')
    if not where.cuda:
        whole = torch.compile
        torch.compile = lambda net, mode=None, **kw: whole(net, **kw | dict(backend='eager'))      # dynamo alone: inductor would want a C++ compiler and minutes
    eager = runner_of(where.settings('compile', precision='32-true', **more))
    batch = noise_batch(eager, 4)
    eager.train_mode()
    explained = dynamo.explain(eager.network)(batch)
    r['graph breaks, training'] = explained.graph_break_count
    r.must(not explained.graph_break_count, f'graph breaks: {[" ".join(str(o.reason).split())[:200] for o in explained.break_reasons]}')
    eager.net.eval()
    dynamo.reset()
    with torch.no_grad(): r['graph breaks, prediction'] = dynamo.explain(eager.network)(batch).graph_break_count
    dynamo.reset()
    dynamo.utils.counters.clear()
    start = time.monotonic()
    runner = runner_of(where.settings('compile', precision='32-true', compile='true', total_iter=12 if where.cuda else 2, eval_ep=1, **more))
    runner.network.load_state_dict(eager.network.state_dict())
    eager.train_mode(), runner.train_mode()
    a, b = (o.forward_backward(batch)['loss'].item() for o in (eager, runner))
    r['seconds to compile a step'] = round(time.monotonic() - start, 1)
    r.close('loss', abs(a/b - 1), 5e-3)
    runner.train()
    counters = dynamo.utils.counters
    r['graph breaks, run'], r['graphs'] = sum(counters['graph_break'].values()), counters['stats'].get('unique_graphs')
    r.must(not counters['graph_break'], f'graph breaks in a run: {[" ".join(k.split())[:600] for k in counters["graph_break"]]}')
    r['recompilations'] = len(dynamo.utils.guard_failures) if hasattr(dynamo.utils, 'guard_failures') else None

@check(200)
def compile_mode(r, where):
    "`compile_mode=reduce-overhead`, which replays CUDA graphs, beside a run that is not compiled: losses, rows of predictions"
    if where.cuda and found['triton'] is None: raise Skip('triton is not installed')
    if not where.cuda:
        whole = torch.compile
        torch.compile = lambda net, mode=None, **kw: whole(net, **kw | dict(backend='eager'))
    seen = {}
    for compiled in (False, True):
        losses = Losses()
        more = dict(compile='true', compile_mode='reduce-overhead') if compiled else {}
        more |= dict(precision='32-true', total_iter=10 if where.cuda else 2, eval_ep=1, max_bad_steps=0, **constant)
        start = time.monotonic()
        runner = runner_of(where.settings(f'graphs_{compiled}', **more), [losses])
        runner.train()
        seen[compiled] = losses.state()
        if not compiled: continue
        r['seconds of a run'] = round(time.monotonic() - start, 1)
        batch = noise_batch(runner, runner.cfg.batch_size)      # of the run's size, for which there are graphs already
        runner.net.eval()
        with torch.no_grad(): rows = [runner.infer_forward(batch) for _ in range(4)]
        r.must(all(torch.equal(rows[0], o) for o in rows[1:]), 'rows of a batch were written over')
        if where.cuda: r['GiB'] = round(torch.cuda.max_memory_allocated()/2**30, 2)
    apart = np.abs(np.array(seen[False])/np.array(seen[True]) - 1)
    r.close('loss of the first two steps', float(apart[:2].max()), 1e-3)
    r['loss of all'] = float(f'{apart.max():.3g}')              # not judged: weights that differ by 2e-5 to begin with are 8 % apart in one of ten losses, on a CPU

# --- Augmentation

@check(120, measures=True)
def augment_on(r, where):
    "`augment_on=device`: the images of the other way, without waiting; images a second of the workers both ways, and what the device needs for them"
    n, preset = (40, 'culane_r18') if where.cuda else (2, 'culane_r18')
    root, workers = where.tmp/'augment', min(8, where.cores) if where.cuda else 0
    make_culane(root, n_train=8*n if where.cuda else n, n_val=1, n_test=1, rain=0., workers=workers, progress=False)
    size, seen = (800, 320), {}
    to_device = lambda b: {k: [o.to(where.device) for o in v] if k == 'colour' else v.to(where.device) for k, v in b.items() if k in ('img', 'warp', 'colour')}
    for way in ('cpu', 'device'):
        cfg = load_config(preset, f'data_root={root}', f'accelerator={where.device}', 'gpus=1', f'batch_size={n}', f'workers={workers}', f'augment_on={way}')
        loader = build_dataloader(cfg.dataset.train, cfg, is_train=True)
        seen[way] = next(iter(loader))          # and its workers are there, as they are from the second epoch on
        start = time.perf_counter()
        for _ in range(2): count = sum(len(b['img']) for b in loader)
        r[f'{way}: images a second, {max(workers, 1)} worker{"s"*(workers > 1)}'] = round(2*count/(time.perf_counter() - start), 1)
    batch = to_device(seen['device'])
    made = augment_batch(batch, size)['img']
    r.close('mean difference, grey levels', (made.float().cpu() - seen['cpu']['img'].float()).abs().mean().item(), 1.)
    r.must(all(torch.equal(seen['cpu'][k], seen['device'][k]) for k in ('gt_lane',)), 'the targets of both ways differ')
    waits = synchronisations(where, augment_batch, batch, size)
    r.must(not waits, f'the augmentation waits in {", ".join(waits)}')
    r['MB a batch'] = round(batch['img'].nbytes/1e6, 1)
    if where.cuda: torch.cuda.reset_peak_memory_stats()
    r[f'ms, {n} images'] = milliseconds(where, lambda: augment_batch(batch, size), 20 if where.cuda else 1)
    if where.cuda: r['GiB'] = round(torch.cuda.max_memory_allocated()/2**30, 2)

# --- Several processes, several devices

def spread(rank, world, out, overrides, port):
    "One of several processes on the same device, joined by gloo"
    os.environ.update(RANK=str(rank), LOCAL_RANK='0', NODE_RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    cfg, losses = load_config('demo', *overrides), Losses()
    fabric = Fabric(plugins=[build_precision(cfg.precision, cfg.accelerator)], accelerator=cfg.accelerator, devices=1, num_nodes=world,
                    strategy=DDPStrategy(process_group_backend='gloo'))
    fabric.launch()
    runner = Runner(cfg, callbacks=[losses], fabric=fabric)
    runner.train()
    if rank == 0: torch.save(dict(losses=torch.tensor(losses.state(), dtype=torch.float64), weights=flat(runner.network.state_dict()).cpu(), world=fabric.world_size), out)

def compare_runs(r, name, one, two, most=1e-7): # dicts of losses and weights
    "Whether two runs in float64 went the same way"
    r.close(f'{name} losses', (two['losses']/one['losses'] - 1).abs().max().item(), most)
    r.close(f'{name} weights', (two['weights'] - one['weights']).abs().max().item(), most)

def one_and_two(r, where, name, **more):
    "A run by one process, and by two that share the device"
    common, runs, log = dict(precision='64-true', batch_size=8, total_iter=6 if where.cuda else 3, eval_ep=100, **constant), [], where.tmp/f'{name}_log.txt'
    for world in (1, 2):
        out, port = where.tmp/f'{name}{world}.pt', stress.free_port()
        ps = [child(spread, i, world, out, where.settings(f'{name}{world}', **common, **more), port, log=log) for i in range(world)]
        codes = [finish(p, 50) for p in ps]
        if any(codes) or not out.exists(): raise RuntimeError(f'{world} processes ended with {codes}:\n{log.read_text()[-4000:]}')
        runs.append(torch.load(out, weights_only=True))
    r.must([o['world'] for o in runs] == [1, 2], 'the processes did not find each other')
    compare_runs(r, name, *runs)

@check(110)
def two_processes(r, where):
    "Two processes on one device through gloo: the losses and weights of one"
    one_and_two(r, where, 'gloo', freeze_bn='true')

@check(110)
def sync_bn(r, where):
    "Batch norm over two processes on one device: that of the whole batch"
    where.need()
    one_and_two(r, where, 'sync_bn', sync_bn='true')

@check(60)
def ddp(r, where):
    "strategy=ddp on one device, through NCCL"
    losses = Losses()
    runner = runner_of(where.settings('ddp', strategy='ddp', total_iter=4, eval_ep=100, precision='16-mixed' if where.cuda else '32-true'), [losses])
    runner.train()
    r['backend'] = torch.distributed.get_backend() if torch.distributed.is_initialized() else 'none'
    r.must(len(losses.values) == 4 and all(map(math.isfinite, losses.state())), 'not every step has a loss')
    if where.cuda: r.must('nccl' in r['backend'], f"{r['backend']}, not NCCL")

@check(150)
def nccl(r, where):
    "Two devices through NCCL, with batch norm over both: the losses and weights of one"
    where.need(2)
    runs, more = [], dict(precision='64-true', batch_size=8, total_iter=8, eval_ep=100, **constant)
    for gpus in (1, 2):
        out, log = where.tmp/f'nccl{gpus}.pt', where.tmp/f'nccl{gpus}_log.txt'
        command = [stress.here, '--report', out, *where.settings(f'nccl{gpus}', **more | dict(gpus=gpus, sync_bn=str(gpus > 1).lower()))]
        codes = stress.end(stress.start(stress.started('', command), log), 60)
        if any(codes) or not out.exists(): raise RuntimeError(f'{gpus} devices: ended with {codes}:\n{log.read_text()[-4000:]}')
        runs.append(torch.load(out, weights_only=True))
    compare_runs(r, 'nccl', *runs)

@check(60)
def dp(r, where):
    "strategy=dp trains, validates and logs"
    for gpus in range(1, max(1, min(2, where.count)) + 1):
        runner = runner_of(where.settings(f'dp{gpus}', strategy='dp', gpus=gpus, total_iter=4, log_interval=1, precision='16-mixed' if where.cuda else '32-true'))
        runner.train()
        r.must(len(runner.recorder.history.fetch(wait=True).steps) == 4, f'{gpus} device(s): not every step is in the history')
        r.must(runner.state.validated_step == 4, f'{gpus} device(s): no validation')
    r['devices'] = gpus

@check(60)
def launched(r, where):
    "`launch` from a process that has not used the device, as a notebook does"
    def fn(runner):
        runner.train()
        return runner.fabric.world_size, str(next(runner.network.parameters()).device.type), runner.recorder.step
    gpus = min(2, max(1, where.count))
    found = launch(load_config('demo', *where.settings('launched', total_iter=3, gpus=gpus, eval_ep=100)), fn)
    r['devices'] = gpus
    r.must(found == (gpus, where.device, 3), f'came back: {found}')

# --- Looking on

@check(60)
def monitor(r, where):
    "The Monitor's copies do not wait for the device, and bring over what was computed"
    if where.cuda:
        a = torch.full((1,), 2., device='cuda')
        begin_copy([a*3, a + 1])                   # kernels are loaded and pinned memory is fetched at the first time, and both wait for the device
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode('error')
        try:
            torch.cuda._sleep(int(1e9))                           # about half a second of the device's time
            start = time.monotonic()
            host, done = begin_copy([a*3, a + 1])
            took, early = time.monotonic() - start, done.query()
        finally: torch.cuda.set_sync_debug_mode('default')
        done.synchronize()
        r['milliseconds to begin'] = round(took*1e3, 2)
        r.must(not early, 'the copy was over before the device had come to it: it waited, or the event is on another stream')
        r.must(host.tolist() == [6., 3.], f'brought over: {host.tolist()}')
    losses, n = Losses(), 10 if where.cuda else 4
    for background in (False, True):
        losses.values.clear()
        name = f'monitor{background}'
        runner = runner_of(where.settings(name, total_iter=n, precision='16-mixed' if where.cuda else '32-true', max_bad_steps=0), [losses])
        m = srlane.look.monitor.Monitor(runner, 'none')
        if background: m.start().wait(40)
        else: m.run()
        history = runner.recorder.history.fetch(wait=True)
        seen = list(history.losses['loss'])
        r.must(np.allclose(seen, losses.state(), rtol=1e-6), f'in view: {seen}, computed: {losses.state()}')
        r.must(len(history.f1()[0]) > 0, 'the Monitor has no validation')
        r.must(history.validations[-1]['memory'] > 0, 'no memory in the table')

@check(125)
def command(r, where):
    "`srlane train demo gpus=1` and `srlane validate` as commands, with data workers and pinned memory"
    script, runs = where.tmp/'srlane_command.py', where.tmp/'command'
    script.write_text('import sys\nfrom srlane.cli import main\nsys.exit(main())\n')
    more = [o for o in where.settings('command', total_iter=12 if where.cuda else 3, workers=2, precision='16-mixed' if where.cuda else '32-true', accelerator='auto') if not o.startswith('gpus=')]
    run = lambda *args: subprocess.run([sys.executable, script, *map(str, args)], capture_output=True, text=True, timeout=60, env={**os.environ, 'PYTHONWARNINGS': 'ignore'})
    done = run('train', 'demo', *more, 'gpus=1')
    r.must(done.returncode == 0 and 'metric:' in done.stdout and 'Traceback' not in done.stderr, f'train: exit {done.returncode}\n{(done.stdout + done.stderr)[-2500:]}')
    best = next(runs.glob('*/best.ckpt'), None)
    if best is None: return r.must(False, 'no best.ckpt')
    state = load_checkpoint(best.with_name('last.ckpt'))
    r['scale'] = state['precision'].get('scale')
    if where.cuda: r.must(state['precision'] and state['random']['cuda'], 'the run did not train with a scaler on CUDA')
    metric = state['state']['best_metric']
    done = run('validate', 'demo', *more, *(['--gpus', '0'] if where.cuda else []), '--load_from', best)
    r.must(done.returncode == 0 and f'metric: {metric:.4f}' in done.stdout, f'validate: exit {done.returncode}, not metric {metric:.4f}\n{(done.stdout + done.stderr)[-2000:]}')

# --- How fast

def milliseconds(where, f, n)->float: # median of n calls, after three that do not count
    "Time of a call"
    device = 'cuda' if where.cuda else 'cpu'
    for _ in range(3 if where.cuda else 0): f()
    return round(float(np.median([timed(f, device)[0] for _ in range(n)]))*1e3, 2)

def in_a_row(where, f, n)->float: # seconds of one call when the program does not wait between them
    "Time of calls in a row"
    for _ in range(3 if where.cuda else 0): f()
    sync(where)
    start = time.perf_counter()
    for _ in range(n): f()
    sync(where)
    return (time.perf_counter() - start)/n

@check(100, measures=True)
def throughput(r, where):
    "Images a second of a training step, of the bare backbone, of prediction; peak memory"
    n, calls, preset = (40, 12, 'culane_r18') if where.cuda else (2, 1, 'demo')
    r['images'], r['preset'] = n, preset
    kinds = {'fp16': ('16-mixed', 'false'), 'fp16 channels_last': ('16-mixed', 'true'), 'bf16 channels_last': ('bf16-mixed', 'true'), 'fp32': ('32-true', 'false')}
    for name, (precision, last) in kinds.items() if where.cuda else [('fp32', ('32-true', 'true'))]:
        if where.cuda: torch.cuda.empty_cache(), torch.cuda.reset_peak_memory_stats()
        size = [] if where.cuda else ['img_w=128', 'img_h=64']
        runner = runner_of([f'work_dirs={where.tmp}/throughput', f'accelerator={where.device}', 'gpus=1', f'data_root={where.roads}', 'backbone.pretrained=false',
                            f'precision={precision}', f'channels_last={last}', f'batch_size={n}', *size], preset=preset)
        batch, net = noise_batch(runner, n), runner.network
        runner.train_mode()
        def step(): runner.forward_backward(batch), runner.optimizer_step()
        def backbone():
            runner.optimizer.zero_grad()
            with runner.fabric.autocast(): stages = net.backbone(net.images(batch['img']))
            runner.fabric.backward(stages[-1].float().mean())
        @torch.no_grad()
        def predict(): net.roi_head.get_lanes(runner.net(batch), batch['meta'])
        r[f'{name}: step'] = round(n/in_a_row(where, step, calls), 1)
        if where.cuda: r[f'{name}: GiB'] = round(torch.cuda.max_memory_allocated()/2**30, 2)
        r[f'{name}: backbone'] = round(n/in_a_row(where, backbone, calls), 1)
        runner.net.eval()
        r[f'{name}: predict'] = round(n/in_a_row(where, predict, calls), 1)
        del runner, net, batch, step, backbone, predict

@check(170, measures=True)
def step_over_backbone(r, where):
    "A training step (forward, assignment, losses, backward) over the bare backbone's, in turns: bfloat16, channels_last; as it is, both compiled, both as CUDA graphs"
    n, preset, rounds, calls = (40, 'culane_r18', 8, 4) if where.cuda else (1, 'demo', 1, 1)
    cfg = load_config(preset, 'backbone.pretrained=false')
    net = build_net(cfg).to(where.device).train().to(memory_format=torch.channels_last)
    batch = made_up_batch(net.roi_head.geometry, tuple(cfg.feat_ds_strides), n, cfg.max_lanes, where.device)
    both = lambda mode: [torch.compile(o, mode=mode) for o in (net, net.backbone)]
    ways = {'': (net, net.backbone)} | (dict(compiled=both('default'), graphs=both('reduce-overhead')) if where.cuda and found['triton'] else {})
    steps, named = {}, lambda name, what: f'{name} {what}'.strip()
    for name, (model, backbone) in ways.items():
        def whole(model=model):
            net.zero_grad()
            with torch.autocast(where.device, torch.bfloat16): loss = model(batch)['loss']
            loss.sum().backward()
        def bare(backbone=backbone):
            net.zero_grad()
            with torch.autocast(where.device, torch.bfloat16): stages = backbone(net.images(batch['img']))
            stages[-1].float().mean().backward()
        steps |= {named(name, 'step'): whole, named(name, 'backbone'): bare}
    seen = {k: [] for k in steps}
    for i in range(rounds + where.cuda):                      # the first round compiles and warms up
        for k, f in steps.items():
            took = in_a_row(where, f, calls)
            if i or not where.cuda: seen[k].append(took)
    for k, v in seen.items(): r[f'{k} ms'] = round(float(np.median(v))*1e3, 2)
    ratio = lambda a, b: round(float(np.median(np.array(seen[a])/np.array(seen[b]))), 3)
    for name in ways:
        r[named(name, 'step_over_backbone')] = ratio(named(name, 'step'), named(name, 'backbone'))
        if name: r[f'{name} step over backbone as it is'] = ratio(f'{name} step', 'backbone')

@check(60, measures=True)
def runner_over_network(r, where):
    "What a step of the Runner adds to the network's, layer by layer and in turns: the network alone, through Fabric, as the engine calls it, with its update, as a step of the loop"
    n, preset, rounds, calls = (40, 'culane_r18', 12, 4) if where.cuda else (1, 'demo', 1, 1)
    runner = runner_of([f'work_dirs={where.tmp}/layers', f'accelerator={where.device}', 'gpus=1', f'data_root={where.roads}', 'backbone.pretrained=false', 'channels_last=true',
                        f"precision={'bf16-mixed' if where.cuda else '32-true'}", f'batch_size={n}', 'log_interval=10000', 'total_iter=100000', 'max_bad_steps=0'], preset=preset)
    batch, net, dtype = noise_batch(runner, n), runner.network, torch.bfloat16 if where.cuda else torch.float32
    runner.train_mode()
    def alone():
        net.zero_grad()
        with torch.autocast(where.device, dtype, enabled=where.cuda): loss = net(batch)['loss']
        loss.backward()
    def fabric():
        runner.optimizer.zero_grad()
        runner.fabric.backward(runner.net(batch)['loss'])
    def update(): runner.forward_backward(batch), runner.optimizer_step()
    ways = dict(network=alone, fabric=fabric, engine=lambda: runner.forward_backward(batch), update=update, step=lambda: runner.train_step(batch))
    seen = {k: [] for k in ways}
    for i in range(rounds + where.cuda):                       # the first round warms up
        for k, f in ways.items():
            took = in_a_row(where, f, calls)
            if i or not where.cuda: seen[k].append(took)
    for k, v in seen.items(): r[f'{k} ms'] = round(float(np.median(v))*1e3, 2)
    runner.close()

class Clock(Callback):
    "When chosen steps were over on the device, and what it did in the steps after the last of them"
    def __init__(self, where, first, last): self.where, self.first, self.last, self.times, self.profile = where, first, last, [], None
    def after_step(self, runner, batch, output):
        if runner.state.step not in (self.first, self.last): return
        sync(self.where)
        self.times.append(time.perf_counter())
        if runner.state.step == self.last and self.where.cuda:
            self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self.profile.start()
    def seconds(self)->float: return (self.times[-1] - self.times[-2])/(self.last - self.first) # of a step
    def idle(self)->float: # between the first event on the device and the last
        "The share of idle time that the profiler saw; copies count as work"
        sync(self.where)
        self.profile.stop()
        spans = sorted((e.time_range.start, e.time_range.end) for e in self.profile.events() if e.device_type == torch.autograd.DeviceType.CUDA)
        busy, end = 0., spans[0][0]
        for a, b in spans: busy, end = busy + max(0., b - max(a, end)), max(end, b)
        return round(1 - busy/(end - spans[0][0]), 4)

@check(170, measures=True)
def idle(r, where):
    "How long the device waits with the loader running: the preset's run (bfloat16) on batches from the disk, beside the same on one batch on the device"
    n, roads, workers = (40 if where.cuda else 2), where.tmp/'idle', max(1, min(16, where.cores) - 1) if where.cuda else 0
    made, first, steps, seen = (240, 50, 100, 12) if where.cuda else (4, 1, 2, 1)
    make_culane(roads, n_train=made, n_val=1, n_test=1, rain=0., workers=where.cores if where.cuda else 0, progress=False)
    r['images'], r['workers'] = n, workers
    common = [f'data_root={roads}', f'work_dirs={where.tmp}/idle_runs', f'accelerator={where.device}', 'gpus=1', f'batch_size={n}', f'workers={workers}', 'channels_last=true',
              'backbone.pretrained=false', f"precision={'bf16-mixed' if where.cuda else '32-true'}", f'total_iter={steps + seen}', 'log_interval=10000', 'max_bad_steps=0']
    if not where.cuda: common += ['img_w=200', 'img_h=80']
    cfg = load_config('culane_r18', *common)
    prepare(build_dataset(cfg.dataset.train, cfg, is_train=True), where.tmp/'prepared', show=False)
    lines = (roads/'list/train_gt.txt').read_text()
    (roads/'list/train_gt.txt').write_text(lines*math.ceil((steps + seen + 2)*n/made))       # an epoch as long as the measurement
    ways = dict(direct=[], device=['augment_on=device'], prepared=[f'prepared={where.tmp}/prepared'])
    ways['prepared, device'] = ways['device'] + ways['prepared']
    if where.cuda and found['triton']: ways['prepared, graphs'] = ways['prepared'] + ['compile=true', 'compile_mode=reduce-overhead']
    there = {}                                                # ms of a step with the batch on the device and no workers, by whether the network is compiled
    for name, more in ways.items():
        clock, kind = Clock(where, first, steps), 'graphs' if 'compile=true' in more else 'as it is'
        runner = runner_of([*common, *more], [clock], preset='culane_r18')
        loader, _ = runner.train_data()
        runner.train_epoch(loader)
        r[f'{name}: ms a step'] = round(clock.seconds()*1e3, 2)
        if where.cuda: r[f'{name}: idle'] = clock.idle()
        if kind not in there:
            batch, runner.state.step, runner.state.samples_seen = next(iter(loader)), 0, 0        # from the start of an epoch, since every step after its end has a line of the log
            del loader
            gc.collect()                                                                          # the workers end
            runner.train_epoch(Batches([batch], steps + seen, range(10**9)))
            there[kind] = r[f'{kind}: ms a step, batch there'] = round(clock.seconds()*1e3, 2)
            if where.cuda: r[f'{kind}: idle, batch there'] = clock.idle()
            del batch
        r[f'{name}: slower by the loader'] = round(r[f'{name}: ms a step']/there[kind] - 1, 4)
        runner.close()
        loader = runner = None
        gc.collect()

@check(60, measures=True)
def validation(r, where):
    "Images a second of `validate` on images from the disk, and where the time of a step goes"
    if where.cuda:      # CULane's size, as many as make three batches
        make_culane(where.tmp/'wide', n_train=120, n_val=120, n_test=1, rain=0., workers=where.cores, progress=False)
        for name in ('val', 'val_gt'):                                                        # an epoch long enough to forget the start of the workers
            file = where.tmp/f'wide/list/{name}.txt'
            file.write_text(file.read_text()*20)
        overrides = [f'data_root={where.tmp}/wide', f'work_dirs={where.tmp}/validation', 'gpus=1', 'accelerator=cuda',
                     'channels_last=true', f'workers={min(16, where.cores)}', 'backbone.pretrained=false']
    runner = runner_of(overrides, preset='culane_r18') if where.cuda else runner_of(where.settings('validation', precision='32-true'))
    runner.validate()
    n = len(runner.loader('val').dataset)
    start = time.perf_counter()
    runner.validate()
    r['images'], r['images a second'] = n, round(n/(time.perf_counter() - start), 1)
    p = srlane.look.profile.profile_step(runner, steps=8 if where.cuda else 1, warm_up=3 if where.cuda else 0)
    r['ms'] = {k: round(1e3*v, 2) for k, v in p.seconds.items()}
    if where.cuda: r['GiB'] = round(torch.cuda.max_memory_allocated()/2**30, 3)

def roads_of(n)->list: # of (H, W, 3) uint8 RGB
    "Synthetic roads of the demo network's camera"
    return [make_scene(seed=500 + i, category='normal', size=(820, 295))[0] for i in range(n)]

def lanes_apart(a, b)->float: # pixels; lists of `Prediction`
    "The furthest that lanes of the same images lie apart; infinite where their number differs"
    if [len(p) for p in a] != [len(p) for p in b]: return float('inf')
    return max((float(np.abs(x - y).max()) for p, q in zip(a, b) for x, y in zip(p.lanes, q.lanes) if len(x) == len(y)), default=0.)

@check(90)
def predict(r, where):
    "Prediction: the lanes of the CPU; fused, in half precision, and captured as a graph"
    weights, images = root/'nbs/golden/demo.ckpt', roads_of(8 if where.cuda else 2)
    tf32(False)
    plain = Predictor(weights, device='cpu', fuse=False)(images, batch_size=4)
    r['lanes'] = sum(map(len, plain))
    r.must(r['lanes'] > 0, 'no lanes at all, so this proves nothing')
    for name, how, most in [('as trained', dict(fuse=False), .5), ('fused', {}, .5)] + ([('fused, half', dict(half=True), 8.)] if where.cuda else []):
        found = Predictor(weights, device=where.device, **how)(images, batch_size=4)
        r.close(f'{name}: pixels', lanes_apart(plain, found), most)
    net = load_network(weights, device=where.device, fuse=False).net
    batch = torch.randint(256, (4, 3, *net.roi_head.geometry.img_size[::-1]), dtype=torch.uint8, device=where.device)
    if where.cuda:
        graph = fuse(net, compile=True)
        rows = [graph(dict(img=batch)) for _ in range(3)]
        r.close('graph: rows', (rows[-1] - fuse(net)(dict(img=batch))).abs().max().item(), 5e-3)

@check(60)
def exported(r, where):
    "A program of torch.export, written on the CPU, finds the same lanes on this device"
    images, out = roads_of(2), where.tmp/'demo.pt2'
    report = export(root/'nbs/golden/demo.ckpt', 'torch', out)
    r['compared'] = str(report.comparison).splitlines()[0]
    tf32(False)
    r.close('pixels', lanes_apart(Predictor(root/'nbs/golden/demo.ckpt', device='cpu', fuse=False)(images), Predictor(out, device=where.device)(images)), .5)

# --- All of them

def probe(where, out):
    "What the device is, asked in a process that ends with it"
    from torch.backends import cudnn
    p = torch.cuda.get_device_properties(0) if torch.cuda.is_available() and torch.cuda.device_count() else None
    out.write_text(json.dumps(dict(count=torch.cuda.device_count() if p else 0, device=p and p.name, capability=p and f'{p.major}.{p.minor}',
                                   memory_gib=p and round(p.total_memory/2**30, 1), cuda=torch.version.cuda, cudnn=cudnn.version() if p else None)))

def summary(figures)->str: return ', '.join(f'{k} {v}' for k, v in figures.items())

def main()->int: # exit code
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*', metavar='CHECK', help='only these')
    p.add_argument('--cpu', action='store_true', help='tiny, on the CPU')
    p.add_argument('--list', action='store_true', help='name the checks')
    p.add_argument('--minutes', type=float, default=6., help='after which no further check begins')
    p.add_argument('--write', nargs='?', type=Path, const=root/'bench/gpu.json', metavar='FILE', help='write the JSON object (bench/gpu.json)')
    a = p.parse_args()
    if a.list: return print('\n'.join(f'{k:16}{f.__doc__}' for k, (f, _) in checks.items())) or 0
    if unknown := set(a.names) - set(checks): p.error(f'no such check: {", ".join(unknown)}; there are {", ".join(checks)}')
    begin = time.monotonic()
    print(', '.join(f'{k} {v or "missing"}' for k, v in found.items()), flush=True)
    with tempfile.TemporaryDirectory(prefix='srlane-') as tmp:
        out, log = Path(tmp)/'probe.json', Path(tmp)/'probe.txt'
        if finish(child(probe, None, out, log=log), 60) or not out.exists(): sys.exit(f'gpu: the device does not answer:\n{log.read_text()[-2000:]}')
        made = dict(versions=found, cores=os.cpu_count(), **json.loads(out.read_text()))
        if not made['count'] and not a.cpu:
            print('no CUDA device here, so there is nothing to check; --cpu runs the same checks at tiny size on the CPU')
            print(json.dumps(made | dict(checks={})))
            return 0
        print(f"{made['device']}, capability {made['capability']}, {made['memory_gib']} GiB, {made['count']} device(s), CUDA {made['cuda']}, cuDNN {made['cudnn']}, {made['cores']} cores"
              if not a.cpu else 'on the CPU, at tiny size: what needs CUDA is skipped', flush=True)
        where = Where('cpu' if a.cpu else 'cuda', tmp, 0 if a.cpu else made['count'])
        if code := finish(child(lambda: make_roads(where.roads) and 0, log=log), 90): sys.exit(f'gpu: no roads, exit {code}:\n{log.read_text()[-2000:]}')
        results, kept = {}, {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, LookupError):     # checks made before on the same device with the same packages
            before = json.loads(a.write.read_text())
            if all(before[k] == v for k, v in made.items()): kept = before['checks']
        for name, result in run_all(a.names or list(checks), where, begin + a.minutes*60, 4 if where.cuda and where.cores >= 8 else 1):
            results[name] = result
            said = result['problems'] if result['status'] == 'skipped' else [summary(result['figures'])]
            print(f"{result['status']:7} {name:15} {result['seconds']:6.1f} s  {said[0]}", flush=True)
            for words in result['problems'] if result['status'] == 'FAILED' else (): print('        ' + words.rstrip().replace('\n', '\n        '), flush=True)
            new = {k: dict(status=v['status'], seconds=v['seconds'], **v['figures'], **({'problems': v['problems']} if v['problems'] else {})) for k, v in results.items()}
            all_of = {k: (kept | new)[k] for k in checks if k in kept | new}
            count = lambda s: sum(o['status'] == s for o in all_of.values())
            made |= dict(passed=count('passed'), failed=count('FAILED'), skipped=count('skipped'), seconds=round(time.monotonic() - begin, 1), checks=all_of)
            if a.write and not a.cpu:
                a.write.parent.mkdir(parents=True, exist_ok=True)
                part = a.write.with_name(a.write.name + '.tmp')
                part.write_text(json.dumps(made, indent=1) + '\n')
                part.replace(a.write)
    print(json.dumps(made))
    return int(any(o['status'] == 'FAILED' for o in results.values()))

if __name__ == '__main__': sys.exit(main())
