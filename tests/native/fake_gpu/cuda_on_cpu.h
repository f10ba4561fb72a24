// CUDA C++ for g++: runs a kernel on the CPU, thread after thread.
//
// A block barrier works by replay: every thread of the block runs up to the barrier and is left
// there; then all run again from their beginning, and the barrier lets them through. That is right
// for kernels that write nothing before their only barrier. Races, memory order and speed cannot be
// seen here.

#ifndef FAKE_GPU_CUDA_ON_CPU_H_
#define FAKE_GPU_CUDA_ON_CPU_H_

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cfenv>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __restrict__

struct Index {
  unsigned x;
};
static thread_local Index blockIdx, threadIdx, blockDim, gridDim;

template <class To, class From>
inline To SameBits(From value) {
  static_assert(sizeof(To) == sizeof(From), "reinterpretation of bits");
  To result;
  memcpy(&result, &value, sizeof result);
  return result;
}
inline float __uint_as_float(unsigned bits) { return SameBits<float>(bits); }
inline unsigned __float_as_uint(float value) { return SameBits<unsigned>(value); }

// Rounded one by one: compile with -ffp-contract=off.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }

struct Barrier {
  bool replaying;  // all threads have arrived
  bool passed;     // by the thread that runs
  bool any;        // of the predicates
  jmp_buf arrived;
};
static thread_local Barrier barrier;

inline int __syncthreads_or(int predicate) {
  if (barrier.passed) {
    fprintf(stderr, "fake GPU: a second barrier in one kernel: cuda_on_cpu.h replays only one\n");
    abort();
  }
  if (!barrier.replaying) {
    barrier.any |= predicate != 0;
    longjmp(barrier.arrived, 1);
  }
  barrier.passed = true;
  return barrier.any;
}

// True if the thread came to the barrier and is to be run again.
template <class Run>
__attribute__((noinline)) bool ArrivesAtBarrier(const Run& run) {
  if (setjmp(barrier.arrived)) return true;
  run();
  return false;
}

template <class Run>
void RunBlock(unsigned threads, const Run& run) {
  enum { kMaxThreads = 1024 };
  static thread_local bool waits[kMaxThreads];
  barrier.replaying = barrier.any = false;
  for (unsigned t = 0; t < threads; ++t) {
    threadIdx.x = t;
    barrier.passed = false;
    waits[t] = ArrivesAtBarrier(run);
  }
  barrier.replaying = true;
  for (unsigned t = 0; t < threads; ++t) {
    threadIdx.x = t;
    barrier.passed = false;
    if (waits[t]) run();
  }
}

// Runs kernel<<<grid, block>>>(...), its parameters given as cuLaunchKernel takes them.
template <class... Parameters, size_t... I>
void RunGrid(void (*kernel)(Parameters...), std::index_sequence<I...>, unsigned grid,
             unsigned block, void** parameters) {
  static_assert((sizeof(Parameters) + ... + 0) <= 4096,
                "what all CUDA versions allow as kernel parameters");
  std::fenv_t environment;
  std::fegetenv(&environment);
  std::fesetenv(FE_DFL_ENV);  // TensorFlow's threads take subnormal numbers for 0, GPUs do not
  gridDim.x = grid;
  blockDim.x = block;
  for (unsigned b = 0; b < grid; ++b) {
    blockIdx.x = b;
    RunBlock(block, [&] {
      kernel(*static_cast<typename std::remove_const<Parameters>::type*>(parameters[I])...);
    });
  }
  std::fesetenv(&environment);
}

// The entry that the fake driver looks for.
#define EMULATED(NAME)                                                                \
  extern "C" void emulated_##NAME(unsigned grid, unsigned block, void** parameters) { \
    RunKernel(NAME, grid, block, parameters);                                         \
  }

template <class... Parameters>
void RunKernel(void (*kernel)(Parameters...), unsigned grid, unsigned block, void** parameters) {
  RunGrid(kernel, std::index_sequence_for<Parameters...>(), grid, block, parameters);
}

#endif  // FAKE_GPU_CUDA_ON_CPU_H_
