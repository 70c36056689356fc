#include "threads.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "view.h"

namespace splatseg {
namespace {

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {
    for (int worker = 1; worker < threads_; worker++)
      workers_.emplace_back([this, worker] { work(worker); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    start_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return threads_; }

  void run(void (*task)(void*, int), void* context) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      running_ = threads_ - 1;
      out_of_memory_ = false;
      generation_++;
    }
    start_.notify_all();
    const bool failed = !attempt(task, context, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    if (failed || out_of_memory_) throw OutOfMemory();
  }

 private:
  static bool attempt(void (*task)(void*, int), void* context, int worker) {
    try {
      task(context, worker);
      return true;
    } catch (const OutOfMemory&) {
      return false;
    }
  }

  void work(int worker) {
    int64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      start_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      lock.unlock();
      const bool failed = !attempt(task_, context_, worker);
      lock.lock();
      out_of_memory_ |= failed;
      if (--running_ == 0) done_.notify_one();
    }
  }

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  void (*task_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int64_t generation_ = 0;
  int running_ = 0;
  bool stopping_ = false;
  bool out_of_memory_ = false;
};

std::atomic<int64_t> queue{0};
Pool* pool = nullptr;  // never destroyed at exit: its threads may already be gone then
int wanted = 0;

int default_threads() {
  const int n = static_cast<int>(std::thread::hardware_concurrency());
  return n < 1 ? 1 : (n < MAX_THREADS ? n : MAX_THREADS);
}

}  // namespace

int thread_count() { return wanted > 0 ? wanted : default_threads(); }

void set_thread_count(int threads) { wanted = threads < MAX_THREADS ? threads : MAX_THREADS; }

void restart_queue() { queue = 0; }
int64_t take_next() { return queue++; }

void run_on_all_threads(void (*task)(void*, int), void* context) {
  const int threads = thread_count();
  if (threads == 1) return task(context, 0);
  if (pool == nullptr || pool->threads() != threads) {
    delete pool;
    pool = new Pool(threads);
  }
  pool->run(task, context);
}

}  // namespace splatseg
