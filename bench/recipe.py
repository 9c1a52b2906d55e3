"""What makes the demo better in less time: one change after another, each trained for a short while on the demo's roads.

    python bench/recipe.py [--only NAME …] [--seeds 0] [--samples 2400] [--costs] [--root data/synthetic-roads] [--out bench/recipe.json] [--quick]

A run trains on the first four fifths of the training roads and is scored on the last fifth; its schedule is as short as the run. So what
was chosen was chosen without the validation and the test split. What a change costs is measured apart (--costs): steps of each and of
the demo as it was, in turns, in CPU seconds for each image. Runs that the file has already are not repeated, so that the command can be
ended and given again. The last line printed is the file as one JSON object.
"""
import argparse, json, os, tempfile, time
from pathlib import Path
from statistics import median
import numpy as np
from srlane import __version__

BEFORE = { # the demo of version 0.1, where it differs
    'batch_size': 16, 'optimizer.lr': 2e-3, 'hidden_dim': 64, 'feat_ds_strides': [8, 16, 32],
    'backbone.in_channels': [16, 32, 64, 128], 'neck.in_channels': [32, 64, 128]}
SMALL = {'batch_size': 8, 'optimizer.lr': 1.5e-3, 'optimizer.fused': True}
SHORT = SMALL | {'backbone.in_channels': [16, 32, 64, -1], 'neck.in_channels': [16, 32, 64], 'feat_ds_strides': [4, 8, 16], 'hidden_dim': 32}
VARIANTS = { # name: (what changes, the settings that differ from `BEFORE`)
    'before': ('the demo of version 0.1', {}),
    'small batches': ('8 images a step instead of 16, so twice the steps', SMALL),
    'fine first': ('small batches; points look at the finer levels of the pyramid first', SMALL | {'z_mean': [1.8]}),
    'three stages': ('small batches; no fourth stage, so a pyramid of strides 4, 8, 16 instead of 8, 16, 32, of half the width', SHORT),
    'higher rate': ('three stages; twice the learning rate', SHORT | {'optimizer.lr': 3e-3}),
    'lower rate': ('three stages; about half the learning rate', SHORT | {'optimizer.lr': 8e-4}),
    'wider images': ('three stages; images of 384×96 instead of 320×128', SHORT | {'img_w': 384, 'img_h': 96}),
    'flips only': ('three stages; no other augmentation', SHORT | {'augment': [dict(name='HorizontalFlip', p=.5)]}),
    'refined twice': ('three stages; a second stage of refinement', SHORT | {'roi_head.refine_layers': 2}),
}

