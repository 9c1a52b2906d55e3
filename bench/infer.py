"""The time from images to lanes: the plain network, the fused one and, with --compile, the compiled one, and decoding with NMS.

    python bench/infer.py [--config culane_r18] [--batch 1] [--rounds 15] [--threads 2] [--device auto] [--half] [--compile] [--quick] [key=value ...]

The networks take turns on synthetic roads, and a ratio is the median over the rounds of plain / other, so that a busy machine disturbs
all alike: above 1 the other one is faster. The ratio of CPU seconds is steadier still. Weights are random, which changes no time;
decoding gets rows with as many different lanes as an image may have, each proposed three times. The last line is one JSON object."""
import argparse, json, os, time
from statistics import median
import numpy as np, torch
from srlane.config import load_config
from srlane.data.images import network_image
from srlane.lane import ROW
from srlane.models.detector import build_net
from srlane.models.fuse import fuse
from srlane.synth import make_scene

def synthetic_images(geometry, n, device):
    "`n` roads as the network reads them"
    photos = [make_scene(seed=seed, size=(820, 295))[0] for seed in range(min(n, 4))]
    own = geometry.with_size(820, 295)
    images = [torch.from_numpy(network_image(photos[i % len(photos)], own, rgb=True)).permute(2, 0, 1) for i in range(n)]
    return torch.stack(images).contiguous().to(device)

def lane_rows(n, proposals, geometry, max_lanes, device):
    "Rows (n, proposals, 4+P): `max_lanes` upright lanes, each proposed three times; the others are sure to be no lane"
    rows, k = torch.zeros(n, proposals, ROW.head + geometry.num_points), min(3*max_lanes, proposals)
    rows[..., ROW.lane] = -9.
    rows[:, :k, ROW.lane], rows[..., ROW.length] = torch.linspace(3, 2, k), .9
    rows[:, :k, ROW.xs] = (torch.arange(k) % max_lanes + .5)[:, None]/max_lanes
    return rows.to(device)

def timed(job, device):
    "Seconds of one call by the clock, and seconds that the CPU worked for it"
    if device == 'cuda': torch.cuda.synchronize()
    clock, cpu = time.perf_counter(), time.process_time()
    job()
    if device == 'cuda': torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - cpu

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', default='culane_r18')
    p.add_argument('--batch', type=int, default=1)
    p.add_argument('--rounds', type=int, default=15)
    p.add_argument('--threads', type=int, default=2, help='threads of torch on a CPU')
    p.add_argument('--device', default='auto')
    p.add_argument('--half', action='store_true', help='the fused networks in half precision, on a GPU')
    p.add_argument('--compile', action='store_true', help='the compiled network too, which takes a minute to start')
    p.add_argument('--quick', action='store_true', help='one round of the demo network, only to see that it runs')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    if a.quick: a.config, a.batch, a.rounds = 'demo', 1, 1
    device = a.device if a.device != 'auto' else 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    net = build_net(load_config(a.config, 'backbone.pretrained=false', *a.overrides)).to(device).eval()
    g, nets = net.roi_head.geometry, dict(plain=net, fused=fuse(net, half=a.half))
    if a.compile: nets['compiled'] = fuse(net, half=a.half, compile=True)
    images = synthetic_images(g, a.batch, device)
    with torch.no_grad(): rows = net(images)
    jobs = {name: lambda n=n: n(images) for name, n in nets.items()}
    made, meta = lane_rows(a.batch, rows.shape[1], g, net.roi_head.max_lanes, device), [dict(size=g.ori_size)]*a.batch
    jobs['decode'] = lambda: net.get_lanes(made, meta)
    found, found_lanes = {}, len(net.get_lanes(made, meta)[0])

    with torch.no_grad():
        difference = max((n(images) - rows).abs().max().item() for n in nets.values())
        for job in jobs.values(): timed(job, device)
        for _ in range(a.rounds):
            for name, job in jobs.items(): found.setdefault(name, []).append(timed(job, device))
    ms = {k: [median(o[i] for o in v)*1e3/a.batch for i in (0, 1)] for k, v in found.items()}
    ratio = {k: [median(x[i]/max(y[i], 1e-9) for x, y in zip(found['plain'], found[k])) for i in (0, 1)] for k in nets}
    where = torch.cuda.get_device_name() if device == 'cuda' else f'{torch.get_num_threads()} CPU threads'
    load = round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None
    print(f'{a.config}, {a.batch} image(s) of {g.img_w} x {g.img_h} a batch, {where}, load {load}, medians of {a.rounds} rounds')
    print(f"{'an image':20}{'ms':>10}{'CPU ms':>10}{'plain / it':>12}{'of CPU':>10}")
    for name in nets: print(f'{name:20}{ms[name][0]:10.2f}{ms[name][1]:10.2f}{ratio[name][0]:12.2f}{ratio[name][1]:10.2f}')
    print(f"{f'decode {found_lanes} lanes':20}{ms['decode'][0]:10.2f}{ms['decode'][1]:10.2f}")
    print(f'largest difference of a row from the plain network {difference:.0e}')
    out = {f'{k}_over_eager': round(v[0], 3) for k, v in ratio.items() if k != 'plain'}     # how many times as fast
    out |= {f'cpu_{k}_over_eager': round(v[1], 3) for k, v in ratio.items() if k != 'plain'} if device == 'cpu' else {}
    out |= {f'{k}_ms': round(v[0], 3) for k, v in ms.items()}
    print(json.dumps(dict(out, fastest_decode_ms=round(min(o[0] for o in found['decode'])*1e3/a.batch, 3), difference=difference, images=a.batch,
                          half=a.half, device=where, load=load)))

if __name__ == '__main__': main()
