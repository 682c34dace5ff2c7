"""One network through every level, for the random tests: QONNX's own execution of the file is the expectation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from qonnx.core import onnx_exec
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from flipflow.export.finn.execute import execute
from flipflow.export.finn.streamline import lower as lower_with_finn
from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import lower
from flipflow.sim import reference


@dataclass(frozen=True)
class Lowered:
    """Files and answers of a network: integers into the accelerator, and the reference's logits."""

    streamlined: Path
    integers: np.ndarray
    logits: np.ndarray


class OneThread:
    """onnxruntime to QONNX, which makes a session of every node for every image: threads take longer to start than these run."""

    @staticmethod
    def InferenceSession(model: bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model, options)


def qonnx_outputs(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Float outputs of the file as QONNX itself executes it, one image at a time."""
    wrapper = ModelWrapper(model).transform(InferShapes())
    name, output = wrapper.graph.input[0].name, wrapper.graph.output[0].name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_exec, "rt", OneThread)
        return np.concatenate([onnx_exec.execute_onnx(wrapper, {name: image[None]})[output] for image in images])


def check_levels(model: onnx.ModelProto, images: np.ndarray, folder: Path) -> Lowered:
    """Import, lower both ways, and demand equality of qonnx, integer and finn levels."""
    source, canonical, streamlined = (folder / name for name in ("net.onnx", "canonical.onnx", "streamlined.onnx"))
    onnx.save(model, source)
    imported, problems = canonicalize(read_model(source))
    assert imported is not None, problems.found
    onnx.save(imported, canonical)
    net, loaded = lower(imported), CanonicalModel.load(canonical)
    accepted = loaded.accept(images)
    np.testing.assert_array_equal(loaded.outputs(accepted), qonnx_outputs(model, images))
    logits = loaded.logits(accepted, net.logit_scale)
    integers = loaded.integers(accepted)
    np.testing.assert_array_equal(reference.run(net, integers), logits)
    lower_with_finn(canonical, streamlined)
    np.testing.assert_array_equal(execute(streamlined, integers), logits)
    return Lowered(streamlined, integers, logits)
