"""The launcher and the kernels of the GPU op without TensorFlow, on the fake driver.

What runs here is what benchmarks/gpu/run.py runs on a GPU, but for the driver and for the kernels: they are compiled
for the CPU.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import re
import subprocess
import sys

import pytest

from support.paths import ROOT

BENCHMARKS = os.path.join(ROOT, "benchmarks", "gpu")
KERNELS = os.path.join(ROOT, "tf1_wd", "native", "csrc", "decay_kernel.cu")
INSTEAD = '; backend="tensorflow" does without tf1_wd\'s GPU code'


def module(path):
    """A module from its file, under a name of its own."""
    name = "for_gpu_tests_" + os.path.basename(path)[: -len(".py")]
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


fake_gpu = module(os.path.join(ROOT, "tests", "native", "fake_gpu", "build.py"))
launcher = module(os.path.join(BENCHMARKS, "launcher.py"))


@pytest.fixture(scope="module")
def fake_driver(tmp_path_factory):
    """Environment in which the fake driver is found."""
    return dict(os.environ, **fake_gpu.build_driver(tmp_path_factory.mktemp("fake"), KERNELS))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Path of the launcher."""
    return launcher.build(str(tmp_path_factory.mktemp("launcher")))


def python(environment, *arguments):
    """(exit code, lines) of a Python process in benchmarks/gpu; no TensorFlow may be loaded there."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=BENCHMARKS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return ran.returncode, ran.stdout.splitlines()


ATTEMPT = """
import sys
import device, launcher
library = launcher.load(sys.argv[1])
rates = 0
if sys.argv[2] == "with a context":
    gpu = device.Gpu()
    rates = gpu.allocate(8)
    gpu.write(rates, device.np.array([0, 1], device.np.float32))
spans = [launcher.Span(4096, 4096, int(size), 0) for size in sys.argv[4:]]
print(launcher.describe(library))
try:
    prepared, rates = launcher.prepare(spans), launcher.Rates(rates, rates + 4, 1, 0)
    launcher.launch(library, 0, 2, prepared, rates, at_once=int(sys.argv[3]))
except launcher.LaunchError as error:
    print(error)
else:
    print("no error")
