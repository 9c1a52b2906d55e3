"""How fast the CULane metric is next to the usual Python port.

The port draws masks of 590×1640 pixels with OpenCV's line, once for each pair of lanes as the official program does, and once
for each lane as the better ports do. Its spline and its matching are the official ones; its pixels at the border are those of the OpenCV installed.
All are timed on the same lanes, in turns, in one process and one thread; times are CPU time, so that other work on the machine counts little.
At the end `srlane eval culane` is run as a whole, start-up, files and table included, by its default on all cores, and set against the official C++ program,
which does what the port does for each pair, 1.7 times as fast (36 images/s where the port does 21). The last line is JSON."""
import argparse, json, os, resource, subprocess, sys, tempfile, time
os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from srlane.metrics import culane_score, eval_culane
from srlane.metrics.reading import read_lanes, read_list

def spline(points, times=50):
    "Natural cubic spline in chord length, a transcription of the official C++"
    p = np.float32(points)
    n = len(p)
    if n < 3: return p
    step = (p[1:] - p[:-1]).astype(float)
    h = np.hypot(step[:,0], step[:,1])
    A, B, C, D = h[:-1].copy(), 2*(h[:-1] + h[1:]), h[1:].copy(), 6*(step[1:]/h[1:,None] - step[:-1]/h[:-1,None])
    C[0] /= B[0]; D[0] /= B[0]
    for i in range(1, n - 2):
        t = B[i] - A[i]*C[i-1]
        C[i] /= t; D[i] = (D[i] - A[i]*D[i-1])/t
    M = np.zeros((n, 2)); M[n-2] = D[n-3]
    for i in range(n - 4, -1, -1): M[i+1] = D[i] - C[i]*M[i+2]
    out = []
    for i in range(n - 1):
        b, c, d = step[i]/h[i] - (2*h[i]*M[i] + h[i]*M[i+1])/6, M[i]/2, (M[i+1] - M[i])/(6*h[i])
        t = (h[i]/times*np.arange(times))[:,None]
        out.append((p[i] + b*t + c*t**2 + d*t**3).astype(np.float32))
    return np.concatenate(out + [p[-1:]])

def mask(lane, size=(1640, 590), width=30):
    img = np.zeros(size[::-1], np.uint8)
    points = np.rint(spline(lane)).astype(int).tolist()
    for a, b in zip(points[:-1], points[1:]): cv2.line(img, a, b, 1, width)
    return img

def mask_iou(a, b):
    shared = np.count_nonzero(a & b)
    total = np.count_nonzero(a) + np.count_nonzero(b) - shared
    return shared/total if total else 0.

def port(pred, anno, once):
    "TP, FP, FN of one image"
    if once:
        p, a = [mask(l) for l in pred], [mask(l) for l in anno]
        iou = np.array([[mask_iou(x, y) for y in p] for x in a])
    else: iou = np.array([[mask_iou(mask(x), mask(y)) for y in pred] for x in anno])
    if not iou.size: return 0, len(pred), len(anno)
    i, j = linear_sum_assignment(-iou)
    tp = int((iou[i,j] > .5).sum())
    return tp, len(pred) - tp, len(anno) - tp

def synthetic_lanes(n, seed=0):
    "Lanes with the look of CULane's: annotations every 10 rows, predictions every 8"
    rng, pred, anno = np.random.default_rng(seed), [], []
    for _ in range(n):
        a, p, van, curve = [], [], np.array([rng.normal(820, 80), rng.normal(250, 15)]), rng.normal(0, 120)
        for k in range(-2, 2):
            if rng.random() < .15: continue
            lane = lambda ys, e: np.stack([van[0] + (k + .5 + e)*1.6*(ys - van[1]) + curve*((590 - ys)/340)**2, ys], 1)
            keep = lambda l: l[(l[:,0] > 0) & (l[:,0] < 1640)]
            x = keep(lane(np.arange(590, rng.integers(26, 34)*10, -10.), 0)).round(3)
            if len(x) > 2: a.append(x)
            x = keep(lane(np.arange(582, rng.integers(270, 350), -8.), rng.normal(0, .04))).round(5)
            if len(x) > 2 and rng.random() < .9: p.append(x)
        pred.append(p); anno.append(a)
    return pred, anno

def load(folder):
    "Lanes of the golden set: list.txt, pred, anno"
    read = lambda kind: [read_lanes(f.read_bytes())[0] if (f := (folder/kind/n).with_suffix('.lines.txt')).exists() else [] for n in read_list(folder/'list.txt')]
    return read('pred'), read('anno')

OFFICIAL = 36/21     # how fast the official program is next to the port that draws each pair

def write_tree(root, pred, anno):
    "CULane's folders with these lanes: predictions, labels, the lists of the nine categories"
    names = [f'drive_{i//1000}/{i//100:04d}.MP4/{i%100:05d}.jpg' for i in range(len(anno))]
    for kind, images in (('pred', pred), ('data', anno)):
        for name, image in zip(names, images):
            path = (root/kind/name).with_suffix('.lines.txt')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(''.join(' '.join(f'{v:.5f}' if kind == 'pred' else f'{v:g}' for v in lane.ravel()) + '\n' for lane in image))
    (root/'data/list/test_split').mkdir(parents=True)
    for k, category in enumerate('normal crowd hlight shadow noline arrow curve cross night'.split()):
        (root/f'data/list/test_split/test{k}_{category}.txt').write_text(''.join(n + '\n' for n in names[k::9]))

