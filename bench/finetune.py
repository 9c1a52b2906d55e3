"""What fine-tuning gains: the weights of the package as they are, trained further on a few labelled frames, and the same network from nothing.

    python bench/finetune.py [--root FOLDER] [--steps N] [--curves FILE.png] [--out FILE.json] [--threads 2] [--quick] [key=value …]

FOLDER holds labels of any format that `srlane init` reads, with a train, a val and a test split; synthetic roads stand in where it is left
out. The configuration is that of `srlane init`, as for `srlane finetune`; from nothing means the same without the weights. The F1 is that of
the test split after the last step, so nothing is chosen by it. Samples are made by the process that trains: its CPU seconds are all that
there are, those of the curves' validations among them. The last line is one JSON object."""
import argparse, contextlib, io, json, os, shlex, tempfile, time
from pathlib import Path
from srlane.basics import write_whole
from srlane.cli import run_line
from srlane.config import load_config
from srlane.look.curves import compare
from srlane.runner import Runner
from srlane.synth import make_culane

def train(cfg, name):
    "F1 before the first and after the last step, and what lay between; the run's history"
    with contextlib.redirect_stdout(io.StringIO()):
        runner = Runner(cfg)
        runner.show_progress = False
        before, start = runner.validate().metric, (time.process_time(), time.perf_counter())
        runner.train(view='none')
        runner.close()
    cpu, wall, history = time.process_time() - start[0], time.perf_counter() - start[1], runner.recorder.history
    history.name = name
    steps, f1 = history.f1()
    curve = [[int(k), round(v, 4)] for k, v in zip(steps, f1)]
    return dict(before=round(before, 4), f1=curve[-1][1], cpu_seconds=round(cpu, 1), minutes=round(wall/60, 1), curve=curve), history

def measure(root, steps, overrides, tmp):
    "Both runs: what they reached, and their histories"
    code, _, err = run_line(f'init {shlex.quote(str(root))} -o {tmp}/frames.yaml --index {tmp}/index')
    if code: raise SystemExit(err)
    cfg = load_config(f'{tmp}/frames.yaml')
    steps = steps or cfg.total_iter
    settings = [f'total_iter={steps}', f'scheduler.warm_up_iters={max(1, steps//15)}', f'eval_ep={max(1, round(cfg.eval_ep*steps/cfg.total_iter))}',
                'dataset.val.split=test', 'workers=0', f'work_dirs={tmp}/runs', *overrides]
    tuned, fresh = (train(load_config(f'{tmp}/frames.yaml', *settings, *more), name)
                    for name, more in (('fine-tuned', []), ('from nothing', ['load_from=null'])))
    return dict(steps=steps, as_they_are=tuned[0].pop('before'), fine_tuned=tuned[0], from_nothing=fresh[0]), (tuned[1], fresh[1])

def main():
    import cv2, torch
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--root', type=Path, help='labelled frames')
    p.add_argument('--steps', type=int, help='of each run; those of the configuration where left out')
    p.add_argument('--curves', type=Path, help='picture of both runs to write, .png')
    p.add_argument('--out', help='file for the JSON object')
    p.add_argument('--threads', type=int, default=2, help='of torch and OpenCV')
    p.add_argument('--quick', action='store_true', help='a few synthetic roads and two steps, only to see that it runs')
    p.add_argument('overrides', nargs='*', help='settings of both runs, as key=value')
    a = p.parse_args()
    torch.set_num_threads(a.threads); cv2.setNumThreads(a.threads)
    with tempfile.TemporaryDirectory() as tmp:
        if a.quick: a.root, a.steps = None, 2
        if not a.root: a.root = make_culane(f'{tmp}/roads', *((8, 2, 4) if a.quick else (60, 20, 60)), seed=3, size=(820, 295), workers=0, progress=False)
        out, histories = measure(a.root, a.steps, a.overrides, tmp)
        if a.curves: write_whole(a.curves, compare(*histories).data)
    print(f"{'':14}{'F1@0.5':>8}{'CPU s':>8}{'minutes':>9}\n{'as they are':14}{out['as_they_are']:8.4f}")
    for k in ('fine_tuned', 'from_nothing'): print(f"{k.replace('_', ' '):14}{out[k]['f1']:8.4f}{out[k]['cpu_seconds']:8.0f}{out[k]['minutes']:9.1f}")
    if a.out: write_whole(a.out, json.dumps(out) + '\n')
    print(json.dumps(dict(out, load=round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None)))

if __name__ == '__main__': main()
