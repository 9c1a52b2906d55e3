"""What the demo reaches: F1@0.5 on held-out synthetic roads, for several seeds, by day and in the full mix with night, rain and glare.

    python bench/demo.py [--seeds 0 1 2 3 4] [--full-seeds 0] [--root data/synthetic-roads] [--out bench/demo.json] [--quick]

As many roads as `srlane demo` makes. The result goes to bench/demo.json, from which the README's table is printed; runs of another
version, of other settings or of other roads are not added to it, and runs that it has are not made again, so that the command can be
ended and given once more. The last line printed is the same JSON object.
"""
import argparse, hashlib, json, os, sys, tempfile, time
from pathlib import Path
from statistics import mean
from srlane import __version__

def recipe():
    "What the settings of the demo are known by: another setting, another name"
    import srlane
    from omegaconf import OmegaConf
    files = [OmegaConf.load(Path(srlane.__file__).parent/f'configs/{name}.yaml') for name in ('culane_r18', 'demo')]     # without their comments
    return hashlib.sha256(''.join(map(OmegaConf.to_yaml, files)).encode()).hexdigest()[:12]

def run(seed, full, root, roads, *overrides):
    "Train and test once; what came of it"
    from srlane.cli import demo_roads
    from srlane.config import load_config
    from srlane.runner import Runner
    cfg = load_config('demo', dict(seed=seed, data_root=str(root)), *overrides)
    demo_roads(cfg, full, *roads.values())
    runner = Runner(cfg)
    start = time.perf_counter()
    runner.train()
    minutes = (time.perf_counter() - start)/60
    metric, score = runner.validate('test')
    by_category = {k: round(v['f1'], 4) for k, v in score.results[.5].items() if v.get('f1') is not None}
    return dict(roads='full' if full else 'day', seed=seed, f1=round(metric, 4), minutes=round(minutes, 2), iterations=cfg.total_iter, by_category=by_category)

def measure(args, roads, overrides=()):
    "Train with every seed, adding each run to the file as it ends; what the file then holds"
    made = dict(version=__version__, recipe=recipe(), roads=roads)
    found = json.loads(args.out.read_text()) if args.out.exists() else dict(made, runs=[])
    for k, v in made.items():
        if found.get(k) != v: sys.exit(f'{args.out} has runs with {k} {found.get(k)}, not {v}: move it away or name another --out')
    for full, seeds in ((False, args.seeds), (True, args.full_seeds)):
        for seed in seeds:
            if any((r['roads'], r['seed']) == ('full' if full else 'day', seed) for r in found['runs']): continue
            row = run(seed, full, args.root, roads, *overrides)
            found = dict(made, cores=os.cpu_count(), runs=[*found['runs'], row])
            part = args.out.with_name(args.out.name + '.tmp')
            part.write_text(json.dumps(found, indent=1) + '\n')
            os.replace(part, args.out)
    return found

def main():
    from srlane.cli import build_parser
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seeds', type=int, nargs='*', default=[*range(5)])
    p.add_argument('--full-seeds', type=int, nargs='*', default=[0])
    p.add_argument('--root', type=Path, default=Path('data/synthetic-roads'))
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('demo.json'))
    p.add_argument('--quick', action='store_true', help='two steps on a few roads in a folder that goes away, only to see that it runs')
    args = p.parse_args()
    demo = build_parser().parse_args(['demo'])
    roads = {k: getattr(demo, k) for k in ('train', 'val', 'test')}
    if args.quick:
        with tempfile.TemporaryDirectory() as tmp:
            args.seeds, args.full_seeds, args.root, args.out = [0], [], Path(tmp)/'roads', Path(tmp)/'demo.json'
            found = measure(args, dict(train=16, val=2, test=2), (f'work_dirs={tmp}/runs', 'total_iter=2'))
    else: found = measure(args, roads)
    print(f"{'roads':6}{'seed':>5}{'F1@0.5':>9}{'minutes':>9}")
    for r in found['runs']: print(f"{r['roads']:6}{r['seed']:>5}{r['f1']:>9.4f}{r['minutes']:>9.2f}")
    for kind in dict.fromkeys(r['roads'] for r in found['runs']):
        runs = [r for r in found['runs'] if r['roads'] == kind]
        print(f"{kind:6}{'mean':>5}{mean(r['f1'] for r in runs):>9.4f}{mean(r['minutes'] for r in runs):>9.2f}")
    print(json.dumps(found))

if __name__ == '__main__': main()
