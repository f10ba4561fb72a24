"""`tf1-wd patch`: cases/NAME.py becomes NAME.patched.py, or stays as it is for the reason in its header."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import pathlib
import re
import sys

import pytest

from support.pages import of, runs_all
from support.paths import ROOT
from support.processes import python
from tf1_wd.cli import patch as cli
from tf1_wd.cli.main import main
from tf1_wd.commands.patch import codemod, reporting
from tf1_wd.commands.patch import to_compat_v1 as compat

CASES = pathlib.Path(__file__).resolve().parent / "cases"
EXAMPLES = ROOT / "legacy_examples"
NAMES = sorted(path.stem for path in CASES.glob("*.py") if not path.stem.endswith(".patched"))
PATCHED = [name for name in NAMES if (CASES / (name + ".patched.py")).exists()]
LEFT = [name for name in NAMES if name not in PATCHED]
STATUS = {
    "refused": codemod.REFUSED,
    "left alone": codemod.LEFT_ALONE,
    "nothing": codemod.NOTHING,
    "done already": codemod.DONE,
}
SCRIPT = b"import tensorflow as tf\nloss = tf.nn.l2_loss(w)\ntrain_op = tf.train.AdamOptimizer(1e-3).minimize(loss)\n"


def source_of(name):
    return (CASES / (name + ".py")).read_bytes()


def header(name, word):
    found = re.search(r"^# %s: (.*)$" % word, source_of(name).decode(), re.MULTILINE)
    return found.group(1) if found else ""


def arguments(name):
    return header(name, "options").split()


def patched(source, words=()):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    args = parser.parse_args([*words, "file.py"])
    return codemod.patch_source(source, cli._options(args), args.to_compat_v1)


@pytest.mark.parametrize("name", PATCHED)
def test_the_case_becomes_its_patched_file_and_then_stays(name):
    outcome = patched(source_of(name), arguments(name))
    assert outcome.source.decode() == (CASES / (name + ".patched.py")).read_bytes().decode()
    assert outcome.status == codemod.PATCHED
    assert not outcome.refusals
    compile(outcome.source, name, "exec", dont_inherit=True)
    assert patched(outcome.source, arguments(name)).source == outcome.source


@pytest.mark.parametrize("name", LEFT)
def test_the_case_is_left_for_the_reason_in_its_header(name):
    outcome = patched(source_of(name), arguments(name))
    reasons = [(word, header(name, word)) for word in STATUS if header(name, word)]
    assert len(reasons) == 1, "a case without a patched file has one reason in its header"
    word, reason = reasons[0]
    assert outcome.status == STATUS[word]
    assert outcome.source == source_of(name)
    told = [text for _, text in outcome.notes] + [r.why for r in outcome.refusals]
    assert any(reason in text for text in told)
    assert all(r.line > 1 and r.by_hand for r in outcome.refusals)


@pytest.mark.parametrize("name", [n for n in PATCHED if "--to-compat-v1" not in arguments(n) and "snippet" not in n])
def test_nothing_but_scopes_and_indentation_changes(name):
    before = source_of(name).decode().splitlines()
    after = patched(source_of(name), arguments(name)).source.decode().splitlines()
    added = [line for line in after if "tf1_wd" in line]
    kept = [line for line in after if "tf1_wd" not in line]
    assert [line.lstrip() for line in kept] == [line.lstrip() for line in before]
    shifted = [(old, new) for old, new in zip(before, kept) if old != new]
    assert all(new.endswith(old) for old, new in shifted if old.strip())
    calls = ("tf1_wd.decoupled_weight_decay(", "tf1_wd.keras.decouple(")
    assert len(added) == 1 + sum(any(call in line for call in calls) for line in added)


@pytest.mark.parametrize("name", PATCHED)
def test_no_scope_is_opened_inside_another(name):
    def opens(node):
        items = getattr(node, "items", []) if isinstance(node, ast.With) else []
        found = [item.context_expr for item in items] + getattr(node, "decorator_list", [])
        return any("decoupled_weight_decay" in ast.dump(expression) for expression in found)

    for outer in ast.walk(ast.parse((CASES / (name + ".patched.py")).read_bytes())):
        if opens(outer):
            assert not any(opens(inner) for inner in ast.walk(outer) if inner is not outer)


TRAIN = """
import json, operator, sys
import numpy as np
import tensorflow.compat.v1 as tf
from tf1_wd.commands.patch import to_compat_v1 as compat
import tf_slim

