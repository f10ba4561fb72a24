// float16 and bfloat16 to float32 and back, without branches, so that the loop around vectorizes on
// any x86-64 or ARM. Rounds to nearest even, as TensorFlow's Cast does, also for subnormal numbers
// in threads that flush subnormal float32 values to zero.

#ifndef TF1_WD_HALF_TYPES_H_
#define TF1_WD_HALF_TYPES_H_

#include <cstdint>
#include <cstring>

namespace tf1_wd {

inline float FloatFromBits(int32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline int32_t BitsOfFloat(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

struct HalfFormat {
  using Stored = uint16_t;
  using Computed = float;

  static float Load(uint16_t half) {
    constexpr int32_t kExponent = 0x7c00 << 13;
    const int32_t magnitude = (half & 0x7fff) << 13;
    const int32_t exponent = magnitude & kExponent;
    const int32_t rebias = (127 - 15) << 23;
    const int32_t normal = magnitude + rebias;
    const int32_t special = magnitude + 2 * rebias;  // infinity and NaN
    // A subnormal is its bits below the implicit one of 2^-14, which is then taken away.
    const int32_t one = 113 << 23;
    const int32_t subnormal = BitsOfFloat(FloatFromBits(magnitude + one) - FloatFromBits(one));
    const int32_t bits = exponent == kExponent ? special : exponent == 0 ? subnormal : normal;
    return FloatFromBits(bits | (half & 0x8000) << 16);
  }

  static uint16_t Store(float value) {
    const int32_t bits = BitsOfFloat(value);
    const int32_t magnitude = bits & 0x7fffffff;
    const int32_t overflow = magnitude > 255 << 23 ? 0x7e00 : 0x7c00;  // NaN or infinity
    // Adding 0.5 puts the last bit of a subnormal half at the last bit of the sum, which rounds.
    const int32_t half_one = 126 << 23;
    const int32_t subnormal = BitsOfFloat(FloatFromBits(magnitude) + 0.5f) - half_one;
    const int32_t odd = magnitude >> 13 & 1;
    const int32_t normal = (magnitude - (112 << 23) + 0xfff + odd) >> 13;
    const int32_t half = magnitude >= 143 << 23  ? overflow
                         : magnitude < 113 << 23 ? subnormal
                                                 : normal;
    return static_cast<uint16_t>(half | (bits >> 16 & 0x8000));
  }
};

struct Bfloat16Format {
  using Stored = uint16_t;
  using Computed = float;

  static float Load(uint16_t half) { return FloatFromBits(static_cast<int32_t>(half) << 16); }

  static uint16_t Store(float value) {
    const int32_t bits = BitsOfFloat(value);
    const bool is_nan = (bits & 0x7fffffff) > 255 << 23;
    const uint32_t rounded = static_cast<uint32_t>(bits) + 0x7fff + (bits >> 16 & 1);
    return static_cast<uint16_t>(is_nan ? 0x7fc0 : rounded >> 16);
  }
};

}  // namespace tf1_wd

#endif  // TF1_WD_HALF_TYPES_H_
