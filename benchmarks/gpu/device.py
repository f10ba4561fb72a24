"""One GPU through the CUDA driver: memory and a stream, as the checks need them. Nothing but libcuda and NumPy."""

from __future__ import annotations

import ctypes

import numpy as np

_POINTER, _SIZE, _NUMBER, _ADDRESS = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_uint64
_PROTOTYPES = {
    "cuInit": [_NUMBER],
    "cuDeviceGet": [ctypes.POINTER(ctypes.c_int), ctypes.c_int],
    "cuDevicePrimaryCtxRetain": [ctypes.POINTER(_POINTER), ctypes.c_int],
    "cuCtxSetCurrent": [_POINTER],
    "cuCtxSynchronize": [],
    "cuStreamCreate": [ctypes.POINTER(_POINTER), _NUMBER],
    "cuMemAlloc_v2": [ctypes.POINTER(_ADDRESS), _SIZE],
    "cuMemFree_v2": [_ADDRESS],
    "cuMemHostAlloc": [ctypes.POINTER(_POINTER), _SIZE, _NUMBER],
    "cuMemcpyHtoD_v2": [_ADDRESS, _POINTER, _SIZE],
    "cuMemcpyDtoH_v2": [_POINTER, _ADDRESS, _SIZE],
}


class NoGpu(Exception):
    """Why no GPU can be used."""


class OutOfMemory(NoGpu):
    """There is not as much memory on the GPU."""


class Gpu:
    """The first GPU, current in this thread until the process ends."""

    def __init__(self):
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NoGpu("no CUDA driver: %s" % error) from None
        for name, arguments in _PROTOTYPES.items():
            getattr(self._cuda, name).argtypes = arguments
        self._allocated = []
        number, context, stream, word = ctypes.c_int(), _POINTER(), _POINTER(), _POINTER()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(number), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), number)
        self._call("cuCtxSetCurrent", context)
        not_waiting_for_stream_0 = 1
        self._call("cuStreamCreate", ctypes.byref(stream), not_waiting_for_stream_0)
        self.stream = stream.value
        self._call("cuMemHostAlloc", ctypes.byref(word), 8, 0)
        self.pinned_word = word.value  # its address is the same on the GPU

    def allocate(self, size):
        """Address of so many bytes."""
        address = _ADDRESS()
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        self._allocated.append(address.value)
        return address.value

    def free_all(self):
        while self._allocated:
            self._call("cuMemFree_v2", self._allocated.pop())

    def write(self, address, array):
        array = np.ascontiguousarray(array)
        if array.nbytes:
            self._call("cuMemcpyHtoD_v2", address, array.ctypes.data, array.nbytes)

    def read(self, address, size):
        """`size` bytes as a NumPy array."""
        array = np.empty(size, np.uint8)
        if size:
            self._call("cuMemcpyDtoH_v2", array.ctypes.data, address, size)
        return array

    def synchronize(self):
        self._call("cuCtxSynchronize")

    def _call(self, name, *arguments):
        code = getattr(self._cuda, name)(*arguments)
        if code:
            failure = OutOfMemory if code == 2 else NoGpu
            raise failure("%s failed: CUDA error %d" % (name, code))
