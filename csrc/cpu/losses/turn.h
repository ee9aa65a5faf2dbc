// Few treatments: a pack of users' rows, as they lie side by side, to columns and back, in registers alone. With up to
// ten treatments that is faster than going through a tile.
#pragma once

#include "../machine/lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T, int Items>
constexpr bool turns_in_registers = false;

// to = the columns of what lies in `from`, or Back from columns to rows.
template <int Items, bool Back>
BIDFCL_HD void turn(const Lanes<float>::Pack* from, Lanes<float>::Pack* to);

#if defined(__AVX512F__)

template <int Items>
constexpr bool turns_in_registers<float, Items> = Items >= 2 && Items <= 10;

// Where the 16 numbers of each result come from: of each pair of sources, the lane in the first (0 to 15) or second (16
// to 31), and which results it concerns.
template <int Items, bool Back>
struct Turns {
  static constexpr int kPairs = (Items + 1) / 2;
  alignas(64) std::int32_t lane[Items][kPairs][16] = {};
  std::uint16_t mine[Items][kPairs] = {};

  constexpr Turns() {
    for (int k = 0; k < Items; ++k)
      for (int l = 0; l < 16; ++l) {
        // Back: place 16k + l of the rows is column place mod Items of user place / Items.
        const int place = Back ? 16 * k + l : Items * l + k;
        const int source = Back ? place % Items : place / 16, at = Back ? place / Items : place % 16;
        lane[k][source / 2][l] = source % 2 * 16 + at;
        mine[k][source / 2] = static_cast<std::uint16_t>(mine[k][source / 2] | 1 << l);
      }
  }
};
template <int Items, bool Back>
inline constexpr Turns<Items, Back> kTurns{};

template <int Items, bool Back>
BIDFCL_HD void turn(const Lanes<float>::Pack* from, Lanes<float>::Pack* to) {
  constexpr const Turns<Items, Back>& t = kTurns<Items, Back>;
#pragma GCC unroll 10
  for (int k = 0; k < Items; ++k) {
    __m512 out = _mm512_permutex2var_ps(from[0], _mm512_load_si512(t.lane[k][0]), from[1]);
#pragma GCC unroll 5
    for (int q = 1; q < Items / 2; ++q) {
      const __m512i lane = _mm512_load_si512(t.lane[k][q]);
      out = _mm512_mask_mov_ps(out, t.mine[k][q], _mm512_permutex2var_ps(from[2 * q], lane, from[2 * q + 1]));
    }
    if constexpr (Items % 2 != 0) {
      constexpr int last = Items / 2;
      const __m512i lane = _mm512_load_si512(t.lane[k][last]);
      out = _mm512_mask_permutexvar_ps(out, t.mine[k][last], lane, from[Items - 1]);
    }
    to[k] = out;
  }
}

#endif

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
