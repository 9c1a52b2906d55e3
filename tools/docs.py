"""The documentation site and the README, without Quarto.

    python tools/docs.py build     notebooks -> _proc -> _docs, then check
    python tools/docs.py render    the same without the check
    python tools/docs.py check     check _docs as it stands
    python tools/docs.py readme    nbs/index.ipynb -> README.md

nbdev does all but the rendering, as in `nbdev_docs`; smalldocs renders what Quarto would, from the same _quarto.yml.
"""
import ast, html, json, os, re, shutil, sys, tempfile
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import yaml
import nbdev.processors, nbdev.serve
import notebooks
from nbdev.config import get_config
from nbdev.doclinks import _build_modidx, _nbpath2html
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs
from nbdev.serve_drv import exec_nb
from nbdev.processors import FilterDefaults

cfg = get_config()
root, nbs = cfg.config_path, cfg.nbs_path
site_url = f'{cfg.doc_host}{cfg.doc_baseurl}/'

# --- Building

def page_name(name:str)->str: # `01_lane.ipynb` -> `lane.ipynb`, as nbdev names the page
    return _nbpath2html(Path(name)).with_suffix(Path(name).suffix).name

_want_doc, _parallel = nbdev.processors._want_doc, nbdev.serve.parallel

def document_building_blocks():
    "Let nbdev document cells with `exporti` too: names that stay out of `__all__` are still what a notebook explains"
    def want(c):
        d = c.directives_
        return _want_doc(c) or bool(c.source and c.cell_type == 'code' and 'exporti' in d and 'hide' not in d)
    nbdev.processors._want_doc = want
    nbdev.serve.parallel = lambda *args, **kw: _parallel(*args, **{**kw, 'method': 'fork'})       # the processes have to know it too

def process()->Path: # `_proc`: nbdev's notebooks for rendering, with `show_doc` run and its links set
    "Let nbdev do its part of `nbdev_docs`: all that needs no Quarto"
    os.chdir(nbs)                                     # where a notebook's relative paths begin
    os.environ['PYTHONWARNINGS'] = 'ignore::UserWarning'  # nbdev's about cells that import and do more: `notebooks.py lint` is exact about them
    document_building_blocks()
    refresh_quarto_yml()
    _build_modidx()
    proc = proc_nbs(n_workers=min(os.cpu_count(), 8))
    for p in proc.rglob('*.ipynb'):          # what stays from a notebook since renamed or removed
        if not (nbs/p.relative_to(proc)).exists(): p.unlink()
    return proc

def symbols()->dict: # `models.neck.html` -> {`srlane.models.neck.ChannelMapper.forward`: its anchor}, the public names alone
    "What stands where, as nbdev's index of the package has it"
    pages, index = {}, ast.parse((cfg.lib_path/'_modidx.py').read_text(encoding='utf-8')).body[0].value   # `d = {…}`
    for names in ast.literal_eval(index)['syms'].values():
        for name, (link, _) in names.items():
            page, anchor = link.split('#')
            if not re.search(r'(^|\.)_(?!_)', name): pages.setdefault(page, {})[name] = anchor
    return pages

def relative(text:str,
             up:str='', # the way from the page to the site's top: '../' for a page in a folder
            )->str:     # the same text, with links between pages relative and by the pages' names
    "Make nbdev's absolute links to the site relative; a link to a notebook loses the notebook's number"
    text = text.replace(site_url, up)
    return re.sub(r'(?<=[("\s/])(\d+[a-zA-Z0-9]*_[\w.]+)(?=\.ipynb)', lambda m: page_name(m[1] + '.ipynb')[:-len('.ipynb')], text)

def anchored(md:str,       # what `show_doc` wrote
             hidden:list,  # anchors in the index that have no heading of their own
            )->str:
    "Give a documented name every anchor that nbdev links to: its own, though it be a dunder, and those of the methods in a class's body"
    def heading(m):
        own = m[2].lower()
        inner = ''.join(f'<span id="{a}"></span>' for a in hidden if a.rpartition('.')[0] == own)
        return f'{m[1]} {inner}{m[2].replace("_", chr(92)+"_")} {{#{own}}}'
    md = re.sub(r'^(```.*?^```)', lambda m: re.sub(r'\[(`[^`]+`)\]\([^)]*\)', r'\1', m[1]), md, flags=re.M|re.S)   # nbdev links inside code too
    return re.sub(r'^(#{2,4}) (\S+)$', heading, md, count=1, flags=re.M)

