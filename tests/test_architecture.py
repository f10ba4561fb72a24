"""The arrows between folders point down, and TensorFlow stays behind its door."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "tf1_wd"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
}

# From the bottom up: folder or module -> the earlier rows that it may import; `errors` is open to all. A module belongs
# to the longest row that its name begins with.
MAY_IMPORT = {
    "errors": "",
    "_tf": "",
    "conventions": "",
    "plan": "conventions",
    "legacy": "",
    "native": "_tf plan",
    "graph": "_tf plan native",
    "penalties": "_tf graph",
    "decay.ops": "_tf plan native graph penalties",
    "decay.refusals": "_tf plan graph decay.ops",
    "decay.coupled": "_tf plan native graph penalties decay.ops decay.refusals",
    "decay.scope": "_tf plan graph penalties decay.ops decay.refusals decay.coupled",
    "decay": "_tf plan graph penalties decay.ops decay.refusals decay.scope",
    "tf2": "_tf plan native decay.ops",
    "keras": "_tf plan graph penalties decay.ops decay.refusals decay.scope",
    "optimizers": "_tf plan native graph penalties decay.ops decay.refusals",
    "__init__": "",
    "commands": "native",
    "commands.run": "_tf native graph penalties decay.scope __init__",
    "commands.demo": "_tf legacy decay.scope __init__",
    "commands.audit": "_tf plan graph penalties decay.refusals decay.scope keras commands.run",
    "commands.migrate.migration": "plan",
    "commands.migrate.from_plan": "plan commands.audit commands.migrate.migration",
    "commands.migrate.writing": "plan conventions commands.audit commands.migrate.migration commands.migrate.from_plan",
    "commands.migrate.reading": "_tf plan graph penalties decay commands.audit commands.migrate.migration"
    " commands.migrate.writing",
    "commands.migrate": "decay.scope commands.run commands.audit commands.migrate.reading",
    "commands.patch": "",
    "cli": "_tf plan native legacy commands commands.run commands.audit commands.demo commands.patch"
    " commands.migrate commands.migrate.from_plan commands.migrate.writing __init__",
    "__main__": "cli",
}
MAY_NAME_TENSORFLOW = ("_tf", "legacy")
# What these rows hold can be imported where no TensorFlow is; so can the modules below.
WITHOUT_TENSORFLOW = ("errors", "plan", "conventions", "commands.patch", "cli", "commands.migrate.migration")
ALSO_WITHOUT_TENSORFLOW = [
    "native.build",
    "native.cache",
    "commands.run.execute",
    "commands.audit.report",
    "commands.audit.html_page",
    "commands.audit.source_lines",
    "commands.migrate.writing.module",
    "legacy.tables.moves",
]
LINES = 300


def row_of(module):
    """The row of MAY_IMPORT that a module belongs to."""
    name = module.replace(".__init__", "")
    while name not in MAY_IMPORT:
        assert "." in name, "%s has no row: add its folder to MAY_IMPORT" % module
        name = name.rpartition(".")[0]
    return name


def imports_of(text):
    """Dotted names that a module imports, at any level: modules, and what is taken from them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("%s.%s" % (node.module, alias.name) for alias in node.names)


def own_module(imported):
    """The module of ours that a dotted name is, or is in; None for what is not ours."""
    name = imported
    while name.startswith("tf1_wd"):
        inner = name[len("tf1_wd") :].lstrip(".")
        for module in (inner, (inner + ".__init__").lstrip(".")):
            if module in MODULES:
                return module
        name = name.rpartition(".")[0]
    return None


def forbidden_imports(module, text):
    """What a module imports although its row does not let it."""
    row = row_of(module)
    allowed = {row, "errors", *MAY_IMPORT[row].split()}
    found = [(imported, own_module(imported)) for imported in imports_of(text)]
    wrong = [imported for imported, ours in found if ours is not None and row_of(ours) not in allowed]
    if not row.startswith(MAY_NAME_TENSORFLOW):
        wrong += [i for i, _ in found if i.split(".")[0] in ("tensorflow", "tensorflow_core")]
    return wrong


