// Scratch that outlives a chunk: lent to one thread at a time, as many as there are threads at work.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace bidfcl {

template <class Thing>
class Lender {
 public:
  class Loan {
   public:
    explicit Loan(Lender& from) : from_(from), thing_(from.take()) {}
    ~Loan() { from_.give_back(thing_); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Thing& operator*() const { return *thing_; }
    Thing* operator->() const { return thing_; }

   private:
    Lender& from_;
    Thing* thing_;
  };

  // Everything ever lent. Only while nothing is.
  const std::vector<std::unique_ptr<Thing>>& all() const { return owned_; }

 private:
  Thing* take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) {
      owned_.push_back(std::make_unique<Thing>());
      idle_.reserve(owned_.size());  // so that giving back never allocates
      return owned_.back().get();
    }
    Thing* thing = idle_.back();
    idle_.pop_back();
    return thing;
  }
  void give_back(Thing* thing) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(thing);
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Thing>> owned_;
  std::vector<Thing*> idle_;
};

}  // namespace bidfcl
