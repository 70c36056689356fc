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

// Gradients are gathered in one record per Gaussian and thread: C attribute gradients, then the six
// moments that the geometry needs (see blend_backward.cpp), padded to whole vectors.
constexpr int MOMENTS = 6;
constexpr int wide(int channels) { return channels / LANES; }  // groups of sixteen channels

template <int C, bool GEOMETRY>
struct Record {
  static constexpr int used = C + (GEOMETRY ? MOMENTS : 0);
  static constexpr int vectors = (used + LANES - 1) / LANES;
  static constexpr int size = vectors * LANES;
};

template <int C, bool GEOMETRY>
static float* clear_records(Scratch& s, int64_t n) {
  const size_t floats = static_cast<size_t>(n) * Record<C, GEOMETRY>::size;
  float* records = reserve(s.gradients, floats);
  std::memset(records, 0, floats * sizeof(float));
  return records;
}

// From the moments of v to the gradients of centre, conic and opacity.
SPLATSEG_INLINE void add_geometry(const Splat& s, const float* m, int64_t i,
                                    const BlendGradients& out) {
  const float xx = s.xx * s.xx / HALF_LOG2_E, xy = s.xx * s.xy / HALF_LOG2_E;
  const float yy = (s.xy * s.xy + s.yy * s.yy) / HALF_LOG2_E;
  // dx = pixel - centre, so the centre's gradient is conic * sum v d.
  out.means2d[2 * i] += xx * m[1] + xy * m[2];
  out.means2d[2 * i + 1] += xy * m[1] + yy * m[2];
  out.conics[3 * i] -= 0.5f * m[3];
  out.conics[3 * i + 1] -= m[4];
  out.conics[3 * i + 2] -= 0.5f * m[5];
  out.opacities[i] += s.opacity > 0.f ? m[0] / s.opacity : 0.f;
}

// Sums the workers' records, in order, into the gradients. Geometry is added to, because groups of
// channels follow each other; attributes are written.
template <int C, bool GEOMETRY>
static void sum_records(const View& view, Channels channels, int workers,
                        const BlendGradients& out) {
  constexpr int SIZE = Record<C, GEOMETRY>::size;
  parallel_range(view.n, 256, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float sum[SIZE];
      std::memcpy(sum, scratch(0).gradients.data + i * SIZE, sizeof sum);
      for (int worker = 1; worker < workers; worker++) {
        const float* record = scratch(worker).gradients.data + i * SIZE;
        for (int k = 0; k < SIZE; k++) sum[k] += record[k];
      }
      float* grad = out.attributes + i * channels.stride + channels.first;
      for (int c = 0; c < C; c++) grad[c] = sum[c];
      if (GEOMETRY) add_geometry(view.splats.data[i], sum + C, i, out);
    }
  });
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