def private_names(text):
    """The private names of other modules or objects that a module asks for, by import or as attributes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tf1_wd"):
            yield from (a.name for a in node.names if a.name.startswith("_") and a.name not in ("_tf", "__version__"))
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            yield from [] if is_own else [node.attr]


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_a_row_may_import_earlier_rows_alone(row):
    rows = list(MAY_IMPORT)
    assert set(MAY_IMPORT[row].split()) <= set(rows[: rows.index(row)])


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_a_row_names_what_it_does_import_and_no_more(row):
    imported = [own_module(i) for m, p in MODULES.items() if row_of(m) == row for i in imports_of(p.read_text())]
    assert {row_of(m) for m in imported if m is not None} - {row, "errors"} == set(MAY_IMPORT[row].split())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    assert forbidden_imports(module, MODULES[module].read_text()) == []


def test_modules_import_one_another_without_circles():
    needs = {m: {own_module(i) for i in imports_of(p.read_text())} - {m, None} for m, p in MODULES.items()}
    while needs:
        free = [m for m, others in needs.items() if not others & set(needs)]
        assert free, "a circle among %s" % ", ".join(sorted(needs))
        needs = {m: others for m, others in needs.items() if m not in free}


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("native.decay", "from tf1_wd import graph"),
        ("native.decay", "from tf1_wd.graph.walk import ancestors"),
        ("legacy.runtime", "from tf1_wd.decay.scope.scope import decoupled_weight_decay"),
        ("graph.walk", "from tf1_wd.commands.audit import report"),
        ("graph.walk", "def later():\n    import tf1_wd.commands.audit.report"),
        ("plan.options", "import tensorflow as tf"),
        ("plan.options", "from tensorflow.python.ops import variables"),
        ("plan.options", "from tf1_wd._tf import tf"),
        ("commands.run.run", "from tf1_wd.commands.audit import report"),
        ("penalties.find", "import tf1_wd.decay.attach"),
    ],
)
def test_a_forbidden_arrow_is_found(module, line):
    text = MODULES[module].read_text()
    assert forbidden_imports(module, text) == []
    assert len(forbidden_imports(module, text + "\n" + line)) == 1


@pytest.mark.parametrize("line", ["scope._record", "from tf1_wd.plan.options import _rate", "x = f(y)._state"])
def test_a_private_name_of_another_is_found(line):
    assert len(list(private_names(line))) == 1


def without_tensorflow():
    return [m for m in sorted(MODULES) if row_of(m) in WITHOUT_TENSORFLOW] + ALSO_WITHOUT_TENSORFLOW


def test_modules_that_need_no_tensorflow_import_none():
    lines = ["import sys"]
    for module in ["", *without_tensorflow()]:
        name = ".".join(filter(None, ["tf1_wd", module.replace("__init__", "").strip(".")]))
        lines.append(
            "import %s; print(%r, sorted(m for m in sys.modules if m.startswith('tensorflow')))" % (name, name)
        )
    out = subprocess.run([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True, check=True)
    assert [line for line in out.stdout.splitlines() if not line.endswith(" []")] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_can_be_read_in_one_sitting(module):
    assert len(MODULES[module].read_text().splitlines()) <= LINES


@pytest.mark.parametrize("module", sorted(m for m in MODULES if not m.startswith(MAY_NAME_TENSORFLOW)))
def test_private_names_stay_where_they_are(module):
    found = list(private_names(MODULES[module].read_text()))
    assert [name for name in found if name not in ("_replace", "_exit")] == []


def test_no_public_name_is_hidden_by_a_module():
    import tf1_wd

    folders = {"": tf1_wd.__all__, "keras": ["plan", "rates", "decouple", "add_l2"], "legacy": ["install"]}
    for folder, names in folders.items():
        inside = {m.rpartition(".")[2] for m in MODULES if m.rpartition(".")[0] == folder and m != "tf2"}
        assert inside & set(names) == set()


def test_only_a_few_modules_stand_at_the_top():
    assert {m for m in MODULES if "." not in m} == {"__init__", "__main__", "errors", "tf2"}
