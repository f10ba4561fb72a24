// libnvidia-ml.so.1 without a GPU: TensorFlow 2.21 asks it for the width of a PCI bus. The rest are
// generated stubs.

#include "call_log.h"

typedef int nvmlReturn_t;
enum { NVML_SUCCESS = 0 };

nvmlReturn_t nvmlInit_v2(void) {
  LOG_CALL();
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** device) {
  LOG_CALL("%s", id);
  static int handle;
  *device = &handle;
  return NVML_SUCCESS;
}

const char* nvmlErrorString(nvmlReturn_t error) {
  static __thread char text[64];
  snprintf(text, sizeof text, "error %d of the fake NVML", error);
  return text;
}
