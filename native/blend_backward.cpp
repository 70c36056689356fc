// Blending, backward: Gaussian by Gaussian, front to back, over the blocks that each one touches.
//
// With g the gradient of the loss at a pixel and s_i = c_i . g, the loss depends on alpha_i through
//   dL/dalpha_i = T_i s_i - R_i / (1 - alpha_i),   R_i = sum_{j>i} w_j s_j + T_final dL/dT_final,
// so one number a pixel, the remainder R, replaces all the channels: it starts as C . g and loses
// w_i s_i at every Gaussian passed. Through alpha = opacity exp(-sigma) the geometry only needs six
// moments of v = alpha dL/dalpha over the pixels: sum v, v dx, v dy, v dx², v dx dy, v dy².
//
// Every thread owns a run of tiles and a gradient record per Gaussian; records are summed in thread
// order at the end, so a fixed number of threads gives the same bits every time. With a null
// grad_means2d only the attributes' gradient is computed, which is also `splat`: the transpose of
// rendering.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// A block's pixels while its tile is processed.
template <int C>
struct BlockState {
  alignas(64) float transmittance[LANES], remainder[LANES], x[LANES], y[LANES];
  alignas(64) float grad[C][LANES];
};

struct BackwardInput {
  const float *attributes, *image, *alpha, *grad_image, *grad_alpha;
};

template <int C, bool GEOMETRY>
void load_block(const BlockPixels& pixels, const BackwardInput& in, int64_t plane, F x, F y,
                BlockState<C>& state) {
  store(state.transmittance, set1(1.f));
  store(state.x, x);
  store(state.y, y);
  for (int c = 0; c < C; c++) pixels.read(in.grad_image + c * plane, state.grad[c]);
  if (!GEOMETRY) return;
  alignas(64) float lanes[LANES];
  F remainder = zero();
  for (int c = 0; c < C; c++) {
    pixels.read(in.image + c * plane, lanes);
    remainder = fma(load(lanes), load(state.grad[c]), remainder);
  }
  if (in.grad_alpha != nullptr) {  // alpha = 1 - T_final
    alignas(64) float grad_alpha[LANES];
    pixels.read(in.alpha, lanes);
    pixels.read(in.grad_alpha, grad_alpha);
    remainder = fnma(set1(1.f) - load(lanes), load(grad_alpha), remainder);
  }
  store(state.remainder, remainder);
}

// One Gaussian over the blocks of a tile named in `blocks`; adds to its gradient record.
template <int C, bool GEOMETRY>
SPLATSEG_INLINE void accumulate(const Splat& splat, const float* values, float corner_x,
                                float corner_y, unsigned blocks, BlockState<C>* states,
                                float* record) {
  const F log2_min = set1(LOG2_MIN_ALPHA), max_alpha = set1(MAX_ALPHA), one = set1(1.f);
  const F x = set1(splat.x - corner_x - 0.5f), y = set1(splat.y - corner_y - 0.5f);
  const F xx = set1(splat.xx), xy = set1(splat.xy), yy = set1(splat.yy);
  const F log2_opacity = set1(splat.log2_opacity);
  F sums[Record<C, GEOMETRY>::size];
  SPLATSEG_UNROLL
  for (int i = 0; i < Record<C, GEOMETRY>::size; i++) sums[i] = zero();
  while (blocks != 0) {
    BlockState<C>& state = states[count_trailing_zeros(blocks)];
    blocks &= blocks - 1;
    const F dx = load(state.x) - x, dy = load(state.y) - y;
    const F q = log2_alpha(dx, dy, xx, xy, yy, log2_opacity);
    const F unclamped = exp2(q);
    const F alpha = keep(q >= log2_min, min(unclamped, max_alpha));
    const F transmittance = load(state.transmittance);
    const F weight = alpha * transmittance;
    store(state.transmittance, fnma(alpha, transmittance, transmittance));
    SPLATSEG_UNROLL
    for (int c = 0; c < C; c++) sums[c] = fma(weight, load(state.grad[c]), sums[c]);
    if (GEOMETRY) {
      F s = set1(values[0]) * load(state.grad[0]);
      SPLATSEG_UNROLL
      for (int c = 1; c < C; c++) s = fma(set1(values[c]), load(state.grad[c]), s);
      const F remainder = fnma(weight, s, load(state.remainder));
      store(state.remainder, remainder);
      const F on_alpha = transmittance * s - remainder * reciprocal(one - alpha);
      const F v = keep(max_alpha >= unclamped, alpha * on_alpha);
      const F vx = v * dx, vy = v * dy;
      sums[C] += v;
      sums[C + 1] += vx;
      sums[C + 2] += vy;
      sums[C + 3] = fma(vx, dx, sums[C + 3]);
      sums[C + 4] = fma(vx, dy, sums[C + 4]);
      sums[C + 5] = fma(vy, dy, sums[C + 5]);
    }
  }
  SPLATSEG_UNROLL
  for (int v = 0; v < Record<C, GEOMETRY>::vectors; v++)
    store(record + v * LANES, load(record + v * LANES) + horizontal_sums(sums + v * LANES));
}

