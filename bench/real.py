"""What a network finds on real frames: F1 by data set, clip and brightness, steadiness on a video, images a second.

    python bench/real.py --weights FILE [--culane FOLDER] [--lists NAME …] [--tusimple FOLDER] [--video FILE] [--video-crop SHARE]
                         [--forms NAME …] [--conf P] [--batch N] [--threads N] [--out FILE] [--quick]

FOLDER of CULane: the frames of all `list/*.txt` (or of `list/test.txt` alone, with `--lists test`), without the top 270/590 of each; of
TuSimple: those frames of `*label*.json` that are there, without the top 160/720. Both are looked at once more with the crop that
`suggest_crop` finds from eight of the frames, without their labels (`srlane predict --crop auto`). Without a folder and a video, synthetic
roads stand in, to see that it runs. Images are scored in their own size with lines 30 px wide (`srlane eval culane`), TuSimple's by its accuracy too.
`--forms` measures the speed of exported files beside torch's, in turns.
Brightness is the mean grey level of what is left after the crop. The lines to the left and right of the camera are the *ego pair*; one of
them is lost where a frame has it and the next has not. The last line is one JSON object."""
import argparse, contextlib, io, json, os, tempfile, time
from pathlib import Path
from statistics import median
import cv2, numpy as np, torch
from srlane.basics import write_whole
from srlane.export import export
from srlane.metrics import culane_score, tusimple_score
from srlane.metrics.reading import read_lanes, read_list
from srlane.predict.predictor import Predictor
from srlane.predict.suggest_crop import suggest_crop
from srlane.video.ego import ego_lanes
from srlane.video.track import Tracker

CULANE_CROP, TUSIMPLE_CROP = (0, 270/590, 1, 1), (0, 160/720, 1, 1)     # shares of the image: left, top, right, bottom
BRIGHTNESS = (0, 60, 90, 120, 256)                                      # grey levels that part the groups

def culane_frames(root, lists):
    "For each frame its path, its lanes in pixels, and the clip it is from"
    names = sorted({n for f in sorted(Path(root, 'list').glob('*.txt')) if not lists or f.stem in lists for n in read_list(f)})
    for n in names:
        path = Path(root, n.lstrip('/'))
        yield path, read_lanes(path.with_suffix('.lines.txt').read_bytes())[0], path.parent.name

def tusimple_labels(root):
    "The labels of the frames that are there"
    labels = [json.loads(line) for f in sorted(Path(root).glob('*label*.json')) for line in f.read_text().splitlines() if line.strip()]
    return [o for o in labels if Path(root, o['raw_file']).is_file()]

def tusimple_frames(root):
    "For each frame its path, its lanes in pixels, and the day it is from"
    for o in tusimple_labels(root):
        lanes = [np.array([(x, y) for x, y in zip(xs, o['h_samples']) if x >= 0], float).reshape(-1, 2) for xs in o['lanes']]
        yield Path(root, o['raw_file']), [x for x in lanes if len(x) > 1], Path(o['raw_file']).parts[1]

def brightness(image, crop):
    "Name of the group that an image belongs to"
    h, w = image.shape[:2]
    grey = image[int(crop[1]*h):int(crop[3]*h), int(crop[0]*w):int(crop[2]*w)].mean()
    i = int(np.searchsorted(BRIGHTNESS, grey, side='right')) - 1
    return f'{BRIGHTNESS[i]}–{BRIGHTNESS[i + 1]}'

def score_frames(find, frames, crop):
    "F1 at IoU 0.5 in total, by clip and by brightness; of each image the lanes that were found, and its size"
    paths, truth, clips = zip(*frames)
    found, bright, sizes, lanes = [], [], [], []
    for p in find(list(map(str, paths)), stream=True, crop=crop):
        bright.append(brightness(p.image, crop)); sizes.append(p.size); lanes.append(p.lanes); found.append(p.curves)
    groups = {}
    for i, (c, b) in enumerate(zip(clips, bright)):
        for k in (f'clip {c}', f'brightness {b}'): groups.setdefault(k, []).append(i)
    groups = dict(sorted(groups.items()))
    score = lambda index: culane_score([lanes[i] for i in index], [truth[i] for i in index], size=[sizes[i] for i in index])
    row = lambda index: dict(images=len(index), f1=round(score(index).metric, 4))
    return dict(row(range(len(paths))), groups={k: row(v) for k, v in groups.items()}), found, sizes

def with_suggested_crop(find, frames):
    "The same with the crop that the network itself finds best, and that crop in pixels"
    crop = suggest_crop(find, [str(f[0]) for f in frames])
    return dict(score_frames(find, frames, tuple(v/side for v, side in zip(crop, crop.size*2)))[0], crop=list(crop))

def tusimple_accuracy(root, found, sizes):
    "TuSimple's own accuracy"
    labels = tusimple_labels(root)
    lanes = [[o.to_tusimple(t['h_samples'], s) for o in f] for f, t, s in zip(found, labels, sizes)]
    return tusimple_score(lanes, [o['lanes'] for o in labels], [o['h_samples'] for o in labels]).metric

def steadiness(find, video, fps, track):
    "Share of the frames in which both lines of the ego pair are found, and how often a minute one of them is lost"
    tracker, seen = Tracker() if track else None, []
    for p in find(video, stream=True):
        if tracker: p = tracker.update(p)
        seen.append([o is not None for o in ego_lanes(p.curves)])
    seen = np.array(seen)
    lost = int((seen[:-1] & ~seen[1:]).sum())
    return dict(frames=len(seen), ego_pair=round(float(seen.all(1).mean()), 4), lost_a_minute=round(lost/(len(seen)/fps/60), 2))

