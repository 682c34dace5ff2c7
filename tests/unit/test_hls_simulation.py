"""Generation, compilation and simulation of FINN's HLS C++. The C++ runs where finn-hlslib and ap_types are named."""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hls_networks import NETWORKS, kernels, save_run
from hw_graphs import Net

from flipflow.errors import Exit, FlipflowError
from flipflow.hw.hls import compiler
from flipflow.hw.hls.codegen import Program, generate
from flipflow.hw.hls.convert import DEFAULT_PART, convert
from flipflow.hw.hls.finn_graph import specialise
from flipflow.sim import hls

LIBRARY = ("bnn-library.h", "mvau.hpp", "activations.hpp", "streamtools.h")
AP_TYPES = ("ap_int.h", "hls_stream.h", "ap_fixed.h")


def program_of(net: Net) -> Program:
    return generate(specialise(convert(kernels(net)), DEFAULT_PART, converters=True), DEFAULT_PART)


@pytest.fixture
def headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders with empty headers of the right names, and no such folder in the environment."""
    monkeypatch.delenv("FLIPFLOW_HLSLIB", raising=False)
    monkeypatch.delenv("FLIPFLOW_AP_TYPES", raising=False)
    folders = tmp_path / "hlslib", tmp_path / "ap_types"
    for folder, names in zip(folders, (LIBRARY, AP_TYPES), strict=True):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("")
    return folders


def test_program_holds_finns_code_of_every_hls_layer() -> None:
    program = program_of(NETWORKS["mixed"]())
    tops = {name for name in program.files if name.rpartition("/")[2].startswith("top_")}
    assert {"threshold0/top_threshold0.cpp", "conv0/top_conv0.cpp", "pool1_cast/top_pool1_cast.cpp"} <= tops
    assert (
        "Matrix_Vector_Activate_Batch<MW1, MH1, SIMD1, PE1, 1, Slice<ap_int<2>>" in program.files["conv0/top_conv0.cpp"]
    )
    assert "Recast<XnorMul>" in program.files["conv1/top_conv1.cpp"]
    assert all(f'#include "{top}"' in program.files["main.cpp"] for top in tops)
    assert (program.inputs, program.outputs, program.scale, program.offset) == (6 * 5 * 2, 5, 1, 0)


def test_weights_become_data_word_for_word() -> None:
    net = NETWORKS["xnor"]()
    program = program_of(net)
    text = program.files["fc0/params.h"]
    pe, tiles = (int(size) for size in re.findall(r"words\[(\d+)\]\[(\d+)\]", text)[0])
    words = re.findall(r'"0x([0-9a-f]+)"', text)
    assert len(words) == pe * tiles
    weights = (np.asarray(kernels(net).get_initializer("fc0.weights")) + 1) / 2
    ones = sum(int(word, 16).bit_count() for word in words)
    assert ones == int(weights.sum())
    assert "ap_uint" not in text
    assert (program.scale, program.offset) == (2, -weights.shape[0])


def test_a_wrong_path_is_bad_input_and_no_path_a_missing_tool(headers: tuple[Path, Path], tmp_path: Path) -> None:
    library, types = headers
    assert compiler.find_headers(library, types) == compiler.Headers(library.resolve(), types.resolve())
    for arguments, code, status in [
        ((None, types), "E396", Exit.TOOL_MISSING),
        ((tmp_path / "nowhere", types), "E396", Exit.BAD_INPUT),
        ((types, types), "E396", Exit.BAD_INPUT),
        ((library, library), "E397", Exit.BAD_INPUT),
    ]:
        with pytest.raises(FlipflowError) as caught:
            compiler.find_headers(*arguments)
        assert (caught.value.code, caught.value.exit_code) == (code, status)


def test_ap_types_come_from_the_environment_or_hls4ml(
    headers: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, types = headers
    monkeypatch.setenv("FLIPFLOW_HLSLIB", str(library))
    monkeypatch.setenv("FLIPFLOW_AP_TYPES", str(types))
    assert compiler.find_headers(None, None) == compiler.Headers(library.resolve(), types.resolve())
    monkeypatch.delenv("FLIPFLOW_AP_TYPES")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FlipflowError, match="hls4ml is not installed") as caught:
        compiler.find_headers(None, None)
    assert (caught.value.code, caught.value.exit_code) == ("E397", Exit.TOOL_MISSING)


def test_a_missing_compiler_and_one_that_refuses(
    headers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = compiler.find_headers(*headers)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(FlipflowError, match="no C\\+\\+ compiler") as missing:
        compiler.build({"main.cpp": "int main() { return 0; }\n"}, found)
    assert (missing.value.code, missing.value.exit_code) == ("E398", Exit.TOOL_MISSING)
    monkeypatch.delenv("CXX")
    with pytest.raises(FlipflowError, match="nothing_declares_this") as refused:
        compiler.build({"main.cpp": "int main() { return nothing_declares_this; }\n"}, found)
    assert (refused.value.code, refused.value.exit_code) == ("E398", Exit.BAD_INPUT)
    log = Path(re.findall(r"log is (\S+)\.$", refused.value.fix)[0])
    assert "nothing_declares_this" in log.read_text()


def test_a_simulator_is_compiled_once_for_the_same_headers(
    headers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {"main.cpp": "int main() { return 0; }\n"}
    binary, fresh = compiler.build(files, compiler.find_headers(*headers))
    assert fresh
    assert compiler.build(files, compiler.find_headers(*headers)) == (binary, False)
    (headers[0] / "mvau.hpp").write_text("// another version\n")
    assert compiler.build(files, compiler.find_headers(*headers))[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("std::printf(\"WARNING: Hls::stream 's1' is read while empty\\n\"); return 0;", "read while empty"),
        ("return 7;", "exit code 7"),
    ],
    ids=["empty stream", "exit code"],
)
def test_a_simulation_that_fails_gives_no_logits(tmp_path: Path, body: str, message: str) -> None:
    source, binary = tmp_path / "main.cpp", tmp_path / "simulate"
    source.write_text(f"#include <cstdio>\nint main() {{ {body} }}\n")
    assert os.system(f"{compiler._compiler()} {source} -o {binary}") == 0
    program = Program({}, 3, 2, 1, 0, False, 0)
    with pytest.raises(FlipflowError, match=message) as caught:
        hls._execute(binary, program, np.zeros((2, 3), np.int64), None)
    assert (caught.value.code, caught.value.exit_code) == ("E399", Exit.CHECK_FAILED)


def test_obstacle_names_the_layer_that_finn_lacks(tmp_path: Path) -> None:
    lacking = Net([4, 4, 2], "UINT8").pool(2, 2, minimum=(0,)).linear(3, "INT3")
    assert "layer pool0" in str(hls.obstacle(save_run(lacking, tmp_path)))
    assert hls.obstacle(save_run(NETWORKS["integer"](), tmp_path)) is None


@pytest.mark.skipif(
    not os.environ.get("FLIPFLOW_HLSLIB"), reason="FLIPFLOW_HLSLIB does not name a clone of finn-hlslib"
)
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_simulation_gives_torchs_logits(make: Callable[[], Net], tmp_path: Path) -> None:
    net = make()
    images, done = net.images(5), []
    result = hls.simulate(save_run(net, tmp_path), images, progress=lambda now, total: done.append((now, total)))
    np.testing.assert_array_equal(result.logits, net.reference(images))
    assert done == [(frame, 5) for frame in range(1, 6)]


@pytest.mark.skipif(
    not os.environ.get("FLIPFLOW_HLSLIB"), reason="FLIPFLOW_HLSLIB does not name a clone of finn-hlslib"
)
def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlipflowError) as caught:
        hls.run(save_run(NETWORKS["integer"](), tmp_path), np.zeros((1, 23), np.int64))
    assert caught.value.code == "E405"
