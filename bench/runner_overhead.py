"""The time of the Runner's training step next to the bare loop of its own calls.

    python bench/runner_overhead.py [--steps 12] [--pairs 20] [--config demo] [--quick] [key=value ...]

The bare loop does what nobody can leave out, by the same objects: a batch, forward, backward, optimiser step, schedule step.
The Runner adds its callbacks (signals, STOP file, guard), the recorder, log lines every `log_interval` steps, and asks whether to
stop. Checkpoints and validations are left out on both sides: how often they come is a setting.
Both run in turns of `--steps` steps on the same batches in memory, and ratios are medians over pairs, so that a busy machine
disturbs both alike. On a machine with other work even that scatters by a few per cent, more than what is looked for. So both
loops are also timed with a network, a backward pass and an optimiser that do nothing: the difference is what the Runner adds,
and it is set against the bare step. On a GPU this counts what the processor does, as if the GPU had to wait for it.
The last line is one JSON object."""
import argparse, gc, json, tempfile, time
from pathlib import Path
from statistics import median
import torch
from srlane.config import load_config
from srlane.runner import Runner
from srlane.synth import make_culane

class Batches:
    "A loader that repeats batches in memory"
    def __init__(self, batches, n, dataset): self.batches, self.n, self.dataset = batches, n, dataset
    def __iter__(self): return (self.batches[i % len(self.batches)] for i in range(self.n))
    def __len__(self): return self.n

def bare(runner, loader):
    "What is left when everything is taken away that a training could do without"
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
    "Seconds by the clock and of the processor"
    if torch.cuda.is_available(): torch.cuda.synchronize()
    clock, cpu = time.perf_counter(), time.process_time()
    f(*args)
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - cpu

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', default='demo'); p.add_argument('--steps', type=int, default=12); p.add_argument('--pairs', type=int, default=20)
    p.add_argument('--quick', action='store_true', help='three pairs of two steps')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    if a.quick: a.steps, a.pairs = 2, 3
    with tempfile.TemporaryDirectory() as tmp:
        make_culane(Path(tmp)/'roads', n_train=32, n_val=1, n_test=1, size=(820, 295), workers=0, progress=False)
        runner = Runner(load_config(a.config, f'data_root={tmp}/roads', f'work_dirs={tmp}/runs', 'ori_img_w=820', 'ori_img_h=295', 'cut_height=135', 'workers=0', 'decode_reduced=false',
                                    'save_interval=0', 'total_iter=1000000', *a.overrides))
        from srlane.datasets import build_dataloader
        data = runner.fabric.setup_dataloaders(build_dataloader(runner.cfg.dataset.train, runner.cfg, is_train=True), use_distributed_sampler=False)
        loader = Batches(list(data), a.steps, range(10**9))
        runner.train_mode()
        timed(bare, runner, loader); timed(runner.train_epoch, loader)
        pairs = []
        for i in range(a.pairs):
            gc.collect()
            order = [(bare, runner, loader), (runner.train_epoch, loader)]
            found = [timed(*o) for o in (order if i % 2 else order[::-1])]
            pairs.append(found if i % 2 else found[::-1])
        extra = added(runner, loader)
        cfg, where = runner.cfg, torch.cuda.get_device_name() if torch.cuda.is_available() else f'{torch.get_num_threads()} CPU threads'
    clock, cpu = (median(r[i]/b[i] for b, r in pairs) for i in (0, 1))
    ms = lambda k, i: median(o[k][i] for o in pairs)/a.steps*1e3
    print(f'{a.config}, {cfg.batch_size} images of {cfg.img_w} x {cfg.img_h}, log line every {cfg.log_interval} steps, {where}, medians of {a.pairs} pairs of {a.steps} steps')
    print(f"{'ms a step':<24}{'clock':>10}{'processor':>12}")
    print(f"{'bare loop':<24}{ms(0, 0):10.2f}{ms(0, 1):12.2f}\n{'Runner':<24}{ms(1, 0):10.2f}{ms(1, 1):12.2f}\n{'ratio':<24}{clock:10.4f}{cpu:12.4f}")
    share = 1 + extra*1e3/ms(0, 1)
    print(f"{'Runner alone':<24}{'':10}{extra*1e3:12.3f}   with its log lines\n{'ratio from this':<24}{'':10}{share:12.4f}")
    print(json.dumps(dict(runner_over_bare_by_difference=round(share, 5), added_ms_per_step=round(extra*1e3, 4), runner_over_bare=round(clock, 4), cpu_runner_over_bare=round(cpu, 4), steps=a.steps, pairs=a.pairs, device=where)))

if __name__ == '__main__': main()
