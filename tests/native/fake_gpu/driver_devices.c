// The driver itself, its devices, and the contexts of its threads.

#include "driver.h"

enum { kMaxDevices = 4, kMaxContextDepth = 16, kDriverVersion = 12050 };

static struct Context primary_contexts[kMaxDevices];
static __thread struct Context* context_stack[kMaxContextDepth];
static __thread int context_depth = 0;

struct Context* CurrentContext(void) {
  return context_depth ? context_stack[context_depth - 1] : NULL;
}

static int DeviceCount(void) {
  const char* count = getenv("FAKE_GPU_DEVICES");
  return count ? atoi(count) : 1;
}

CUresult cuInit(unsigned flags) {
  LOG_CALL();
  (void)flags;
  for (int i = 0; i < kMaxDevices; ++i) primary_contexts[i].device = i;
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  LOG_CALL();
  const char* asked = getenv("FAKE_GPU_DRIVER_VERSION");
  *version = asked ? atoi(asked) : kDriverVersion;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
  static __thread char text[32];
  snprintf(text, sizeof text, "FAKE_CUDA_ERROR_%d", error);
  *name = text;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** name) {
  static __thread char text[64];
  snprintf(text, sizeof text, "error %d of the fake driver", error);
  *name = text;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  LOG_CALL();
  *count = DeviceCount();
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  LOG_CALL();
  *device = ordinal;
  return ordinal < DeviceCount() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
  LOG_CALL();
  (void)device;
  snprintf(name, size, "fake GPU");
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char* id, int size, CUdevice device) {
  LOG_CALL();
  snprintf(id, size, "0000:%02x:00.0", device + 1);
  return CUDA_SUCCESS;
}

// Attributes of the enum CUdevice_attribute by their number; the values are an A100's, the others
// 0.
static const int kAttributes[] = {
    [1] = kMaxThreads,  // MAX_THREADS_PER_BLOCK
    [2] = kMaxThreads,  // MAX_BLOCK_DIM_X
    [3] = kMaxThreads,  // MAX_BLOCK_DIM_Y
    [4] = 64,           // MAX_BLOCK_DIM_Z
    [5] = INT32_MAX,    // MAX_GRID_DIM_X
    [6] = 65535,        // MAX_GRID_DIM_Y
    [7] = 65535,        // MAX_GRID_DIM_Z
    [8] = 48 << 10,     // MAX_SHARED_MEMORY_PER_BLOCK
    [10] = 32,          // WARP_SIZE
    [12] = 65536,       // MAX_REGISTERS_PER_BLOCK
    [13] = 1410000,     // CLOCK_RATE, in kHz
    [16] = 108,         // MULTIPROCESSOR_COUNT
    [36] = 1215000,     // MEMORY_CLOCK_RATE, in kHz
    [37] = 5120,        // GLOBAL_MEMORY_BUS_WIDTH, in bits
    [38] = 40 << 20,    // L2_CACHE_SIZE
    [39] = 2048,        // MAX_THREADS_PER_MULTIPROCESSOR
    [41] = 1,           // UNIFIED_ADDRESSING
    [75] = 8,           // COMPUTE_CAPABILITY_MAJOR
    [76] = 0,           // COMPUTE_CAPABILITY_MINOR
    [81] = 164 << 10,   // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    [82] = 65536,       // MAX_REGISTERS_PER_MULTIPROCESSOR
    [97] = 163 << 10,   // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
};

CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  LOG_CALL("%d", attribute);
  (void)device;
  const int known = sizeof kAttributes / sizeof kAttributes[0];
  *value = attribute >= 0 && attribute < known ? kAttributes[attribute] : 0;
  return CUDA_SUCCESS;
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  LOG_CALL();
  (void)device, (void)peer;
  *can = 0;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(struct Context** context, CUdevice device) {
  LOG_CALL();
  if (device >= DeviceCount()) return CUDA_ERROR_INVALID_DEVICE;
  *context = &primary_contexts[device];
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  LOG_CALL();
  (void)device;
  *flags = 0;
  *active = 1;
  return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(struct Context** context, unsigned flags, CUdevice device) {
  LOG_CALL();
  (void)flags;
  if (context_depth == kMaxContextDepth) return CUDA_ERROR_OUT_OF_MEMORY;
  *context = malloc(sizeof **context);
  (*context)->device = device;
  context_stack[context_depth++] = *context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(struct Context** context) {
  LOG_CALL();
  *context = CurrentContext();
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(struct Context* context) {
  LOG_CALL();
  if (context_depth == 0) context_depth = 1;
  context_stack[context_depth - 1] = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(struct Context* context) {
  LOG_CALL();
  if (context_depth == kMaxContextDepth) return CUDA_ERROR_OUT_OF_MEMORY;
  context_stack[context_depth++] = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(struct Context** context) {
  LOG_CALL();
  if (context_depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  *context = context_stack[--context_depth];
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
  LOG_CALL();
  if (!CurrentContext()) return CUDA_ERROR_INVALID_CONTEXT;
  *device = CurrentContext()->device;
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void) {
  LOG_CALL();
  return CUDA_SUCCESS;
}
