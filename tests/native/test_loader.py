"""Loading the op into a TensorFlow of its own process, whatever state the cache is in."""

from __future__ import annotations

import json
import os
import re
import types

import pytest

from support.builds import compilations, copy_of_the_op, environment, fake_compiler, run, start
from tf1_wd._tf import tf
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache, loader, try_library

WITHOUT_OUR_OPS = "gcc -shared -fPIC -x c /dev/null -o $out"
# Decays 4.0 by a half three times, then prints the weight and the loader's status.
DECAY = (
    "import json\n"
    "from tf1_wd._tf import tf\n"
    "from tf1_wd.native import cache, loader\n"
    "from tf1_wd.native.decay import decay\n"
    "%s\n"
    "with tf.Graph().as_default(), tf.Session() as session:\n"
    "    w = tf.get_variable('w', initializer=[4.0], use_resource=True)\n"
    "    steps = [decay([w], 0.5, 1.0) for _ in range(3)]\n"
    "    session.run(w.initializer)\n"
    "    for step in steps:\n"
    "        session.run(step)\n"
    "    print(json.dumps([float(session.run(w)[0]), loader.status()._asdict()]))\n"
)


def decay_in_a_process(env, setup=""):
    out, err = run(DECAY % setup, env)
    weight, status = json.loads(out.strip().split("\n")[-1])
    assert weight == 0.5
    return status, err


def warnings_in(err):
    return err.count("NativeOpWarning: ")


def test_ten_processes_with_an_empty_cache_compile_once_and_all_decay(tmp_path):
    compiler = fake_compiler(tmp_path, "sleep 1; " + copy_of_the_op())
    env = environment(tmp_path / "cache", CXX=compiler)
    processes = [start(DECAY % "", env) for _ in range(10)]
    outputs = [process.communicate(timeout=500) for process in processes]
    for out, err in outputs:
        weight, status = json.loads(out.strip().split("\n")[-1])
        assert weight == 0.5
        assert status["state"] == "native", err
    assert compilations(tmp_path) == 1
    assert sum("tf1_wd: compiling the decay op for TensorFlow" in err for _, err in outputs) == 1


def test_an_op_that_does_not_load_any_more_is_compiled_once_more(tmp_path):
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, copy_of_the_op()))
    status, _ = decay_in_a_process(env)
    with open(status["path"], "w") as file:
        file.write("garbage")
    stamp = os.path.join(os.path.dirname(status["path"]), cache.STAMP)
    made = dict(cache.read_stamp(os.path.dirname(stamp)), library=build.file_digest(status["path"]))
    with open(stamp, "w") as file:
        json.dump(made, file)
    status, _ = decay_in_a_process(env)
    assert status["state"] == "native"
    assert "compiled again" in status["reason"]
    assert compilations(tmp_path) == 2


CUT_OFF = "cp %s $out; truncate -s 100000 $out"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("echo garbage > $out", "it does not load"),
        (WITHOUT_OUR_OPS, "it does not hold the ops of tf1_wd"),
        (CUT_OFF, "does not work: "),
    ],
    ids=["no library", "a library without our ops", "a library that is cut off"],
)
def test_an_op_that_does_not_work_falls_back_with_one_warning_and_is_compiled_once_for_all(tmp_path, action, reason):
    if action == CUT_OFF:
        action %= loader.status().path
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, action))
    for _ in range(2):
        status, err = decay_in_a_process(env)
        assert status["state"] == "twin"
        assert reason in status["reason"]
        assert warnings_in(err) == 1
    assert "`tf1-wd build` tries it again" in status["reason"]
    assert compilations(tmp_path) == 1


@pytest.mark.parametrize("wrong", ["reference", "resource"])
def test_an_op_that_decays_wrongly_does_not_pass_its_trial(monkeypatch, wrong):
    right = loader.native_ops()
    names = {"reference": "tf1_wd_decay", "resource": "tf1_wd_resource_decay"}
    ops = types.SimpleNamespace(**{name: getattr(right, name) for name in names.values()})
    monkeypatch.setattr(tf, "load_op_library", lambda path: ops)
    assert try_library.main("op.so") is None
    setattr(ops, names[wrong], lambda *arguments, **options: tf.no_op())
    assert "it decays a %s variable [1.0, -2.0, 4.0] by 0.25 to [1.0, -2.0, 4.0]" % wrong == try_library.main("op.so")


