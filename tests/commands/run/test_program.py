"""program.execute does what `python` does: compared with it, on programs that look at their surroundings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.paths import ROOT
from tf1_wd.commands.run.execute import Program, execute
from tf1_wd.errors import ProgramNotFoundError

OURS = (
    "import sys; from tf1_wd.commands.run import execute as program\n"
    "words = sys.argv[1:]\n"
    "is_module = words[0] == '-m'\n"
    "words = words[1:] if is_module else words\n"
    "p = program.Program(words[0], tuple(words[1:]), is_module)\n"
    "sys.exit(program.end(program.attempt(p)))\n"
)

SURROUNDINGS = """\
import os, sys
import helper
print(sys.argv, sys.path[0], os.getcwd(), __name__, __file__, __package__, __doc__)
print(__spec__ and __spec__.name, type(__loader__).__name__, sys.modules['__main__'].__dict__ is globals())
print(open('beside.txt').read(), helper.__file__, sorted(n for n in globals()))
"""
PROGRAMS = {
    "surroundings": SURROUNDINGS,
    "docstring": '"""What it does."""\nprint(__doc__)',
    "exit code": "import sys\nsys.exit(3)",
    "exit text": "import sys\nsys.exit('what is wrong')",
    "exit nothing": "raise SystemExit",
    "error": "def f():\n    raise ValueError('odd')\nf()",
    "chained error": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e",
    "syntax error": "print(1)\nprint 2\n",
    "interrupted": "raise KeyboardInterrupt",
    "signalled": "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)",
    "at exit": "import atexit\natexit.register(lambda: print('bye', hidden))\nhidden = 4\nraise SystemExit(5)",
    "thread": "import threading, time\nx = 1\nthreading.Thread(target=lambda: (time.sleep(.2), print(x))).start()",
    "own hook": "import sys\nsys.excepthook = lambda t, v, tb: print('hooked', t, tb.tb_lineno)\n1 / 0",
    "future": "from __future__ import annotations\nx: nowhere = 1\nprint(__annotations__)",
    "encoding": "# -*- coding: latin-1 -*-\nprint(ascii('\u00e9'))",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
    "processes": "import multiprocessing as m\ndef f(x): return x + 1\nif __name__ == '__main__':\n"
    "    with m.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))",
}


@pytest.fixture
def folder(tmp_path):
    """A folder with a package, and a working directory beside it."""
    code = tmp_path / "code"
    package = code / "package"
    package.mkdir(parents=True)
    for path in (code / "helper.py", package / "__init__.py"):
        path.write_text("")
    (package / "train.py").write_text("import helper\n" + SURROUNDINGS + "from . import train\nprint(train)\n")
    (package / "__main__.py").write_text(SURROUNDINGS)
    (code / "__main__.py").write_text(SURROUNDINGS)
    for at in (tmp_path, code):
        (at / "beside.txt").write_text("found beside " + at.name)
    return code


def both(words, cwd, **variables):
    """(stdout, stderr, exit code) under python, and under ours."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1", **variables)
    results = []
    for how in ([], ["-c", OURS]):
        done = subprocess.run(
            [sys.executable, *how, *words], cwd=str(cwd), env=environment, capture_output=True, timeout=60
        )
        results.append((done.stdout.decode(), done.stderr.decode(), done.returncode))
    return results


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_script_runs_as_under_python(folder, name):
    (folder / "train.py").write_bytes(PROGRAMS[name].encode("latin-1"))
    expected, got = both(["code/train.py", "--lr", "0.1", "-m", "x"], folder.parent)
    assert got == expected
    assert expected != ("", "", 0) or name == "exit nothing"


@pytest.mark.parametrize("words", [["-m", "package.train", "-x"], ["-m", "package"]])
def test_a_module_runs_as_under_python(folder, words):
    expected, got = both(words, folder)
    assert expected[2] == 0, expected[1]
    assert got == expected


def test_a_directory_and_a_link_run_as_under_python(folder):
    expected, got = both(["code", "a"], folder.parent)
    assert expected[2] == 0, expected[1]
    assert got == expected
    (folder / "train.py").write_text(SURROUNDINGS)
    (folder.parent / "link.py").symlink_to(folder / "train.py")
    expected, got = both(["link.py"], folder.parent)
    assert expected[2] == 0, expected[1]
    assert got == expected


@pytest.mark.parametrize(
    ("target", "words"),
    [(Program("nowhere.py"), "nowhere.py"), (Program("nowhere.train", (), True), "nowhere.train")],
)
def test_a_program_that_is_not_there_is_named_and_changes_nothing(target, words, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.argv), sys.modules["__main__"]
    with pytest.raises(ProgramNotFoundError, match=words):
        execute(target)
    assert (sys.argv, sys.modules["__main__"]) == before
