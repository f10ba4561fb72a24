// The CUDA driver, opened when it is first asked for. No CUDA header and nothing to link: the same
// library loads where there is no GPU, and beside any CUDA runtime that TensorFlow brings.

#ifndef TF1_WD_GPU_DRIVER_H_
#define TF1_WD_GPU_DRIVER_H_

#include <cstddef>
#include <string>

namespace tf1_wd {

// As in cuda.h: cuda.h of CUDA 8 to 13 agree on all that is named here.
using CudaResult = int;
using CudaDevice = int;
using CudaContext = struct CudaContextOpaque*;
using CudaModule = struct CudaModuleOpaque*;
using CudaFunction = struct CudaFunctionOpaque*;
using CudaStream = struct CudaStreamOpaque*;

struct Driver {
  CudaResult (*cuInit)(unsigned flags);
  CudaResult (*cuDriverGetVersion)(int* version);
  CudaResult (*cuGetErrorName)(CudaResult, const char** name);
  CudaResult (*cuGetErrorString)(CudaResult, const char** text);
  CudaResult (*cuDeviceGetCount)(int* count);
  CudaResult (*cuDeviceGet)(CudaDevice*, int ordinal);
  CudaResult (*cuDeviceGetName)(char* name, int length, CudaDevice);
  CudaResult (*cuDeviceGetAttribute)(int* value, int attribute, CudaDevice);
  CudaResult (*cuCtxGetCurrent)(CudaContext*);
  CudaResult (*cuModuleLoadData)(CudaModule*, const void* image);
  CudaResult (*cuModuleGetFunction)(CudaFunction*, CudaModule, const char* name);
  CudaResult (*cuLaunchKernel)(CudaFunction, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z,
                               unsigned shared_bytes, CudaStream, void** parameters, void** extra);
  CudaResult (*cuMemcpyDtoDAsync_v2)(unsigned long long target, unsigned long long source,
                                     size_t bytes, CudaStream);
  std::string problem;  // why it cannot be used, or empty
};

const Driver& GetDriver();

// "cuName failed: CUDA_ERROR_X (text)", with what to do where that is known; empty for success.
std::string DriverError(const Driver& driver, const char* call, CudaResult result);

// The driver and the GPUs it sees, for people; makes no context.
std::string DescribeGpus();

}  // namespace tf1_wd

#endif  // TF1_WD_GPU_DRIVER_H_
