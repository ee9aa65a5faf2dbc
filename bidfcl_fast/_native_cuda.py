"""The CUDA module's calls: arrays of the device as addresses, on the caller's stream and in the caller's memory.

Arrays of the host are taken too, if this backend is asked for by name: they are copied to device 0 and the answer is copied back.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from . import _core, _native
from ._arrays import to_numpy
from ._core import Found, Options
from ._decisions import Decisions, Order, Total, arms, stray_treatment
from ._device import DeviceArray, Torch, on_device, view
from ._native import _DTYPE
from ._problems import EDGE, Contested, EdgesBetween, FrontierResult, Magnitudes, MckpResult, Problems, Scales
from ._ragged import RaggedProblems, plain
from .errors import Status


class Own:
    """Device memory of the module's own, for arrays of the host."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def stream(self, like: Any) -> int:
        return 0

    def room(self, count: int, like: Any) -> Any:
        return _Room(self._module, count)

    def address(self, room: Any) -> int:
        return room.address

    def typed(self, room: Any, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A copy on the host."""
        out = np.empty(shape, dtype)
        self._module.to_host(0, 0, out.ctypes.data, room.address, out.nbytes)
        return out

    def upload(self, x: np.ndarray) -> DeviceArray:
        """What repeats along the first axis is copied once."""
        once = x[:1] if x.ndim and x.shape[0] > 1 and x.strides[0] == 0 else x
        once = np.ascontiguousarray(once)
        room = self.room(once.nbytes, None)
        self._module.to_device(0, 0, room.address, once.ctypes.data, once.nbytes)
        strides = once.strides if once.shape == x.shape else (0, *once.strides[1:])
        return DeviceArray(room, self, 0, room.address, x.shape, strides, x.dtype)


class _Room:
    def __init__(self, module: Any, count: int) -> None:
        self.address = module.take_memory(0, 0, count)
        weakref.finalize(self, module.give_memory, 0, 0, self.address)


class Place:
    """Where one call runs, and the memory it took there."""

    def __init__(self, like: DeviceArray) -> None:
        self._like = like
        self._rooms: dict[int, Any] = {}

    def allocate(self, count: int) -> int:
        room = self._like.library.room(count, self._like.owner)
        address = self._like.library.address(room)
        self._rooms[address] = room
        return address

    @property
    def triple(self) -> tuple[int, int, Any]:
        return (self._like.device, self._like.library.stream(self._like.owner), self.allocate)

    def typed(self, address: int, dtype: Any, shape: tuple[int, ...]) -> Any:
        """What stands in memory taken here, as an array of the caller's library."""
        return self._like.library.typed(self._rooms[address], dtype, shape)

    def host(self, address: int, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The same on the host."""
        made = self.typed(address, dtype, shape)
        return made if isinstance(made, np.ndarray) else self._like.library.to_host(made)


def _strided(x: DeviceArray | None) -> tuple[int, int, int, int]:
    if x is None:
        return (0, 0, 0, 0)
    b, n, m = (stride // x.itemsize for stride in x.strides)
    return (x.address, b, n, m)


class CudaOps:
    """The operations of `_spec.OPS` that run on a device, from one extension module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.own = Own(module)

    def _here(self, x: Any) -> Any:
        return x if x is None or isinstance(x, DeviceArray) else self.own.upload(x)

    def _call(self, problems: Problems, warm_start: np.ndarray | None = None) -> tuple[Place, Any, tuple]:
        """Where it runs, the problems as C++ sees them, and what must live until the call is over."""
        value, cost = self._here(problems.value), self._here(problems.cost)
        mask = problems.mask if isinstance(problems.mask, DeviceArray) else None
        if isinstance(problems.mask, np.ndarray):
            mask = self.own.upload(problems.mask.view(np.uint8))
        small = [np.ascontiguousarray(x) for x in (problems.start, problems.stop, problems.budget)]
        call = self.module.Problems(
            _DTYPE[value.dtype],
            _strided(value),
            _strided(cost),
            _strided(mask),
            problems.count,
            problems.users,
            value.shape[2],
            small[0].ctypes.data,
            small[1].ctypes.data,
            0,
            small[2].ctypes.data,
            0 if warm_start is None else warm_start.ctypes.data,
        )
        return Place(value), call, (value, cost, mask, small, warm_start)

    def _plans(self, place: Place, problems: Problems) -> tuple[MckpResult, Any, int, tuple[int, int]]:
        out = MckpResult.empty(problems, undecided=False)
        shape = out.choice.shape
        address = place.allocate(4 * shape[0] * shape[1])
        stride = 0 if problems.segmented else shape[1]
        plans = self.module.Plans(stride, address, *(field.ctypes.data for field in out[1:]))
        return out, plans, address, shape

    def mckp(self, problems: Problems, *, fill: bool, warm_start: np.ndarray | None = None) -> MckpResult:
        place, call, _kept = self._call(_dense(problems), warm_start)
        out, plans, address, shape = self._plans(place, problems)
        self.module.mckp(place.triple, call, fill, plans)
        return out._replace(choice=place.typed(address, np.int32, shape))

    def decide(self, problems: Problems, multiplier: np.ndarray) -> MckpResult:
        place, call, _kept = self._call(problems)
        out, plans, address, shape = self._plans(place, problems)
        self.module.decide(place.triple, call, multiplier.ctypes.data, plans)
        return out._replace(choice=place.typed(address, np.int32, shape))

    def contested(
        self, problems: Problems, plan: np.ndarray, multiplier: float, margin: float, units: tuple[float, float]
    ) -> Contested:
        place, call, _kept = self._call(problems)
        at = self.own.upload(np.ascontiguousarray(plan, np.int32))
        arrays = [place.allocate(4 * len(plan)) for _ in range(3)]
        totals = np.empty(4, np.int64)
        found = self.module.contested(
            place.triple, call, at.address, multiplier, margin, *units, *arrays, totals.ctypes.data
        )
        value, cost = ((high << 32) + low for high, low in totals.reshape(2, 2).tolist())
        users, others, best = (
            place.typed(a, np.int32, (n,)) for a, n in zip(arrays, (found[0], found[1], found[1]), strict=True)
        )
        return Contested(users, others, best, value, cost)

    def core(
        self, options: Options, room: int, wider: int, price: float, unit: float, gap: float, deadline: float = math.inf
    ) -> Found:
        """A proof's last step is lists of some hundred entries: the host's business."""
        try:
            _native.module()
        except ImportError:
            return _core.solve(options, room, wider, price, unit, gap, deadline)
        return _native.core(options, room, wider, price, unit, gap, deadline)

    def magnitudes(self, problems: Problems) -> Magnitudes:
        place, call, _kept = self._call(_dense(problems))
        value, cost, finite = self.module.shard_magnitudes(place.triple, call)
        return Magnitudes(value, cost, True) if finite else Magnitudes(math.nan, math.nan, False)

    def costs_rounded(self, problems: Problems, shift: int) -> bool:
        place, call, _kept = self._call(_dense(problems))
        return bool(self.module.shard_costs_rounded(place.triple, call, shift))

    def edges_between(self, problems: Problems, scales: Scales, low: float, high: float) -> EdgesBetween:
        problems = _dense(problems)
        place, call, _kept = self._call(problems)
        users = int(problems.stop[0] - problems.start[0])
        choice = place.allocate(4 * users)
        status, value, cost, count, address = self.module.edges_between(place.triple, call, low, high, *scales, choice)
        if status != Status.SOLVED:
            return EdgesBetween(Status(status), np.full(users, -1, np.int32), 0, 0, np.empty(0, EDGE))
        cells = place.typed(address, np.int64, (count, 6)) if count else np.empty((0, 6), np.int64)
        listed = np.ascontiguousarray(cells[:, :5]).view(EDGE)[:, 0]  # the last eight bytes say which problem
        edges = np.sort(listed, order=["user", "position"])
        whole_value, whole_cost = ((half[0] << 32) + half[1] for half in (value, cost))
        chosen = place.typed(choice, np.int32, (users,))
        return EdgesBetween(Status.SOLVED, chosen, whole_value, whole_cost, edges)

    def frontier(self, problems: Problems) -> FrontierResult:
        place, call, _kept = self._call(_dense(problems))
        status, count, budget, *_ = self.module.frontier(place.triple, call)
        if status != Status.SOLVED:
            return FrontierResult(Status(status), *(np.zeros(0) for _ in range(3)))
        return FrontierResult(Status.SOLVED, *place.typed(budget, np.float64, (3, count)))

    def decision_loss(self, d: Decisions, order: Order, value_out: Any = None, cost_out: Any = None) -> Any:
        """Totals [B, K, 5]: for arrays of the host NumPy's, for those of a device an array there, and nobody has waited for it.
        NaN totals then say that a treatment is out of range."""
        count, users, items, multipliers = d.shape
        there = isinstance(d.value, DeviceArray) or on_device(d.value)
        seen: list[DeviceArray] = []

        def at(x: Any, rank: int | None) -> tuple[int, ...] | None:
            if x is None:
                return None
            if not isinstance(x, DeviceArray):
                x = view("array", x) if there else self.own.upload(_host(x))
            seen.append(x)
            if rank is None:
                return (x.address,)
            strides = [s // x.itemsize for s in x.strides]
            return (x.address, *[0] * (rank - len(strides)), *strides)

        def small(x: Any) -> tuple[int, ...] | None:
            if x is not None and count > 1 and len(x.shape) == 1 and x is not d.scale:
                raise ValueError(f"multiplier, price and turn must be [{count}, K] for {count} problems")
            return at(x, None)

        grids = [at(x, 3) for x in (d.value, d.cost, d.mask)]
        labels = [at(x, 2) for x in (d.treatment, d.weight, d.outcome, d.cost_outcome)]
        rates = [small(x) for x in (d.multiplier, d.price, d.turn, d.scale)]
        turns = [at(x, 3) for x in (d.value_turn, d.cost_turn)]
        place = Place(seen[0])
        outs = [value_out, cost_out] if order != Order.VALUE else [None, None]
        size = count * users * items * seen[0].itemsize
        where = [None if x is None else (self._address(x) if there else place.allocate(size),) for x in outs]
        totals = place.allocate(8 * count * multipliers * len(Total))
        astray = place.allocate(8)
        self.module.decision_loss(
            place.triple,
            int(order),
            _DTYPE[seen[0].dtype],
            (*grids, *labels, *rates, *turns, *where, (totals,)),
            (count, users, items, multipliers),
            (int(d.rule.family), d.rule.temperature, d.rule.bound, d.rule.window),
            astray,
        )
        if there:
            return place.typed(totals, np.float64, (count, multipliers, len(Total)))
        for x, address in zip(outs, where, strict=True):
            if x is not None and address is not None:
                self.module.to_host(0, 0, self._address(x), address[0], size)
        if place.typed(astray, np.int64, (1,))[0]:
            raise stray_treatment(d.treatment, arms(d.rule, items))
        return place.typed(totals, np.float64, (count, multipliers, len(Total)))

    @staticmethod
    def _address(x: Any) -> int:
        if isinstance(x, DeviceArray):
            return x.address
        return (
            x.ctypes.data if isinstance(x, np.ndarray) else view("array", x).address if on_device(x) else x.data_ptr()
        )

    def received_intervals(self, value: np.ndarray, cost: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """See `_native.received_intervals`; value and cost may be on a device, and are then read there."""
        if isinstance(value, DeviceArray):
            arrays = [value, cost, value.library.view(value.back(treatment))]
        else:
            arrays = [self.own.upload(x) for x in (value, cost, treatment)]
        place = Place(arrays[0])
        grids = [(x.address, 0, *(s // x.itemsize for s in x.strides)) for x in arrays]
        low = place.allocate(16 * len(treatment))
        astray = place.allocate(8)
        self.module.received_intervals(
            place.triple,
            _DTYPE[value.dtype],
            (*grids[:2], None, grids[2], *[None] * 12),
            (1, *value.shape, 1),
            (0, 1.0, 0.0, False),
            low,
            low + 8 * len(treatment),
            astray,
        )
        if place.host(astray, np.int64, (1,))[0]:
            raise stray_treatment(treatment, value.shape[1])
        return place.host(low, np.float64, (2, len(treatment)))

    # --- curvature, on torch's tensors ---------------------------------------------------------------------------------

    def elementwise(self, name: str, like: Any, sizes: tuple, *tensors: Any) -> None:
        """A kernel over contiguous tensors of one dtype."""
        first = Torch().view(like)
        addresses = (0 if x is None else x.data_ptr() for x in tensors)
        getattr(self.module, f"{name}{8 * first.itemsize}")(Place(first).triple, *sizes, *addresses)

    def _cg(self, held: tuple) -> tuple[Place, tuple]:
        x, r, p, inverse, damping, *rest = held
        first = Torch().view(x)
        vectors = (0 if t is None else t.data_ptr() for t in (x, r, p, inverse))
        return Place(first), (_DTYPE[first.dtype], *x.shape, *vectors, damping, *(t.data_ptr() for t in rest))

    def cg_step(self, held: tuple, products: Any, turns: bool) -> None:
        """`held`: x, r, p [B, P], inverse [P] or None, damping, then goal, room, rz, curvature, steps and state [B]."""
        place, state = self._cg(held)
        self.module.cg_step(place.triple, state, products.data_ptr(), turns)

    def cg_turn(self, held: tuple, preconditioned: Any, before: Any) -> None:
        place, state = self._cg(held)
        self.module.cg_turn(place.triple, state, preconditioned.data_ptr(), 0 if before is None else before.data_ptr())


def _dense(problems: Problems) -> Problems:
    """Rows of one length; halves stay what they are."""
    return plain(problems, "cuda") if isinstance(problems, RaggedProblems) else problems


def _host(x: Any) -> np.ndarray:
    array = to_numpy("array", x)
    return array.view(np.uint8) if array.dtype == np.bool_ else array
