"""Small ways to break a module: what ``tests.mutants`` lets the tests of it notice."""

import ast
import copy
from collections.abc import Iterator

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
Place = tuple[ast.AST, str, int | None]
"""A node, its field, and where in the field if that is a list."""


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in a node's place."""
    match node:
        case ast.Constant():
            yield from _other_constants(node.value)
        case ast.Call():
            yield from _other_calls(node)
        case ast.Compare() | ast.BinOp() | ast.AugAssign() | ast.BoolOp():
            yield from _other_operators(node)
        case ast.UnaryOp(operand=operand):
            yield copy.deepcopy(operand)  # it is given another location
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.If(test=test, body=body, orelse=orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def _other_constants(value: object) -> Iterator[ast.AST]:
    match value:
        case bool():
            yield ast.Constant(not value)
        case int() | float():
            yield ast.Constant(value + 1)
        case str():
            yield ast.Constant(f"XX{value}XX")


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    args, keywords = node.args, node.keywords
    if len(args) > 1 and not any(isinstance(arg, ast.Starred) for arg in args[:2]):
        yield ast.Call(node.func, [args[1], args[0], *args[2:]], keywords)
    for place in range(len(keywords)):
        yield ast.Call(node.func, args, keywords[:place] + keywords[place + 1 :])


def _other_operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for place, op in enumerate(ops):
                for kind in COMPARED[type(op)]:
                    yield ast.Compare(left, [*ops[:place], kind(), *ops[place + 1 :]], others)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in COMPUTED:
            yield ast.BinOp(left, COMPUTED[type(operator)](), right)
        case ast.AugAssign(target=target, op=operator, value=value):
            if type(operator) in COMPUTED:
                yield ast.AugAssign(target, COMPUTED[type(operator)](), value)
            yield ast.Assign([target], value)
        case ast.BoolOp(op=joined, values=values):
            yield ast.BoolOp(ast.And() if isinstance(joined, ast.Or) else ast.Or(), values)


def places(function: ast.FunctionDef) -> Iterator[Place]:
    """Find what a function's body is made of; errors, docstrings and annotations are left out."""
    todo: list[Place] = [(function, "body", index) for index in range(len(function.body))]
    while todo:
        place = todo.pop()
        node = at(place)
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
            continue
        if isinstance(node, ast.arguments) or place[1] in {"annotation", "returns"}:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "given":
            todo.append((node, "args", 0))  # the others are the words of an error
            continue
        yield place
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and name != "decorator_list":
                todo += [(node, name, i) for i, one in enumerate(value) if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                todo.append((node, name, None))


def at(place: Place) -> ast.AST:
    """Give what stands at a place."""
    node, field, index = place
    found = getattr(node, field)
    return found if index is None else found[index]


def put(place: Place, new: ast.AST) -> None:
    """Let something else stand there."""
    node, field, index = place
    if index is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[index] = new


def functions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Find the functions and methods of a module, without those within others."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node)
        elif isinstance(node, ast.FunctionDef):
            yield node


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Give the line of each mutant, what is changed there, and the module so changed."""
    tree = ast.parse(source)
    for function in functions(tree):
        for place in list(places(function)):
            old = at(place)
            for new in variants(old):
                put(place, ast.copy_location(new, old))
                mutated = ast.fix_missing_locations(copy.deepcopy(tree))
                put(place, old)
                before, after = (ast.unparse(node).partition("\n")[0] for node in (old, new))
                yield old.lineno, f"{before}  ->  {after}", mutated  # type: ignore[attr-defined]
