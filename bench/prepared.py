"""Training samples from prepared data next to samples from JPEGs.

    python bench/prepared.py [--config culane_r18] [--data FOLDER] [--split train] [--images 24] [--rounds 4] [--quick]

Four ways make samples of the same frames in turns, in one thread: directly, from prepared network images, from prepared crops, and from prepared
network images that the device is to warp and colour (`augment_on=device`; a validation has nothing of that to do, and is the same). They do so with the preset's augmentation, without its changes of geometry, and without any, as a validation does. CPU seconds are
compared, the least of four turns for each sample, from the second epoch on: in the first each frame's checksum is compared too, which
is timed apart. A ratio is samples a second from prepared data over those read directly. The last line is one JSON object."""
import argparse, json, tempfile, time
from pathlib import Path
import cv2, torch
import numpy as np
from srlane.config import load_config
from srlane.data.images import recycle_memory
from srlane.data.loader import build_dataset
from srlane.data.prepare import prepare
from srlane.synth import make_culane

moves = {'HorizontalFlip', 'Affine', 'RandomCrop'}     # changes of geometry

def timed(f, key):
    "CPU seconds of a call"
    start = time.process_time()
    f(key)
    return time.process_time() - start

def ways(a, root, store, kind):
    "The data set of the direct way, of prepared network images, of prepared crops, and of network images for the device"
    def dataset(*more):
        cfg = load_config(a.config, f'data_root={root}', *more)
        if kind == 'without geometry': cfg.augment = [o for o in cfg.augment if o['name'] not in moves]
        return build_dataset(cfg.dataset[a.split], cfg, is_train=kind != 'validation')
    return dict(direct=dataset(), network=dataset(f'prepared={store}'), crop=dataset(f'prepared={store}', 'prepared_frames=crop'),
                device=dataset(f'prepared={store}', 'augment_on=device'))

def measure(sets, rounds):
    "CPU seconds a sample of each way, the least of four turns; and in the first epoch"
    n = min(map(len, sets.values()))
    first = {k: np.median([timed(ds.__getitem__, (0, i)) for i in range(n)]) for k, ds in sets.items()}
    def turns(*key): # each way is once the first: it finds the memory cold
        ways = [*sets.items()]
        found = [{k: timed(ds.__getitem__, key) for k, ds in ways[t:] + ways[:t]} for t in range(len(ways))]
        return [min(o[k] for o in found) for k in sets]
    rows = [turns(epoch, i) for epoch in range(1, rounds + 1) for i in range(n)]
    return first, dict(zip(sets, np.mean(rows, 0)))

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('--config', default='culane_r18', help='preset or file')
    p.add_argument('--data', help="a data set of that preset, in its official layout (default: synthetic roads in CULane's)")
    p.add_argument('--split', default='train', choices=['train', 'val', 'test'], help='the split of it to take')
    p.add_argument('--images', type=int, default=24, help='synthetic frames')
    p.add_argument('--rounds', type=int, default=4, help='epochs over them')
    p.add_argument('--quick', action='store_true', help='two frames and one epoch, only to see that it runs')
    a = p.parse_args()
    if a.quick: a.images, a.rounds = 2, 1
    cv2.setNumThreads(0); torch.set_num_threads(1); recycle_memory()     # as a worker process does
    result = {}
    with tempfile.TemporaryDirectory() as tmp:
        root, store = a.data or make_culane(Path(tmp)/'roads', a.images, 1, 1, progress=False), Path(tmp)/'store'
        cfg = load_config(a.config, f'data_root={root}')
        ds = build_dataset(cfg.dataset[a.split], cfg, is_train=True)
        for frames in ('network', 'crop'):
            start = time.process_time()
            folder = prepare(ds, store, frames)
            result[f'prepare_ms_{frames}'] = (time.process_time() - start)/len(ds)*1e3
            result[f'kilobytes_{frames}'] = sum(o.stat().st_size for o in folder.iterdir())/len(ds)/1e3
        print(f"{'CPU ms a sample':22s}{'JPEG':>8s}{'network':>9s}{'crop':>9s}{'device':>9s}{'JPEG/nw.':>9s}{'JPEG/crop':>10s}{'JPEG/dev.':>10s}")
        for kind, key in (('preset', ''), ('without geometry', '_plain'), ('validation', '_val')):
            first, later = measure(ways(a, root, store, kind), a.rounds)
            ratio = {k: later['direct']/later[k] for k in ('network', 'crop', 'device')}
            print(f'{kind:22s}' + ''.join(f'{later[k]*1e3:9.2f}' for k in later)[1:] + ''.join(f'{r:{n}.2f}' for r, n in zip(ratio.values(), (9, 10, 10))))
            result |= {f'prepared_over_direct{key}': ratio['network'], f'crop_over_direct{key}': ratio['crop'], f'prepared_device_over_direct{key}': ratio['device'], f'direct_ms{key}': later['direct']*1e3,
                       f'prepared_ms{key}': later['network']*1e3, f'first_epoch_ms{key}': first['network']*1e3}
    print(f"in the first epoch, with checksums, a sample of network images costs {result['first_epoch_ms']:.2f} ms")
    print(json.dumps({k: round(float(v), 3) for k, v in result.items()}))

if __name__ == '__main__': main()