def stage(proc:Path, # nbdev's processed notebooks
          dest:Path, # an empty folder
         ):
    "Copy `proc` with the pages named as nbdev links to them; smalldocs does not read nbdev's `output-file`"
    index = symbols()
    for src in sorted(proc.rglob('*')):
        if src.suffix not in {'.ipynb', '.yml', '.css', '.js', '.png', '.svg', '.gif', '.webp', '.jpg', '.md', '.qmd'}: continue
        to = dest/src.relative_to(proc).with_name(page_name(src.name) if src.suffix == '.ipynb' else src.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        if src.suffix == '.ipynb':
            nb = staged(json.loads(src.read_text(encoding='utf-8')), index.get(to.with_suffix('.html').relative_to(dest).as_posix(), {}), '../'*(len(to.relative_to(dest).parts) - 1))
            to.write_text(json.dumps(nb), encoding='utf-8')
        elif src.name == '_quarto.yml': to.write_text(relative(src.read_text(encoding='utf-8')), encoding='utf-8')
        else: shutil.copy2(src, to)

def staged(nb:dict,    # a processed notebook
           names:dict, # name -> anchor of what it documents
           up:str='',  # as for `relative`
          )->dict:
    "A processed notebook with its links and anchors as the site needs them"
    if nb['cells'][0]['cell_type'] == 'raw': nb['cells'][0]['source'] = re.sub(r'^output-file:.*\n', '', ''.join(nb['cells'][0]['source']), flags=re.M)
    docs = [o for c in nb['cells'] if ''.join(c['source']).rstrip().split('\n')[-1].startswith('show_doc(') for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})]
    texts = [''.join(o['data']['text/markdown']) for o in docs]
    shown = {m.lower() for t in texts for m in re.findall(r'^#{2,4} (\S+)$', t, re.M)}
    for o, t in zip(docs, texts): o['data']['text/markdown'] = anchored(t, [a for a in names.values() if a not in shown])
    for c in nb['cells']:
        if c['cell_type'] == 'markdown': c['source'] = relative(''.join(c['source']), up)
        for o in c.get('outputs', []):
            for k, v in o.get('data', {}).items():
                if k in ('text/markdown', 'text/html'): o['data'][k] = relative(''.join(v), up)
            for k, v in o.get('metadata', {}).items():
                if isinstance(v, dict) and 'alt' in v and k in o['data']: o['data']['text/html'] = f'<img src="data:{k};base64,{"".join(o["data"].pop(k)).strip()}" alt="{html.escape(v["alt"])}">'
    return nb

def build(out:Path=cfg.doc_path # folder of the site, replaced as a whole
         )->Path:
    "Render the site"
    from smalldocs.site import build as render
    proc = process()
    with tempfile.TemporaryDirectory(dir=root, prefix='.site-') as tmp:
        stage(proc, Path(tmp))
        site = render(tmp, quiet=True)
        for w in site.warnings: print('smalldocs:', w)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(site.out, out)
    return out

# --- The README

def readme(dest:Path=root # folder of README.md; its pictures go to nbs/images beside it
          )->str:         # the text
    "README.md from nbs/index.ipynb, as GitHub should show it"
    from nbconvert import MarkdownExporter
    from nbformat import reads
    with tempfile.TemporaryDirectory() as tmp:
        exec_nb(nbs/'index.ipynb', Path(tmp)/'index.ipynb', FilterDefaults)
        nb = reads((Path(tmp)/'index.ipynb').read_text(encoding='utf-8'), 4)
    head = yaml.safe_load(nb.cells[0].source.strip('-\n '))
    nb.cells, nb.metadata['language_info'] = nb.cells[1:], {'name': 'python'}
    for c in nb.cells:
        if '#| echo: false' in c.source: c.metadata['transient'] = {'remove_source': True}
    body, extra = MarkdownExporter().from_notebook_node(nb)
    for i, (name, data) in enumerate(extra['outputs'].items()):      # pictures that cells have drawn
        to = f'images/index_{i}{Path(name).suffix}'
        (dest/'nbs/images').mkdir(parents=True, exist_ok=True)
        (dest/'nbs'/to).write_bytes(data)
        body = body.replace(f']({name})', f']({to})')
    body = body.replace(f'({cfg.git_url}/blob/{cfg.branch}/', '(')         # links into the repository
    body = re.sub(r'(\]\(|\bsrc(?:set)?=")(?!\w+:|#|nbs/)([^)"#\s]+)', lambda m: f'{m[1]}nbs/{m[2]}' if (nbs/m[2]).exists() else m[0], body)
    body = re.sub(r'\n{3,}', '\n\n', body.replace('<!-- WARNING: THIS FILE WAS AUTOGENERATED! DO NOT EDIT! -->', '').strip())
    text = f'# {head["title"]}\n\n<!-- Made from nbs/index.ipynb by `make readme`: edit that. -->\n\n> {head["description"]}\n\n{body}\n'
    (dest/'README.md').write_text(text, encoding='utf-8')
    return text

