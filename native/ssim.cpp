// The photometric loss (1 - w) L1 + w (1 - SSIM) and its gradient, in two passes over the image.
//
// SSIM (Wang 2004) compares local means, variances and covariance under an 11x11 Gaussian window
// (sigma 1.5, zero padding):
//   q = (2 mu_a mu_b + C1)(2 s_ab + C2) / ((mu_a² + mu_b² + C1)(s_aa + s_bb + C2)).
// s_aa and s_bb only occur as their sum, so four maps are filtered: a, b, aa + bb and ab. The window
// G is symmetric, so the gradient with respect to image a is, with (*) filtering by G,
//   dq/da = G(*)D_mu + 2 a G(*)D_aa + b G(*)D_ab,
// where D_mu, D_aa and D_ab are the derivatives of q at each pixel with respect to G(*)a, G(*)(aa)
// and G(*)(ab). The first pass computes q and the three D maps, the second filters them. Both
// filter separably: each row horizontally into a ring of eleven rows, the ring vertically; in
// strips of columns, so that the ring stays in the first cache.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr int RADIUS = 5, TAPS = 2 * RADIUS + 1;
constexpr float WINDOW_SIGMA = 1.5f;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;  // for values in [0, 1]
constexpr int PAD = LANES;  // columns left and right of a strip's that are read, at least RADIUS
constexpr int STRIP = 96;   // columns of a strip: whole vectors
constexpr int PADDED = STRIP + 2 * PAD;

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

// A strip's share of `MAPS` images, filtered together row by row. What lies outside the image
// counts as zero.
template <int MAPS>
struct RowFilter {
  const Window window;
  alignas(64) float source[MAPS][PADDED];  // a row, PAD columns more on both sides
  alignas(64) float ring[TAPS][MAPS][STRIP];

  // Filters the source rows horizontally into row y of the ring.
  void push(int y) {
    for (int map = 0; map < MAPS; map++) {
      const float* in = source[map] + PAD;
      for (int x = 0; x < STRIP; x += LANES) {
        F sum = set1(window.tap[0]) * load(in + x);
        SPLATSEG_UNROLL
        for (int k = 1; k <= RADIUS; k++)
          sum = fma(set1(window.tap[k]), load(in + x - k) + load(in + x + k), sum);
        store(ring[ring_row(y)][map] + x, sum);
      }
    }
  }
  void push_zeros(int y) { std::memset(ring[ring_row(y)], 0, sizeof ring[0]); }

  static int ring_row(int y) { return (y + TAPS) % TAPS; }

