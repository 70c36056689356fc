// What binning produces and blending reads.
//
// The image is cut into tiles of 16x16 pixels and each tile into sixteen blocks of 4x4, one lane a
// pixel. A tile lists, front to back, the Gaussians that touch it; each entry carries a 16-bit mask
// of the blocks that the Gaussian's alpha >= 1/255 ellipse really reaches.
#pragma once
#include <cstddef>
#include <cstdint>

namespace splatseg {

constexpr int TILE = 16;
constexpr int BLOCK = 4;
constexpr int BLOCKS = 16;  // blocks in a tile

constexpr float MIN_ALPHA = 1.f / 255.f;  // fainter contributions are skipped (3DGS)
constexpr float LOG2_MIN_ALPHA = -7.99435344f;
constexpr float MAX_ALPHA = 0.999f;         // nothing hides what is behind it completely
constexpr float MIN_TRANSMITTANCE = 1e-4f;  // a block stops when every pixel is this opaque (3DGS)

// Grow-only memory, never moved into std:: containers: see simd.h on templates.
void* allocate(size_t bytes);  // 64-byte aligned; throws OutOfMemory
void deallocate(void* p);
struct OutOfMemory {};

template <class T>
struct Buffer {
  T* data;
  size_t capacity;
};

// Makes room for `count` items; what was there is lost.
template <class T>
static inline T* reserve(Buffer<T>& buffer, size_t count) {
  if (buffer.capacity < count) {
    deallocate(buffer.data);
    buffer = {nullptr, 0};
    const size_t roomy = count + count / 4 + 64;
    buffer.data = static_cast<T*>(allocate(roomy * sizeof(T)));
    buffer.capacity = roomy;
  }
  return buffer.data;
}

// The same, keeping the first `used` items.
template <class T>
static inline T* extend(Buffer<T>& buffer, size_t used, size_t count) {
  if (buffer.capacity < count) {
    const size_t roomy = count + count / 2 + 64;
    T* grown = static_cast<T*>(allocate(roomy * sizeof(T)));
    for (size_t i = 0; i < used; i++) grown[i] = buffer.data[i];
    deallocate(buffer.data);
    buffer = {grown, roomy};
  }
  return buffer.data;
}

// alpha = 2^(log2_opacity - (xx dx + xy dy)² - (yy dy)²), with dx, dy from the center (x, y):
// [xx xy; 0 yy] is the Cholesky factor of half the conic, in base 2.
struct Splat {
  float x, y, xx, xy, yy, log2_opacity, opacity, padding;
};

// The tiles that a Gaussian's bounding box covers (none: columns = 0), and the slopes of its ellipse.
struct Footprint {
  float y_per_x, x_per_y;  // where u² + w² is least along a vertical, a horizontal line
  uint16_t column, row, columns, rows;
};

struct Entry {
  uint32_t gaussian;
  uint32_t blocks;  // bit b: block b of the tile is touched
};

// One Gaussian's contribution to one chosen pixel: see blend_pixels.cpp.
struct Hit {
  uint32_t gaussian;
  union {
    float alpha, v;
  };
  float weight, dx, dy;  // alpha times transmittance; offset from the Gaussian's center
};

struct View {
  int64_t n;
  int width, height, tiles_x, tiles_y;
  Buffer<Splat> splats;          // n
  Buffer<Footprint> footprints;  // n
  Buffer<uint32_t> tile_start;   // tiles + 1
  Buffer<Entry> entries;
  Buffer<int32_t> consumed;  // tile, block: how many of the tile's entries the block used
  bool consumed_known;       // set by the first full render
};
static inline int tile_count(const View& view) { return view.tiles_x * view.tiles_y; }

// Per-thread working memory, shared by all views and reused from call to call.
struct Scratch {
  Buffer<uint32_t> keys, keys_next, order, order_next;  // sorting by depth
  Buffer<uint64_t> entries;  // of binning: Gaussian, and blocks in the upper half
  Buffer<uint32_t> tiles, counts;
  Buffer<float> staged, weights, gradients, maps;
  Buffer<int32_t> indices;
  Buffer<Hit> hits;
};
constexpr int MAX_THREADS = 256;
Scratch& scratch(int worker);

}  // namespace splatseg
