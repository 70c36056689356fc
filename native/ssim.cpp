// The photometric loss (1 - w) L1 + w (1 - SSIM) and its gradient, in two passes over the image.
//
// SSIM (Wang 2004) compares local means, variances and covariance under an 11x11 Gaussian window
// (sigma 1.5, zero padding):
//   q = (2 mu_a mu_b + C1)(2 s_ab + C2) / ((mu_a² + mu_b² + C1)(s_aa + s_bb + C2)).
// The window G is symmetric, so the gradient with respect to image a is, with (*) filtering by G,
//   dq/da = G(*)D_mu + 2 a G(*)D_aa + b G(*)D_ab,
// where D_mu, D_aa and D_ab are the derivatives of q at each pixel with respect to G(*)a, G(*)(aa)
// and G(*)(ab). The first pass computes q and the three D maps, the second filters them. Both
// filter separably: each row horizontally into a ring of eleven rows, the ring vertically.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr int RADIUS = 5, TAPS = 2 * RADIUS + 1;
constexpr float WINDOW_SIGMA = 1.5f;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;  // for values in [0, 1]
constexpr int PAD = LANES;  // floats left and right of a row, at least RADIUS

struct Window {
  float tap[RADIUS + 1];  // tap[k] for the samples at distance k
  Window() {
    float sum = 0.f;
    for (int k = -RADIUS; k <= RADIUS; k++) sum += weight(k);
    for (int k = 0; k <= RADIUS; k++) tap[k] = weight(k) / sum;
  }
  static float weight(int k) { return expf(-0.5f * k * k / (WINDOW_SIGMA * WINDOW_SIGMA)); }
};

SPLATSEG_INLINE int padded_width(int width) { return (width + LANES - 1) / LANES * LANES; }

// `maps` images filtered together, row by row. Rows outside the image count as zero.
template <int MAPS>
struct RowFilter {
  const Window window;
  const int width, height, row_floats;  // row_floats: a ring row of one map
  float* source;                        // MAPS rows, each with PAD zeros on both sides
  float* ring;                          // TAPS x MAPS rows

  static size_t floats(int width) {
    const size_t row = padded_width(width);
    return MAPS * (row + 2 * PAD) + static_cast<size_t>(TAPS) * MAPS * row;
  }

  RowFilter(int width_, int height_, float* memory)
      : width(width_), height(height_), row_floats(padded_width(width_)), source(memory),
        ring(memory + MAPS * (padded_width(width_) + 2 * PAD)) {
    std::memset(memory, 0, MAPS * (row_floats + 2 * PAD) * sizeof(float));
  }

  float* source_row(int map) { return source + map * (row_floats + 2 * PAD) + PAD; }
  float* ring_row(int y, int map) {
    return ring + (static_cast<int64_t>((y + TAPS) % TAPS) * MAPS + map) * row_floats;
  }

  // Filters the source rows horizontally into row y of the ring.
  void push(int y) {
    for (int map = 0; map < MAPS; map++) {
      float* out = ring_row(y, map);
      if (y < 0 || y >= height) {
        std::memset(out, 0, row_floats * sizeof(float));
        continue;
      }
      const float* in = source_row(map);
      for (int x = 0; x < row_floats; x += LANES) {
        F sum = set1(window.tap[0]) * load(in + x);
        SPLATSEG_UNROLL
        for (int k = 1; k <= RADIUS; k++)
          sum = fma(set1(window.tap[k]), load(in + x - k) + load(in + x + k), sum);
        store(out + x, sum);
      }
    }
  }

  // Ring rows y - RADIUS .. y + RADIUS of a map, for `vertical`.
  void rows(int y, int map, const float** pointers) {
    for (int k = 0; k < TAPS; k++) pointers[k] = ring_row(y - RADIUS + k, map);
  }

  SPLATSEG_INLINE_MEMBER F vertical(const float* const* pointers, int x) const {
    F sum = set1(window.tap[0]) * load(pointers[RADIUS] + x);
    SPLATSEG_UNROLL
    for (int k = 1; k <= RADIUS; k++)
      sum = fma(set1(window.tap[k]),
                load(pointers[RADIUS - k] + x) + load(pointers[RADIUS + k] + x), sum);
    return sum;
  }
};

// A band of rows of one channel, and where its results go.
struct Band {
  int width, height, begin, end;
  const float *a, *b;        // the channel's plane
  float *d_mu, *d_aa, *d_ab; // planes of padded rows
  float* grad;
};

SPLATSEG_INLINE F first_lanes(F value, int lanes) {
  alignas(64) float t[LANES];
  store(t, value);
  return load_some(t, lanes);
}

