"""Compiled ops on disk: built once whoever asks, never half there, rebuilt when stale."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from support.builds import compilations, environment, fake_compiler, run, start
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache

TENSORFLOW = build.TensorFlowBuild("9.9.9", "v9", 1, ("-I/some/include",), ("-l:tf",))
FIND_OR_BUILD = (
    "import sys\n"
    "from tf1_wd.native import build, cache\n"
    "def waiting(process): print('waiting for', process, file=sys.stderr)\n"
    "tensorflow = build.TensorFlowBuild('9.9.9', 'v9', 1, ('-I/some/include',), ('-l:tf',))\n"
    "print(cache.find_or_build(tensorflow, lambda path: None, before_wait=waiting))\n"
)


def works(path):
    """The check of a library that works."""


def find_or_build(tensorflow, check=works, **options):
    return cache.find_or_build(tensorflow, check, **options)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache of its own, and a compiler that takes half a second."""
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "sleep 0.5; echo op $count > $out"))
    return tmp_path / "cache"


def contents(path):
    with open(path) as file:
        return file.read()


def test_the_second_time_nothing_is_compiled(tmp_path, empty_cache):
    announced = []
    first = find_or_build(TENSORFLOW, before_build=lambda: announced.append(1))
    second = find_or_build(TENSORFLOW, before_build=lambda: announced.append(2))
    assert first == second
    assert announced == [1]
    assert compilations(tmp_path) == 1


def test_force_compiles_again(tmp_path, empty_cache):
    find_or_build(TENSORFLOW)
    assert contents(find_or_build(TENSORFLOW, force=True)) == "op 2\n"


def test_ten_processes_at_once_compile_once(tmp_path, empty_cache):
    processes = [start(FIND_OR_BUILD, environment(empty_cache)) for _ in range(10)]
    outputs = [process.communicate(timeout=100) for process in processes]
    assert {process.returncode for process in processes} == {0}, outputs
    assert len({out for out, _ in outputs}) == 1
    assert contents(outputs[0][0].strip()) == "op 1\n"
    assert compilations(tmp_path) == 1


@pytest.mark.parametrize("whole_group", [True, False], ids=["with its compiler", "without its compiler"])
def test_a_killed_build_leaves_nothing_broken(tmp_path, monkeypatch, whole_group):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    half, end = tmp_path / "half", tmp_path / "end"  # the first compilation comes to the one, and waits for the other
    slow = "if [ $count = 1 ]; then echo half > $out; touch %s; until [ -e %s ]; do sleep 0.05; done; fi" % (half, end)
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, slow + "; echo op $count > $out"))
    killed = start(FIND_OR_BUILD, environment(tmp_path / "cache"), start_new_session=True)
    try:
        while not half.exists():
            assert killed.poll() is None
            time.sleep(0.05)
        if whole_group:
            os.killpg(killed.pid, signal.SIGKILL)
        else:
            killed.kill()
        out, _ = run(FIND_OR_BUILD, environment(tmp_path / "cache"))  # it would wait for good for a lock that is left
        assert contents(out.strip()) == "op 2\n"
        assert sorted(os.listdir(os.path.dirname(out.strip()))) == ["libtf1_wd.so", "lock", "stamp.json"]
    finally:
        end.touch()
        killed.communicate()


def test_a_stale_stamp_rebuilds(tmp_path, empty_cache):
    path = find_or_build(TENSORFLOW)
    stamp_path = os.path.join(os.path.dirname(path), cache.STAMP)
    stamp = json.loads(contents(stamp_path))
    assert stamp["tensorflow"] == "9.9.9"
    assert stamp["compiler"] == "fake-c++ 1.0"
    with open(stamp_path, "w") as file:
        json.dump(dict(stamp, source="of another version"), file)
    assert contents(find_or_build(TENSORFLOW)) == "op 2\n"


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_an_unreadable_stamp_rebuilds(tmp_path, empty_cache, text):
    path = find_or_build(TENSORFLOW)
    with open(os.path.join(os.path.dirname(path), cache.STAMP), "w") as file:
        file.write(text)
    assert contents(find_or_build(TENSORFLOW)) == "op 2\n"


def test_a_corrupt_library_rebuilds(tmp_path, empty_cache):
    path = find_or_build(TENSORFLOW)
    with open(path, "w") as file:
        file.write("op")
    assert contents(find_or_build(TENSORFLOW)) == "op 2\n"


def test_another_compiler_builds_its_own(tmp_path, empty_cache, monkeypatch):
    first = find_or_build(TENSORFLOW)
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo other > $out", name="other-c++"))
    second = find_or_build(TENSORFLOW)
    assert first != second
    assert contents(first) == "op 1\n"


def test_a_cached_op_is_used_where_there_is_no_compiler_any_more(empty_cache, monkeypatch):
    path = find_or_build(TENSORFLOW)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert find_or_build(TENSORFLOW) == path
    with pytest.raises(NativeOpError, match="no-such-compiler"):
        find_or_build(TENSORFLOW._replace(version="9.9.8"))


def test_a_cache_that_cannot_be_written_names_the_remedy(tmp_path, empty_cache, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(NativeOpError, match=r"/file is not a folder: set \$TF1_WD_CACHE to one"):
        find_or_build(TENSORFLOW)
    monkeypatch.setenv("TF1_WD_CACHE", "/proc/cache")
    with pytest.raises(NativeOpError, match=r"/proc/cache cannot be written .*set \$TF1_WD_CACHE"):
        find_or_build(TENSORFLOW)


def test_a_failed_compilation_leaves_no_files(tmp_path, empty_cache, monkeypatch):
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo half > $out; exit 1", name="bad-c++"))
    with pytest.raises(NativeOpError, match="bad-c"):
        find_or_build(TENSORFLOW)
    assert sorted(name for _, _, names in os.walk(str(empty_cache)) for name in names) == ["failure.json", "lock"]


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("TF1_WD_CACHE", "/a")
    assert cache.cache_directory() == "/a"
    monkeypatch.delenv("TF1_WD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache.cache_directory() == "/b/tf1_wd"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache.cache_directory() == "/c/.cache/tf1_wd"