def settings(name, samples):
    "The settings of a short run"
    given = BEFORE | VARIANTS[name][1]
    steps = max(1, samples//given['batch_size'])
    return {**given, 'total_iter': steps, 'scheduler.warm_up_iters': steps//10, 'workers': 0}

def _nested(given):
    "Settings with dots in their keys as the sections that they mean"
    out = {}
    for k, v in given.items():
        section, _, name = k.rpartition('.')
        (out.setdefault(section, {}) if section else out)[name] = v
    return out

def held_out(cfg, roads):
    "The training roads and the last fifth of them, as two datasets: to train on, to score"
    from srlane.data import build_dataset
    train, score, n = build_dataset(cfg.dataset.train, cfg, is_train=True), build_dataset(cfg.dataset.train, cfg), roads['train']*4//5
    train.items, score.items, score.annotations = train.items[:n], score.items[n:], score.annotations[n:]
    return train, score

def step(engine, batch):
    engine.network(batch)['loss'].backward()
    engine.optimizer.step(); engine.optimizer.zero_grad(); engine.scheduler.step()

def train_briefly(cfg, roads):
    "Train and score once; F1@0.5, and how far each label is covered by the prediction that is closest to it"
    import torch
    from srlane.data import collate, evaluate
    from srlane.metrics.culane import CULaneScore
    from srlane.data.loader import EpochSampler
    from srlane.training.engine import Engine
    train, score = held_out(cfg, roads)
    engine, sampler, done = Engine(cfg), EpochSampler(len(train), cfg.batch_size, True, cfg.seed), 0
    engine.network.train()
    start = time.process_time()
    for epoch in range(cfg.total_iter):
        sampler.seek(epoch)
        keys = list(sampler)
        for k in range(0, len(keys), cfg.batch_size):
            if done == cfg.total_iter: break
            step(engine, collate([train[key] for key in keys[k:k + cfg.batch_size]]))
            done += 1
    seconds, net, found = time.process_time() - start, engine.network.eval(), {}
    with torch.no_grad():
        for i in range(0, len(score), 32):
            batch = collate([score[k] for k in range(i, min(i + 32, len(score)))])
            found.update(zip(range(i, i + 32), net.get_lanes(net(batch['img']), batch['meta'])))
    result = evaluate(score, found)
    assert isinstance(result, CULaneScore)
    closest = [np.nan_to_num(m).max(1, initial=0) for m in result.matrices]
    return dict(f1=round(result.metric, 4), mean_iou=round(float(np.concatenate(closest).mean()), 4), cpu_seconds=round(seconds, 1))

def costs(names, root, rounds):
    "CPU seconds of a step for each image, as multiples of the demo's as it was, and what making a sample takes in the same unit"
    from srlane.config import load_config
    from srlane.data import build_dataset, collate
    from srlane.training.engine import Engine
    runs = []
    for name in ['before', *names]:
        cfg = load_config('demo', dict(data_root=str(root)), _nested(settings(name, 16)))
        train = build_dataset(cfg.dataset.train, cfg, is_train=True)
        engine = Engine(cfg)
        engine.network.train()
        runs.append((train, engine, cfg.batch_size, [], []))
    for _ in range(rounds):
        for train, engine, size, steps, samples in runs:
            a = time.process_time(); batch = collate([train[i] for i in range(size)])
            b = time.process_time()
            for _ in range(max(1, 16//size)): step(engine, batch)
            samples.append((b - a)/size); steps.append((time.process_time() - b)/size/max(1, 16//size))
    base = np.array(runs[0][3][1:])
    share = lambda times: round(float(median(np.array(times[1:])/base)), 3)
    return {name: dict(step=share(steps), sample=share(samples)) for name, (*_, steps, samples) in zip(['before', *names], runs)}

def write(found, out):
    part = out.with_name(out.name + '.tmp')
    part.write_text(json.dumps(found, indent=1) + '\n')
    os.replace(part, out)

def measure(args, roads, found):
    "Train what the file does not have yet, adding each run as it ends"
    from srlane.config import load_config
    for seed in args.seeds:
        for name in args.only:
            if any((r['name'], r['seed'], r['samples']) == (name, seed, args.samples) for r in found['runs']): continue
            cfg = load_config('demo', dict(seed=seed, data_root=str(args.root)), _nested(settings(name, args.samples)))
            found['runs'].append(dict(name=name, seed=seed, samples=args.samples, **train_briefly(cfg, roads)))
            write(found, args.out)

def main():
    from srlane.cli import build_parser, demo_roads
    from srlane.config import load_config
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--only', nargs='+', default=[*VARIANTS], choices=[*VARIANTS], metavar='NAME', help=f"of {', '.join(VARIANTS)}")
    p.add_argument('--seeds', type=int, nargs='+', default=[0], help='one run of each change for each')
    p.add_argument('--samples', type=int, default=2400, help="images that a run sees (default: 2400)")
    p.add_argument('--costs', action='store_true', help='measure what each change costs, and train nothing')
    p.add_argument('--root', type=Path, default=Path('data/synthetic-roads'), help="where the demo's roads are, or will be")
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('recipe.json'), help='file that runs are added to')
    p.add_argument('--quick', action='store_true', help='a few roads in a folder that goes away, only to see that it runs')
    args, demo = p.parse_args(), build_parser().parse_args(['demo'])
    roads, rounds = {k: getattr(demo, k) for k in ('train', 'val', 'test')}, 9
    with tempfile.TemporaryDirectory() as tmp:
        if args.quick:
            roads, rounds, args.samples, args.seeds, args.only = dict(train=20, val=1, test=1), 2, 16, [0], args.only[:2]
            args.root, args.out, args.costs = Path(tmp)/'roads', Path(tmp)/'recipe.json', True
        found = json.loads(args.out.read_text()) if args.out.exists() else dict(version=__version__, variants={}, costs={}, runs=[])
        found['variants'] = {k: dict(what=what, settings=given) for k, (what, given) in VARIANTS.items()}
        demo_roads(load_config('demo', dict(data_root=str(args.root))), False, *roads.values())
        if args.costs: found['costs'] |= costs([k for k in args.only if k != 'before'], args.root, rounds); write(found, args.out)
        if args.quick or not args.costs: measure(args, roads, found)
    print(f"{'':16}{'seed':>5}{'images':>8}{'F1@0.5':>9}{'mean IoU':>10}{'step':>7}")
    for r in found['runs']:
        print(f"{r['name']:16}{r['seed']:>5}{r['samples']:>8}{r['f1']:>9.4f}{r['mean_iou']:>10.4f}{found['costs'].get(r['name'], {}).get('step', '–'):>7}")
    print(json.dumps(found))

if __name__ == '__main__': main()
