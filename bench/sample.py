"""What one training sample costs next to decoding its JPEG.

    python bench/sample.py [FRAME.jpg …] [--config culane_r18] [--rounds 12] [--quick]

A frame, with its label FRAME.lines.txt beside it, may be one of CULane's; without any, roads are drawn (1640×590).
`cv2.imread` of the same file and the whole sample run in turns, in one thread, and so do the parts of a sample;
CPU seconds are compared, which other work on the machine disturbs least. The published code needs 2.4 times as long as the decoding.
The reduced way is for a network's image of half the width and height, for which half of each JPEG is enough (`decode_reduced`).
With `augment_on=device` a sample is what is left to a CPU where a GPU warps and colours.
The last line is one JSON object."""
import argparse, json, shutil, tempfile, time
from pathlib import Path
import cv2, torch
import numpy as np
from srlane.config import load_config
from srlane.data.datasets import to_tensor
from srlane.data.images import network_image, recycle_memory
from srlane.data.loader import build_dataset
from srlane.data.targets import lane_targets, network_lanes
from srlane.synth import make_culane

def timed(f, *args):
    "(result, CPU milliseconds)"
    start = time.process_time_ns()
    result = f(*args)
    return result, (time.process_time_ns() - start)/1e6

def parts(ds, i, epoch):
    "CPU milliseconds of each part of a sample"
    rng, entry, ms = np.random.default_rng([ds.seed, epoch, i]), ds.items[i], {}
    (img, g, shrink), ms['read'] = timed(ds.read, i)
    lanes, ms['label'] = timed(ds.lanes, entry)
    matrix, ms['draw'] = timed(lambda: ds.augment.drawn(rng).matrix(rng, g.img_size))
    _, ms['targets'] = timed(lambda: lane_targets(network_lanes(lanes, g, matrix), g, ds.max_lanes, ds.strides, seg=ds.seg))
    small, ms['warp'] = timed(network_image, img, g, matrix, shrink)
    out, ms['colour'] = timed(ds.augment, small, rng)
    _, ms['tensor'] = timed(to_tensor, out)
    return ms

def copied(frames, root):
    "A data root that holds these frames and their labels"
    (root/'list').mkdir(parents=True)
    for k, f in enumerate(map(Path, frames)):
        for ending in ('.jpg', '.lines.txt'): shutil.copy(f.with_suffix(ending), root/f'{k}{ending}')
    (root/'list/train_gt.txt').write_text(''.join(f'{k}.jpg\n' for k in range(len(frames))))
    return root

def measured(ds, rounds):
    "CPU milliseconds: (n,) of `cv2.imread`, (n,) of a sample, dict of (n,) of its parts"
    rows, split = [], []
    for i in range(len(ds)): ds[i]
    for epoch in range(rounds):
        for i, e in enumerate(ds.items):
            rows.append((timed(cv2.imread, e.image)[1], timed(ds.__getitem__, (epoch, i))[1]))
            split.append(parts(ds, i, epoch))
    return *np.array(rows).T, {k: np.array([o[k] for o in split]) for k in split[0]}

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('frames', nargs='*', metavar='FRAME.jpg', help='frames of a camera, instead of synthetic ones')
    p.add_argument('--config', default='culane_r18', help='preset or file')
    p.add_argument('--images', type=int, default=24, help='synthetic frames')
    p.add_argument('--rounds', type=int, default=12, help='epochs over them')
    p.add_argument('--quick', action='store_true', help='two frames and one epoch, only to see that it runs')
    a = p.parse_args()
    if a.quick: a.images, a.rounds, a.frames = 2, 1, a.frames[:2]
    cv2.setNumThreads(0); torch.set_num_threads(1); recycle_memory()
    with tempfile.TemporaryDirectory() as tmp:
        root = copied(a.frames, Path(tmp)/'frames') if a.frames else make_culane(Path(tmp)/'roads', a.images, 1, 1, progress=False)
        dataset = lambda *more: build_dataset((cfg := load_config(a.config, f'data_root={root}', *more)).dataset.train, cfg, is_train=True)
        whole = dataset()
        w, h = whole.geometry.img_size
        half = [f'img_w={w//2}', f'img_h={h//2}']
        decode, sample, split = measured(whole, a.rounds)
        frame = measured(dataset('augment_on=device'), a.rounds)
        small, less = (measured(dataset(*half, f'decode_reduced={o}'), a.rounds) for o in ('false', 'true'))
    ratio = lambda m: round(float(np.median(m[1]/m[0])), 3)
    share = {k: round(float(v.mean()/decode.mean()), 3) for k, v in split.items()}
    print(f"{'part of a sample, mean':26s}{'CPU ms':>8s}{'/ imread':>10s}")
    for k, v in split.items(): print(f'{k:26s}{v.mean():8.2f}{share[k]:10.2f}')
    print(f"{'whole sample, median':26s}{np.median(sample):8.2f}\n{'cv2.imread, median':26s}{np.median(decode):8.2f}\n")
    print(f"{'sample / imread, median of pairs':46s}{ratio((decode, sample)):6.2f}   (published code: 2.4)")
    print(f"{'with augment_on=device':46s}{ratio(frame):6.2f}   ({np.median(frame[1]):.2f} ms)")
    print(f"{f'for an image of {w//2}×{h//2}':46s}{ratio(small):6.2f}\n{f'for an image of {w//2}×{h//2}, decode_reduced':46s}{ratio(less):6.2f}")
    print(json.dumps(dict(
        sample_ms=round(float(np.median(sample)), 3), decode_ms=round(float(np.median(decode)), 3), sample_over_decode=ratio((decode, sample)),
        device_over_decode=ratio(frame), half_over_decode=ratio(small), reduced_over_decode=ratio(less), parts_over_decode=share, published=2.4)))

if __name__ == '__main__': main()
