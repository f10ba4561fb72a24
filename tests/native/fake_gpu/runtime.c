// libcudart.so.12 without a GPU: what TensorFlow asks of the CUDA runtime. The rest are generated
// stubs, so that TensorFlow's own kernels cannot be launched.

#include "call_log.h"

typedef int cudaError_t;
enum { cudaSuccess = 0, kRuntimeVersion = 12050 };

extern int cuMemcpyAsync(unsigned long long target, unsigned long long source, size_t size,
                         void* stream);
extern int cuDeviceGetAttribute(int* value, int attribute, int device);
extern int cuDeviceGetCount(int* count);

// The kernels compiled into TensorFlow register themselves when its libraries are loaded.
void** __cudaRegisterFatBinary(void* binary) {
  static void* handle;
  (void)binary;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void** handle) { (void)handle; }
void __cudaUnregisterFatBinary(void** handle) { (void)handle; }
void __cudaRegisterFunction(void) {}
void __cudaRegisterVar(void) {}

cudaError_t cudaRuntimeGetVersion(int* version) {
  LOG_CALL();
  *version = kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  LOG_CALL();
  return cuDeviceGetCount(count);
}

static __thread int current_device = 0;

cudaError_t cudaGetDevice(int* device) {
  LOG_CALL();
  *device = current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  LOG_CALL();
  current_device = device;
  return cudaSuccess;
}

// The runtime's attributes have the driver's numbers.
cudaError_t cudaDeviceGetAttribute(int* value, int attribute, int device) {
  LOG_CALL("%d", attribute);
  return cuDeviceGetAttribute(value, attribute, device);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  LOG_CALL();
  *least = *greatest = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties_v2(char* properties, int device) {
  LOG_CALL();
  (void)device;
  memset(properties, 1, 1000);  // TensorFlow divides by some of them
  return cudaSuccess;
}

// Assign, on reference variables, copies with it.
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t size, int kind, void* stream) {
  LOG_CALL("%zu %p", size, stream);
  (void)kind;
  return cuMemcpyAsync((unsigned long long)target, (unsigned long long)source, size, stream);
}

// A kernel of TensorFlow's own: nothing may go on as if it had run.
cudaError_t cudaLaunchKernel(void) {
  LOG_CALL();
  NoSuchKernel();
}

// Comes before the launch, where TensorFlow writes kernel<<<grid, block>>>().
cudaError_t __cudaPushCallConfiguration(void) {
  LOG_CALL();
  NoSuchKernel();
}

cudaError_t cudaGetLastError(void) { return cudaSuccess; }
cudaError_t cudaPeekAtLastError(void) { return cudaSuccess; }

const char* cudaGetErrorString(cudaError_t error) {
  static __thread char text[64];
  snprintf(text, sizeof text, "error %d of the fake runtime", error);
  return text;
}

const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
