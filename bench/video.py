"""How near the annotation of a video comes to what its slowest part alone allows.

    python bench/video.py [--weights FILE] [--config culane_r18] [--size 960 540] [--frames 100] [--rounds 5] [--threads N] [--quick]

A drive along a synthetic road is written as a video. Each kind of work is then timed alone, with everything it needs at
hand: decode, infer (prepare, network and decoding), track, draw, encode. `srlane.video.annotate` does them at the same
time, each in a thread. Rounds of both take turns, so that a busy machine disturbs both alike, and the ratio is the
median over rounds. A busy machine may not give a second thread a core of its own. How many cores there really are is
measured in each round, by work that needs no Python, in one thread and in two; the second ratio compares with what that
many cores allow, where the first supposes that every part had a core for itself.
The last line is one JSON object."""
import argparse, hashlib, json, tempfile, threading, time, warnings
from dataclasses import replace
from pathlib import Path
from statistics import median
import torch
from srlane.config import load_config
from srlane.lane import Lane
from srlane.models.detector import build_net
from srlane.predict.predictor import Predictor
from srlane.predict.sources import open_source
from srlane.synth import drive, render
from srlane.video import Tracker, VideoWriter, annotate, draw_frame

def timed(work):
    "Seconds by the clock, and seconds of the CPU"
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu

def spin():
    "Work that does not hold Python's lock"
    for _ in range(12): hashlib.sha256(bytes(1 << 22))

def cores_given()->float: # 1 … 2
    "How many cores two threads get together, in units of what one gets"
    def together():
        threads = [threading.Thread(target=spin) for _ in range(2)]
        for t in threads: t.start()
        for t in threads: t.join()
    one, two = timed(spin)[0], timed(together)[0]
    return min(2., max(1., 2*one/two))

class Labelled:
    "A predictor with random weights, which finds nothing: the road's own lanes are tracked and drawn in place of its own"
    def __init__(self, predictor, lanes): self.predictor, self.lanes = predictor, lanes
    def stream(self, *args, **how):
        for p in self.predictor.stream(*args, **how): yield replace(p, curves=self.lanes[p.index])

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--weights', help='a checkpoint or a run; without it random weights of --config')
    p.add_argument('--config', default='culane_r18')
    p.add_argument('--size', type=int, nargs=2, default=(960, 540), metavar=('W', 'H'))
    p.add_argument('--frames', type=int, default=100)
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--threads', type=int, help="torch's; by default its own choice")
    p.add_argument('--preset', default='veryfast', help="x264's")
    p.add_argument('--quick', action='store_true', help='a few frames of the demo network, only to see that it runs')
    a = p.parse_args()
    if a.quick: a.config, a.size, a.frames, a.rounds = 'demo', (410, 148), 6, 1
    if a.threads: torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    predictor = Predictor(a.weights or build_net(load_config(a.config, 'backbone.pretrained=false')), crop=None if a.weights else (0, 0, *a.size))
    road = list(drive(5, a.frames, 'normal', tuple(a.size)))
    if not a.weights: predictor = Labelled(predictor, [[Lane.from_pixels(o, a.size, .9) for o in s.lanes] for s in road])
    warnings.simplefilter('ignore')      # of the crop
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        with VideoWriter(tmp/'road', fps=25) as video:
            for s in road: video.write(render(s))
        source = video.saved
        frames = list(open_source(source))
        found = list(predictor.stream(frames, read_ahead=0))
        tracked = [*map(Tracker().update, found)]
        drawn = [draw_frame(o.image, o.curves, o.ids, o.ego, o.offset) for o in tracked]
        def encode():
            with VideoWriter(tmp/'alone', fps=25, preset=a.preset) as video:
                for img in drawn: video.write(img)
        tracker = Tracker()
        parts = dict(
            decode=lambda: [None for _ in open_source(source)], infer=lambda: [None for _ in predictor.stream(frames, read_ahead=0)],
            track=lambda: [tracker.update(o) for o in found], draw=lambda: [draw_frame(o.image, o.curves, o.ids, o.ego, o.offset) for o in tracked],
            encode=encode, all=lambda: annotate(predictor, source, tmp/'all', track=True, preset=a.preset, progress=False))
        timed(parts['all'])
        rounds = [{k: timed(work) for k, work in parts.items()} | dict(cores=cores_given()) for _ in range(a.rounds)]
    alone = {k: median(r[k][0] for r in rounds)/a.frames for k in parts}
    cpu = {k: median(r[k][1] for r in rounds)/a.frames for k in parts}
    slowest = max((k for k in parts if k != 'all'), key=alone.get)
    ratio = median(max(r[k][0] for k in parts if k != 'all')/r['all'][0] for r in rounds)
    sums = median(sum(r[k][0] for k in parts if k != 'all')/r['all'][0] for r in rounds)
    cores = median(r['cores'] for r in rounds)
    overhead = median(r['all'][1]/sum(r[k][1] for k in parts if k != 'all') for r in rounds)
    bound = median(max(max(r[k][0] for k in parts if k != 'all'), sum(r[k][0] for k in parts if k != 'all')/r['cores'])/r['all'][0] for r in rounds)
    name = a.weights or a.config
    print(f'{name}, {a.frames} frames of {a.size[0]} x {a.size[1]}, {torch.get_num_threads()} of torch\'s threads, {cores:.2f} cores for two threads, medians of {a.rounds} rounds')
    print(f'{"":24}{"ms a frame":>12}{"of the CPU":>12}')
    for k in parts: print(f'{"all at the same time" if k == "all" else k:24}{alone[k]*1e3:12.2f}{cpu[k]*1e3:12.2f}')
    print(f'{"over the slowest":24}{ratio:12.3f}   ({slowest})\n{"over what cores allow":24}{bound:12.3f}\n{"against one by one":24}{sums:12.3f}')
    print(f'{"CPU over its parts":24}{overhead:12.3f}')
    print(json.dumps(dict(end_to_end_over_slowest=round(ratio, 4), end_to_end_over_cores=round(bound, 4), gain_over_one_by_one=round(sums, 4), cpu_over_parts=round(overhead, 4), slowest=slowest,
                          fps=round(1/alone['all'], 2), ms={k: round(v*1e3, 3) for k, v in alone.items()}, cpu_ms={k: round(v*1e3, 3) for k, v in cpu.items()},
                          size=[*a.size], frames=a.frames, torch_threads=torch.get_num_threads(), cores_given=round(cores, 2))))

if __name__ == '__main__': main()
