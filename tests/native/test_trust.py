"""Nobody but this user and root can have their code loaded, or a file destroyed, by way of the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from support.builds import environment, fake_compiler
from support.paths import ROOT
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache, trust

TENSORFLOW = build.TensorFlowBuild("9.9.9", "v9", 1, ("-I/some/include",), ("-l:tf",))
SOMEBODY, ANOTHER = 54321, 54322
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="takes the part of other users: sudo -E pytest tests/native/test_trust.py"
)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo op $count > $out"))
    return tmp_path / "cache"


def find_or_build():
    return cache.find_or_build(TENSORFLOW, lambda path: None)


def refused(*words):
    with pytest.raises(NativeOpError) as raised:
        find_or_build()
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_cannot_be_written_by_others_whatever_the_umask(own_cache, umask):
    before = os.umask(umask)
    try:
        path = find_or_build()
    finally:
        os.umask(before)
    assert find_or_build() == path
    for folder, folders, files in os.walk(str(own_cache)):
        for name in [".", *folders, *files]:
            assert not os.stat(os.path.join(folder, name)).st_mode & 0o022


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
def test_a_cache_that_others_can_write_is_refused_and_the_remedy_helps(own_cache, mode):
    find_or_build()
    own_cache.chmod(mode)
    refused("other users can write to %s (mode" % own_cache, ": chmod go-w %s," % own_cache)
    subprocess.run(["chmod", "go-w", str(own_cache)], check=True)
    assert find_or_build()


@pytest.mark.parametrize("which", ["above", "below"])
def test_so_is_a_folder_above_or_below(own_cache, tmp_path, which):
    folder = {"above": str(tmp_path), "below": os.path.dirname(find_or_build())}[which]
    find_or_build()
    os.chmod(folder, 0o777)
    refused("other users can write to %s (mode 777)" % folder)


def test_a_sticky_folder_above_is_fine_as_tmp_is(own_cache, tmp_path):
    tmp_path.chmod(0o1777)
    assert find_or_build()


@pytest.mark.parametrize("name", [cache.LIBRARY, cache.STAMP])
def test_a_file_that_others_can_write_is_refused(own_cache, name):
    path = os.path.join(os.path.dirname(find_or_build()), name)
    os.chmod(path, 0o666)
    refused("other users can write to %s" % path)


@pytest.mark.parametrize("name", [cache.LIBRARY, cache.STAMP])
def test_a_link_in_place_of_a_file_is_refused(own_cache, tmp_path, name):
    path = os.path.join(os.path.dirname(find_or_build()), name)
    os.rename(path, str(tmp_path / "elsewhere"))
    os.symlink(str(tmp_path / "elsewhere"), path)
    refused("%s is not a regular file" % path)


def test_a_lock_that_is_a_link_leaves_its_target_alone(own_cache, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = cache.compiler_directory(TENSORFLOW, build.find_compiler())
    os.makedirs(folder)
    os.symlink(str(victim), os.path.join(folder, "lock"))
    refused("cannot be written")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("which", ["compiler", "tensorflow"])
def test_a_folder_that_is_a_link_leaves_its_target_alone(own_cache, tmp_path, which):
    victim = tmp_path / "victim"
    (victim / "building-a").mkdir(parents=True)
    folder = cache.compiler_directory(TENSORFLOW, build.find_compiler())
    folder = folder if which == "compiler" else os.path.dirname(folder)
    os.makedirs(os.path.dirname(folder))
    os.symlink(str(victim), folder)
    refused("%s is a link, which tf1_wd did not make: delete it" % folder)
    assert os.listdir(str(victim)) == ["building-a"]
    os.remove(folder)
    assert find_or_build()


def test_a_link_in_the_cache_is_not_followed_when_it_is_swept(own_cache, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    folder = cache.compiler_directory(TENSORFLOW, build.find_compiler())
    os.makedirs(folder)
    os.symlink(str(victim), os.path.join(folder, "building-x"))
    assert find_or_build()
    assert os.listdir(str(victim)) == ["file"]
    assert "building-x" not in os.listdir(folder)


def test_a_cache_by_way_of_a_link_of_this_user_is_fine(own_cache, tmp_path, monkeypatch):
    os.symlink(str(tmp_path), str(tmp_path / "link"))
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "link" / "cache"))
    assert find_or_build()


# --- other users of the same machine


@pytest.fixture
def shared():
    """A folder that everybody can reach and write, as /tmp is."""
    folder = tempfile.mkdtemp(dir="/tmp")
    os.chmod(folder, 0o1777)
    yield folder
    shutil.rmtree(folder)


def planted(folder, owner):
    """A whole op with a fitting stamp that is somebody's, in a cache of his."""
    os.environ["TF1_WD_CACHE"] = os.path.join(folder, "cache")
    path = find_or_build()
    for parent, folders, files in os.walk(os.path.join(folder, "cache")):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(parent, name), owner, owner)
    return path


