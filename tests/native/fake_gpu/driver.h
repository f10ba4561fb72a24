// libcuda.so.1 without a GPU: the part of the CUDA driver that TensorFlow and our op call. The rest
// are generated stubs.
//
// Whatever is asked of a stream is done at once, in the calling thread. Device memory is memory of
// this process, but locked: outside of copies and kernels, host code that touches it crashes, as it
// would on a machine with a GPU. Contexts, modules, functions and streams belong together as in
// CUDA: used in another context, they are an error.

#ifndef FAKE_GPU_DRIVER_H_
#define FAKE_GPU_DRIVER_H_

#include <stddef.h>
#include <stdint.h>

#include "call_log.h"

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
};

enum { kMaxThreads = 1024 };  // of a block

struct Context {
  CUdevice device;
};
struct Stream {
  struct Context* context;
};

// driver_devices.c: the context that is current in this thread, or NULL.
struct Context* CurrentContext(void);

// driver_memory.c: between the two, the host's addresses of device memory are open.
void OpenMemory(void);
void CloseMemory(void);

#endif  // FAKE_GPU_DRIVER_H_
