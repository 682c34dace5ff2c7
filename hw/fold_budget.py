"""What a folding may use on a board, and why none can be had: which resource or layer binds, and the best that is reachable."""

from dataclasses import dataclass, replace
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.boards import Part, board_names, find_board, flow_of, load_board
from flipflow.hw.fold_optimum import Budget, Deadline, Folding, cheapest, fastest, least
from flipflow.hw.fold_problem import Problem

NAMES = {"lut": "LUT4s", "bram": "18-kbit block RAMs", "dsp": "multipliers"}
# Share of a part's LUTs that can be placed, and how many LUT positions nextpnr takes for each LUT that synthesis counts
# (docs/results/bitstreams.json: 8 to 10 % more on ECP5, 43 % on Gowin).
_PLACEABLE = 0.92
_POSITIONS = {"ecp5": 1.1, "gowin": 1.45}
# What stands around the accelerator on boards with a serial link: 1,080 to 1,180 LUTs, and up to 7 block RAMs with wide beats,
# besides the two images that its buffer holds.
_LINK_LUT, _LINK_BRAM, _IMAGES, _BLOCK_BITS = 1200, 8, 2, 1 << 14
# Share of a part for the accelerator on boards of the vendor's flow, the rest being for the DMA and for placement. Their LUTs
# have six inputs, so that an estimate in LUT4s is on the safe side.
_VENDOR_SHARE = 0.8


def board_budget(name: str, image_bits: int) -> Budget:
    """What an accelerator may take on a board by the estimates. image_bits: of a frame, as the host sends it.

    Raises: FlipflowError E370, E371 (no such board, or a damaged file).
    """
    path = find_board(name)
    if flow_of(path) == "vivado":
        from flipflow.hw.vivado.board import load_vivado_board  # noqa: PLC0415

        whole = load_vivado_board(path).capacity
        return Budget(*(int(_VENDOR_SHARE * value) for value in (whole.lut, 2 * whole.bram36, whole.dsp)))
    board = load_board(name)
    return _link_budget(board.part, board.family, image_bits)


def _link_budget(part: Part, family: str, image_bits: int) -> Budget:
    images = -(-_IMAGES * image_bits // _BLOCK_BITS)
    luts = int(_PLACEABLE * part.lut / _POSITIONS[family]) - _LINK_LUT
    return Budget(luts, max(0, part.bram - _LINK_BRAM - images), part.dsp)


@dataclass(frozen=True)
class Asked:
    """What was asked for. cycles: at most, None for as few as can be; fps: where they come from a rate. image_bits: of a frame.
    where: the options, for messages.
    """

    cycles: int | None
    fps: float | None
    budget: Budget
    clock_mhz: float
    image_bits: int
    where: str

    def rate(self, cycles: int) -> str:
        """Cycles a frame as a rate; what was asked for in its own words."""
        fps = self.fps if self.fps is not None and cycles == self.cycles else self.clock_mhz * 1e6 / cycles
        return f"{fps:,.6g} frames a second at {self.clock_mhz:g} MHz ({cycles:,} cycles a frame)"


def refusal(problem: Problem, asked: Asked, deadline: Deadline) -> FlipflowError:
    """Why no folding of a problem is as asked: E330 with the best reachable and what binds, E331 where nothing fits at all."""
    best = fastest(problem, asked.budget, deadline)
    if best is None:
        what = (
            f"however the network is folded, it takes {shortage(problem, problem.paces[-1], asked.budget, deadline)}."
        )
        return FlipflowError("E331", what, asked.where, _larger(problem, asked, deadline))
    assert asked.cycles is not None
    if asked.cycles < problem.fastest:
        reason = f"{_slowest(problem)} takes {problem.fastest:,} cycles a frame at its fastest"
    else:
        reason = f"that takes {shortage(problem, asked.cycles, asked.budget, deadline)}"
    what = f"{asked.rate(asked.cycles)} cannot be reached: {reason}."
    fix = f"The best within the budget is {asked.rate(best.cycles)}; {_beyond(problem, best, asked, deadline)}."
    return FlipflowError("E330", what, asked.where, fix)


def shortage(problem: Problem, cycles: int, budget: Budget, deadline: Deadline) -> str:
    """What the budget has too little of at a pace: the least of each resource that is over it by itself; where none is, the
    least of each while the others are kept to.
    """
    limits = budget.limits
    alone = {key: _least(problem, cycles, Budget(), key, deadline) for key in limits}
    over = {key: amount for key, amount in alone.items() if amount is not None and amount > limits[key]}
    if over:
        return "at least " + " and ".join(_used(amount, key, budget) for key, amount in over.items())
    beside = {key: _least(problem, cycles, replace(budget, **{key: None}), key, deadline) for key in limits}
    short = [
        _used(amount, key, budget) for key, amount in beside.items() if amount is not None and amount > limits[key]
    ]
    if short:
        return f"at least {' or '.join(short)} while the rest is kept to"
    return "more than is allowed (the time was too short to say of what)"


def _least(problem: Problem, cycles: int, budget: Budget, key: str, deadline: Deadline) -> int | None:
    """The least of a resource that a folding takes, or a number that none is below; None where that is not known."""
    try:
        return least(problem, cycles, budget, key, deadline.half())
    except FlipflowError:
        return None


def _used(amount: int, key: str, budget: Budget) -> str:
    return f"{amount:,} {NAMES[key]} ({getattr(budget, key):,} are allowed)"


def _slowest(problem: Problem) -> str:
    least = [min(choice.cycles for choice in each) for each in problem.choices]
    return f"layer {problem.names[least.index(max(least))]}"


def _beyond(problem: Problem, best: Folding, asked: Asked, deadline: Deadline) -> str:
    """What binds at the best reachable pace."""
    faster = [pace for pace in problem.paces if pace < best.cycles]
    if not faster:
        return f"{_slowest(problem)} is no faster"
    return (
        f"the next pace, {faster[-1]:,} cycles a frame, takes {shortage(problem, faster[-1], asked.budget, deadline)}"
    )


def _larger(problem: Problem, asked: Asked, deadline: Deadline) -> str:
    """Boards that would hold the network, as far as that is known in the time there is."""
    answers = {name: _holds(problem, board_budget(name, asked.image_bits), deadline) for name in board_names()}
    boards = [name for name, holds in answers.items() if holds]
    if boards:
        return f"It would fit {', '.join(boards)}."
    if None in answers.values():
        return "The time was too short to say which board holds it: give the solver more seconds (--limit)."
    return "It fits none of the boards that flipflow knows: take a smaller network."


def _holds(problem: Problem, budget: Budget, deadline: Deadline) -> bool | None:
    """Whether a folding is within a budget; None where that is not known in the time there is."""
    try:
        return cheapest(problem, problem.paces[-1], budget, deadline.half()) is not None
    except FlipflowError:
        return None


def image_bits(model: Any) -> int:
    """Bits of a frame that a kernel graph takes."""
    from flipflow.hw.graph import kernels_of  # noqa: PLC0415

    stream = kernels_of(model)[0].in_stream()
    return stream.beats * stream.elems * stream.bits
