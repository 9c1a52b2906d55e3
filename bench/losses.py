"""Times the batched assignment, losses and NMS against the plain image-by-image procedures their notebooks test them with.

    python bench/losses.py [--batch 40] [--repeats 15] [--threads 1] [--device cpu]

Both run alternately in one process; a ratio is the median over the pairs of plain / batched, so above 1 the batched one is faster.
The last line is one JSON object with the ratios."""
import argparse, json, time
from pathlib import Path
from statistics import median
import numpy as np, torch, torch.nn.functional as F
from srlane.models import assignment, losses, nms

NBS = Path(__file__).resolve().parents[1]/'nbs'

def plain(notebook):
    "The names defined in the cells of a notebook that begin with `#| plain`"
    names = dict(vars(losses), np=np, torch=torch, F=F)
    cells = [''.join(c['source']) for c in json.loads((NBS/notebook).read_text())['cells'] if c['cell_type'] == 'code']
    for code in cells:
        if code.startswith('#| plain'): exec(compile(code, notebook, 'exec'), names)
    return names

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
    parser.add_argument('--batch', type=int, default=40, help='images (default: 40)')
    parser.add_argument('--repeats', type=int, default=15, help='pairs of runs (default: 15)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (default: 1)')
    parser.add_argument('--device', default='cpu', help='device of the batched and the plain run (default: cpu)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads); device = torch.device(args.device)
    loop, matcher, suppress = plain('12_models.losses.ipynb'), plain('13_models.assignment.ipynb'), plain('14_models.nms.ipynb')
    W, d = 800, 320/71
    pred, target, attn = (o.to(device) for o in loop['random_batch'](B=args.batch, dtype=torch.float32))
    plain_assign = lambda *a: [o.to(device) for o in matcher['plain_assign'](*a)]
    pairs = assignment.assign(pred, target, W, d)
    for a, b in zip(pairs, plain_assign(pred, target, W, d)): assert torch.equal(a, b), 'both ways must find the same pairs'

    def step(assign, stage_losses):
        p, a = pred.clone().requires_grad_(), attn.clone().requires_grad_()
        sum(o.mean() for o in stage_losses(p, target, *assign(p, target, W, d), W, d, a).values()).backward()

    boxes, scores = torch.cat([pred[..., :3], pred[..., 2:3] + pred[..., 3:4] - 1, pred[..., 4:]], -1), pred[..., 1].sigmoid()
    rows, point = boxes.cpu().numpy(), scores.cpu().numpy()
    jobs = {'assignment': (lambda: assignment.assign(pred, target, W, d), lambda: plain_assign(pred, target, W, d)),
            'losses, forward': (lambda: losses.stage_losses(pred, target, *pairs, W, d, attn), lambda: loop['plain_stage_losses'](pred, target, *pairs, W, d, attn)),
            'assignment + losses, forward + backward': (lambda: step(assignment.assign, losses.stage_losses), lambda: step(plain_assign, loop['plain_stage_losses'])),
            'nms': (lambda: nms.lane_nms(boxes, scores, 50., 4), lambda: [suppress['plain_nms'](r, s, 50., 4) for r, s in zip(rows, point)])}
    print(f'{args.batch} images, 40 proposals, up to 4 targets, 72 rows; {device}, {args.threads} thread(s), median of {args.repeats} pairs\n')
    print(f"{'':42}{'batched ms':>12}{'plain ms':>12}{'plain/batched':>15}")
    ratios = {}
    for name, (ours, theirs) in jobs.items():
        a, b, ratios[name] = alternate(ours, theirs, args.repeats, device)
        print(f'{name:42}{a*1e3:12.2f}{b*1e3:12.2f}{ratios[name]:15.1f}')
    print(json.dumps({k: round(v, 2) for k, v in ratios.items()}))

if __name__ == '__main__': main()
