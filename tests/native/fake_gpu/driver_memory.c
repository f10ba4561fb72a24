// Device memory, and copies.

#include <pthread.h>
#include <sys/mman.h>

#include "driver.h"

// Of one device; taken from the machine when it is written to.
static const size_t kTotalMemory = (size_t)1 << 30;

// Device memory is a file in memory, mapped twice: at the address that the host gets to know, and
// at the one where the driver itself reads and writes. The first is open while kernels run.
struct Allocation {
  char* address;
  char* behind;  // where the driver reads and writes it
  size_t size;
  struct Allocation* next;
};
static struct Allocation* allocations;
static int running_kernels = 0;
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;

static struct Allocation* FindAllocation(CUdeviceptr address) {
  pthread_mutex_lock(&memory_lock);
  struct Allocation* found = allocations;
  while (found && address - (uintptr_t)found->address >= found->size) found = found->next;
  pthread_mutex_unlock(&memory_lock);
  return found;
}

static void ProtectAll(int protection) {
  for (struct Allocation* a = allocations; a; a = a->next)
    mprotect(a->address, a->size, protection);
}

void OpenMemory(void) {
  pthread_mutex_lock(&memory_lock);
  if (running_kernels++ == 0) ProtectAll(PROT_READ | PROT_WRITE);
  pthread_mutex_unlock(&memory_lock);
}

void CloseMemory(void) {
  pthread_mutex_lock(&memory_lock);
  if (--running_kernels == 0) ProtectAll(PROT_NONE);
  pthread_mutex_unlock(&memory_lock);
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  LOG_CALL();
  (void)device;
  *bytes = kTotalMemory;
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t* available, size_t* total) {
  LOG_CALL();
  *available = *total = kTotalMemory;
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
  LOG_CALL("%zu", size);
  if (!CurrentContext()) return CUDA_ERROR_INVALID_CONTEXT;
  if (size > kTotalMemory) return CUDA_ERROR_OUT_OF_MEMORY;
  const int file = memfd_create("fake GPU", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  struct Allocation* made = malloc(sizeof *made);
  made->size = size;
  made->behind = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  made->address = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_NORESERVE, file, 0);
  close(file);
  if (made->behind == MAP_FAILED || made->address == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  pthread_mutex_lock(&memory_lock);
  if (running_kernels) mprotect(made->address, size, PROT_READ | PROT_WRITE);
  made->next = allocations;
  allocations = made;
  pthread_mutex_unlock(&memory_lock);
  *address = (uintptr_t)made->address;
  return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  LOG_CALL();
  pthread_mutex_lock(&memory_lock);
  struct Allocation** link = &allocations;
  while (*link && (uintptr_t)(*link)->address != address) link = &(*link)->next;
  struct Allocation* found = *link;
  if (found) *link = found->next;
  pthread_mutex_unlock(&memory_lock);
  if (!found) return CUDA_ERROR_INVALID_VALUE;
  munmap(found->address, found->size);
  munmap(found->behind, found->size);
  free(found);
  return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void** address, size_t size, unsigned flags) {
  LOG_CALL();
  (void)flags;
  return posix_memalign(address, 4096, size) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void* address) {
  LOG_CALL();
  free(address);
  return CUDA_SUCCESS;
}

// Where `size` bytes at an address can be read and written: host memory where it is.
static void* Reach(CUdeviceptr address) {
  const struct Allocation* found = FindAllocation(address);
  return found ? found->behind + (address - (uintptr_t)found->address) : (void*)(uintptr_t)address;
}

static CUresult Copy(CUdeviceptr target, CUdeviceptr source, size_t size) {
  memmove(Reach(target), Reach(source), size);
  return CUDA_SUCCESS;
}

static CUresult CopyToDevice(CUdeviceptr target, const void* source, size_t size) {
  return FindAllocation(target) || !size ? Copy(target, (uintptr_t)source, size)
                                         : CUDA_ERROR_INVALID_VALUE;
}

static CUresult CopyFromDevice(void* target, CUdeviceptr source, size_t size) {
  return FindAllocation(source) || !size ? Copy((uintptr_t)target, source, size)
                                         : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void* source, size_t size) {
  LOG_CALL("%zu", size);
  return CopyToDevice(target, source, size);
}

CUresult cuMemcpyDtoH_v2(void* target, CUdeviceptr source, size_t size) {
  LOG_CALL("%zu", size);
  return CopyFromDevice(target, source, size);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t size,
                              struct Stream* stream) {
  LOG_CALL("%zu %p", size, (void*)stream);
  return CopyToDevice(target, source, size);
}

CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t size,
                              struct Stream* stream) {
  LOG_CALL("%zu %p", size, (void*)stream);
  return CopyFromDevice(target, source, size);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t size,
                              struct Stream* stream) {
  LOG_CALL("%zu %p", size, (void*)stream);
  return Copy(target, source, size);
}

CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t size, struct Stream* stream) {
  LOG_CALL("%zu %p", size, (void*)stream);
  return Copy(target, source, size);
}

CUresult cuMemsetD32_v2(CUdeviceptr target, unsigned value, size_t count) {
  LOG_CALL("%zu", count);
  unsigned* words = Reach(target);
  for (size_t i = 0; i < count; ++i) words[i] = value;
  return CUDA_SUCCESS;
}

CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, struct Stream* stream) {
  LOG_CALL("%p", (void*)stream);
  return cuMemsetD32_v2(target, value, count);
}