def command(root, rounds):
    "Seconds of `srlane eval culane`, of the clock and of all cores"
    code, seconds = 'import sys; from srlane.cli import main; sys.exit(main())', []
    for _ in range(rounds):
        spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        start, cpu = time.perf_counter(), spent()
        subprocess.run([sys.executable, '-c', code, 'eval', 'culane', root/'pred', root/'data'], check=True, stdout=subprocess.DEVNULL)
        seconds.append((time.perf_counter() - start, spent() - cpu))
    return np.min(seconds, 0).tolist()

def clock(f, *args, **kw):
    start = time.process_time()
    out = f(*args, **kw)
    return time.process_time() - start, out

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    ap.add_argument('--lanes', help='folder with list.txt, pred and anno; synthetic lanes without it')
    ap.add_argument('--images', type=int, default=600, help='synthetic images')
    ap.add_argument('--rounds', type=int, default=5, help='times that all take turns')
    ap.add_argument('--port-images', type=int, default=40, help='images the port scores each round')
    ap.add_argument('--most', type=int, default=34680, help='images of the longest run')
    ap.add_argument('--files', type=int, default=6400, help='images that the whole command scores')
    ap.add_argument('--quick', action='store_true', help='a few images and one round, only to see that it runs')
    a = ap.parse_args()
    if a.quick: a.images, a.rounds, a.port_images, a.most, a.files = 8, 1, 2, 200, 300
    cv2.setNumThreads(0)
    pred, anno = load(Path(a.lanes)) if a.lanes else synthetic_lanes(a.images)
    n, m = len(anno), min(a.port_images, len(anno))
    code = 'from srlane.metrics import culane_score; culane_score([[[(9, 9), (300, 500), (310, 590)]]], [[[(9, 9), (300, 520)]]])'
    first = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
        first.append(time.perf_counter() - start)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = {k: [] for k in ('ours', 'port, per pair', 'port, per lane')}
    culane_score(pred[:8], anno[:8])
    for r in range(a.rounds):
        some = [(r*m + i) % n for i in range(m)]
        for name, once in (('port, per pair', False), ('port, per lane', True)):
            t, counts = clock(lambda: [port(pred[i], anno[i], once) for i in some])
            rate[name].append(m/t)
        t, score = clock(culane_score, pred, anno)
        rate['ours'].append(n/t)
        same = sum(tuple(c) == (score.tp[i,0], score.fp[i,0], score.fn[i,0]) for c, i in zip(counts, some))
        if same < m: print(f'{m - same} of {m} images have other counts in the port (OpenCV {cv2.__version__})')
    ours = np.array(rate['ours'])
    print(f'{n} images, {sum(map(len, pred)) + sum(map(len, anno))} lanes, OpenCV {cv2.__version__}, medians of {a.rounds} rounds')
    for k, v in rate.items(): print(f'{k:16}{np.median(v):9.1f} images/s{np.median(ours/np.array(v)):9.1f}×')
    if a.lanes:
        t = [clock(eval_culane, Path(a.lanes)/'pred', Path(a.lanes)/'anno', list=Path(a.lanes)/'list.txt', progress=False)[0] for _ in range(a.rounds)]
        print(f'{"ours, from files":16}{n/np.median(t):9.1f} images/s')
    with tempfile.TemporaryDirectory() as tmp:
        write_tree(Path(tmp), *synthetic_lanes(a.files, 1))
        clock_s, cpu_s = command(Path(tmp), min(a.rounds, 3))
    official = OFFICIAL*np.median(rate['port, per pair'])
    print(f'srlane eval culane, {a.files} images: {clock_s:.2f} s, {a.files/clock_s/official:.1f}× the official program; {cpu_s:.2f} s of CPU, {a.files/cpu_s/official:.1f}×')
    lines = {}
    for total in (n, 4*n, 16*n, a.most):
        k = -(-total//n)
        t, score = clock(culane_score, (pred*k)[:total], (anno*k)[:total])
        lines[total] = t
        print(f'{total:7} images {t:8.2f} s {t/total*1e3:8.3f} ms per image')
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)/1024
    print(f'first call from a fresh interpreter {min(first):.2f} s of wall time, start and imports included; peak memory {memory:.0f} MB ({base/1024:.0f} MB before the first image)')
    print(json.dumps(dict(command_images=a.files, command_s=round(clock_s, 2), command_cpu_s=round(cpu_s, 2), times_official=round(a.files/clock_s/official, 1),
                          times_official_cpu=round(a.files/cpu_s/official, 1), images_per_s=round(float(np.median(ours)), 1), times_port_per_pair=round(float(np.median(ours/np.array(rate['port, per pair']))), 1),
                          times_port_per_lane=round(float(np.median(ours/np.array(rate['port, per lane']))), 1), first_call_s=round(min(first), 2), peak_mb=round(memory),
                          ms_per_image={str(k): round(v/k*1e3, 3) for k, v in lines.items()})))

if __name__ == '__main__': main()
