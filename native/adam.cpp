// Adam (Kingma & Ba 2015), one pass over the parameters:
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g²
//   p -= step_size m / (sqrt(v) inv_bias2 + epsilon)
// Moments that decay without gradients would become denormal numbers, which are slow; below
// SMALLEST they are set to zero.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr float SMALLEST = 1e-36f;

SPLATSEG_INLINE void adam_lanes(float* parameters, F g, float* moment1, float* moment2, F step_size,
                                F beta1, F beta2, F inv_bias2, F epsilon) {
  const F one = set1(1.f), smallest = set1(SMALLEST);
  F m = fma(beta1, load(moment1), (one - beta1) * g);
  F v = fma(beta2, load(moment2), (one - beta2) * g * g);
  m = keep(max(m, -m) >= smallest, m);
  v = keep(v >= smallest, v);
  store(moment1, m);
  store(moment2, v);
  store(parameters, fnma(step_size * m, reciprocal(fma(sqrt(v), inv_bias2, epsilon)), load(parameters)));
}

}  // namespace

void adam(int64_t count, float* parameters, const float* grad, float* moment1, float* moment2,
          float step_size, float beta1, float beta2, float inv_bias2, float epsilon) {
  const F step = set1(step_size), b1 = set1(beta1), b2 = set1(beta2), bias = set1(inv_bias2);
  const F eps = set1(epsilon);
  parallel_range(count, 1024, [&](int, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
      adam_lanes(parameters + i, grad != nullptr ? load(grad + i) : zero(), moment1 + i,
                 moment2 + i, step, b1, b2, bias, eps);
    if (i == end) return;
    alignas(64) float p[LANES] = {}, g[LANES] = {}, m[LANES] = {}, v[LANES] = {};
    const size_t bytes = static_cast<size_t>(end - i) * sizeof(float);
    std::memcpy(p, parameters + i, bytes);
    if (grad != nullptr) std::memcpy(g, grad + i, bytes);
    std::memcpy(m, moment1 + i, bytes);
    std::memcpy(v, moment2 + i, bytes);
    adam_lanes(p, load(g), m, v, step, b1, b2, bias, eps);
    std::memcpy(parameters + i, p, bytes);
    std::memcpy(moment1 + i, m, bytes);
    std::memcpy(moment2 + i, v, bytes);
  });
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
