// Sixteen float lanes, with one implementation per instruction set.
//
// `F` holds sixteen floats, `M` sixteen booleans. A 4x4 pixel block, or sixteen Gaussians, fill one
// `F`. Every kernel is written once against this header and compiled once per instruction set, with
// SPLATSEG_ISA naming its namespace. Everything here has internal linkage on purpose: the linker
// must never pick the AVX-512 copy of a function for a machine without AVX-512. For the same reason
// the kernels use no std:: templates.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define SPLATSEG_AVX512
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__)
#define SPLATSEG_AVX2
#include <immintrin.h>
#endif

#if defined(_MSC_VER)
#define SPLATSEG_INLINE static __forceinline
#define SPLATSEG_INLINE_MEMBER __forceinline
#define SPLATSEG_PREFETCH(p) ((void)0)
#define SPLATSEG_PREFETCH_WRITE(p) ((void)0)
#define SPLATSEG_UNROLL
#include <intrin.h>
#else
#define SPLATSEG_INLINE static inline __attribute__((always_inline))
#define SPLATSEG_INLINE_MEMBER inline __attribute__((always_inline))
#define SPLATSEG_PREFETCH(p) __builtin_prefetch(p)
#define SPLATSEG_PREFETCH_WRITE(p) __builtin_prefetch(p, 1)
#if defined(__clang__)
#define SPLATSEG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SPLATSEG_UNROLL _Pragma("GCC unroll 64")
#endif
#endif

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr int LANES = 16;

// Hides from the compiler that what `p` points at stays the same from one round of a loop to the
// next. It would broadcast each float once, before the loop, and keep the copies on the stack,
// where reading them costs as much as broadcasting does.
template <class T>
SPLATSEG_INLINE const T* reread(const T* p) {
#if !defined(_MSC_VER)
  asm("" : "+r"(p));
#endif
  return p;
}

#if defined(SPLATSEG_AVX512)

struct F {
  __m512 v;
};
struct M {
  __mmask16 v;
};

