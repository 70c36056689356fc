// Which label a pixel shows: the one whose Gaussians have most weight there. A block keeps one sum a
// label that it meets, and those are few, so hundreds of labels cost hardly more than one channel.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// The sums of a block's labels so far; no more labels than the tile has entries.
struct LabelSums {
  float* names;
  float* sums;  // LANES for each name
  int count, last;

  // Where the sums of a label begin. Neighbors in depth mostly share theirs.
  SPLATSEG_INLINE_MEMBER float* of(float name) {
    if (count > 0 && names[last] == name) return sums + last * LANES;
    for (last = 0; last < count; last++)
      if (names[last] == name) return sums + last * LANES;
    names[count++] = name;
    store(sums + last * LANES, zero());
    return sums + last * LANES;
  }
};

SPLATSEG_INLINE void label_block(const StagedTile<1>& tile, const int32_t* indices, int count,
                                 BlockLanes at, const BlockPixels& pixels, LabelSums labels,
                                 float* shown, float* alpha) {
  const F opaque = set1(MIN_TRANSMITTANCE);
  F transmittance = set1(1.f);
  for (int k = 0; k < count && bits(transmittance > opaque) != 0; k++) {
    const F weight = alpha_of(log2_alpha(tile.gaussians[indices[k]], at)) * transmittance;
    transmittance = transmittance - weight;
    float* sum = labels.of(*tile.value(indices[k]));
    store(sum, load(sum) + weight);
  }
  F best = zero(), winner = zero();
  for (int slot = 0; slot < labels.count; slot++) {
    const F sum = load(labels.sums + slot * LANES);
    const M better = sum > best;
    best = select(better, sum, best);
    winner = select(better, set1(labels.names[slot]), winner);
  }
  pixels.write(alpha, set1(1.f) - transmittance);
  pixels.write(shown, winner);
}

void label_tile(const View& view, const float* names, int tile, Scratch& s, float* shown,
                float* alpha) {
  const TilePlace place(view, tile);
  const StagedTile<1> staged =
      stage_tile<1>(view, place, tile, Channels{1, 0, 1}, names, s.staged, [](int64_t) {});
  int32_t* indices = reserve(s.indices, staged.count + LANES);
  const LabelSums none = {reserve(s.maps, staged.count),
                          reserve(s.weights, static_cast<size_t>(staged.count) * LANES), 0, 0};
  for (int b = 0; b < BLOCKS; b++) {
    const BlockPixels pixels(view, place, b);
    if (pixels.empty()) continue;
    const int touching = entries_of_block(staged.entries, staged.count, b, indices);
    label_block(staged, indices, touching, block_lanes(b), pixels, none, shown, alpha);
  }
}

}  // namespace

void blend_labels(View& view, const float* labels, float* shown, float* alpha) {
  const int tiles = tile_count(view);
  restart_queue();
  parallel([&](int worker) {
    for (int64_t tile = take_next(); tile < tiles; tile = take_next())
      label_tile(view, labels, static_cast<int>(tile), scratch(worker), shown, alpha);
  });
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
