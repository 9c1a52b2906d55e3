"""Five label formats, from a folder to a trained network: `srlane init FOLDER`, then `srlane train FOLDER.yaml`, and nothing else.

    python bench/own_labels.py [--formats NAME …] [--images N] [--keep DIR] [--quick]

The folders hold the same synthetic roads of three image sizes, labelled as labelme, CVAT, COCO keypoints, BDD100K and CurveLanes have it. The
configuration is what `srlane init` proposes: it begins with the weights of the package where the preset `small` fits. The F1 is the best of
the run on its own validation split, the minutes are those of `srlane train`, its start among them. The last line is one JSON object."""
import argparse, json, os, re, subprocess, sys, tempfile, time
from pathlib import Path
import cv2, numpy as np
from srlane.data.formats import FORMATS, LabelledImage, convert_labels, write_index
from srlane.synth import render, sample_scene

SIZES = (820, 295), (640, 360), (480, 320)
MAIN = 'import sys; from srlane.cli import main; sys.exit(main())'       # the command `srlane`, also where it is not on the path
TREES = dict(labelme='labels', cvat='annotations.xml', coco='annotations.json', bdd100k='labels.json', curvelanes='tree') # what is written

def draw_roads(folder, n, seed=0):
    "An index of synthetic roads, the sizes in turn"
    records = []
    for k in range(n):
        s = sample_scene(np.random.default_rng([seed, k]), ('normal', 'crowd', 'shadow')[k//len(SIZES)%3], SIZES[k%len(SIZES)])
        cv2.imwrite(str(folder/f'road_{k:04d}.jpg'), cv2.cvtColor(render(s), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        records.append(LabelledImage(f'road_{k:04d}.jpg', s.size, [p for p in s.lanes if len(p) > 1]))
    write_index(folder/'index.jsonl', records)
    return folder/'index.jsonl'

def run(*args, cwd):
    "A command of srlane, its output, and its minutes"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, '-c', MAIN, *args], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: raise SystemExit(f'srlane {" ".join(args)}:\n{done.stdout[-3000:]}')
    return done.stdout, (time.perf_counter() - start)/60

def measure(name, index, place, more=()):
    "F1 and minutes of one format"
    folder = place/name
    folder.mkdir()
    if name != 'curvelanes':                            # the other formats leave the images where they are: beside the labels
        for p in index.parent.glob('*.jpg'): os.link(p, folder/p.name)
        os.link(index, folder/index.name)
    source = index if name == 'curvelanes' else folder/index.name
    convert_labels(source, folder/TREES[name], to=name)
    if name != 'curvelanes': source.unlink()
    run('init', name, cwd=place)
    out, minutes = run('train', f'{name}.yaml', *more, cwd=place)
    return dict(f1=float(re.findall(r'best metric ([\d.]+)', out)[-1]), minutes=round(minutes, 2))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--formats', nargs='*', choices=[*TREES], default=[*TREES], help='all where left out')
    p.add_argument('--images', type=int, default=240, help='in each folder')
    p.add_argument('--keep', type=Path, help='new folder for roads, labels and runs; a temporary one where left out')
    p.add_argument('--quick', action='store_true', help='twelve images of one format and two steps, only to see that it runs')
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        place = a.keep or Path(tmp)
        (place/'roads').mkdir(parents=True)
        index = draw_roads(place/'roads', 12 if a.quick else a.images)
        print(f"{'format':14}{'F1@0.5':>8}{'minutes':>9}")
        out = {}
        for name in ['cvat'] if a.quick else a.formats:
            out[name] = measure(name, index, place, ['total_iter=2', 'scheduler.warm_up_iters=1', 'eval_ep=1'] if a.quick else ())
            print(f"{FORMATS[name][0]:14}{out[name]['f1']:8.4f}{out[name]['minutes']:9.1f}", flush=True)
    print(json.dumps(dict(out, load=round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None)))

if __name__ == '__main__': main()
