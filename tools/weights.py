"""Make the weights that come with the package: draw wide synthetic roads, train the preset `small` on them, write srlane/weights/small.safetensors.

    python tools/weights.py [--roads 6000] [--root data/wide-roads] [--write] [key=value …]

Everything goes on where it was ended: roads that are there are not drawn again, a run in `work_dirs` that is not complete is resumed.
With --write the averaged weights of the best validation go into the package, with the configuration, the ranges, the seed and the figures,
and the run's curves to nbs/weights/small.csv. Nothing real is trained on: the roads come from `srlane.synth` alone."""
import argparse, shutil, sys, time
from dataclasses import asdict
from pathlib import Path
from omegaconf import OmegaConf
from srlane import __version__
from srlane.config import load_config
from srlane.runner import Runner
from srlane.synth import find_ranges, make_culane
from srlane.training.checkpoint import find_checkpoints, load_checkpoint
from srlane.weights.files import save_weights

REPO = Path(__file__).resolve().parents[1]
SIZE, SEED = (820, 461), 13

def newest_run(cfg):
    "The newest run and its steps, or (None, 0)"
    found = [p for p in find_checkpoints(cfg.work_dirs) if p.name == 'last.ckpt'] if Path(cfg.work_dirs).is_dir() else []
    return (found[0].parent, load_checkpoint(found[0])['state']['step']) if found else (None, 0)

def train(cfg):
    "Go on with the newest run, or begin one; its folder"
    run, step = newest_run(cfg)
    if step >= cfg.total_iter: return run
    if run: cfg.resume_from = str(run)
    runner = Runner(cfg)
    runner.train()
    runner.close()
    return runner.recorder.work_dir

def facts(cfg, best, test, roads):
    "What belongs to the weights"
    return dict(version=__version__, made=time.strftime('%Y-%m-%d'), trained_on=f'{roads:,} synthetic roads of {SIZE[0]}×{SIZE[1]} pixels, no real image',
                seed=SEED, ranges=asdict(find_ranges('wide', 'culane')), iterations=int(best['step']), batch_size=int(cfg.batch_size),
                synthetic_f1=round(float(test), 4), licence='Apache-2.0, like the package')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--roads', type=int, default=6000, help='training roads')
    p.add_argument('--root', type=Path, default=REPO/'data/wide-roads', help='where the roads are, or will be')
    p.add_argument('--workers', type=int, default=None, help='processes that draw; one a core where left out')
    p.add_argument('--write', action='store_true', help='put the weights into the package')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    make_culane(a.root, a.roads, 120, 120, seed=SEED, size=SIZE, workers=a.workers, ranges='wide')
    cfg = load_config('small', dict(data_root=str(a.root), work_dirs=str(REPO/'work_dirs/small')), *a.overrides)
    run = train(cfg)
    best = load_checkpoint(run/'best.ckpt')
    tester = Runner(load_config('small', dict(data_root=str(a.root), work_dirs=str(REPO/'work_dirs/small-test'), load_from=str(run)), *a.overrides))
    test = tester.validate('test').metric
    tester.close()
    print(f'F1@0.5 on 120 wide roads never seen: {test:.4f}, after {best["step"]:,} iterations; the run is in {run}')
    if not a.write: return
    own = {k: load_config('small')[k] for k in ('data_root', 'prepared', 'work_dirs')}     # no folder of this machine
    config = OmegaConf.to_yaml(OmegaConf.merge(OmegaConf.create(best['config']), own))
    digest = save_weights(REPO/'srlane/weights/small.safetensors', best['net'], config, facts(cfg, best, test, a.roads))
    shutil.copyfile(run/'metrics.csv', REPO/'nbs/weights/small.csv')
    print(f'srlane/weights/small.safetensors, SHA-256 of its content {digest}')

if __name__ == '__main__': sys.exit(main())
