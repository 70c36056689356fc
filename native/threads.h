// A small thread pool that sleeps while it waits.
//
// OpenMP's default is to spin between parallel regions, which on a loaded machine made two threads
// slower than one; a condition variable costs a few microseconds and nothing when idle.
#pragma once
#include <cstdint>

namespace splatseg {

// Runs task(context, worker) once for each worker in [0, thread_count()), worker 0 on the calling
// thread, and returns when all are done; throws OutOfMemory if any of them did. One region
// at a time: engine.cpp holds a lock around every kernel.
void run_on_all_threads(void (*task)(void* context, int worker), void* context);
int thread_count();
void set_thread_count(int threads);

// take_next() hands out 0, 1, 2, ... to whoever asks first, since the last restart_queue(): for work
// whose result does not depend on who does it.
void restart_queue();
int64_t take_next();

// The part of [0, n) that belongs to `worker`: equal shares, in order.
struct Range {
  int64_t begin, end;
};
static inline Range share(int64_t n, int worker, int workers) {
  return {n * worker / workers, n * (worker + 1) / workers};
}

// body(worker) on every thread. Static: each translation unit has its own copy (see simd.h).
template <class Body>
static inline void parallel(Body body) {
  run_on_all_threads([](void* context, int worker) { (*static_cast<Body*>(context))(worker); },
                     &body);
}

// body(worker, begin, end) over the shares of [0, n), each rounded to a multiple of `grain`.
template <class Body>
static inline void parallel_range(int64_t n, int64_t grain, Body body) {
  const int workers = thread_count();
  const int64_t grains = (n + grain - 1) / grain;
  parallel([&](int worker) {
    const Range r = share(grains, worker, workers);
    const int64_t end = r.end * grain < n ? r.end * grain : n;
    if (r.begin * grain < end) body(worker, r.begin * grain, end);
  });
}

}  // namespace splatseg
