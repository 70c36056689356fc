// Projection: 3D Gaussians to 2D Gaussians, sixteen at a time, and its gradient.
//
//   x_c = R m + t                                    camera coordinates (X, Y, Z)
//   (u, v) = (fx X/Z + cx, fy Y/Z + cy)              center in the image
//   J = [fx/Z 0 -fx tx/Z; 0 fy/Z -fy ty/Z]           Jacobian there; tx = X/Z, ty = Y/Z, clamped so
//                                                    that grazing Gaussians do not explode
//   A = J R Q S,  covariance = A A^T + BLUR I        Q: rotation of the quaternion, S: scales
//   conic = covariance^-1
//   color = max(0, 0.5 + sum_k Y_k(direction) sh_k) direction from the camera center to m
//
// EWA splatting (Zwicker 2001) as 3D Gaussian Splatting (Kerbl 2023) uses it. Arrays are read and
// written Gaussian by Gaussian and transposed here into one vector per component.
#include "kernels.h"
#include "simd.h"
#include "threads.h"

namespace splatseg {
namespace SPLATSEG_ISA {
namespace {

constexpr float BLUR = 0.3f;     // pixels², so that no Gaussian falls between pixels (3DGS)
constexpr float MARGIN = 0.15f;  // of the image size, beyond its edge, where tx and ty clamp
constexpr int MAX_SH = 16;
constexpr int AHEAD = 2 * LANES;     // Gaussians whose coefficients are fetched before their turn
constexpr float MAX_DET = 3.4e38f;   // the largest finite number
constexpr float MIN_NORM2 = 1e-24f;  // avoids 0/0: a zero quaternion means no rotation

struct Vec3 {
  F x, y, z;
};

SPLATSEG_INLINE F dot(Vec3 a, Vec3 b) { return fma(a.x, b.x, fma(a.y, b.y, a.z * b.z)); }
SPLATSEG_INLINE Vec3 operator*(F s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
SPLATSEG_INLINE Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
SPLATSEG_INLINE Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
SPLATSEG_INLINE Vec3 vec(const float* p) { return {set1(p[0]), set1(p[1]), set1(p[2])}; }

// What the forward pass computes on its way and the backward pass needs again.
struct Projection {
  Vec3 camera;      // x_c
  F inv_z, tx, ty;  // 1/Z; clamped X/Z and Y/Z
  M valid, inside_x, inside_y;
  F quat[4], inv_norm;  // unit quaternion; 1 / length of the stored one
  Vec3 q[3];            // rows of Q
  Vec3 u[2];            // rows of J R
  Vec3 v[2];            // rows of J R Q
  Vec3 scale;
  Vec3 a[2];  // rows of A
  F conic[3];
};

SPLATSEG_INLINE void rotation_rows(const F* q, Vec3* rows) {
  const F one = set1(1.f), two = set1(2.f);
  const F w = q[0], x = q[1], y = q[2], z = q[3];
  rows[0] = {one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)};
  rows[1] = {two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)};
  rows[2] = {two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)};
}

SPLATSEG_INLINE Projection project_lanes(const splatseg_gaussians& g, const splatseg_camera& camera,
                                         int64_t first, int lanes) {
  Projection p;
  F mean[3], log_scale[3];
  transpose_in<3>(g.means + 3 * first, lanes, 3, mean);
  transpose_in<4>(g.quats + 4 * first, lanes, 4, p.quat);
  transpose_in<3>(g.log_scales + 3 * first, lanes, 3, log_scale);

  const float* R = camera.rotation;
  const Vec3 m = {mean[0], mean[1], mean[2]};
  p.camera = Vec3{dot(vec(R), m), dot(vec(R + 3), m), dot(vec(R + 6), m)} + vec(camera.translation);
  p.valid = p.camera.z > set1(camera.near_plane);
  // Invalid lanes get depth 1: their results are finite and then dropped.
  p.inv_z = set1(1.f) / select(p.valid, p.camera.z, set1(1.f));
  const F x = p.camera.x * p.inv_z, y = p.camera.y * p.inv_z;
  const float mx = MARGIN * camera.width, my = MARGIN * camera.height;
  const F x_low = set1((-camera.cx - mx) / camera.fx);
  const F x_high = set1((camera.width - camera.cx + mx) / camera.fx);
  const F y_low = set1((-camera.cy - my) / camera.fy);
  const F y_high = set1((camera.height - camera.cy + my) / camera.fy);
  p.tx = clamp(x, x_low, x_high);
  p.ty = clamp(y, y_low, y_high);
  p.inside_x = (x >= x_low) & (x_high >= x);
  p.inside_y = (y >= y_low) & (y_high >= y);

  F norm2 = p.quat[0] * p.quat[0];
  for (int i = 1; i < 4; i++) norm2 = fma(p.quat[i], p.quat[i], norm2);
  p.inv_norm = set1(1.f) / sqrt(max(norm2, set1(MIN_NORM2)));
  for (int i = 0; i < 4; i++) p.quat[i] = p.quat[i] * p.inv_norm;
  rotation_rows(p.quat, p.q);
  p.scale = {exp(log_scale[0]), exp(log_scale[1]), exp(log_scale[2])};

  const F jx = set1(camera.fx) * p.inv_z, jy = set1(camera.fy) * p.inv_z;
  p.u[0] = jx * (vec(R) - p.tx * vec(R + 6));
  p.u[1] = jy * (vec(R + 3) - p.ty * vec(R + 6));
  for (int i = 0; i < 2; i++) {
    p.v[i] = p.u[i].x * p.q[0] + (p.u[i].y * p.q[1] + p.u[i].z * p.q[2]);
    p.a[i] = {p.v[i].x * p.scale.x, p.v[i].y * p.scale.y, p.v[i].z * p.scale.z};
  }
  const F xx = dot(p.a[0], p.a[0]) + set1(BLUR);
  const F xy = dot(p.a[0], p.a[1]);
  const F yy = dot(p.a[1], p.a[1]) + set1(BLUR);
  const F det = xx * yy - xy * xy;
  // Scales that overflow, needles whose determinant rounds to nothing, NaN: not drawn, no gradient.
  p.valid = p.valid & (det > zero()) & (set1(MAX_DET) >= det);
  const F inv_det = set1(1.f) / select(p.valid, det, set1(1.f));
  p.conic[0] = yy * inv_det;
  p.conic[1] = -xy * inv_det;
  p.conic[2] = xx * inv_det;
  return p;
}

// Real spherical harmonics up to degree 3 at unit direction d, in 3DGS's order and signs.
SPLATSEG_INLINE void sh_basis(Vec3 d, int degree, F* basis) {
  const F x = d.x, y = d.y, z = d.z;
  basis[0] = set1(0.28209479f);
  if (degree < 1) return;
  basis[1] = set1(-0.48860251f) * y;
  basis[2] = set1(0.48860251f) * z;
  basis[3] = set1(-0.48860251f) * x;
  if (degree < 2) return;
  const F xx = x * x, yy = y * y, zz = z * z;
  basis[4] = set1(1.09254843f) * x * y;
  basis[5] = set1(-1.09254843f) * y * z;
  basis[6] = set1(0.31539157f) * (set1(2.f) * zz - xx - yy);
  basis[7] = set1(-1.09254843f) * x * z;
  basis[8] = set1(0.54627422f) * (xx - yy);
  if (degree < 3) return;
  basis[9] = set1(-0.59004359f) * y * (set1(3.f) * xx - yy);
  basis[10] = set1(2.89061144f) * x * y * z;
  basis[11] = set1(-0.45704580f) * y * (set1(4.f) * zz - xx - yy);
  basis[12] = set1(0.37317633f) * z * (set1(2.f) * zz - set1(3.f) * (xx + yy));
  basis[13] = set1(-0.45704580f) * x * (set1(4.f) * zz - xx - yy);
  basis[14] = set1(1.44530572f) * z * (xx - yy);
  basis[15] = set1(-0.59004359f) * x * (xx - set1(3.f) * yy);
}

// sum_k weight_k * d(basis_k)/d(direction).
SPLATSEG_INLINE Vec3 sh_gradient(Vec3 d, int degree, const F* weight) {
  Vec3 g = {zero(), zero(), zero()};
  if (degree < 1) return g;
  const F x = d.x, y = d.y, z = d.z, two = set1(2.f);
  const F c1 = set1(0.48860251f);
  g = {-c1 * weight[3], -c1 * weight[1], c1 * weight[2]};
  if (degree < 2) return g;
  const F c2 = set1(1.09254843f), c20 = set1(0.31539157f), c22 = set1(0.54627422f);
  g.x += c2 * (y * weight[4] - z * weight[7]) - two * x * (c20 * weight[6] - c22 * weight[8]);
  g.y += c2 * (x * weight[4] - z * weight[5]) - two * y * (c20 * weight[6] + c22 * weight[8]);
  g.z += set1(4.f) * c20 * z * weight[6] - c2 * (y * weight[5] + x * weight[7]);
  if (degree < 3) return g;
  const F xx = x * x, yy = y * y, zz = z * z, three = set1(3.f), four = set1(4.f);
  const F six = set1(6.f), eight = set1(8.f);
  const F w9 = set1(-0.59004359f) * weight[9], w10 = set1(2.89061144f) * weight[10];
  const F w11 = set1(-0.45704580f) * weight[11], w12 = set1(0.37317633f) * weight[12];
  const F w13 = set1(-0.45704580f) * weight[13], w14 = set1(1.44530572f) * weight[14];
  const F w15 = set1(-0.59004359f) * weight[15];
  g.x += six * x * y * w9 + y * z * w10 - two * x * y * w11 - six * x * z * w12 +
         (four * zz - three * xx - yy) * w13 + two * x * z * w14 + three * (xx - yy) * w15;
  g.y += three * (xx - yy) * w9 + x * z * w10 + (four * zz - xx - three * yy) * w11 -
         six * y * z * w12 - two * x * y * w13 - two * y * z * w14 - six * x * y * w15;
  g.z += x * y * w10 + eight * y * z * w11 + three * (two * zz - xx - yy) * w12 +
         eight * x * z * w13 + (xx - yy) * w14;
  return g;
}

// Direction from the camera to the Gaussian, and one over the distance.
SPLATSEG_INLINE Vec3 view_direction(const splatseg_gaussians& g, const splatseg_camera& camera,
                                    int64_t first, int lanes, F* inv_distance) {
  F mean[3];
  transpose_in<3>(g.means + 3 * first, lanes, 3, mean);
  const Vec3 d = Vec3{mean[0], mean[1], mean[2]} - vec(camera.position);
  // The floor only avoids 0/0 for a Gaussian exactly at the camera center.
  *inv_distance = set1(1.f) / sqrt(max(dot(d, d), set1(1e-30f)));
  return *inv_distance * d;
}

SPLATSEG_INLINE int sh_count(int degree) { return (degree + 1) * (degree + 1); }

// The SH coefficients of sixteen Gaussians: one vector per coefficient and channel. Rows of whole
// vectors, such as those of degree 3, are transposed sixteen coefficients at a time.
SPLATSEG_INLINE void load_sh(const splatseg_gaussians& g, int64_t first, int lanes, int used,
                             float (*sh)[LANES]) {
  const int stride = 3 * g.sh_stride;
  const float* rows[LANES];
  for (int lane = 0; lane < LANES; lane++)
    rows[lane] = g.sh + (first + (lane < lanes ? lane : lanes - 1)) * stride;
  if (stride % LANES != 0) {
    for (int lane = 0; lane < LANES; lane++)
      for (int i = 0; i < 3 * used; i++) sh[i][lane] = rows[lane][i];
    return;
  }
  for (int64_t i = 0; i < LANES * stride; i += LANES)
    SPLATSEG_PREFETCH(g.sh + (first + AHEAD) * stride + i);
  for (int group = 0; group < 3 * used; group += LANES) {
    F block[LANES];
    for (int lane = 0; lane < LANES; lane++) block[lane] = load(rows[lane] + group);
    transpose(block);
    for (int i = 0; i < LANES; i++) store(sh[group + i], block[i]);
  }
}

// The opposite, for gradients; coefficients that are not used get zero.
SPLATSEG_INLINE void store_sh(const splatseg_gaussians& g, int64_t first, int lanes, int used,
                              float (*sh)[LANES], float* out) {
  const int stride = 3 * g.sh_stride;
  for (int i = 3 * used; i < stride; i++) store(sh[i], zero());
  if (stride % LANES != 0 || reinterpret_cast<uintptr_t>(out) % sizeof(F) != 0) {
    for (int lane = 0; lane < lanes; lane++)
      for (int i = 0; i < stride; i++) out[(first + lane) * stride + i] = sh[i][lane];
    return;
  }
  for (int group = 0; group < stride; group += LANES) {
    F block[LANES];
    for (int i = 0; i < LANES; i++) block[i] = load(sh[group + i]);
    transpose(block);
    for (int lane = 0; lane < lanes; lane++)
      stream(out + (first + lane) * stride + group, block[lane]);
  }
}

void color_lanes(const splatseg_gaussians& g, const splatseg_camera& camera, int64_t first,
                 int lanes, F* color) {
  F basis[MAX_SH], inv_distance;
  const Vec3 d = view_direction(g, camera, first, lanes, &inv_distance);
  sh_basis(d, g.sh_degree, basis);
  const int used = sh_count(g.sh_degree);
  alignas(64) float sh[3 * MAX_SH][LANES];
  load_sh(g, first, lanes, used, sh);
  for (int c = 0; c < 3; c++) {
    color[c] = set1(0.5f);
    for (int k = 0; k < used; k++) color[c] = fma(basis[k], load(sh[3 * k + c]), color[c]);
    color[c] = max(color[c], zero());
  }
}

}  // namespace

