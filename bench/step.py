"""The time of a training step next to the bare backbone's forward and backward pass.

    python bench/step.py [--config culane_r18] [--batch 4] [--pairs 15] [--device auto] [--precision 32-true] [--quick] [key=value ...]

Both run in turns, and the ratio is the median over pairs, so that a busy machine disturbs both alike; on a CPU with
other work OMP_NUM_THREADS=1 is steadier, and the ratio of CPU seconds steadier still.
A step is forward with assignment and losses, and backward; optimiser and data are left out on both sides.
`channels_last=true` lays both out pixel by pixel: compare their milliseconds with those of a run without it.
The last line is one JSON object."""
import argparse, json, time
from statistics import median
import numpy as np, torch
from srlane.config import load_config
from srlane.models.detector import build_net
from srlane.data.targets import network_lanes, lane_targets

def made_up_batch(geometry, strides, n, max_lanes, device):
    "`n` images of noise with three or four lanes each; the time does not depend on what is in the pictures"
    rng, items, (w, h), top = np.random.default_rng(0), [], geometry.ori_size, geometry.cut_height
    for _ in range(n):
        ys = np.linspace(h, top + 20, 40)
        t, bend = (h - ys)/(h - top), rng.uniform(-.3, .3)
        lanes = [np.stack([w*(.5 + a*(1 - t) + bend*t*t), ys], 1) for a in (-.6, -.25, .1, .4)[rng.integers(2):]]
        items.append(lane_targets(network_lanes(lanes, geometry), geometry, max_lanes, strides))
    stack = lambda key, dtype: [torch.tensor(np.stack(m)).to(device, dtype) for m in zip(*(o[key] for o in items))]
    return dict(img=torch.randint(0, 256, (n, 3, geometry.img_h, geometry.img_w), dtype=torch.uint8, device=device),
                gt_lane=torch.tensor(np.stack([o['gt_lane'] for o in items])).to(device),
                gt_angle=stack('gt_angle', torch.float32), gt_seg=stack('gt_seg', torch.int64))

def timed(step, device):
    "Seconds of one call by the clock, and seconds that the CPU worked for it"
    if device == 'cuda': torch.cuda.synchronize()
    clock, cpu = time.perf_counter(), time.process_time()
    step()
    if device == 'cuda': torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - cpu

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--config', default='culane_r18')
    p.add_argument('--batch', type=int, default=4)
    p.add_argument('--pairs', type=int, default=15)
    p.add_argument('--device', default='auto')
    p.add_argument('--precision', default='32-true', choices=['32-true', '16-mixed', 'bf16-mixed'])
    p.add_argument('--quick', action='store_true', help='one pair of the demo network with one image, only to see that it runs')
    p.add_argument('overrides', nargs='*', help='settings of the configuration')
    a = p.parse_args()
    if a.quick: a.config, a.batch, a.pairs = 'demo', 1, 1
    device = a.device if a.device != 'auto' else 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.manual_seed(0)
    cfg = load_config(a.config, 'backbone.pretrained=false', *a.overrides)
    net = build_net(cfg).to(device).train()
    if cfg.channels_last: net.to(memory_format=torch.channels_last)
    batch = made_up_batch(net.roi_head.geometry, tuple(cfg.feat_ds_strides), a.batch, cfg.max_lanes, device)
    half = dict(dtype={'16-mixed': torch.float16}.get(a.precision, torch.bfloat16), enabled=a.precision != '32-true')

    def whole():
        net.zero_grad()
        with torch.autocast(device, **half): loss = net(batch)['loss']
        loss.backward()
    def backbone():
        net.zero_grad()
        with torch.autocast(device, **half): stages = net.backbone(net.images(batch['img']))
        stages[-1].float().mean().backward()

    for step in (whole, backbone, whole, backbone): timed(step, device)
    pairs = [(timed(whole, device), timed(backbone, device)) for _ in range(a.pairs)]
    (step, bare), ratio = (median(p[i][0] for p in pairs) for i in (0, 1)), median(s[0]/b[0] for s, b in pairs)
    cpu_ratio = median(s[1]/b[1] for s, b in pairs)
    where = torch.cuda.get_device_name() if device == 'cuda' else f'{torch.get_num_threads()} CPU threads'
    print(f'{a.config}, {a.batch} images of {cfg.img_w} x {cfg.img_h}, {a.precision}, {where}, medians of {a.pairs} pairs')
    print(f'{"training step":<32}{step*1e3:9.1f} ms\n{"backbone forward and backward":<32}{bare*1e3:9.1f} ms\n{"ratio":<32}{ratio:9.3f}')
    if device == 'cpu': print(f'{"ratio of CPU seconds":<32}{cpu_ratio:9.3f}')
    print(json.dumps(dict(step_over_backbone=round(ratio, 4), cpu_step_over_backbone=round(cpu_ratio, 4) if device == 'cpu' else None,
                          step_ms=round(step*1e3, 2), backbone_ms=round(bare*1e3, 2), images=a.batch, precision=a.precision, device=where)))

if __name__ == '__main__': main()
