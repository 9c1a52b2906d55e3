"""The time of a validation next to what nobody can leave out: loading the images and the network's forward pass.

    python bench/validate.py [--images 64] [--rounds 5] [--config demo --config culane_r18] [--quick] [key=value ...]

Both go over the same synthetic roads in turns, in one process and one thread. The validation is `Runner.validate` as a run calls it: loading and forward,
and NMS, decoding, the metric, the prediction files, the log and the table. The network of the demo has its trained weights; another has random weights and
a threshold of 0, so that it finds as many lanes as it may in every image. Ratios are medians over the rounds, of the clock and of CPU seconds. The last line is one JSON object."""
import argparse, contextlib, io, json, os, tempfile, time
os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
from statistics import median
import torch
from srlane.config import load_config
from srlane.runner import Runner
from srlane.synth import make_culane

@torch.no_grad()
def bare(runner):
    "Load, and forward"
    runner.net.eval()
    for batch in runner.loader('val'): runner.net(batch)

def timed(f, *args):
    "Seconds by the clock and of the CPU"
    def now():
        if torch.cuda.is_available(): torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()
    before = now()
    f(*args)
    return [b - a for a, b in zip(before, now())]

def measure(config, root, images, rounds, overrides):
    size = (820, 295) if config == 'demo' else (1640, 590)
    data = Path(root)/f'{size[0]}'
    if not data.exists(): make_culane(data, n_train=2, n_val=images, n_test=1, size=size, workers=0, progress=False)
    demo = Path(__file__).resolve().parent.parent/'nbs/golden/demo.ckpt'
    weights = [f'load_from={demo}'] if config == 'demo' else ['test_parameters.conf_threshold=0', 'backbone.pretrained=false']
    cfg = load_config(config, f'data_root={data}', f'work_dirs={root}/runs', f'ori_img_w={size[0]}', f'ori_img_h={size[1]}', f'cut_height={size[1]*27//59}', 'workers=0', *weights, *overrides)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        runner = Runner(cfg)
        runner.show_progress = False
        bare(runner)
        score = runner.validate().table
        turns = []
        for i in range(rounds):
            both = [lambda: timed(bare, runner), lambda: timed(runner.validate)]
            turn = [f() for f in both[::1 if i % 2 else -1]][::1 if i % 2 else -1]
            turns.append(turn)
    ratio = [median(v[k]/b[k] for b, v in turns) for k in (0, 1)]
    ms = [median(t[i][k] for t in turns)/images*1e3 for i in (0, 1) for k in (0, 1)]
    lanes = (score.tp + score.fp).sum()/images
    print(f'{config:<14}{images:8}{lanes:8.1f}{ms[0]:12.2f}{ms[2]:12.2f}{ratio[0]:8.3f}{ms[1]:12.2f}{ms[3]:12.2f}{ratio[1]:8.3f}', flush=True)
    return dict(validate_over_forward=round(ratio[0], 4), cpu_validate_over_forward=round(ratio[1], 4), forward_ms=round(ms[0], 2), validate_ms=round(ms[2], 2), lanes=round(float(lanes), 2))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', action='append', help='a preset; may come several times')
    p.add_argument('--images', type=int, default=64, help='of the split'); p.add_argument('--rounds', type=int, default=5, help='of which medians are taken')
    p.add_argument('--quick', action='store_true', help='the demo with two images, once')
    p.add_argument('overrides', nargs='*', help='settings of the configuration, as key=value')
    a = p.parse_args()
    configs = a.config or ['demo', 'culane_r18']
    if a.quick: configs, a.images, a.rounds = ['demo'], 2, 1
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU, one thread'
    print(f'{where}, medians of {a.rounds} rounds; milliseconds an image')
    print(f"{'':<14}{'images':>8}{'lanes':>8}{'load+forw.':>12}{'validate':>12}{'ratio':>8}{'CPU: l.+f.':>12}{'validate':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as tmp: found = {c: measure(c, tmp, a.images, a.rounds, a.overrides) for c in configs}
    print(json.dumps(dict(validate_over_forward=max(f['validate_over_forward'] for f in found.values()),
                          cpu_validate_over_forward=max(f['cpu_validate_over_forward'] for f in found.values()), **found, images=a.images, device=where)))

if __name__ == '__main__': main()
