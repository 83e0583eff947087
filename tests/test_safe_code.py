"""Our own code runs nothing that a file says, and puts no statement of SQL together."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path for name in ("keras_cdd", "export", "examples", "benchmarks") for path in (ROOT / name).rglob("*.py")
)
EXECUTE = ("execute", "executemany", "executescript")
# The database's own library puts values into the places of a constant text.
QUOTED = re.compile(r"psycopg\.sql\.SQL\([A-Z]+\)\.format\((psycopg\.sql\.Literal\(\w+\)(, )?)+\)")
# Modules that run what a file says.
FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}


def calls():
    """(place, name of the function, `ast.Call`) of every call in our code."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node


def test_nothing_is_loaded_unsafely_and_no_text_is_run():
    """Beside ruff's rules, which `make lint` applies: what is safe by default is not turned off, or is said."""
    loaded = 0
    for place, name, call in calls():
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        last = name.rpartition(".")[2]
        assert last != "enable_unsafe_deserialization" and "safe_mode" not in given, place
        assert name not in ("eval", "exec", "os.system", "os.popen") and given.get("shell", "False") == "False", place
        if name == "np.load":
            assert given.get("allow_pickle") == "False", place
            loaded += 1
    assert loaded > 4


def test_pickles_are_read_by_our_restricted_reader_alone():
    importing = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                if FORBIDDEN & {str(name).partition(".")[0] for name in names}:
                    importing.add(path.relative_to(ROOT).as_posix())
    assert importing == {"keras_cdd/models/pretrained/torch_file.py"}


def bindings(code):
    """(name, value) of all assignments in a module."""
    return [(ast.unparse(node.targets[0]), node.value) for node in ast.walk(code) if isinstance(node, ast.Assign)]


def constant_names(code, rows):
    """Names in a module that stand for constant text wherever they are bound; `rows` name tuples of such text."""
    bound, loops = bindings(code), [node for node in ast.walk(code) if isinstance(node, ast.For | ast.comprehension)]
    names = {(ast.unparse(loop.target), ast.unparse(loop.iter) in rows) for loop in loops}
    names |= {(name, is_text(value)) for name, value in bound}
    return {name for name, constant in names if constant} - {name for name, constant in names if not constant}


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_sql_is_constant():
    """Values come as parameters: no statement is put together from text."""
    found, modules = 0, {path: ast.parse(path.read_text()) for path in SOURCES}
    tuples = [binding for code in modules.values() for binding in bindings(code) if isinstance(binding[1], ast.Tuple)]
    rows = {name for name, value in tuples if all(map(is_text, value.elts))}
    for path, code in modules.items():
        names = constant_names(code, rows)
        for node in ast.walk(code):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in EXECUTE:
                statement = ast.unparse(node.args[0])
                constant = is_text(node.args[0]) or statement in names or QUOTED.fullmatch(statement)
                assert constant, f"{path.relative_to(ROOT)}:{node.lineno}"
                found += 1
    assert found > 10
