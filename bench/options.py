"""Whether an option makes a network better: small networks, trained with and without it on synthetic roads of several cameras.

    python bench/options.py [--options iou_slope=exact "iou_slope=exact ema=0.998"] [--geometries culane tusimple wide16x9]
                            [--seeds 5] [--iterations 200] [--batch 8] [--load_from nbs/golden/demo.ckpt] [--root data/option-roads]
                            [--out bench/options.json] [--table] [--quick]

Each option is a set of settings over the demo's, and is compared with the demo as it is (`published`) of the same seed: the same images in
the same order. Runs start from the demo's network, which knows roads of CULane's camera and none of the others (`--load_from none`: from
nothing, which takes thousands of steps), and have the same weights at the start, too. `tuned` is F1 with the confidence and NMS distance that did best on
the validation roads, which is what `srlane tune` chooses. Every run is added to the file as it ends, and what is there is not run again;
--table only prints it. The last line printed is one JSON object.
"""
import argparse, contextlib, json, sys, tempfile, time
from dataclasses import dataclass, replace
from pathlib import Path
import numpy as np
from srlane.basics import write_whole

@dataclass(frozen=True)
class Camera:
    "A camera, its crop and the network's image"
    size:tuple          # (w, h) of its frames, pixels
    cut_height:int      # rows cropped from their top
    img_size:tuple      # (w, h) of the network's image, pixels
    num_points:int      # rows of a lane
    max_lanes:int = 4
    highway:bool = False # TuSimple's kind of road
    stand:bool = False   # half of the training frames come from a car that waits, each four times

    def settings(self):
        (w, h), (W, H) = self.size, self.img_size
        return dict(ori_img_w=w, ori_img_h=h, cut_height=self.cut_height, img_w=W, img_h=H, num_points=self.num_points,
                    max_lanes=self.max_lanes, roi_head=dict(sample_points=self.num_points))

culane = Camera((1640, 590), 270, (320, 128), 18)
cameras = dict(culane=culane, tusimple=Camera((1280, 720), 160, (320, 128), 18, 5, highway=True),
               wide16x9=Camera((1280, 720), 0, (320, 192), 18),
               culane_standing=replace(culane, stand=True))          # for frame_filter
roads = dict(train=640, val=96, test=200)

# --- Roads

def make_scene(camera, split, i):
    "Scene `i` of a split"
    from srlane.synth import day_categories
    from srlane.synth.ranges import HIGHWAY, STREET
    from srlane.synth.sample import sample_scene
    if camera.stand and split == 'train' and i % 8 >= 4: i -= i % 4      # the last four of eight are one
    rng, ranges = np.random.default_rng(([*roads].index(split), i)), HIGHWAY if camera.highway else STREET
    return sample_scene(rng, day_categories[i % len(day_categories)], camera.size, ranges, 0.)

def make_roads(root, camera, counts):
    "A tree in CULane's layout, unless it is there"
    import cv2
    from srlane.data.culane import culane_text
    from srlane.synth.render import render
    made = json.dumps(dict(camera=camera.__dict__, counts=counts))
    if (done := root/'made.json').exists() and done.read_text() == made: return root
    for split, n in counts.items():
        names = [f'/{split}/{i:05d}.jpg' for i in range(n)]
        for i, name in enumerate(names):
            scene, file = make_scene(camera, split, i), root/name[1:]
            write_whole(file.with_suffix('.lines.txt'), culane_text(scene.lanes))
            write_whole(file, cv2.imencode('.jpg', render(scene)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, scene.light.quality])[1].tobytes())
        write_whole(root/f'list/{split}.txt', ''.join(f'{o}\n' for o in names))
    write_whole(done, made)
    return root

# --- One run

def f1(seen, predictions, ious=(.5, .75)):
    "F1 of lanes at each IoU, as CULane's metric counts; `seen` is an `Interpretation` of the split"
    from srlane.data.evaluation import rounded_lanes
    from srlane.metrics import culane_score
    found = rounded_lanes(seen.dataset, dict(zip(seen.index, predictions)))
    score = culane_score(list(found.values()), seen.labels, size=seen.sizes[0], ious=ious)
    return [round(score.results[t]['total']['f1'] or 0., 4) for t in ious]