SPLATSEG_INLINE F set1(float x) { return {_mm512_set1_ps(x)}; }
SPLATSEG_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
SPLATSEG_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
// Past the caches, without reading what was there: for large results, at multiples of 64 bytes.
// Other threads may read them after stream_end().
SPLATSEG_INLINE void stream(float* p, F a) { _mm512_stream_ps(p, a.v); }
SPLATSEG_INLINE void stream_end() { _mm_sfence(); }
SPLATSEG_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
SPLATSEG_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
SPLATSEG_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
SPLATSEG_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
SPLATSEG_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SPLATSEG_INLINE F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
SPLATSEG_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
SPLATSEG_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
SPLATSEG_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
SPLATSEG_INLINE M operator>=(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
SPLATSEG_INLINE M operator>(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
SPLATSEG_INLINE M operator&(M a, M b) { return {static_cast<__mmask16>(a.v & b.v)}; }
SPLATSEG_INLINE unsigned bits(M m) { return m.v; }
SPLATSEG_INLINE F select(M m, F a, F b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
SPLATSEG_INLINE F keep(M m, F a) { return {_mm512_maskz_mov_ps(m.v, a.v)}; }
// Reciprocal with one Newton step: relative error about 2^-27.
SPLATSEG_INLINE F reciprocal(F a) {
  const __m512 r = _mm512_rcp14_ps(a.v);
  return {_mm512_mul_ps(r, _mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(2.f)))};
}
// 2^(k/16) where the low mantissa bits of `magic_k` hold the integer k: a sixteen-entry table of
// the fractions (lane i holds 2^(i/16), less i in the place where the shift leaves k's low bits).
SPLATSEG_INLINE F sixteenths_power(F magic_k) {
  const __m512i table =
      _mm512_setr_epi32(0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532,
                        0x3f75fed7, 0x3f75583f, 0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c,
                        0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
  const __m512i k = _mm512_castps_si512(magic_k.v);
  return {_mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_permutexvar_epi32(k, table), _mm512_slli_epi32(k, 19)))};
}
// x = mantissa * 2^(returned), mantissa in [1, 2), for positive normal x.
SPLATSEG_INLINE F split(F x, F* mantissa) {
  *mantissa = {_mm512_getmant_ps(x.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)};
  return {_mm512_getexp_ps(x.v)};
}
// Rows to columns: sixteen vectors as a 16x16 matrix.
SPLATSEG_INLINE void transpose(F* rows) {
  __m512 t[LANES];
  SPLATSEG_UNROLL
  for (int i = 0; i < LANES; i += 4) {
    const __m512 ab_low = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    const __m512 ab_high = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
    const __m512 cd_low = _mm512_unpacklo_ps(rows[i + 2].v, rows[i + 3].v);
    const __m512 cd_high = _mm512_unpackhi_ps(rows[i + 2].v, rows[i + 3].v);
    t[i] = _mm512_shuffle_ps(ab_low, cd_low, 0x44);
    t[i + 1] = _mm512_shuffle_ps(ab_low, cd_low, 0xEE);
    t[i + 2] = _mm512_shuffle_ps(ab_high, cd_high, 0x44);
    t[i + 3] = _mm512_shuffle_ps(ab_high, cd_high, 0xEE);
  }
  // t[4 r + c]: lane 4 g + i holds rows[4 r + i], column 4 g + c.
  SPLATSEG_UNROLL
  for (int c = 0; c < 4; c++) {
    const __m512 left = _mm512_shuffle_f32x4(t[c], t[4 + c], 0x44);
    const __m512 right = _mm512_shuffle_f32x4(t[c], t[4 + c], 0xEE);
    const __m512 left2 = _mm512_shuffle_f32x4(t[8 + c], t[12 + c], 0x44);
    const __m512 right2 = _mm512_shuffle_f32x4(t[8 + c], t[12 + c], 0xEE);
    rows[c].v = _mm512_shuffle_f32x4(left, left2, 0x88);
    rows[4 + c].v = _mm512_shuffle_f32x4(left, left2, 0xDD);
    rows[8 + c].v = _mm512_shuffle_f32x4(right, right2, 0x88);
    rows[12 + c].v = _mm512_shuffle_f32x4(right, right2, 0xDD);
  }
}

#elif defined(SPLATSEG_AVX2)

struct F {
  __m256 a, b;
};
struct M {
  __m256 a, b;
};

SPLATSEG_INLINE F set1(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
SPLATSEG_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SPLATSEG_INLINE void store(float* p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
SPLATSEG_INLINE void stream(float* p, F x) {
  _mm256_stream_ps(p, x.a);
  _mm256_stream_ps(p + 8, x.b);
}
SPLATSEG_INLINE void stream_end() { _mm_sfence(); }
#define SPLATSEG_BINARY(name, intrinsic) \
  SPLATSEG_INLINE F name(F x, F y) { return {intrinsic(x.a, y.a), intrinsic(x.b, y.b)}; }
SPLATSEG_BINARY(operator+, _mm256_add_ps)
SPLATSEG_BINARY(operator-, _mm256_sub_ps)
SPLATSEG_BINARY(operator*, _mm256_mul_ps)
SPLATSEG_BINARY(operator/, _mm256_div_ps)
SPLATSEG_BINARY(min, _mm256_min_ps)
SPLATSEG_BINARY(max, _mm256_max_ps)
#undef SPLATSEG_BINARY
SPLATSEG_INLINE F fma(F x, F y, F z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
SPLATSEG_INLINE F fnma(F x, F y, F z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
SPLATSEG_INLINE F sqrt(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
SPLATSEG_INLINE M operator>=(F x, F y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)};
}
SPLATSEG_INLINE M operator>(F x, F y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)};
}
SPLATSEG_INLINE M operator&(M x, M y) { return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)}; }
SPLATSEG_INLINE unsigned bits(M m) {
  return static_cast<unsigned>(_mm256_movemask_ps(m.a)) |
         static_cast<unsigned>(_mm256_movemask_ps(m.b)) << 8;
}
SPLATSEG_INLINE F select(M m, F x, F y) {
  return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
SPLATSEG_INLINE F keep(M m, F x) { return {_mm256_and_ps(m.a, x.a), _mm256_and_ps(m.b, x.b)}; }
// Reciprocal with two Newton steps: the 12-bit estimate needs both.
SPLATSEG_INLINE F reciprocal(F x) {
  const F two = set1(2.f);
  F r = {_mm256_rcp_ps(x.a), _mm256_rcp_ps(x.b)};
  r = r * fnma(x, r, two);
  return r * fnma(x, r, two);
}
SPLATSEG_INLINE __m256 scale_half(__m256 p, __m256 k) {
  const __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(k), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted));
}
SPLATSEG_INLINE F scale_by_power(F p, F k) { return {scale_half(p.a, k.a), scale_half(p.b, k.b)}; }
SPLATSEG_INLINE __m256 split_half(__m256 x, __m256* mantissa) {
  const __m256i bits = _mm256_castps_si256(x), ones = _mm256_set1_epi32(0x3f800000);
  const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007fffff));
  *mantissa = _mm256_castsi256_ps(_mm256_or_si256(fraction, ones));
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_sub_epi32(bits, ones), 23));
}
SPLATSEG_INLINE F split(F x, F* mantissa) {
  return {split_half(x.a, &mantissa->a), split_half(x.b, &mantissa->b)};
}
// Transposes the 8x8 matrix whose rows are every `stride`-th of `rows`.
SPLATSEG_INLINE void transpose8(__m256* rows, int stride) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 4) {
    const __m256 a = rows[i * stride], b = rows[(i + 1) * stride];
    const __m256 c = rows[(i + 2) * stride], d = rows[(i + 3) * stride];
    const __m256 ab_low = _mm256_unpacklo_ps(a, b), ab_high = _mm256_unpackhi_ps(a, b);
    const __m256 cd_low = _mm256_unpacklo_ps(c, d), cd_high = _mm256_unpackhi_ps(c, d);
    t[i] = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
    t[i + 1] = _mm256_shuffle_ps(ab_low, cd_low, 0xEE);
    t[i + 2] = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
    t[i + 3] = _mm256_shuffle_ps(ab_high, cd_high, 0xEE);
  }
  for (int c = 0; c < 4; c++) {
    rows[c * stride] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x20);
    rows[(4 + c) * stride] = _mm256_permute2f128_ps(t[c], t[4 + c], 0x31);
  }
}
// Four 8x8 blocks: each is transposed, and the two off the diagonal change places.
SPLATSEG_INLINE void transpose(F* rows) {
  transpose8(&rows[0].a, 2);
  transpose8(&rows[0].b, 2);
  transpose8(&rows[8].a, 2);
  transpose8(&rows[8].b, 2);
  for (int i = 0; i < 8; i++) {
    const __m256 t = rows[i].b;
    rows[i].b = rows[8 + i].a;
    rows[8 + i].a = t;
  }
}

