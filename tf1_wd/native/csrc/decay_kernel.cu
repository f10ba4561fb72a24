// GPU kernels: target[j] = source[j] - (rate_i * scale) * source[j] for every tensor of a list.
// Products are rounded before they are subtracted, as on the CPU: the results are the same bits.
//
// Compiled by NVRTC into decay_kernel.ptx (tools/make_ptx.py), which is what ships.

#include "decay_kernel.h"
#ifndef __CUDACC__
#include "half_types.h"  // tests run the kernels on a CPU
#endif

namespace tf1_wd {

__device__ inline float Multiply(float a, float b) { return __fmul_rn(a, b); }
__device__ inline float Subtract(float a, float b) { return __fsub_rn(a, b); }
__device__ inline double Multiply(double a, double b) { return __dmul_rn(a, b); }
__device__ inline double Subtract(double a, double b) { return __dsub_rn(a, b); }

// How a value is stored, and in what it is computed.
template <typename T>
struct GpuFormat {
  using Stored = T;
  using Computed = T;
  static __device__ T Load(T value) { return value; }
  static __device__ T Store(T value) { return value; }
};

struct GpuHalf {
  using Stored = unsigned short;
  using Computed = float;
#ifdef __CUDACC__
  // Instructions of every GPU since sm_50; the intrinsics need a header that NVRTC has not.
  static __device__ float Load(unsigned short half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
  }
  static __device__ unsigned short Store(float value) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
  }
#else
  static float Load(unsigned short half) { return HalfFormat::Load(half); }
  static unsigned short Store(float value) { return HalfFormat::Store(value); }
#endif
};

struct GpuBfloat16 {
  using Stored = unsigned short;
  using Computed = float;
  static __device__ float Load(unsigned short half) {
    return __uint_as_float(static_cast<unsigned>(half) << 16);
  }
  static __device__ unsigned short Store(float value) {  // to nearest even
    const unsigned bits = __float_as_uint(value);
    const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    return is_nan ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  }
};

// rate * scale of the op's variable i.
template <typename R>
__device__ R EffectiveRate(const RateList& rates, unsigned long long i) {
  const R rate = static_cast<const R*>(rates.rates)[rates.count == 1 ? 0 : i];
  return Multiply(rate, *static_cast<const R*>(rates.scale));
}

// True, in every thread of the block, if any rate of the op is out of [0, 1): then no variable may
// change. All blocks of all launches of an op see the same rates, which no launch writes, so that
// all decide alike.
template <typename R>
__device__ bool AnyRefused(const RateList& rates) {
  unsigned long long refused = 0;
  for (unsigned long long i = threadIdx.x; i < rates.count; i += kThreads) {
    const R rate = EffectiveRate<R>(rates, i);
    if (!(rate >= R(0) && rate < R(1))) {  // NaN fails both
      refused = (i + 1) << 32 | __float_as_uint(static_cast<float>(rate));
    }
  }
  const bool any = __syncthreads_or(refused != 0);
  if (refused != 0 && blockIdx.x == 0) *rates.refused = refused;  // of several, any may stay
  return any;
}

// The tensor that this block works on.
__device__ inline unsigned FindTensor(const TensorList& list) {
  unsigned low = 0;
  unsigned high = list.count;
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    if (list.first_block[middle] <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// 16 bytes, which a thread reads or writes at once.
template <typename Stored>
struct __align__(16) Pack {
  enum : unsigned { kSize = 16 / sizeof(Stored) };
  Stored values[kSize];
};

// What becomes of an element: a weight decays, or a pack of them.
template <typename Format>
struct Decayed {
  typename Format::Computed rate;
  __device__ typename Format::Stored operator()(typename Format::Stored stored) const {
    const typename Format::Computed value = Format::Load(stored);
    return Format::Store(Subtract(value, Multiply(rate, value)));
  }
  __device__ Pack<typename Format::Stored> operator()(Pack<typename Format::Stored> pack) const {
#pragma unroll
    for (auto& value : pack.values) value = (*this)(value);
    return pack;
  }
};

// For rate 0, as infinity - 0 * infinity is not a number.
struct Unchanged {
  template <typename Element>
  __device__ Element operator()(Element element) const {
    return element;
  }
};

// Every element of target[0, size), the threads of the block side by side.
template <typename Element, typename Change>
__device__ void ChangeElements(const Element* source, Element* target, unsigned size,
                               const Change& change) {
  constexpr unsigned kInFlight = 4;  // loads of a thread before its first store
  unsigned j = threadIdx.x;
  for (; j + (kInFlight - 1) * kThreads < size; j += kInFlight * kThreads) {
    Element elements[kInFlight];
#pragma unroll
    for (unsigned k = 0; k < kInFlight; ++k) elements[k] = source[j + k * kThreads];
#pragma unroll
    for (unsigned k = 0; k < kInFlight; ++k) target[j + k * kThreads] = change(elements[k]);
  }
  for (; j < size; j += kThreads) target[j] = change(source[j]);
}

// The part of tensor i that belongs to this block.
template <typename Stored, typename Change>
__device__ void ChangeChunk(const TensorList& list, unsigned i, const Change& change) {
  constexpr unsigned kChunk = kChunkBytes / sizeof(Stored);
  const unsigned long long begin =
      static_cast<unsigned long long>(blockIdx.x - list.first_block[i]) * kChunk;
  const unsigned long long left = list.size[i] - begin;
  const unsigned size = left < kChunk ? static_cast<unsigned>(left) : kChunk;
  const Stored* source = reinterpret_cast<const Stored*>(list.source[i]) + begin;
  Stored* target = reinterpret_cast<Stored*>(list.target[i]) + begin;
  unsigned packed = 0;
  if ((list.source[i] | list.target[i]) % 16 == 0) {
    using Packed = Pack<Stored>;
    packed = size / Packed::kSize;
    ChangeElements(reinterpret_cast<const Packed*>(source), reinterpret_cast<Packed*>(target),
                   packed, change);
    packed *= Packed::kSize;
  }
  ChangeElements(source + packed, target + packed, size - packed, change);
}

template <typename Format>
__device__ void Decay(const TensorList& list, const RateList& rates) {
  using R = typename Format::Computed;
  const bool refused = AnyRefused<R>(rates);
  const unsigned i = FindTensor(list);
  const R rate = refused ? R(0) : EffectiveRate<R>(rates, list.variable[i]);
  if (rate != 0) {
    ChangeChunk<typename Format::Stored>(list, i, Decayed<Format>{rate});
  } else if (list.source[i] != list.target[i]) {
    ChangeChunk<typename Format::Stored>(list, i, Unchanged());
  }
}

}  // namespace tf1_wd

#define TF1_WD_KERNEL(NAME, FORMAT)                                       \
  extern "C" __global__ void __launch_bounds__(tf1_wd::kThreads)          \
      NAME(const tf1_wd::TensorList list, const tf1_wd::RateList rates) { \
    tf1_wd::Decay<FORMAT>(list, rates);                                   \
  }
TF1_WD_KERNEL(tf1_wd_decay_half, tf1_wd::GpuHalf)
TF1_WD_KERNEL(tf1_wd_decay_bfloat16, tf1_wd::GpuBfloat16)
TF1_WD_KERNEL(tf1_wd_decay_float, tf1_wd::GpuFormat<float>)
TF1_WD_KERNEL(tf1_wd_decay_double, tf1_wd::GpuFormat<double>)
#undef TF1_WD_KERNEL
