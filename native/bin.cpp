// Binning: which Gaussians touch which tile, front to back.
//
// A Gaussian reaches a pixel where alpha >= 1/255, i.e. inside the ellipse
//   u² + w² <= log2(255 opacity),  u = xx dx + xy dy,  w = yy dy    (see Splat in view.h).
// Its exact bounding box gives the candidate tiles; in each, the sixteen 4x4 blocks are tested at
// once: the smallest u² + w² over a block's pixel centers lies on the block's edge nearest to the
// center, so two clamped candidates (one per axis) bound it. Gaussians are visited in depth order,
// so that a counting scatter leaves every tile's list sorted.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr float EXTENT_SLACK = 1.5e-4f;  // rounding must not lose a pixel at alpha = 1/255
constexpr int RADIX_BITS = 11, RADIX = 1 << RADIX_BITS;
// Threads share the Gaussians by depth: sixteen slices for every doubling of the distance.
constexpr int SLICE_SHIFT = 19, SLICES = 1 << (31 - SLICE_SHIFT);

// 2D Gaussians to splats and footprints, sixteen at a time.
SPLATSEG_INLINE void prepare(const splatseg_projected& p, const View& view, int64_t first,
                             int lanes) {
  F mean[2], conic[3], opacity;
  transpose_in<2>(p.means2d + 2 * first, lanes, 2, mean);
  transpose_in<3>(p.conics + 3 * first, lanes, 3, conic);
  transpose_in<1>(p.opacities + first, lanes, 1, &opacity);
  const F half_log2_e = set1(HALF_LOG2_E), margin = set1(EXTENT_SLACK - LOG2_MIN_ALPHA);
  const F det = conic[0] * conic[2] - conic[1] * conic[1];
  // Comparisons are written so that NaN anywhere leaves the Gaussian out.
  const M drawn = (opacity > set1(MIN_ALPHA)) & (det > zero()) & (conic[0] > zero());
  const F a = select(drawn, conic[0], set1(1.f)), c = select(drawn, conic[2], set1(1.f));
  const F b = keep(drawn, conic[1]), safe_det = select(drawn, det, set1(1.f));
  const F log2_opacity = log2(select(drawn, opacity, set1(1.f)));
  const F xx = sqrt(half_log2_e * a), xy = half_log2_e * b / xx;
  const F yy = sqrt(half_log2_e * safe_det / a);
  const F scale = (log2_opacity + margin) / half_log2_e * (set1(1.f) / safe_det);
  const F half_width = sqrt(scale * c), half_height = sqrt(scale * a);
  const F left = mean[0] - half_width, right = mean[0] + half_width;
  const F top = mean[1] - half_height, bottom = mean[1] + half_height;
  const M on_image = drawn & (right > zero()) & (bottom > zero()) &
                     (set1(static_cast<float>(view.width)) > left) &
                     (set1(static_cast<float>(view.height)) > top);

  const F splat[8] = {mean[0], mean[1], xx, xy, yy, log2_opacity, opacity, zero()};
  transpose_out<8>(splat, lanes, 8, &view.splats.data[first].x);
  const F per_tile = set1(1.f / TILE);
  const F last_x = set1(view.tiles_x - 1.f), last_y = set1(view.tiles_y - 1.f);
  const F tiles[4] = {clamp(left * per_tile, zero(), last_x), clamp(top * per_tile, zero(), last_y),
                      clamp(right * per_tile, zero(), last_x),
                      clamp(bottom * per_tile, zero(), last_y)};
  alignas(64) float corner[4][LANES], y_per_x[LANES], x_per_y[LANES];
  for (int k = 0; k < 4; k++) store(corner[k], tiles[k]);
  store(y_per_x, -b / c);
  store(x_per_y, -b / a);
  const unsigned visible = bits(on_image);
  for (int lane = 0; lane < lanes; lane++) {
    Footprint& f = view.footprints.data[first + lane];
    f = {y_per_x[lane],
         x_per_y[lane],
         static_cast<uint16_t>(corner[0][lane]),
         static_cast<uint16_t>(corner[1][lane]),
         0,
         0};
    if ((visible >> lane & 1) == 0) continue;
    f.columns = static_cast<uint16_t>(static_cast<int>(corner[2][lane]) - f.column + 1);
    f.rows = static_cast<uint16_t>(static_cast<int>(corner[3][lane]) - f.row + 1);
  }
}

