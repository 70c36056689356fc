// Blending at a few chosen pixels, for losses that sample: lanes are Gaussians, not pixels.
//
// A pixel's block lists its candidates; alpha is evaluated for sixteen of them at once and the few
// that reach 1/255 are then walked one Gaussian at a time with all its channels. The mathematics is
// blend_forward.cpp's and blend_backward.cpp's.
//
// Backward, each thread first finds the contributions ("hits") of its share of the pixels. Then each
// owns a share of the Gaussians and adds up the hits of those, pixel by pixel: no thread needs a
// gradient for every Gaussian, and the bits do not depend on the number of threads.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// Copies the geometry of up to sixteen splats into lanes; missing ones get no opacity.
struct Candidates {
  F x, y, xx, xy, yy, log2_opacity;

  Candidates(const View& view, const Entry* entries, const int32_t* indices, int count) {
    alignas(64) float lanes[6][LANES];
    for (int i = 0; i < count; i++) {
      const float* splat = &view.splats.data[entries[indices[i]].gaussian].x;
      for (int d = 0; d < 6; d++) lanes[d][i] = splat[d];
    }
    for (int i = count; i < LANES; i++) {
      for (int d = 0; d < 5; d++) lanes[d][i] = 0.f;
      lanes[5][i] = 2.f * LOG2_MIN_ALPHA;
    }
    x = load(lanes[0]);
    y = load(lanes[1]);
    xx = load(lanes[2]);
    xy = load(lanes[3]);
    yy = load(lanes[4]);
    log2_opacity = load(lanes[5]);
  }
};

// The Gaussians that contribute to a pixel, front to back. `hits` has room for the tile's list.
int find_hits(const View& view, int column, int row, int32_t* indices, Hit* hits,
              float* transmittance) {
  const int tile = row / TILE * view.tiles_x + column / TILE;
  const int block = row % TILE / BLOCK * BLOCK + column % TILE / BLOCK;
  const Entry* entries = view.entries.data + view.tile_start.data[tile];
  const int count = entries_of_block(
      entries, view.tile_start.data[tile + 1] - view.tile_start.data[tile], block, indices);
  for (int k = 0; k < count; k++)
    SPLATSEG_PREFETCH(view.splats.data + entries[indices[k]].gaussian);
  const F x = set1(static_cast<float>(column) + 0.5f), y = set1(static_cast<float>(row) + 0.5f);
  float remaining = 1.f;
  int used = 0;
  for (int k = 0; k < count && remaining > MIN_TRANSMITTANCE; k += LANES) {
    const Candidates c(view, entries, indices + k, minimum(LANES, count - k));
    const F dx = x - c.x, dy = y - c.y;
    const F u = fma(c.xx, dx, c.xy * dy), w = c.yy * dy;
    const F log2_alpha = fnma(u, u, fnma(w, w, c.log2_opacity));
    alignas(64) float alpha[LANES], offset_x[LANES], offset_y[LANES];
    store(alpha, alpha_of(log2_alpha));
    store(offset_x, dx);
    store(offset_y, dy);
    for (unsigned hit = bits(log2_alpha >= set1(LOG2_MIN_ALPHA));
         hit != 0 && remaining > MIN_TRANSMITTANCE; hit &= hit - 1) {
      const int i = count_trailing_zeros(hit);
      const float weight = alpha[i] * remaining;
      hits[used++] = {entries[indices[k + i]].gaussian, alpha[i], weight, offset_x[i], offset_y[i]};
      remaining -= weight;
    }
  }
  *transmittance = remaining;
  return used;
}

int64_t longest_tile(const View& view) {
  int64_t longest = 0;
  for (int t = 0; t < tile_count(view); t++) {
    const int64_t count = view.tile_start.data[t + 1] - view.tile_start.data[t];
    if (count > longest) longest = count;
  }
  return longest;
}

SPLATSEG_INLINE const float* row_of(const float* attributes, Channels channels, int64_t gaussian) {
  return attributes + gaussian * channels.stride + channels.first;
}

// sum += weight * row.
template <int C>
SPLATSEG_INLINE void add_scaled(float weight, const float* row, float* sum) {
  constexpr int WIDE = wide(C) * LANES;
  for (int c = 0; c < WIDE; c += LANES)
    store(sum + c, fma(set1(weight), load(row + c), load(sum + c)));
  for (int c = WIDE; c < C; c++) sum[c] += weight * row[c];
}

template <int C>
void pixels_forward(const View& view, Channels channels, const float* attributes, PixelList pixels,
                    float* samples, float* alpha) {
  const int64_t room = longest_tile(view);
  parallel_range(pixels.count, 16, [&](int worker, int64_t begin, int64_t end) {
    Scratch& s = scratch(worker);
    Hit* hits = reserve(s.hits, room);
    int32_t* indices = reserve(s.indices, room + LANES);
    for (int64_t p = begin; p < end; p++) {
      float transmittance;
      const int count =
          find_hits(view, pixels.xy[2 * p], pixels.xy[2 * p + 1], indices, hits, &transmittance);
      for (int h = 0; h < count; h++)
        SPLATSEG_PREFETCH(row_of(attributes, channels, hits[h].gaussian));
      float sum[C] = {};
      for (int h = 0; h < count; h++)
        add_scaled<C>(hits[h].weight, row_of(attributes, channels, hits[h].gaussian), sum);
      std::memcpy(samples + p * channels.stride + channels.first, sum, sizeof sum);
      alpha[p] = 1.f - transmittance;
    }
  });
}

