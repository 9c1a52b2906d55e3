"""What the attribute head learns, and what it costs: F1@0.5 of lanes with and without it, on the same roads from the same seed, and how
often a matched lane is told right to be solid, dashed or double, white or yellow.

    python bench/attributes.py [--seeds 0] [--root data/synthetic-lanes] [--out bench/attributes.json] [--quick]

Roads and network are those of `srlane demo`. Both runs go on from nbs/golden/demo.ckpt, which knows lanes and nothing of their looks, for
the same number of steps. Runs that --out has are not made again. The last line printed is the same JSON object.
"""
import argparse, json, os, tempfile, time
from pathlib import Path
from srlane import __version__
from srlane.basics import write_whole

CLASSES = dict(style=['solid', 'dashed', 'double'], colour=['white', 'yellow'])

def run(seed, told, root, *overrides):
    "Train and test once; what came of it"
    from srlane.config import load_config
    from srlane.runner import Runner
    lanes = {s: dict(type='Lanes') for s in ('train', 'val', 'test')}
    weights = Path(__file__).parents[1]/'nbs/golden/demo.ckpt'
    cfg = load_config('demo', dict(seed=seed, data_root=str(root), dataset=lanes, roi_head=dict(attributes=CLASSES if told else {}),
                                   load_from=str(weights), total_iter=1000, optimizer=dict(lr=1e-3), scheduler=dict(warm_up_iters=40)), *overrides)
    runner = Runner(cfg)
    start = time.process_time()
    runner.train()
    minutes = (time.process_time() - start)/60
    if runner.stop_reason: raise SystemExit(f'stopped ({runner.stop_reason}) at step {runner.state.step}: this run is not kept')
    metric, score = runner.validate('test')
    runner.close()
    return dict(attributes=told, seed=seed, f1=round(metric, 4), cpu_minutes=round(minutes, 2), iterations=runner.cfg.total_iter,
                **{k: round_all(v) for k, v in score.results.get('attributes', {}).items()})

def round_all(v): return {k: round_all(o) for k, o in v.items()} if isinstance(v, dict) else round(v, 4) if isinstance(v, float) else v

def measure(args, roads, overrides=()):
    "Train with and without, adding each run to the file as it ends; what the file then holds"
    from srlane.synth import day_categories, make_lanes
    make_lanes(args.root, *roads.values(), categories=[*day_categories], rain=0.)
    made = dict(version=__version__, roads=roads)
    found = json.loads(args.out.read_text()) if args.out.exists() else dict(made, runs=[])
    if any(found[k] != v for k, v in made.items()): raise SystemExit(f'{args.out} is of another version or of other roads: move it away')
    for seed, told in ((s, t) for s in args.seeds for t in (True, False)):
        if any((r['attributes'], r['seed']) == (told, seed) for r in found['runs']): continue
        found['runs'].append(run(seed, told, args.root, *overrides))
        write_whole(args.out, json.dumps(found, indent=1) + '\n')
    return found

def table(runs)->str: # in Markdown
    "A line for each run"
    share = lambda r, k: f'{r[k]["accuracy"]:.4f} of {r[k]["known"]}' if k in r and r[k]['known'] else '–'
    lines = ['| seed | head | F1@0.5 | ' + ' | '.join(CLASSES) + ' | CPU minutes |', '|--:|:--|--:|' + '--:|'*(len(CLASSES) + 1)]
    for r in sorted(runs, key=lambda r: (r['seed'], r['attributes'])):
        cells = [r['seed'], 'with' if r['attributes'] else 'without', f'{r["f1"]:.4f}', *(share(r, k) for k in CLASSES), f'{r["cpu_minutes"]:.1f}']
        lines.append('| ' + ' | '.join(map(str, cells)) + ' |')
    return '\n'.join(lines)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seeds', type=int, nargs='*', default=[0])
    p.add_argument('--root', type=Path, default=Path('data/synthetic-lanes'))
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('attributes.json'))
    p.add_argument('--quick', action='store_true', help='two steps on a few roads in a folder that goes away, only to see that it runs')
    args = p.parse_args()
    if args.quick:
        with tempfile.TemporaryDirectory() as tmp:
            args.root, args.out = Path(tmp)/'roads', Path(tmp)/'attributes.json'
            found = measure(args, dict(train=16, val=2, test=2), (f'work_dirs={tmp}/runs', 'total_iter=2'))
    else: found = measure(args, dict(train=2000, val=128, test=128))
    print(table(found['runs']))
    print(json.dumps(found))

if __name__ == '__main__': main()
