"""A network from elsewhere: Brevitas' own TFC (1-bit weights, 1-bit activations) to a QONNX file that flipflow takes.

    python examples/brevitas_to_rtl.py            writes tfc.onnx
    flipflow check tfc.onnx                       every reason why it could not be deployed; none here
    flipflow export tfc.onnx --out runs/tfc       canonical QONNX, integer net, FINN's streamlined graph
    flipflow build runs/tfc --cycles 784          fold it to 784 clock cycles an image, generate the SystemVerilog
    flipflow verify runs/tfc --samples 20         the same integers at every level, predicted cycles = measured cycles

Nothing is trained or downloaded. The weights are random, and so are the batch norms: scales of both signs, as training
gives them and as lowerings get them wrong. Load a trained state_dict instead to deploy your own model.
"""

import argparse
import logging
import warnings
from pathlib import Path

import torch
from brevitas.export import export_qonnx
from torch import nn

IMAGE = (1, 1, 28, 28)  # batch, channels, height, width; pixels 0..1


def tfc(seed: int) -> nn.Module:
    """Brevitas' TFC_1W1A in eval mode, with random weights and batch norms."""
    from brevitas_examples.bnn_pynq.models import model_with_cfg  # noqa: PLC0415 - slow to import

    torch.manual_seed(seed)
    network, _ = model_with_cfg("tfc_1w1a", pretrained=False)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                spread = module.num_features**0.5
                module.weight.normal_(1.0, 1.0)  # gamma: about one in six is negative
                module.bias.normal_(0.0, 0.5)
                module.running_mean.normal_(0.0, spread)
                module.running_var.uniform_(0.5, 2.0).mul_(spread**2)
    model: nn.Module = network.eval()
    return model


def write(model: nn.Module, path: Path) -> None:
    """Export to QONNX. The TorchScript exporter (dynamo=False) writes opset 13."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecation
        export_qonnx(model, args=torch.zeros(IMAGE), export_path=str(path), opset_version=13, dynamo=False)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Writes Brevitas' TFC_1W1A with random weights as QONNX.")
    parser.add_argument("--out", type=Path, default=Path("tfc.onnx"), help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batch norms")
    options = parser.parse_args()
    write(tfc(options.seed), options.out)
    run = Path("runs") / options.out.stem
    print(f"wrote {options.out}; next:")
    for line in (
        f"check {options.out}",
        f"export {options.out} --out {run}",
        f"build {run} --cycles 784",
        f"verify {run} --samples 20",
    ):
        print(f"  flipflow {line}")


if __name__ == "__main__":
    main()