struct SampleGradients {
  const float *samples, *alpha;
};

// Back to front, alpha becomes v (see blend_backward.cpp).
template <int C>
void weigh_hits(Channels channels, const float* attributes, const float* grad, float grad_alpha,
                Hit* hits, int count) {
  float behind = -grad_alpha;
  for (int h = count - 1; h >= 0; h--) {
    const float* a = row_of(attributes, channels, hits[h].gaussian);
    float s = 0.f;
    for (int c = 0; c < C; c++) s += a[c] * grad[c];
    const float alpha = hits[h].alpha, difference = s - behind;
    hits[h].v = alpha < MAX_ALPHA ? hits[h].weight * difference : 0.f;
    behind += alpha * difference;
  }
}

// All hits of a share of the pixels, into the worker's scratch memory: those of the share's k-th
// pixel begin at starts[k].
template <int C, bool GEOMETRY>
void collect_hits(const View& view, Channels channels, const float* attributes, PixelList pixels,
                  const SampleGradients& in, Range share, int64_t room, Scratch& s) {
  int32_t* indices = reserve(s.indices, room + LANES);
  uint32_t* starts = reserve(s.counts, share.end - share.begin + 1);
  int64_t used = 0;
  for (int64_t p = share.begin; p < share.end; p++) {
    starts[p - share.begin] = static_cast<uint32_t>(used);
    Hit* hits = extend(s.hits, used, used + room) + used;
    float transmittance;
    const int count =
        find_hits(view, pixels.xy[2 * p], pixels.xy[2 * p + 1], indices, hits, &transmittance);
    if (GEOMETRY)
      weigh_hits<C>(channels, attributes, in.samples + p * channels.stride + channels.first,
                    in.alpha == nullptr ? 0.f : in.alpha[p], hits, count);
    used += count;
  }
  starts[share.end - share.begin] = static_cast<uint32_t>(used);
}

// Adds the hits of the Gaussians in `owned` to their gradients.
template <int C, bool GEOMETRY>
void add_hits(const View& view, Channels channels, const SampleGradients& in, Range share,
              Range owned, const Scratch& s, const BlendGradients& out) {
  constexpr int AHEAD = 16;  // hits to prefetch
  const int last = static_cast<int>(s.counts.data[share.end - share.begin]) - 1;
  for (int64_t p = share.begin; p < share.end; p++) {
    const float* grad = in.samples + p * channels.stride + channels.first;
    const uint32_t* start = s.counts.data + (p - share.begin);
    for (uint32_t h = start[0]; h < start[1]; h++) {
      const Hit& hit = s.hits.data[h];
      const uint32_t ahead = s.hits.data[minimum(h + AHEAD, last)].gaussian;
      SPLATSEG_PREFETCH_WRITE(out.attributes + ahead * static_cast<int64_t>(channels.stride));
      if (hit.gaussian < owned.begin || hit.gaussian >= owned.end) continue;
      const int64_t i = hit.gaussian;
      add_scaled<C>(hit.weight, grad, out.attributes + i * channels.stride + channels.first);
      if (!GEOMETRY) continue;
      const float vx = hit.v * hit.dx, vy = hit.v * hit.dy;
      const float moments[MOMENTS] = {hit.v, vx, vy, vx * hit.dx, vx * hit.dy, vy * hit.dy};
      add_geometry(view.splats.data[i], moments, i, out);
    }
  }
}

template <int C, bool GEOMETRY>
void pixels_backward(const View& view, Channels channels, const float* attributes, PixelList pixels,
                     const SampleGradients& in, const BlendGradients& out) {
  const int64_t room = longest_tile(view);
  const int workers = thread_count();
  parallel([&](int worker) {
    collect_hits<C, GEOMETRY>(view, channels, attributes, pixels, in,
                              share(pixels.count, worker, workers), room, scratch(worker));
  });
  parallel([&](int worker) {
    const Range owned = share(view.n, worker, workers);
    for (int64_t i = owned.begin; i < owned.end; i++)
      std::memset(out.attributes + i * channels.stride + channels.first, 0, C * sizeof(float));
    for (int w = 0; w < workers; w++)
      add_hits<C, GEOMETRY>(view, channels, in, share(pixels.count, w, workers), owned, scratch(w),
                            out);
  });
}

}  // namespace

void blend_pixels(View& view, Channels channels, const float* attributes, PixelList pixels,
                  float* samples, float* alpha) {
#define SPLATSEG_CALL(C) pixels_forward<C>(view, channels, attributes, pixels, samples, alpha)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

void blend_pixels_backward(View& view, Channels channels, const float* attributes, PixelList pixels,
                           const float* grad_samples, const float* grad_alpha,
                           const BlendGradients& out) {
  const SampleGradients in = {grad_samples, grad_alpha};
#define SPLATSEG_CALL(C)                                                                         \
  out.means2d != nullptr ? pixels_backward<C, true>(view, channels, attributes, pixels, in, out) \
                         : pixels_backward<C, false>(view, channels, attributes, pixels, in, out)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
