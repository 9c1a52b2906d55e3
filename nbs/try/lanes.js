// The lanes in a picture, in a browser: what `Predictor` does in Python, with a file that
// `srlane export WEIGHTS --to onnx --nms` has written. `info` is the metadata in that file.
//
//     const session = await ort.InferenceSession.create(model)
//     const {lanes} = await findLanes(ort, session, info, context.getImageData(0, 0, width, height))

const rint = v => { const r = Math.round(v); return Math.abs(v % 1) == .5 && r % 2 ? r - 1 : r }     // halves become even, as in Python
const clamp = (v, low, high) => Math.min(Math.max(v, low), high)

// [left, top, right, bottom] of what the network sees of w×h pixels: the same shares as in training, or all below the row `cut`
export function cropBox(g, w, h, cut = null) {
    if (cut != null) return [0, cut, w, h]
    return [rint(g.cut_left*w/g.ori_img_w), rint(g.cut_height*h/g.ori_img_h), w - rint(g.cut_right*w/g.ori_img_w), h - rint(g.cut_bottom*h/g.ori_img_h)]
}

// For each of n pixels that `size` pixels are resized to: its four neighbours, and their weights (bicubic, as OpenCV has it)
function taps(n, size) {
    const A = -.75, near = t => ((A + 2)*t - (A + 3))*t*t + 1, far = t => ((A*t - 5*A)*t + 8*A)*t - 4*A
    const from = new Int32Array(4*n), weights = new Float32Array(4*n)
    for (let i = 0; i < n; i++) {
        const x = Math.fround((i + .5)*size/n - .5), at = Math.floor(x), t = x - at
        weights.set([far(1 + t), near(t), near(1 - t), far(2 - t)], 4*i)
        from.set([-1, 0, 1, 2].map(k => clamp(at + k, 0, size - 1)), 4*i)
    }
    return {from, weights}
}

// An image (as a canvas gives it) cropped and resized to (3, H, W) bytes. Canvases resize in ways of their own, so this is done by hand
export function prepare({data, width}, [left, top, right, bottom], W, H) {
    const {from, weights} = taps(W, right - left), down = taps(H, bottom - top), rows = new Map()
    const out = new Uint8ClampedArray(3*H*W)           // it rounds as OpenCV does
    const resized = y => {
        const row = new Float32Array(3*W), start = ((top + y)*width + left)*4
        for (let i = 0, j = 0; i < 3*W; j += 4) {
            let p = start + 4*from[j], q = start + 4*from[j + 1], r = start + 4*from[j + 2], s = start + 4*from[j + 3]
            for (let k = 0; k < 3; k++) row[i++] = weights[j]*data[p++] + weights[j + 1]*data[q++] + weights[j + 2]*data[r++] + weights[j + 3]*data[s++]
        }
        return row
    }
    for (let y = 0; y < H; y++) {
        const near = down.from.subarray(4*y, 4*y + 4), [a, b, c, d] = down.weights.subarray(4*y, 4*y + 4)
        for (const f of near) if (!rows.has(f)) rows.set(f, resized(f))
        const [p, q, r, s] = Array.from(near, f => rows.get(f))
        for (let x = 0, i = 0; x < W; x++)
            for (let k = 0; k < 3; k++, i++) out[(k*H + y)*W + x] = a*p[i] + b*q[i] + c*r[i] + d*s[i]
        for (const f of rows.keys()) if (f < near[0]) rows.delete(f)
    }
    return new Uint8Array(out.buffer)
}

// A row of numbers as points [x, y] in pixels of the image, top to bottom; no points where they would be fewer than two
export function decode(row, [left, top, right, bottom], strips) {
    const start = clamp(rint(Math.fround(row[2]*strips)), 0, strips), length = clamp(rint(Math.fround(row[3]*strips)), -1, 2*strips)
    const xs = row.slice(4), points = []
    let first = start                                  // below its start a lane goes on as long as it is inside
    while (first > 0 && xs[first - 1] >= 0 && xs[first - 1] <= 1) first--
    for (let i = first; i <= Math.min(start + length - 1, strips) && length >= 0; i++)
        if (xs[i] >= 0 && xs[i] <= 1) points.unshift([left + xs[i]*(right - left), top + (1 - i/strips)*(bottom - top)])
    return points.length > 1 ? points : []
}

export async function findLanes(ort, session, info, image, cut = null) {
    const g = info.geometry, box = cropBox(g, image.width, image.height, cut), clock = [performance.now()], tick = () => clock.push(performance.now())
    const planes = prepare(image, box, g.img_w, g.img_h)
    tick()
    const {rows, scores} = await session.run({images: new ort.Tensor('uint8', planes, [1, 3, g.img_h, g.img_w])})
    tick()
    const width = rows.dims[2], lanes = []
    scores.data.forEach((score, i) => {
        const points = score > 0 ? decode(rows.data.slice(i*width, (i + 1)*width), box, g.num_points - 1) : []
        if (points.length) lanes.push({points, score})
    })
    tick()
    return {lanes, box, ms: clock.slice(1).map((t, i) => t - clock[i])}     // ms: prepare, network, decode
}
