// Many problems: several budgets of one instance and small problems are walked side by side; a large one is looked at
// through a bracket first.

#include <cmath>
#include <vector>

#include "core/certificate.h"
#include "core/search.h"
#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/solver/finish.h"
#include "cuda/solver/instances.h"
#include "cuda/solver/reading.h"
#include "shapes.h"
#include "status.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kTogether = 1 << 21;  // users walked side by side
constexpr std::int64_t kShared = 1 << 23;    // users of an instance whose edges are all sorted for several budgets
constexpr std::int64_t kWarm = 16384;        // among fewer users a bracket a 64th wide may leave too few edges
constexpr std::int64_t kSample = 8192;
constexpr int kTries = 5;  // brackets; then everybody is walked

// A little inside a bracket: an edge this close to an end may have company among the users not listed.
constexpr double kInside = 1.0 / (1ull << 45);

struct SetChoice {
  std::int32_t* choice;
  BIDFCL_HD void operator()(std::int64_t i) const { choice[i] = -1; }
};

// What is known of a problem before its plan.
void report_survey(const Survey& s, std::int64_t b, std::int64_t users, const Plans& out) {
  const double nothing = std::nan("");
  out.multiplier[b] = out.value[b] = out.spend[b] = out.dual_bound[b] = out.gap[b] = out.least_budget[b] = nothing;
  out.value_unit[b] = out.cost_unit[b] = nothing;
  out.rows_read[b] = users;
  out.sweeps[b] = out.active[b] = 0;
  out.status[b] = s.broken ? kNotFinite : s.closed ? kNoOpenTreatment : kSolved;
  if (s.broken) return;
  const Scales scales = s.scales();
  out.value_unit[b] = s.value > 0 ? scales.value.nearest(1) : 0;
  out.cost_unit[b] = s.cost > 0 ? scales.cost.nearest(1) : 0;
}

void report_plan(const BoughtPlan& plan, const Survey& s, const Tally& tally, int128 budget, std::int64_t users,
                 std::int64_t b, const Plans& out) {
  const Scales scales = s.scales();
  int128 bound = plan.split_value;
  double multiplier = 0;
  if (plan.has_split) {
    const Edge& e = plan.split;
    bound = dual_bound(bound, e.value, e.cost, budget - plan.split_cost, tally.rounded != 0, users);
    multiplier = slope_nearest(e.value, e.cost, scales.value, scales.cost);
  }
  out.multiplier[b] = multiplier;
  out.value[b] = scales.value.nearest(plan.value);
  out.spend[b] = scales.cost.nearest(plan.cost);
  out.dual_bound[b] = scales.value.above(bound);
  out.gap[b] = scales.value.above(bound - plan.value);
}

template <class T>
class Call {
 public:
  Call(const Device& device, const Problems& problems, bool fill, const Plans& plans)
      : device_(device), p_(problems), fill_(fill), out_(plans) {}

  void run() {
    if (p_.count > 1 && is_one_instance(p_) && p_.stop[0] - p_.start[0] <= kShared) return everybody(0, p_.count, true);
    const std::int64_t small = limits_of(device_).small_users;
    for (std::int64_t b = 0; b < p_.count;) {
      std::int64_t end = b, users = 0;
      while (end < p_.count && users_of(end) <= small && users + users_of(end) <= kTogether) users += users_of(end++);
      if (end > b) {
        everybody(b, end, false);
        b = end;
      } else {
        large(b++);
      }
    }
  }

 private:
  std::int64_t users_of(std::int64_t b) const { return p_.stop[b] - p_.start[b]; }
  std::int32_t* choice_of(std::int64_t b) const { return out_.choice + b * out_.choice_stride + p_.start[b]; }

  void nobody(std::int64_t b) {
    const std::int64_t users = users_of(b);
    launch(device_, plan_rows(1, users, 0, -1, limits_of(device_)), Each<SetChoice>({choice_of(b)}, users));
  }

  // Problems first .. last − 1 by all their edges.
  void everybody(std::int64_t first, std::int64_t last, bool together) {
    const Instances<T> in = instances_of<T>(device_, p_, first, together ? first + 1 : last);
    Reading<T> reading(device_, in);
    std::int64_t users = 0;
    for (std::int64_t b = first; b < (together ? first + 1 : last); ++b) users += users_of(b);
    reading.read_all(users);
    settle(reading, first, last, together, false);
  }

