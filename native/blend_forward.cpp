// Blending, forward: block by block, so that a block's transmittance and all its channels stay in
// registers while its Gaussians stream past. The tile's Gaussians are first staged into contiguous
// memory, relative to the tile's corner.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr int STOP_INTERVAL = 8;  // entries between two tests for an opaque block
constexpr int STAGED = 6;         // floats of a staged Gaussian: x y xx xy yy log2_opacity

// Copies a tile's Gaussians (geometry, then C attributes, each a dense array) next to each other.
template <int C>
SPLATSEG_INLINE void stage_tile(const View& view, Channels channels, const float* attributes,
                                const Entry* entries, int count, float corner_x, float corner_y,
                                float* geometry, float* values) {
  for (int k = 0; k < count; k++) {
    if (k + 8 < count) {
      const int64_t ahead = entries[k + 8].gaussian;
      SPLATSEG_PREFETCH(view.splats.data + ahead);
      SPLATSEG_PREFETCH(attributes + ahead * channels.stride + channels.first);
    }
    const Splat& s = view.splats.data[entries[k].gaussian];
    float* g = geometry + static_cast<int64_t>(k) * STAGED;
    g[0] = s.x - corner_x - 0.5f;
    g[1] = s.y - corner_y - 0.5f;
    g[2] = s.xx;
    g[3] = s.xy;
    g[4] = s.yy;
    g[5] = s.log2_opacity;
    const float* a =
        attributes + static_cast<int64_t>(entries[k].gaussian) * channels.stride + channels.first;
    for (int c = 0; c < C; c++) values[static_cast<int64_t>(k) * C + c] = a[c];
  }
}

// Positions of the entries that touch `block`, in order; their number. Branch-free: every position
// is written and the cursor moves only past those that count. `indices` needs 16 spare places.
SPLATSEG_INLINE int entries_of_block(const Entry* entries, int count, int block, int32_t* indices) {
  int used = 0, k = 0;
#if defined(SPLATSEG_AVX512)
  const __m512i bit = _mm512_set1_epi32(1 << block);
  const __m512i odd =
      _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  __m512i position = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; k + LANES <= count; k += LANES) {
    const __m512i blocks = _mm512_permutex2var_epi32(_mm512_loadu_si512(entries + k), odd,
                                                     _mm512_loadu_si512(entries + k + 8));
    const __mmask16 hit = _mm512_test_epi32_mask(blocks, bit);
    _mm512_storeu_si512(indices + used, _mm512_maskz_compress_epi32(hit, position));
    used += __builtin_popcount(hit);
    position = _mm512_add_epi32(position, _mm512_set1_epi32(LANES));
  }
#endif
  for (; k < count; k++) {
    indices[used] = k;
    used += (entries[k].blocks >> block) & 1;
  }
  return used;
}

// One block; returns how many of the tile's entries it consumed.
template <int C>
SPLATSEG_INLINE int blend_block(const BlockPixels& pixels, F x, F y, const int32_t* indices,
                                int count, int tile_entries, const float* geometry,
                                const float* values, int64_t plane, float* image, float* alpha) {
  const F log2_min = set1(LOG2_MIN_ALPHA), max_alpha = set1(MAX_ALPHA);
  const F opaque = set1(MIN_TRANSMITTANCE);
  F sum[C], transmittance = set1(1.f);
  for (int c = 0; c < C; c++) sum[c] = zero();
  int k = 0;
  bool stopped = false;
  while (k < count && !stopped) {
    const int index = indices[k++];
    const float* g = geometry + static_cast<int64_t>(index) * STAGED;
    const float* v = values + static_cast<int64_t>(index) * C;
    const F q = log2_alpha(x - set1(g[0]), y - set1(g[1]), set1(g[2]), set1(g[3]), set1(g[4]),
                           set1(g[5]));
    const F a = keep(q >= log2_min, min(exp2(q), max_alpha));
    const F weight = a * transmittance;
    transmittance = fnma(a, transmittance, transmittance);
    SPLATSEG_UNROLL
    for (int c = 0; c < C; c++) sum[c] = fma(weight, set1(v[c]), sum[c]);
    if (k % STOP_INTERVAL == 0) stopped = bits(transmittance > opaque) == 0;
  }
  pixels.write(alpha, set1(1.f) - transmittance);
  for (int c = 0; c < C; c++) pixels.write(image + c * plane, sum[c]);
  return stopped ? indices[k - 1] + 1 : tile_entries;
}

template <int C>
void blend_tile(View& view, Channels channels, const float* attributes, int tile, Scratch& s,
                const LaneOffsets& lane, float* image, float* alpha) {
  const int64_t plane = static_cast<int64_t>(view.width) * view.height;
  const int tile_x = tile % view.tiles_x, tile_y = tile / view.tiles_x;
  const Entry* entries = view.entries.data + view.tile_start.data[tile];
  const int count = view.tile_start.data[tile + 1] - view.tile_start.data[tile];
  float* geometry = reserve(s.staged, static_cast<size_t>(count) * (STAGED + C));
  float* values = geometry + static_cast<int64_t>(count) * STAGED;
  int32_t* indices = reserve(s.indices, count + LANES);
  stage_tile<C>(view, channels, attributes, entries, count, static_cast<float>(tile_x * TILE),
                static_cast<float>(tile_y * TILE), geometry, values);
  for (int b = 0; b < BLOCKS; b++) {
    const BlockPixels pixels(view, tile_x, tile_y, b);
    if (pixels.empty()) continue;
    const F x = lane.x + set1(static_cast<float>((b % BLOCK) * BLOCK));
    const F y = lane.y + set1(static_cast<float>((b / BLOCK) * BLOCK));
    const int touching = entries_of_block(entries, count, b, indices);
    view.consumed.data[tile * BLOCKS + b] = blend_block<C>(
        pixels, x, y, indices, touching, count, geometry, values, plane, image, alpha);
  }
}

template <int C>
void blend_image(View& view, Channels channels, const float* attributes, float* image,
                 float* alpha) {
  const int tiles = tile_count(view);
  reserve(view.consumed, static_cast<size_t>(tiles) * BLOCKS);
  restart_queue();
  parallel([&](int worker) {
    const LaneOffsets lane;
    for (int64_t tile = take_next(); tile < tiles; tile = take_next())
      blend_tile<C>(view, channels, attributes, static_cast<int>(tile), scratch(worker), lane, image, alpha);
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
