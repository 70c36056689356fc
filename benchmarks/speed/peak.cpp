// What the machine itself can do: single-precision FMA, and memory, on a number of threads.
//
//     c++ -O3 -march=native -pthread peak.cpp -o peak && ./peak THREADS
//
// prints one JSON object. Rates are work over the CPU time of the thread that did it, added up over
// the threads, so that other processes on the machine count little; the best of several rounds.
// Bytes are those that the program reads and writes; what a cache fetches on a write is not added.
#include <ctime>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif
typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));
constexpr int LANES = VECTOR_BYTES / sizeof(float);

constexpr int CHAINS = 12;  // independent FMAs: more than latency x units, fewer than registers
constexpr int64_t FMA_STEPS = 4'000'000;
constexpr int64_t ARRAY_BYTES = int64_t{256} << 20;  // of each of two arrays: beyond any cache
constexpr int ROUNDS = 40;

volatile float sink;  // keeps results that nobody wants from being optimized away

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

float sum_of_lanes(Vector v) {
  float sum = 0.f;
  for (int i = 0; i < LANES; i++) sum += v[i];
  return sum;
}

// One thread's share of the arrays, first touched by that thread.
struct Share {
  std::vector<Vector> a, b;
  explicit Share(int64_t bytes) : a(bytes / VECTOR_BYTES, Vector{} + 1.f), b(a) {}
};

int64_t multiply_add(Share&) {
  Vector sums[CHAINS];
  for (int i = 0; i < CHAINS; i++) sums[i] = Vector{} + static_cast<float>(i);
  const Vector factor = Vector{} + 0.999f, term = Vector{} + 0.001f;
  for (int64_t step = 0; step < FMA_STEPS; step++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * factor + term;
  }
  for (int i = 1; i < CHAINS; i++) sums[0] += sums[i];
  sink = sum_of_lanes(sums[0]);
  return FMA_STEPS * CHAINS * LANES * 2;
}

int64_t read(Share& s) {
  constexpr size_t SUMS = 8;
  Vector sums[SUMS] = {};
  for (size_t i = 0; i + SUMS <= s.a.size(); i += SUMS) {
#pragma GCC unroll 8
    for (size_t k = 0; k < SUMS; k++) sums[k] += s.a[i + k];
  }
  for (size_t k = 1; k < SUMS; k++) sums[0] += sums[k];
  sink = sum_of_lanes(sums[0]);
  return s.a.size() * VECTOR_BYTES;
}

int64_t copy(Share& s) {
  std::copy(s.a.begin(), s.a.end(), s.b.begin());
  sink = s.b.back()[0];
  return 2 * s.a.size() * VECTOR_BYTES;
}

// In place, as an optimizer does: the only one whose writes fetch nothing from memory.
int64_t update(Share& s) {
  const Vector factor = Vector{} + 0.999f;
  for (Vector& value : s.a) value *= factor;
  sink = s.a.back()[0];
  return 2 * s.a.size() * VECTOR_BYTES;
}

// Billions of units (FLOPs or bytes) a second, all threads together.
double best_rate(int64_t (*work)(Share&), std::vector<Share>& shares) {
  double best = 0.;
  for (int round = 0; round < ROUNDS; round++) {
    std::vector<double> rates(shares.size());
    std::vector<std::thread> threads;
    for (size_t t = 0; t < shares.size(); t++)
      threads.emplace_back([&, t] {
        const double began = cpu_seconds();
        const int64_t done = work(shares[t]);
        rates[t] = done / (cpu_seconds() - began) / 1e9;
      });
    for (auto& thread : threads) thread.join();
    double total = 0.;
    for (double rate : rates) total += rate;
    best = std::max(best, total);
  }
  return best;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  std::vector<Share> shares;
  for (int t = 0; t < threads; t++)
    std::thread([&] { shares.emplace_back(ARRAY_BYTES / threads); }).join();
  std::printf("{\"threads\": %d, \"vector_bits\": %d, \"fma_gflops\": %.1f, \"read_gbs\": %.2f, "
              "\"copy_gbs\": %.2f, \"update_gbs\": %.2f}\n",
              threads, VECTOR_BYTES * 8, best_rate(multiply_add, shares), best_rate(read, shares),
              best_rate(copy, shares), best_rate(update, shares));
}
