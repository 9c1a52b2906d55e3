"""Times the batched assignment, losses and NMS against plain image-by-image procedures (bench/plain.py), which must find the same.

    python bench/losses.py [--config culane_r18] [--batch 40] [--repeats 15] [--threads 1] [--device cpu] [--quick]

Both run alternately in one process; a ratio is the median over the pairs of plain / batched, so above 1 the batched one is faster.
The last line is one JSON object with the ratios."""
import argparse, json, time
from statistics import median
import torch
from srlane.config import load_config
from srlane.lane import build_geometry
from srlane.models import assignment, losses, nms
import plain

def seconds(f, device):
    if device.type == 'cuda': torch.cuda.synchronize()
    start = time.perf_counter(); f()
    if device.type == 'cuda': torch.cuda.synchronize()
    return time.perf_counter() - start

def alternate(ours, theirs, repeats, device):
    "Median seconds of both and the median ratio of pairs run one after the other"
    ours(); theirs()
    pairs = [(seconds(ours, device), seconds(theirs, device)) for _ in range(repeats)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b/a for a, b in pairs)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='culane_r18', help='whose sizes and thresholds (default: culane_r18)')
    parser.add_argument('--batch', type=int, default=40, help='images (default: 40)')
    parser.add_argument('--repeats', type=int, default=15, help='pairs of runs (default: 15)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (default: 1)')
    parser.add_argument('--device', default='cpu', help='device of the batched and the plain run (default: cpu)')
    parser.add_argument('--quick', action='store_true', help='four images and one pair, only to see that it runs')
    args = parser.parse_args()
    if args.quick: args.batch, args.repeats = 4, 1
    torch.set_num_threads(args.threads); device = torch.device(args.device)
    cfg = load_config(args.config)
    geometry, (k, columns), threshold, most = build_geometry(cfg), cfg.angle_map_size, cfg.test_parameters.nms_thres, cfg.max_lanes
    W, d, P, N = geometry.img_w, geometry.strip_height, geometry.num_points, k*columns
    pred, target, attn = (o.to(device) for o in plain.random_batch(args.batch, N, most, P, W, cfg.roi_head.num_groups))
    pairs = assignment.assign(pred, target, W, d, k)
    boxes, scores = torch.cat([pred[..., :3], pred[..., 2:3] + pred[..., 3:4] - 1, pred[..., 4:]], -1), pred[..., 1].sigmoid()
    rows, point = boxes.cpu().numpy(), scores.cpu().numpy()
    plain_nms = lambda: [plain.nms(r, s, threshold, most) for r, s in zip(rows, point)]

    for a, b in zip(pairs, plain.assign(pred, target, W, d, k)): assert torch.equal(a, b), 'both ways must find the same pairs'
    for (name, a), b in zip(losses.stage_losses(pred, target, *pairs, W, d, attn).items(), plain.stage_losses(pred, target, *pairs, W, d, attn).values()):
        assert torch.allclose(a, b, 1e-3, 1e-4), f'both ways must find the same {name}'
    assert [o[o >= 0].tolist() for o in nms.lane_nms(boxes, scores, threshold, most)] == plain_nms(), 'both ways must keep the same lanes'

    def step(assign, stage_losses):
        p, a = pred.clone().requires_grad_(), attn.clone().requires_grad_()
        sum(o.mean() for o in stage_losses(p, target, *assign(p, target, W, d, k), W, d, a).values()).backward()

    jobs = {'assignment': [lambda m=m: m.assign(pred, target, W, d, k) for m in (assignment, plain)],
            'losses, forward': [lambda m=m: m.stage_losses(pred, target, *pairs, W, d, attn) for m in (losses, plain)],
            'assignment + losses, forward + backward': [lambda: step(assignment.assign, losses.stage_losses), lambda: step(plain.assign, plain.stage_losses)],
            'nms': [lambda: nms.lane_nms(boxes, scores, threshold, most), plain_nms]}
    print(f'{args.config}: {args.batch} images, {N} proposals, up to {most} targets, {P} rows; {device}, {args.threads} thread(s), median of {args.repeats} pairs\n')
    print(f"{'':42}{'batched ms':>12}{'plain ms':>12}{'plain/batched':>15}")
    ratios = {}
    for name, (ours, theirs) in jobs.items():
        a, b, ratios[name] = alternate(ours, theirs, args.repeats, device)
        print(f'{name:42}{a*1e3:12.2f}{b*1e3:12.2f}{ratios[name]:15.1f}')
    print(json.dumps({k: round(v, 2) for k, v in ratios.items()}))

if __name__ == '__main__': main()
