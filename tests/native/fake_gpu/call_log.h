// Every call of a fake library becomes one line of the file that $FAKE_GPU_LOG names:
//   FUNCTION CALLER [DETAILS]
// CALLER is the file name of the shared library that called, so that a test can tell our op's calls
// from TensorFlow's. $FAKE_GPU_FAIL=FUNCTION:CODE lets a function fail with that code.

#ifndef FAKE_GPU_CALL_LOG_H_
#define FAKE_GPU_CALL_LOG_H_

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The library that an address belongs to. Each address is looked up once: that takes a while in one
// as large as TensorFlow's.
static const char* NameOfLibrary(void* address) {
  enum { kKept = 512 };
  static __thread struct {
    void* address;
    char name[64];
  } kept[kKept], *found;
  found = &kept[(size_t)address % kKept];
  if (found->address != address) {
    Dl_info library;
    const char* path = dladdr(address, &library) && library.dli_fname ? library.dli_fname : "?";
    const char* slash = strrchr(path, '/');
    snprintf(found->name, sizeof found->name, "%s", slash ? slash + 1 : path);
    found->address = address;
  }
  return found->name;
}

// Writes the line; returns the code that $FAKE_GPU_FAIL asks for, or 0.
__attribute__((unused, format(printf, 3, 4))) static int Called(const char* function, void* caller,
                                                                const char* details, ...) {
  const char* path = getenv("FAKE_GPU_LOG");
  if (path) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s %s", function, NameOfLibrary(caller));
    va_list arguments;
    va_start(arguments, details);
    length += vsnprintf(line + length, sizeof line - length - 1, details, arguments);
    va_end(arguments);
    line[length++] = '\n';
    const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, line, length) != length)
      perror(path);  // one write: lines stay whole
    close(file);
  }
  const char* failing = getenv("FAKE_GPU_FAIL");
  const size_t size = strlen(function);
  if (failing && !strncmp(failing, function, size) && failing[size] == ':')
    return atoi(failing + size + 1);
  return 0;
}

// The first statement of every function that returns an error code.
#define LOG_CALL(...)                                                             \
  do {                                                                            \
    int failure = Called(__func__, __builtin_return_address(0), " " __VA_ARGS__); \
    if (failure) return failure;                                                  \
  } while (0)

// Ends the process where a kernel is asked for that nobody has compiled for the CPU.
__attribute__((unused, noreturn)) static void NoSuchKernel(void) {
  fprintf(stderr, "fake GPU: kernels of TensorFlow's own do not run here: place the op on a CPU\n");
  abort();
}

#endif  // FAKE_GPU_CALL_LOG_H_