// Sum of SSIM over the band; fills the D maps if there are any.
double ssim_band(const Band& band, float* memory) {
  const int width = band.width, row_floats = padded_width(width);
  RowFilter<5> filter(width, band.height, memory);
  const auto push = [&](int y) {
    if (y >= 0 && y < band.height) {
      const float *a = band.a + static_cast<int64_t>(y) * width;
      const float *b = band.b + static_cast<int64_t>(y) * width;
      float* rows[5];
      for (int map = 0; map < 5; map++) rows[map] = filter.source_row(map);
      for (int x = 0; x < width; x += LANES) {
        const F u = load_some(a + x, width - x), v = load_some(b + x, width - x);
        store(rows[0] + x, u);
        store(rows[1] + x, v);
        store(rows[2] + x, u * u);
        store(rows[3] + x, v * v);
        store(rows[4] + x, u * v);
      }
    }
    filter.push(y);
  };
  for (int y = band.begin - RADIUS; y < band.begin + RADIUS; y++) push(y);
  const F c1 = set1(C1), c2 = set1(C2), two = set1(2.f);
  double total = 0.;
  for (int y = band.begin; y < band.end; y++) {
    push(y + RADIUS);
    const float* rows[5][TAPS];
    for (int map = 0; map < 5; map++) filter.rows(y, map, rows[map]);
    const int64_t out = static_cast<int64_t>(y) * row_floats;
    F row_total = zero();
    for (int x = 0; x < row_floats; x += LANES) {
      const F mu_a = filter.vertical(rows[0], x), mu_b = filter.vertical(rows[1], x);
      const F s_aa = filter.vertical(rows[2], x) - mu_a * mu_a;
      const F s_bb = filter.vertical(rows[3], x) - mu_b * mu_b;
      const F s_ab = filter.vertical(rows[4], x) - mu_a * mu_b;
      const F n1 = fma(two * mu_a, mu_b, c1), n2 = fma(two, s_ab, c2);
      const F d1 = fma(mu_a, mu_a, fma(mu_b, mu_b, c1)), d2 = s_aa + s_bb + c2;
      const F inv_d1 = set1(1.f) / d1, inv_d2 = set1(1.f) / d2;
      const F q = n1 * n2 * inv_d1 * inv_d2;
      row_total += width - x < LANES ? first_lanes(q, width - x) : q;
      if (band.grad == nullptr) continue;
      const F on_ab = two * n1 * inv_d1 * inv_d2, on_aa = -q * inv_d2;
      const F direct = two * (mu_b * n2 * inv_d1 * inv_d2 - mu_a * q * inv_d1);
      // s_aa and s_ab also hold mu_a: -mu_a² and -mu_a mu_b.
      store(band.d_mu + out + x, direct - two * mu_a * on_aa - mu_b * on_ab);
      store(band.d_aa + out + x, on_aa);
      store(band.d_ab + out + x, on_ab);
    }
    total += sum_of_lanes(row_total);
  }
  return total;
}

// Sum of |a - b| over the band; writes the gradient of the whole loss if asked for.
double gradient_band(const Band& band, float weight, float inv_count, float* memory) {
  const int width = band.width, row_floats = padded_width(width);
  RowFilter<3> filter(width, band.height, memory);
  const float* maps[3] = {band.d_mu, band.d_aa, band.d_ab};
  const auto push = [&](int y) {
    if (y >= 0 && y < band.height)
      for (int map = 0; map < 3; map++)
        std::memcpy(filter.source_row(map), maps[map] + static_cast<int64_t>(y) * row_floats,
                    width * sizeof(float));
    filter.push(y);
  };
  if (band.grad != nullptr)
    for (int y = band.begin - RADIUS; y < band.begin + RADIUS; y++) push(y);
  const F l1_scale = set1((1.f - weight) * inv_count), ssim_scale = set1(-weight * inv_count);
  double total = 0.;
  for (int y = band.begin; y < band.end; y++) {
    const float *a = band.a + static_cast<int64_t>(y) * width;
    const float *b = band.b + static_cast<int64_t>(y) * width;
    F row_total = zero();
    for (int x = 0; x < width; x += LANES) {
      const F d = load_some(a + x, width - x) - load_some(b + x, width - x);
      row_total += max(d, -d);
    }
    total += sum_of_lanes(row_total);
    if (band.grad == nullptr) continue;
    push(y + RADIUS);
    const float* rows[3][TAPS];
    for (int map = 0; map < 3; map++) filter.rows(y, map, rows[map]);
    float* grad = band.grad + static_cast<int64_t>(y) * width;
    for (int x = 0; x < width; x += LANES) {
      const F u = load_some(a + x, width - x), v = load_some(b + x, width - x);
      const F ssim = fma(set1(2.f) * u, filter.vertical(rows[1], x),
                         fma(v, filter.vertical(rows[2], x), filter.vertical(rows[0], x)));
      const F sign = keep(u > v, set1(1.f)) - keep(v > u, set1(1.f));
      store_some(grad + x, fma(l1_scale, sign, ssim_scale * ssim), width - x);
    }
  }
  return total;
}

}  // namespace

void photometric(int channels, int height, int width, const float* a, const float* b, float weight,
                 double* parts, float* grad) {
  const int workers = thread_count();
  const int64_t plane = static_cast<int64_t>(height) * width;
  const int64_t map = static_cast<int64_t>(height) * padded_width(width);
  float* maps = grad == nullptr ? nullptr : reserve(scratch(0).maps, 3 * map * channels);
  double ssim_sums[MAX_THREADS] = {}, l1_sums[MAX_THREADS] = {};
  const auto for_bands = [&](auto&& use) {
    parallel([&](int worker) {
      const Range rows = share(height, worker, workers);
      float* memory = reserve(scratch(worker).staged, RowFilter<5>::floats(width));
      for (int c = 0; c < channels && rows.begin < rows.end; c++) {
        float* m = maps + 3 * map * c;
        use(worker, memory,
            Band{width, height, static_cast<int>(rows.begin), static_cast<int>(rows.end),
                 a + c * plane, b + c * plane, m, m + map, m + 2 * map,
                 grad == nullptr ? nullptr : grad + c * plane});
      }
    });
  };
  for_bands([&](int worker, float* memory, const Band& band) {
    ssim_sums[worker] += ssim_band(band, memory);
  });
  const float inv_count = 1.f / (static_cast<float>(channels) * plane);
  for_bands([&](int worker, float* memory, const Band& band) {
    l1_sums[worker] += gradient_band(band, weight, inv_count, memory);
  });
  parts[0] = parts[1] = 0.;
  for (int worker = 0; worker < workers; worker++) {
    parts[0] += l1_sums[worker] * inv_count;
    parts[1] += ssim_sums[worker] * inv_count;
  }
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