  // Ring rows y - RADIUS .. y + RADIUS of a map, for `vertical`.
  void rows(int y, int map, const float** pointers) const {
    for (int k = 0; k < TAPS; k++) pointers[k] = ring[ring_row(y - RADIUS + k)][map];
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

// A strip of a band of rows of one channel, and where its results go.
struct Band {
  int width, height, begin, end, left;  // rows [begin, end), columns [left, left + STRIP)
  const float *a, *b;                   // the channel's plane
  float *d_mu, *d_aa, *d_ab;            // planes of padded rows
  float* grad;

  int columns() const { return minimum(STRIP, width - left); }

  // Calls use(x, lanes) for the vectors of a row with PAD columns more on both sides: x counts from
  // `left`, and the first `lanes` columns lie in the image.
  template <class Use>
  void for_padded_row(Use use) const {
    for (int x = -PAD; x < STRIP + PAD; x += LANES)
      use(x, left + x < 0 || left + x > width ? 0 : minimum(LANES, width - left - x));
  }
};

SPLATSEG_INLINE F first_lanes(F value, int lanes) {
  if (lanes >= LANES) return value;
  alignas(64) float t[LANES];
  store(t, value);
  return load_some(t, lanes);
}

// Sum of SSIM over the band; fills the D maps if there are any.
double ssim_band(const Band& band) {
  const int width = band.width, row_floats = padded_width(width);
  RowFilter<4> filter;
  const auto push = [&](int y) {
    if (y < 0 || y >= band.height) return filter.push_zeros(y);
    const float* a = band.a + static_cast<int64_t>(y) * width + band.left;
    const float* b = band.b + static_cast<int64_t>(y) * width + band.left;
    band.for_padded_row([&](int x, int lanes) {
      const F u = load_some(a + x, lanes), v = load_some(b + x, lanes);
      const F maps[4] = {u, v, fma(u, u, v * v), u * v};
      for (int map = 0; map < 4; map++) store(filter.source[map] + PAD + x, maps[map]);
    });
    filter.push(y);
  };
  for (int y = band.begin - RADIUS; y < band.begin + RADIUS; y++) push(y);
  const F c1 = set1(C1), c2 = set1(C2), two = set1(2.f);
  double total = 0.;
  for (int y = band.begin; y < band.end; y++) {
    push(y + RADIUS);
    const float* rows[4][TAPS];
    for (int map = 0; map < 4; map++) filter.rows(y, map, rows[map]);
    const int64_t out = static_cast<int64_t>(y) * row_floats + band.left;
    F row_total = zero();
    for (int x = 0; x < band.columns(); x += LANES) {
      const F mu_a = filter.vertical(rows[0], x), mu_b = filter.vertical(rows[1], x);
      const F means = fma(mu_a, mu_a, mu_b * mu_b);
      const F s_aa_bb = filter.vertical(rows[2], x) - means;
      const F s_ab = filter.vertical(rows[3], x) - mu_a * mu_b;
      const F n1 = fma(two * mu_a, mu_b, c1), n2 = fma(two, s_ab, c2);
      const F d1 = means + c1, d2 = s_aa_bb + c2;
      const F inv_d1 = set1(1.f) / d1, inv_d2 = set1(1.f) / d2;
      const F q = n1 * n2 * inv_d1 * inv_d2;
      row_total += first_lanes(q, band.columns() - x);
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
double gradient_band(const Band& band, float weight, float inv_count) {
  const int width = band.width, row_floats = padded_width(width), columns = band.columns();
  RowFilter<3> filter;
  const float* maps[3] = {band.d_mu, band.d_aa, band.d_ab};
  const auto push = [&](int y) {
    if (y < 0 || y >= band.height) return filter.push_zeros(y);
    const int64_t start = static_cast<int64_t>(y) * row_floats + band.left;
    band.for_padded_row([&](int x, int lanes) {
      for (int map = 0; map < 3; map++)
        store(filter.source[map] + PAD + x, load_some(maps[map] + start + x, lanes));
    });
    filter.push(y);
  };
  if (band.grad != nullptr)
    for (int y = band.begin - RADIUS; y < band.begin + RADIUS; y++) push(y);
  const F l1_scale = set1((1.f - weight) * inv_count), ssim_scale = set1(-weight * inv_count);
  double total = 0.;
  for (int y = band.begin; y < band.end; y++) {
    const int64_t start = static_cast<int64_t>(y) * width + band.left;
    const float *a = band.a + start, *b = band.b + start;
    F row_total = zero();
    for (int x = 0; x < columns; x += LANES) {
      const F d = load_some(a + x, columns - x) - load_some(b + x, columns - x);
      row_total += max(d, -d);
    }
    total += sum_of_lanes(row_total);
    if (band.grad == nullptr) continue;
    push(y + RADIUS);
    const float* rows[3][TAPS];
    for (int map = 0; map < 3; map++) filter.rows(y, map, rows[map]);
    for (int x = 0; x < columns; x += LANES) {
      const F u = load_some(a + x, columns - x), v = load_some(b + x, columns - x);
      const F ssim = fma(set1(2.f) * u, filter.vertical(rows[1], x),
                         fma(v, filter.vertical(rows[2], x), filter.vertical(rows[0], x)));
      const F sign = keep(u > v, set1(1.f)) - keep(v > u, set1(1.f));
      store_some(band.grad + start + x, fma(l1_scale, sign, ssim_scale * ssim), columns - x);
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
      if (rows.begin == rows.end) return;
      for (int c = 0; c < channels; c++) {
        float* m = maps + 3 * map * c;
        for (int left = 0; left < width; left += STRIP)
          use(worker, Band{width, height, static_cast<int>(rows.begin), static_cast<int>(rows.end),
                           left, a + c * plane, b + c * plane, m, m + map, m + 2 * map,
                           grad == nullptr ? nullptr : grad + c * plane});
      }
    });
  };
  for_bands([&](int worker, const Band& band) { ssim_sums[worker] += ssim_band(band); });
  const float inv_count = 1.f / (static_cast<float>(channels) * plane);
  for_bands([&](int worker, const Band& band) {
    l1_sums[worker] += gradient_band(band, weight, inv_count);
  });
  parts[0] = parts[1] = 0.;
  for (int worker = 0; worker < workers; worker++) {
    parts[0] += l1_sums[worker] * inv_count;
    parts[1] += ssim_sums[worker] * inv_count;
  }
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
