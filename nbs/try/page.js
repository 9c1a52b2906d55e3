// The page `try`: a picture, the camera or a synthetic road in; its lanes on a canvas. Nothing is sent anywhere
import {findLanes} from './lanes.js'

const here = name => new URL(name, import.meta.url).href
const root = document.getElementById('srlane-try')
root.innerHTML = `
<div class="d-flex flex-wrap gap-2 mb-2">
  <button class="btn btn-primary" data-do="road">A synthetic road</button>
  <label class="btn btn-primary mb-0">A picture … <input type="file" accept="image/*" hidden></label>
  <button class="btn btn-primary" data-do="camera">The camera</button>
</div>
<canvas role="img" style="width: 100%; border: 1px dashed gray; border-radius: .4rem" width="820" height="461"></canvas>
<p data-say="result" role="status" class="mb-1">Choose one of the three, or drop a picture here.</p>
<label class="small w-100" hidden>The network sees what is below the dashed line. Pull it to a little above the horizon:
  <input type="range" class="form-range" min="0" max="75" step="0.5"></label>`
const find = selector => root.querySelector(selector)
const canvas = find('canvas'), context = canvas.getContext('2d', {willReadFrequently: true, colorSpace: 'srgb'})
const result = find('[data-say=result]'), slider = find('input[type=range]'), cameraButton = find('[data-do=camera]')
let loading, picture, stream, cut = null, road = 0, last = Promise.resolve()        // cut: a share of the height, null as in training
const say = words => { result.textContent = words }

function load() { // the runtime and the network, once
    return loading ??= (async () => {
        const response = await fetch(here('lanes.json'))
        if (!response.ok) throw Error('this copy of the site was built without the network (it takes npm and a connection)')
        const info = await response.json()
        say(`Loading ONNX Runtime and the network, ${(info.bytes/1e6).toFixed(0)} MB, once …`)
        const ort = await import(here('ort.wasm.bundle.min.mjs'))
        ort.env.wasm.numThreads = 1                       // more would need headers that static sites do not send
        ort.env.wasm.wasmPaths = {wasm: here('ort-wasm-simd-threaded.wasm')}
        return {ort, info, session: await ort.InferenceSession.create(here('lanes.onnx'), {executionProviders: ['wasm']})}
    })()
}

function colors(lanes, w, {left, right}) { // by place, from the camera outwards, as `srlane.look` has them
    const feet = lanes.map(o => o.points.at(-1)[0] - w/2), out = []
    for (const [side, names] of [[-1, left], [1, right]])
        feet.map((x, i) => [Math.abs(x), i]).filter(([, i]) => side > 0 ? feet[i] > 0 : feet[i] <= 0).sort((a, b) => a[0] - b[0])
            .forEach(([, i], place) => { out[i] = names[Math.min(place, names.length - 1)] })
    return out
}

const show = (...picture) => last = last.catch(() => {}).then(() => draw(...picture))      // one after another

async function draw(source, width, height) { // a bitmap or a video's frame, with its lanes
    const {ort, info, session} = await load()
    canvas.width = width, canvas.height = height
    context.drawImage(source, 0, 0)
    const {lanes, box, ms} = await findLanes(ort, session, info, context.getImageData(0, 0, width, height), cut == null ? null : Math.round(cut*height))
    context.lineWidth = Math.max(2, width/250)
    context.lineJoin = context.lineCap = 'round'
    const color = colors(lanes, width, info.colors)
    lanes.forEach(({points}, i) => {
        context.strokeStyle = color[i]
        context.beginPath()
        for (const p of points) context.lineTo(...p)
        context.stroke()
    })
    context.setLineDash([width/100, width/100])
    context.lineWidth = Math.max(1, width/600)
    context.strokeStyle = '#ffffffb0'
    context.beginPath()
    context.moveTo(box[0], box[1])
    context.lineTo(box[2], box[1])
    context.stroke()
    context.setLineDash([])
    slider.parentElement.hidden = false
    if (cut == null) slider.value = 100*box[1]/height
    const [prepare, network, decode] = ms.map(v => v.toFixed(1)), total = ms.reduce((a, b) => a + b)
    say(`${lanes.length || 'No'} lane${lanes.length == 1 ? '' : 's'}${lanes.length ? ` (${lanes.map(o => o.score.toFixed(2)).join(', ')})` : ''} ` +
        `in ${total.toFixed(0)} ms: cropping and resizing ${prepare}, network ${network}, decoding ${decode}. ${width}×${height} pixels.`)
    root.dispatchEvent(new CustomEvent('lanes', {detail: {lanes, box, ms}, bubbles: true}))
}

async function attempt(action) { // an error is a sentence, not silence
    root.setAttribute('aria-busy', true)
    try { await action() }
    catch (e) { say(`That did not work: ${e.message}`) }
    finally { root.removeAttribute('aria-busy') }
}

async function open(blob) {
    stopCamera()
    const options = {colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image'}
    picture = await createImageBitmap(blob, options).catch(() => { throw Error('the browser cannot read this as a picture') })
    await show(picture, picture.width, picture.height)
}

function stopCamera() {
    stream?.getTracks().forEach(t => t.stop())
    stream = null
    cameraButton.textContent = 'The camera'
}

async function startCamera() {
    await load()
    if (!navigator.mediaDevices) throw Error('this browser gives the camera only to pages from https or localhost')
    picture = null
    cameraButton.disabled = true
    const asked = navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment', width: {ideal: 1280}}}).finally(() => { cameraButton.disabled = false })
    const mine = stream = await asked
    const video = Object.assign(document.createElement('video'), {srcObject: mine, muted: true, playsInline: true})
    cameraButton.textContent = 'Stop the camera'
    await video.play()
    while (stream == mine) {
        await show(video, video.videoWidth, video.videoHeight)
        await new Promise(requestAnimationFrame)
    }
}

find('[data-do=road]').onclick = () => attempt(async () => {
    const {info} = await load()
    await open(await (await fetch(here(info.roads[road++ % info.roads.length]))).blob())
})
find('input[type=file]').onchange = e => e.target.files[0] && attempt(() => open(e.target.files[0]))
cameraButton.onclick = () => stream ? stopCamera() : attempt(startCamera)
slider.oninput = () => { cut = slider.value/100; if (picture) attempt(() => show(picture, picture.width, picture.height)) }
root.ondragover = e => e.preventDefault()
root.ondrop = e => { e.preventDefault(); if (e.dataTransfer.files[0]) attempt(() => open(e.dataTransfer.files[0])) }
