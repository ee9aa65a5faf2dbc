#include "threads.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace bidfcl {
namespace {

struct Job {
  std::int64_t count;
  void (*body)(void*, std::int64_t);
  void* context;
  int wanted;  // helpers that may still join
  int inside = 0;
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure{};
};

class Pool {
 public:
  // The pool of this process. After a fork the child has none of its parent's threads, and maybe a mutex that one of
  // them held: it starts a pool of its own and leaves the other alone.
  static Pool& get() {
    static std::atomic<Pool*> current{nullptr};
    Pool* pool = current.load(std::memory_order_acquire);
    if (pool != nullptr && pool->process_ == getpid()) return *pool;
    Pool* fresh = new Pool;  // never destroyed: its threads may outlive every static object
    if (current.compare_exchange_strong(pool, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
    return *pool;
  }

  void run(Job& job) {
    const int helpers = job.wanted;  // once the job is shown, helpers count it down
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      start(helpers);
      jobs_.push_back(&job);
    }
    for (int k = 0; k < helpers; ++k) work_.notify_one();
    work_on(job);
    std::unique_lock<std::mutex> lock(mutex_);
    const auto waiting = std::find(jobs_.begin(), jobs_.end(), &job);
    if (waiting != jobs_.end()) jobs_.erase(waiting);
    left_.wait(lock, [&] { return job.inside == 0; });
    if (job.failure) std::rethrow_exception(job.failure);
  }

 private:
  // Where the system grants no more threads, those that are there do it all.
  void start(int helpers) {
    try {
      for (; started_ < helpers; ++started_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      if (--job.wanted == 0) jobs_.pop_front();
      ++job.inside;
      lock.unlock();
      work_on(job);
      lock.lock();
      if (--job.inside == 0) left_.notify_all();
    }
  }

  void work_on(Job& job) {
    for (std::int64_t k; (k = job.next.fetch_add(1, std::memory_order_relaxed)) < job.count;) {
      try {
        job.body(job.context, k);
      } catch (...) {  // memory, in practice
        const std::lock_guard<std::mutex> lock(mutex_);
        job.failure = std::current_exception();
        job.next.store(job.count, std::memory_order_relaxed);
      }
    }
  }

  const pid_t process_ = getpid();
  std::mutex mutex_;
  std::condition_variable work_, left_;
  std::deque<Job*> jobs_;
  int started_ = 0;
};

}  // namespace

void run_parallel(std::int64_t count, int threads, void (*body)(void*, std::int64_t), void* context) {
  const int helpers = static_cast<int>(std::min<std::int64_t>(threads, count)) - 1;
  if (helpers < 1) {
    for (std::int64_t k = 0; k < count; ++k) body(context, k);
    return;
  }
  Job job{count, body, context, helpers};
  Pool::get().run(job);
}

namespace {
std::atomic<std::int64_t> users_taken{8192};
}

std::int64_t users_at_a_time() { return users_taken.load(std::memory_order_relaxed); }
void set_users_at_a_time(std::int64_t users) { users_taken = users; }

std::int64_t parts_of(std::int64_t users) {
  const std::int64_t taken = users_at_a_time();
  return (users + taken - 1) / taken;
}

}  // namespace bidfcl
