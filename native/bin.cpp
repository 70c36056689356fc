// Binning: which Gaussians touch which tile, front to back.
//
// A Gaussian reaches a pixel where alpha >= 1/255, i.e. inside the ellipse
//   sigma(d) = (xx dx² + yy dy²)/2 + xy dx dy <= ln(255 opacity).
// Its exact bounding box gives the candidate tiles; in each, the sixteen 4x4 blocks are tested at
// once: the smallest sigma over a block's pixel centres lies on the block's edge nearest to the
// centre, so two clamped candidates (one per axis) bound it. Gaussians are visited in depth order,
// so that a counting scatter leaves every tile's list sorted.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr float EXTENT_SLACK = 1e-4f;  // in sigma: rounding must not lose a pixel at alpha = 1/255
constexpr int RADIX_BITS = 11, RADIX = 1 << RADIX_BITS;

// The reach of a Gaussian: half extents of its ellipse and the sigma at its edge.
struct Reach { float half_width, half_height, sigma; bool visible; };

SPLATSEG_INLINE Reach reach(const float* conic, float opacity, float log2_opacity) {
  const float det = conic[0] * conic[2] - conic[1] * conic[1];
  // Written so that NaN anywhere makes the Gaussian invisible.
  if (!(opacity > MIN_ALPHA && det > 0.f)) return {0.f, 0.f, 0.f, false};
  const float sigma = (log2_opacity - LOG2_MIN_ALPHA) / LOG2_E + EXTENT_SLACK;
  const float k = 2.f * sigma / det;
  return {sqrtf(k * conic[2]), sqrtf(k * conic[0]), sigma, true};
}

SPLATSEG_INLINE Splat make_splat(const splatseg_projected& p, int64_t i) {
  const float *conic = p.conics + 3 * i, opacity = p.opacities[i];
  return {p.means2d[2 * i], p.means2d[2 * i + 1], -0.5f * LOG2_E * conic[0], -LOG2_E * conic[1],
          -0.5f * LOG2_E * conic[2], log2f(opacity > 0.f ? opacity : 1e-30f), opacity, 0.f};
}

// Indices of the n Gaussians with opacity > MIN_ALPHA, by increasing depth; their number.
int64_t sort_by_depth(int64_t n, const splatseg_projected& p, Scratch& s, const uint32_t** order) {
  uint32_t* keys = reserve(s.keys, n);
  uint32_t* keys_next = reserve(s.keys_next, n);
  uint32_t* ids = reserve(s.order, n);
  uint32_t* ids_next = reserve(s.order_next, n);
  uint32_t histogram[3][RADIX] = {};
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(p.opacities[i] > MIN_ALPHA)) continue;
    uint32_t key;  // positive floats compare as their bits do
    std::memcpy(&key, p.depths + i, sizeof key);
    keys[count] = key;
    ids[count++] = static_cast<uint32_t>(i);
    for (int pass = 0; pass < 3; pass++)
      histogram[pass][(key >> (pass * RADIX_BITS)) & (RADIX - 1)]++;
  }
  for (int pass = 0; pass < 3; pass++) {
    uint32_t start = 0;
    for (int d = 0; d < RADIX; d++) {
      const uint32_t size = histogram[pass][d];
      histogram[pass][d] = start;
      start += size;
    }
    for (int64_t i = 0; i < count; i++) {
      const uint32_t slot = histogram[pass][(keys[i] >> (pass * RADIX_BITS)) & (RADIX - 1)]++;
      keys_next[slot] = keys[i];
      ids_next[slot] = ids[i];
    }
    uint32_t* t = keys; keys = keys_next; keys_next = t;
    t = ids; ids = ids_next; ids_next = t;
  }
  *order = ids;
  return count;
}

// Tests all blocks of a tile against one Gaussian.
struct BlockTest {
  F half_xx, half_yy, xy, y_per_x, x_per_y, sigma;

  explicit BlockTest(const float* conic, float edge)
      : half_xx(set1(0.5f * conic[0])), half_yy(set1(0.5f * conic[2])), xy(set1(conic[1])),
        y_per_x(set1(-conic[1] / conic[2])), x_per_y(set1(-conic[1] / conic[0])),
        sigma(set1(edge)) {}

  // left, top: offset of each block's first pixel centre from the Gaussian's centre.
  SPLATSEG_INLINE_MEMBER unsigned touched(F left, F top) const {
    const F span = set1(BLOCK - 1), right = left + span, bottom = top + span;
    const F near_x = clamp(zero(), left, right), near_y = clamp(zero(), top, bottom);
    const F y = clamp(y_per_x * near_x, top, bottom), x = clamp(x_per_y * near_y, left, right);
    const F on_vertical = fma(near_x, fma(half_xx, near_x, xy * y), half_yy * y * y);
    const F on_horizontal = fma(x, fma(half_xx, x, xy * near_y), half_yy * near_y * near_y);
    return bits(sigma >= min(on_vertical, on_horizontal));
  }
};

