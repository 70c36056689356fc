// Runs the engine through its C ABI on a case that another machine computed in float64, and prints
// how far each quantity is from it: for machines and emulators without Python or torch.
//
//     selftest CASE      exits 1 where an error is too large, 2 where the case cannot be read
//
// CASE (see test_portability.py) is a sequence of little-endian records: length of a name (uint64),
// the name, count (uint64), `count` float64 values. Errors are relative to the largest expected value.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "splatseg.h"

namespace {

using Floats = std::vector<float>;

// The project's tolerances: tests/render/conftest.py for images, test_native.py for gradients.
constexpr double IMAGE_TOLERANCE = 2e-5;
constexpr double GRADIENT_TOLERANCE = 1e-4;

std::map<std::string, std::vector<double>> values;
std::string running;  // instruction set and threads
bool failed = false;

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "selftest: %s\n", why.c_str());
  std::exit(2);
}

void read_case(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) refuse(std::string("cannot open ") + path);
  uint64_t length, count;
  while (std::fread(&length, sizeof length, 1, file) == 1) {
    std::string name(length, ' ');
    if (std::fread(&name[0], 1, length, file) != length ||
        std::fread(&count, sizeof count, 1, file) != 1)
      refuse(std::string(path) + " is cut short");
    std::vector<double>& record = values[name];
    record.resize(count);
    if (std::fread(record.data(), sizeof(double), count, file) != count)
      refuse(std::string(path) + " is cut short in " + name);
  }
  std::fclose(file);
}

const std::vector<double>& expected(const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) refuse("the case has no " + name);
  return found->second;
}

Floats input(const std::string& name) {
  const auto& record = expected(name);
  return Floats(record.begin(), record.end());
}

int number(const std::string& name) { return static_cast<int>(expected(name).at(0)); }

template <class T>
void compare(const std::string& name, const std::vector<T>& actual, double tolerance) {
  const auto& wanted = expected(name);
  if (actual.size() != wanted.size()) refuse(name + " has another size in the case");
  double scale = 1e-30, error = 0;  // the floor avoids 0/0 where all is zero
  for (const double value : wanted) scale = std::max(scale, std::fabs(value));
  for (size_t i = 0; i < wanted.size(); i++) {
    const double difference = std::fabs(actual[i] - wanted[i]) / scale;
    if (!(difference <= error)) error = difference;  // NaN counts, and stays
    if (std::isnan(error)) break;
  }
  const bool good = error <= tolerance;
  failed |= !good;
  std::printf("%-12s %-26s %.2e %s\n", running.c_str(), name.c_str(), error,
              good ? "ok" : "TOO LARGE");
}

void succeed(int status) {
  if (status != 0) refuse("the engine ran out of memory");
}

struct Projected {
  explicit Projected(size_t n)
      : means2d(2 * n), conics(3 * n), depths(n), opacities(n), colors(3 * n) {}
  splatseg_projected pointers() {
    return {means2d.data(), conics.data(), depths.data(), opacities.data(), colors.data()};
  }
  Floats means2d, conics, depths, opacities, colors;
};

struct Scene {
  Scene()
      : means(input("means")), quats(input("quats")), log_scales(input("log_scales")),
        logit_opacities(input("logit_opacities")), sh(input("sh")), features(input("features")),
        n(logit_opacities.size()), projected(n) {
    const int stride = static_cast<int>(sh.size() / (3 * n));
    gaussians = {static_cast<int64_t>(n), means.data(), quats.data(), log_scales.data(),
                 logit_opacities.data(), sh.data(), stride, number("sh_degree")};
    const Floats pose = input("cam_from_world"), center = input("position");
    for (int row = 0; row < 3; row++) {
      for (int column = 0; column < 3; column++)
        camera.rotation[3 * row + column] = pose.at(4 * row + column);
      camera.translation[row] = pose.at(4 * row + 3);
      camera.position[row] = center.at(row);
    }
    const Floats lens = input("intrinsics");  // fx fy cx cy near
    camera.fx = lens.at(0);
    camera.fy = lens.at(1);
    camera.cx = lens.at(2);
    camera.cy = lens.at(3);
    camera.near_plane = lens.at(4);
    camera.width = number("width");
    camera.height = number("height");
  }
  Floats means, quats, log_scales, logit_opacities, sh, features;
  size_t n;
  Projected projected;
  splatseg_gaussians gaussians;
  splatseg_camera camera;
};

void compare_projection(Scene& scene) {
  const splatseg_projected out = scene.projected.pointers();
  splatseg_project(&scene.gaussians, &scene.camera, &out);
  compare("project/means2d", scene.projected.means2d, IMAGE_TOLERANCE);
  compare("project/conics", scene.projected.conics, IMAGE_TOLERANCE);
  compare("project/depths", scene.projected.depths, IMAGE_TOLERANCE);
  compare("project/opacities", scene.projected.opacities, IMAGE_TOLERANCE);
  compare("project/colors", scene.projected.colors, IMAGE_TOLERANCE);
}

// What blending says about projected Gaussians, taken back to the stored ones.
void compare_scene_gradients(const std::string& name, Scene& scene, Projected& grad) {
  const size_t n = scene.n;
  Floats means(3 * n), quats(4 * n), log_scales(3 * n), logit_opacities(n), sh(scene.sh.size());
  const splatseg_projected incoming = grad.pointers();
  splatseg_project_backward(&scene.gaussians, &scene.camera, &incoming, means.data(), quats.data(),
                            log_scales.data(), logit_opacities.data(), sh.data());
  compare(name + "/grad_means", means, GRADIENT_TOLERANCE);
  compare(name + "/grad_quats", quats, GRADIENT_TOLERANCE);
  compare(name + "/grad_log_scales", log_scales, GRADIENT_TOLERANCE);
  compare(name + "/grad_logit_opacities", logit_opacities, GRADIENT_TOLERANCE);
  compare(name + "/grad_sh", sh, GRADIENT_TOLERANCE);
}

