"""The figures of speed in the README, each the last line of a benchmark.

    python tools/figures.py [NAME ...]    bench/figures.json: all, or these again (step sample culane_metric)

Contestants take turns in one thread, and their CPU seconds are compared, so a busy machine disturbs little.
"""
import json, os, subprocess, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
out = root/'bench/figures.json'
names = dict(step='--pairs 5', sample='', culane_metric='--images 200 --rounds 3 --most 600 --files 400')      # with what arguments

def figure(name:str)->dict: # what the benchmark says, and the command that makes it say so
    command = f'python bench/{name}.py {names[name]}'.strip()
    print(command, flush=True)
    told = subprocess.run([sys.executable, *command.split()[1:]], cwd=root, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'}).stdout
    return dict(command=command, **json.loads(told.splitlines()[-1]))

if __name__ == '__main__':
    if {*sys.argv[1:]} - {*names}: raise SystemExit(__doc__)
    known = json.loads(out.read_text()) if out.exists() else {}
    for name in sys.argv[1:] or names:
        known[name] = figure(name)
        out.write_text(json.dumps(known, indent=1) + '\n', encoding='utf-8')
