"""What a run is made of, each part measured alone, and the throughput of runs with 1, 2 and 4 processes to hold a model of them against.

    python bench/scaling.py [--steps 16] [--rounds 3] [--write] [--quick]

The runs are the demo's network on the CPU, one thread a process, a batch of 16 dealt out to the processes, gradients summed by gloo; their samples are made in
the process that trains. The parts: a step with the local batches that those runs have, in one process; a sample; the sum of as many bytes as the
gradients have; a checkpoint; what the first process does with the lanes of an image. Steps are timed by the clock and in CPU seconds, samples and
lanes in CPU seconds alone, which other work on the machine hardly changes; sums and checkpoints by the clock. Everything takes turns, and medians
over rounds are reported, with the machine's load at the end.
`--write` keeps the result as bench/scaling.json, which nbs/tutorials/scaling.ipynb reads. The last line is one JSON object."""
import argparse, contextlib, io, json, os, subprocess, sys, tempfile, time
os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
from statistics import median
import numpy as np, torch

def reduce(rank, processes, n, file):
    "Median seconds of the sum of `n` numbers over processes"
    torch.distributed.init_process_group('gloo', init_method=f'file://{file}', rank=rank, world_size=processes)
    seconds, numbers = [], torch.ones(n)
    for _ in range(8):
        torch.distributed.barrier()
        start = time.perf_counter()
        torch.distributed.all_reduce(numbers)
        seconds.append(time.perf_counter() - start)
    torch.distributed.destroy_process_group()
    return median(seconds[2:])

if sys.argv[1:3] == ['--child', 'reduce']:     # six processes, which need no more than torch
    rank, processes, numbers = map(int, sys.argv[3:6])
    print(json.dumps(reduce(rank, processes, numbers, sys.argv[6])))
    sys.exit()

from srlane.basics import core_count
from srlane.config import load_config
from srlane.data.evaluation import Evaluation
from srlane.data.loader import build_dataset
from srlane.lane import Lane
from srlane.models.detector import build_net
from srlane.runner import Runner, launch
from srlane.synth import make_culane
from srlane.training.callbacks import Callback
from srlane.training.checkpoint import save_checkpoint

BATCH = 16     # of all processes together

def settings(root, *more):
    "The demo's network on synthetic roads"
    return load_config('demo', f'data_root={root}/roads', f'work_dirs={root}/runs', 'ori_img_w=820', 'ori_img_h=295', 'cut_height=135', 'workers=0', 'decode_reduced=false', 'accelerator=cpu',
                       'save_interval=0', 'eval_ep=1000', 'sanity_batches=0', 'log_interval=1000', *more)

# --- Called in processes of their own

class Clock(Callback):
    "Seconds of the clock and of this process's CPU, at the end of each step"
    def __init__(self): self.seconds = []
    def after_step(self, runner, batch, output): self.seconds.append((time.perf_counter(), time.process_time()))

def run(root, processes, batch, steps):
    "Median seconds of a step of a run: of the clock, of the first process's CPU, of its wait for samples"
    cfg = settings(root, f'batch_size={batch}', f'gpus={processes}', f'total_iter={steps}')
    def train(runner):
        runner.callbacks.append(clock := Clock())
        with runner.session() as (loader, sampler):
            while runner.state.step < steps:
                runner.train_epoch(loader)
                runner.state.epoch, runner.state.samples_seen = runner.state.epoch + 1, 0
                sampler.seek(runner.state.epoch)
        return [*np.median(np.diff(clock.seconds, axis=0)[1:], 0).tolist(), median(runner.recorder.history.rates['data_time'][2:])]
    with contextlib.redirect_stdout(io.StringIO()): return launch(cfg, train) if processes > 1 else train(Runner(cfg))