template <int C, bool GEOMETRY>
void tile_backward(const View& view, Channels channels, const BackwardInput& in, int tile,
                   const LaneOffsets& lane, BlockState<C>* states, float* records) {
  constexpr int SIZE = Record<C, GEOMETRY>::size;
  const int64_t plane = static_cast<int64_t>(view.width) * view.height;
  const int tile_x = tile % view.tiles_x, tile_y = tile / view.tiles_x;
  const float corner_x = static_cast<float>(tile_x * TILE);
  const float corner_y = static_cast<float>(tile_y * TILE);
  unsigned present = 0;
  for (int b = 0; b < BLOCKS; b++) {
    const BlockPixels pixels(view, tile_x, tile_y, b);
    if (pixels.empty()) continue;
    load_block<C, GEOMETRY>(pixels, in, plane,
                            lane.x + set1(static_cast<float>((b % BLOCK) * BLOCK)),
                            lane.y + set1(static_cast<float>((b / BLOCK) * BLOCK)), states[b]);
    present |= 1u << b;
  }
  const int32_t* consumed = view.consumed.data + tile * BLOCKS;
  const Entry* entries = view.entries.data + view.tile_start.data[tile];
  const int count = view.tile_start.data[tile + 1] - view.tile_start.data[tile];
  for (int k = 0; k < count; k++) {
    if (k + 6 < count) {
      const int64_t ahead = entries[k + 6].gaussian;
      SPLATSEG_PREFETCH(view.splats.data + ahead);
      SPLATSEG_PREFETCH(in.attributes + ahead * channels.stride + channels.first);
      for (int v = 0; v < SIZE; v += LANES) SPLATSEG_PREFETCH_WRITE(records + ahead * SIZE + v);
    }
    const unsigned blocks = entries[k].blocks & present & greater(consumed, k);
    if (blocks == 0) continue;
    const int64_t i = entries[k].gaussian;
    accumulate<C, GEOMETRY>(view.splats.data[i],
                            in.attributes + i * channels.stride + channels.first, corner_x,
                            corner_y, blocks, states, records + i * SIZE);
  }
}

// The first tile of each worker's run: runs of tiles with equal numbers of entries.
int first_tile(const View& view, int worker, int workers) {
  const int tiles = tile_count(view);
  const uint64_t total = view.tile_start.data[tiles];
  const uint64_t target = total * worker / workers;
  int tile = 0;
  while (tile < tiles && view.tile_start.data[tile] < target) tile++;
  return worker == workers ? tiles : tile;
}

template <int C, bool GEOMETRY>
void backward_image(const View& view, Channels channels, const BackwardInput& in,
                    const BlendGradients& out) {
  const int workers = thread_count();
  parallel([&](int worker) {
    float* records = clear_records<C, GEOMETRY>(scratch(worker), view.n);
    BlockState<C>* states = reserve_as<BlockState<C>>(scratch(worker).states, BLOCKS);
    const LaneOffsets lane;
    const int end = first_tile(view, worker + 1, workers);
    for (int tile = first_tile(view, worker, workers); tile < end; tile++)
      tile_backward<C, GEOMETRY>(view, channels, in, tile, lane, states, records);
  });
  sum_records<C, GEOMETRY>(view, channels, workers, out);
}

}  // namespace

void blend_backward(View& view, Channels channels, const float* attributes, const float* image,
                    const float* alpha, const float* grad_image, const float* grad_alpha,
                    const BlendGradients& out) {
  const BackwardInput in = {attributes, image, alpha, grad_image, grad_alpha};
#define SPLATSEG_CALL(C)                                             \
  out.means2d != nullptr ? backward_image<C, true>(view, channels, in, out) \
                         : backward_image<C, false>(view, channels, in, out)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
