// A survey and a pass, and what of them the host has to know.
#pragma once

#include <cstring>
#include <vector>

#include "cuda/machine/launch.cuh"
#include "cuda/solver/pass.h"

namespace bidfcl {

// Device memory of one reading, and what of it the host has seen. All that the host looks at lies side by side, so that
// one look is one copy.
template <class T>
struct Reading {
  const Device& device;
  PassJob<T> job{};
  std::vector<Survey> surveys;
  std::vector<Tally> tallies;
  Counts counts{};
  Guess<T> guess{};
  Guess<T>* guessed;

  Reading(const Device& where, const Instances<T>& in)
      : device(where), surveys(static_cast<std::size_t>(in.count)), tallies(static_cast<std::size_t>(in.count)) {
    job.in = in;
    char* at = device.room<char>(bytes());
    job.counts = take<Counts>(at, 1);
    guessed = take<Guess<T>>(at, 1);
    job.tally = take<Tally>(at, in.count);
    Survey* const made = take<Survey>(at, in.count);
    job.survey = made;
    survey(device, in, made);
  }

  void make_room(std::int64_t open, std::int64_t edges) {
    if (open > job.open_room) job.open = device.room<std::int32_t>(job.open_room = open);
    if (edges > job.edge_room) job.edges = device.room<Listed>(job.edge_room = edges);
  }

  // Everybody's edges, of `users` in all.
  void read_all(std::int64_t users) {
    const std::int64_t most = static_cast<std::int64_t>(job.in.base.items) - 1;
    make_room(0, users * (most < 4 ? most : 4) + 1);
    read();
  }

  // Until the lists have room for all.
  void read() {
    for (;;) {
      pass(device, job);
      std::vector<char> seen(static_cast<std::size_t>(bytes()));
      download(device, seen.data(), job.counts, bytes());
      const char* at = seen.data();
      copy(at, &counts, 1);
      copy(at, &guess, 1);
      copy(at, tallies.data(), tallies.size());
      copy(at, surveys.data(), surveys.size());
      const auto open = static_cast<std::int64_t>(counts.open), edges = static_cast<std::int64_t>(counts.edges);
      if (open <= job.open_room && edges <= job.edge_room) return;
      // Of open users who did not find room nobody has counted the edges yet: room for twice as many as the others
      // have.
      const double beyond =
          open > job.open_room ? 2.0 * static_cast<double>(open) / static_cast<double>(job.open_room) : 1;
      make_room(open, static_cast<std::int64_t>(beyond * static_cast<double>(edges)));
    }
  }

 private:
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(sizeof(Counts) + sizeof(Guess<T>) +
                                     surveys.size() * (sizeof(Tally) + sizeof(Survey)));
  }
  template <class Thing>
  static Thing* take(char*& at, std::int64_t count) {
    auto* const out = reinterpret_cast<Thing*>(at);
    at += count * static_cast<std::int64_t>(sizeof(Thing));
    return out;
  }
  template <class Thing>
  static void copy(const char*& at, Thing* to, std::size_t count) {
    if (count > 0) std::memcpy(to, at, count * sizeof(Thing));
    at += count * sizeof(Thing);
  }
};

}  // namespace bidfcl
