"""What type checkers and editors see of names that appear only when the package runs: methods by `@patch`, and imports by `lazy_names`.

    python tools/stubs.py    writes a `.pyi` beside each module that has such names; `make export` runs it

Who finds a stub does not look into its module. `make test` (group `types`) therefore checks a copy of the package without stubs,
in which each patched method stands in its class; the stubs are made from it too.
"""
import ast, re
from pathlib import Path

root = Path(__file__).resolve().parent.parent

# --- Methods into their classes

def patched(node)->dict: # its keywords, such as as_prop; None where it is no patch
    "How fastcore's `@patch` adds a function to a class"
    for d in getattr(node, 'decorator_list', []):
        if getattr(getattr(d, 'func', d), 'id', '') == 'patch': return {k.arg: k.value.value for k in getattr(d, 'keywords', [])}

def first_line(node)->int: return min(d.lineno for d in node.decorator_list)

def method(node, lines:list)->list: # of (its line, text)
    "A patched function as it would stand in its class"
    how = patched(node)
    kind = '@property' if how.get('as_prop') else '@classmethod' if how.get('cls_method') else ''
    text = [(i, kind if lines[i - 1].startswith('@patch') else lines[i - 1]) for i in range(first_line(node), node.end_lineno + 1)]
    return [(i, '    ' + (re.sub(r'\(cls:\w+', '(cls', t) if i == node.lineno else t)) for i, t in text]

def promise(node)->list: # of (0, text)
    "The signature of a function that another module patches in"
    node = ast.parse(ast.unparse(node)).body[0]
    node.decorator_list, node.args.args[0].annotation, node.body = [], None, node.body[:1] + ast.parse('raise TypeError').body
    return [(0, f'    {t}') for t in ast.unparse(node).splitlines()]

def folded(package:Path # folder
          )->tuple:     # path → list of (line in the module or 0, text); the paths that need a stub
    "The modules with their patched methods in their classes"
    lines = {p: p.read_text(encoding='utf-8').splitlines() for p in sorted(package.rglob('*.py')) if p.name != '_modidx.py'}
    trees = {p: ast.parse('\n'.join(ls)) for p, ls in lines.items()}
    classes = {(p, n.name): n for p, t in trees.items() for n in t.body if isinstance(n, ast.ClassDef)}
    grown, gone, lazy = {}, set(), {p for p, ls in lines.items() if any('= lazy_names(' in l for l in ls)}
    for p, tree in trees.items():
        source = {a.name: p.parent/f'{n.module}.py' for n in tree.body if isinstance(n, ast.ImportFrom) and n.level == 1 for a in n.names}
        for n in (n for n in tree.body if patched(n) is not None):
            owner = ast.unparse(n.args.args[0].annotation)
            home = p if (p, owner) in classes else source[owner]
            grown.setdefault((home, classes[home, owner].end_lineno), []).extend(method(n, lines[p]) if home == p else promise(n))
            if home == p: gone |= {(p, i) for i in range(first_line(n), n.end_lineno + 1)}
    whole = {p: [o for i, t in enumerate(ls, 1) for o in [(i, t)]*((p, i) not in gone) + grown.get((p, i), [])] for p, ls in lines.items()}
    return whole, {p for p, _ in grown} | lazy

# --- Stubs

plain = {ast.Dict: 'dict', ast.List: 'list', ast.Tuple: 'tuple', ast.Set: 'set', ast.JoinedStr: 'str'}

def type_of(value, names)->str: # `names`: that may be called, or are annotated parameters → what stands for their type
    "The type of a value, where it shows at a glance; otherwise Any"
    if isinstance(value, ast.Constant): return 'None' if value.value is None else type(value.value).__name__
    if isinstance(value, ast.Name): return names.get(value.id) or 'Any'
    if isinstance(value, ast.Call):
        f = ast.unparse(value.func)
        a_class = re.fullmatch(r'(\w+\.)*[A-Z]\w*', f) and f.split('.')[0] in names or f in 'dict list tuple set int float str bool'.split()
        return f if a_class else 'Any'
    return plain.get(type(value), 'Any')

def optional(annotation, default):
    "An annotation as strict checkers want it: with None where that is the default"
    if annotation is None: return None
    none = isinstance(default, ast.Constant) and default.value is None
    if not none or {'None', 'Any', 'object'} & set(re.findall(r'\w+', ast.unparse(annotation))): return annotation
    return ast.BinOp(annotation, ast.BitOr(), ast.Constant(None))

def pairs(node): # gives (target, value)
    "What an assignment binds"
    for t in getattr(node, 'targets', []):
        if isinstance(t, ast.Tuple):
            values = getattr(node.value, 'elts', [])
            yield from zip(t.elts, values if len(values) == len(t.elts) else [None]*len(t.elts))
        else: yield t, node.value

def bound(node)->list: # `ast.Name`
    "What a statement of a class gives a value"
    return [t for t in (*(t for t, _ in pairs(node)), getattr(node, 'target', None)) if isinstance(t, ast.Name)]

def declared(types:dict)->list: # name → list of types
    "Annotations of what has none"
    union = lambda ts: 'Any' if 'Any' in ts or ts == {'None'} else ' | '.join(sorted(ts))
    return ast.parse('\n'.join(f'{n}: {union({*ts})}' for n, ts in types.items())).body