void project(const splatseg_gaussians& g, const splatseg_camera& camera,
             const splatseg_projected& out) {
  parallel_range(g.n, LANES, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int lanes = end - i < LANES ? static_cast<int>(end - i) : LANES;
      const Projection p = project_lanes(g, camera, i, lanes);
      const F mean2d[2] = {fma(set1(camera.fx) * p.camera.x, p.inv_z, set1(camera.cx)),
                           fma(set1(camera.fy) * p.camera.y, p.inv_z, set1(camera.cy))};
      transpose_out<2>(mean2d, lanes, 2, out.means2d + 2 * i);
      transpose_out<3>(p.conic, lanes, 3, out.conics + 3 * i);
      transpose_out<1>(&p.camera.z, lanes, 1, out.depths + i);
      F logit;
      transpose_in<1>(g.logit_opacities + i, lanes, 1, &logit);
      const F opacity = keep(p.valid, set1(1.f) / (set1(1.f) + exp(-logit)));
      transpose_out<1>(&opacity, lanes, 1, out.opacities + i);
      F color[3] = {zero(), zero(), zero()};
      if (bits(p.valid) != 0) color_lanes(g, camera, i, lanes, color);
      transpose_out<3>(color, lanes, 3, out.colors + 3 * i);
    }
  });
}

