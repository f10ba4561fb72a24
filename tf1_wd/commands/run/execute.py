"""Executes a Python program as `python` would: as __main__, with its own arguments, import path and traceback."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import os
import sys
import types
from typing import NamedTuple

import tf1_wd
from tf1_wd.errors import ProgramNotFoundError

PACKAGE = os.path.abspath(tf1_wd.__path__[0])
_replaced: list = []  # modules that were __main__: they have to live on, as functions of theirs are still running


class Program(NamedTuple):
    """What is to be executed: `python target arguments...`, or `python -m target arguments...`.

    target: path of a script, of a directory with a __main__.py, or with is_module the dotted name of a module.
    """

    target: str
    arguments: tuple = ()
    is_module: bool = False

    def __str__(self):
        return "-m %s" % self.target if self.is_module else self.target


def source_of(program):
    """The text of the program's own file; "" of a module, of a directory, and of a file that is no such text."""
    if program.is_module or not os.path.isfile(program.target):
        return ""
    with open(program.target, encoding="utf-8", errors="replace") as file:
        return file.read()


def execute(program):
    """Executes the program in this process; returns when its last line has run. What it raises is passed on.

    The program finds sys.argv, sys.path[0], __main__, __file__ and the working directory as under `python`. They stay
    so afterwards, as its threads and exit handlers count on them.

    Raises ProgramNotFoundError, before anything of it has run.

    Example:
      >>> execute(Program("train.py", ("--steps", "100")))
    """
    if program.is_module:
        file, path0, spec = _find_module(program.target)
    else:
        file, path0, spec = _find_script(program.target)
    main = types.ModuleType("__main__")
    main.__file__ = file
    main.__spec__ = spec
    main.__loader__ = spec.loader if spec else importlib.machinery.SourceFileLoader("__main__", file)
    main.__package__ = spec.parent if spec else None
    main.__dict__.update(
        __builtins__=sys.modules["builtins"], __cached__=spec.cached if spec else None, __annotations__={}
    )
    sys.argv[:] = [file if program.is_module else program.target, *program.arguments]
    if not _is_isolated():
        sys.path[0] = path0
    _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    exec(_code(main, program), main.__dict__)


def attempt(program):
    """Executes the program, and returns what ended it early: a SystemExit, an error, a KeyboardInterrupt; else None.

    Raises ProgramNotFoundError.
    """
    try:
        execute(program)
    except ProgramNotFoundError:
        raise
    except BaseException as error:
        return error
    return None


def end(raised):
    """Ends the process as `python` would have after what `attempt` returned: 0, an exit code, or error and traceback.

    Returns 0, or raises.
    """
    if raised is None:
        return 0
    if not isinstance(raised, SystemExit):
        raised.__traceback__ = frames_of_program(raised)
        sys.excepthook(type(raised), raised, raised.__traceback__)
        sys.excepthook = lambda *error: None  # shown; what remains is Python's exit code
    raise raised


def frames_of_program(error):
    """The traceback of an error that came out of `execute`, from the program's first frame on; None if it has none."""
    traceback = error.__traceback__
    while traceback is not None and _is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def _is_ours(filename):
    return os.path.abspath(filename).startswith(PACKAGE + os.sep)


def _is_isolated():
    return bool(sys.flags.isolated or getattr(sys.flags, "safe_path", False))


def _find_script(path):
    if os.path.isdir(path):
        path = _absolute(path)
        inner = os.path.join(path, "__main__.py")
        if not os.path.exists(inner):
            raise ProgramNotFoundError("%s is a directory without a __main__.py: name the script in it" % path)
        return inner, path, importlib.util.spec_from_file_location("__main__", inner)
    if not os.path.exists(path):
        raise ProgramNotFoundError("can't open %s: no such file (working directory: %s)" % (path, os.getcwd()))
    return _absolute(path), os.path.dirname(os.path.realpath(path)), None


def _absolute(path):
    return os.path.abspath(path) if sys.version_info >= (3, 9) else path


def _find_module(name):
    sys.path[0] = os.getcwd() if not _is_isolated() else sys.path[0]
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(name + ".__main__")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not hasattr(spec.loader, "get_code"):
        raise ProgramNotFoundError("no module named %s that could be run (working directory: %s)" % (name, os.getcwd()))
    return spec.origin, os.getcwd(), spec


def _code(main, program):
    if program.is_module:
        return main.__spec__.loader.get_code(main.__spec__.name)
    with io.open_code(main.__file__) if hasattr(io, "open_code") else open(main.__file__, "rb") as file:
        source = file.read()
    return compile(source, main.__file__, "exec", dont_inherit=True)
