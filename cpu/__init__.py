"""The CPU path: binary networks as flat plans, run by a small engine with one set of kernels for each instruction set.

    from flipflow.cpu import Engine, compile_plan
    engine = Engine(net)                     # an IntegerNet, the path of a plan, or a plan's bytes
    logits = engine(images)                  # int64 [N, classes] of integers [N, H, W, C]

program.py says what a plan consists of, fusion.py turns an integer net into it, requant.py finds the fixed-point lines of k-bit
activations, arena.py places the maps in memory, writer.py makes the file, engine.py runs it. The compiled part is in src/.
"""

from flipflow.cpu.compile import compile_plan, write_plan
from flipflow.cpu.engine import Description, Engine, OperatorReport, available_isas
from flipflow.cpu.isa import ISAS

__all__ = ["ISAS", "Description", "Engine", "OperatorReport", "available_isas", "compile_plan", "write_plan"]