namespace {

// Gradient through the SH color; returns its part for the mean.
Vec3 color_backward(const splatseg_gaussians& g, const splatseg_camera& camera, int64_t first,
                    int lanes, M valid, const float* grad_colors, float* grad_sh) {
  F basis[MAX_SH], weight[MAX_SH], inv_distance, grad_color[3];
  const Vec3 d = view_direction(g, camera, first, lanes, &inv_distance);
  sh_basis(d, g.sh_degree, basis);
  transpose_in<3>(grad_colors + 3 * first, lanes, 3, grad_color);
  const int used = sh_count(g.sh_degree);
  alignas(64) float sh[3 * MAX_SH][LANES];
  load_sh(g, first, lanes, used, sh);
  for (int c = 0; c < 3; c++) {
    F color = set1(0.5f);
    for (int k = 0; k < used; k++) color = fma(basis[k], load(sh[3 * k + c]), color);
    grad_color[c] = keep(valid & (color > zero()), grad_color[c]);
  }
  for (int k = 0; k < used; k++) {
    weight[k] = zero();
    for (int c = 0; c < 3; c++) {
      weight[k] = fma(load(sh[3 * k + c]), grad_color[c], weight[k]);
      store(sh[3 * k + c], basis[k] * grad_color[c]);
    }
  }
  store_sh(g, first, lanes, used, sh, grad_sh);
  const Vec3 on_direction = sh_gradient(d, g.sh_degree, weight);
  return inv_distance * (on_direction - dot(d, on_direction) * d);
}

// Gradient of the rotation matrix (rows) to the stored quaternion, through its normalization.
SPLATSEG_INLINE void quat_backward(const Projection& p, const Vec3* g, F* grad_quat) {
  const F two = set1(2.f);
  const F w = p.quat[0], x = p.quat[1], y = p.quat[2], z = p.quat[3];
  const F unit[4] = {two * (x * (g[2].y - g[1].z) + y * (g[0].z - g[2].x) + z * (g[1].x - g[0].y)),
                     two * (y * (g[0].y + g[1].x) + z * (g[0].z + g[2].x) + w * (g[2].y - g[1].z) -
                            two * x * (g[1].y + g[2].z)),
                     two * (x * (g[0].y + g[1].x) + z * (g[1].z + g[2].y) + w * (g[0].z - g[2].x) -
                            two * y * (g[0].x + g[2].z)),
                     two * (x * (g[0].z + g[2].x) + y * (g[1].z + g[2].y) + w * (g[1].x - g[0].y) -
                            two * z * (g[0].x + g[1].y))};
  F along = zero();
  for (int i = 0; i < 4; i++) along = fma(p.quat[i], unit[i], along);
  for (int i = 0; i < 4; i++) grad_quat[i] = p.inv_norm * fnma(p.quat[i], along, unit[i]);
}

struct GeometryGradients {
  Vec3 camera;  // with respect to x_c
  Vec3 log_scale;
  F quat[4];
};

// From the conic and the center back to camera position, scales and rotation.
SPLATSEG_INLINE GeometryGradients geometry_backward(const Projection& p,
                                                    const splatseg_camera& camera,
                                                    const F* grad_mean2d, const F* grad_conic,
                                                    F grad_depth) {
  const F half = set1(0.5f), two = set1(2.f);
  // covariance^-1 = K: gradient with respect to the covariance is -K G K.
  const F a = p.conic[0], b = p.conic[1], c = p.conic[2];
  const F gxx = grad_conic[0], gxy = half * grad_conic[1], gyy = grad_conic[2];
  const F r0 = a * gxx + b * gxy, r1 = a * gxy + b * gyy;
  const F s0 = b * gxx + c * gxy, s1 = b * gxy + c * gyy;
  const F cov_xx = -(r0 * a + r1 * b), cov_xy = -(r0 * b + r1 * c), cov_yy = -(s0 * b + s1 * c);
  const Vec3 grad_a[2] = {two * cov_xx * p.a[0] + two * cov_xy * p.a[1],
                          two * cov_yy * p.a[1] + two * cov_xy * p.a[0]};
  GeometryGradients out;
  // A = V S: d/d(log s_j) = s_j * sum_i grad_a[i][j] v[i][j].
  out.log_scale = {grad_a[0].x * p.a[0].x + grad_a[1].x * p.a[1].x,
                   grad_a[0].y * p.a[0].y + grad_a[1].y * p.a[1].y,
                   grad_a[0].z * p.a[0].z + grad_a[1].z * p.a[1].z};
  Vec3 grad_v[2], grad_u[2], grad_q[3];
  for (int i = 0; i < 2; i++) {
    grad_v[i] = {grad_a[i].x * p.scale.x, grad_a[i].y * p.scale.y, grad_a[i].z * p.scale.z};
    grad_u[i] = {dot(grad_v[i], p.q[0]), dot(grad_v[i], p.q[1]), dot(grad_v[i], p.q[2])};
  }
  grad_q[0] = p.u[0].x * grad_v[0] + p.u[1].x * grad_v[1];
  grad_q[1] = p.u[0].y * grad_v[0] + p.u[1].y * grad_v[1];
  grad_q[2] = p.u[0].z * grad_v[0] + p.u[1].z * grad_v[1];
  quat_backward(p, grad_q, out.quat);

  // U = J R with J = [jx 0 -jx tx; 0 jy -jy ty], jx = fx / Z, jy = fy / Z.
  const float* R = camera.rotation;
  const F fx = set1(camera.fx), fy = set1(camera.fy);
  const F row2_u0 = dot(grad_u[0], vec(R + 6)), row2_u1 = dot(grad_u[1], vec(R + 6));
  const F grad_jx = dot(grad_u[0], vec(R)) - p.tx * row2_u0;
  const F grad_jy = dot(grad_u[1], vec(R + 3)) - p.ty * row2_u1;
  const F grad_tx = -fx * p.inv_z * row2_u0, grad_ty = -fy * p.inv_z * row2_u1;
  const F grad_x = fma(fx, grad_mean2d[0], keep(p.inside_x, grad_tx));  // of X/Z
  const F grad_y = fma(fy, grad_mean2d[1], keep(p.inside_y, grad_ty));  // of Y/Z
  const F grad_inv_z = fx * grad_jx + fy * grad_jy + p.camera.x * grad_x + p.camera.y * grad_y;
  out.camera = {grad_x * p.inv_z, grad_y * p.inv_z, grad_depth - grad_inv_z * p.inv_z * p.inv_z};
  return out;
}

// False for sixteen Gaussians whose gradients are all zero: out of sight, like their neighbors in
// Morton order.
bool has_gradient(const splatseg_projected& grad, int64_t first, int lanes) {
  const struct {
    const float* rows;
    int width;
  } arrays[] = {
      {grad.means2d, 2}, {grad.conics, 3}, {grad.depths, 1}, {grad.opacities, 1}, {grad.colors, 3}};
  F sum = zero();
  for (const auto& array : arrays) {
    const float* p = array.rows + first * array.width;
    for (int i = 0; i < lanes * array.width; i += LANES) {
      const F g = load_some(p + i, lanes * array.width - i);
      sum += max(g, -g);  // NaN stays
    }
  }
  return bits(zero() >= sum) != (1u << LANES) - 1;
}

struct ParameterGradients {
  float *means, *quats, *log_scales, *logit_opacities, *sh;
};

void clear_gradients(const ParameterGradients& out, int64_t first, int lanes, int sh_stride) {
  const auto clear = [&](float* rows, int width) {
    std::memset(rows + first * width, 0, static_cast<size_t>(lanes) * width * sizeof(float));
  };
  clear(out.means, 3);
  clear(out.quats, 4);
  clear(out.log_scales, 3);
  clear(out.logit_opacities, 1);
  clear(out.sh, 3 * sh_stride);
}

}  // namespace

