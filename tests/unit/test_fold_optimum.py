"""The folding optimum against exhaustive search: random problems of choice, and networks through the stitching itself."""

from itertools import product
from math import inf
from typing import Any

import numpy as np
import pytest
from hw_graphs import Net
from residual_kernels import residual_kernels

from flipflow.errors import FlipflowError
from flipflow.hw.convert import convert
from flipflow.hw.fifo_sizing import size_fifos
from flipflow.hw.fold_cost import LUTS_PER_BRAM, LUTS_PER_DSP, Cost
from flipflow.hw.fold_layers import combinations, layers_of
from flipflow.hw.fold_optimum import Budget, Deadline, cheapest, fastest, front, least
from flipflow.hw.fold_pricing import fold_problem
from flipflow.hw.fold_problem import Choice, Edge, Joint, Problem
from flipflow.hw.fold_program import Program
from flipflow.hw.folding import FoldRequest, fold
from flipflow.hw.graph import kernels_of, set_pace
from flipflow.hw.lag import waits_of
from flipflow.hw.stitch import stitch

SIZES = (1, 2, 3)  # elements a beat


def random_problem(seed: int) -> Problem:
    """Two to five layers in a random directed acyclic graph; every layer has one to six choices; some gearboxes are slow."""
    rng = np.random.default_rng(seed)

    def cost(most: int) -> Cost:
        return Cost(*(int(value) for value in rng.integers(0, (most, most // 20 + 2, 4))))

    def choice() -> Choice:
        into, out = rng.choice(SIZES, 2)
        return Choice({}, int(into), int(out), int(rng.integers(1, 12)), cost(200))

    count = int(rng.integers(2, 6))
    layers = tuple(tuple(choice() for _ in range(rng.integers(1, 7))) for _ in range(count))
    pairs = [(source, target) for target in range(1, count) for source in range(target)]
    taken = [pair for pair in pairs if pair[1] == pair[0] + 1 or rng.random() < 0.3]
    joints = [
        {(a, b): Joint(int(rng.integers(0, 12)), cost(80), cost(160)) for a in SIZES for b in SIZES if a != b}
        for _ in taken
    ]
    edges = tuple(Edge(*pair, joint) for pair, joint in zip(taken, joints, strict=True))
    return Problem(tuple(f"layer{index}" for index in range(count)), layers, edges)


def cost_by_definition(problem: Problem, picks: tuple[Choice, ...], pace: int) -> tuple[int, int, int]:
    """(LUTs, block RAMs, multipliers): every layer's, and what joins unequal beats, one gearbox where it is fast enough."""
    parts = [pick.cost for pick in picks]
    for edge in problem.edges:
        out, into = picks[edge.source].out, picks[edge.target].into
        if out != into:
            joint = edge.joints[out, into]
            parts.append(joint.single if joint.cycles <= pace else joint.double)
    return sum(part.lut for part in parts), sum(part.bram for part in parts), sum(part.dsp for part in parts)


def search(problem: Problem, pace: int, budget: Budget) -> float:
    """Least LUTs + 48 block RAMs + 32 multipliers within a pace and a budget, by trying everything; inf where there is none."""
    best = inf
    for picks in product(*problem.choices):
        if max(pick.cycles for pick in picks) > pace:
            continue
        lut, bram, dsp = cost_by_definition(problem, picks, pace)
        limits = ((lut, budget.lut), (bram, budget.bram), (dsp, budget.dsp))
        if all(most is None or value <= most for value, most in limits):
            best = min(best, lut + 48 * bram + 32 * dsp)
    return best


def test_weights() -> None:
    assert (LUTS_PER_BRAM, LUTS_PER_DSP) == (48, 32)
    assert Cost(5, 2, 3).weighted == 5 + 96 + 96


@pytest.mark.parametrize("seed", range(40))
def test_cheapest_is_the_exhaustive_optimum(seed: int) -> None:
    problem = random_problem(seed)
    rng = np.random.default_rng([seed, 1])
    for budget in (
        Budget(),
        Budget(lut=int(rng.integers(50, 700))),
        Budget(*(int(v) for v in rng.integers(2, (600, 30, 9)))),
    ):
        for pace in rng.integers(1, 12, 2).tolist():
            found = cheapest(problem, pace, budget, Deadline(30))
            wanted = search(problem, pace, budget)
            assert (inf if found is None else found.cost.weighted) == wanted
            if found is not None:
                assert found.optimal
                assert found.cycles <= pace
                cost = found.cost.lut, found.cost.bram, found.cost.dsp
                assert cost == cost_by_definition(problem, found.picks, pace)


@pytest.mark.parametrize("seed", range(40, 60))
def test_fastest_is_the_exhaustive_optimum(seed: int) -> None:
    problem = random_problem(seed)
    rng = np.random.default_rng([seed, 1])
    budget = Budget(*(int(v) for v in rng.integers(2, (800, 40, 14))))
    paces = [pace for pace in range(1, 13) if search(problem, pace, budget) < inf]
    found = fastest(problem, budget, Deadline(30))
    assert (found is None) == (not paces)
    if found is not None:
        assert found.cycles <= paces[0]
        assert found.cost.weighted == search(problem, paces[0], budget)
        assert budget.holds(found.cost)


def test_front_is_cheaper_with_every_point() -> None:
    problem = random_problem(3)
    points = front(problem, Budget(), Deadline(30), 12, lambda done, total: None)
    assert len(points) > 2
    for point in points:
        assert point.cost.weighted == search(problem, point.cycles, Budget())
    costs, cycles = [point.cost.weighted for point in points], [point.cycles for point in points]
    assert costs == sorted(set(costs), reverse=True)
    assert cycles == sorted(set(cycles))


def network() -> object:
    """6x6x2 at 4 bits, conv0 (3x3, binary weights) 4x4x4, pool0 2x2x4, fc0 3; fan-ins 18 and 16."""
    net = Net([6, 6, 2], "UINT4").conv(4, (3, 3)).levels("BIPOLAR", bits=True).pool(2, 2)
    return convert(net.linear(3).model())


def stitched_cost(model: object, knobs: tuple[dict[str, int | str], ...], pace: int) -> tuple[int, int, int]:
    """(cycles a frame, LUTs, block RAMs) of a network folded by hand: those of the stitched graph's kernels."""
    for layer, values in zip(layers_of(model), knobs, strict=True):
        layer.apply(values)
    set_pace(model, pace)
    ops = kernels_of(stitch(model))
    luts, blocks = (sum(getattr(op, f"{kind}_estimation")("") for op in ops) for kind in ("lut", "bram"))
    return max(op.get_exp_cycles() for op in ops), luts, blocks


def test_a_network_s_optimum_is_that_of_the_stitched_graphs() -> None:
    """All 3 x 2 x 3 x 2 x 5 foldings of a network: no other that is as fast costs less, as it is stitched."""
    pace = 300
    model = network()
    layers = layers_of(model)
    auto = {layer.name: dict.fromkeys(layer.memories(), "auto") for layer in layers}
    every = [[knobs | auto[layer.name] for knobs in combinations(layer.legal())] for layer in layers]
    assert [len(each) for each in every] == [6, 3, 10]
    costs = [stitched_cost(model, knobs, pace) for knobs in product(*every)]
    wanted = min(lut + 48 * bram for cycles, lut, bram in costs if cycles <= pace)
    found = cheapest(fold_problem(model, auto, pace), pace, Budget(), Deadline(30))
    assert found is not None
    assert found.optimal
    assert found.cost.weighted == wanted
    assert stitched_cost(model, tuple(pick.knobs for pick in found.picks), pace)[1:] == (
        found.cost.lut,
        found.cost.bram,
    )


def test_memories_are_chosen_with_the_folding() -> None:
    """Of one folding, all 2 x 2 x 2 places of the ROMs: the optimum is the cheapest of them, as it is stitched."""
    pace = 16 * 9 * 4
    model = network()
    fixed = {"conv0": {"pe": 2, "simd": 1}, "pool0": {"simd": 2}, "fc0": {"pe": 1, "simd": 2}}
    kinds = [layer.memories() for layer in layers_of(model)]
    assert [len(each) for each in kinds] == [2, 0, 1]
    every = [[fixed[layer.name] | memory for memory in combinations(layer.memories())] for layer in layers_of(model)]
    costs = [stitched_cost(model, knobs, pace) for knobs in product(*every)]
    assert len(costs) == 8
    found = cheapest(fold_problem(model, fixed, pace), pace, Budget(), Deadline(30))
    assert found is not None
    assert found.cost.weighted == min(lut + 48 * bram for _, lut, bram in costs)
    none = cheapest(fold_problem(model, fixed, pace), pace, Budget(bram=0), Deadline(30))
    assert none is not None
    assert none.cost.lut == min(lut for _, lut, bram in costs if bram == 0)


def test_branches_fold_together() -> None:
    """All 3 x 3 x 2 x 3 foldings of what lies between a fork and a sum, bypass FIFO included, as it is stitched."""
    pace = 36 * 9 * 2
    model = residual_kernels()
    layers = layers_of(model)
    assert [layer.name for layer in layers] == ["conv0", "threshold0", "conv1", "add0", "fc0"]
    fixed = {layer.name: dict.fromkeys(layer.memories(), "auto") for layer in layers}
    fixed["conv0"] |= {"pe": 2, "simd": 2}
    fixed["conv1"] |= {"simd": 4}
    fixed["fc0"] |= {"pe": 1, "simd": 2}
    every = []
    for layer in layers:
        legal = {key: values for key, values in layer.legal().items() if key not in fixed[layer.name]}
        every.append([fixed[layer.name] | knobs for knobs in combinations(legal)])
    assert [len(each) for each in every] == [1, 3, 3, 3, 1]
    costs = [stitched_cost(model, knobs, pace) for knobs in product(*every)]
    found = cheapest(fold_problem(model, fixed, pace), pace, Budget(), Deadline(30))
    assert found is not None
    assert found.cost.weighted == min(lut + 48 * bram for cycles, lut, bram in costs if cycles <= pace)


def test_what_goes_around_a_convolution_waits_for_it() -> None:
    """The FIFO of the bypass holds what the window and a vector take: 1 row and 2 of 6 pixels, then 1; of 36 pixels."""
    model = residual_kernels()
    assert waits_of(model) == {("add0", 0): 0.0, ("add0", 1): pytest.approx((8 + 1) / 36)}
    depths = {op.name: op.integer("Depth") for op in kernels_of(stitch(model)) if op.onnx_node.op_type == "Fifo"}
    assert depths["add0_in1_fifo"] == 2 + 9 * 4  # words of one channel
    assert depths["add0_in0_fifo"] == 2
    timing = size_fifos(graph := stitch(model))
    exact = {op.name: op.integer("Depth") for op in kernels_of(graph) if op.onnx_node.op_type == "Fifo"}
    assert timing.ii == 36 * 36 * 4  # conv1, unfolded
    assert 0.5 * depths["add0_in1_fifo"] < exact["add0_in1_fifo"] < 1.2 * depths["add0_in1_fifo"]


def test_build_folds_to_the_optimum() -> None:
    model = network()
    fold(model, FoldRequest(cycles=300))
    ops = kernels_of(stitch(model))
    cost = sum(op.lut_estimation("") + 48 * op.bram_estimation("") for op in ops)
    found = cheapest(fold_problem(network(), {}, 300), 300, Budget(), Deadline(30))
    assert found is not None
    assert found.cost.weighted == cost


@pytest.mark.parametrize("seed", range(60, 80))
def test_least_of_a_resource_is_the_exhaustive_one(seed: int) -> None:
    """Where the solver has no time, a number that no folding is below."""
    problem, pace = random_problem(seed), 9
    costs = [
        cost_by_definition(problem, picks, pace)
        for picks in product(*problem.choices)
        if max(pick.cycles for pick in picks) <= pace
    ]
    budget = Budget(lut=300, dsp=8)
    for index, key in enumerate(("lut", "bram", "dsp")):
        held = [cost[index] for cost in costs if cost[0] <= 300 and cost[2] <= 8]
        assert least(problem, pace, Budget(), key, Deadline(30)) == (
            min(cost[index] for cost in costs) if costs else None
        )
        assert least(problem, pace, budget, key, Deadline(30)) == (min(held) if held else None)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Program, "solve", out_of_time)
            bound = least(problem, pace, budget, key, Deadline(30))
        assert not held or (bound is not None and bound <= min(held))


def out_of_time(program: Program, *_: object) -> tuple[None, bool]:
    return None, False


def test_a_pace_that_is_not_decided_in_time_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next slower pace is taken, and nobody claims that it is the best."""
    problem = random_problem(3)
    best = fastest(problem, Budget(), Deadline(30))
    assert best is not None and best.optimal
    solve = Program.solve

    def slow(program: Program, *rest: Any) -> Any:
        return (None, False) if program.cycles == problem.paces[0] else solve(program, *rest)

    monkeypatch.setattr(Program, "solve", slow)
    found = fastest(problem, Budget(), Deadline(30))
    assert found is not None and not found.optimal
    assert found.cycles <= problem.paces[1]
    assert found.cost.weighted == search(problem, problem.paces[1], Budget())
    monkeypatch.setattr(Program, "solve", out_of_time)
    with pytest.raises(FlipflowError, match="E332"):
        fastest(problem, Budget(), Deadline(30))
    with pytest.raises(FlipflowError, match="E332"):
        cheapest(problem, problem.paces[-1], Budget(), Deadline(30))


def test_budgets_that_are_tight_together_are_solved() -> None:
    """Hundreds of choices a layer, where the relaxation mixes them: cores grow, and the optimum is that of all choices."""
    rng = np.random.default_rng(5)
    layers = tuple(
        tuple(Choice({}, 1, 1, 1, Cost(*(int(v) for v in rng.integers(1, (4000, 90, 20))))) for _ in range(40))
        for _ in range(3)
    )
    edges = tuple(Edge(index, index + 1, {}) for index in range(2))
    problem = Problem(("a", "b", "c"), layers, edges)
    for budget in (Budget(bram=12), Budget(lut=900, bram=60, dsp=25), Budget(lut=700, dsp=8), Budget(300, 20, 3)):
        found = cheapest(problem, 1, budget, Deadline(30))
        costs = [cost_by_definition(problem, picks, 1) for picks in product(*layers)]
        limits = (budget.lut, budget.bram, budget.dsp)
        within = [
            lut + 48 * bram + 32 * dsp
            for lut, bram, dsp in costs
            if all(most is None or value <= most for value, most in zip((lut, bram, dsp), limits, strict=True))
        ]
        assert (inf if found is None else found.cost.weighted) == min(within, default=inf)
        assert found is None or found.optimal
