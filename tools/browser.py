"""A person at JupyterLab, played by Playwright in a headless Chromium: the tutorial
on training, its buttons and a reload, and the one on reading mistakes with its browser of images.

    python tools/browser.py [--keep FOLDER]    --keep: leave light and dark screenshots there

It starts JupyterLab with its defaults on copies of the tutorials, in a folder of its own, and ends what it started.
The last line says `passed`, `skipped: why` or the failure.
"""
import argparse, io, json, os, re, shutil, subprocess, sys, tempfile, time, urllib.request
from importlib.util import find_spec
from pathlib import Path

root = Path(__file__).resolve().parent.parent
tutorial, mistakes = (root/f'nbs/tutorials/{n}.ipynb' for n in ('train_in_a_notebook', 'reading_mistakes'))
notebook_packages = 'jupyterlab', 'ipywidgets', 'ipykernel'
flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

def missing(*packages)->str: # why a test cannot run here, or ''
    "What this machine lacks to show something in a browser"
    lacking = [n for n in ('playwright', *packages) if find_spec(n) is None]
    if not chromium(): lacking.append('chromium')
    return f'no {", ".join(lacking)} here' if lacking else ''

def chromium():
    "The browser, by any of its names"
    return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)

class Lab:
    "JupyterLab with its defaults on one folder"
    def __init__(self, folder:Path):
        self.folder, self.log = folder, open(folder.parent/'lab.log', 'w')
        home = folder.parent/'home'                    # nobody's own settings
        env = {**os.environ, 'JUPYTER_CONFIG_DIR': str(home/'config'), 'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'), 'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces'),
               'JUPYTER_RUNTIME_DIR': str(home/'runtime'), 'IPYTHONDIR': str(home/'ipython'), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(root)}
        env.pop('IN_TEST', None)
        self.process = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--port=0', '--ServerApp.port_retries=0', f'--ServerApp.root_dir={folder}'],
                                        env=env, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT)
        try: self.info = self.wait_for(home/'runtime')
        except RuntimeError:
            self.process.kill()
            raise

    def wait_for(self, runtime, seconds=90):
        "Address and token of the server, once it answers"
        end = time.time() + seconds
        while time.time() < end and self.process.poll() is None:
            for p in runtime.glob('jpserver-*.json'):
                try:
                    info = json.loads(p.read_text())
                    urllib.request.urlopen(f"{info['url']}api?token={info['token']}", timeout=5)
                    return info
                except (OSError, ValueError): pass
            time.sleep(.3)
        raise RuntimeError('JupyterLab did not start:\n' + (self.folder.parent/'lab.log').read_text()[-2000:])

    def url(self, name): return f"{self.info['url']}lab/workspaces/{Path(name).stem}/tree/{name}?token={self.info['token']}"   # a workspace each: no tabs of another

    def close(self):
        try: urllib.request.urlopen(urllib.request.Request(f"{self.info['url']}api/shutdown?token={self.info['token']}", method='POST', data=b''), timeout=10)
        except (OSError, AttributeError): self.process.terminate()
        try: self.process.wait(20)
        except subprocess.TimeoutExpired: self.process.kill()
        self.log.close()

def without_outputs(path:Path, before:int, after:int)->dict: # steps of its training, and steps to have instead
    "A tutorial as nobody has run it"
    nb = json.loads(path.read_text(encoding='utf-8'))
    for c in nb['cells']:
        if c['cell_type'] != 'code': continue
        c['outputs'], c['execution_count'] = [], None
        c['source'] = re.sub(rf'total_iter={before}\b', f'total_iter={after}', ''.join(c['source']))
    return nb

def first_with(nb, words): return next(i for i, c in enumerate(nb['cells']) if c['cell_type'] == 'code' and words in c['source'])
def code(source, name): return dict(cell_type='code', id=name, metadata={}, outputs=[], execution_count=None, source=source)

def mistakes_for_test(folder:Path)->str: # name of the notebook
    "The tutorial on mistakes up to its pictures, and the browser of images after them"
    nb = without_outputs(mistakes, 150, 30)
    end = first_with(nb, 'plot_worst')
    nb['cells'] = [*nb['cells'][:end], code('interp.browser(480)', 'browser')]
    (folder/mistakes.name).write_text(json.dumps(nb), encoding='utf-8')
    return mistakes.name

