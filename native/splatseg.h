/* The C ABI of the native engine: plain pointers and sizes, so that no Python or torch ABI is linked.
 *
 * All arrays are dense, row-major float32 unless said otherwise; n is the number of Gaussians.
 * Images are planar: channel, row, column. Pixel (0, 0) has its center at (0.5, 0.5).
 * Functions that return int return 0 on success and SPLATSEG_OUT_OF_MEMORY when memory ran out.
 */
#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define SPLATSEG_API __declspec(dllexport)
#else
#define SPLATSEG_API __attribute__((visibility("default")))
#endif

#define SPLATSEG_ABI 4
#define SPLATSEG_OUT_OF_MEMORY 1

#ifdef __cplusplus
extern "C" {
#endif

/* A pinhole camera; `rotation` and `translation` are cam_from_world. */
typedef struct {
  float rotation[9];
  float translation[3];
  float position[3]; /* camera center in the world */
  float fx, fy, cx, cy;
  float near_plane; /* Gaussians closer than this along the optical axis are not drawn */
  int32_t width, height;
} splatseg_camera;

/* n Gaussians as stored: see geometry/gaussians.py. `sh_stride` coefficients a channel are stored, of which
 * those up to `sh_degree` are used. */
typedef struct {
  int64_t n;
  const float* means;           /* n 3 */
  const float* quats;           /* n 4, wxyz */
  const float* log_scales;      /* n 3 */
  const float* logit_opacities; /* n */
  const float* sh;              /* n sh_stride 3 */
  int32_t sh_stride, sh_degree;
} splatseg_gaussians;

/* Projected Gaussians, or gradients with respect to them. */
typedef struct {
  float* means2d;   /* n 2, pixels */
  float* conics;    /* n 3: the inverse 2D covariance (xx, xy, yy) */
  float* depths;    /* n, along the optical axis */
  float* opacities; /* n, 0 for a Gaussian behind the near plane or without a finite covariance */
  float* colors;    /* n 3 */
} splatseg_projected;

/* Projected Gaussians sorted into tiles. Opaque; freed views give their memory to later ones. */
typedef struct splatseg_view splatseg_view;

SPLATSEG_API int splatseg_abi(void);
/* Comma-separated instruction sets that this machine can run, best first. */
SPLATSEG_API const char* splatseg_instruction_sets(void);
SPLATSEG_API const char* splatseg_instruction_set(void);
SPLATSEG_API int splatseg_use_instruction_set(const char* name);
SPLATSEG_API void splatseg_set_threads(int threads);
SPLATSEG_API int splatseg_threads(void);
/* Bytes held in scratch memory and pooled views; release gives the unused part back. */
SPLATSEG_API int64_t splatseg_pooled_bytes(void);
SPLATSEG_API void splatseg_release_pools(void);

SPLATSEG_API void splatseg_project(const splatseg_gaussians*, const splatseg_camera*,
                                   const splatseg_projected* out);
/* Gradients are written for every Gaussian; grads.sh has sh_stride coefficients. */
SPLATSEG_API void splatseg_project_backward(const splatseg_gaussians*, const splatseg_camera*,
                                            const splatseg_projected* grad_projected,
                                            float* grad_means, float* grad_quats,
                                            float* grad_log_scales, float* grad_logit_opacities,
                                            float* grad_sh);

/* visible[n] (uint8) says which Gaussians touch a pixel. NULL when memory ran out. */
SPLATSEG_API splatseg_view* splatseg_bin(int64_t n, int width, int height,
                                         const splatseg_projected* projected, uint8_t* visible);
SPLATSEG_API void splatseg_free_view(splatseg_view*);
SPLATSEG_API int64_t splatseg_intersections(const splatseg_view*);

/* image[channels, height, width] and alpha[height, width]; nothing is added for the background. */
SPLATSEG_API int splatseg_render(splatseg_view*, int channels, const float* attributes,
                                 float* image, float* alpha);
/* grad_alpha may be NULL. With grad_means2d NULL only grad_attributes[n, channels] is computed, and
 * `attributes` is not read. */
SPLATSEG_API int splatseg_render_backward(splatseg_view*, int channels, const float* attributes,
                                          const float* grad_image, const float* grad_alpha,
                                          float* grad_means2d, float* grad_conics,
                                          float* grad_opacities, float* grad_attributes);

/* The same for m pixels given as (column, row): samples[m, channels], alpha[m]. */
SPLATSEG_API int splatseg_render_pixels(splatseg_view*, int channels, const float* attributes,
                                        int64_t m, const int32_t* pixels, float* samples,
                                        float* alpha);
SPLATSEG_API int splatseg_render_pixels_backward(splatseg_view*, int channels,
                                                 const float* attributes, int64_t m,
                                                 const int32_t* pixels, const float* grad_samples,
                                                 const float* grad_alpha, float* grad_means2d,
                                                 float* grad_conics, float* grad_opacities,
                                                 float* grad_attributes);

/* Of Gaussians with a label each (whole numbers below 2^24): the label with most blending weight at
 * each pixel, 0 where nothing was hit. labels[n], shown[height, width], alpha[height, width]. */
SPLATSEG_API int splatseg_render_labels(splatseg_view*, const float* labels, float* shown,
                                        float* alpha);

/* (1 - weight) * mean|a - b| + weight * (1 - SSIM(a, b)) and its gradient with respect to `a`;
 * parts[0] = mean|a - b|, parts[1] = SSIM. Images are planar; grad may be NULL. */
SPLATSEG_API int splatseg_photometric(int channels, int height, int width, const float* a,
                                      const float* b, float weight, double parts[2], float* grad);

/* Constants of one Adam step: inv_bias1 = 1 / (1 - beta1^t), inv_bias2 = 1 / sqrt(1 - beta2^t). */
typedef struct {
  float inv_bias1, inv_bias2, beta1, beta2, epsilon;
} splatseg_adam_step;

/* Adam in place. The first step uses `grad` (NULL: zero), the others a zero gradient, under which
 * the moments decay and still move the parameters. Parameter i has learning_rates[i % period];
 * period is a multiple of 16. */
SPLATSEG_API void splatseg_adam(int64_t count, float* parameters, const float* grad, float* moment1,
                                float* moment2, const float* learning_rates, int period,
                                const splatseg_adam_step* steps, int step_count);

#ifdef __cplusplus
}
#endif