def test_what_failed_is_tried_again_by_build_and_by_another_compiler(tmp_path):
    bad = fake_compiler(tmp_path, "if [ -e %s ]; then %s; fi" % (tmp_path / "mended", copy_of_the_op()))
    env = environment(tmp_path / "cache", CXX=bad)
    assert decay_in_a_process(env)[0]["state"] == "twin"
    (tmp_path / "other").mkdir()
    other = dict(env, CXX=fake_compiler(tmp_path / "other", copy_of_the_op(), name="other-c++"))
    assert decay_in_a_process(other)[0]["state"] == "native"
    (tmp_path / "mended").touch()
    assert decay_in_a_process(env)[0]["state"] == "twin"
    run("from tf1_wd.cli.main import main; assert main(['build']) == 0", env)
    assert decay_in_a_process(env)[0]["state"] == "native"


def test_a_read_only_home_falls_back_with_one_warning(tmp_path):
    env = environment("", HOME="/proc", CXX=fake_compiler(tmp_path, copy_of_the_op()))
    for name in ("TF1_WD_CACHE", "XDG_CACHE_HOME"):
        env.pop(name, None)
    status, err = decay_in_a_process(env)
    assert status["state"] == "twin"
    assert "/proc/.cache/tf1_wd cannot be written" in status["reason"]
    assert warnings_in(err) == 1
    assert "set $TF1_WD_CACHE" in err


def test_no_compiler_falls_back_with_one_warning(tmp_path):
    status, err = decay_in_a_process(environment(tmp_path, CXX="no-such-compiler"))
    assert status["state"] == "twin"
    assert warnings_in(err) == 1
    assert "no-such-compiler" in err


def test_of_the_ops_in_the_package_the_one_that_fits_is_used(tmp_path):
    tensorflow = loader.tensorflow_build()
    another = tensorflow._replace(revision="another")
    compiler = build.Compiler((fake_compiler(tmp_path, copy_of_the_op()),), "fake")
    for place, builds in {"both": [another, tensorflow], "other": [another]}.items():
        for made in builds:
            directory = tmp_path / place / cache.directory_name(made)
            cache.install(made, compiler, str(directory), loader.try_library)
    env = environment(tmp_path / "cache", CXX="no-such-compiler")
    status, _ = decay_in_a_process(env, "cache.PREBUILT = %r" % str(tmp_path / "both"))
    assert status["reason"] == "part of the package"
    assert status["path"].startswith(str(tmp_path / "both" / cache.directory_name(tensorflow)))
    assert status["stamp"]["revision"] == tensorflow.revision
    status, _ = decay_in_a_process(env, "cache.PREBUILT = %r" % str(tmp_path / "other"))
    assert status["state"] == "twin"


def test_the_status_of_this_process_is_native():
    status = loader.status()
    assert status.state == "native", status.reason
    assert status.stamp["tensorflow"] == loader.tensorflow_build().version
    assert status is loader.status()


def test_the_abi_of_tensorflow_is_read_off_its_library():
    tensorflow = loader.tensorflow_build()
    assert build.abi_of(tensorflow) == tensorflow.abi
    assert build.abi_of(tensorflow._replace(link_flags=("-L/nowhere", "-l:libtensorflow_framework.so"))) is None


def test_a_wrong_abi_flag_of_tensorflow_is_named(tmp_path, monkeypatch):
    right = loader.tensorflow_build()
    wrong = right._replace(abi=1 - right.abi)
    monkeypatch.setattr(loader, "tensorflow_build", lambda: wrong)
    (tmp_path / "op.so").write_text("of the other ABI")
    words = "says that its C++ ABI is %d, and its library has %d" % (wrong.abi, right.abi)
    with pytest.raises(NativeOpError, match=re.escape(words)):
        loader.try_library(str(tmp_path / "op.so"))