def tuned_f1(runner, val, test):
    "F1 on the test roads with the thresholds that are best on the validation roads"
    conf, distance, _ = val.sweep().best
    lanes = test.network.get_lanes(test.outputs, [dict(size=s) for s in test.sizes], conf, distance)
    return dict(zip(('f1', 'f1_75'), f1(test, lanes)), conf_threshold=round(conf, 3), nms_thres=round(distance, 2))

def train_once(camera, root, settings, seed, iterations, batch, load_from, work_dirs):
    "Train a small network and test it; what came of it"
    from srlane.config import load_config
    from srlane.look.interpretation import Interpretation
    from srlane.predict.network import weights_config
    from srlane.runner import Runner
    quiet = dict(data_root=str(root), work_dirs=str(work_dirs), eval_ep=10**6, sanity_batches=0, save_interval=0, workers=0)
    run = dict(seed=seed, total_iter=iterations, batch_size=batch, log_interval=100, **quiet, **camera.settings())
    schedule = f'scheduler.warm_up_iters={max(1, iterations//10)}'
    if load_from: cfg = weights_config(load_from, None, run, dict(load_from=str(load_from)), 'optimizer.lr=1e-3', schedule, *settings)
    else: cfg = load_config('demo', run, schedule, *settings)
    start = time.process_time()
    runner = Runner(cfg)
    runner.train(view='none')
    if runner.state.step < iterations: raise KeyboardInterrupt(runner.stop_reason)      # a run that was interrupted says nothing
    val, test = (Interpretation.from_runner(runner, split, progress=False) for split in ('val', 'test'))
    row = dict(zip(('f1', 'f1_75'), f1(test, test.predictions)), tuned=tuned_f1(runner, val, test))
    row['cpu_s'] = round(time.process_time() - start)
    runner.close()
    return row

def key(run): return tuple(run[k] for k in ('geometry', 'option', 'seed', 'iterations', 'batch', 'start'))

def measure(args, counts):
    "Run what the file does not hold yet, seed by seed, so that an interrupted comparison is a fair one"
    found = json.loads(args.out.read_text()) if args.out.exists() else dict(roads=counts, runs=[])
    if found['roads'] != counts:
        sys.exit(f"{args.out} has runs on {found['roads']} roads, not {counts}: move it away or name another --out")
    runs = found['runs']
    todo = [(s, g, o) for s in range(args.seeds) for g in args.geometries for o in ('published', *args.options)]
    for seed, geometry, option in todo:
        run = dict(geometry=geometry, option=option, seed=seed, iterations=args.iterations, batch=args.batch)
        run['start'] = args.load_from.name if args.load_from else 'nothing'
        if key(run) in map(key, runs): continue
        root = make_roads(args.root/geometry, cameras[geometry], counts)
        settings = [] if option == 'published' else option.split()
        with tempfile.TemporaryDirectory() as tmp, open(Path(tmp)/'log', 'w') as log:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                run |= train_once(cameras[geometry], root, settings, seed, args.iterations, args.batch, args.load_from, Path(tmp)/'runs')
        runs.append(run)
        write_whole(args.out, json.dumps(dict(roads=counts, runs=runs), indent=1) + '\n')
        print(f"{geometry} {option}, seed {seed}: F1 {run['f1']:.4f}, at 0.75 {run['f1_75']:.4f} ({run['cpu_s']} CPU seconds)", flush=True)
    return runs

# --- The table

def mean_error(x):
    "Mean, and its standard error (None of a single value)"
    return float(np.mean(x)), float(np.std(x, ddof=1)/len(x)**.5) if len(x) > 1 else None

def summary(runs):
    "A row for each geometry, schedule and option, over the seeds that the option and `published` share"
    value = dict(f1=lambda r: r['f1'], f1_75=lambda r: r['f1_75'], tuned=lambda r: r['tuned']['f1'])
    by, rows = {key(r): r for r in runs}, []
    for geometry, option, *schedule in dict.fromkeys((g, o, n, b, start) for g, o, _, n, b, start in by):
        both = [[by.get((geometry, o, s, *schedule)) for o in (option, 'published')] for s in sorted({k[2] for k in by})]
        if not (both := [o for o in both if None not in o]): continue
        ours, base = zip(*both)
        row = dict(geometry=geometry, option=option, iterations=schedule[0], batch=schedule[1], start=schedule[2], seeds=len(both))
        for k, f in value.items():
            row[k] = mean_error([f(r) for r in ours])
            if option != 'published': row[f'{k}_gain'] = mean_error([f(a) - f(b) for a, b in zip(ours, base)])
        rows.append(row)
    return sorted(rows, key=lambda r: (r['start'], r['batch'], r['iterations'], r['geometry']))

