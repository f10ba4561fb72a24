// What a decay op does, as plain data: no TensorFlow, no device.

#ifndef TF1_WD_DECAY_H_
#define TF1_WD_DECAY_H_

#include <cstdint>
#include <vector>

namespace tf1_wd {

// One tensor: target[j] = source[j] - rate * source[j]; in place when target == source.
struct Span {
  void* target;
  const void* source;
  int64_t size;  // elements
  int variable;  // its position in the op, and that of its rate
};

// Spans that may run at the same time: no two have the same target.
using Pass = std::vector<Span>;

}  // namespace tf1_wd

#endif  // TF1_WD_DECAY_H_
