// Blending, backward: block by block.
//
// With g the gradient of the loss at a pixel and s_i = c_i . g, the loss depends on alpha_i through
//   v_i = alpha_i dL/dalpha_i = w_i (s_i - B_i),
// where B_i is what the pixel would be worth if it ended in front of what lies behind i. Front to
// back gives alpha and w; back to front, B starts as -dL/dalpha of the pixel and becomes
//   B_{i-1} = B_i + alpha_i (s_i - B_i).
// Through alpha = opacity exp(-sigma) the geometry only needs six moments of v over the pixels:
// sum v, v dx, v dy, v dx², v dx dy, v dy². The attributes' gradient is sum w g.
//
// So far lanes are pixels. The sums over the pixels are matrix products, made for sixteen Gaussians
// of the block at a time. Sixteen channels fill the lanes, and their sums go straight into the
// records; fewer channels, and the moments, are summed with the Gaussians in the lanes, between
// two transpositions.
//
// Every thread owns a run of tiles and a gradient record per Gaussian; records are summed in thread
// order at the end, so a fixed number of threads gives the same bits every time. With a null
// grad_means2d only the attributes' gradient is computed, which is also `backproject`: the
// transpose of rendering.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr int TOGETHER = 4;  // Gaussians at once: what they share is loaded once

// Gradients are gathered in one record per Gaussian and thread: C attribute gradients, then the six
// moments, padded to whole vectors.
template <int C, bool GEOMETRY>
struct Record {
  static constexpr int used = C + (GEOMETRY ? MOMENTS : 0);
  static constexpr int vectors = (used + LANES - 1) / LANES;
  static constexpr int size = vectors * LANES;
};

template <int C, bool GEOMETRY>
float* clear_records(Scratch& s, int64_t n) {
  const size_t floats = static_cast<size_t>(n) * Record<C, GEOMETRY>::size;
  float* records = reserve(s.gradients, floats);
  std::memset(records, 0, floats * sizeof(float));
  return records;
}

