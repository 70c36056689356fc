// The stages that exist once per instruction set; engine.cpp picks one table at run time.
#pragma once
#include "splatseg.h"
#include "view.h"

namespace splatseg {

struct PixelList {
  int64_t count;
  const int32_t* xy;  // count 2: column, row
};

// Null geometry pointers ask for attribute gradients only.
struct BlendGradients {
  float* means2d;
  float* conics;
  float* opacities;
  float* attributes;
};

// A group of channels [first, first + count) out of rows of `stride` attributes.
struct Channels {
  int count, first, stride;
};

// The name and parameters of every stage, listed once.
// clang-format off
#define SPLATSEG_STAGES(stage)                                                                   \
  stage(project, (const splatseg_gaussians&, const splatseg_camera&, const splatseg_projected&)) \
  stage(project_backward, (const splatseg_gaussians&, const splatseg_camera&,                    \
                           const splatseg_projected& grad, float* grad_means,                    \
                           float* grad_quats, float* grad_log_scales,                            \
                           float* grad_logit_opacities, float* grad_sh))                         \
  stage(bin, (View&, const splatseg_projected&, uint8_t* visible))                               \
  stage(blend, (View&, Channels, const float* attributes, float* image, float* alpha))           \
  stage(blend_backward, (View&, Channels, const float* attributes, const float* grad_image,      \
                         const float* grad_alpha, const BlendGradients&))                        \
  stage(blend_pixels, (View&, Channels, const float* attributes, PixelList, float* samples,      \
                       float* alpha))                                                            \
  stage(blend_pixels_backward, (View&, Channels, const float* attributes, PixelList,             \
                                const float* grad_samples, const float* grad_alpha,              \
                                const BlendGradients&))                                          \
  stage(blend_labels, (View&, const float* labels, float* shown, float* alpha))                  \
  stage(photometric, (int channels, int height, int width, const float* a, const float* b,       \
                      float weight, double* parts, float* grad))                                 \
  stage(adam, (int64_t count, float* parameters, const float* grad, float* moment1,              \
               float* moment2, const float* learning_rates, int period,                          \
               const splatseg_adam_step* steps, int step_count))
// clang-format on

struct Kernels {
  const char* name;
#define SPLATSEG_MEMBER(name, parameters) void(*name) parameters;
  SPLATSEG_STAGES(SPLATSEG_MEMBER)
#undef SPLATSEG_MEMBER
};

#if defined(SPLATSEG_ISA)
namespace SPLATSEG_ISA {
#define SPLATSEG_DECLARE(name, parameters) void name parameters;
SPLATSEG_STAGES(SPLATSEG_DECLARE)
#undef SPLATSEG_DECLARE
}  // namespace SPLATSEG_ISA
#endif

namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace portable {
extern const Kernels kernels;
}

}  // namespace splatseg
