// The C ABI: memory, the choice of instruction set, and the composition of any number of channels
// from the compiled ones. Everything instruction-set specific is behind `Kernels`.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#if defined(_MSC_VER)
#include <malloc.h>
#endif

#include "kernels.h"
#include "threads.h"

namespace splatseg {

namespace {

std::atomic<int64_t>& held_bytes() {
  static std::atomic<int64_t> bytes{0};
  return bytes;
}
constexpr size_t HEADER = 64;  // keeps the size of an allocation, and its alignment

}  // namespace

void* allocate(size_t bytes) {
  const size_t total = (bytes + 2 * HEADER - 1) / HEADER * HEADER;
#if defined(_MSC_VER)
  void* p = _aligned_malloc(total, HEADER);
#else
  void* p = std::aligned_alloc(HEADER, total);
#endif
  if (p == nullptr) throw OutOfMemory();
  *static_cast<size_t*>(p) = total;
  held_bytes() += static_cast<int64_t>(total);
  return static_cast<char*>(p) + HEADER;
}

void deallocate(void* p) {
  if (p == nullptr) return;
  char* start = static_cast<char*>(p) - HEADER;
  held_bytes() -= static_cast<int64_t>(*reinterpret_cast<size_t*>(start));
#if defined(_MSC_VER)
  _aligned_free(start);
#else
  std::free(start);
#endif
}

Scratch& scratch(int worker) {
  static Scratch scratches[MAX_THREADS] = {};
  return scratches[worker];
}

namespace {

template <class T>
void release(Buffer<T>& buffer) {
  deallocate(buffer.data);
  buffer = {nullptr, 0};
}

void release(Scratch& s) {
  for (auto* b : {&s.keys, &s.keys_next, &s.order, &s.order_next, &s.tiles, &s.counts}) release(*b);
  for (auto* b : {&s.staged, &s.weights, &s.gradients, &s.maps}) release(*b);
  release(s.entries);
  release(s.indices);
  release(s.hits);
}

void release(View& v) {
  release(v.splats);
  release(v.footprints);
  release(v.tile_start);
  release(v.entries);
  release(v.consumed);
}

// Best first. A build holds only the sets its compiler and target know.
std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> found;
#if defined(SPLATSEG_HAS_X86)
#if defined(_MSC_VER)
  int info[4];
  __cpuidex(info, 7, 0);
  const bool has_avx2 = (info[1] & (1 << 5)) != 0;
  const bool has_avx512 = has_avx2 && (info[1] & (1 << 16)) && (info[1] & (1 << 17));
#else
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
  if (has_avx512) found.push_back(&avx512::kernels);
  if (has_avx2) found.push_back(&avx2::kernels);
#endif
  found.push_back(&portable::kernels);
  return found;
}

const Kernels*& current() {
  static const Kernels* kernels = runnable().front();
  return kernels;
}

std::mutex engine;              // kernels share scratch memory: one at a time
constexpr size_t MAX_IDLE = 2;  // freed views kept for reuse
std::vector<View*>& idle_views() {
  static std::vector<View*> views;
  return views;
}

// Runs a kernel under the lock and turns an exhausted memory into a status.
template <class Body>
int guarded(Body body) {
  std::lock_guard<std::mutex> lock(engine);
  try {
    body();
    return 0;
  } catch (const OutOfMemory&) {
    return SPLATSEG_OUT_OF_MEMORY;
  } catch (const std::bad_alloc&) {
    return SPLATSEG_OUT_OF_MEMORY;
  }
}

// Cuts `channels` into the compiled counts, largest first: use(group, is_first).
template <class Use>
void for_channel_groups(int channels, Use use) {
  static const int compiled[] = {19, 16, 8, 4, 3, 2, 1};
  for (int first = 0; first < channels;) {
    const int left = channels - first;
    const int count = *std::find_if(std::begin(compiled), std::end(compiled),
                                    [&](int c) { return c == left || (c <= left && c != 19); });
    use(Channels{count, first, channels}, first == 0);
    first += count;
  }
}

// Geometry gradients are added to, group by group.
void clear_geometry(int64_t n, const BlendGradients& g) {
  if (g.means2d == nullptr) return;
  std::fill(g.means2d, g.means2d + 2 * n, 0.f);
  std::fill(g.conics, g.conics + 3 * n, 0.f);
  std::fill(g.opacities, g.opacities + n, 0.f);
}

// Backward needs to know where each block stopped, which a forward pass finds.
void find_consumed(View& view) {
  if (view.consumed_known) return;
  std::vector<float> zeros(static_cast<size_t>(view.n) + 1);
  std::vector<float> image(static_cast<size_t>(view.width) * view.height), alpha(image.size());
  current()->blend(view, Channels{1, 0, 1}, zeros.data(), image.data(), alpha.data());
}

}  // namespace
}  // namespace splatseg

using namespace splatseg;

struct splatseg_view : View {};