// Sums the workers' records, in order, into the gradients. Geometry is added to, because groups of
// channels follow each other; attributes are written.
template <int C, bool GEOMETRY>
void sum_records(const View& view, Channels channels, int workers, const BlendGradients& out) {
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

struct BackwardInput {
  const float *attributes, *grad_image, *grad_alpha;
};

// A block's incoming gradients: by channel, and sixteen channels at a time by pixel.
template <int C>
struct BlockGradient {
  alignas(64) float channels[C][LANES];
  alignas(64) float pixels[wide(C) + 1][LANES][LANES];
  F alpha;
};

template <int C>
void load_gradient(const BlockPixels& pixels, const BackwardInput& in, int64_t plane,
                   BlockGradient<C>& gradient) {
  F channels[C];
  for (int c = 0; c < C; c++) {
    channels[c] = pixels.read(in.grad_image + c * plane);
    store(gradient.channels[c], channels[c]);
  }
  for (int group = 0; group < wide(C); group++) {
    transpose(channels + group * LANES);
    for (int p = 0; p < LANES; p++) store(gradient.pixels[group][p], channels[group * LANES + p]);
  }
  gradient.alpha = in.grad_alpha == nullptr ? zero() : pixels.read(in.grad_alpha);
}

// alpha, w and v of a block's Gaussians at its pixels, sixteen lanes each.
struct BlockWeights {
  float *alpha, *w, *v;
};

// Front to back: alpha and w.
template <bool GEOMETRY, class Tile>
SPLATSEG_INLINE void weigh(const Tile& tile, const int32_t* indices, int count, BlockLanes at,
                           const BlockWeights& out) {
  F transmittance = set1(1.f);
  for (int k = 0; k < count; k++) {
    const F alpha = alpha_of(log2_alpha(tile.gaussians[indices[k]], at));
    const F w = alpha * transmittance;
    transmittance = transmittance - w;
    store(out.w + k * LANES, w);
    if (GEOMETRY) store(out.alpha + k * LANES, alpha);
  }
}

// Back to front: v, of Gaussians [0, count) of the list; `behind` is B.
template <int C, class Tile>
SPLATSEG_INLINE F weigh_geometry(const Tile& tile, const int32_t* indices, int count,
                                 const BlockGradient<C>& gradient, F behind,
                                 const BlockWeights& weights) {
  const F max_alpha = set1(MAX_ALPHA);
  for (int last = count - 1; last >= 0; last -= TOGETHER) {
    const int used = minimum(TOGETHER, last + 1);
    const float* values[TOGETHER];
    for (int j = 0; j < TOGETHER; j++) values[j] = tile.value(indices[j < used ? last - j : 0]);
    F s[TOGETHER];
    for (int j = 0; j < TOGETHER; j++) s[j] = zero();
    SPLATSEG_UNROLL
    for (int c = 0; c < C; c++) {
      const F grad = load(gradient.channels[c]);
      for (int j = 0; j < TOGETHER; j++) s[j] = fma(set1(values[j][c]), grad, s[j]);
    }
    for (int j = 0; j < used; j++) {
      const int64_t row = static_cast<int64_t>(last - j) * LANES;
      const F alpha = load(weights.alpha + row), difference = s[j] - behind;
      behind = fma(alpha, difference, behind);
      // Where alpha is clamped it does not depend on the geometry.
      store(weights.v + row, keep(max_alpha > alpha, load(weights.w + row) * difference));
    }
  }
  return behind;
}

// Sixteen channels' sums, straight into the records: lanes are channels.
template <int C>
SPLATSEG_INLINE void add_wide(const BlockGradient<C>& gradient, const float* w, int group,
                              int count, float* const* records) {
  for (int k = 0; k < count; k += TOGETHER) {
    F sum[TOGETHER];
    for (int j = 0; j < TOGETHER; j++) sum[j] = zero();
    SPLATSEG_UNROLL
    for (int p = 0; p < LANES; p++) {
      const F grad = load(gradient.pixels[group][p]);
      for (int j = 0; j < TOGETHER; j++) sum[j] = fma(set1(w[(k + j) * LANES + p]), grad, sum[j]);
    }
    for (int j = 0; j < TOGETHER && k + j < count; j++) {
      float* record = records[k + j] + group * LANES;
      store(record, load(record) + sum[j]);
    }
  }
}

// Moments of v over a block's pixels about the block's center: 1, x, y, x², xy, y². Lanes are
// Gaussians.
struct Moments {
  F m, x, y, xx, xy, yy;
};

// Pixels arrive row by row: moments along the row, then what they add to those of the block.
SPLATSEG_INLINE void add_row(const F* v, float y, Moments& sum) {
  const F outer = v[0] + v[3], inner = v[1] + v[2];
  const F m = outer + inner;
  const F x = fma(set1(1.5f), v[3] - v[0], set1(0.5f) * (v[2] - v[1]));
  sum.m += m;
  sum.x += x;
  sum.y = fma(set1(y), m, sum.y);
  sum.xx = fma(set1(2.25f), outer, fma(set1(0.25f), inner, sum.xx));
  sum.xy = fma(set1(y), x, sum.xy);
  sum.yy = fma(set1(y * y), m, sum.yy);
}

// The same about the Gaussians' centers; (dx, dy) is from there to the block's center.
SPLATSEG_INLINE void shift(const Moments& at_block, F dx, F dy, F* out) {
  out[0] = at_block.m;
  out[1] = fma(dx, at_block.m, at_block.x);
  out[2] = fma(dy, at_block.m, at_block.y);
  out[3] = fma(dx, at_block.x + out[1], at_block.xx);
  out[4] = fma(dx, at_block.y, fma(dy, out[1], at_block.xy));
  out[5] = fma(dy, at_block.y + out[2], at_block.yy);
}

// The channels beyond the last sixteen, and the moments: lanes are Gaussians.
template <int C, bool GEOMETRY>
SPLATSEG_INLINE void add_narrow(const BlockGradient<C>& gradient, const BlockWeights& weights,
                                const Staged* const* gaussians, const float* center, int count,
                                float* const* records) {
  constexpr int NARROW = C % LANES, FIRST = C - NARROW;
  F lanes[LANES], sums[LANES];
  for (int i = 0; i < LANES; i++) sums[i] = zero();
  if (NARROW > 0) {
    for (int k = 0; k < LANES; k++) lanes[k] = load(weights.w + k * LANES);
    transpose(lanes);
    for (int c = 0; c < NARROW; c++) {
      const float* g = reread(gradient.channels[FIRST + c]);
      F parts[BLOCK];  // by pixel row: chains that hide each other's latency
      for (int i = 0; i < BLOCK; i++) parts[i] = lanes[i] * set1(g[i]);
      for (int p = BLOCK; p < LANES; p++)
        parts[p % BLOCK] = fma(lanes[p], set1(g[p]), parts[p % BLOCK]);
      sums[c] = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    }
  }
  if (GEOMETRY) {
    for (int k = 0; k < LANES; k++) lanes[k] = load(weights.v + k * LANES);
    transpose(lanes);
    Moments moments = {zero(), zero(), zero(), zero(), zero(), zero()};
    for (int row = 0; row < BLOCK; row++)
      add_row(lanes + row * BLOCK, row - 0.5f * (BLOCK - 1), moments);
    alignas(64) float dx[LANES], dy[LANES];
    for (int k = 0; k < count; k++) {
      dx[k] = center[0] - gaussians[k]->x;
      dy[k] = center[1] - gaussians[k]->y;
    }
    shift(moments, load(dx), load(dy), sums + NARROW);
  }
  transpose(sums);
  for (int k = 0; k < count; k++) {
    float* record = records[k] + FIRST;
    store(record, load(record) + sums[k]);
  }
}

template <int C, bool GEOMETRY, class Tile>
void block_backward(const Tile& tile, const int32_t* indices, int count, int block,
                    const BlockGradient<C>& gradient, const BlockWeights& weights, float* records) {
  constexpr int SIZE = Record<C, GEOMETRY>::size;
  constexpr float MIDDLE = 0.5f * (BLOCK - 1);
  const float center[2] = {block % BLOCK * BLOCK + MIDDLE, block / BLOCK * BLOCK + MIDDLE};
  weigh<GEOMETRY>(tile, indices, count, block_lanes(block), weights);
  F behind = -gradient.alpha;
  for (int k = (count - 1) / LANES * LANES; k >= 0; k -= LANES) {
    const int used = minimum(LANES, count - k), skip = k * LANES;
    const BlockWeights here = {weights.alpha + skip, weights.w + skip, weights.v};
    if (GEOMETRY) behind = weigh_geometry<C>(tile, indices + k, used, gradient, behind, here);
    float* record[LANES];
    const Staged* gaussians[LANES];
    for (int j = 0; j < used; j++) {
      const int index = indices[k + j];
      gaussians[j] = tile.gaussians + index;
      record[j] = records + static_cast<int64_t>(tile.entries[index].gaussian) * SIZE;
    }
    for (int group = 0; group < wide(C); group++)
      add_wide<C>(gradient, here.w, group, used, record);
    if (SIZE > wide(C) * LANES)
      add_narrow<C, GEOMETRY>(gradient, here, gaussians, center, used, record);
  }
}

template <int C, bool GEOMETRY>
void tile_backward(const View& view, Channels channels, const BackwardInput& in, int tile,
                   Scratch& s, float* records) {
  constexpr int SIZE = Record<C, GEOMETRY>::size;
  const int64_t plane = static_cast<int64_t>(view.width) * view.height;
  const TilePlace place(view, tile);
  constexpr int VALUES = GEOMETRY ? C : 0;  // without geometry the attributes do not matter
  const StagedTile<VALUES> staged = stage_tile<VALUES>(
      view, place, tile, channels, in.attributes, s.staged, [&](int64_t gaussian) {
        for (int k = 0; k < SIZE; k += LANES)
          SPLATSEG_PREFETCH_WRITE(records + gaussian * SIZE + k);
      });
  int32_t* indices = reserve(s.indices, staged.count + LANES);
  const size_t rows = static_cast<size_t>(staged.count + LANES) * LANES;
  float* memory = reserve(s.weights, 2 * rows + LANES * LANES);
  const BlockWeights weights = {memory, memory + rows, memory + 2 * rows};
  const int32_t* consumed = view.consumed.data + tile * BLOCKS;
  BlockGradient<C> gradient;
  for (int b = 0; b < BLOCKS; b++) {
    const BlockPixels pixels(view, place, b);
    if (pixels.empty()) continue;
    load_gradient<C>(pixels, in, plane, gradient);
    const int touching = entries_of_block(staged.entries, consumed[b], b, indices);
    block_backward<C, GEOMETRY>(staged, indices, touching, b, gradient, weights, records);
  }
}

// What a tile costs, in entries of its blocks; even an empty tile is looked at.
int64_t tile_cost(const View& view, int tile) {
  int64_t cost = BLOCKS;
  for (int b = 0; b < BLOCKS; b++) cost += view.consumed.data[tile * BLOCKS + b];
  return cost;
}

// The first tile of each worker's run: runs of about equal cost.
void share_tiles(const View& view, int workers, int* first) {
  int64_t total = 0, before = 0;
  for (int tile = 0; tile < tile_count(view); tile++) total += tile_cost(view, tile);
  first[0] = 0;
  for (int tile = 0, worker = 1; worker <= workers; worker++) {
    for (; tile < tile_count(view) && before < total * worker / workers; tile++)
      before += tile_cost(view, tile);
    first[worker] = tile;
  }
}

template <int C, bool GEOMETRY>
void backward_image(const View& view, Channels channels, const BackwardInput& in,
                    const BlendGradients& out) {
  const int workers = thread_count();
  int first[MAX_THREADS + 1];
  share_tiles(view, workers, first);
  parallel([&](int worker) {
    float* records = clear_records<C, GEOMETRY>(scratch(worker), view.n);
    for (int tile = first[worker]; tile < first[worker + 1]; tile++)
      tile_backward<C, GEOMETRY>(view, channels, in, tile, scratch(worker), records);
  });
  sum_records<C, GEOMETRY>(view, channels, workers, out);
}

}  // namespace

void blend_backward(View& view, Channels channels, const float* attributes, const float* grad_image,
                    const float* grad_alpha, const BlendGradients& out) {
  const BackwardInput in = {attributes, grad_image, grad_alpha};
#define SPLATSEG_CALL(C)                                                    \
  out.means2d != nullptr ? backward_image<C, true>(view, channels, in, out) \
                         : backward_image<C, false>(view, channels, in, out)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
