// A tile while it is blended: its Gaussians copied next to each other, and the list of those that
// touch one of its blocks.
#pragma once
#include "kernels.h"
#include "simd.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// Coordinates inside a tile are relative to the center of its first pixel.
struct TilePlace {
  int column, row;  // of the tile
  float left, top;  // image coordinates of its first pixel's center

  TilePlace(const View& view, int tile)
      : column(tile % view.tiles_x), row(tile / view.tiles_x),
        left(static_cast<float>(column * TILE) + 0.5f), top(static_cast<float>(row * TILE) + 0.5f) {
  }
};

// Pixels of a block, one lane each, in tile coordinates.
struct BlockLanes {
  F x, y;
};

SPLATSEG_INLINE BlockLanes block_lanes(int block) {
  alignas(64) float x[LANES], y[LANES];
  for (int i = 0; i < LANES; i++) {
    x[i] = static_cast<float>(block % BLOCK * BLOCK + i % BLOCK);
    y[i] = static_cast<float>(block / BLOCK * BLOCK + i / BLOCK);
  }
  return {load(x), load(y)};
}

// A Gaussian in tile coordinates, where log2(alpha) = log2_opacity - u² - w² with
// u = xx X + xy Y + u0 and w = yy Y + w0: the center is folded into u0 and w0.
struct Staged {
  float xx, xy, u0, yy, w0, log2_opacity, x, y;
};

SPLATSEG_INLINE F log2_alpha(const Staged& g, BlockLanes at) {
  const F u = fma(set1(g.xx), at.x, fma(set1(g.xy), at.y, set1(g.u0)));
  const F w = fma(set1(g.yy), at.y, set1(g.w0));
  return fnma(u, u, fnma(w, w, set1(g.log2_opacity)));
}

// A tile's Gaussians with `C` attributes each.
template <int C>
struct StagedTile {
  const Entry* entries;
  int count;
  Staged* gaussians;  // count
  float* values;      // count C

  const float* value(int k) const { return values + static_cast<int64_t>(k) * C; }
};

// `prepare(gaussian)` is called some entries ahead of the copy, to prefetch what else is needed.
template <int C, class Prepare>
SPLATSEG_INLINE StagedTile<C> stage_tile(const View& view, const TilePlace& place, int tile,
                                         Channels channels, const float* attributes,
                                         Buffer<float>& memory, Prepare prepare) {
  constexpr int AHEAD = 8;
  constexpr int FLOATS = sizeof(Staged) / sizeof(float);
  const Entry* entries = view.entries.data + view.tile_start.data[tile];
  const int count = view.tile_start.data[tile + 1] - view.tile_start.data[tile];
  float* data = reserve(memory, static_cast<size_t>(count) * (FLOATS + C));
  const StagedTile<C> staged = {entries, count, reinterpret_cast<Staged*>(data),
                                data + static_cast<int64_t>(count) * FLOATS};
  for (int k = 0; k < count; k++) {
    const int64_t ahead = entries[minimum(k + AHEAD, count - 1)].gaussian;
    SPLATSEG_PREFETCH(view.splats.data + ahead);
    if (C > 0) SPLATSEG_PREFETCH(attributes + ahead * channels.stride + channels.first);
    prepare(ahead);
    const int64_t i = entries[k].gaussian;
    const Splat& s = view.splats.data[i];
    const float x = s.x - place.left, y = s.y - place.top;
    staged.gaussians[k] = {s.xx, s.xy, -(s.xx * x + s.xy * y), s.yy, -s.yy * y, s.log2_opacity,
                           x,    y};
    if (C > 0)
      std::memcpy(staged.values + static_cast<int64_t>(k) * C,
                  attributes + i * channels.stride + channels.first, C * sizeof(float));
  }
  return staged;
}

// Positions of the first `count` entries that touch `block`, in order; their number. Branch-free:
// every position is written and the cursor moves only past those that count. `indices` needs 16
// spare places.
SPLATSEG_INLINE int entries_of_block(const Entry* entries, int count, int block, int32_t* indices) {
  int used = 0;
#if defined(SPLATSEG_AVX512)
  const __m512i bit = _mm512_set1_epi32(1 << block);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  __m512i position = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  // Reads up to 15 entries too many: view.entries has room.
  for (int k = 0; k < count; k += LANES) {
    const __m512i blocks = _mm512_permutex2var_epi32(_mm512_loadu_si512(entries + k), odd,
                                                     _mm512_loadu_si512(entries + k + 8));
    unsigned hit = _mm512_test_epi32_mask(blocks, bit);
    if (count - k < LANES) hit &= (1u << (count - k)) - 1;
    _mm512_storeu_si512(indices + used, _mm512_maskz_compress_epi32(hit, position));
    used += __builtin_popcount(hit);
    position = _mm512_add_epi32(position, _mm512_set1_epi32(LANES));
  }
#else
  for (int k = 0; k < count; k++) {
    indices[used] = k;
    used += (entries[k].blocks >> block) & 1;
  }
#endif
  return used;
}

// A 4x4 block's part of a planar image: clipped at the image's right and bottom edge.
struct BlockPixels {
  int64_t base, stride;
  int rows, columns;  // <= 0 when the block lies outside

  BlockPixels(const View& view, const TilePlace& place, int block) : stride(view.width) {
    const int x = place.column * TILE + (block % BLOCK) * BLOCK;
    const int y = place.row * TILE + (block / BLOCK) * BLOCK;
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
  SPLATSEG_INLINE_MEMBER F read(const float* plane) const {
    alignas(64) float lanes[LANES];
    if (rows < BLOCK || columns < BLOCK) std::memset(lanes, 0, sizeof lanes);
    for (int r = 0; r < rows; r++) {
      if (columns == BLOCK)
        std::memcpy(lanes + r * BLOCK, plane + base + r * stride, BLOCK * sizeof(float));
      else
        for (int c = 0; c < columns; c++) lanes[r * BLOCK + c] = plane[base + r * stride + c];
    }
    return load(lanes);
  }
};

}  // namespace
}  // namespace SPLATSEG_ISA
}  // namespace splatseg
