#include "decay_launch.h"

#include <array>
#include <map>
#include <mutex>

#include "gpu_driver.h"

// The text of decay_kernel.ptx, with a zero behind it.
extern "C" const char tf1_wd_decay_ptx[] __attribute__((visibility("hidden")));
__asm__(
    ".pushsection .rodata\n"
    ".globl tf1_wd_decay_ptx\n"
    ".hidden tf1_wd_decay_ptx\n"
    "tf1_wd_decay_ptx:\n"
    ".incbin \"decay_kernel.ptx\"\n"
    ".byte 0\n"
    ".popsection\n");

namespace tf1_wd {
namespace {

struct Kernel {
  const char* name;
  unsigned element_bytes;
};
// In the order of GpuType.
constexpr Kernel kKernels[] = {{"tf1_wd_decay_half", 2},
                               {"tf1_wd_decay_bfloat16", 2},
                               {"tf1_wd_decay_float", 4},
                               {"tf1_wd_decay_double", 8}};
constexpr size_t kKernelCount = sizeof(kKernels) / sizeof(kKernels[0]);

using Functions = std::array<CudaFunction, kKernelCount>;

// The kernels in the current context; the driver compiles them when they are first asked for there.
std::string FindFunctions(const Driver& driver, Functions* functions) {
  static auto* mutex = new std::mutex();
  static auto* loaded = new std::map<CudaContext, Functions>();
  CudaContext context = nullptr;
  std::string error = DriverError(driver, "cuCtxGetCurrent", driver.cuCtxGetCurrent(&context));
  if (!error.empty()) return error;
  if (context == nullptr) return "no CUDA context is current in this thread";
  std::lock_guard<std::mutex> lock(*mutex);
  const auto found = loaded->find(context);
  if (found != loaded->end()) {
    *functions = found->second;
    return "";
  }
  CudaModule module = nullptr;
  error =
      DriverError(driver, "cuModuleLoadData", driver.cuModuleLoadData(&module, tf1_wd_decay_ptx));
  for (size_t i = 0; error.empty() && i < kKernelCount; ++i) {
    error = DriverError(driver, "cuModuleGetFunction",
                        driver.cuModuleGetFunction(&(*functions)[i], module, kKernels[i].name));
  }
  if (error.empty()) loaded->emplace(context, *functions);
  return error;
}

}  // namespace

std::string LaunchPass(void* stream, GpuType type, const Pass& pass, const RateList& rates) {
  const Driver& driver = GetDriver();
  if (!driver.problem.empty()) return driver.problem;
  Functions functions;
  std::string error = FindFunctions(driver, &functions);
  if (!error.empty()) return error;
  const size_t kernel = static_cast<size_t>(type);
  const int64_t chunk = kChunkBytes / kKernels[kernel].element_bytes;
  for (size_t next = 0; next < pass.size();) {
    TensorList list;
    int64_t blocks = 0;
    list.count = 0;
    for (; next < pass.size() && list.count < kTensorsPerLaunch; ++next) {
      const Span& span = pass[next];
      if (span.size == 0) continue;
      list.target[list.count] = reinterpret_cast<uintptr_t>(span.target);
      list.source[list.count] = reinterpret_cast<uintptr_t>(span.source);
      list.size[list.count] = span.size;
      list.variable[list.count] = span.variable;
      list.first_block[list.count++] = static_cast<unsigned>(blocks);
      blocks += (span.size + chunk - 1) / chunk;
    }
    if (list.count == 0) break;
    list.first_block[list.count] = static_cast<unsigned>(blocks);
    void* parameters[] = {&list, const_cast<RateList*>(&rates)};
    error = DriverError(
        driver, "cuLaunchKernel",
        driver.cuLaunchKernel(functions[kernel], static_cast<unsigned>(blocks), 1, 1, kThreads, 1,
                              1, 0, static_cast<CudaStream>(stream), parameters, nullptr));
    if (!error.empty()) return error;
  }
  return "";
}

std::string CopyOnGpu(void* stream, const void* source, void* target, size_t bytes) {
  const Driver& driver = GetDriver();
  if (!driver.problem.empty()) return driver.problem;
  return DriverError(driver, "cuMemcpyDtoDAsync",
                     driver.cuMemcpyDtoDAsync_v2(reinterpret_cast<uintptr_t>(target),
                                                 reinterpret_cast<uintptr_t>(source), bytes,
                                                 static_cast<CudaStream>(stream)));
}

}  // namespace tf1_wd