def runs(root, steps):
    "`run` with 2 and 4 processes, which are forked and so come before anything is trained here, then with one and the local batches of 1, 2 and 4"
    return [run(root, *o, steps) for o in ((2, BATCH), (4, BATCH), (1, BATCH), (1, BATCH//2), (1, BATCH//4))]

# --- The parts that need no other process

def median_seconds(f, times, now=time.process_time):
    "Median seconds of a call: of this process's CPU, or of the clock with `time.perf_counter`"
    seconds = []
    for _ in range(times):
        start = now()
        f()
        seconds.append(now() - start)
    return median(seconds)

def sample_seconds(cfg, times):
    "CPU seconds of a training sample"
    data, at = build_dataset(cfg.dataset.train, cfg, is_train=True), iter(range(10**9))
    return median_seconds(lambda: data[next(at) % len(data)], times)

def checkpoint_part(net, root):
    "Seconds by the clock to save a network with its optimizer, and megabytes"
    optimizer = torch.optim.AdamW(net.parameters())
    for p in net.parameters(): p.grad = torch.zeros_like(p)
    optimizer.step()
    path = Path(root)/'part.ckpt'
    seconds = median_seconds(lambda: save_checkpoint(dict(net=net.state_dict(), optimizer=optimizer.state_dict()), path), 3, time.perf_counter)
    return seconds, path.stat().st_size/1e6

def score_seconds(cfg):
    "CPU seconds an image to round and score four lanes"
    data = build_dataset(cfg.dataset.val, cfg)
    ys = np.linspace(.5, 1, 50)
    lanes = [Lane(np.stack([.5 + a*(ys - .45), ys], 1), .9) for a in (-.8, -.2, .3, .9)]
    def once():
        evaluation = Evaluation(data)
        evaluation.add({i: lanes for i in range(len(data))})
        evaluation.score()
    return median_seconds(once, 5)/len(data)

# --- All of it

def child(*words):
    "The command of a process of its own"
    return [sys.executable, __file__, '--child', *map(str, words)]

def measure(root, steps, rounds):
    "Everything that the model of a run reads: seconds, bytes, and what the machine was like"
    make_culane(f'{root}/roads', n_train=32, n_val=16, n_test=1, size=(820, 295), workers=0, progress=False)
    make_culane(f'{root}/culane', n_train=4, n_val=1, n_test=1, workers=0, progress=False)
    demo, large = settings(root), load_config('culane_r18', f'data_root={root}/culane', 'backbone.pretrained=false')
    net, big = build_net(load_config('demo', 'backbone.pretrained=false')), build_net(large)
    count = {k: sum(p.numel() for p in m.parameters()) for k, m in (('demo', net), ('culane_r18', big))}
    found = {k: [] for k in ('steps', 'runs', 'cpu', 'run_cpu', 'run_wait', 'reduce', 'sample', 'sample_large', 'score', 'wait')}
    for turn in range(rounds):
        runs = json.loads(subprocess.run(child('runs', root, steps), check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        for i, (part, whole) in enumerate((('steps', 'runs'), ('cpu', 'run_cpu'), ('wait', 'run_wait'))):
            found[part].append([o[i] for o in runs[2:]]); found[whole].append([runs[k][i] for k in (2, 0, 1)])
        sums = []
        for n in (2, 4):
            ranks = [subprocess.Popen(child('reduce', r, n, count['demo'], f'{root}/meet{turn}-{n}'), stdout=subprocess.PIPE, text=True) for r in range(n)]
            sums.append(median(json.loads(p.communicate()[0].splitlines()[-1]) for p in ranks))
        found['reduce'].append(sums)
        found['sample'].append(sample_seconds(demo, 24)); found['sample_large'].append(sample_seconds(large, 16)); found['score'].append(score_seconds(demo))
    middle = {k: np.median(np.array(v), 0).round(6).tolist() for k, v in found.items()}
    seconds, megabytes = checkpoint_part(big, root)
    return dict(batch=BATCH, local_batch=[BATCH, BATCH//2, BATCH//4], step_s=middle['steps'], step_cpu_s=middle['cpu'], wait_s=middle['wait'], processes=[1, 2, 4], run_step_s=middle['runs'], run_cpu_s=middle['run_cpu'], reduce_s=dict(zip('24', middle['reduce'])),
                parameters=count, sample_s=dict(demo=middle['sample'], culane_r18=middle['sample_large']), score_s=middle['score'], checkpoint_s=round(seconds, 4), checkpoint_mb=round(megabytes, 1),
                cores=core_count(), load=round(os.getloadavg()[0], 1), steps=steps, rounds=rounds)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--steps', type=int, default=16, help='of each run; the first two do not count'); p.add_argument('--rounds', type=int, default=3, help='of which medians are taken')
    p.add_argument('--write', action='store_true', help='keep the result as bench/scaling.json')
    p.add_argument('--quick', action='store_true', help='one round of three steps, only to see that it runs')
    p.add_argument('--child', nargs='+', help=argparse.SUPPRESS)     # what `child` gives
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.child:
        return print(json.dumps(runs(a.child[1], int(a.child[2]))))
    if a.quick: a.steps, a.rounds = 3, 1
    with tempfile.TemporaryDirectory() as root: out = measure(root, a.steps, a.rounds)
    print(f"{out['cores']} cores, load {out['load']}, medians of {out['rounds']} rounds of {out['steps']} steps")
    for n, s in zip(out['processes'], out['run_step_s']): print(f'{n} processes: {s*1e3:8.1f} ms a step, {BATCH/s:6.1f} images/s')
    for b, s, w in zip(out['local_batch'], out['step_s'], out['wait_s']): print(f'1 process, {b:2} images: {s*1e3:8.1f} ms a step, {w*1e3:.1f} of it for samples')
    if a.write: Path(__file__).with_suffix('.json').write_text(json.dumps(out, indent=1) + '\n')
    print(json.dumps(out))

if __name__ == '__main__': main()