extern "C" {

int splatseg_abi(void) { return SPLATSEG_ABI; }

const char* splatseg_instruction_sets(void) {
  static std::string names;
  if (names.empty())
    for (const Kernels* k : runnable()) names += (names.empty() ? "" : ",") + std::string(k->name);
  return names.c_str();
}

const char* splatseg_instruction_set(void) { return current()->name; }

int splatseg_use_instruction_set(const char* name) {
  for (const Kernels* k : runnable()) {
    if (std::strcmp(k->name, name) != 0) continue;
    current() = k;
    return 0;
  }
  return -1;
}

void splatseg_set_threads(int threads) {
  std::lock_guard<std::mutex> lock(engine);
  set_thread_count(threads);
}

int splatseg_threads(void) { return thread_count(); }

int64_t splatseg_pooled_bytes(void) { return held_bytes(); }

void splatseg_release_pools(void) {
  std::lock_guard<std::mutex> lock(engine);
  for (int worker = 0; worker < MAX_THREADS; worker++) release(scratch(worker));
  for (View* view : idle_views()) {
    release(*view);
    delete static_cast<splatseg_view*>(view);
  }
  idle_views().clear();
}

void splatseg_project(const splatseg_gaussians* g, const splatseg_camera* camera,
                      const splatseg_projected* out) {
  guarded([&] { current()->project(*g, *camera, *out); });
}

void splatseg_project_backward(const splatseg_gaussians* g, const splatseg_camera* camera,
                               const splatseg_projected* grad, float* grad_means, float* grad_quats,
                               float* grad_log_scales, float* grad_logit_opacities,
                               float* grad_sh) {
  guarded([&] {
    current()->project_backward(*g, *camera, *grad, grad_means, grad_quats, grad_log_scales,
                                grad_logit_opacities, grad_sh);
  });
}

splatseg_view* splatseg_bin(int64_t n, int width, int height, const splatseg_projected* projected,
                            uint8_t* visible) {
  splatseg_view* view = nullptr;
  const int status = guarded([&] {
    if (idle_views().empty()) {
      view = new splatseg_view();
    } else {
      view = static_cast<splatseg_view*>(idle_views().back());
      idle_views().pop_back();
    }
    view->n = n;
    view->width = width;
    view->height = height;
    view->tiles_x = (width + TILE - 1) / TILE;
    view->tiles_y = (height + TILE - 1) / TILE;
    current()->bin(*view, *projected, visible);
  });
  if (status == 0) return view;
  splatseg_free_view(view);
  return nullptr;
}

void splatseg_free_view(splatseg_view* view) {
  if (view == nullptr) return;
  std::lock_guard<std::mutex> lock(engine);
  if (idle_views().size() < MAX_IDLE) {
    idle_views().push_back(view);
    return;
  }
  release(*view);
  delete view;
}

int64_t splatseg_intersections(const splatseg_view* view) {
  return view->tile_start.data[tile_count(*view)];
}

int splatseg_render(splatseg_view* view, int channels, const float* attributes, float* image,
                    float* alpha) {
  const int64_t plane = static_cast<int64_t>(view->width) * view->height;
  return guarded([&] {
    for_channel_groups(channels, [&](Channels group, bool) {
      current()->blend(*view, group, attributes, image + group.first * plane, alpha);
    });
  });
}

int splatseg_render_backward(splatseg_view* view, int channels, const float* attributes,
                             const float* grad_image, const float* grad_alpha, float* grad_means2d,
                             float* grad_conics, float* grad_opacities, float* grad_attributes) {
  const int64_t plane = static_cast<int64_t>(view->width) * view->height;
  const BlendGradients out = {grad_means2d, grad_conics, grad_opacities, grad_attributes};
  return guarded([&] {
    find_consumed(*view);
    clear_geometry(view->n, out);
    for_channel_groups(channels, [&](Channels group, bool is_first) {
      const int64_t skip = group.first * plane;
      current()->blend_backward(*view, group, attributes, grad_image + skip,
                                is_first ? grad_alpha : nullptr, out);
    });
  });
}

int splatseg_render_pixels(splatseg_view* view, int channels, const float* attributes, int64_t m,
                           const int32_t* pixels, float* samples, float* alpha) {
  return guarded([&] {
    for_channel_groups(channels, [&](Channels group, bool) {
      current()->blend_pixels(*view, group, attributes, PixelList{m, pixels}, samples, alpha);
    });
  });
}

int splatseg_render_pixels_backward(splatseg_view* view, int channels, const float* attributes,
                                    int64_t m, const int32_t* pixels, const float* grad_samples,
                                    const float* grad_alpha, float* grad_means2d,
                                    float* grad_conics, float* grad_opacities,
                                    float* grad_attributes) {
  const BlendGradients out = {grad_means2d, grad_conics, grad_opacities, grad_attributes};
  return guarded([&] {
    clear_geometry(view->n, out);
    for_channel_groups(channels, [&](Channels group, bool is_first) {
      current()->blend_pixels_backward(*view, group, attributes, PixelList{m, pixels}, grad_samples,
                                       is_first ? grad_alpha : nullptr, out);
    });
  });
}

int splatseg_render_labels(splatseg_view* view, const float* labels, float* shown, float* alpha) {
  return guarded([&] { current()->blend_labels(*view, labels, shown, alpha); });
}

int splatseg_photometric(int channels, int height, int width, const float* a, const float* b,
                         float weight, double parts[2], float* grad) {
  return guarded(
      [&] { current()->photometric(channels, height, width, a, b, weight, parts, grad); });
}

void splatseg_adam(int64_t count, float* parameters, const float* grad, float* moment1,
                   float* moment2, const float* learning_rates, int period,
                   const splatseg_adam_step* steps, int step_count) {
  guarded([&] {
    current()->adam(count, parameters, grad, moment1, moment2, learning_rates, period, steps,
                    step_count);
  });
}

}  // extern "C"
