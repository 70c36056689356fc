// What the forward and backward blending share: the alpha of one Gaussian over sixteen pixels.
//
//   C = sum_i c_i w_i,  w_i = alpha_i T_i,  T_i = prod_{j<i} (1 - alpha_j)      (Eq. 1, Eq. 2)
//   alpha = min(MAX_ALPHA, opacity * exp(-sigma)), and 0 where that is below MIN_ALPHA.
// The exponent is kept in base 2 with log2(opacity) folded in, so that the MIN_ALPHA test comes
// before the exponential.
#pragma once
#include "kernels.h"
#include "simd.h"
#include "threads.h"
#include "tile.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// From log2(alpha) to alpha: clamped above, and 0 where too faint to count.
SPLATSEG_INLINE F alpha_of(F log2_alpha) {
  return keep(log2_alpha >= set1(LOG2_MIN_ALPHA), min(exp2(log2_alpha), set1(MAX_ALPHA)));
}

constexpr int MOMENTS = 6;  // that the geometry needs: see blend_backward.cpp
constexpr int wide(int channels) { return channels / LANES; }  // groups of sixteen channels

// From the moments of v to the gradients of center, conic and opacity.
SPLATSEG_INLINE void add_geometry(const Splat& s, const float* m, int64_t i,
                                  const BlendGradients& out) {
  const float xx = s.xx * s.xx / HALF_LOG2_E, xy = s.xx * s.xy / HALF_LOG2_E;
  const float yy = (s.xy * s.xy + s.yy * s.yy) / HALF_LOG2_E;
  // dx = pixel - center, so the center's gradient is conic * sum v d.
  out.means2d[2 * i] += xx * m[1] + xy * m[2];
  out.means2d[2 * i + 1] += xy * m[1] + yy * m[2];
  out.conics[3 * i] -= 0.5f * m[3];
  out.conics[3 * i + 1] -= m[4];
  out.conics[3 * i + 2] -= 0.5f * m[5];
  out.opacities[i] += s.opacity > 0.f ? m[0] / s.opacity : 0.f;
}

// Kernels are compiled for these channel counts; engine.cpp composes any other count from them.
#define SPLATSEG_FOR_CHANNELS(count, call) \
  switch (count) {                         \
    case 1: call(1); break;                \
    case 2: call(2); break;                \
    case 3: call(3); break;                \
    case 4: call(4); break;                \
    case 8: call(8); break;                \
    case 16: call(16); break;              \
    case 19: call(19); break;              \
  }

}  // namespace
}  // namespace SPLATSEG_ISA
}  // namespace splatseg
