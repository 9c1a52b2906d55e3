"""How fast the TuSimple metric is next to a plain transcription of its rules.

The transcription compares lane by lane as the official script does, with its fit in NumPy instead of scikit-learn (which is slower).
Both get the same parsed lanes, in turns, in one process and one thread (CPU time), and must agree in every image. The last line is JSON."""
import argparse, json, os, time
os.environ.setdefault('OMP_NUM_THREADS', '1')
import numpy as np
from srlane.metrics import eval_tusimple, tusimple_score

def slope(xs, ys):
    xs, ys = xs[xs >= 0], ys[xs >= 0]
    if len(xs) < 2: return 0.
    dy = ys - ys.mean()
    return (dy*(xs - xs.mean())).sum()/(dy*dy).sum()

def line_accuracy(pred, anno, threshold):
    pred = np.array([p if p >= 0 else -100 for p in pred])
    anno = np.array([g if g >= 0 else -100 for g in anno])
    return np.sum(np.where(np.abs(pred - anno) < threshold, 1., 0.))/len(anno)

def plain(pred, anno, h_samples):
    "Accuracy, FP and FN of one image"
    if len(pred) > len(anno) + 2: return 0., 0., 1.
    thresholds = [20/np.cos(np.arctan(slope(np.array(a), np.array(h_samples)))) for a in anno]
    best, fn, matched = [], 0., 0.
    for a, t in zip(anno, thresholds):
        accs = [line_accuracy(np.array(p), np.array(a), t) for p in pred]
        best.append(np.max(accs) if len(accs) > 0 else 0.)
        if best[-1] < 0.85: fn += 1
        else: matched += 1
    if len(anno) > 4 and fn > 0: fn -= 1
    s = sum(best)
    if len(anno) > 4: s -= min(best)
    n = max(min(4., len(anno)), 1.)
    return s/n, (len(pred) - matched)/len(pred) if len(pred) else 0., fn/n

def synthetic(n, seed=0):
    "Straight lanes in whole pixels, four or five an image"
    rng, ys = np.random.default_rng(seed), list(range(160, 720, 10))
    pred, anno = [], []
    for _ in range(n):
        a = [np.round(rng.uniform(0, 1280) + rng.normal(0, 1.)*(np.array(ys) - 300)).astype(int) for _ in range(rng.integers(3, 6))]
        for l in a: l[:rng.integers(6, 12)] = -2
        anno.append([l.tolist() for l in a]); pred.append([(l + rng.integers(-16, 17)).tolist() for l in a])
    return pred, anno, [ys]*n

def load(pred, label):
    read = lambda path: [json.loads(l) for l in open(path)]
    truth = {e['raw_file']: e for e in read(label)}
    preds = read(pred)
    return [e['lanes'] for e in preds], [truth[e['raw_file']]['lanes'] for e in preds], [truth[e['raw_file']]['h_samples'] for e in preds]

def clock(f, *args):
    start = time.process_time()
    out = f(*args)
    return time.process_time() - start, out

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    ap.add_argument('--pred', help='prediction file; synthetic lanes without it')
    ap.add_argument('--label', help='label file')
    ap.add_argument('--images', type=int, default=2000, help='synthetic images')
    ap.add_argument('--rounds', type=int, default=5, help='times that both take turns')
    ap.add_argument('--quick', action='store_true', help='a few images and one round, only to see that it runs')
    a = ap.parse_args()
    if a.quick: a.images, a.rounds = 20, 1
    pred, anno, rows = load(a.pred, a.label) if a.pred else synthetic(a.images)
    n, ours, theirs = len(anno), [], []
    for _ in range(a.rounds):
        t, want = clock(lambda: [plain(*image) for image in zip(pred, anno, rows)]); theirs.append(t)
        t, score = clock(tusimple_score, pred, anno, rows); ours.append(t)
        assert np.array_equal(np.stack([score.accuracies, score.fps, score.fns], 1), np.array(want)), 'the two differ'
    times = float(np.median(np.array(theirs)/np.array(ours)))
    print(f'{n} images, {sum(map(len, pred))} and {sum(map(len, anno))} lanes, every image equal, medians of {a.rounds} rounds')
    print(f'plain transcription {np.median(theirs)/n*1e6:8.1f} µs per image\nours                {np.median(ours)/n*1e6:8.1f} µs per image   {times:.1f}×')
    out = dict(times=round(times, 1), us_per_image=round(np.median(ours)/n*1e6, 1))
    if a.pred:
        t = clock(eval_tusimple, a.pred, a.label)[0]
        print(f'ours, from files    {t/n*1e6:8.1f} µs per image')
        out['files_us_per_image'] = round(t/n*1e6, 1)
    print(json.dumps(out))

if __name__ == '__main__': main()
