"""A release tried out: source distribution and wheel are built, looked at, installed and used as a user would, once for each Python.

    python tools/release.py [PYTHON ...]        such as python3.10 python3.13; without any, the one that runs this

Everything happens in a temporary folder, on what is committed: a new environment builds and checks both distributions, and for each Python
another new one gets the wheel with the versions of constraints.txt. There, in an empty folder, roads are drawn, a network is trained on them for
two steps and validated, and the packaged weights find lanes. What pip finds where it usually looks is installed: torch is large. Both distributions are left in dist where every Python passed; nothing is uploaded.
The last line counts the Pythons that passed."""
import os, shlex, shutil, subprocess, sys, tempfile, time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
tries = [
    "python -c 'from srlane.runner import Runner'",
    'srlane --version',
    'srlane synth culane roads --train 8 --val 2 --test 2',
    'srlane train demo data_root=roads total_iter=2 scheduler.warm_up_iters=1 batch_size=4 eval_ep=1 workers=0',
    'srlane predict roads/driver_2_synth/0000.MP4/00000.jpg --json -']

def run(*cmd, cwd, **more):
    "A command's output; its end is shown where it fails"
    r = subprocess.run([str(c) for c in cmd], cwd=cwd, capture_output=True, text=True, **more)
    if r.returncode: raise RuntimeError(f'{shlex.join(map(str, cmd))}: exit {r.returncode}\n{(r.stdout + r.stderr)[-3000:]}')
    return r.stdout

def environment(python, folder:Path)->Path: # its bin
    "A new environment"
    run(python, '-m', 'venv', folder, cwd=folder.parent)
    return folder/'bin'

def build(tmp:Path)->Path: # the wheel
    "Both distributions of what is committed, checked"
    tree = tmp/'tree'; tree.mkdir()
    subprocess.run(['tar', '-x', '-C', tree], input=subprocess.run(['git', 'archive', 'HEAD'], cwd=root, capture_output=True, check=True).stdout, check=True)
    bin = environment(sys.executable, tmp/'build')
    run(bin/'pip', 'install', '-q', 'setuptools>=71', 'wheel', 'twine', cwd=tmp)
    run(bin/'python', 'setup.py', '-q', 'sdist', '-d', tmp/'dist', cwd=tree)
    run(bin/'pip', 'wheel', '-q', '--no-deps', '-w', tmp/'dist', next((tmp/'dist').glob('*.tar.gz')), cwd=tmp)
    run(bin/'twine', 'check', '--strict', *(tmp/'dist').iterdir(), cwd=tmp)
    for p in sorted((tmp/'dist').iterdir()): print(f'{p.name}  {p.stat().st_size/1e6:.1f} MB', flush=True)
    return next((tmp/'dist').glob('*.whl'))

def attempt(python:str, wheel:Path, tmp:Path):
    "Install the wheel for one Python, and use it"
    bin, empty, start = environment(python, tmp/'env'), tmp/'empty', time.time()
    empty.mkdir()
    version = run(bin/'python', '-c', 'import platform; print(platform.python_version())', cwd=tmp).strip()
    print(f'Python {version}', flush=True)
    run(bin/'pip', 'install', '-q', '-c', root/'constraints.txt', wheel, cwd=empty)
    print(f'  installed, {time.time() - start:.0f} s', flush=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')} | dict(PATH=f'{bin}{os.pathsep}{os.environ["PATH"]}', OMP_NUM_THREADS='1')
    for line in tries:
        start = time.time()
        run('sh', '-ec', line, cwd=empty, env=env)
        print(f'  {line}  {time.time() - start:.1f} s', flush=True)

def main(pythons):
    passed = 0
    with tempfile.TemporaryDirectory(prefix='srlane-') as tmp:
        wheel = build(Path(tmp))
        for python in pythons:
            with tempfile.TemporaryDirectory(prefix='srlane-') as one:
                try: attempt(python, wheel, Path(one))
                except (RuntimeError, OSError) as e: print(f'{python}: {e}', flush=True)
                else: passed += 1
        if passed == len(pythons):
            shutil.rmtree(root/'dist', ignore_errors=True)
            shutil.copytree(wheel.parent, root/'dist')
    print(f'{passed} passed, {len(pythons) - passed} failed')
    return int(passed < len(pythons))

if __name__ == '__main__': sys.exit(print(__doc__) if set(sys.argv[1:]) & {'-h', '--help'} else main(sys.argv[1:] or [sys.executable]))
