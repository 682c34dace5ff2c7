"""What nextpnr's report and log say, in documents written by hand."""

from typing import Any

import pytest

from flipflow.hw.pnr.progress import Progress
from flipflow.hw.pnr.report import BOARD_TOP, Utilisation, kernel_of, timing_of, utilisation_of

KERNELS = ["conv0", "conv0_window", "conv0_window_fifo", "conv1", "fc0"]


def step(kind: str, delay: float, cell: str) -> dict[str, Any]:
    place = {"cell": cell, "loc": [1, 1], "port": "A"}
    return {"type": kind, "delay": delay, "from": place, "to": place}


REPORT: dict[str, Any] = {
    "fmax": {"clk": {"achieved": 101.5, "constraint": 100.0}, "slow": {"achieved": 20.0, "constraint": 25.0}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge clk", "path": [step("source", 99.0, "uart_rx_i$tr_io")]},
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                step("clk-to-q", 0.5, "u_accelerator.u_conv1.weight_q_DP16KD"),
                step("routing", 3.0, "u_accelerator.u_fc0.sum_LUT4_Z"),
                step("logic", 0.25, "u_accelerator.u_fc0.sum_LUT4_Z"),
                step("setup", 0.0, "u_link.state_TRELLIS_FF_Q"),
            ],
        },
        {"from": "posedge slow", "to": "posedge slow", "path": [step("logic", 50.0, "u_link.x")]},
    ],
    "utilization": {
        "TRELLIS_COMB": {"used": 4_000, "available": 83_640},
        "TRELLIS_FF": {"used": 3_000, "available": 83_640},
        "DP16KD": {"used": 9, "available": 208},
        "MULT18X18D": {"used": 8, "available": 156},
        "TRELLIS_IO": {"used": 4, "available": 365},
    },
}


@pytest.mark.parametrize(
    ("cell", "kernel"),
    [
        ("u_accelerator.u_conv0.acc_q_LUT4_Z", "conv0"),
        ("u_accelerator.u_conv0_window.row_q", "conv0_window"),
        ("u_accelerator.u_conv0_window_fifo.mem", "conv0_window_fifo"),
        ("u_accelerator.u_conv1_LUT4_A", "conv1"),
        ("$abc$1$auto$x.u_accelerator.u_fc0.q", "fc0"),
        ("u_accelerator.u_unknown.q", BOARD_TOP),
        ("u_link.u_crc.q", BOARD_TOP),
    ],
)
def test_kernel_of_a_cell(cell: str, kernel: str) -> None:
    assert kernel_of(cell, KERNELS) == kernel


def test_timing_of_the_accelerators_clock() -> None:
    timing = timing_of(REPORT, 100.0, KERNELS)
    assert timing.fmax_mhz == 101.5
    assert timing.critical is not None
    # 3.25 of 3.75 ns lie in fc0; paths from pins and of other clocks do not count.
    assert timing.critical.kernel == "fc0"
    assert timing.critical.delay_ns == pytest.approx(3.75)
    assert [item.kernel for item in timing.critical.steps] == ["conv1", "fc0", "fc0", BOARD_TOP]
    assert timing.clocks == {"clk": (101.5, 100.0), "slow": (20.0, 25.0)}
    assert not timing.met  # the other clock fails


def test_slowest_path_of_every_kernel() -> None:
    def net(event: str, *ends: tuple[str, str, float, float]) -> dict[str, Any]:
        return {
            "event": event,
            "endpoints": [{"cell": cell, "event": at, "delay": [low, high]} for cell, at, low, high in ends],
        }

    clk = "posedge clk"
    details = [
        net(clk, ("u_accelerator.u_conv1.q", clk, 1.0, 3.5), ("u_link.q", clk, 1.0, 2.5)),
        net(clk, ("u_accelerator.u_conv1.q", clk, 2.0, 3.7), ("led_o[0]$tr_io", "<async>", 2.0, 30.0)),
        net(clk, ("u_link.q", clk, 1.0, 6.0)),  # from a pin, as it is beyond the clock's critical path
        net("<async>", ("u_accelerator.u_fc0.q", clk, 2.0, 40.0)),
        net("posedge slow", ("u_accelerator.u_fc0.q", "posedge slow", 2.0, 50.0)),
        net(clk, ("u_accelerator.u_fc0.q", clk, 2.0, 3.0)),
    ]
    timing = timing_of(REPORT | {"detailed_net_timings": details}, 100.0, KERNELS)
    assert list(timing.kernels.items()) == [("conv1", 3.7), ("fc0", 3.0), (BOARD_TOP, 2.5)]


def test_timing_is_met_where_every_clock_is() -> None:
    report = REPORT | {"fmax": {"clk": {"achieved": 100.0, "constraint": 100.0}}}
    assert timing_of(report, 100.0, KERNELS).met


def test_a_design_without_a_clock() -> None:
    timing = timing_of({"fmax": {}, "critical_paths": []}, 100.0, KERNELS)
    assert (timing.fmax_mhz, timing.critical) == (0.0, None)


def test_utilisation_of_ecp5() -> None:
    assert utilisation_of(REPORT) == Utilisation(4_000, 3_000, 9, 8)


def test_utilisation_of_gowin_counts_carries_and_lut_ram() -> None:
    used = {"LUT4": 1_000, "ALU": 200, "RAM16SDP4": 10, "DFF": 500, "BSRAM": 7, "MULT9X9": 3, "IOB": 5}
    report = {"utilization": {name: {"used": count, "available": 9} for name, count in used.items()}}
    assert utilisation_of(report) == Utilisation(1_000 + 200 + 40, 500, 7, 2)


LOG = """Info: Packing IOs..
Info: Creating initial analytic placement for 8463 cells, random placement wirelen = 1
Info:     at iteration #1, type TRELLIS_COMB: wirelen solved = 736, spread = 845, legal = 842; time = 0.29s
Info:     at iteration #1, type ALL: wirelen solved = 1125, spread = 81378, legal = 84665; time = 5.72s
Info:     at iteration #2, type ALL: wirelen solved = 5888, spread = 53106, legal = 58755; time = 6.63s
Info: Running simulated annealing placer for refinement.
Info:   at iteration #1: temp = 0.000000, timing cost = 17, wirelen = 842
Info: Routing 1000 arcs.
Info:        500 |      134        157 |  134   157 |       750|       0.75       0.75|
Info:       1309 |      134        157 |  134   157 |         0|       0.75       0.75|
"""


def test_progress_of_router1() -> None:
    told: list[tuple[float, str]] = []
    progress = Progress(lambda percent, phase: told.append((percent, phase)))
    for line in LOG.splitlines():
        progress.hear(line)
    percents = [percent for percent, _ in told]
    assert percents == sorted(percents)
    assert [phase for _, phase in told] == [
        "packing",
        "placing, round 1, wires 84,665",
        "placing, round 2, wires 58,755",
        "refining the placement",
        "routing, 1,000 arcs",
        "routing, 750 arcs left",
        "routing, 0 arcs left",
    ]
    assert percents[-2] == pytest.approx(55 + 44 / 4)  # a quarter of the arcs is routed
    assert percents[-1] == pytest.approx(99)


def test_progress_of_router2() -> None:
    told: list[tuple[float, str]] = []
    progress = Progress(lambda percent, phase: told.append((percent, phase)))
    for overuse in (400, 100, 0):
        progress.hear(f"Info:     iter=1 wires=900 overused=300 overuse={overuse} tmgfail=0 archfail=NA\n")
    assert [percent for percent, _ in told] == pytest.approx([55, 55 + 0.75 * 44, 99])
