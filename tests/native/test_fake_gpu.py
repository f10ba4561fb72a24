"""The fake driver of tests/native/fake_gpu: it runs kernels as a GPU does, and refuses what a GPU would not survive."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from fake_gpu.build import build_driver

KERNELS = r"""
extern "C" __global__ void squares(int* target, int size) {
  if (static_cast<int>(threadIdx.x) >= size) return;
  const int i = blockIdx.x * size + threadIdx.x;
  target[i] += i * i;
}
extern "C" __global__ void any_of_block(int* target, int asking) {
  if (threadIdx.x == 3) {
    target[threadIdx.x] += 100;
    return;
  }
  const bool any = __syncthreads_or(static_cast<int>(threadIdx.x + 10 * blockIdx.x) == asking);
  target[threadIdx.x] += any;
}
extern "C" __global__ void two_barriers() {
  __syncthreads_or(1);
  __syncthreads_or(1);
}
"""
# All that the driver and the emulation read of it.
PTX = "// a comment\n.version 6.0\n" + "".join(
    ".visible .entry %s(\n" % name for name in ("squares", "any_of_block", "two_barriers")
)

INVALID_VALUE, INVALID_HANDLE, NOT_FOUND = 1, 400, 500


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    directory = tmp_path_factory.mktemp("driver")
    source = directory / "sample.cu"
    source.write_text(KERNELS)
    (directory / "sample.ptx").write_text(PTX)
    return build_driver(directory, str(source))


def open_driver(environment):
    """The driver, a context of its only device current in this thread, and the kernels."""
    os.environ["FAKE_GPU_KERNELS"] = environment["FAKE_GPU_KERNELS"]
    cuda = ctypes.CDLL(os.path.join(environment["LD_LIBRARY_PATH"].split(os.pathsep)[0], "libcuda.so.1"))
    context, module = ctypes.c_void_p(), ctypes.c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0
    assert cuda.cuModuleLoadData(ctypes.byref(module), PTX.encode()) == 0
    return SimpleNamespace(cuda=cuda, context=context, module=module)


@pytest.fixture
def gpu(environment, monkeypatch):
    monkeypatch.setenv("FAKE_GPU_KERNELS", "")  # for the old value to come back
    return open_driver(environment)


def allocate(gpu, size):
    address = ctypes.c_ulonglong()
    assert gpu.cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)) == 0
    return address


def function(gpu, name):
    found = ctypes.c_void_p()
    assert gpu.cuda.cuModuleGetFunction(ctypes.byref(found), gpu.module, name.encode()) == 0
    return found


def launch(gpu, kernel, grid, block, *parameters):
    addresses = (ctypes.c_void_p * len(parameters))(*(ctypes.addressof(p) for p in parameters))
    return gpu.cuda.cuLaunchKernel(kernel, grid, 1, 1, block, 1, 1, 0, None, addresses, None)


def integers_after(gpu, name, grid, block, size, parameter):
    """What a kernel makes of so many zeros."""
    values = (ctypes.c_int * size)()
    target, byte_count = allocate(gpu, ctypes.sizeof(values)), ctypes.c_size_t(ctypes.sizeof(values))
    assert gpu.cuda.cuMemcpyHtoD_v2(target, values, byte_count) == 0
    assert launch(gpu, function(gpu, name), grid, block, target, ctypes.c_int(parameter)) == 0
    assert gpu.cuda.cuMemcpyDtoH_v2(values, target, byte_count) == 0
    return list(values)


def test_who_asks_for_the_real_driver_does_not_get_the_fake_one(gpu):
    try:
        real = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return  # there is none
    addresses = [ctypes.cast(library.cuInit, ctypes.c_void_p).value for library in (real, gpu.cuda)]
    assert addresses[0] != addresses[1]


def test_every_thread_of_every_block_runs_once(gpu):
    assert integers_after(gpu, "squares", 3, 8, 15, 5) == [i * i for i in range(15)]


@pytest.mark.parametrize(("asking", "any_asks"), [(7, 1), (99, 0)])
def test_a_barrier_gathers_the_block_and_threads_that_left_before_run_once(gpu, asking, any_asks):
    assert integers_after(gpu, "any_of_block", 1, 8, 8, asking) == [any_asks] * 3 + [100] + [any_asks] * 4


def test_blocks_have_barriers_of_their_own(gpu):
    assert integers_after(gpu, "any_of_block", 2, 8, 8, 7) == [1] * 3 + [200] + [1] * 4


def test_a_function_belongs_to_its_context(gpu):
    kernel, other, found = function(gpu, "squares"), ctypes.c_void_p(), ctypes.c_void_p()
    assert gpu.cuda.cuCtxCreate_v2(ctypes.byref(other), 0, 0) == 0
    assert launch(gpu, kernel, 1, 1, ctypes.c_ulonglong(), ctypes.c_int()) == INVALID_HANDLE
    assert gpu.cuda.cuModuleGetFunction(ctypes.byref(found), gpu.module, b"squares") == INVALID_HANDLE


def test_the_name_of_a_kernel_is_found_whole_in_the_ptx(gpu):
    found = ctypes.c_void_p()
    for name in (b"square", b"squares2", b"cubes"):
        assert gpu.cuda.cuModuleGetFunction(ctypes.byref(found), gpu.module, name) == NOT_FOUND


def test_a_launch_without_blocks_is_refused(gpu):
    assert launch(gpu, function(gpu, "squares"), 0, 8, ctypes.c_ulonglong(), ctypes.c_int()) == INVALID_VALUE


def test_a_copy_from_the_gpu_needs_memory_of_the_gpu(gpu):
    here, there = (ctypes.c_int * 4)(), (ctypes.c_int * 4)()
    address = ctypes.c_ulonglong(ctypes.addressof(there))
    assert gpu.cuda.cuMemcpyDtoH_v2(here, address, ctypes.c_size_t(16)) == INVALID_VALUE


@pytest.mark.parametrize(
    ("program", "ended_by", "says"),
    [
        ("ctypes.string_at(allocate(gpu, 64).value, 4)", signal.SIGSEGV, ""),
        ("launch(gpu, function(gpu, 'two_barriers'), 1, 2)", signal.SIGABRT, "a second barrier in one kernel"),
        ("gpu.cuda.cuModuleLoadData(ctypes.byref(gpu.module), b'\\x7fELF')", signal.SIGABRT, "do not run here"),
    ],
    ids=["host code in the GPU's memory", "two barriers", "machine code"],
)
def test_what_cannot_go_well_ends_the_process(environment, program, ended_by, says):
    script = "import ctypes\nfrom test_fake_gpu import *\ngpu = open_driver(%r)\n%s\n" % (environment, program)
    path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    ran = subprocess.run(
        [sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=path), stderr=subprocess.PIPE, timeout=60
    )
    assert ran.returncode == -ended_by
    assert says in ran.stderr.decode()
