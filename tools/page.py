"""The page that runs the packaged network in the visitor's browser: nbs/try.ipynb, with nbs/try/*.js.

    python tools/page.py            what the page loads, into the site that Quarto or smalldocs has just rendered (`post-render` in _quarto.yml)
    python tools/page.py test       the page of _docs in a headless Chromium: the Predictor's lanes, in the same pixels

The runtime comes from the npm registry and is served from the site. Where npm or a connection is missing the page says that it was built without.
"""
import base64, functools, hashlib, http.server, io, json, os, shutil, subprocess, sys, tarfile, tempfile, threading
from pathlib import Path

import browser

root = Path(__file__).resolve().parent.parent
package, version = 'onnxruntime-web', '1.30.0'
integrity = 'sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=='      # `npm view onnxruntime-web@VERSION dist.integrity`
runtime = 'ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm'      # on the CPU alone

# --- What the page loads

def fetch_runtime(to:Path)->str: # why there is none, or ''
    "ONNX Runtime Web from the npm registry"
    if not shutil.which('npm'): return 'npm is not installed'
    with tempfile.TemporaryDirectory() as tmp:
        try: r = subprocess.run(['npm', 'pack', f'{package}@{version}', '--silent', '--fetch-retries=1'], cwd=tmp, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired: return 'the npm registry does not answer'
        if r.returncode: return f'npm cannot fetch {package}@{version}: {" ".join(r.stderr.split())[:200]}'
        data = next(Path(tmp).glob('*.tgz')).read_bytes()
    if (got := 'sha512-' + base64.b64encode(hashlib.sha512(data).digest()).decode()) != integrity: raise SystemExit(f'{package}@{version}: {got}, where tools/page.py has {integrity}')
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for name in runtime: (to/name).write_bytes(tar.extractfile(f'package/dist/{name}').read())
    return ''

def write(to:Path)->str: # why the page stays without a network, or ''
    "The runtime, the packaged network, its metadata and a few roads"
    to.mkdir(parents=True, exist_ok=True)
    if why := fetch_runtime(to): return why
    sys.path.insert(0, str(root))
    from srlane.export import export
    from srlane.look.pictures import LANE_COLORS, hex_color, save_image
    from srlane.predict.exported import ExportedNetwork
    from srlane.synth import make_scene
    from srlane.weights.packaged import default_weights
    roads = {f'road_{k}.jpg': make_scene([15, k], 'normal', (820, 461), 'wide')[0] for k in (16, 19, 6, 11)}
    for name, img in roads.items(): save_image(img, to/name)
    export(default_weights(), out=to/'lanes.onnx', batch=1, nms=True, images=[*roads.values()])
    told = json.loads(ExportedNetwork(to/'lanes.onnx').info.to_json())
    told['bytes'] = sum((to/n).stat().st_size for n in (*runtime, 'lanes.onnx'))
    told['roads'], told['colors'] = [*roads], {side: [hex_color(LANE_COLORS[sign*k]) for k in (1, 2, 3)] for side, sign in (('left', -1), ('right', 1))}
    (to/'lanes.json').write_text(json.dumps(told, ensure_ascii=False), encoding='utf-8')
    return ''

# --- The test

def missing(site:Path)->str: # why the page cannot be tested, or ''
    "What this machine or the site lacks"
    if not (site/'try/lanes.json').exists(): return 'the site was built without the network (npm, or a connection, was missing)'
    return browser.missing()

class Served:
    "A folder at an address of this machine"
    def __init__(self, folder:Path):
        class Handler(http.server.SimpleHTTPRequestHandler):
            extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, '.mjs': 'text/javascript', '.wasm': 'application/wasm'}
            def log_message(self, *args): pass
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f'http://127.0.0.1:{self.server.server_port}'
    def __enter__(self): return self
    def __exit__(self, *error): self.server.shutdown(); self.server.server_close()

in_page = '''async data => {
    const {cropBox, prepare} = await import('./try/lanes.js'), info = await (await fetch('try/lanes.json')).json(), g = info.geometry
    const bitmap = await createImageBitmap(await (await fetch(data)).blob(), {colorSpaceConversion: 'none'})
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    const planes = prepare(context.getImageData(0, 0, bitmap.width, bitmap.height), cropBox(g, bitmap.width, bitmap.height), g.img_w, g.img_h)
    return btoa(Array.from(planes, v => String.fromCharCode(v)).join(''))
}'''

drop = '''async data => {
    const files = new DataTransfer()
    files.items.add(new File([await (await fetch(data)).blob()], 'road.png'))
    document.querySelector('#srlane-try canvas').dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true}))
}'''

