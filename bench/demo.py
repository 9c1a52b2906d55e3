"""What the demo reaches: F1@0.5 on 128 held-out made-up roads, for several seeds, by day and in the full mix with night, rain and glare.

    python bench/demo.py [--seeds 0 1 2] [--full-seeds 0] [--root data/made-up-roads] [--out bench/demo.json]

The result goes to bench/demo.json, from which the README's table is printed; the last line printed is the same JSON object.
"""
import argparse, json, os, time
from pathlib import Path

def run(seed, full, root):
    "Train and test once; what came of it"
    from srlane.cli import demo_roads
    from srlane.config import load_config
    from srlane.runner import Runner
    cfg = load_config('demo', dict(seed=seed, data_root=str(root)))
    demo_roads(cfg, full)
    runner = Runner(cfg)
    start = time.perf_counter()
    runner.train()
    minutes = (time.perf_counter() - start)/60
    metric, score = runner.validate('test')
    by_category = {k: round(v['f1'], 4) for k, v in score.results[.5].items() if v.get('f1') is not None}
    return dict(roads='full' if full else 'day', seed=seed, f1=round(metric, 4), minutes=round(minutes, 2), iterations=cfg.total_iter, by_category=by_category)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seeds', type=int, nargs='*', default=[0, 1, 2])
    p.add_argument('--full-seeds', type=int, nargs='*', default=[0])
    p.add_argument('--root', type=Path, default=Path('data/made-up-roads'))
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('demo.json'))
    args = p.parse_args()
    rows = json.loads(args.out.read_text())['runs'] if args.out.exists() else []
    for full, seeds in ((False, args.seeds), (True, args.full_seeds)):
        for seed in seeds:
            row = run(seed, full, args.root)
            rows = [r for r in rows if (r['roads'], r['seed']) != (row['roads'], seed)] + [row]
            part = args.out.with_name(args.out.name + '.tmp')
            part.write_text(json.dumps(dict(cores=os.cpu_count(), runs=rows), indent=1) + '\n')
            os.replace(part, args.out)
    print(f"{'roads':6}{'seed':>5}{'F1@0.5':>9}{'minutes':>9}")
    for r in rows: print(f"{r['roads']:6}{r['seed']:>5}{r['f1']:>9.4f}{r['minutes']:>9.2f}")
    print(json.dumps(dict(runs=rows)))

if __name__ == '__main__': main()