// `name` is "colors" or "features", whole images, or "samples": features at chosen pixels.
void compare_blending(const std::string& name, Scene& scene) {
  const bool colors = name == "colors", samples = name == "samples";
  const Floats& attributes = colors ? scene.projected.colors : scene.features;
  const int channels = static_cast<int>(attributes.size() / scene.n);
  const Floats grad_image = input(name + "/incoming_image");
  const Floats grad_alpha = input(name + "/incoming_alpha");
  std::vector<int32_t> pixels;
  if (samples)
    for (const double x : expected("pixels")) pixels.push_back(static_cast<int32_t>(x));
  const int64_t m = static_cast<int64_t>(pixels.size()) / 2;

  Floats image(grad_image.size()), alpha(grad_alpha.size()), grad_attributes(attributes.size());
  Projected grad(scene.n);
  std::vector<uint8_t> visible(scene.n);
  const splatseg_projected in = scene.projected.pointers();
  splatseg_view* view = splatseg_bin(static_cast<int64_t>(scene.n), scene.camera.width,
                                     scene.camera.height, &in, visible.data());
  if (view == nullptr) refuse("the engine ran out of memory");
  if (samples) {
    succeed(splatseg_render_pixels(view, channels, attributes.data(), m, pixels.data(),
                                   image.data(), alpha.data()));
    succeed(splatseg_render_pixels_backward(
        view, channels, attributes.data(), m, pixels.data(), grad_image.data(), grad_alpha.data(),
        grad.means2d.data(), grad.conics.data(), grad.opacities.data(), grad_attributes.data()));
  } else {
    succeed(splatseg_render(view, channels, attributes.data(), image.data(), alpha.data()));
    succeed(splatseg_render_backward(view, channels, attributes.data(), grad_image.data(),
                                     grad_alpha.data(), grad.means2d.data(), grad.conics.data(),
                                     grad.opacities.data(), grad_attributes.data()));
  }
  splatseg_free_view(view);
  compare(name + "/image", image, IMAGE_TOLERANCE);
  compare(name + "/alpha", alpha, IMAGE_TOLERANCE);
  compare(name + "/grad_attributes", grad_attributes, GRADIENT_TOLERANCE);
  if (colors) grad.colors = grad_attributes;
  compare_scene_gradients(name, scene, grad);
}

void compare_photometric(const Scene& scene) {
  const Floats a = input("photometric/a"), b = input("photometric/b");
  const int height = scene.camera.height, width = scene.camera.width;
  const int channels = static_cast<int>(a.size()) / (height * width);
  const float weight = input("photometric/weight").at(0);
  std::vector<double> parts(2);
  Floats grad(a.size());
  succeed(splatseg_photometric(channels, height, width, a.data(), b.data(), weight, parts.data(),
                               grad.data()));
  compare("photometric/parts", parts, IMAGE_TOLERANCE);
  compare("photometric/grad", grad, GRADIENT_TOLERANCE);
}

// Two gradients, the first followed by idle steps.
void compare_adam() {
  const Floats betas = input("adam/betas"), rates = input("adam/rates");
  Floats parameters = input("adam/before"), moment1(parameters.size()), moment2(parameters.size());
  int first = 1;
  for (const char* name : {"adam/gradient1", "adam/gradient2"}) {
    const Floats gradient = input(name);
    const int last = number(std::string(name) + "_last_step");
    std::vector<splatseg_adam_step> steps;
    for (int t = first; t <= last; t++) {
      const double b1 = expected("adam/betas")[0], b2 = expected("adam/betas")[1];
      steps.push_back({static_cast<float>(1 / (1 - std::pow(b1, t))),
                       static_cast<float>(1 / std::sqrt(1 - std::pow(b2, t))), betas.at(0),
                       betas.at(1), betas.at(2)});
    }
    splatseg_adam(static_cast<int64_t>(parameters.size()), parameters.data(), gradient.data(),
                  moment1.data(), moment2.data(), rates.data(), static_cast<int>(rates.size()),
                  steps.data(), static_cast<int>(steps.size()));
    first = last + 1;
  }
  compare("adam/after", parameters, IMAGE_TOLERANCE);
  compare("adam/moment1", moment1, IMAGE_TOLERANCE);
  compare("adam/moment2", moment2, GRADIENT_TOLERANCE);  // 1 - float32(0.999) is 1.3e-5 off
}

void compare_all() {
  Scene scene;
  compare_projection(scene);
  for (const char* name : {"colors", "features", "samples"}) compare_blending(name, scene);
  compare_photometric(scene);
  compare_adam();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) refuse("expected one argument, the file with the case");
  if (splatseg_abi() != SPLATSEG_ABI) refuse("the engine has another ABI than splatseg.h");
  read_case(arguments[1]);
  std::string sets = splatseg_instruction_sets();
  for (size_t start = 0; start < sets.size();) {
    const size_t end = std::min(sets.find(',', start), sets.size());
    const std::string name = sets.substr(start, end - start);
    if (splatseg_use_instruction_set(name.c_str()) != 0) refuse("the engine refuses " + name);
    for (const int threads : {1, 3}) {
      splatseg_set_threads(threads);
      running = name + "/" + std::to_string(threads);
      compare_all();
    }
    start = end + 1;
  }
  return failed ? 1 : 0;
}
