"""The arrows between modules point down, and TensorFlow stays behind its door."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tf1_wd"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}

# Stand-ins that import others of them, from the bottom up; they are found through the table of moves alone.
STANDINS = [
    {"legacy.standins." + name for name in names.split()}
    for names in (
        "keras linear framework datasets",
        "rnn_wrappers seq2seq_helper seq2seq_attention",
        "seq2seq_wrapper seq2seq_decoder",
    )
]
OTHER_STANDINS = {m for m in MODULES if m.startswith("legacy.standins.")}.difference(*STANDINS)

# From the bottom up: a module imports modules of lower layers only, or of its own where that is written down.
LAYERS = [
    {"errors", "render", "sources", "conventions", "identity"},
    {"scales"},
    {"rules", "native.build", "program", "conversion", "layer_params", "selection"},
    {"plan", "native.cache"},
    {"report", "keras_layers"},
    {"migration"},
    {"migration_forms"},
    {"migration_optimizers"},
    {"migration_steps"},
    {"migration_code"},
    {"audit_text"},
    {"audit_html"},
    {"_tf"},
    {"graph", "native.loader"},
    {"graph_files", "copies", "upstream", "native.reference", "servers"},
    {"coefficients", "native.decay"},
    {"penalties", "lookups", "roles"},
    {"differentiation", "replay", "hooks"},
    {"multipliers", "step", "applied"},
    {"attribution", "averages", "combined", "counting", "decoupled", "keras_refusals", "l2_by_hand", "sparse", "tf2"},
    {"update"},
    {"attachment", "keras_update", "lazy"},
    {"closing", "coupled", "replicas", "summaries", "extension", "convnet"},
    {"scope", "optimizers"},
    {"facts"},
    {"gradient_changes", "update_settings"},
    {"schedules"},
    {"structure"},
    {"observe", "findings"},
    {"train_op", "watch", "audit", "keras"},
    {"runner", "stopping", "migrate_remarks"},
    {"migrate"},
    {"audit_program", "migrate_program"},
    *STANDINS,
    OTHER_STANDINS,
    {"legacy.moves", "legacy.modules", "legacy.aliases", "legacy.behavior"},
    {
        "legacy.table_core",
        "legacy.table_data",
        "legacy.table_layers",
        "legacy.table_sequences",
        "legacy.table_training",
    },
    {"legacy.table", "legacy.estimator", "legacy.facade", "legacy.others"},
    {"legacy.finder"},
    {"legacy.install"},
    {"legacy"},
    {"doctor", "demo_curves"},
    {"demo"},
    {"patch"},
    {"patch.tree"},
    {"patch.events", "patch.paths", "patch.reporting", "patch.writes"},
    {"patch.flow"},
    {"patch.deciding", "patch.known"},
    {"patch.rewriting"},
    {"patch.compat"},
    {"patch.patching"},
    {"cli.quiet"},
    {"cli.build", "cli.doctor", "cli.demo", "cli.run", "cli.audit", "cli.patch"},
    {"cli.migrate"},
    {"cli.main"},
    {"__main__"},
]
WITHOUT_TENSORFLOW = [
    "errors",
    "render",
    "identity",
    "rules",
    "scales",
    "conventions",
    "conversion",
    "layer_params",
    "plan",
    "keras_layers",
    "report",
    "migration",
    "migration_code",
    "sources",
    "audit_html",
    "native.build",
    "native.cache",
    "program",
    "cli.main",
    "legacy.moves",
    "cli.patch",
    "patch.patching",
    "patch.reporting",
]
MAY_NAME_TENSORFLOW = {"_tf"}
# The lines a module may have; a module that shrinks below 300 leaves the list.
LONG = {}


def imports_of(path):
    """Dotted names of the modules that a file imports, at any level."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update("%s.%s" % (node.module, alias.name) for alias in node.names)
            found.add(node.module)
    return found


def own_imports(name):
    wanted = {i[len("tf1_wd.") :] for i in imports_of(MODULES[name]) if i.startswith("tf1_wd.")}
    return {w for w in wanted if w in MODULES or w + ".__init__" in MODULES} - {"native", "cli"}


def layer_of(name):
    for i, layer in enumerate(LAYERS):
        if name in layer:
            return i
    raise AssertionError("module %s has no layer: add it to LAYERS" % name)


def names():
    packages = {"__init__", "native.__init__", "cli.__init__", "legacy.standins.__init__"}
    return sorted(m for m in MODULES if m not in packages and not m.startswith("legacy_examples"))


@pytest.mark.parametrize("name", names())
def test_imports_point_down(name):
    own = layer_of(name.replace(".__init__", ""))
    for imported in own_imports(name):
        assert layer_of(imported) < own, "%s imports %s" % (name, imported)


@pytest.mark.parametrize("name", names())
def test_tensorflow_is_imported_in_one_place(name):
    tensorflow = {i for i in imports_of(MODULES[name]) if i.split(".")[0] in ("tensorflow", "tensorflow_core")}
    if name not in MAY_NAME_TENSORFLOW and not name.startswith("legacy"):
        assert not tensorflow


@pytest.mark.parametrize("name", ["", *WITHOUT_TENSORFLOW])
def test_modules_that_need_no_tensorflow_import_none(name):
    module = ".".join(filter(None, ["tf1_wd", name]))
    script = "import sys, %s; print(sorted(m for m in sys.modules if m.startswith('tensorflow')))" % module
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", names())
def test_every_module_can_be_read_in_one_sitting(name):
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= LONG.get(name, 300)


@pytest.mark.parametrize("name", names())
def test_private_names_of_tensorflow_stay_in_one_place(name):
    if name in MAY_NAME_TENSORFLOW or name.startswith("legacy"):
        return
    private = [
        node.attr
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "scope"))
    ]
    assert [p for p in private if p not in ("_replace", "_exit")] == []