FORMS = dict(onnx='.onnx', openvino='.xml')

def exported(weights, names, folder):
    "Predictors of exported files, verified on synthetic roads as they are written"
    with contextlib.redirect_stdout(io.StringIO()):
        return {k: Predictor(export(weights, out=f'{folder}/{k}{FORMS[k]}', to=k).path) for k in names}

def images_a_second(finds, paths, crop, batch):
    "From JPEG files to lanes with each of the predictors, by the clock; median of three passes in turns"
    def once(find):
        start = time.perf_counter()
        n = sum(1 for _ in find(paths, stream=True, crop=crop, batch_size=batch))
        return n/(time.perf_counter() - start)
    passes = [{k: once(f) for k, f in finds.items()} for _ in range(4)][1:]
    return {k: round(median(o[k] for o in passes), 1) for k in finds}

def synthetic_culane(folder, n):
    "A folder of CULane's layout, drawn"
    from srlane.synth import make_culane
    make_culane(folder, n_train=1, n_val=1, n_test=n, size=(820, 295), workers=0, progress=False)
    return folder

def show(title, out):
    "A table of one data set"
    print(f"\n{title:36}{'images':>8}{'F1@0.5':>9}\n{'all':36}{out['images']:8}{out['f1']:9.4f}")
    for k, v in out['groups'].items(): print(f"{k:36}{v['images']:8}{v['f1']:9.4f}")

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--weights', help="as `srlane predict -w` takes them; the demo's where synthetic roads stand in")
    p.add_argument('--culane', help="folder of CULane's layout"); p.add_argument('--tusimple', help="folder of TuSimple's layout"); p.add_argument('--video', help='file')
    p.add_argument('--lists', nargs='*', default=(), help='of CULane, as train val test; all where left out')
    p.add_argument('--forms', nargs='*', choices=[*FORMS], default=(), help='exported files whose speed is measured too')
    p.add_argument('--conf', type=float, default=None, help="least probability of a lane; the network's where left out")
    p.add_argument('--video-crop', type=float, help="share of the video's height that is cut off at the top; as in training where left out")
    p.add_argument('--batch', type=int, default=1, help='images that go through the network together, for the speed')
    p.add_argument('--threads', type=int, default=2, help='of torch and OpenCV')
    p.add_argument('--out', help='file for the JSON object')
    p.add_argument('--quick', action='store_true', help='a few synthetic roads, only to see that it runs')
    a = p.parse_args()
    torch.set_num_threads(a.threads); cv2.setNumThreads(a.threads)
    with contextlib.ExitStack() as stack:
        if a.quick or not (a.culane or a.tusimple or a.video):
            a.tusimple = a.video = None
            a.culane = synthetic_culane(stack.enter_context(tempfile.TemporaryDirectory()), 8)
            a.weights = a.weights or Path(__file__).parents[1]/'nbs/golden/demo.ckpt'
        elif not a.weights: p.error('--weights: name the network that is to be tried')
        find = Predictor(a.weights, conf_threshold=a.conf)
        out = dict(weights=Path(a.weights).name, conf=a.conf, batch=a.batch, threads=a.threads)
        if a.culane:
            if not (frames := list(culane_frames(a.culane, a.lists))): p.error(f'--culane: {a.culane} lists no frames')
            out['culane'], *_ = score_frames(find, frames, CULANE_CROP)
            show('CULane', out['culane'])
            out['culane_suggested'] = with_suggested_crop(find, frames)
            show(f"CULane, suggested crop {out['culane_suggested']['crop']}", out['culane_suggested'])
            finds = dict(torch=find, **exported(a.weights, a.forms, stack.enter_context(tempfile.TemporaryDirectory())))
            out['images_a_second'] = images_a_second(finds, [str(f[0]) for f in frames[:60]], CULANE_CROP, a.batch)
        if a.tusimple:
            if not tusimple_labels(a.tusimple): p.error(f'--tusimple: {a.tusimple} has none of the frames of its test_label.json')
            out['tusimple'], found, sizes = score_frames(find, tusimple_frames(a.tusimple), TUSIMPLE_CROP)
            out['tusimple']['accuracy'] = round(tusimple_accuracy(a.tusimple, found, sizes), 4)
            show('TuSimple', out['tusimple'])
            print(f"{'accuracy':36}{out['tusimple']['accuracy']:17.4f}")
            out['tusimple_suggested'] = with_suggested_crop(find, [*tusimple_frames(a.tusimple)])
            show(f"TuSimple, suggested crop {out['tusimple_suggested']['crop']}", out['tusimple_suggested'])
        if a.video:
            fps = cv2.VideoCapture(a.video).get(cv2.CAP_PROP_FPS) or 25.
            if a.video_crop is not None: find.crop = (0, a.video_crop, 1, 1)
            for name, track in (('video', False), ('video_tracked', True)):
                out[name] = steadiness(find, a.video, fps, track)
                print(f'\n{name}: {out[name]}')
    if 'images_a_second' in out: print(f'\nfrom JPEG to lanes, images a second, {a.threads} threads, batches of {a.batch}')
    for k, v in out.get('images_a_second', {}).items(): print(f'{k:36}{v:17.1f}')
    if a.out: write_whole(a.out, json.dumps(out, indent=1) + '\n')
    print(json.dumps(dict(out, load=round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None)))

if __name__ == '__main__': main()