def copy_for_test(folder:Path, steps:int)->str: # name of the notebook
    "The tutorial on training, long enough that somebody has to stop it"
    nb = without_outputs(tutorial, 144, steps)
    start = first_with(nb, 'background=True')
    probe = code("print(json.dumps(dict(commands=list(monitor.commands), status=monitor.status, step=runner.state.step, asked=monitor.history.step, "
                 "last=(runner.recorder.work_dir/'last.ckpt').exists(), validated=runner.state.validated_step)))", 'probe')
    here = code("again = Runner(load_config('demo', *settings, 'total_iter=4000'))\nagain.train()", 'here')
    ended = code("print(json.dumps(dict(why=again.stop_reason, step=again.state.step, last=(again.recorder.work_dir/'last.ckpt').exists())))", 'ended')
    nb['cells'] = [*nb['cells'][:start + 1], code('import json', 'imports'), probe, here, ended,
                   code("more = Runner(load_config('demo', *settings, 'total_iter=4000')).train(background=True)", 'more'), code('more', 'shown')]
    (folder/tutorial.name).write_text(json.dumps(nb), encoding='utf-8')
    return tutorial.name

class Notebook:
    "The notebook in the browser"
    def __init__(self, page, url):
        self.page = page
        page.goto(url)
        page.wait_for_selector('.jp-Notebook .jp-Cell', timeout=90_000)
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"], .jp-Dialog', timeout=90_000)
        page.wait_for_timeout(2000)
        if page.locator('.jp-Dialog').count(): page.locator('.jp-Dialog .jp-mod-accept').click()      # which kernel? the one proposed
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=90_000)
        news = page.locator('.jp-toast-button', has_text='No')
        if news.count(): news.first.click()

    def run(self, cell, wait=True, timeout=300_000):
        "Execute a cell by its number"
        c = self.page.locator('.jp-Notebook .jp-Cell').nth(cell)
        c.scroll_into_view_if_needed()
        c.locator('.jp-InputPrompt').click()
        self.page.keyboard.press('Control+Enter')
        if wait:
            self.page.wait_for_function("i => /\\[\\d+\\]/.test(document.querySelectorAll('.jp-Notebook .jp-Cell')[i].querySelector('.jp-InputPrompt').innerText)", arg=cell, timeout=timeout)
        return c

    def probe(self, cell):
        "What the kernel says of the run"
        before = self.page.locator('.jp-Notebook .jp-Cell').nth(cell).locator('.jp-InputPrompt').inner_text()
        self.run(cell, wait=False)
        self.page.wait_for_function("([i, before]) => { const p = document.querySelectorAll('.jp-Notebook .jp-Cell')[i].querySelector('.jp-InputPrompt').innerText;"
                                    " return p != before && /\\d/.test(p) }", arg=[cell, before], timeout=60_000)
        return json.loads(self.page.locator('.jp-Notebook .jp-Cell').nth(cell).locator('.jp-OutputArea-output').first.inner_text())

    def theme(self, name): # 'JupyterLab Light', 'JupyterLab Dark'
        page, label = self.page, lambda text: self.page.locator('.lm-Menu-itemLabel', has_text=re.compile(f'^{re.escape(text)}$')).first
        page.locator('.lm-MenuBar-itemLabel', has_text='Settings').click()
        label('Theme').click()
        label(name).click()
        page.wait_for_function("dark => document.body.dataset.jpThemeLight == (dark ? 'false' : 'true')", arg='Dark' in name, timeout=20_000)
        page.wait_for_timeout(1000)

    def save(self):
        self.page.locator('.jp-Notebook .jp-InputPrompt').first.click()
        self.page.keyboard.press('Control+s')