def table(rows):
    "The summary as Markdown; F1 in percent, mean ± standard error over the seeds, gains paired by seed"
    def say(v, sign=''):
        if v is None: return ''
        return f'{100*v[0]:{sign}.1f}' + ('' if v[1] is None else f' ± {100*v[1]:.1f}')
    head = 'geometry | option | start | steps × batch | seeds | F1@0.5 | gain | F1@0.75 | gain | tuned F1@0.5 | gain'.split(' | ')
    lines = [head, ['---']*len(head)]
    for r in rows:
        scores = [s for k in ('f1', 'f1_75', 'tuned') for s in (say(r[k]), say(r.get(f'{k}_gain'), '+'))]
        lines.append([r['geometry'], r['option'], r['start'], f"{r['iterations']} × {r['batch']}", str(r['seeds']), *scores])
    return '\n'.join('| ' + ' | '.join(o) + ' |' for o in lines)

def verdicts(rows):
    "A sentence on each option: it helps where its gain is above two standard errors, and hurts where it is below minus two"
    for option in dict.fromkeys(r['option'] for r in rows if r['option'] != 'published'):
        gains = {r['geometry']: r['f1_gain'] for r in rows if r['option'] == option and r['seeds'] > 2}
        sure = lambda sign: [g for g, (mean, error) in gains.items() if sign*mean > 2*error]
        few = sorted({r['geometry'] for r in rows if r['option'] == option} - {*gains})
        said = 'helps on ' + ', '.join(sure(1)) if sure(1) else '' if not gains else 'makes no difference that these runs can show'
        if sure(-1): said = f"{said + ', but ' if sure(1) else ''}hurts on {', '.join(sure(-1))}"
        unsaid = f"too few seeds to say on {', '.join(few)}" if few else ''
        yield f"{option}: {'; '.join(filter(None, [said, unsaid]))}"

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--options', nargs='*', default=['iou_slope=exact'], metavar='"KEY=VALUE …"',
                   help='settings to compare with the published ones')
    p.add_argument('--geometries', nargs='+', choices=[*cameras], default=['culane', 'tusimple', 'wide16x9'])
    p.add_argument('--seeds', type=int, default=5, help='seeds 0 to N-1 (default: 5)')
    p.add_argument('--iterations', type=int, default=200, help='steps of a run (default: 200)')
    p.add_argument('--batch', type=int, default=8, help='images of a step (default: 8)')
    demo = Path(__file__).parent.parent/'nbs/golden/demo.ckpt'
    p.add_argument('--load_from', type=Path, default=demo, help='weights at the start, or none')
    p.add_argument('--root', type=Path, default=Path('data/option-roads'), help='where the roads are, or will be')
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('options.json'))
    p.add_argument('--table', action='store_true', help='print what the file holds')
    p.add_argument('--quick', action='store_true', help='two steps on a few roads in a folder that goes away, only to see that it runs')
    args, counts = p.parse_args(), roads
    if any('=' not in s for o in args.options for s in o.split()): p.error('--options: give settings as KEY=VALUE')
    if str(args.load_from) == 'none': args.load_from = None
    with tempfile.TemporaryDirectory() as tmp:
        if args.quick:
            args.geometries, args.seeds, args.iterations = ['tusimple'], 2, 2
            args.root, args.out = Path(tmp)/'roads', Path(tmp)/'options.json'
            counts = dict(train=16, val=2, test=2)
        runs = json.loads(args.out.read_text())['runs'] if args.table else measure(args, counts)
    rows = summary(runs)
    print(table(rows), *verdicts(rows), sep='\n')
    print(json.dumps(dict(rows=rows)))

if __name__ == '__main__': main()
