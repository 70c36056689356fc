// Blending, forward: block by block, so that a block's transmittance and all its channels stay in
// registers while its Gaussians stream past. The tile's Gaussians are first staged into contiguous
// memory (tile.h).
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// Entries whose weights are computed before any is used: fewer values are alive at once than with
// one at a time, which leaves registers for the channels. Opaque blocks are found at this interval.
constexpr int GROUP = 8;

// One block; returns how many of the tile's entries it consumed.
template <int C>
SPLATSEG_INLINE int blend_block(const StagedTile<C>& tile, const int32_t* indices, int count,
                                BlockLanes at, const BlockPixels& pixels, int64_t plane,
                                float* image, float* alpha) {
  const F opaque = set1(MIN_TRANSMITTANCE);
  F sum[C], transmittance = set1(1.f);
  for (int c = 0; c < C; c++) sum[c] = zero();
  alignas(64) float weights[GROUP][LANES];
  int k = 0;
  bool stopped = false;
  while (k < count && !stopped) {
    const int used = minimum(GROUP, count - k);
    for (int j = 0; j < used; j++) {
      const F weight = alpha_of(log2_alpha(tile.gaussians[indices[k + j]], at)) * transmittance;
      transmittance = transmittance - weight;
      store(weights[j], weight);
    }
    for (int j = 0; j < used; j++) {
      const F weight = load(weights[j]);
      const float* values = tile.value(indices[k + j]);
      SPLATSEG_UNROLL
      for (int c = 0; c < C; c++) sum[c] = fma(weight, set1(values[c]), sum[c]);
    }
    k += used;
    stopped = bits(transmittance > opaque) == 0;
  }
  pixels.write(alpha, set1(1.f) - transmittance);
  for (int c = 0; c < C; c++) pixels.write(image + c * plane, sum[c]);
  return stopped ? indices[k - 1] + 1 : tile.count;
}

template <int C>
void blend_tile(View& view, Channels channels, const float* attributes, int tile, Scratch& s,
                float* image, float* alpha) {
  const int64_t plane = static_cast<int64_t>(view.width) * view.height;
  const TilePlace place(view, tile);
  const StagedTile<C> staged =
      stage_tile<C>(view, place, tile, channels, attributes, s.staged, [](int64_t) {});
  int32_t* indices = reserve(s.indices, staged.count + LANES);
  for (int b = 0; b < BLOCKS; b++) {
    const BlockPixels pixels(view, place, b);
    int32_t& consumed = view.consumed.data[tile * BLOCKS + b];
    consumed = 0;
    if (pixels.empty()) continue;
    const int touching = entries_of_block(staged.entries, staged.count, b, indices);
    consumed =
        blend_block<C>(staged, indices, touching, block_lanes(b), pixels, plane, image, alpha);
  }
}

template <int C>
void blend_image(View& view, Channels channels, const float* attributes, float* image,
                 float* alpha) {
  const int tiles = tile_count(view);
  reserve(view.consumed, static_cast<size_t>(tiles) * BLOCKS);
  restart_queue();
  parallel([&](int worker) {
    for (int64_t tile = take_next(); tile < tiles; tile = take_next())
      blend_tile<C>(view, channels, attributes, static_cast<int>(tile), scratch(worker), image,
                    alpha);
  });
  view.consumed_known = true;
}

}  // namespace

void blend(View& view, Channels channels, const float* attributes, float* image, float* alpha) {
#define SPLATSEG_CALL(C) blend_image<C>(view, channels, attributes, image, alpha)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