void project_backward(const splatseg_gaussians& g, const splatseg_camera& camera,
                      const splatseg_projected& grad, float* grad_means, float* grad_quats,
                      float* grad_log_scales, float* grad_logit_opacities, float* grad_sh) {
  const float* R = camera.rotation;
  const ParameterGradients out = {grad_means, grad_quats, grad_log_scales, grad_logit_opacities,
                                  grad_sh};
  const float columns[9] = {R[0], R[3], R[6], R[1], R[4], R[7], R[2], R[5], R[8]};
  parallel_range(g.n, LANES, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int lanes = end - i < LANES ? static_cast<int>(end - i) : LANES;
      if (!has_gradient(grad, i, lanes)) {
        clear_gradients(out, i, lanes, g.sh_stride);
        continue;
      }
      const Projection p = project_lanes(g, camera, i, lanes);
      F grad_mean2d[2], grad_conic[3], grad_depth, grad_opacity, logit;
      transpose_in<2>(grad.means2d + 2 * i, lanes, 2, grad_mean2d);
      transpose_in<3>(grad.conics + 3 * i, lanes, 3, grad_conic);
      transpose_in<1>(grad.depths + i, lanes, 1, &grad_depth);
      transpose_in<1>(grad.opacities + i, lanes, 1, &grad_opacity);
      transpose_in<1>(g.logit_opacities + i, lanes, 1, &logit);
      const GeometryGradients d = geometry_backward(p, camera, grad_mean2d, grad_conic, grad_depth);
      const Vec3 from_color = color_backward(g, camera, i, lanes, p.valid, grad.colors, grad_sh);
      F mean[3] = {dot(vec(columns), d.camera), dot(vec(columns + 3), d.camera),
                   dot(vec(columns + 6), d.camera)};
      mean[0] = keep(p.valid, mean[0] + from_color.x);
      mean[1] = keep(p.valid, mean[1] + from_color.y);
      mean[2] = keep(p.valid, mean[2] + from_color.z);
      F quat[4], log_scale[3] = {keep(p.valid, d.log_scale.x), keep(p.valid, d.log_scale.y),
                                 keep(p.valid, d.log_scale.z)};
      for (int k = 0; k < 4; k++) quat[k] = keep(p.valid, d.quat[k]);
      const F opacity = set1(1.f) / (set1(1.f) + exp(-logit));
      const F grad_logit = keep(p.valid, grad_opacity * opacity * (set1(1.f) - opacity));
      transpose_out<3>(mean, lanes, 3, grad_means + 3 * i);
      transpose_out<4>(quat, lanes, 4, grad_quats + 4 * i);
      transpose_out<3>(log_scale, lanes, 3, grad_log_scales + 3 * i);
      transpose_out<1>(&grad_logit, lanes, 1, grad_logit_opacities + i);
    }
    stream_end();
  });
}

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
