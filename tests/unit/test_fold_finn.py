"""What FINN's SetFolding is asked, and what its answer means for these kernels."""

from hw_graphs import Net

from flipflow.hw.convert import convert
from flipflow.hw.fold_finn import set_folding
from flipflow.hw.fold_layers import layers_of


def test_its_folding_is_legal_here() -> None:
    """A window folds over the channels that come in, 3, and not over the 8 that its convolution gives."""
    net = (
        Net([8, 8, 3], "UINT4")
        .conv(8, (3, 3))
        .levels("BIPOLAR", bits=True)
        .conv(4, (3, 3))
        .levels("BIPOLAR", bits=True)
    )
    model = convert(net.linear(3).model())
    legal = {layer.name: layer.legal() for layer in layers_of(model)}
    assert legal["conv0"] == {"pe": [1, 2, 4, 8], "simd": [1, 3]}
    for cycles in (36 * 27 * 8, 36 * 9 * 3, 36 * 9, 300, 1):
        folds = set_folding(model, cycles)
        assert all(value in legal[name][knob] for name, knobs in folds.items() for knob, value in knobs.items())
    assert folds["conv0"] == {"pe": 8, "simd": 3}
