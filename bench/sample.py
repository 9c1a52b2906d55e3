"""What one training sample costs next to decoding its JPEG.

The published code needs 2.4 times as long as the decoding alone. Both are timed here on synthetic 1640×590 frames, in turns,
in one thread; medians are compared. The last line is JSON."""
import argparse, json, tempfile, time
from pathlib import Path
import cv2, torch
import numpy as np
from srlane.config import load_config
from srlane.data.datasets import to_tensor
from srlane.data.loader import build_dataset
from srlane.synth import make_culane
from srlane.data.targets import lane_targets, network_lanes
from srlane.data.images import network_image, read_image

def timed(f, *args):
    "(result, milliseconds)"
    start = time.perf_counter()
    result = f(*args)
    return result, (time.perf_counter() - start)*1e3

def parts(ds, i, epoch):
    "Milliseconds of each part of a sample"
    rng, entry, g = np.random.default_rng([0, epoch, i]), ds.items[i], ds.geometry
    (img, _, shrink), decode = timed(ds.read, i)
    lanes, label = timed(ds.lanes, entry)
    matrix, draw = timed(ds.augment.matrix, rng, g.img_size)
    t, targets = timed(lambda: lane_targets(network_lanes(lanes, g, matrix), g, ds.max_lanes, ds.strides))
    small, warp = timed(network_image, img, g, matrix, shrink)
    out, pixels = timed(ds.augment, small, rng)
    _, tensor = timed(to_tensor, out)
    return {'decode': decode, 'read the label': label, 'draw the geometry': draw, 'targets': targets, 'crop, resize and warp': warp, 'augment pixels': pixels, 'to tensor': tensor}

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('--config', default='culane_r18', help='preset or file')
    p.add_argument('--images', type=int, default=24, help='synthetic frames')
    p.add_argument('--rounds', type=int, default=12, help='epochs over them')
    p.add_argument('--quick', action='store_true', help='two frames and one epoch, only to see that it runs')
    a = p.parse_args()
    if a.quick: a.images, a.rounds = 2, 1
    cv2.setNumThreads(0); torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as tmp:
        root = make_culane(Path(tmp)/'roads', a.images, 1, 1, progress=False)
        cfg = load_config(a.config, f'data_root={root}')
        ds = build_dataset(cfg.dataset.train, cfg, is_train=True)
        for i in range(len(ds)): ds[i]
        decode, sample, split = [], [], []
        for epoch in range(a.rounds):
            for i in range(len(ds)):
                decode.append(timed(read_image, ds.items[i].image)[1])
                sample.append(timed(ds.__getitem__, (epoch, i))[1])
                split.append(parts(ds, i, epoch))
    median = lambda k: float(np.median([o[k] for o in split]))
    ratio = float(np.median(np.array(sample)/decode))
    print(f"{'part of a sample':24s}{'ms':>8s}")
    for k in split[0]: print(f'{k:24s}{median(k):8.2f}')
    print(f"{'whole sample':24s}{np.median(sample):8.2f}\n{'decoding its JPEG':24s}{np.median(decode):8.2f}\n{'ratio':24s}{ratio:8.2f}   (published code: 2.4)")
    print(json.dumps(dict(sample_ms=round(float(np.median(sample)), 3), decode_ms=round(float(np.median(decode)), 3), sample_over_decode=round(ratio, 3), published=2.4)))

if __name__ == '__main__': main()