#else  // portable: plain loops that a compiler can vectorize

struct F {
  float v[LANES];
};
struct M {
  int32_t v[LANES];
};  // 0 or -1

#define SPLATSEG_LANES(result, expression)                    \
  F result;                                                   \
  for (int i = 0; i < LANES; i++) result.v[i] = (expression); \
  return result
#define SPLATSEG_MASK(result, expression)                              \
  M result;                                                            \
  for (int i = 0; i < LANES; i++) result.v[i] = (expression) ? -1 : 0; \
  return result
SPLATSEG_INLINE F set1(float x) { SPLATSEG_LANES(r, x); }
SPLATSEG_INLINE F load(const float* p) {
  F r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
SPLATSEG_INLINE void store(float* p, F a) { std::memcpy(p, &a, sizeof a); }
SPLATSEG_INLINE void stream(float* p, F a) { store(p, a); }
SPLATSEG_INLINE void stream_end() {}
SPLATSEG_INLINE F operator+(F a, F b) { SPLATSEG_LANES(r, a.v[i] + b.v[i]); }
SPLATSEG_INLINE F operator-(F a, F b) { SPLATSEG_LANES(r, a.v[i] - b.v[i]); }
SPLATSEG_INLINE F operator*(F a, F b) { SPLATSEG_LANES(r, a.v[i] * b.v[i]); }
SPLATSEG_INLINE F operator/(F a, F b) { SPLATSEG_LANES(r, a.v[i] / b.v[i]); }
SPLATSEG_INLINE F fma(F a, F b, F c) { SPLATSEG_LANES(r, a.v[i] * b.v[i] + c.v[i]); }
SPLATSEG_INLINE F fnma(F a, F b, F c) { SPLATSEG_LANES(r, c.v[i] - a.v[i] * b.v[i]); }
SPLATSEG_INLINE F min(F a, F b) { SPLATSEG_LANES(r, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
SPLATSEG_INLINE F max(F a, F b) { SPLATSEG_LANES(r, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
SPLATSEG_INLINE F sqrt(F a) { SPLATSEG_LANES(r, sqrtf(a.v[i])); }
SPLATSEG_INLINE M operator>=(F a, F b) { SPLATSEG_MASK(r, a.v[i] >= b.v[i]); }
SPLATSEG_INLINE M operator>(F a, F b) { SPLATSEG_MASK(r, a.v[i] > b.v[i]); }
SPLATSEG_INLINE M operator&(M a, M b) { SPLATSEG_MASK(r, a.v[i] & b.v[i]); }
SPLATSEG_INLINE unsigned bits(M m) {
  unsigned r = 0;
  for (int i = 0; i < LANES; i++) r |= static_cast<unsigned>(m.v[i] & 1) << i;
  return r;
}
SPLATSEG_INLINE F select(M m, F a, F b) { SPLATSEG_LANES(r, m.v[i] ? a.v[i] : b.v[i]); }
SPLATSEG_INLINE F keep(M m, F a) { SPLATSEG_LANES(r, m.v[i] ? a.v[i] : 0.f); }
SPLATSEG_INLINE F reciprocal(F a) { SPLATSEG_LANES(r, 1.f / a.v[i]); }
SPLATSEG_INLINE F scale_by_power(F p, F magic_k) {
  uint32_t u[LANES], k[LANES];
  std::memcpy(u, &p, sizeof u);
  std::memcpy(k, &magic_k, sizeof k);
  for (int i = 0; i < LANES; i++) u[i] += k[i] << 23;
  F r;
  std::memcpy(&r, u, sizeof r);
  return r;
}
SPLATSEG_INLINE F split(F x, F* mantissa) {
  uint32_t bits[LANES];
  F exponent;
  std::memcpy(bits, &x, sizeof bits);
  for (int i = 0; i < LANES; i++)
    exponent.v[i] = static_cast<float>(static_cast<int32_t>(bits[i] - 0x3f800000) >> 23);
  for (int i = 0; i < LANES; i++) bits[i] = (bits[i] & 0x007fffff) | 0x3f800000;
  std::memcpy(mantissa, bits, sizeof bits);
  return exponent;
}
SPLATSEG_INLINE void transpose(F* rows) {
  for (int i = 0; i < LANES; i++) {
    for (int j = 0; j < i; j++) {
      const float t = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i];
      rows[j].v[i] = t;
    }
  }
}
#undef SPLATSEG_LANES
#undef SPLATSEG_MASK

#endif

SPLATSEG_INLINE F zero() { return set1(0.f); }
SPLATSEG_INLINE F& operator+=(F& a, F b) {
  a = a + b;
  return a;
}
SPLATSEG_INLINE F operator-(F a) { return zero() - a; }
// min and max return their second argument when either is NaN, so a NaN x stays NaN.
SPLATSEG_INLINE F clamp(F x, F low, F high) { return min(high, max(low, x)); }

// 2^q for q in [-126, 126]: adding 1.5 * 2^23 (or 2^19) rounds q to a whole number (of sixteenths)
// and leaves it in the low mantissa bits; the rest f goes into a minimax polynomial with p(0) = 1.
// -ffast-math would optimize this away.
#if defined(SPLATSEG_AVX512)
SPLATSEG_INLINE F exp2(F q) {  // relative error below 6e-7
  const F magic = set1(786432.f);
  const F shifted = q + magic;
  const F f = q - (shifted - magic);
  const F p = fma(fma(set1(0.24023462f), f, set1(0.693188f)), f, set1(1.f));
  return p * sixteenths_power(shifted);
}
#else
SPLATSEG_INLINE F exp2(F q) {  // relative error below 2e-7
  const F magic = set1(12582912.f);
  const F shifted = q + magic;
  const F f = q - (shifted - magic);
  F p = fma(set1(1.32647271e-3f), f, set1(9.67151286e-3f));
  p = fma(p, f, set1(5.55073375e-2f));
  p = fma(p, f, set1(2.40222421e-1f));
  p = fma(p, f, set1(6.93146978e-1f));
  p = fma(p, f, set1(1.f));
  return scale_by_power(p, shifted);
}
#endif

constexpr float LOG2_E = 1.44269504f, HALF_LOG2_E = 0.5f * LOG2_E;

SPLATSEG_INLINE F exp(F x) { return exp2(clamp(x * set1(LOG2_E), set1(-126.f), set1(126.f))); }

// The first `lanes` of sixteen floats; the others read as zero and are not written.
SPLATSEG_INLINE F load_some(const float* p, int lanes) {
  if (lanes >= LANES) return load(p);
  alignas(64) float t[LANES] = {};
  for (int i = 0; i < lanes; i++) t[i] = p[i];
  return load(t);
}
SPLATSEG_INLINE void store_some(float* p, F a, int lanes) {
  if (lanes >= LANES) return store(p, a);
  alignas(64) float t[LANES];
  store(t, a);
  for (int i = 0; i < lanes; i++) p[i] = t[i];
}
SPLATSEG_INLINE double sum_of_lanes(F a) {
  alignas(64) float t[LANES];
  store(t, a);
  double sum = 0.;
  for (int i = 0; i < LANES; i++) sum += t[i];
  return sum;
}

// log2 of positive normal numbers; absolute error below 2e-7. With m = (1 + t) / (1 - t),
// log2(m) = 2 / ln 2 (t + t³/3 + t⁵/5 + ...), and |t| < 0.172 for m in [1/sqrt 2, sqrt 2].
SPLATSEG_INLINE F log2(F x) {
  const F one = set1(1.f);
  F m, exponent = split(x, &m);
  const M upper = m > set1(1.41421356f);
  m = select(upper, set1(0.5f) * m, m);
  exponent = select(upper, exponent + one, exponent);
  const F t = (m - one) / (m + one), tt = t * t;
  F p = fma(set1(0.32059890f), tt, set1(0.41219858f));
  p = fma(p, tt, set1(0.57707802f));
  p = fma(p, tt, set1(0.96179669f));
  return fma(t, fma(p, tt, set1(2.88539008f)), exponent);
}

// rows[0..LANES) of D floats -> D vectors; lanes beyond `lanes` repeat the last row.
template <int D>
SPLATSEG_INLINE void transpose_in(const float* rows, int lanes, int stride, F* out) {
  alignas(64) float t[D][LANES];
  for (int lane = 0; lane < LANES; lane++) {
    const float* row = rows + static_cast<int64_t>(lane < lanes ? lane : lanes - 1) * stride;
    for (int d = 0; d < D; d++) t[d][lane] = row[d];
  }
  for (int d = 0; d < D; d++) out[d] = load(t[d]);
}

template <int D>
SPLATSEG_INLINE void transpose_out(const F* in, int lanes, int stride, float* rows) {
  alignas(64) float t[D][LANES];
  for (int d = 0; d < D; d++) store(t[d], in[d]);
  for (int lane = 0; lane < lanes; lane++)
    for (int d = 0; d < D; d++) rows[static_cast<int64_t>(lane) * stride + d] = t[d][lane];
}

SPLATSEG_INLINE int minimum(int a, int b) { return a < b ? a : b; }

SPLATSEG_INLINE int count_trailing_zeros(unsigned x) {
#if defined(_MSC_VER)
  unsigned long index;
  _BitScanForward(&index, x);
  return static_cast<int>(index);
#else
  return __builtin_ctz(x);
#endif
}

}  // namespace
}  // namespace SPLATSEG_ISA
}  // namespace splatseg
