"""Assignment, losses and NMS image by image, as the published procedure states them: slow, and what bench/losses.py measures against."""
import numpy as np, torch, torch.nn.functional as F

def random_batch(B, N, T, P, W, G, seed=0):
    "Pixel rows `pred` (B, N, 4+P), `target` (B, T, 4+P) and attention (B, G, N, N): lanes that start late and end early, proposals near them and far, images without any"
    g = torch.Generator().manual_seed(seed)
    rand = lambda *s: torch.rand(*s, generator=g)
    i = torch.arange(P)
    lanes = lambda n: rand(B, n, 1)*1.1*W - .05*W + (rand(B, n, 1) - .5)*16*i + (rand(B, n, 1) - .5)*.1*i**2
    start, end, xs = (rand(B, T)*P/4).floor(), P - (rand(B, T)*P/3).floor(), lanes(T)
    target = torch.cat([torch.tensor([0., 1.]).expand(B, T, 2), start[..., None], (end - start)[..., None], torch.where(i < end[..., None], xs, -1e5)], -1)
    empty = rand(B, T) < torch.linspace(0, 1, B)[:, None]      # the first image is full, the last has no lane
    target[empty] = -1e5
    target[..., 0][empty], target[..., 1][empty] = 1, 0
    near = xs[:, torch.arange(N) % T] + (rand(B, N, 1) - .5)*60 + (rand(B, N, P) - .5)*6
    pred = torch.cat([rand(B, N, 2)*4 - 2, rand(B, N, 1)*P*.8 - 8, rand(B, N, 1)*P*1.2 - 5, torch.where(rand(B, N, 1) < .6, near, lanes(N))], -1)
    return pred, target, (rand(B, G, N, N)*8).softmax(-1)

def line_iou(p, t, W, d, radius=7.5):
    "Overlap over union of lanes (…, P), widened to ±radius across; rows whose target is outside [0, W) do not count"
    off = (t < 0) | (t >= W)
    ends = lambda w: torch.cat([w[..., :1], w, w[..., -1:]], -1)
    width = lambda x: ends(radius*((x[..., 2:] - x[..., :-2]).detach()**2 + d**2).sqrt()/d)
    wp, wt = width(p), torch.where(ends(off[..., 2:] | off[..., :-2]), radius, width(t))
    over  = torch.minimum(p + wp, t + wt) - torch.maximum(p - wp, t - wt)
    union = torch.maximum(p + wp, t + wt) - torch.minimum(p - wp, t - wt)
    return torch.where(off, 0, over).sum(-1)/(torch.where(off, 0, union).sum(-1) + 1e-9)

def assign(pred, target, W, d, n_candidates):
    "Which proposals have a target, and which one (B, N)"
    matched, index = (pred.new_zeros(pred.shape[:2], dtype=t) for t in (torch.bool, torch.long))
    for b in range(len(pred)):
        slots = (target[b, :, 1] > 0).nonzero()[:, 0]
        if not len(slots): continue
        t, p = target[b, slots], pred[b].detach()
        wide, narrow = (line_iou(p[:, None, 4:], t[None, :, 4:], W, d, r) for r in (30., 7.5))
        if wide.max() > 0: wide = wide/wide.max()
        prob = p[:, 1].sigmoid()
        pos, neg = -.25*(1 - prob)**2*(prob + 1e-12).log(), -.75*prob**2*(1 - prob + 1e-12).log()
        cost, take = (pos - neg)[:, None] - 2*wide, p.new_zeros(len(p), len(slots), dtype=torch.bool)
        for g in range(len(slots)):
            k = max(int(narrow[:, g].clamp(min=0).sort(descending=True).values[:n_candidates].sum()), 1)
            take[cost[:, g].sort(stable=True).indices[:k], g] = True
        for n in range(len(p)):
            if take[n].sum() > 1: take[n] = torch.arange(len(slots), device=p.device) == cost[n].argmin()
            if take[n].any(): matched[b, n], index[b, n] = True, slots[take[n].nonzero()[0, 0]]
    return matched, index

def stage_losses(pred, target, matched, index, W, d, attn):
    "The losses of one stage (B,) each"
    out = {k: [] for k in ('cls_loss', 'l1_loss', 'iou_loss', 'attn_loss')}
    for b in range(len(pred)):
        n = int((target[b, :, 1] > 0).sum())
        p = pred[b, :, :2].softmax(-1) + 1e-6
        hot = torch.zeros_like(p); hot[torch.arange(len(p)), matched[b].long()] = 1
        out['cls_loss'].append((-.25*(hot + 1e-6)*(1 - p)**2*p.log()).sum()/max(n, 1))
        rows = matched[b].nonzero()[:, 0]
        if not len(rows):
            for k in ('l1_loss', 'iou_loss', 'attn_loss'): out[k].append(pred.new_zeros(()))
            continue
        p, t, S = pred[b, rows], target[b, index[b, rows]].clone(), pred.shape[-1] - 5
        t[:, 3] -= p[:, 2].detach().round().clamp(0, S) - t[:, 2].round()
        out['l1_loss'].append(F.smooth_l1_loss(p[:, 2:4], t[:, 2:4]))
        out['iou_loss'].append((1 - line_iou(p[:, 4:], t[:, 4:], W, d)).mean())
        nlls, G, L = [], attn.shape[1], (S + 1)//attn.shape[1]
        for q, lane in zip(rows.tolist(), t[:, 4:].flip(-1)):
            for g in range(G):
                seg = slice(g*L, (g+1)*L)
                on = (lane[seg] >= 0) & (lane[seg] < W)
                if not on.any(): continue
                gap = (pred[b, :, 4:].detach().flip(-1)[:, seg] - lane[seg]).abs()[:, on].sum(-1)/(on.sum() + 1e-6)
                nlls.append(-attn[b, g, q, gap.argmin()].clamp(1e-6, 1 - 1e-6).log())
        out['attn_loss'].append((pred.new_zeros(()) + sum(nlls))/max(len(nlls), 1))
    return {k: torch.stack(v) for k, v in out.items()}

def nms(rows, scores, threshold, top_k):
    "The kept of one image's lanes (N, 4+P), NumPy; columns 2 and 3 are start and end row"
    f, S, keep, gone = np.float32, rows.shape[1] - 5, [], set()
    span = [(max(int(f(r[2]) + f(.5)), 0), min(int(f(r[3]) + f(.5)), S)) for r in rows]
    order = np.argsort(-scores, kind='stable').tolist()
    for n, a in enumerate(order):
        if a in gone: continue
        keep.append(a)
        if len(keep) == top_k: break
        for b in order[n+1:]:
            lo, hi = max(span[a][0], span[b][0]), min(span[a][1], span[b][1])
            if hi < lo or b in gone: continue
            total = f(0)
            for x, y in zip(rows[a, 4+lo:5+hi], rows[b, 4+lo:5+hi]): total = f(total + abs(f(x - y)))
            if total < f(threshold)*f(hi - lo + 1): gone.add(b)
    return keep