def parameters(f)->list: # of `ast.arg`, their annotations as strict checkers want them
    "What a function takes"
    plain = f.args.posonlyargs + f.args.args
    both = [*zip(plain[::-1], f.args.defaults[::-1]), *zip(f.args.kwonlyargs, f.args.kw_defaults)]
    for o, d in both: o.annotation = optional(o.annotation, d)
    return plain + f.args.kwonlyargs

def function(node):
    "A function without its body"
    a, _ = node.args, parameters(node)
    node.decorator_list = [d for d in node.decorator_list if not ast.unparse(d).startswith('torch.')]      # `no_grad` changes no signature
    if a.args and a.args[0].arg == 'self': a.args[0].annotation = None
    node.body = node.body[:1] if ast.get_docstring(node) else [ast.Expr(ast.Constant(...))]
    return node

def attributes(cls, names:dict)->list: # annotations
    "What the methods of a class set on `self`"
    own = {n.name for n in cls.body if isinstance(n, ast.FunctionDef)} | {t.id for n in cls.body for t in bound(n)}
    types, said = {}, {}
    for f in (f for f in cls.body if isinstance(f, ast.FunctionDef) and f.args.args):
        me, rebound = f.args.args[0].arg, {n.id for n in ast.walk(f) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        params = names | {o.arg: ast.unparse(o.annotation) for o in parameters(f) if o.annotation and o.arg not in rebound}
        mine = lambda t: isinstance(t, ast.Attribute) and getattr(t.value, 'id', '') == me and t.attr not in own
        for n in ast.walk(f):
            if isinstance(n, ast.AnnAssign) and mine(n.target): said[n.target.attr] = [ast.unparse(optional(n.annotation, n.value))]
            for t, v in pairs(n) if isinstance(n, ast.Assign) else ():
                if mine(t): types.setdefault(t.attr, []).append(type_of(v, params))
    return declared(types | said)

def is_overload(node)->bool: return any(ast.unparse(d) == 'overload' for d in getattr(node, 'decorator_list', []))

def stub(text:str)->str:
    "The stub of a folded module"
    tree, body, types = ast.parse(text), [], {}
    names = {a.asname or a.name.split('.')[0]: '' for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
    names |= {n.name: '' for n in tree.body if isinstance(n, ast.ClassDef)}
    for n in tree.body:
        match n:
            case ast.FunctionDef(name=name) if patched(n) is None and not name.startswith('_'): body.append(function(n))
            case ast.ClassDef():
                found, bare = attributes(n, names), {}
                n.body = [m if not isinstance(m, ast.FunctionDef) else function(m) for m in n.body]
                for m in n.body[:]:
                    if isinstance(m, ast.AnnAssign): m.annotation = optional(m.annotation, m.value)
                    if isinstance(m, ast.Assign) and not isinstance(m.value, ast.Call):
                        bare |= {t.id: [type_of(v, names)] for t, v in pairs(m)}
                        n.body.remove(m)
                several = {m.name for m in n.body if is_overload(m)}
                n.body = [m for m in n.body if getattr(m, 'name', '') not in several or is_overload(m)]   # the one that is run says less
                n.body[bool(ast.get_docstring(n)):0] = declared({k: t for k, t in bare.items() if not k.startswith('__')}) + found
                body.append(n)
            case ast.Assign(value=ast.Call(func=ast.Name(id='lazy_names'), keywords=modules)):
                found = {k.arg: k.value.value.split() for k in modules}
                body += ast.parse('\n'.join(f'from .{m} import {", ".join(f"{w} as {w}" for w in ws)}' for m, ws in found.items())).body
                body += ast.parse(f'__all__ = {sorted(sum(found.values(), []))}').body
            case ast.AnnAssign(): body.append(ast.parse(f'{ast.unparse(n.target)}: {ast.unparse(n.annotation)}').body[0])
            case ast.Assign(targets=[ast.Name(id='__all__')], value=ast.List(elts=[_, *_])): body.append(n)
            case ast.Assign(): types |= {t.id: [type_of(v, names)] for t, v in pairs(n) if not t.id.startswith('_')}
    body += declared(types)
    used = {n.id for o in body for n in ast.walk(o) if isinstance(n, ast.Name)} | {'annotations'}
    imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))] + ast.parse('from typing import Any').body
    for n in imports: n.names = [a for a in n.names if (a.asname or a.name.split('.')[0]) in used]
    doc = tree.body[:1] if ast.get_docstring(tree) else []
    return '# AUTOGENERATED by tools/stubs.py; DO NOT EDIT\n' + ast.unparse(ast.Module(doc + [n for n in imports if n.names] + body, [])) + '\n'

def write(package:Path # folder
         ):
    "Write the stubs of a package, and remove those that are not needed any more"
    whole, grown = folded(package)
    for p in package.rglob('*.pyi'): p.unlink()
    for p in grown: p.with_suffix('.pyi').write_text(stub('\n'.join(t for _, t in whole[p])), encoding='utf-8')

if __name__ == '__main__': write(root/'srlane')
