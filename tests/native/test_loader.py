"""Loading the op into a TensorFlow of its own process, whatever state the cache is in."""

from __future__ import annotations

import json

from support.builds import compilations, copy_of_the_op, environment, fake_compiler, run, start
from tf1_wd.native import build, cache, loader

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


def test_an_op_that_does_not_load_is_compiled_once_more(tmp_path):
    action = "if [ $count = 1 ]; then echo garbage > $out; else %s; fi" % copy_of_the_op()
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, action))
    status, _ = decay_in_a_process(env)
    assert status["state"] == "native"
    assert "compiled again" in status["reason"]
    assert compilations(tmp_path) == 2


def test_an_op_that_never_loads_falls_back_with_one_warning(tmp_path):
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, "echo garbage > $out"))
    status, err = decay_in_a_process(env)
    assert status["state"] == "twin"
    assert "does not load" in status["reason"]
    assert compilations(tmp_path) == 2
    assert warnings_in(err) == 1


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


def test_an_op_compiled_at_installation_is_used_if_it_fits(tmp_path):
    fitting, other = tmp_path / "fitting", tmp_path / "other"
    tensorflow = loader.tensorflow_build()
    compiler = build.Compiler((fake_compiler(tmp_path, copy_of_the_op()),), "fake")
    cache.install(tensorflow, compiler, str(fitting))
    cache.install(tensorflow._replace(revision="another"), compiler, str(other))
    env = environment(tmp_path / "cache", CXX="no-such-compiler")
    status, _ = decay_in_a_process(env, "cache.PREBUILT = %r" % str(fitting))
    assert status["reason"] == "compiled at installation"
    assert status["path"].startswith(str(fitting))
    assert status["stamp"]["tensorflow"] == tensorflow.version
    status, _ = decay_in_a_process(env, "cache.PREBUILT = %r" % str(other))
    assert status["state"] == "twin"


def test_the_status_of_this_process_is_native():
    status = loader.status()
    assert status.state == "native", status.reason
    assert status.stamp["tensorflow"] == loader.tensorflow_build().version
    assert status is loader.status()
