"""Instruction counts and predicted cycles of the NEON kernels, without an ARM machine.

    python cpu/arm/measure.py [--json] [--network] [--compiler clang++-19] [--build-dir build/arm-measure]

Builds `conv_driver` for AArch64 and runs it under qemu with the plugin `qemu_icount.c`, for one and for two repeats of each
convolution: the difference is what one whole convolution executes, prepare and epilogue included. `llvm-mca` predicts the cycles
of the inner loop: the steps between the marks that FLIPFLOW_MCA puts into the assembly. Both per 128 MAC. `--network` also builds
flipflow-runner and counts a whole image of the residual network of 18 layers (weights at random), checking that its logits are
those of the NumPy reference; it needs the Python package and CMake. The first
step of a chunk sets its counts and needs no addition, so short chunks lie below the 1.50 of three operations on two pipes;
the reduction after a chunk, and the half step of 64 channels, lie outside the marks (the counts of instructions include all).

Exit codes: 0 good, 1 a tool failed, 3 a tool is missing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src"
SHAPES = ((56, 64), (28, 128), (14, 256), (7, 512))  # size, channels: 3x3, stride 1, padding 1
FORMS = ("sums", "bits", "fixed8", "fixed16")
# Integer convolutions of a residual network: name, and input, size, channels, out, kernel, stride, form of the driver.
INTEGERS = (
    ("7x7/2, 224x224x3 to 64", ("u8", "224", "3", "64", "7", "2", "fixed8")),
    ("1x1/2, 56x56x64 to 128", ("i8", "56", "64", "128", "1", "2", "fixed8")),
    ("1x1/2, 28x28x128 to 256", ("i8", "28", "128", "256", "1", "2", "fixed8")),
    ("1x1/2, 14x14x256 to 512", ("i8", "14", "256", "512", "1", "2", "fixed8")),
    ("3x3, 56x56x64 to 64", ("i8", "56", "64", "64", "3", "1", "fixed8")),
    ("fully connected, 512 to 1000", ("i8", "1", "512", "1000", "1", "1", "sums")),
)
PROCESSORS = ("neoverse-n1", "neoverse-v1", "cortex-a76", "cortex-a55")
STEPS = {64: 4, 128: 9, 256: 18, 512: 18}  # 128-bit steps of one chunk of the loop; 64 channels add half a step outside
FLAGS = ("-std=c++17", "-O3")
KERNEL_FLAGS: dict[str, tuple[str, ...]] = {"neon": (), "neon_dot": ("-march=armv8.2-a+dotprod",)}
PACKAGES = {
    "cc": "gcc",
    "qemu-aarch64": "qemu-user",
    "llvm-mca-19": "llvm-19",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "clang++-19": "clang-19",
}
# Inner loops of published kernels: instructions, and llvm-mca 19 cycles on PROCESSORS, per 128 binary MAC.
PUBLISHED = (
    ("larq-compute-engine indirect 8x4x4", 3.44, (1.50, 0.75, 1.50, 3.66)),
    ("larq-compute-engine indirect 8x4x2", 3.88, (1.75, 1.25, 1.50, 4.19)),
    ("BOLT xnor A76", 4.38, (2.00, 1.00, 2.01, 5.75)),
    ("daBNN conv3x3_64", 3.06, (1.50, 0.75, 1.50, 3.19)),
)


@dataclass(frozen=True)
class Count:
    """Executed instructions per 128 MAC of one whole convolution, or of one image (conv: the network's name; form: `image`)."""

    isa: str
    conv: str
    form: str
    instructions: float


@dataclass(frozen=True)
class Loop:
    """An inner loop: instructions and predicted cycles (by processor) per 128 binary MAC."""

    name: str
    instructions: float
    cycles: dict[str, float]


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Runs a tool; its message and exit code 1 where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{command[0]} failed:\n{done.stderr}", file=sys.stderr)
        raise SystemExit(1)
    return done


def require(tools: Sequence[str]) -> None:
    """Exit code 3, and what to install, where a tool is not found."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
        print(f"not found: {', '.join(missing)}. On Debian: apt install {packages}", file=sys.stderr)
        raise SystemExit(3)


def cross(compiler: str) -> list[str]:
    """The compiler's command line for AArch64."""
    return [compiler, "--target=aarch64-linux-gnu", "-mtune=cortex-a55"] if "clang" in compiler else [compiler]


def build(compiler: str, folder: Path) -> Path:
    """Makes the plugin and the driver; returns the driver's path."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["cc", "-shared", "-fPIC", "-O2", HERE / "qemu_icount.c", "-o", folder / "qemu_icount.so"])
    objects = []
    for name, flags in KERNEL_FLAGS.items():
        objects.append(folder / f"{name}.o")
        source = SOURCES / "kernels" / f"{name}.cpp"
        run([*cross(compiler), *FLAGS, *flags, f"-I{SOURCES}", "-c", source, "-o", objects[-1]])
    layouts = [SOURCES / "layouts" / f"{name}.cpp" for name in ("quads", "dot4x4")]
    others = [HERE / "conv_driver.cpp", *layouts]
    driver = folder / "conv_driver"
    run([*cross(compiler), *FLAGS, "-static", f"-I{SOURCES}", *others, *objects, "-o", driver])
    return driver


def executed(folder: Path, program: Path, arguments: Sequence[str | Path]) -> int:
    """Instructions that the program executes, from start to end."""
    plugin = folder / "qemu_icount.so"
    done = run(["qemu-aarch64", "-cpu", "max", "-plugin", plugin, "-d", "plugin", program, *arguments])
    found = re.search(r"instructions: (\d+)", done.stderr + done.stdout)
    if found is None:
        print("qemu printed no instruction count: was it built with plugins?", file=sys.stderr)
        raise SystemExit(1)
    return int(found[1])


def count_conv(driver: Path, isa: str, conv: str, arguments: Sequence[str]) -> Count:
    """One convolution; `arguments` as in INTEGERS."""
    size, channels, out, kernel, stride = (int(number) for number in arguments[1:6])
    positions = (size + kernel // 2 * 2 - kernel) // stride + 1
    macs = positions**2 * out * kernel**2 * channels
    once, twice = (executed(driver.parent, driver, [*arguments, isa, repeats]) for repeats in ("1", "2"))
    return Count(isa, conv, arguments[6], round((twice - once) * 128 / macs, 3))


def count_all(driver: Path) -> list[Count]:
    """All convolutions, forms and instruction sets."""
    counts = []
    for isa in KERNEL_FLAGS:
        for size, channels in SHAPES:
            shape = ["bits", str(size), str(channels), str(channels), "3", "1"]
            name = f"{size}x{size}x{channels}"
            counts += [count_conv(driver, isa, name, [*shape, form]) for form in FORMS]
        counts += [count_conv(driver, isa, name, arguments) for name, arguments in INTEGERS]
    return counts


def count_network(folder: Path) -> list[Count]:
    """One image of the 18-layer residual network on every instruction set; exit code 1 where logits are not the reference's."""
    import numpy as np  # noqa: PLC0415

    from flipflow.cpu import write_plan  # noqa: PLC0415
    from flipflow.cpu.bench.networks import random_residual_net  # noqa: PLC0415
    from flipflow.sim import reference  # noqa: PLC0415

    build_dir, plan, image, logits = (folder / name for name in ("runner", "network.plan", "image.u8", "logits.i32"))
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={HERE / 'toolchain-aarch64.cmake'}"
    run(["cmake", "-S", HERE.parent, "-B", build_dir, toolchain, "-DFLIPFLOW_RUNNER=ON", "-DFLIPFLOW_STATIC=ON"])
    run(["cmake", "--build", build_dir, "--target", "flipflow-runner"])
    net = random_residual_net("resnet18", 0)
    write_plan(net, plan, isa="scalar")  # packed for the instruction set when loaded, which the difference leaves out
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    image.write_bytes(pixels.tobytes())
    expected = reference.run(net, pixels)
    counts = []
    for isa in KERNEL_FLAGS:
        options: list[str | Path] = [
            plan,
            "--isa",
            isa,
            "--warmup",
            "0",
            "--input",
            image,
            "--output",
            logits,
            "--repeat",
        ]
        once, more = (executed(folder, build_dir / "flipflow-runner", [*options, repeats]) for repeats in ("1", "3"))
        if not np.array_equal(np.fromfile(logits, np.int32), expected.reshape(-1)):
            print(f"{isa} gives other logits than the reference", file=sys.stderr)
            raise SystemExit(1)
        counts.append(Count(isa, "resnet18", "image", (more - once) / 2))
    return counts


def marked_loop(assembly: str, steps: int) -> str:
    """The marked lines in the function that writes bits of 4 pixels, `steps` steps at a time."""
    function = re.search(
        rf"^_ZN\w*BinaryWord\w*Li{steps}ELb[01]EE\w*write_bitsILi4E\w*:.*?\.cfi_endproc", assembly, re.S | re.M
    )
    if function is None:
        print(f"the assembly has no function of {steps} steps", file=sys.stderr)
        raise SystemExit(1)
    after = function[0].split("LLVM-MCA-BEGIN", 1)[1].split("\n", 1)[1]
    return after.split("LLVM-MCA-END", 1)[0].rsplit("\n", 1)[0] + "\n"


def predict(compiler: str, folder: Path) -> list[Loop]:
    """The inner loop of each shape under llvm-mca."""
    listing = folder / "neon_dot.s"
    flags = [*FLAGS, *KERNEL_FLAGS["neon_dot"], "-DFLIPFLOW_MCA", f"-I{SOURCES}", "-S"]
    run([*cross(compiler), *flags, SOURCES / "kernels" / "neon_dot.cpp", "-o", listing])
    loops = []
    for channels, steps in STEPS.items():
        region = folder / f"steps{steps}.s"
        region.write_text(marked_loop(listing.read_text(), steps))
        instructions, cycles = 0.0, {}
        for processor in PROCESSORS:
            options = ["-mtriple=aarch64", f"-mcpu={processor}", "-mattr=+dotprod", "-iterations=200"]
            output = run(["llvm-mca-19", *options, region]).stdout
            totals = {
                key: int(value) for key, value in re.findall(r"^(Instructions|Total Cycles): +(\d+)$", output, re.M)
            }
            instructions = totals["Instructions"] / (200 * 16 * steps)
            cycles[processor] = round(totals["Total Cycles"] / (200 * 16 * steps), 3)
        loops.append(Loop(f"flipflow neon_dot, {channels} channels", round(instructions, 3), cycles))
    return loops


def report(counts: list[Count], loops: list[Loop]) -> None:
    """Tables."""
    values = {(c.isa, c.conv, c.form): c.instructions for c in counts}
    print("Executed instructions per 128 binary MAC, whole 3x3 convolution (qemu):")
    print(f"{'':10}{'shape':>12}" + "".join(f"{form:>9}" for form in FORMS))
    for isa in KERNEL_FLAGS:
        for size, channels in SHAPES:
            name = f"{size}x{size}x{channels}"
            print(f"{isa:10}{name:>12}" + "".join(f"{values[isa, name, form]:9.2f}" for form in FORMS))
    print("\nExecuted instructions per 128 int8 MAC, whole convolution (qemu):")
    print(f"{'':30}" + "".join(f"{isa:>10}" for isa in KERNEL_FLAGS))
    for name, arguments in INTEGERS:
        print(f"{name:30}" + "".join(f"{values[isa, name, arguments[6]]:10.2f}" for isa in KERNEL_FLAGS))
    for count in (c for c in counts if c.form == "image"):
        millions = count.instructions / 1e6
        print(
            f"\n{count.conv}, one image, {count.isa}: {millions:.1f} million instructions; logits are the reference's"
        )
    print("\nInner loop, predicted cycles per 128 binary MAC (llvm-mca 19):")
    print(f"{'':38}{'insns':>7}" + "".join(f"{processor:>13}" for processor in PROCESSORS))
    for loop in loops:
        print(f"{loop.name:38}{loop.instructions:7.2f}" + "".join(f"{loop.cycles[p]:13.2f}" for p in PROCESSORS))


def main() -> None:
    """Command line: see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--network", action="store_true", help="count a whole network too")
    parser.add_argument("--compiler", default="clang++-19", help="clang++-19 or aarch64-linux-gnu-g++")
    parser.add_argument("--build-dir", type=Path, default=Path("build/arm-measure"))
    options = parser.parse_args()
    require(["cc", "qemu-aarch64", "llvm-mca-19", "aarch64-linux-gnu-g++", options.compiler])
    driver = build(options.compiler, options.build_dir)
    counts = count_all(driver) + (count_network(options.build_dir) if options.network else [])
    published = [Loop(name, insns, dict(zip(PROCESSORS, cycles, strict=True))) for name, insns, cycles in PUBLISHED]
    loops = predict(options.compiler, options.build_dir) + published
    if options.json:
        version = subprocess.run([options.compiler, "--version"], capture_output=True, text=True, check=True).stdout
        document = {"counts": [asdict(c) for c in counts], "loops": [asdict(loop) for loop in loops]}
        print(json.dumps({"compiler": version.splitlines()[0], **document}, indent=2))
    else:
        report(counts, loops)


if __name__ == "__main__":
    main()
