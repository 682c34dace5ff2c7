"""The process in which Yosys runs: takes commands from standard input, one a line, and writes Yosys' log.

`groupwise COMMAND` runs a command that works on each module by itself. abc9 rewrites the whole design for every module that it
maps (Yosys 0.70: `Design::bufNormalize`), which takes the square of the number of modules. So a few of those that are kept go at
a time, in a design of their own, and then the rest.
"""

import sys
from pathlib import Path

from pyosys import libyosys

# Modules a group. abc9 reads its libraries once for each, half a second.
_GROUP = 12
_KEPT, _WHOLE = "=A:keep_hierarchy", "$whole"


class Yosys:
    """A design and the commands on it."""

    def __init__(self) -> None:
        self.design = libyosys.Design()

    def run(self, *commands: str) -> None:
        """Run commands; where one is an error, this process ends."""
        for command in commands:
            libyosys.run_pass(command, self.design)

    def groupwise(self, command: str) -> None:
        """Run a command on groups of the kept modules, and on all others."""
        kept = self._kept()
        if len(kept) <= _GROUP:
            self.run(command)
            return
        self.run(f"design -save {_WHOLE}")
        for start in range(0, len(kept), _GROUP):
            group = " ".join(kept[start : start + _GROUP])
            self.run(
                "design -reset",
                f"design -copy-from {_WHOLE} =A:whitebox =A:blackbox {group}",
                command,
                f"design -copy-to {_WHOLE} {group}",
            )
        self.run(f"design -load {_WHOLE}", f"design -delete {_WHOLE}")
        self.run(f"setattr -mod -set blackbox 1 {_KEPT}", command, f"setattr -mod -unset blackbox {_KEPT}")

    def _kept(self) -> list[str]:
        listed = Path("kept.txt")
        self.run(f"tee -q -o {listed} select -list-mod {_KEPT}")
        return listed.read_text().split()


def main() -> None:
    """Run all commands. The log's last line says that the end was reached, and how large the process was."""
    yosys = Yosys()
    for line in sys.stdin.read().splitlines():
        first, _, rest = line.partition(" ")
        if first == "groupwise":
            yosys.groupwise(rest)
        else:
            yosys.run(line)
    peak = next(
        (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")),
        "0",
    )
    yosys.run(f"log end of script, {peak} kB")


if __name__ == "__main__":
    main()