SPLATSEG_INLINE int tile_index(float pixel, int tiles) {
  const float t = floorf(pixel / TILE);
  return t < 0.f ? 0 : (t > tiles - 1 ? tiles - 1 : static_cast<int>(t));
}

// One thread's share of the sorted Gaussians -> entries with their tiles, and entries per tile.
int64_t collect(const View& view, const splatseg_projected& p, const uint32_t* order, Range r,
                uint8_t* visible, Scratch& s) {
  alignas(64) float column[LANES], row[LANES];
  for (int b = 0; b < BLOCKS; b++) {
    column[b] = BLOCK * static_cast<float>(b % BLOCK) + 0.5f;
    row[b] = BLOCK * static_cast<float>(b / BLOCK) + 0.5f;
  }
  const F block_x = load(column), block_y = load(row);
  const int tiles = tile_count(view);
  uint32_t* counts = reserve(s.counts, tiles);
  std::memset(counts, 0, tiles * sizeof *counts);
  int64_t used = 0;
  for (int64_t k = r.begin; k < r.end; k++) {
    if (k + 16 < r.end) {
      SPLATSEG_PREFETCH(p.conics + 3 * static_cast<int64_t>(order[k + 16]));
      SPLATSEG_PREFETCH(view.splats.data + order[k + 16]);
    }
    const uint32_t i = order[k];
    const float* conic = p.conics + 3 * static_cast<int64_t>(i);
    const Splat& splat = view.splats.data[i];
    const Reach e = reach(conic, splat.opacity, splat.log2_opacity);
    const float left = splat.x - e.half_width, right = splat.x + e.half_width;
    const float top = splat.y - e.half_height, bottom = splat.y + e.half_height;
    const bool on_image = right > 0.f && bottom > 0.f && left < view.width && top < view.height;
    if (!(e.visible && on_image)) continue;
    const int x0 = tile_index(left, view.tiles_x), x1 = tile_index(right, view.tiles_x);
    const int y0 = tile_index(top, view.tiles_y), y1 = tile_index(bottom, view.tiles_y);
    const int64_t room = used + static_cast<int64_t>(x1 - x0 + 1) * (y1 - y0 + 1);
    Entry* entries = extend(s.entries, used, room);
    uint32_t* entry_tiles = extend(s.tiles, used, room);
    const BlockTest test(conic, e.sigma);
    const int64_t before = used;
    for (int ty = y0; ty <= y1; ty++) {
      for (int tx = x0; tx <= x1; tx++) {
        const unsigned blocks = test.touched(block_x + set1(tx * TILE - splat.x),
                                             block_y + set1(ty * TILE - splat.y));
        if (blocks == 0) continue;
        const uint32_t tile = ty * view.tiles_x + tx;
        entries[used] = {i, blocks};
        entry_tiles[used++] = tile;
        counts[tile]++;
      }
    }
    visible[i] = used > before;
  }
  return used;
}

}  // namespace

void bin(View& view, const splatseg_projected& p, uint8_t* visible) {
  Splat* splats = reserve(view.splats, view.n);
  std::memset(visible, 0, view.n);
  parallel_range(view.n, 1024, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) splats[i] = make_splat(p, i);
  });
  const uint32_t* order = nullptr;
  const int64_t count = sort_by_depth(view.n, p, scratch(0), &order);

  const int workers = thread_count(), tiles = tile_count(view);
  int64_t collected[MAX_THREADS];
  parallel([&](int worker) {
    collected[worker] =
        collect(view, p, order, share(count, worker, workers), visible, scratch(worker));
  });

  // Each thread's counts become the slots it writes to: tile by tile, thread by thread.
  uint32_t* start = reserve(view.tile_start, tiles + 1);
  uint32_t next = 0;
  for (int t = 0; t < tiles; t++) {
    start[t] = next;
    for (int worker = 0; worker < workers; worker++) {
      uint32_t& slot = scratch(worker).counts.data[t];
      const uint32_t size = slot;
      slot = next;
      next += size;
    }
  }
  start[tiles] = next;
  Entry* entries = reserve(view.entries, next);
  parallel([&](int worker) {
    Scratch& s = scratch(worker);
    for (int64_t k = 0; k < collected[worker]; k++)
      entries[s.counts.data[s.tiles.data[k]]++] = s.entries.data[k];
  });
  view.consumed_known = false;
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