# --- Checking

class Page(HTMLParser):
    "The ids and the links of a page"
    def __init__(self, text):
        super().__init__(); self.ids, self.links = set(), []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        for k, v in attrs:
            if k in ('id', 'name') and v: self.ids.add(v)
            if k in ('href', 'src', 'srcset', 'poster') and v: self.links.append(v)

def check_links(site:Path)->list: # problems, one line each
    "Every link inside the site leads to a file and to an anchor that are there"
    pages, broken = {p.resolve(): Page(p.read_text(encoding='utf-8')) for p in site.rglob('*.html')}, defaultdict(list)
    for p, page in pages.items():
        name = p.relative_to(site.resolve()).as_posix()
        for link in dict.fromkeys(page.links):
            full = link
            if link.startswith(site_url): link = os.path.relpath(site.resolve()/link[len(site_url):], p.parent)
            if re.match(r'[a-z]+:|//', link): continue
            path, _, anchor = link.partition('#')
            to = (p.parent/unquote(path.partition('?')[0])).resolve() if path else p
            if to.is_dir(): to = to/'index.html'
            if not to.exists(): broken[f'{full} leads nowhere'].append(name)
            elif anchor and to in pages and unquote(anchor) not in pages[to].ids: broken[f'{full}: the page has no such anchor'].append(name)
    if not pages: return [f'{site.name} has no pages']
    return [f'{msg} (on {names[0]}' + (f' and {len(names)-1} other pages)' if names[1:] else ')') for msg, names in broken.items()]

def check_names(site:Path, index:dict)->list:
    "Every public name of the package has its page and its anchor"
    out = []
    for name, names in index.items():
        if not (site/name).exists(): out.append(f'{name} is missing: no page for {", ".join(names)}'); continue
        ids = Page((site/name).read_text(encoding='utf-8')).ids
        out += [f'{name} has no anchor {a} for {n}' for n, a in names.items() if a not in ids]
    return out

def check_outputs(proc:Path)->list:
    "No processed notebook shows an error where its documentation should be"
    out = []
    for p in sorted(proc.rglob('*.ipynb')):
        for i, c in enumerate(json.loads(p.read_text(encoding='utf-8'))['cells']):
            if any(o['output_type'] == 'error' for o in c.get('outputs', [])): out.append(f'{p.relative_to(proc)}, cell {i}: an error for an output: {"".join(c["source"])[:80]!r}')
    return out

def check_sidebar(config:Path=root/'_quarto.yml')->list:
    "The sidebar has every notebook: the modules in reading order, then the tutorials and the reference"
    def hrefs(items):
        for o in items:
            if isinstance(o, str): yield o
            elif 'contents' in o: yield from hrefs(o['contents'])
            else: yield o['href']
    listed = [h for h in hrefs(yaml.safe_load(config.read_text(encoding='utf-8'))['website']['sidebar']['contents'])]
    here = [p.relative_to(nbs).as_posix() for p in notebooks.notebooks()]
    out  = [f'_quarto.yml: the sidebar has {h}, which is not in nbs/' for h in listed if h not in here]
    out += [f'_quarto.yml: the sidebar lacks {h}' for h in here if h not in listed]
    for folder in dict.fromkeys(h.rpartition('/')[0] for h in here):       # a package reads from its index on; tutorials have an order of their own
        of = lambda hs: [h for h in hs if h.rpartition('/')[0] == folder and h != 'try.ipynb']      # no module: it stands where it is found
        if not out and folder not in ('tutorials', 'reference') and of(listed) != sorted(of(here), key=lambda h: (not h.endswith('index.ipynb'), h)): out.append(f'_quarto.yml: the sidebar does not have {folder or "nbs"}/ in reading order')
    return out

def check(site:Path=cfg.doc_path)->dict: # what was checked -> problems
    "All checks of a built site"
    return {'every public name has its page and anchor': check_names(site, symbols()), 'no broken internal link': check_links(site),
            'no error output': check_outputs(root/'_proc'), 'the sidebar has every notebook in reading order': check_sidebar()}

def main(argv:list):
    cmd = argv[0] if argv else ''
    if cmd == 'readme': readme()
    elif cmd == 'render': build()
    elif cmd in ('build', 'check'):
        if cmd == 'build': print(f'built {build().relative_to(root)}/index.html')
        problems = [m for ms in check().values() for m in ms]
        print('\n'.join(problems) or 'checked: names, links, outputs, sidebar')
        return int(bool(problems))
    else: raise SystemExit(__doc__)

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
