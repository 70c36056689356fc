// Adam (Kingma & Ba 2015), in one pass over the parameters:
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

struct Moments {
  F first, second;
};

// The change of sixteen parameters under gradient g; the moments are updated.
SPLATSEG_INLINE F adam_lanes(const splatseg_adam_step& step, F step_size, F g, Moments& m) {
  const F one = set1(1.f), smallest = set1(SMALLEST), beta1 = set1(step.beta1),
          beta2 = set1(step.beta2);
  m.first = fma(beta1, m.first, (one - beta1) * g);
  m.second = fma(beta2, m.second, (one - beta2) * g * g);
  m.first = keep(max(m.first, -m.first) >= smallest, m.first);
  m.second = keep(m.second >= smallest, m.second);
  const F scale = fma(sqrt(m.second), set1(step.inv_bias2), set1(step.epsilon));
  return step_size * m.first * reciprocal(scale);
}

// One gradient step followed by the idle ones, in registers.
SPLATSEG_INLINE void update(const splatseg_adam_step* steps, int count, const float* step_sizes,
                            float* parameters, const float* grad, float* moment1, float* moment2) {
  Moments m = {load(moment1), load(moment2)};
  F p = load(parameters);
  const F sizes = load(step_sizes);
  for (int k = 0; k < count; k++) {
    const F g = k == 0 && grad != nullptr ? load(grad) : zero();
    p = p - adam_lanes(steps[k], sizes * set1(steps[k].inv_bias1), g, m);
  }
  store(moment1, m.first);
  store(moment2, m.second);
  store(parameters, p);
}

}  // namespace

void adam(int64_t count, float* parameters, const float* grad, float* moment1, float* moment2,
          const float* learning_rates, int period, const splatseg_adam_step* steps,
          int step_count) {
  parallel_range(count, period, [&](int, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
      update(steps, step_count, learning_rates + i % period, parameters + i,
             grad != nullptr ? grad + i : nullptr, moment1 + i, moment2 + i);
    if (i == end) return;
    alignas(64) float p[LANES] = {}, g[LANES] = {}, m[LANES] = {}, v[LANES] = {};
    const size_t bytes = static_cast<size_t>(end - i) * sizeof(float);
    std::memcpy(p, parameters + i, bytes);
    if (grad != nullptr) std::memcpy(g, grad + i, bytes);
    std::memcpy(m, moment1 + i, bytes);
    std::memcpy(v, moment2 + i, bytes);
    update(steps, step_count, learning_rates + i % period, p, g, m, v);
    std::memcpy(parameters + i, p, bytes);
    std::memcpy(moment1 + i, m, bytes);
    std::memcpy(moment2 + i, v, bytes);
  });
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
