"""The time from images to lanes: the plain network, the fused one, ONNX Runtime and OpenVINO, decoding with NMS, and reading a JPEG.

    python bench/infer.py [--config culane_r18] [--batch 1] [--rounds 15] [--threads 2] [--device auto] [--half] [--compile] [--runtimes onnxruntime,openvino,…] [--quick] [key=value ...]

The networks take turns on synthetic roads, and a ratio is the median over the rounds of plain / other, so that a busy machine disturbs
all alike: above 1 the other one is faster. The ratio of CPU seconds is steadier still. Weights are random, which changes no time;
decoding gets rows with as many different lanes as an image may have, each proposed three times. Reading and preparing a 1640×590 JPEG takes turns with
decoding it by OpenCV alone: that ratio is ours / OpenCV's. The last line is one JSON object."""
import argparse, contextlib, json, os, tempfile
from statistics import median
import cv2, numpy as np, torch
from srlane.benchmark.runtimes import Workshop, open_runtime, runtimes
from srlane.benchmark.timing import describe_machine
from srlane.config import load_config
from srlane.data.images import network_image
from srlane.lane import ROW
from srlane.models.detector import build_net
from srlane.models.fuse import fuse
from srlane.export.verify import Sample
from srlane.predict.crop import image_geometry
from srlane.predict.predictor import prepare
from srlane.predict.sources import open_source
from srlane.synth import make_scene
from step import timed

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

def exported_networks(names, net, images, folder):
    "Title → what computes the rows; a line for each that is missing"
    samples = [Sample(o, net.roi_head.geometry, None, '') for o in images.cpu().numpy()]
    workshop = folder.enter_context(Workshop(net.cpu(), samples))
    opened = {n: open_runtime(n, workshop) for n in names}
    for n, (_, why) in opened.items():
        if why: print(f'{runtimes[n].title}: {why}')
    return {n: there for n, (there, why) in opened.items() if not why}