def same_pixels(page, road, data:str, find_lanes):
    "The page crops and resizes as the Predictor does: no pixel is off by more than the rounding of a grey level, and few are"
    import numpy as np
    from srlane.predict.crop import image_geometry
    from srlane.predict.frame import read_frame
    from srlane.predict.predictor import prepare
    planes = np.frombuffer(base64.b64decode(page.evaluate(in_page, data)), np.uint8)
    ours = prepare(read_frame(road), image_geometry(find_lanes.geometry, road.shape[1::-1]))[2]
    off = abs(planes.reshape(ours.shape).astype(int) - ours)
    if off.max() > 1 or (off > 0).mean() > .1: raise AssertionError(f'the page resizes in another way: {off.max()} grey levels, {(off > 0).mean():.1%} of the pixels differ')

def visit(page, url:str):
    "All that a visitor does"
    import warnings
    import numpy as np
    from PIL import Image
    from srlane.predict import Predictor
    from srlane.synth import make_scene
    warnings.simplefilter('ignore', UserWarning)         # of crops that are odd on purpose
    sent, says = [], page.locator('[data-say=result]')
    page.on('request', lambda r: r.resource_type in ('stylesheet', 'font') or sent.append((r.method, r.url)))      # the theme's typefaces
    page.add_init_script("window.found = []; window.addEventListener('lanes', e => found.push(e.detail))")
    def after(act)->dict: # what the page finds next
        n = page.evaluate('found.length')
        act()
        page.wait_for_function("n => found.length > n || document.querySelector('[data-say=result]').textContent.startsWith('That did not')", arg=n, timeout=120_000)
        if page.evaluate('found.length') == n: raise AssertionError(says.inner_text())
        return page.evaluate('found.at(-1)')
    find_lanes, most, count = Predictor(device='cpu'), 0., 0
    def compare(there, here):
        nonlocal most, count
        if len(there['lanes']) != len(here) or there['box'] != list(here.crop): raise AssertionError(f'{here}, but in the browser {len(there["lanes"])} lanes, and the crop {there["box"]}')
        for a, b in zip(there['lanes'], here.lanes): most, count = max(most, abs(np.array(a['points']) - b).max()), count + 1
    for k, size in enumerate(((820, 461), (1280, 720), (1640, 590), (960, 540))):
        road = make_scene([15, k], 'normal', size, 'wide')[0]
        Image.fromarray(road).save(png := io.BytesIO(), 'PNG')
        data = 'data:image/png;base64,' + base64.b64encode(png.getvalue()).decode()
        page.goto(f'{url}/try.html')
        same_pixels(page, road, data, find_lanes)
        compare(after(lambda: page.locator('input[type=file]').set_input_files(dict(name='road.png', mimeType='image/png', buffer=png.getvalue()))), find_lanes(road))
        compare(after(lambda: page.locator('input[type=range]').fill('30')), find_lanes(road, crop=round(.3*size[1])))
        compare(after(lambda: page.evaluate(drop, data)), find_lanes(road, crop=round(.3*size[1])))
    if most >= 1 or not count: raise AssertionError(f'{count} lanes, up to {most:.2f} pixels from those of the Predictor')
    print(f'  {count} lanes, at most {most:.4f} pixels from those of the Predictor')
    after(lambda: page.get_by_role('button', name='A synthetic road').click())
    print(f'  a synthetic road: {says.inner_text()}')
    after(lambda: page.get_by_role('button', name='The camera').click())
    after(lambda: None)
    page.get_by_role('button', name='Stop the camera').click()
    print(f'  the camera: {says.inner_text()}')
    abroad = {u for m, u in sent if not u.startswith((url, 'data:', 'blob:'))} | {f'{m} {u}' for m, u in sent if m != 'GET'}
    if abroad: raise AssertionError(f'the page asks others, or sends: {", ".join(sorted(abroad))}')

def test(site:Path):
    "The page in a browser with a camera that shows a test picture"
    from playwright.sync_api import sync_playwright
    with Served(site) as served, sync_playwright() as pw:
        chromium = pw.chromium.launch(executable_path=browser.chromium(), args=[*browser.flags, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'])
        try: visit(chromium.new_page(), served.url)
        finally: chromium.close()

def main(argv:list):
    site = root/'_docs'
    if argv == ['test']:
        sys.path.insert(0, str(root))
        if why := missing(site): print(f'skipped: {why}')
        else: test(site); print('passed')
    elif argv: raise SystemExit(__doc__)
    elif why := write(Path(os.environ.get('QUARTO_PROJECT_OUTPUT_DIR', site))/'try'): print(f'The page try.html has no network: {why}')

if __name__ == '__main__': main(sys.argv[1:])
