"""FPGA families: how Yosys synthesises for them, and what their cells cost.

LUT positions, in one place:
- ECP5: LUT4 1; CCU2C (two bits of carry chain) 2; TRELLIS_DPR16X4 6: four hold 16 x 4 bits, two more are blocked by its write
  address (as nextpnr-ecp5 counts TRELLIS_COMB).
- Gowin: LUT1-4 1; ALU (a bit of carry chain) 1; RAM16SDP4 6 likewise (as Gowin's own reports weigh it), RAM16S 4.
- Xilinx: LUT1-6 and INV 1; RAM32M, RAM64M 4 and the other LUT RAMs by their slice's LUTs; SRL16E, SRLC32E 1. CARRY4 and CARRY8
  take no LUT beyond those at their inputs, which are cells of their own; MUXF7 and MUXF8 none at all. Two small LUTs in one
  LUT6 (LUT6_2) are counted as two: Yosys does not pair them, the vendor's placer may.
Block RAMs: DP16KD, Gowin's BSRAM cells and RAMB18 are 18 kbit; RAMB36 36 kbit; URAM288 288 kbit.

Wide multiplexers of the slice are never used on ECP5 and Gowin (-nowidelut): Yosys' LUT mapping doubles there otherwise.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from flipflow.errors import FlipflowError
from flipflow.hw.synth.area import Area


@dataclass(frozen=True)
class Family:
    """A family of parts.

    command: Yosys' synthesis pass with its options. no_pads: options for a design whose ports are no pins. pads: the pass that
    gives the ports of a module pads, "" where place and route does it.
    labels: the pass's sections, in order, up to its checks. cells: cost by cell type. lut_inputs: of its LUTs.
    """

    name: str
    title: str
    lut_inputs: int
    command: str
    no_pads: str
    labels: tuple[str, ...]
    cells: Mapping[str, Area]
    pads: str = ""


def _each(names: str, area: Area) -> dict[str, Area]:
    return dict.fromkeys(names.split(), area)


_LATTICE_LABELS = ("begin", "coarse", "map_ram", "map_ffram", "map_gates", "map_ffs", "map_luts", "map_cells")
_XILINX_LABELS = (
    *("begin", "prepare", "map_dsp", "coarse", "map_memory", "map_ffram", "fine"),
    *("map_cells", "map_ffs", "map_luts", "finalize"),
)

_ECP5 = {
    **_each("LUT4", Area(lut=1)),
    **_each("CCU2C", Area(lut=2, carry=1)),
    **_each("TRELLIS_DPR16X4", Area(lut=6)),
    **_each("TRELLIS_FF", Area(ff=1)),
    **_each("DP16KD PDPW16KD", Area(bram=1)),
    **_each("MULT9X9D MULT18X18D", Area(dsp=1)),
}
_GOWIN = {
    **_each("LUT1 LUT2 LUT3 LUT4", Area(lut=1)),
    **_each("ALU", Area(lut=1, carry=1)),
    **_each("RAM16S1 RAM16S2 RAM16S4", Area(lut=4)),
    **_each("RAM16SDP1 RAM16SDP2 RAM16SDP4", Area(lut=6)),
    **_each("DFF DFFE DFFS DFFSE DFFR DFFRE DFFP DFFPE DFFC DFFCE", Area(ff=1)),
    **_each("DFFN DFFNE DFFNS DFFNSE DFFNR DFFNRE DFFNP DFFNPE DFFNC DFFNCE", Area(ff=1)),
    **_each("SP SPX9 SDP SDPX9 SDPB SDPX9B DP DPX9 DPB DPX9B ROM ROMX9 pROM pROMX9", Area(bram=1)),
    **_each("MULT9X9 MULT18X18", Area(dsp=1)),
    **_each("MULT36X36", Area(dsp=4)),
}
_XILINX = {
    **_each("INV LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 SRL16E SRLC32E RAM32X1S RAM64X1S", Area(lut=1)),
    **_each("RAM32X1D RAM64X1D RAM32X2S RAM128X1S", Area(lut=2)),
    **_each("RAM32M RAM64M RAM128X1D RAM256X1S", Area(lut=4)),
    **_each("RAM32M16 RAM64M8 RAM64X8SW RAM32X16DR8 RAM256X1D RAM512X1S", Area(lut=8)),
    **_each("CARRY4 CARRY8", Area(carry=1)),
    **_each("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1 LDCE LDPE", Area(ff=1)),
    **_each("RAMB18E1 RAMB18E2", Area(bram=1)),
    **_each("RAMB36E1 RAMB36E2", Area(bram=2)),
    **_each("URAM288", Area(bram=16)),
    **_each("DSP48E1 DSP48E2", Area(dsp=1)),
}


def _xilinx(name: str, title: str) -> Family:
    command = f"synth_xilinx -flatten -family {name}"
    return Family(name, title, 6, command, "-noiopad -noclkbuf", _XILINX_LABELS, _XILINX)


FAMILIES: Mapping[str, Family] = {
    item.name: item
    for item in (
        Family("ecp5", "Lattice ECP5", 4, "synth_ecp5 -nowidelut", "", _LATTICE_LABELS, _ECP5),
        Family(
            *("gowin", "Gowin GW2A", 4, "synth_gowin -family gw2a -nowidelut"),
            *("-noiopads", _LATTICE_LABELS, _GOWIN),
            pads="iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O",
        ),
        _xilinx("xc7", "Xilinx 7 series"),
        _xilinx("xcup", "Xilinx UltraScale+"),
    )
}


def family(name: str) -> Family:
    """The family of this name.

    Raises: FlipflowError E361 where there is none.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    near = difflib.get_close_matches(name.lower(), FAMILIES, 1, 0.5)
    fix = (f"Did you mean {near[0]}? " if near else "") + f"The families are {', '.join(FAMILIES)}."
    raise FlipflowError("E361", "there is no such family.", f"family {name!r}", fix)