  // The plans of budgets first .. last − 1, from a complete reading. With `guess`, false if the bracket may miss what
  // matters.
  bool settle(Reading<T>& reading, std::int64_t first, std::int64_t last, bool together, bool guessed) {
    const std::int64_t count = last - first;
    if (count == 0) return true;
    const auto of = [&](std::int64_t k) { return static_cast<std::size_t>(together ? 0 : k); };
    std::vector<int128> budgets;
    for (std::int64_t k = 0; k < count; ++k)
      budgets.push_back(
          reading.surveys[of(k)].usable() ? reading.surveys[of(k)].scales().cost.floor(p_.budget[first + k]) : 0);
    FinishJob<T> job{};
    job.pass = reading.job;
    job.edges = static_cast<std::int64_t>(reading.counts.edges);
    job.open = static_cast<std::int64_t>(reading.counts.open);
    Running* const running = device_.room<Running>(job.edges);
    order(device_, reading.job.edges, job.edges, running);
    job.running = running;
    job.budgets = count;
    job.together = together;
    job.fill = fill_;
    int128* const budget = device_.room<int128>(count);
    upload(device_, budget, budgets.data(), count * static_cast<std::int64_t>(sizeof(int128)));
    job.budget = budget;
    // Where problem k's first user is added again on the device.
    job.choice = out_.choice + first * out_.choice_stride + (reading.job.in.first ? 0 : p_.start[first]);
    job.choice_stride = out_.choice_stride;
    job.plan = device_.room<BoughtPlan>(count);
    finish(device_, job);
    std::vector<BoughtPlan> plans(static_cast<std::size_t>(count));
    download(device_, plans.data(), job.plan, count * static_cast<std::int64_t>(sizeof(BoughtPlan)));
    if (guessed && !is_whole(plans[0], reading.guess)) return false;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t b = first + k;
      const Survey& s = reading.surveys[of(k)];
      const Tally& tally = reading.tallies[of(k)];
      report_survey(s, b, users_of(b), out_);
      if (out_.status[b] == kSolved) {
        out_.sweeps[b] = 1 + sweeps_;
        out_.active[b] = guessed ? job.open : users_of(b);
        out_.rows_read[b] += users_of(b) * (1 + sweeps_);
        const int128 least = tally.cost.total();
        if (least > budgets[static_cast<std::size_t>(k)]) {
          out_.status[b] = kInfeasibleBudget;
          out_.least_budget[b] = s.scales().cost.above(least);
        } else {
          report_plan(plans[static_cast<std::size_t>(k)], s, tally, budgets[static_cast<std::size_t>(k)], users_of(b),
                      b, out_);
        }
      }
      if (out_.status[b] != kSolved) nobody(b);
    }
    sweeps_ = 0;
    return true;
  }

  // Whether all that matters lies inside the bracket.
  bool is_whole(const BoughtPlan& plan, const Guess<T>& seen) const {
    if (seen.low > 0 &&
        (!plan.has_split || plan.tried < (fill_ ? kFillWindow : 1) || plan.last_slope < seen.below * (1 + kInside)))
      return false;
    return !plan.has_split || plan.split.slope <= seen.above * (1 - kInside);
  }

  void large(std::int64_t b) {
    const Instances<T> in = instances_of<T>(device_, p_, b, b + 1);
    Reading<T> reading(device_, in);
    const std::int64_t users = users_of(b);
    PassJob<T>& job = reading.job;
    job.guess = reading.guessed;
    job.choice = choice_of(b);
    reading.make_room(users / 4 + 1024, users / 4 + 1024);
    const std::int64_t sample = users / 8 < kSample ? users / 8 : kSample;
    Asked asked{p_.budget[b], 0, INFINITY, kDeviations, sample};
    const double warm = p_.warm_start ? p_.warm_start[b] : std::nan("");
    if (warm > 0 && std::isfinite(warm) && users >= kWarm) asked = {p_.budget[b], warm * 63 / 64, warm * 65 / 64, 0, 0};
    Search search{};
    for (int tries = 0; tries < kTries; ++tries) {
      bracket(device_, in, job.survey, asked, reading.guessed);
      reading.read();
      const Guess<T>& seen = reading.guess;
      if (!reading.surveys[0].usable()) break;
      search.budget = reading.surveys[0].scales().cost.floor(p_.budget[b]);
      if (!seen.sweeps && settle(reading, b, b + 1, false, true)) return;
      const int128 high = reading.tallies[0].cost.total(), low = high + reading.tallies[0].listed.total();
      const Verdict verdict = search.tell(Bracket{seen.low, seen.high}, low, high);
      if (verdict == Verdict::kInside) {
        if (settle(reading, b, b + 1, false, true)) return;
        // Too little below the multiplier for `fill`.
        const double reach = 8 * (seen.high - seen.low);
        asked = {p_.budget[b], seen.low > reach ? seen.low - reach : 0, seen.high, 0, 0};
      } else {
        const double deviations = 2 * (asked.deviations > 0 ? asked.deviations : kDeviations);
        asked = {p_.budget[b], search.outer.low, search.outer.high, deviations, sample};
      }
      ++sweeps_;
    }
    job.guess = nullptr;
    reading.read();
    settle(reading, b, b + 1, false, false);
  }

  const Device& device_;
  const Problems& p_;
  bool fill_;
  const Plans& out_;
  std::int64_t sweeps_ = 0;  // brackets that missed
};

}  // namespace

void cuda::mckp(const Device& device, const Problems& problems, bool fill, const Plans& plans) {
  const OnDevice use(device);
  if (is_double(problems)) Call<double>(device, problems, fill, plans).run();
  else Call<float>(device, problems, fill, plans).run();
}

}  // namespace bidfcl