def scenario(page, lab, name, keep:Path=None)->list: # what was seen, in words
    "Everything that a person does"
    notes = []
    def say(words): notes.append(words); print(f'  {words}', flush=True)
    def check(ok, words):
        if not ok: raise AssertionError(words)
        say(words)
    def shot(file):
        if not keep: return
        from PIL import Image
        for theme in ('Light', 'Dark'):
            nb.theme(f'JupyterLab {theme}')
            view.scroll_into_view_if_needed()
            target = keep/f'{file}_{theme.lower()}.png'
            img = Image.open(io.BytesIO(output.screenshot())).convert('RGB')
            img.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)      # of the colours those that are furthest apart: half the size
            if target.stat().st_size > 150_000: raise AssertionError(f'{target.name} has {target.stat().st_size//1000} kB')
        nb.theme('JupyterLab Light')

    page.set_viewport_size(dict(width=1100, height=1250))
    nb = Notebook(page, lab.url(name))
    codes = [i for i, c in enumerate(json.loads((lab.folder/name).read_text())['cells']) if c['cell_type'] == 'code']
    *before, start, imports, probe, here, ended, more, shown = codes
    for c in before: nb.run(c)
    began = time.time()
    cell = nb.run(start)
    output = cell.locator('.jp-Cell-outputWrapper')
    view = cell.locator('[data-srlane=step]')
    view.wait_for(timeout=60_000)
    check(time.time() - began < 30, 'the cell returned at once, and the view is there')
    nb.run(imports)

    step = lambda: int(re.search(r'step (\d+)', view.inner_text())[1])
    points = lambda: cell.locator('svg polyline').first.get_attribute('points')
    def moved(at_least=3, seconds=60):
        first, end = step(), time.time() + seconds
        while step() < first + at_least and time.time() < end: page.wait_for_timeout(200)
        return step() >= first + at_least
    check(moved(4), 'the step counts up')
    drawn = points()
    check(moved(3) and points() != drawn, 'the curves move')

    press = lambda label: cell.get_by_role('button', name=label).click()
    status = lambda words: page.wait_for_function("([i, w]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[i].querySelector('[data-srlane=status]')?.innerText == w",
                                                 arg=[start, words], timeout=60_000)
    press('Pause'); status('paused')
    held = nb.probe(probe)['step']
    page.wait_for_timeout(1500)
    check(nb.probe(probe)['step'] == held, f'Pause holds it, at step {held}')
    press('Validate')
    page.wait_for_function("i => document.querySelectorAll('.jp-Notebook .jp-Cell')[i].querySelector('.jp-OutputArea table') != null", arg=start, timeout=60_000)
    check(nb.probe(probe)['validated'] == held, 'Validate validates while it is held, and the table appears')
    check(cell.locator('img[alt*="labels above"]').count() == 1, 'predictions stand beside their labels')
    press('Resume'); status('training')
    check(moved(3), 'Resume goes on')
    press('Validate'); press('Save')
    end = time.time() + 60
    while time.time() < end and not {'validate', 'save'} <= {name for name, asked, done in nb.probe(probe)['commands'][3:] if done is not None}: page.wait_for_timeout(500)
    check(moved(100 if keep else 5, 120), 'it goes on after Validate and Save')
    shot('monitor_live')
    press('Stop')
    page.wait_for_function("i => { const c = document.querySelectorAll('.jp-Notebook .jp-Cell')[i]; return !c.querySelector('[data-srlane=step]') && c.querySelector('.jp-RenderedImage img') }",
                           arg=start, timeout=60_000)
    end = nb.probe(probe)
    late = {what: done - asked for what, asked, done in end['commands']}
    check(end['status'] == 'stopped' and all(v <= 2 for v in late.values()), f'stopped; steps from asking to doing: {late}')
    check(end['last'], 'last.ckpt is there')
    check(cell.locator('button').count() == 0, 'one static picture has replaced the live view')
    cell.get_by_text('in words').click()
    check('F1@0.5' in cell.locator('details pre').inner_text(), 'its words can be unfolded below it')
    view = cell.locator('.jp-RenderedImage img')
    shot('monitor_static')

    cell = nb.run(here, wait=False)
    view = cell.locator('[data-srlane=step]')
    view.wait_for(timeout=60_000)
    check(moved(4) and cell.locator('.jp-OutputArea button').count() == 0, 'without background=True the cell shows the same view as it runs, without buttons')
    page.locator('[data-command="notebook:interrupt-kernel"], [title*="nterrupt"]').first.click()
    page.wait_for_function("i => { const c = document.querySelectorAll('.jp-Notebook .jp-Cell')[i]; return /\\d/.test(c.querySelector('.jp-InputPrompt').innerText) && c.querySelector('.jp-RenderedImage img') }",
                           arg=here, timeout=60_000)
    end = nb.probe(ended)
    check(end['why'] == 'SIGINT' and end['last'] and 'KeyboardInterrupt' not in cell.inner_text(), f"interrupting the kernel stops it at step {end['step']} with everything saved, and leaves the picture")

    nb.save()
    page.wait_for_timeout(2000)
    saved = [o for c in json.loads((lab.folder/name).read_text())['cells'] for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
    check(len(saved) == 2 and all(o['metadata']['image/png']['alt'] for o in saved), 'the pictures and their alternative texts are in the saved file')
    page.reload()
    page.wait_for_selector('.jp-Notebook .jp-RenderedImage img', timeout=90_000)
    check(page.locator('.jp-Notebook .jp-Cell').nth(start).locator('.jp-RenderedImage img').evaluate('i => i.complete && i.naturalWidth > 300'), 'after a reload it is still there')

    nb = Notebook(page, lab.url(name))
    cell = nb.run(more)
    view = cell.locator('[data-srlane=step]')
    check(moved(2), 'another one trains')
    nb.save()
    page.wait_for_timeout(1000)
    nb = Notebook(page, lab.url(name))
    cell = nb.run(shown)
    view = cell.locator('[data-srlane=step]')
    view.wait_for(timeout=60_000)
    check(moved(3), 'the page was loaded anew while it trained, and a cell with the Monitor shows the view again')
    press('Stop')
    cell.locator('.jp-RenderedImage img').wait_for(timeout=60_000)
    check(cell.locator('.jp-OutputArea button').count() == 0, 'Stop works there too, and leaves the picture')
    return notes

def browse_mistakes(page, lab, name, keep:Path=None):
    "The worst images in their browser"
    def check(ok, words):
        if not ok: raise AssertionError(words)
        print(f'  {words}', flush=True)
    nb = Notebook(page, lab.url(name))
    *before, last = [i for i, c in enumerate(json.loads((lab.folder/name).read_text())['cells']) if c['cell_type'] == 'code']
    for c in before: nb.run(c)
    cell = nb.run(last)
    img = cell.locator('.jp-OutputArea img')
    img.wait_for(timeout=60_000)
    words, place = lambda: img.get_attribute('alt'), lambda: cell.get_by_text(re.compile(r'^\d+ of \d+$')).inner_text()
    def changes(act, shown, seconds=30):
        "Whether what is shown changes after an act"
        was, end = shown(), time.time() + seconds
        act()
        while shown() == was and time.time() < end: page.wait_for_timeout(100)
        return shown() != was
    source = lambda: img.get_attribute('src')
    check('missed' in words() and place().startswith('1 of '), f'the browser opens with the worst image ({place()})')
    check(changes(lambda: cell.get_by_role('button', name='Next').click(), words) and place().startswith('2 of '), 'Next shows another')
    check(changes(lambda: cell.get_by_role('button', name='Previous').click(), words) and place().startswith('1 of '), 'Previous the one before')
    check(changes(lambda: cell.get_by_label('proposals').check(), source), 'proposals are drawn when asked for')
    check(changes(lambda: cell.get_by_label('angle map').check(), source), 'and the map of angles')
    all_images = place()
    check(changes(lambda: cell.get_by_label('category').select_option(index=1), place), f'a category has fewer: {place()} instead of {all_images}')
    cell.get_by_label('worst by').select_option('missed')
    page.wait_for_timeout(500)
    check(place().startswith('1 of '), 'sorted by missed lanes')
    if keep: cell.screenshot(path=str(keep/'mistakes.png'))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--keep', type=Path, help='folder for the screenshots'); p.add_argument('--steps', type=int, default=4000, help='steps of the run that is stopped')
    a = p.parse_args()
    if why := missing(*notebook_packages):
        print(f'skipped: {why}')
        return 0
    from playwright.sync_api import sync_playwright
    if a.keep: a.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='srlane-', ignore_cleanup_errors=True) as tmp:
        folder = Path(tmp)/'notebooks'
        folder.mkdir()
        name, name2 = copy_for_test(folder, a.steps), mistakes_for_test(folder)
        lab = Lab(folder)
        try:
            with sync_playwright() as pw:
                browser = pw.chromium.launch(executable_path=chromium(), args=flags)
                page = browser.new_page()
                try:
                    scenario(page, lab, name, a.keep)
                    browse_mistakes(page, lab, name2, a.keep)
                except Exception:
                    if a.keep: page.screenshot(path=str(a.keep/'failed.png'))
                    raise
                finally: browser.close()
        finally: lab.close()
    print('passed')
    return 0

if __name__ == '__main__': sys.exit(main())
