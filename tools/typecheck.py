"""mypy's opinion of the package and of what users write with it: `python tools/typecheck.py`; problems one a line, exit code 1 where there are any.

The modules are checked in a copy in which patched methods stand in their classes (`stubs.py`), the stubs and a user's program as a user's mypy sees them.
Libraries count as Any: this takes ten seconds where torch's own types would take a minute.
"""
import os, re, subprocess, sys, tempfile
from pathlib import Path

import stubs

alone = ['--no-site-packages', '--ignore-missing-imports', '--cache-dir', os.devnull]
# Annotations here say what a reader needs: `x:str=None` may be None, and None is not followed further. Not asked: types of local
# variables (var-annotated), `found.append(x) or x` (func-returns-value), and what mypy guesses of tables of functions, of `*map(…)`
# and of `**settings` (operator, call-overload, has-type, misc).
ours = '--implicit-optional --no-strict-optional --allow-redefinition'.split() + [
    f'--disable-error-code={k}' for k in ('var-annotated', 'func-returns-value', 'operator', 'call-overload', 'has-type', 'misc', 'return')]

program = '''
from typing_extensions import assert_type
from srlane.config import load_config
from srlane.data import CULane
from srlane.lane import Lane
from srlane.predict import Prediction, Predictor
from srlane.runner import Runner
from srlane.training import TrainState, Validation

runner = Runner(load_config('culane/r18'), loggers=[])
runner.train(background=True, view=None)
assert_type(runner.validate('test'), Validation)
assert_type(runner.state, TrainState)
runner.trian()                                                # refused: attr-defined
runner.train(background=True).wait(2)
runner.train(background=True).wiat()                          # refused: union-attr
runner.train(background='yes')                                # refused: arg-type
runner.validate(splt='test')                                  # refused: call-arg

predictor = Predictor(half=True)
predictor('road.jpg', skip_bad=True)[0].save('lanes.jpg')
for found in predictor('road.mp4', stream=True): assert_type(found, Prediction)
assert_type(predictor(['a.jpg', 'b.jpg']), list[Prediction])
predictor(['a.jpg', 'b.jpg']).save('lanes.jpg')               # refused: attr-defined
predictor(['a.jpg'], stream=True)[0]                          # refused: index
for found in predictor.stream('road.mp4', crop=0.4):
    assert_type(found, Prediction)
    found.save('lanes.jpg')
    assert_type(found.to_culane(), bytes)                     # refused: assert-type
    found.save()                                              # refused: call-arg
predictor.stream('road.mp4', batch_size='2')                  # refused: arg-type
predictor.streem('road.mp4')                                  # refused: attr-defined

assert_type(Lane.from_pixels([[1, 2], [3, 4]], (1640, 590)).to_culane(), str)
CULane.lanes(3, 4)                                            # refused: arg-type
'''

planted = 'from .runner import Runner\ndef f(runner:Runner):\n    runner.train()\n    runner.trian()\n'      # the check can fail

def mypy(*args, cwd:Path)->list: # of (file, line, message)
    "What mypy finds"
    r = subprocess.run([sys.executable, '-m', 'mypy', *alone, *map(str, args)], cwd=cwd, capture_output=True, text=True)
    if r.returncode not in (0, 1): raise RuntimeError(r.stdout + r.stderr)
    return [(m[1], int(m[2]), m[3]) for m in re.finditer(r'^(\S+?):(\d+): error: (.*)$', r.stdout, re.M)]

def module_problems()->list:
    "What is wrong with the modules, at their own lines"
    whole, _ = stubs.folded(stubs.root/'srlane')
    with tempfile.TemporaryDirectory(prefix='srlane-') as tmp:
        for p, lines in whole.items():
            (copy := Path(tmp)/p.relative_to(stubs.root)).parent.mkdir(parents=True, exist_ok=True)
            copy.write_text('\n'.join(t for _, t in lines) + '\n', encoding='utf-8')
        Path(tmp, 'srlane/planted.py').write_text(planted, encoding='utf-8')
        found = mypy(*ours, 'srlane', cwd=tmp)
    out = [f'{f}:{whole[stubs.root/f][i - 1][0]}: {m}' for f, i, m in found if f != 'srlane/planted.py']
    return out + ['a misspelt method of a Runner is not noticed']*(len(found) - len(out) != 1)

def user_problems()->list:
    "What is wrong with the stubs, and lines of a user's program that are taken for something else than they say"
    with tempfile.NamedTemporaryFile('w', prefix='program', suffix='.py', encoding='utf-8') as file:
        file.write(program); file.flush()
        found = mypy('--follow-imports=silent', *sorted((stubs.root/'srlane').rglob('*.pyi')), file.name, cwd=stubs.root)
    got, out = {i: m for f, i, m in found if f == file.name}, [f'{f}:{i}: {m}' for f, i, m in found if f != file.name]
    for i, line in enumerate(program.splitlines(), 1):
        code, says = line.partition('# refused: ')[2], got.get(i, '')
        if code != says.rpartition('[')[2].rstrip(']'): out.append(f"a user's line, {line.strip()}: {says or 'mypy takes it'}")
    return out

def script_problems(paths:list)->list:
    "Names of the library that scripts use and it has not, and calls that it does not take"
    more = ['--check-untyped-defs', '--follow-imports=silent'] + [f'--disable-error-code={k}' for k in ('assignment', 'method-assign', 'index', 'union-attr')]
    with tempfile.NamedTemporaryFile('w', prefix='planted', suffix='.py', encoding='utf-8') as file:
        file.write(planted.replace('from .', 'from srlane.')); file.flush()
        found = mypy(*ours, *more, *paths, file.name, cwd=stubs.root)
    out = [f'{f}:{i}: {m}' for f, i, m in found if f != file.name]
    return out + ['a misspelt method of a Runner is not noticed in a script']*(len(found) - len(out) != 1)

checks = {'the modules agree with their annotations': module_problems, "the stubs do too, and a user's mistakes are refused": user_problems}

if __name__ == '__main__':
    problems = sum((f() for f in checks.values()), [])
    print('\n'.join(problems) or 'the types agree')
    sys.exit(bool(problems))
