#include "gpu_driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

namespace tf1_wd {
namespace {

constexpr int kOldestDriver = 9000;  // CUDA 9.0, which reads PTX 6.0
constexpr int kOldestGpu = 5;        // sm_50
constexpr int kMajor = 75;           // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kMinor = 76;
const char kInstead[] = "; backend=\"tensorflow\" does without tf1_wd's GPU code";

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

template <typename Function>
void Find(void* library, const char* name, Function* function, std::string* problem) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr && problem->empty()) {
    *problem = std::string("libcuda.so.1 has no ") + name + ": update the NVIDIA driver" + kInstead;
  }
}

const char kNoJit[] =
    "libnvidia-ptxjitcompiler.so.1, a part of the driver, is missing: in a container, pass "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility";
const char kJitOff[] = "unset CUDA_DISABLE_PTX_JIT: the driver compiles tf1_wd's GPU code";

// Why the driver would not compile PTX, or an empty string.
std::string JitProblem() {
  const char* off = std::getenv("CUDA_DISABLE_PTX_JIT");
  if (off != nullptr && std::strcmp(off, "0") != 0 && off[0] != '\0') {
    return std::string(kJitOff) + kInstead;
  }
  void* compiler = dlopen("libnvidia-ptxjitcompiler.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (compiler == nullptr) return std::string(kNoJit) + kInstead;
  dlclose(compiler);
  return "";
}

// That no GPU can run the kernels, or an empty string.
std::string TooOldGpus(const Driver& driver) {
  int count = 0;
  if (driver.cuInit(0) != 0 || driver.cuDeviceGetCount(&count) != 0) return "";  // seen in the run
  for (int i = 0; i < count; ++i) {
    CudaDevice device = 0;
    int major = 0;
    if (driver.cuDeviceGet(&device, i) != 0 ||
        driver.cuDeviceGetAttribute(&major, kMajor, device) != 0 || major >= kOldestGpu) {
      return "";
    }
  }
  return count == 0 ? "" : std::string("every GPU is older than sm_50 (Maxwell)") + kInstead;
}

Driver* OpenDriver() {
  auto* driver = new Driver();
  std::string* problem = &driver->problem;
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *problem = std::string("no CUDA driver: ") + dlerror();
    return driver;
  }
#define TF1_WD_FIND(NAME) Find(library, #NAME, &driver->NAME, problem)
  TF1_WD_FIND(cuInit);
  TF1_WD_FIND(cuDriverGetVersion);
  TF1_WD_FIND(cuGetErrorName);
  TF1_WD_FIND(cuGetErrorString);
  TF1_WD_FIND(cuDeviceGetCount);
  TF1_WD_FIND(cuDeviceGet);
  TF1_WD_FIND(cuDeviceGetName);
  TF1_WD_FIND(cuDeviceGetAttribute);
  TF1_WD_FIND(cuCtxGetCurrent);
  TF1_WD_FIND(cuModuleLoadData);
  TF1_WD_FIND(cuModuleGetFunction);
  TF1_WD_FIND(cuLaunchKernel);
  TF1_WD_FIND(cuMemcpyDtoDAsync_v2);
#undef TF1_WD_FIND
  if (!problem->empty()) return driver;
  int version = 0;
  *problem = DriverError(*driver, "cuDriverGetVersion", driver->cuDriverGetVersion(&version));
  if (problem->empty() && version < kOldestDriver) {
    *problem = "the CUDA driver is too old: it is of CUDA " + VersionText(version) +
               ", and tf1_wd's GPU code needs CUDA " + VersionText(kOldestDriver) +
               " (driver 384) or later" + kInstead;
  }
  if (problem->empty()) *problem = JitProblem();
  if (problem->empty()) *problem = TooOldGpus(*driver);
  return driver;
}

// What to do about an error, by its number in cuda.h.
const char* Remedy(CudaResult result) {
  switch (result) {
    case 2:
      return "the GPU's memory is full";
    case 209:
    case 218:
    case 222:
      return "this driver or GPU cannot run tf1_wd's GPU code (PTX 6.0 for sm_50 and later)";
    case 221:
      return kNoJit;
    case 223:
      return kJitOff;
    default:
      return "";
  }
}

}  // namespace

const Driver& GetDriver() {
  static const Driver* driver = OpenDriver();
  return *driver;
}

std::string DriverError(const Driver& driver, const char* call, CudaResult result) {
  if (result == 0) return "";
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.cuGetErrorName(result, &name) != 0 || name == nullptr) name = "an unknown error";
  if (driver.cuGetErrorString(result, &text) != 0 || text == nullptr) text = "no description";
  const std::string error =
      std::string(call) + " failed: " + name + " (" + std::to_string(result) + ", " + text + ")";
  const std::string remedy = Remedy(result);
  return remedy.empty() ? error : error + "; " + remedy + kInstead;
}

std::string DescribeGpus() {
  const Driver& driver = GetDriver();
  if (!driver.problem.empty()) return driver.problem;
  int version = 0;
  int count = 0;
  std::string error =
      DriverError(driver, "cuDriverGetVersion", driver.cuDriverGetVersion(&version));
  if (error.empty()) error = DriverError(driver, "cuInit", driver.cuInit(0));
  if (error.empty()) {
    error = DriverError(driver, "cuDeviceGetCount", driver.cuDeviceGetCount(&count));
  }
  if (!error.empty()) return error;
  std::string text = "driver of CUDA " + VersionText(version);
  for (int i = 0; i < count; ++i) {
    CudaDevice device = 0;
    char name[256] = "";
    int major = 0;
    int minor = 0;
    driver.cuDeviceGet(&device, i);
    driver.cuDeviceGetName(name, sizeof(name), device);
    driver.cuDeviceGetAttribute(&major, kMajor, device);
    driver.cuDeviceGetAttribute(&minor, kMinor, device);
    text += std::string(i == 0 ? ": " : ", ") + name + " (sm_" + std::to_string(major) +
            std::to_string(minor) + ")";
  }
  return count == 0 ? text + ", no GPU" : text;
}

}  // namespace tf1_wd
