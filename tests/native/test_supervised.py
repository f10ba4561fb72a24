"""A program under supervision ends in time, with all that it started, and with whoever asked for it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.builds import environment, fake_compiler, run, start
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache, supervised

TENSORFLOW = build.TensorFlowBuild("9.9.9", "v9", 1, ("-I/some/include",), ("-l:tf",))
# the compiler's own child writes its number and sleeps, as cc1plus works for g++
SLOW = "sh -c 'echo $$ > %s; sleep 60 & wait'; true"


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def number_in(path, process=None):
    """The number that a program writes there."""
    for _ in range(1200):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("%s was not written" % path)


def assert_gone(pid):
    for _ in range(400):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError("process %d lives on" % pid)


def test_what_it_prints_and_its_status_come_back():
    assert supervised.run(["sh", "-c", "echo one; echo two >&2; exit 3"], 60) == (3, "one\ntwo\n")


def test_a_program_that_a_signal_ends_has_128_and_its_number():
    assert supervised.run(["sh", "-c", "kill -SEGV $$"], 60).status == 128 + signal.SIGSEGV


def test_what_cannot_be_started_says_why(tmp_path):
    text = tmp_path / "text"
    text.write_bytes(b"\x00 no program")
    text.chmod(0o755)
    assert supervised.run([str(text)], 60) == (supervised.CANNOT_START, "Exec format error\n")


def test_a_program_that_takes_too_long_is_gone_with_its_children(tmp_path):
    with pytest.raises(TimeoutError, match="sh took more than 2 s"):
        supervised.run(["sh", "-c", SLOW % (tmp_path / "pid")], 2)
    assert_gone(number_in(tmp_path / "pid"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_training_that_is_ended_takes_its_compiler_along(tmp_path, number):
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, SLOW % (tmp_path / "pid")))
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it\n"
        "from tf1_wd.native import loader; loader.status()"
    )
    training = start(script, env)
    compiler = number_in(tmp_path / "pid", training)
    training.send_signal(number)
    training.communicate(timeout=60)
    assert_gone(compiler)


# --- compilers that hang, or are none


def test_a_compiler_that_hangs_is_stopped_with_a_message_and_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, SLOW % (tmp_path / "pid")))
    monkeypatch.setattr(build, "COMPILE_SECONDS", 2.0)
    for again in ("", ".*`tf1-wd build` tries it again"):
        with pytest.raises(NativeOpError, match=r"was stopped after 2 s: name another compiler in \$CXX" + again):
            cache.find_or_build(TENSORFLOW, lambda path: None)
    assert_gone(number_in(tmp_path / "pid"))


def test_a_compiler_that_does_not_tell_its_version_is_stopped(tmp_path, monkeypatch):
    path = tmp_path / "hangs"
    path.write_text("#!/bin/sh\nsleep 60\n")
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    monkeypatch.setattr(build, "VERSION_SECONDS", 1.0)
    with pytest.raises(NativeOpError, match=r"hangs did not answer --version within 1 s: name another in \$CXX"):
        build.find_compiler()


def test_a_process_that_waits_for_another_says_so_and_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, SLOW % (tmp_path / "pid")))
    first = start(
        "from tf1_wd.native import build, cache\n"
        "cache.find_or_build(build.TensorFlowBuild%r, lambda path: None)" % (tuple(TENSORFLOW),),
        environment(tmp_path / "cache"),
    )
    number_in(tmp_path / "pid", first)
    monkeypatch.setattr(cache, "WAIT_SECONDS", 2.0)
    told = []
    try:
        with pytest.raises(NativeOpError, match="process %d holds .*lock for more than 2 s: end it" % first.pid):
            cache.find_or_build(TENSORFLOW, lambda path: None, before_wait=told.append)
    finally:
        first.kill()
        first.communicate()
    assert told == [str(first.pid)]


NOT_UTF_8 = b'#!/bin/sh\nprintf "\\377 1.0\\n"\n'


@pytest.mark.parametrize(
    ("cxx", "message"),
    [
        (" ", r"\$CXX is ' ', which is not a program"),
        ('g++ "-O', r"\$CXX is 'g\+\+ \"-O': No closing quotation; correct or unset it"),
        (b"\x00", r"does not run \(exit 127\): Exec format error; name another in \$CXX"),
        (b"#!/bin/sh\nexit 4\n", r"does not run \(exit 4\)"),
    ],
    ids=["a blank", "an open quote", "no program", "a program that fails"],
)
def test_a_cxx_that_is_no_compiler_is_an_error_that_says_what_to_do(tmp_path, monkeypatch, cxx, message):
    if isinstance(cxx, bytes):
        (tmp_path / "program").write_bytes(cxx)
        (tmp_path / "program").chmod(0o755)
        cxx = str(tmp_path / "program")
    monkeypatch.setenv("CXX", cxx)
    with pytest.raises(NativeOpError, match=message):
        build.find_compiler()


def test_a_version_that_is_not_utf_8_is_read(tmp_path, monkeypatch):
    (tmp_path / "program").write_bytes(NOT_UTF_8)
    (tmp_path / "program").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "program"))
    assert build.find_compiler().version == "\ufffd 1.0"


@pytest.mark.parametrize("cxx", [" ", 'g++ "-O'])
def test_a_cxx_that_is_no_compiler_leaves_the_training_to_the_twin(tmp_path, cxx):
    script = "from tf1_wd.native import loader; print(loader.status().state)"
    assert run(script, environment(tmp_path / "cache", CXX=cxx))[0] == "twin\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk: sudo pytest tests/native/test_supervised.py")
def test_a_full_disk_is_named_and_not_remembered(tmp_path, monkeypatch):
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir(mode=0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("this container may not mount: run it where `mount -t tmpfs tmpfs DIR` works")
    try:
        monkeypatch.setenv("TF1_WD_CACHE", str(disk / "cache"))
        monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo op > $out"))
        for _ in range(2):
            with pytest.raises(NativeOpError, match=r"has 1 MB left, .*: make room, or set \$TF1_WD_CACHE to"):
                cache.find_or_build(TENSORFLOW, lambda path: None)
        monkeypatch.setattr(build, "SPACE", 1000)
        cache.find_or_build(TENSORFLOW, lambda path: None)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
