// Modules and kernels: the PTX is looked at; the kernel that runs is compiled for the CPU, from
// the same source.

#include "driver.h"

struct Module {
  struct Context* context;
  const char* image;
};
struct Function {
  struct Module* module;
  void (*run)(unsigned grid, unsigned block, void** parameters);
  char name[64];
};

// PTX is text: comments, then `.version`.
static int IsPtx(const char* image) {
  for (;;) {
    image += strspn(image, " \t\r\n");
    if (strncmp(image, "//", 2)) return !strncmp(image, ".version", 8);
    image += strcspn(image, "\n");
  }
}

// Whether the PTX has a kernel of this name.
static int HasEntry(const char* image, const char* name) {
  const size_t size = strlen(name);
  while ((image = strstr(image, ".entry "))) {
    image += strlen(".entry ");
    if (!strncmp(image, name, size) && strspn(image + size, " (\n")) return 1;
  }
  return 0;
}

CUresult cuModuleLoadData(struct Module** module, const void* image) {
  LOG_CALL();
  if (!CurrentContext()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!IsPtx(image)) NoSuchKernel();  // TensorFlow's own come as machine code
  *module = malloc(sizeof **module);
  (*module)->context = CurrentContext();
  (*module)->image = strdup(image);
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(struct Function** function, struct Module* module, const char* name) {
  LOG_CALL("%s", name);
  if (!module || module->context != CurrentContext()) return CUDA_ERROR_INVALID_HANDLE;
  if (!HasEntry(module->image, name)) return CUDA_ERROR_NOT_FOUND;
  const char* path = getenv("FAKE_GPU_KERNELS");
  void* kernels = path ? dlopen(path, RTLD_NOW) : NULL;
  if (!kernels) {
    fprintf(stderr, "fake GPU: $FAKE_GPU_KERNELS: %s\n", path ? dlerror() : "not set");
    return CUDA_ERROR_NOT_FOUND;
  }
  *function = malloc(sizeof **function);
  snprintf((*function)->name, sizeof(*function)->name, "emulated_%s", name);
  (*function)->module = module;
  *(void**)&(*function)->run = dlsym(kernels, (*function)->name);
  if (!(*function)->run) {
    fprintf(stderr, "fake GPU: no %s in %s\n", (*function)->name, path);
    return CUDA_ERROR_NOT_FOUND;
  }
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(struct Function* function, unsigned grid_x, unsigned grid_y,
                        unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                        unsigned shared_bytes, struct Stream* stream, void** parameters,
                        void** extra) {
  LOG_CALL("%s %u %u %p", function->name + strlen("emulated_"), grid_x, block_x, (void*)stream);
  const struct Context* context = function->module->context;
  if (context != CurrentContext() || (stream && stream->context != context))
    return CUDA_ERROR_INVALID_HANDLE;
  if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || shared_bytes || extra) {
    return CUDA_ERROR_INVALID_VALUE;  // our kernels use none of it
  }
  if (grid_x < 1 || grid_x > INT32_MAX || block_x < 1 || block_x > kMaxThreads)
    return CUDA_ERROR_INVALID_VALUE;
  OpenMemory();
  function->run(grid_x, block_x, parameters);
  CloseMemory();
  return CUDA_SUCCESS;
}
