"""Area of a netlist: cells of an FPGA family, counted in the units in which parts are sold.

One unit for all families, so that figures compare: lut counts LUT positions that nothing else can use, bram 18-kbit
blocks (a 36-kbit one counts 2), dsp multiplier blocks, carry the cells of carry chains (which families.py turns into LUT
positions where they take some).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from flipflow.errors import Exit, FlipflowError


@dataclass(frozen=True)
class Area:
    """What some cells take of a part; see the module for the units."""

    lut: int = 0
    ff: int = 0
    bram: int = 0
    dsp: int = 0
    carry: int = 0

    def __add__(self, other: "Area") -> "Area":
        mine, theirs = asdict(self), asdict(other)
        return Area(**{key: mine[key] + theirs[key] for key in mine})

    def __mul__(self, count: int) -> "Area":
        return Area(**{key: value * count for key, value in asdict(self).items()})

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


def total(areas: Iterable[Area]) -> Area:
    """Sum of areas."""
    return sum(areas, Area())


def count(cells: Mapping[str, int], costs: Mapping[str, Area], where: str) -> Area:
    """Area of cells (type -> number). Vendor cells without a cost are pads, clock buffers, constants and the like.

    Raises: FlipflowError E362 where a cell of Yosys' own ("$...") is left: then the netlist is not mapped to the family.
    """
    left = sorted(name for name in cells if name.startswith("$") and name != "$scopeinfo")
    if left:
        what = f"the netlist still holds {', '.join(left)}, which are no cells of the family."
        raise FlipflowError("E362", what, where, "Please report it, with the RTL.", Exit.CHECK_FAILED)
    return total(costs.get(name, Area()) * number for name, number in cells.items())