SPLATSEG_INLINE uint32_t depth_key(const float* depth) {
  uint32_t key;  // positive floats compare as their bits do
  std::memcpy(&key, depth, sizeof key);
  return key;
}

// The Gaussians of slices [first, last) that have tiles, by increasing depth; their number.
int64_t sort_by_depth(const View& view, const float* depths, uint32_t first, uint32_t last,
                      Scratch& s, const uint32_t** order) {
  uint32_t* keys = reserve(s.keys, view.n + 1);
  uint32_t* ids = reserve(s.order, view.n + 1);
  int64_t count = 0;
  for (int64_t i = 0; i < view.n; i++) {
    const uint32_t key = depth_key(depths + i), slice = key >> SLICE_SHIFT;
    keys[count] = key;
    ids[count] = static_cast<uint32_t>(i);
    count += slice >= first && slice < last && view.footprints.data[i].columns != 0;
  }
  uint32_t* keys_next = reserve(s.keys_next, count);
  uint32_t* ids_next = reserve(s.order_next, count);
  uint32_t histogram[3][RADIX] = {};
  for (int64_t i = 0; i < count; i++)
    for (int pass = 0; pass < 3; pass++)
      histogram[pass][keys[i] >> pass * RADIX_BITS & (RADIX - 1)]++;
  for (int pass = 0; pass < 3; pass++) {
    uint32_t start = 0;
    for (int d = 0; d < RADIX; d++) {
      const uint32_t size = histogram[pass][d];
      histogram[pass][d] = start;
      start += size;
    }
    for (int64_t i = 0; i < count; i++) {
      const uint32_t slot = histogram[pass][keys[i] >> pass * RADIX_BITS & (RADIX - 1)]++;
      keys_next[slot] = keys[i];
      ids_next[slot] = ids[i];
    }
    uint32_t* t = keys;
    keys = keys_next;
    keys_next = t;
    t = ids;
    ids = ids_next;
    ids_next = t;
  }
  *order = ids;
  return count;
}

// Tests all blocks of a tile against one Gaussian.
struct BlockTest {
  F xx, xy, yy, y_per_x, x_per_y, edge;

  BlockTest(const Splat& s, const Footprint& f)
      : xx(set1(s.xx)), xy(set1(s.xy)), yy(set1(s.yy)), y_per_x(set1(f.y_per_x)),
        x_per_y(set1(f.x_per_y)), edge(set1(s.log2_opacity - LOG2_MIN_ALPHA + EXTENT_SLACK)) {}

  // left, top: offset of each block's first pixel center from the Gaussian's center.
  SPLATSEG_INLINE_MEMBER unsigned touched(F left, F top) const {
    const F span = set1(BLOCK - 1), right = left + span, bottom = top + span;
    const F near_x = clamp(zero(), left, right), near_y = clamp(zero(), top, bottom);
    const F y = clamp(y_per_x * near_x, top, bottom), x = clamp(x_per_y * near_y, left, right);
    return bits(edge >= min(distance(near_x, y), distance(x, near_y)));
  }
  SPLATSEG_INLINE_MEMBER F distance(F x, F y) const {
    const F u = fma(xx, x, xy * y), w = yy * y;
    return fma(u, u, w * w);
  }
};

