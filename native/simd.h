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

#if defined(SPLATSEG_AVX512)

struct F { __m512 v; };
struct M { __mmask16 v; };

SPLATSEG_INLINE F set1(float x) { return {_mm512_set1_ps(x)}; }
SPLATSEG_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
SPLATSEG_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
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
// p * 2^k where the low mantissa bits of `magic_k` hold the integer k.
SPLATSEG_INLINE F scale_by_power(F p, F magic_k) {
  const __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(magic_k.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), shifted))};
}
// Bit i says that values[i] > threshold.
SPLATSEG_INLINE unsigned greater(const int32_t* values, int32_t threshold) {
  return _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(values), _mm512_set1_epi32(threshold));
}
// Lane-wise partial sums of four vectors: 128-bit group j of the result sums the groups of vector j.
SPLATSEG_INLINE F fold4(F a, F b, F c, F d) {
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44),
                                  _mm512_shuffle_f32x4(a.v, b.v, 0xEE));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c.v, d.v, 0x44),
                                  _mm512_shuffle_f32x4(c.v, d.v, 0xEE));
  return {_mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD))};
}
// Within each 128-bit group: element j of the result is the sum of that group of vector j.
SPLATSEG_INLINE F sum_groups(F a, F b, F c, F d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a.v, b.v), _mm512_unpackhi_ps(a.v, b.v));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c.v, d.v), _mm512_unpackhi_ps(c.v, d.v));
  return {_mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE))};
}

#elif defined(SPLATSEG_AVX2)

struct F { __m256 a, b; };
struct M { __m256 a, b; };

SPLATSEG_INLINE F set1(float x) { const __m256 v = _mm256_set1_ps(x); return {v, v}; }
SPLATSEG_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SPLATSEG_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
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
SPLATSEG_INLINE M operator&(M x, M y) {
  return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)};
}
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
SPLATSEG_INLINE unsigned greater(const int32_t* values, int32_t threshold) {
  const __m256i t = _mm256_set1_epi32(threshold);
  const __m256i* v = reinterpret_cast<const __m256i*>(values);
  const __m256i lo = _mm256_cmpgt_epi32(_mm256_loadu_si256(v), t);
  const __m256i hi = _mm256_cmpgt_epi32(_mm256_loadu_si256(v + 1), t);
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(lo))) |
         static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(hi))) << 8;
}
SPLATSEG_INLINE F fold4(F a, F b, F c, F d) {
  const __m256 A = _mm256_add_ps(a.a, a.b), B = _mm256_add_ps(b.a, b.b);
  const __m256 C = _mm256_add_ps(c.a, c.b), D = _mm256_add_ps(d.a, d.b);
  return {_mm256_add_ps(_mm256_permute2f128_ps(A, B, 0x20), _mm256_permute2f128_ps(A, B, 0x31)),
          _mm256_add_ps(_mm256_permute2f128_ps(C, D, 0x20), _mm256_permute2f128_ps(C, D, 0x31))};
}
SPLATSEG_INLINE __m256 sum_groups_half(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
}
SPLATSEG_INLINE F sum_groups(F a, F b, F c, F d) {
  return {sum_groups_half(a.a, b.a, c.a, d.a), sum_groups_half(a.b, b.b, c.b, d.b)};
}

#else  // portable: plain loops that a compiler can vectorise

struct F { float v[LANES]; };
struct M { int32_t v[LANES]; };  // 0 or -1

#define SPLATSEG_LANES(result, expression)        \
  F result;                                       \
  for (int i = 0; i < LANES; i++) result.v[i] = (expression); \
  return result
#define SPLATSEG_MASK(result, expression)         \
  M result;                                       \
  for (int i = 0; i < LANES; i++) result.v[i] = (expression) ? -1 : 0; \
  return result
SPLATSEG_INLINE F set1(float x) { SPLATSEG_LANES(r, x); }
SPLATSEG_INLINE F load(const float* p) { F r; std::memcpy(&r, p, sizeof r); return r; }
SPLATSEG_INLINE void store(float* p, F a) { std::memcpy(p, &a, sizeof a); }
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
SPLATSEG_INLINE unsigned greater(const int32_t* values, int32_t threshold) {
  unsigned r = 0;
  for (int i = 0; i < LANES; i++) r |= static_cast<unsigned>(values[i] > threshold) << i;
  return r;
}
SPLATSEG_INLINE F fold4(F a, F b, F c, F d) {
  F r;
  for (int j = 0; j < 4; j++) {
    r.v[j] = a.v[j] + a.v[4 + j] + a.v[8 + j] + a.v[12 + j];
    r.v[4 + j] = b.v[j] + b.v[4 + j] + b.v[8 + j] + b.v[12 + j];
    r.v[8 + j] = c.v[j] + c.v[4 + j] + c.v[8 + j] + c.v[12 + j];
    r.v[12 + j] = d.v[j] + d.v[4 + j] + d.v[8 + j] + d.v[12 + j];
  }
  return r;
}
SPLATSEG_INLINE F sum_groups(F a, F b, F c, F d) {
  F r;
  for (int g = 0; g < LANES; g += 4) {
    r.v[g] = a.v[g] + a.v[g + 1] + a.v[g + 2] + a.v[g + 3];
    r.v[g + 1] = b.v[g] + b.v[g + 1] + b.v[g + 2] + b.v[g + 3];
    r.v[g + 2] = c.v[g] + c.v[g + 1] + c.v[g + 2] + c.v[g + 3];
    r.v[g + 3] = d.v[g] + d.v[g + 1] + d.v[g + 2] + d.v[g + 3];
  }
  return r;
}
#undef SPLATSEG_LANES
#undef SPLATSEG_MASK

#endif

SPLATSEG_INLINE F zero() { return set1(0.f); }
SPLATSEG_INLINE F& operator+=(F& a, F b) { a = a + b; return a; }
SPLATSEG_INLINE F operator-(F a) { return zero() - a; }
// min and max return their second argument when either is NaN, so a NaN x stays NaN.
SPLATSEG_INLINE F clamp(F x, F low, F high) { return min(high, max(low, x)); }

// 2^q for q in [-126, 126]; relative error below 2e-7 (a minimax polynomial of degree 5 with
// p(0) = 1). Adding 1.5 * 2^23 rounds q to the nearest integer and leaves that integer in the low
// mantissa bits; -ffast-math would optimise this away.
SPLATSEG_INLINE F exp2(F q) {
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

constexpr float LOG2_E = 1.44269504f;

SPLATSEG_INLINE F exp(F x) {
  return exp2(clamp(x * set1(LOG2_E), set1(-126.f), set1(126.f)));
}

// Sixteen values q[0..15], each a vector: lane k of the result is the horizontal sum of q[k].
// Callers pass the vectors of a group of sixteen in natural order.
SPLATSEG_INLINE F horizontal_sums(const F* q) {
  const F a = fold4(q[0], q[4], q[8], q[12]);
  const F b = fold4(q[1], q[5], q[9], q[13]);
  const F c = fold4(q[2], q[6], q[10], q[14]);
  const F d = fold4(q[3], q[7], q[11], q[15]);
  return sum_groups(a, b, c, d);
}

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