report = {"absent": [name for name in compat.MOVED if not hasattr(tf_slim, name)]}
report["absent"] += [name for name in compat.CORE.values() if operator.attrgetter(name)(tf) is None]
for name, source in json.loads(sys.stdin.read()).items():
    with tf.Graph().as_default():
        program = {"__name__": name}
        exec(compile(source, name, "exec"), program)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(3):
                session.run(program["train_op"])
            report[name] = session.run({v.op.name: v for v in tf.trainable_variables()})
            report[name] = {k: np.asarray(v, np.float64).ravel().tolist() for k, v in report[name].items()}
print("REPORT" + json.dumps(report))
"""


@pytest.fixture(scope="module")
def trained():
    """name -> variable -> weights after three steps of the patched program; one process for all of them."""
    names = [name for name in PATCHED if header(name, "trains")]
    sources = {name: patched(source_of(name), [*arguments(name), "--to-compat-v1"]).source.decode() for name in names}
    assert all("tensorflow.compat.v1" in source for source in sources.values())
    done = python("-c", TRAIN, given=json.dumps(sources))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("REPORT")[1])


@pytest.mark.parametrize("name", [name for name in PATCHED if header(name, "trains")])
def test_the_patched_program_trains_by_the_decoupled_rule(name, trained):
    # the gradients are constant, so Adam's step is lr * sign(gradient); w has gradient (1, -2), rate 0.1; b no decay
    w, b = [2.0, 3.0], [1.0]
    for _ in range(3):
        stepped = [x - 0.05 * sign for x, sign in zip(w, (1, -1))]
        if "snippet" in header(name, "trains"):
            w = [0.9 * x for x in stepped]
        else:
            w = [x - 0.05 * 0.1 * old for x, old in zip(stepped, w)]
        b = [b[0] - 0.05]
    assert trained[name]["w"] == pytest.approx(w, rel=1e-5)
    assert trained[name]["b"] == pytest.approx(b, rel=1e-5)


OF_KERAS_2 = b"""import tensorflow as tf
slim = tf.contrib.slim
h = slim.fully_connected(tf.ones([4, 3]), 2, normalizer_fn=slim.batch_norm)
w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]))
unused = tf.layers.dense(h, 1)
loss = tf.reduce_sum(w * [1.0, -2.0]) + 0.1 * tf.nn.l2_loss(w)
train_op = tf.train.AdamOptimizer(0.05).minimize(loss, var_list=[w])
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    print("TRAINED", session.run(w).tolist())
"""


def test_what_plain_tensorflow_2_lacks_is_brought_before_it_is_imported(tmp_path):
    outcome = patched(OF_KERAS_2, ["--to-compat-v1"])
    assert any("tf.layers, tf_slim" in text and "pip install tf-keras tf-slim" in text for _, text in outcome.notes)
    done = python(in_file(tmp_path, outcome.source))
    assert done.returncode == 0, done.stderr[-3000:]
    weights = json.loads(done.stdout.split("TRAINED")[1])
    assert weights == pytest.approx([x - 0.05 * sign - 0.05 * 0.1 * x for x, sign in zip((2.0, 3.0), (1, -1))])


def test_a_file_without_a_start_is_told_what_its_start_needs():
    outcome = patched(b"import tensorflow as tf\n\n\ndef f(x):\n    return tf.layers.dense(x, 1)\n", ["--to-compat-v1"])
    assert b"tf1_wd" not in outcome.source
    assert any("tf1_wd.legacy.install() is to be called" in text for _, text in outcome.notes)


def test_the_rule_of_a_keras_model_is_that_of_run_unless_options_say_another():
    source = b"import keras\nmodel.compile('sgd', loss='mse')\n"
    line = "tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model, %s))\n"
    for words, given in (
        ([], 'convention="adamw"'),
        (["--rate", "0.1"], 'rate=0.1, convention="adamw"'),
        (["--rate", "k=0.1", "--convention", "snippet"], 'rates={"k": 0.1}, convention="snippet"'),
    ):
        assert line % given in patched(source, words).source.decode()
    (refusal,) = patched(source, ["--source", "auto"]).refusals
    assert "--source is no option" in refusal.why


def test_every_name_that_an_import_moves_to_is_there(trained):
    assert trained["absent"] == []
    assert len(compat.MOVED) > 80


@pytest.mark.parametrize(
    "source",
    [
        SCRIPT.replace(b"\n", b"\r\n"),
        b"# -*- coding: latin-1 -*-\n# Z\xfcrich\n" + SCRIPT,
        b"\xef\xbb\xbf" + SCRIPT,
        SCRIPT.rstrip(b"\n"),
        SCRIPT.replace(b"loss =", b"\x0c\nloss ="),
    ],
    ids=["CRLF", "latin-1", "BOM", "no newline at the end", "form feed"],
)
def test_line_ends_and_encodings_stay(source):
    after = patched(source).source
    call = b'with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):'
    newline = b"\r\n" if b"\r\n" in source else b"\n"
    expected = source.replace(b"tf\n", b"tf\nimport tf1_wd\n").replace(b"tf\r\n", b"tf\r\nimport tf1_wd\r\n")
    assert after == expected.replace(b"train_op =", call + newline + b"    train_op =")
    assert "\n+    train_op" in reporting.diff("train.py", source, after)


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        (
            SCRIPT + b'print "done"\n',
            4,
            "no syntax of Python %d.%d (Missing parentheses in call to 'print'" % sys.version_info[:2],
        ),
        (SCRIPT + b"try:\n    pass\nexcept ValueError, e:\n    pass\n", 6, "no syntax of Python 3."),
        (b"if 1:\n\tx = 1\n        y = 2\n" + SCRIPT, 3, "no syntax of Python 3."),
        (b"# coding: no-such\n" + SCRIPT, 1, "cannot be decoded"),
        (b"# Z\xfcrich\n" + SCRIPT, 1, "cannot be decoded"),
        (SCRIPT + b"x = " + b" + ".join([b"a"] * 900) + b"\n", 1, "nested too deeply"),
    ],
    ids=["print statement", "except comma", "mixed indentation", "unknown encoding", "wrong encoding", "deep"],
)
def test_a_file_that_cannot_be_read_is_named_and_left(source, line, why):
    outcome = patched(source)
    assert (outcome.status, outcome.source) == (codemod.REFUSED, source)
    (refusal,) = outcome.refusals
    assert refusal.line == line
    assert why in refusal.why


# --- the command


def in_file(tmp_path, source, name="train.py"):
    path = tmp_path / name
    path.write_bytes(source)
    return str(path)


def test_without_write_the_diff_is_shown_and_the_file_stays(tmp_path, capsys):
    path = in_file(tmp_path, SCRIPT)
    assert main(["patch", path]) == 0
    out, err = capsys.readouterr()
    assert "+import tf1_wd\n" in out
    assert '+with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):\n' in out
    assert "%s:3: wrapped in `with` (update in line 3)" % path in err
    assert "to be patched (--write changes the file)" in err
    assert pathlib.Path(path).read_bytes() == SCRIPT


def test_write_applies_the_diff_keeps_the_mode_and_writes_once(tmp_path, capsys):
    path = in_file(tmp_path, SCRIPT)
    os.chmod(path, 0o750)
    link = tmp_path / "link.py"
    link.symlink_to(path)
    assert main(["patch", "--write", str(link)]) == 0
    once = pathlib.Path(path).read_bytes()
    assert once == patched(SCRIPT).source
    assert link.is_symlink()
    assert os.stat(path).st_mode & 0o777 == 0o750
    assert capsys.readouterr().out == ""
    assert main(["patch", "--write", path]) == 0
    assert pathlib.Path(path).read_bytes() == once
    assert "uses tf1_wd already" in capsys.readouterr().err
    assert sorted(os.listdir(str(tmp_path))) == ["link.py", "train.py"]


def test_a_file_that_is_not_understood_does_not_keep_the_others_back(tmp_path, capsys):
    good, bad = in_file(tmp_path, SCRIPT), in_file(tmp_path, source_of("update_under_condition"), "bad.py")
    assert main(["patch", "--write", good, bad]) == 1
    assert b"tf1_wd" in pathlib.Path(good).read_bytes()
    assert pathlib.Path(bad).read_bytes() == source_of("update_under_condition")
    err = capsys.readouterr().err
    assert "%s:10: not understood: gradients are computed in any case" % bad in err
    assert "By hand: put the gradients and the update under the same condition" in err


def test_files_without_a_train_op_alone_are_no_success(tmp_path, capsys):
    network, script = in_file(tmp_path, source_of("no_train_op"), "network.py"), in_file(tmp_path, SCRIPT)
    assert main(["patch", network]) == 1
    assert "no file builds a train_op: name the one that does" in capsys.readouterr().err
    assert main(["patch", network, script]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rate", "a lot"], "--rate: 'a lot' is not a number"),
        (["--rate", "conv=0.1", "--rates", "0.2"], "PATTERN=RATE each time"),
        (["--rates", "1.5"], "1.5"),
        (["--exclude", "conv("], "conv("),
        (["--convention", "paper"], "scale="),
        (["no/such/file.py"], "cannot read no/such/file.py"),
    ],
)
def test_wrong_usage_is_told_and_changes_nothing(tmp_path, capsys, words, told):
    path = in_file(tmp_path, SCRIPT)
    assert main(["patch", "--write", path, *words]) == 2
    assert told in capsys.readouterr().err
    assert pathlib.Path(path).read_bytes() == SCRIPT


def test_options_go_into_the_call(tmp_path, capsys):
    path = in_file(tmp_path, SCRIPT)
    words = ["--convention", "paper", "--scale", "0.5", "--exclude", r"bias\d", "--include", "it's", "--source", "auto"]
    assert main(["patch", path, *words]) == 0
    call = r'(convention="paper", source="auto", scale=0.5, include="it' + "'" + r's", exclude=r"bias\d")'
    assert "+with tf1_wd.decoupled_weight_decay%s:\n" % call in capsys.readouterr().out


def test_without_libcst_the_extra_is_named(tmp_path, capsys, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("tf1_wd.commands.patch", "libcst"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libcst", None)
    monkeypatch.delattr("tf1_wd.commands.patch")
    assert main(["patch", in_file(tmp_path, SCRIPT)]) == 2
    assert "needs a package: pip install 'libcst>=1.0.1,<2'" in capsys.readouterr().err


def test_it_runs_where_no_tensorflow_is_installed(tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from tf1_wd.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = python("-c", code, "patch", in_file(tmp_path, SCRIPT))
    assert done.returncode == 0
    assert "+import tf1_wd" in done.stdout


def test_the_diff_applies(tmp_path, capsys):
    source = source_of("towers")
    assert main(["patch", in_file(tmp_path, source)]) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    expected = difflib.unified_diff(
        source.decode().splitlines(keepends=True), patched(source).source.decode().splitlines(keepends=True)
    )
    assert lines[2:] == list(expected)[2:]


@runs_all("docs/commands/patch.md", "diff")
def test_the_diffs_of_the_documentation_are_those_of_the_command():
    page = (ROOT / "docs" / "commands" / "patch.md").read_text()
    shown = re.findall(r"<!-- case: (\w+) -->\n```diff\n(.*?)```", page, re.DOTALL)
    assert len(shown) == len(of("docs/commands/patch.md", "diff"))
    for name, text in shown:
        diff = reporting.diff(name, source_of(name), patched(source_of(name), arguments(name)).source)
        assert text == "".join(diff.splitlines(keepends=True)[2:]), name


def test_a_file_whose_functions_import_tensorflow_imports_it_for_the_call_that_disables_v2_behavior():
    source = (
        "def build():\n    import tensorflow as tf\n\n"
        "    loss = tf.nn.l2_loss(tf.get_variable('w', [2]))\n"
        "    return tf.train.AdamOptimizer(0.1).minimize(loss)\n\n\n"
        "if __name__ == '__main__':\n    build()\n"
    )
    lines = patched(source.encode(), ["--to-compat-v1"]).source.decode().splitlines()
    at = lines.index("tf.disable_v2_behavior()")
    assert "import tensorflow.compat.v1 as tf" in lines[:at]
    assert "    import tensorflow.compat.v1 as tf" in lines