// A thread's Gaussians, front to back -> entries with their tiles, and entries per tile.
int64_t collect(const View& view, const uint32_t* order, int64_t count, uint8_t* visible,
                Scratch& s) {
  alignas(64) float column[LANES], row[LANES];
  for (int b = 0; b < BLOCKS; b++) {
    column[b] = BLOCK * static_cast<float>(b % BLOCK) + 0.5f;
    row[b] = BLOCK * static_cast<float>(b / BLOCK) + 0.5f;
  }
  const F block_x = load(column), block_y = load(row);
  uint32_t* counts = reserve(s.counts, tile_count(view));
  std::memset(counts, 0, tile_count(view) * sizeof *counts);
  int64_t used = 0;
  for (int64_t k = 0; k < count; k++) {
    const uint32_t ahead = order[k + 12 < count ? k + 12 : count - 1];
    SPLATSEG_PREFETCH(view.splats.data + ahead);
    SPLATSEG_PREFETCH(view.footprints.data + ahead);
    const uint32_t i = order[k];
    const Splat& splat = view.splats.data[i];
    const Footprint& f = view.footprints.data[i];
    const int64_t room = used + static_cast<int64_t>(f.columns) * f.rows;
    uint64_t* entries = extend(s.entries, used, room);
    uint32_t* entry_tiles = extend(s.tiles, used, room);
    const BlockTest test(splat, f);
    const int64_t before = used;
    for (int ty = f.row; ty < f.row + f.rows; ty++) {
      for (int tx = f.column; tx < f.column + f.columns; tx++) {
        const unsigned blocks =
            test.touched(block_x + set1(tx * TILE - splat.x), block_y + set1(ty * TILE - splat.y));
        const uint32_t tile = ty * view.tiles_x + tx;
        entries[used] = i | static_cast<uint64_t>(blocks) << 32;
        entry_tiles[used] = tile;
        used += blocks != 0;
        counts[tile] += blocks != 0;
      }
    }
    visible[i] = used > before;
  }
  return used;
}

// first[w] is the first slice of thread w's share, so that all get about as many Gaussians.
void share_slices(const View& view, const float* depths, int workers, uint32_t* first) {
  first[0] = 0;
  first[workers] = SLICES;
  if (workers == 1) return;
  parallel([&](int worker) {
    uint32_t* counts = reserve(scratch(worker).counts, SLICES);
    std::memset(counts, 0, SLICES * sizeof *counts);
    const Range r = share(view.n, worker, workers);
    for (int64_t i = r.begin; i < r.end; i++)
      counts[depth_key(depths + i) >> SLICE_SHIFT & (SLICES - 1)] +=
          view.footprints.data[i].columns != 0;
  });
  uint32_t* counts = scratch(0).counts.data;
  int64_t total = 0, before = 0;
  for (int slice = 0; slice < SLICES; slice++) {
    for (int worker = 1; worker < workers; worker++)
      counts[slice] += scratch(worker).counts.data[slice];
    total += counts[slice];
  }
  for (int slice = 0, worker = 1; worker < workers; worker++) {
    for (; slice < SLICES && before < total * worker / workers; slice++) before += counts[slice];
    first[worker] = slice;
  }
}

}  // namespace

void bin(View& view, const splatseg_projected& p, uint8_t* visible) {
  reserve(view.splats, view.n);
  reserve(view.footprints, view.n);
  const int workers = thread_count(), tiles = tile_count(view);
  parallel_range(view.n, LANES, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES)
      prepare(p, view, i, end - i < LANES ? static_cast<int>(end - i) : LANES);
    std::memset(visible + begin, 0, end - begin);
  });
  uint32_t first_slice[MAX_THREADS + 1];
  share_slices(view, p.depths, workers, first_slice);
  int64_t collected[MAX_THREADS];
  parallel([&](int worker) {
    Scratch& s = scratch(worker);
    const uint32_t* order = nullptr;
    const int64_t count =
        sort_by_depth(view, p.depths, first_slice[worker], first_slice[worker + 1], s, &order);
    collected[worker] = collect(view, order, count, visible, s);
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
    for (int64_t k = 0; k < collected[worker]; k++) {
      const uint64_t entry = s.entries.data[k];
      entries[s.counts.data[s.tiles.data[k]]++] = {static_cast<uint32_t>(entry),
                                                   static_cast<uint32_t>(entry >> 32)};
    }
  });
  view.consumed_known = false;
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