def time_reading(geometry, rounds, folder):
    "Milliseconds of reading and preparing an image through srlane.predict, of OpenCV's decoding alone, and the median ratio"
    for i in range(4):
        cv2.imwrite(f'{folder}/{i}.jpg', make_scene(seed=i, size=(1640, 590))[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    def ours():
        for f in open_source(folder): prepare(f, image_geometry(geometry, f.size))
    def decode():
        for i in range(4): cv2.imread(f'{folder}/{i}.jpg')
    pairs = [(timed(ours, 'cpu'), timed(decode, 'cpu')) for _ in range(rounds + 1)][1:]
    ms = [median(p[i][0] for p in pairs)*1e3/4 for i in (0, 1)]
    return *ms, *(median(a[i]/max(b[i], 1e-9) for a, b in pairs) for i in (0, 1))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', default='culane_r18')
    p.add_argument('--batch', type=int, default=1)
    p.add_argument('--rounds', type=int, default=15)
    p.add_argument('--threads', type=int, default=2, help='threads of torch on a CPU')
    p.add_argument('--device', default='auto')
    p.add_argument('--half', action='store_true', help='the fused networks in half precision, on a GPU')
    p.add_argument('--compile', action='store_true', help='the compiled network too, which takes a minute to start')
    p.add_argument('--runtimes', default='onnxruntime,openvino,openvino_bf16,openvino_int8', help='names of srlane.benchmark.runtimes; "" for none')
    p.add_argument('--quick', action='store_true', help='one round of the demo network, only to see that it runs')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    if a.quick: a.config, a.batch, a.rounds, a.runtimes = 'demo', 1, 1, 'openvino'
    device = a.device if a.device != 'auto' else 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.set_num_threads(a.threads); cv2.setNumThreads(a.threads)
    torch.manual_seed(0)
    net = build_net(load_config(a.config, 'backbone.pretrained=false', *a.overrides)).to(device).eval()
    g, nets = net.roi_head.geometry, dict(plain=net, fused=fuse(net, half=a.half))
    if a.compile: nets['compiled'] = fuse(net, half=a.half, compile=True)
    images = synthetic_images(g, a.batch, device)
    with torch.no_grad(): rows = net(images)
    jobs = {name: lambda n=n: n(images) for name, n in nets.items()}
    made, meta = lane_rows(a.batch, rows.shape[1], g, net.roi_head.max_lanes, device), [dict(size=g.ori_size)]*a.batch
    jobs['decode'] = lambda: net.get_lanes(made, meta)
    others = [] if device == 'cuda' else [n for n in a.runtimes.split(',') if n]
    with contextlib.ExitStack() as folder: there = exported_networks(others, net, images, folder)
    jobs |= {n: lambda o=o: o(dict(img=images)) for n, o in there.items()}
    found, found_lanes = {}, len(net.get_lanes(made, meta)[0])

    with torch.no_grad():
        difference = max((n(images) - rows).abs().max().item() for n in nets.values())
        for job in jobs.values(): timed(job, device)
        for _ in range(a.rounds):
            for name, job in jobs.items(): found.setdefault(name, []).append(timed(job, device))
    ms = {k: [median(o[i] for o in v)*1e3/a.batch for i in (0, 1)] for k, v in found.items()}
    ratio = {k: [median(x[i]/max(y[i], 1e-9) for x, y in zip(found['plain'], found[k])) for i in (0, 1)] for k in (*nets, *there)}
    with tempfile.TemporaryDirectory() as folder: read_ms, imread_ms, read_ratio, cpu_read_ratio = time_reading(g, 3*a.rounds, folder)
    where = torch.cuda.get_device_name() if device == 'cuda' else f'{torch.get_num_threads()} CPU threads'
    load = round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None
    print(f'{a.config}, {a.batch} image(s) of {g.img_w} x {g.img_h} a batch, {where}, load {load}, medians of {a.rounds} rounds')
    print(f"{'an image':20}{'ms':>10}{'CPU ms':>10}{'plain / it':>12}{'of CPU':>10}")
    for name in ratio: print(f'{name:20}{ms[name][0]:10.2f}{ms[name][1]:10.2f}{ratio[name][0]:12.2f}{ratio[name][1]:10.2f}')
    print(f"{f'decode {found_lanes} lanes':20}{ms['decode'][0]:10.2f}{ms['decode'][1]:10.2f}")
    print(f'largest difference of a row from the plain network {difference:.0e}')
    print(f"{'read and prepare':20}{read_ms:10.2f}\n{'cv2.imread':20}{imread_ms:10.2f}{'ratio':>22}{read_ratio:10.2f}")
    precisions = {k.partition('_')[2] or 'f32': ratio[k][0] for k in there if k.startswith('openvino')}
    best = max(precisions, key=precisions.get, default=None)
    flags = describe_machine()['flags']
    print(f"the CPU has {', '.join(flags) or 'no vector instructions that matter here'}" + f'; OpenVINO is fastest in {best}'*bool(best))
    out = {f'{k}_over_eager': round(v[0], 3) for k, v in ratio.items() if k not in ('plain', 'openvino')}     # how many times as fast
    out |= {f'cpu_{k}_over_eager': round(v[1], 3) for k, v in ratio.items() if k != 'plain'} if device == 'cpu' else {}
    out |= {'openvino_f32_over_eager': round(precisions['f32'], 3)} if 'f32' in precisions else {}
    out |= dict(openvino_best_over_eager=round(precisions[best], 3), openvino_best=best) if best else {}
    out |= dict(read_prepare_over_decode=round(read_ratio, 3), cpu_read_prepare_over_decode=round(cpu_read_ratio, 3), read_prepare_ms=round(read_ms, 2),
                cpu_flags=flags)
    out |= {f'{k}_ms': round(v[0], 3) for k, v in ms.items()}
    print(json.dumps(dict(out, fastest_decode_ms=round(min(o[0] for o in found['decode'])*1e3/a.batch, 3), difference=difference, images=a.batch,
                          half=a.half, device=where, load=load)))

if __name__ == '__main__': main()
