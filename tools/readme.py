"""The commands of README.md, as a newcomer would type them.

    python tools/readme.py         runs the blocks below `<!-- run -->`, line by line
    python tools/readme.py list    prints them

They run in a copy of what a clone would hold, in a new environment, under `env -i`: a PATH of Python, make, git and coreutils, and an empty home.
pip, and what it would download, are borrowed from the environment that runs this; the drive and the photographs that the README speaks of are drawn.
"""
import json, os, re, shutil, subprocess, sys, tempfile, venv
from pathlib import Path

import check

root = Path(__file__).resolve().parent.parent
left_out = {'make demo': 'it trains for 15 minutes', 'make test': 'CI runs it before this'}
leaves = {'srlane predict': 'predictions/drive.*', 'srlane init': 'photos.yaml'}      # what must be there afterwards
programs = 'sh make git env cat cp ln ls mkdir mktemp mv rm sed test touch true uname'.split()

def commands(text:str)->list: # of lines, without their comments
    "The lines of the blocks that are marked"
    blocks = re.findall(r'^<!-- run -->\n+```sh\n(.*?)^```$', text, re.M|re.S)
    return [line for block in blocks for l in block.splitlines() if (line := re.sub(r'\s+#.*', '', l).strip())]

def environment(folder:Path)->dict: # variables
    "A new environment, and nothing else of this machine"
    venv.create(folder/'env')
    pip = folder/'env/bin/pip'
    pip.write_text(f'#!{folder}/env/bin/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n')
    pip.chmod(0o755)
    site, borrowed = (Path(check.run(py, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').strip()) for py in (folder/'env/bin/python', sys.executable))
    (site/'borrowed.pth').write_text(f'{borrowed}\n')
    (folder/'bin').mkdir()
    for name in programs:
        if found := shutil.which(name): (folder/'bin'/name).symlink_to(found)
    (folder/'home').mkdir()
    offline = dict(PIP_QUIET='1', PIP_NO_INDEX='1', PIP_NO_BUILD_ISOLATION='0', PIP_DISABLE_PIP_VERSION_CHECK='1')      # 0: yes, no isolation
    return dict(PATH=f'{folder}/env/bin:{folder}/bin', HOME=f'{folder}/home', OMP_NUM_THREADS='1', **offline)

def draw_inputs(clone:Path):
    "A drive, and photographs labelled with labelme"
    sys.path.insert(0, str(root))
    import cv2
    from srlane.look.pictures import save_image
    from srlane.synth import drive, make_scene, render
    video = cv2.VideoWriter(str(clone/'drive.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 12, (640, 360))
    for scene in drive(8, 16, 'normal', (640, 360)): video.write(render(scene)[..., ::-1])
    video.release()
    (clone/'photos').mkdir()
    for k in range(8):
        img, lanes, _ = make_scene(k, 'normal', (640, 360))
        save_image(img, clone/f'photos/{k}.jpg')
        shapes = [dict(label='lane', shape_type='linestrip', points=lane.tolist(), group_id=None, flags={}) for lane in lanes]
        (clone/f'photos/{k}.json').write_text(json.dumps(dict(version='5.0.1', flags={}, shapes=shapes, imagePath=f'{k}.jpg', imageData=None, imageHeight=360, imageWidth=640)))

def run_all()->list: # problems
    "Run the README"
    todo = commands((root/'README.md').read_text(encoding='utf-8'))
    problems = [f'README.md has no command `{c}` any more: take it out of tools/readme.py' for c in (*left_out, *leaves) if not any(t.startswith(c) for t in todo)]
    with tempfile.TemporaryDirectory(prefix='srlane-') as tmp:
        folder = Path(tmp)
        clone, env = check.copy_of_tree(folder/'clone'), environment(folder)
        draw_inputs(clone)
        for line in todo:
            if line in left_out: print(f'left out: {line}, as {left_out[line]}', flush=True); continue
            print(f'$ {line}', flush=True)
            r = subprocess.run(['sh', '-c', line], cwd=clone, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            print(r.stdout, end='', flush=True)
            if r.returncode: return problems + [f'`{line}` of README.md ended with {r.returncode}:\n{r.stdout}']
            problems += [f'`{line}` of README.md left no {p}' for c, p in leaves.items() if line.startswith(c) and not any(clone.glob(p))]
    return problems

if __name__ == '__main__':
    if sys.argv[1:] == ['list']: print(*commands((root/'README.md').read_text(encoding='utf-8')), sep='\n')
    elif sys.argv[1:]: raise SystemExit(__doc__)
    else: raise SystemExit('\n'.join(run_all()) or 0)