assert not [name for name in sys.modules if name.startswith("tensorflow")]
"""


def attempt(environment, library, sizes=(1,), context="with a context", at_once=0):
    """What describe and a launch of tensors of these sizes say, their rate 0."""
    code, lines = python(environment, "-c", ATTEMPT, library, context, str(at_once), *map(str, sizes))
    assert code == 0, "\n".join(lines)
    return lines


# ---- what is decayed

TOO_LARGE = "8_gib_in_a_tensor"
with open(os.path.join(BENCHMARKS, "checks.py")) as file:
    CHECKS = re.findall(r"^def check_(\w+)\(", file.read(), re.MULTILINE)
CHECKS.remove(TOO_LARGE)
FORMATS = ("float16", "bfloat16", "float32", "float64")


@pytest.fixture(scope="module")
def results(fake_driver):
    """({(check, format): "ok" or what failed}, all lines) of all checks."""
    _, lines = python(fake_driver, "run.py", "--check-only")
    found = (re.match("(.*), (.*?): (.*)", line) for line in lines)
    return {(match.group(1), match.group(2)): match.group(3) for match in found if match}, lines


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("check", CHECKS)
def test_on_the_fake_driver(check, number_format, results):
    found, lines = results
    assert found.get((check.replace("_", " "), number_format)) == "ok", "\n".join(lines[-30:])


def test_what_is_too_large_for_the_fake_driver_is_said_not_to_be_checked(results):
    said = [line for line in results[1] if line.startswith("NOT CHECKED: ")]
    want = "NOT CHECKED: 8 gib in a tensor, %s: a GPU with 8.6 GB of free memory is needed"
    assert said == [want % number_format for number_format in FORMATS]


# ---- what is asked of the driver


def calls(log):
    """[function of the driver] that the launcher called."""
    return [line.split()[0] for line in log.read_text().splitlines() if line.split()[1] == "launcher.so"]


def launches(fake_driver, library, tmp_path, sizes, at_once=0):
    """How many kernels a launch of tensors of these sizes starts."""
    log = tmp_path / "log"
    assert attempt(dict(fake_driver, FAKE_GPU_LOG=str(log)), library, sizes, at_once=at_once)[-1] == "no error"
    return calls(log).count("cuLaunchKernel")


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [([5] * 120, 1), ([5] * 121, 2), ([0, 5] * 120, 1), ([5] * 360 + [0], 3), ([0] * 300, 0), ([10**6] * 2, 1)],
    ids=["full", "one more", "empty ones take no place", "an empty one at the end", "only empty ones", "large ones"],
)
def test_a_launch_holds_120_tensors(sizes, wanted, fake_driver, library, tmp_path):
    assert launches(fake_driver, library, tmp_path, sizes) == wanted


def test_at_once_1_starts_a_kernel_a_tensor(fake_driver, library, tmp_path):
    assert launches(fake_driver, library, tmp_path, [5] * 7, at_once=1) == 7


def test_nothing_waits_for_the_gpu_and_kernels_are_loaded_once(fake_driver, library, tmp_path):
    log = tmp_path / "log"
    attempt(dict(fake_driver, FAKE_GPU_LOG=str(log)), library, [5] * 3, at_once=1)
    seen = calls(log)
    launching = seen[seen.index("cuCtxGetCurrent") :]
    loading = ["cuModuleLoadData"] + ["cuModuleGetFunction"] * 4
    again = ["cuCtxGetCurrent", "cuLaunchKernel"]
    assert launching == ["cuCtxGetCurrent", *loading, "cuLaunchKernel", *again, *again]


# ---- what the driver may lack or refuse


def test_describe_names_driver_and_gpus(fake_driver, library):
    assert attempt(fake_driver, library)[0] == "driver of CUDA 12.5: fake GPU (sm_80)"
    two = dict(fake_driver, FAKE_GPU_DEVICES="2")
    assert attempt(two, library)[0] == "driver of CUDA 12.5: fake GPU (sm_80), fake GPU (sm_80)"


def test_describe_says_that_there_is_no_gpu(fake_driver, library):
    none = dict(fake_driver, FAKE_GPU_DEVICES="0")
    assert attempt(none, library, context="without")[0] == "driver of CUDA 12.5, no GPU"


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="this machine has a CUDA driver")
def test_without_a_driver_that_is_said(library):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    lines = attempt(environment, library, context="without")
    assert lines[0] == lines[1]
    assert lines[1].startswith("no CUDA driver: libcuda.so.1: cannot open shared object file")


def test_without_a_context_that_is_said(fake_driver, library):
    assert attempt(fake_driver, library, context="without")[1] == "no CUDA context is current in this thread"


def test_a_driver_too_old_for_the_kernels_is_refused(fake_driver, library):
    lines = attempt(dict(fake_driver, FAKE_GPU_DRIVER_VERSION="8000"), library)
    needs = "and tf1_wd's GPU code needs CUDA 9.0 (driver 384) or later"
    assert lines == ["the CUDA driver is too old: it is of CUDA 8.0, " + needs + INSTEAD] * 2
    assert attempt(dict(fake_driver, FAKE_GPU_DRIVER_VERSION="9000"), library)[1] == "no error"


def test_a_driver_that_would_not_compile_the_kernels_is_refused(fake_driver, library, tmp_path):
    off = attempt(dict(fake_driver, CUDA_DISABLE_PTX_JIT="1"), library)
    assert off == ["unset CUDA_DISABLE_PTX_JIT: the driver compiles tf1_wd's GPU code" + INSTEAD] * 2
    assert attempt(dict(fake_driver, CUDA_DISABLE_PTX_JIT="0"), library)[1] == "no error"
    without = bare_driver(tmp_path, OTHER_CALLS)
    (tmp_path / "libnvidia-ptxjitcompiler.so.1").unlink()
    lines = attempt(without, library, context="without")
    assert lines[1].startswith("libnvidia-ptxjitcompiler.so.1, a part of the driver, is missing")


def test_gpus_too_old_for_the_kernels_are_refused(library, tmp_path):
    calls = [call for call in OTHER_CALLS if call not in ("cuDeviceGetCount", "cuDeviceGetAttribute")]
    kepler = (
        "int cuDeviceGetCount(int* count) { *count = 1; return 0; }\n"
        "int cuDeviceGetAttribute(int* value, int attribute, int device) { *value = 3; return 0; }\n"
    )
    lines = attempt(bare_driver(tmp_path, calls, kepler), library, context="without")
    assert lines == ["every GPU is older than sm_50 (Maxwell)" + INSTEAD] * 2


CANNOT_RUN = "; this driver or GPU cannot run tf1_wd's GPU code (PTX 6.0 for sm_50 and later)" + INSTEAD
REMEDIES = {
    2: "; the GPU's memory is full" + INSTEAD,
    209: CANNOT_RUN,
    218: CANNOT_RUN,
    221: "; libnvidia-ptxjitcompiler.so.1, a part of the driver, is missing: in a container, pass "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility" + INSTEAD,
    222: CANNOT_RUN,
    223: "; unset CUDA_DISABLE_PTX_JIT: the driver compiles tf1_wd's GPU code" + INSTEAD,
    700: "",
}


@pytest.mark.parametrize("number", sorted(REMEDIES))
@pytest.mark.parametrize("function", ["cuModuleLoadData", "cuLaunchKernel"])
def test_an_error_names_the_call_and_says_what_to_do(function, number, fake_driver, library):
    lines = attempt(dict(fake_driver, FAKE_GPU_FAIL="%s:%d" % (function, number)), library)
    text = "%s failed: FAKE_CUDA_ERROR_%d (%d, error %d of the fake driver)" % (function, number, number, number)
    assert lines[1] == text + REMEDIES[number]


@pytest.mark.parametrize("function", ["cuCtxGetCurrent", "cuModuleGetFunction", "cuDriverGetVersion", "cuInit"])
def test_an_error_of_any_call_is_reported(function, fake_driver, library):
    lines = attempt(dict(fake_driver, FAKE_GPU_FAIL=function + ":999"), library, context="without")
    said = lines[0] if function == "cuInit" else lines[1]
    if function == "cuModuleGetFunction":  # it needs a context to come that far
        said = attempt(dict(fake_driver, FAKE_GPU_FAIL=function + ":999"), library)[1]
    assert said == "%s failed: FAKE_CUDA_ERROR_999 (999, error 999 of the fake driver)" % function


RETRY = """
import os
del os.environ["FAKE_GPU_FAIL"]
launcher.launch(library, 0, 2, prepared, rates)
print("no error now")
"""


@pytest.mark.parametrize("function", ["cuModuleLoadData", "cuModuleGetFunction"])
def test_kernels_that_could_not_be_loaded_are_asked_for_again(function, fake_driver, library):
    failing = dict(fake_driver, FAKE_GPU_FAIL=function + ":999")
    _, lines = python(failing, "-c", ATTEMPT + RETRY, library, "with a context", "0", "1")
    assert lines[1].startswith(function + " failed")
    assert lines[2:] == ["no error now"]


# A driver of which every call succeeds and does nothing, but for these.
BARE_DRIVER = """
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuCtxGetCurrent(void** context) { *context = context; return 0; }
int cuGetErrorName(int code, const char** name) { return 1; }
int cuGetErrorString(int code, const char** text) { return 1; }
int cuModuleLoadData(void** module, const char* image) { return 31337; }
"""
OTHER_CALLS = ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"]
OTHER_CALLS += ["cuModuleGetFunction", "cuLaunchKernel", "cuMemcpyDtoDAsync_v2"]


def compile_c(directory, text, library):
    source = directory / "source.c"
    source.write_text(text)
    command = ["gcc", "-shared", "-fPIC", str(source), "-o", str(directory / library)]
    subprocess.run(command, check=True, timeout=60)


def bare_driver(directory, calls, more=""):
    """Environment in which a driver with these calls, besides those of BARE_DRIVER, is found."""
    compile_c(
        directory, BARE_DRIVER + more + "".join("int %s(void) { return 0; }\n" % c for c in calls), "libcuda.so.1"
    )
    compile_c(directory, "", "libnvidia-ptxjitcompiler.so.1")
    return dict(os.environ, LD_LIBRARY_PATH=str(directory))


def test_an_error_that_the_driver_itself_does_not_know_is_named_by_its_number(library, tmp_path):
    lines = attempt(bare_driver(tmp_path, OTHER_CALLS), library, context="without")
    assert lines[1] == "cuModuleLoadData failed: an unknown error (31337, no description)"


@pytest.mark.parametrize("missing", ["cuInit", "cuLaunchKernel"])
def test_a_driver_that_lacks_a_call_is_refused(missing, library, tmp_path):
    calls = [call for call in OTHER_CALLS if call != missing]
    lines = attempt(bare_driver(tmp_path, calls), library, context="without")
    assert lines == ["libcuda.so.1 has no %s: update the NVIDIA driver" % missing + INSTEAD] * 2


def test_the_command_says_that_memcheck_was_not_run(results):
    assert [line for line in results[1] if line.startswith("MEMCHECK WAS NOT RUN: ")], "\n".join(results[1][-30:])


def test_the_command_says_why_it_cannot_run(fake_driver):
    code, lines = python(dict(fake_driver, FAKE_GPU_DEVICES="0"), "run.py", "--check-only")
    assert code == 1
    assert lines[1:] == [
        "No check was run: cuDeviceGet failed: CUDA error 101",
        "benchmarks/gpu: checks failed or could not run: see above",
    ]
