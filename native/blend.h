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

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

SPLATSEG_INLINE F log2_alpha(F dx, F dy, F xx, F xy, F yy, F log2_opacity) {
  return fma(yy * dy, dy, fma(dx, fma(xx, dx, xy * dy), log2_opacity));
}

SPLATSEG_INLINE int minimum(int a, int b) { return a < b ? a : b; }

// Pixel offsets of the sixteen lanes of a block.
struct LaneOffsets {
  F x, y;
  LaneOffsets() {
    alignas(64) float lane_x[LANES], lane_y[LANES];
    for (int i = 0; i < LANES; i++) {
      lane_x[i] = static_cast<float>(i % BLOCK);
      lane_y[i] = static_cast<float>(i / BLOCK);
    }
    x = load(lane_x);
    y = load(lane_y);
  }
};

// A 4x4 block's part of a planar image: clipped at the image's right and bottom edge.
struct BlockPixels {
  int64_t base, stride;
  int rows, columns;  // <= 0 when the block lies outside

  BlockPixels(const View& view, int tile_x, int tile_y, int block)
      : stride(view.width) {
    const int x = tile_x * TILE + (block % BLOCK) * BLOCK;
    const int y = tile_y * TILE + (block / BLOCK) * BLOCK;
    base = static_cast<int64_t>(y) * stride + x;
    rows = minimum(BLOCK, view.height - y);
    columns = minimum(BLOCK, view.width - x);
  }
  SPLATSEG_INLINE_MEMBER bool empty() const { return rows <= 0 || columns <= 0; }

  SPLATSEG_INLINE_MEMBER void write(float* plane, F value) const {
    alignas(64) float lanes[LANES];
    store(lanes, value);
    for (int r = 0; r < rows; r++) {
      if (columns == BLOCK)
        std::memcpy(plane + base + r * stride, lanes + r * BLOCK, BLOCK * sizeof(float));
      else
        for (int c = 0; c < columns; c++) plane[base + r * stride + c] = lanes[r * BLOCK + c];
    }
  }

  // Lanes outside the image read as zero.
  SPLATSEG_INLINE_MEMBER void read(const float* plane, float* lanes) const {
    if (rows < BLOCK || columns < BLOCK) std::memset(lanes, 0, LANES * sizeof(float));
    for (int r = 0; r < rows; r++) {
      if (columns == BLOCK)
        std::memcpy(lanes + r * BLOCK, plane + base + r * stride, BLOCK * sizeof(float));
      else
        for (int c = 0; c < columns; c++) lanes[r * BLOCK + c] = plane[base + r * stride + c];
    }
  }
};

// Gradients are gathered in one record per Gaussian and thread: C attribute gradients, then the six
// moments that the geometry needs (see blend_backward.cpp), padded to whole vectors.
constexpr int MOMENTS = 6;

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
  const float xx = -2.f / LOG2_E * s.xx, xy = -s.xy / LOG2_E, yy = -2.f / LOG2_E * s.yy;
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
