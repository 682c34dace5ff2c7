"""Writes all that Vivado needs for an accelerator on a board, and the driver, into one folder that can be carried elsewhere."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipflow.errors import FlipflowError
from flipflow.hw.host.network import network_identity
from flipflow.hw.vivado.board import VivadoBoard
from flipflow.hw.vivado.geometry import Geometry, geometry

TOP = "flipflow_axi"
NETWORK = "network.json"
_HW = Path(__file__).parents[1]
_TCL = Path(__file__).parent / "tcl"
_TEMPLATES = Path(__file__).parent / "templates"
_DRIVER = "flipflow_driver"
_DMA = ("dma.tcl",)
_SCRIPTS = {
    "zynq7000": ("zynq7000.tcl", *_DMA),
    "zynqmp": ("zynqmp.tcl", *_DMA),
    "xdma": ("xdma.tcl",),
}
_AXI_PORTS = (
    *("s_axi_awaddr", "s_axi_awvalid", "s_axi_awready", "s_axi_wdata", "s_axi_wstrb", "s_axi_wvalid", "s_axi_wready"),
    *("s_axi_bresp", "s_axi_bvalid", "s_axi_bready", "s_axi_araddr", "s_axi_arvalid", "s_axi_arready"),
    *("s_axi_rdata", "s_axi_rresp", "s_axi_rvalid", "s_axi_rready"),
    *("s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast"),
    *("m_axis_tdata", "m_axis_tvalid", "m_axis_tready", "m_axis_tlast"),
)


@dataclass(frozen=True)
class Project:
    """A written project. files: what was generated, relative to `folder`; scripts: Vivado's, in the order to run them."""

    folder: Path
    board: VivadoBoard
    clock_mhz: float
    geometry: Geometry
    files: tuple[str, ...]
    scripts: tuple[str, ...]


def write_project(run_dir: Path, board: VivadoBoard, clock_mhz: float, jobs: int) -> Project:
    """Write runs/<name>/bitstream/<board>/ anew: sources, Tcl scripts, constraints, driver. What Vivado made there is kept.

    Raises: FlipflowError E406 (accelerator.json), E452 (no accelerator, no integer net).
    """
    accel = read_accelerator(run_dir)
    identity = network_identity(run_dir)
    size = geometry(accel, board.narrowest_bits, board.stream_bits)
    folder = run_dir / "bitstream" / board.name
    for part in ("rtl", _DRIVER):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    copies = _copies(run_dir, accel, board)
    texts = {
        f"rtl/{TOP}.v": _wrapper(str(accel["name"]), size, identity),
        "clock.xdc": f"create_clock -name aclk -period {1000 / clock_mhz:.4f} [get_ports aclk]\n",
        NETWORK: json.dumps(_network(accel, size, identity, clock_mhz), indent=1) + "\n",
    }
    texts["settings.tcl"] = _settings(str(accel["name"]), board, clock_mhz, size, [*copies, *texts], jobs)
    for name, source in copies.items():
        shutil.copyfile(source, folder / name)
    for name, text in texts.items():
        (folder / name).write_text(text)
    scripts = ("out_of_context.tcl", "package_ip.tcl", f"{board.shell}.tcl")
    return Project(folder, board, clock_mhz, size, tuple(sorted([*copies, *texts])), scripts)


def read_accelerator(run_dir: Path) -> dict[str, Any]:
    """The run's accelerator.json. Raises: FlipflowError E406 (damaged), E452 (missing)."""
    path = run_dir / "accelerator.json"
    try:
        accel = json.loads(path.read_text())
    except FileNotFoundError as error:
        fix = f"Run `flipflow build {run_dir}` first."
        raise FlipflowError("E452", "the run has no accelerator.json.", str(run_dir), fix) from error
    except (OSError, ValueError) as error:
        raise FlipflowError("E406", f"it cannot be read ({error}).", str(path), "Build again.") from error
    if not isinstance(accel, dict) or not {"name", "sources", "predicted", "layers"} <= accel.keys():
        raise FlipflowError("E406", "it lacks name, sources, layers or predicted.", str(path), "Build again.")
    return accel


def _copies(run_dir: Path, accel: dict[str, Any], board: VivadoBoard) -> dict[str, Path]:
    """Files that are copied as they are: name in the folder -> source. Raises: FlipflowError E406 where one is missing."""
    copies = {f"rtl/{Path(name).name}": run_dir / name for name in accel["sources"]}
    copies |= {f"rtl/{path.name}": path for path in (_HW / "rtl" / "axi").glob("*.sv")}
    copies |= {
        name: _TCL / name for name in ("common.tcl", "out_of_context.tcl", "package_ip.tcl", *_SCRIPTS[board.shell])
    }
    copies |= {f"{_DRIVER}/{path.name}": path for path in (_HW / "pynq").glob("*.py")}
    missing = [str(source) for source in copies.values() if not source.is_file()]
    if missing:
        raise FlipflowError("E406", "is listed in accelerator.json, but not there.", missing[0], "Build again.")
    return copies


def _wrapper(name: str, size: Geometry, identity: bytes) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    # Byte 0 lies in the low bits of the parameter, so that the host reads the registers as one little-endian array.
    network = int.from_bytes(identity, "little")
    return environment.get_template(f"{TOP}.v.j2").render(
        name=name, size=size, network=f"{network:064x}", ports=_AXI_PORTS
    )


def _network(accel: dict[str, Any], size: Geometry, identity: bytes, clock_mhz: float) -> dict[str, Any]:
    """network.json: what the driver has to know."""
    return {
        "format": "flipflow-network",
        "version": 1,
        "name": accel["name"],
        "identity": identity.hex(),
        "clock_mhz": clock_mhz,
        "input": accel["input"] | {"word_bits": size.in_word_bits, "words_per_frame": size.in_words},
        "output": accel["output"] | {"word_bits": size.out_word_bits, "words_per_frame": size.out_words},
        "predicted": accel["predicted"],
    }


def _settings(name: str, board: VivadoBoard, clock_mhz: float, size: Geometry, files: list[str], jobs: int) -> str:
    """settings.tcl: the array `ff`."""

    def listed(suffix: str) -> str:
        return "[list " + " ".join(_quoted(file) for file in sorted(files) if file.endswith(suffix)) + "]"

    values = {
        "name": _quoted(name),
        "board": _quoted(board.name),
        "part": _quoted(board.part),
        "board_part": _quoted(board.board_part),
        "clock_mhz": f"{clock_mhz:g}",
        "crystal_mhz": f"{board.crystal_mhz:g}",
        "in_bits": str(size.in_word_bits),
        "out_bits": str(size.out_word_bits),
        "jobs": str(jobs),
        "top": TOP,
        "systemverilog": listed(".sv"),
        "verilog": listed(".v"),
        "memories": listed(".mem"),
        "constraints": listed(".xdc"),
    }
    lines = [f"set ff({key}) {value}" for key, value in values.items()]
    return "\n".join(["# One accelerator on one board; files are relative to this folder. Generated.", *lines, ""])


def _quoted(text: str) -> str:
    """A Tcl word with this value, whatever it holds."""
    for special in '\\"$[]':
        text = text.replace(special, "\\" + special)
    return f'"{text}"'