@needs_root
def test_root_does_not_load_what_is_somebody_elses(own_cache, shared):
    planted(shared, SOMEBODY)
    refused("belongs to another user (uid %d), who can put code there" % SOMEBODY)


@needs_root
def test_nor_does_root_follow_the_link_of_somebody(own_cache, shared, tmp_path, monkeypatch):
    find_or_build()
    os.symlink(str(own_cache), os.path.join(shared, "link"))
    os.lchown(os.path.join(shared, "link"), SOMEBODY, SOMEBODY)
    monkeypatch.setenv("TF1_WD_CACHE", os.path.join(shared, "link"))
    refused("link belongs to another user")


SCRIPT = """
import sys
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache
try:
    print(cache.find_or_build(build.TensorFlowBuild%r, lambda path: None))
except NativeOpError as error:
    sys.exit(str(error))
"""


def as_user(user, folder, cxx):
    """What a user without rights is told who looks for the op in a cache: a CompletedProcess."""
    env = environment(os.path.join(folder, "cache"), CXX=cxx, HOME=folder)
    command = ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups"]
    script = [sys.executable, "-c", SCRIPT % (tuple(TENSORFLOW),)]
    return subprocess.run(command + script, env=env, capture_output=True, text=True)


@pytest.fixture
def reachable():
    """Skips where a user without rights cannot read the package, or run this Python."""
    try:
        found = as_user(SOMEBODY, "/nowhere", "no-such-compiler").stderr
    except FileNotFoundError:
        pytest.skip("needs setpriv: apt-get install util-linux")
    if "no-such-compiler" not in found:
        pytest.skip("a user without rights cannot read %s: run the tests from a clone in /tmp" % ROOT)


@needs_root
def test_a_user_loads_what_is_his_own_or_roots_and_not_what_is_anothers(own_cache, shared, reachable, monkeypatch):
    monkeypatch.setenv("CXX", shutil.copy(os.environ["CXX"], os.path.join(shared, "fake-c++")))
    path = planted(shared, SOMEBODY)
    assert as_user(SOMEBODY, shared, os.environ["CXX"]).stdout == path + "\n"
    done = as_user(ANOTHER, shared, os.environ["CXX"])
    assert done.returncode == 1
    assert "belongs to another user (uid %d)" % SOMEBODY in done.stderr
    for parent, folders, files in os.walk(os.path.join(shared, "cache")):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(parent, name), 0, 0)
    assert as_user(ANOTHER, shared, os.environ["CXX"]).stdout == path + "\n"


def test_the_group_of_a_user_alone_may_write(tmp_path, monkeypatch):
    import grp
    import pwd

    tmp_path.chmod(0o775)
    found = os.stat(str(tmp_path))
    me = pwd.getpwuid(os.geteuid())
    alone = grp.struct_group((me.pw_name, "x", found.st_gid, [me.pw_name]))
    monkeypatch.setattr(grp, "getgrgid", lambda number: alone)
    monkeypatch.setattr(pwd, "getpwall", lambda: [me])
    trust.check_folder(str(tmp_path))
    two = grp.struct_group(("staff", "x", found.st_gid, [me.pw_name, "another"]))
    monkeypatch.setattr(grp, "getgrgid", lambda number: two)
    with pytest.raises(NativeOpError, match="other users can write"):
        trust.check_folder(str(tmp_path))
