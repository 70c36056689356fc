// Blending at a few chosen pixels, for losses that sample: lanes are Gaussians, not pixels.
//
// A pixel's tile lists its candidates; alpha is evaluated for sixteen of them at once and the few
// that reach 1/255 are then walked front to back, one Gaussian at a time with all its channels.
// The mathematics is blend_forward.cpp's and blend_backward.cpp's.
#include "blend.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

// One contribution: the Gaussian, its weight's factors and the offset from its centre.
struct Hit {
  uint32_t gaussian;
  float alpha, transmittance, dx, dy;
  bool clamped;
};

// The Gaussians that contribute to a pixel, front to back. `hits` has room for the tile's list.
int find_hits(const View& view, int column, int row, Hit* hits, float* transmittance) {
  const int tile = row / TILE * view.tiles_x + column / TILE;
  const unsigned block = 1u << (row % TILE / BLOCK * BLOCK + column % TILE / BLOCK);
  const Entry* entries = view.entries.data + view.tile_start.data[tile];
  const int count = view.tile_start.data[tile + 1] - view.tile_start.data[tile];
  const float x = static_cast<float>(column) + 0.5f, y = static_cast<float>(row) + 0.5f;
  float remaining = 1.f;
  int used = 0, k = 0;
  while (k < count && remaining > MIN_TRANSMITTANCE) {
    alignas(64) float dx[LANES], dy[LANES], xx[LANES], xy[LANES], yy[LANES], log2_opacity[LANES];
    uint32_t gaussian[LANES];
    int lanes = 0;
    for (; lanes < LANES && k < count; k++) {
      if ((entries[k].blocks & block) == 0) continue;
      const Splat& s = view.splats.data[entries[k].gaussian];
      gaussian[lanes] = entries[k].gaussian;
      dx[lanes] = x - s.x;
      dy[lanes] = y - s.y;
      xx[lanes] = s.xx;
      xy[lanes] = s.xy;
      yy[lanes] = s.yy;
      log2_opacity[lanes++] = s.log2_opacity;
    }
    for (int i = lanes; i < LANES; i++) {
      dx[i] = dy[i] = xx[i] = xy[i] = yy[i] = 0.f;
      log2_opacity[i] = -100.f;
    }
    const F q = log2_alpha(load(dx), load(dy), load(xx), load(xy), load(yy), load(log2_opacity));
    alignas(64) float alpha[LANES];
    const F unclamped = exp2(q);
    store(alpha, min(unclamped, set1(MAX_ALPHA)));
    const unsigned clamped = bits(unclamped > set1(MAX_ALPHA));
    for (unsigned hit = bits(q >= set1(LOG2_MIN_ALPHA)); hit != 0; hit &= hit - 1) {
      const int i = count_trailing_zeros(hit);
      hits[used++] = {gaussian[i], alpha[i], remaining, dx[i], dy[i], ((clamped >> i) & 1) != 0};
      remaining *= 1.f - alpha[i];
      if (remaining <= MIN_TRANSMITTANCE) break;
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

template <int C>
void pixels_forward(const View& view, Channels channels, const float* attributes, PixelList pixels,
                    float* samples, float* alpha) {
  const int64_t room = longest_tile(view);
  parallel_range(pixels.count, 16, [&](int worker, int64_t begin, int64_t end) {
    Hit* hits = reserve_as<Hit>(scratch(worker).states, room);
    for (int64_t p = begin; p < end; p++) {
      float transmittance;
      const int count =
          find_hits(view, pixels.xy[2 * p], pixels.xy[2 * p + 1], hits, &transmittance);
      float sum[C] = {};
      for (int h = 0; h < count; h++) {
        const float weight = hits[h].alpha * hits[h].transmittance;
        const float* a = attributes + static_cast<int64_t>(hits[h].gaussian) * channels.stride +
                         channels.first;
        for (int c = 0; c < C; c++) sum[c] += weight * a[c];
      }
      std::memcpy(samples + p * channels.stride + channels.first, sum, sizeof sum);
      alpha[p] = 1.f - transmittance;
    }
  });
}

// Adds one pixel's gradients to the records; `remainder` is R_0 of blend_backward.cpp.
template <int C, bool GEOMETRY>
SPLATSEG_INLINE void pixel_backward(Channels channels, const float* attributes, const Hit* hits,
                                    int count, const float* grad, float remainder,
                                    float* records) {
  for (int h = 0; h < count; h++) {
    const Hit& hit = hits[h];
    const float weight = hit.alpha * hit.transmittance;
    float* record =
        records + static_cast<int64_t>(hit.gaussian) * Record<C, GEOMETRY>::size;
    for (int c = 0; c < C; c++) record[c] += weight * grad[c];
    if (!GEOMETRY) continue;
    const float* a =
        attributes + static_cast<int64_t>(hit.gaussian) * channels.stride + channels.first;
    float s = 0.f;
    for (int c = 0; c < C; c++) s += a[c] * grad[c];
    remainder -= weight * s;
    if (hit.clamped) continue;
    const float v = hit.alpha * (hit.transmittance * s - remainder / (1.f - hit.alpha));
    float* moments = record + C;
    moments[0] += v;
    moments[1] += v * hit.dx;
    moments[2] += v * hit.dy;
    moments[3] += v * hit.dx * hit.dx;
    moments[4] += v * hit.dx * hit.dy;
    moments[5] += v * hit.dy * hit.dy;
  }
}

struct SampleGradients {
  const float *samples, *grad_samples, *grad_alpha;
};

template <int C, bool GEOMETRY>
void pixels_backward(const View& view, Channels channels, const float* attributes,
                     PixelList pixels, const SampleGradients& in, const BlendGradients& out) {
  const int64_t room = longest_tile(view);
  const int workers = thread_count();
  parallel([&](int worker) {
    float* records = clear_records<C, GEOMETRY>(scratch(worker), view.n);
    Hit* hits = reserve_as<Hit>(scratch(worker).states, room);
    const Range mine = share(pixels.count, worker, workers);
    for (int64_t p = mine.begin; p < mine.end; p++) {
      float transmittance;
      const int count =
          find_hits(view, pixels.xy[2 * p], pixels.xy[2 * p + 1], hits, &transmittance);
      const int64_t row = p * channels.stride + channels.first;
      float remainder = 0.f;
      if (GEOMETRY) {
        for (int c = 0; c < C; c++) remainder += in.samples[row + c] * in.grad_samples[row + c];
        if (in.grad_alpha != nullptr) remainder -= transmittance * in.grad_alpha[p];
      }
      pixel_backward<C, GEOMETRY>(channels, attributes, hits, count, in.grad_samples + row,
                                  remainder, records);
    }
  });
  sum_records<C, GEOMETRY>(view, channels, workers, out);
}

}  // namespace

void blend_pixels(View& view, Channels channels, const float* attributes, PixelList pixels,
                  float* samples, float* alpha) {
#define SPLATSEG_CALL(C) pixels_forward<C>(view, channels, attributes, pixels, samples, alpha)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

void blend_pixels_backward(View& view, Channels channels, const float* attributes,
                           PixelList pixels, const float* samples, const float* grad_samples,
                           const float* grad_alpha, const BlendGradients& out) {
  const SampleGradients in = {samples, grad_samples, grad_alpha};
#define SPLATSEG_CALL(C)                                                           \
  out.means2d != nullptr                                                           \
      ? pixels_backward<C, true>(view, channels, attributes, pixels, in, out)      \
      : pixels_backward<C, false>(view, channels, attributes, pixels, in, out)
  SPLATSEG_FOR_CHANNELS(channels.count, SPLATSEG_CALL)
#undef SPLATSEG_CALL
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
