"""The time of the Runner's training step next to the bare loop of its own calls.

    python bench/runner_overhead.py [--turns 150] [--config demo] [--quick] [key=value ...]

The bare loop does what nobody can leave out, by the same objects: a batch, forward, backward, optimiser step, schedule step.
The Runner adds its callbacks (signals, STOP file, guard), the recorder, log lines every `log_interval` steps, and asks whether to
stop. Checkpoints and validations are left out on both sides: how often they come is a setting.
They take turns step by step on the same batches in memory, and a second bare loop, the control, takes its turn with them: what
the two bare loops differ by is what the machine cannot tell apart. Ratios are medians over the turns, with the interval that holds
95 % of resampled medians. Turns of a few steps each will not do: two runs of the same code then differ by up to 10 %.
Both loops are also timed with a network, a backward pass and an optimiser that do nothing: the difference is what the Runner adds,
and it is set against the bare step. On a GPU this counts what the CPU does, as if the GPU had to wait for it.
The last line is one JSON object."""
import argparse, contextlib, gc, io, json, tempfile, time
from pathlib import Path
from statistics import median
import numpy as np, torch
from srlane.data.loader import build_dataloader
from srlane.config import load_config
from srlane.runner import Runner
from srlane.synth import make_culane

class Batches:
    "A loader that repeats batches in memory"
    def __init__(self, batches, n, dataset): self.batches, self.n, self.dataset, self.first = batches, n, dataset, 0
    def __iter__(self): return (self.batches[(self.first + i) % len(self.batches)] for i in range(self.n))
    def __len__(self): return self.n

def bare(runner, loader):
    "What is left when everything is taken away that training could do without"
    runner.train_mode()                                      # once an epoch, as `train_epoch` does
    for batch in loader:
        runner.optimizer.zero_grad()
        output = runner.net(batch)
        runner.fabric.backward(output['loss'].sum())
        runner.optimizer.step()
        runner.scheduler.step()

def added(runner, loader, rounds=9)->float: # seconds a step
    "What the Runner adds to the calls: both loops, with calls that do nothing"
    output = {k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in runner.net(next(iter(loader))).items()}
    runner.net.forward, runner.fabric.backward = (lambda batch: output), (lambda loss: None)
    runner.optimizer.step = runner.optimizer.zero_grad = lambda: None
    loader.n = 200
    seconds = [(timed(runner.train_epoch, loader)[1], timed(bare, runner, loader)[1]) for _ in range(rounds)]
    return median(a - b for a, b in seconds)/loader.n

def timed(f, *args):
    "Seconds by the clock and of the CPU"
    if torch.cuda.is_available(): torch.cuda.synchronize()
    clock, cpu = time.perf_counter(), time.process_time()
    f(*args)
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - cpu

def spread(values, rng=np.random.default_rng(0))->tuple: # median, ends of its interval
    "The median and what holds 95 % of the medians of resampled values"
    values = np.asarray(values)
    low, high = np.quantile(np.median(rng.choice(values, (2000, len(values))), 1), (.025, .975))
    return tuple(round(float(v), 4) for v in (np.median(values), low, high))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', default='demo'); p.add_argument('--turns', type=int, default=150)
    p.add_argument('--quick', action='store_true', help='six turns')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    if a.quick: a.turns = 6
    with tempfile.TemporaryDirectory() as tmp:
        make_culane(Path(tmp)/'roads', n_train=32, n_val=1, n_test=1, size=(820, 295), workers=0, progress=False)
        with contextlib.redirect_stdout(io.StringIO()):      # the log lines are written, to nobody
            runner = Runner(load_config(a.config, f'data_root={tmp}/roads', f'work_dirs={tmp}/runs', 'ori_img_w=820', 'ori_img_h=295', 'cut_height=135', 'workers=0', 'decode_reduced=false',
                                        'save_interval=0', 'total_iter=1000000', *a.overrides))
        data = runner.fabric.setup_dataloaders(build_dataloader(runner.cfg.dataset.train, runner.cfg, is_train=True), use_distributed_sampler=False)
        loader = Batches(list(data), 10, range(10**9))
        runner.train_mode()
        timed(bare, runner, loader); timed(runner.train_epoch, loader)
        loops = dict(bare=lambda: bare(runner, loader), Runner=lambda: runner.train_epoch(loader), control=lambda: bare(runner, loader))
        loader.n, names, turns = 1, list(loops), []
        for i in range(a.turns):
            loader.first = i
            gc.collect()
            turns.append({k: timed(loops[k]) for k in names[i % 3:] + names[:i % 3]})
        extra = added(runner, loader, 1 if a.quick else 9)
        cfg, where = runner.cfg, torch.cuda.get_device_name() if torch.cuda.is_available() else f'{torch.get_num_threads()} CPU threads'
    ratio = {k: [spread([t[k][i]/t['bare'][i] for t in turns]) for i in (0, 1)] for k in ('Runner', 'control')}
    ms = {k: [median(t[k][i] for t in turns)*1e3 for i in (0, 1)] for k in loops}
    print(f'{a.config}, {cfg.batch_size} images of {cfg.img_w} x {cfg.img_h}, log line every {cfg.log_interval} steps, {where}, medians of {a.turns} turns of one step')
    print(f"{'ms a step':<24}{'clock':>12}{'CPU':>14}{'clock/bare':>14}{'95 %':>20}")
    for k in loops:
        r, low, high = ratio[k][0] if k in ratio else (1, 1, 1)
        print(f'{k:<24}{ms[k][0]:12.2f}{ms[k][1]:14.2f}{r:14.4f}{f"{low:.4f} to {high:.4f}" if k in ratio else "":>20}')
    share = 1 + extra*1e3/ms['bare'][1]
    print(f"{'Runner alone':<24}{'':12}{extra*1e3:14.3f}{share:14.4f}   around calls that do nothing, with its log lines")
    print(json.dumps(dict(runner_over_bare=ratio['Runner'][0][0], interval=ratio['Runner'][0][1:], control_over_bare=ratio['control'][0][0], control_interval=ratio['control'][0][1:],
                          cpu_runner_over_bare=ratio['Runner'][1][0], cpu_control_over_bare=ratio['control'][1][0], runner_over_bare_by_difference=round(share, 5),
                          added_ms_per_step=round(extra*1e3, 4), turns=a.turns, device=where)))

if __name__ == '__main__': main()
