"""A run directory as `flipflow build` leaves it, with an accelerator of a few lines: for tests of what is made around it."""

import json
from pathlib import Path

import numpy as np

import flipflow.hw

RTL = Path(flipflow.hw.__path__[0]) / "rtl"


def write_run(folder: Path, name: str = "small") -> Path:
    """A run of 3 classes: frames of 3 beats of 16 bits in, one beat of 38 bits out."""
    (folder / "rtl").mkdir(parents=True)
    (folder / "rtl" / "accelerator.sv").write_text("module accelerator ();\nendmodule\n")
    (folder / "rtl" / "fifo.sv").write_text((RTL / "fifo.sv").read_text())
    (folder / "rtl" / "weights.mem").write_text("0\n")
    layer = {
        "name": "mvtu",
        "op": "MixedMvtu",
        "pe": 3,
        "simd": 2,
        "mw": 6,
        "mh": 3,
        "cycles": 3,
        "lut": 5000,
        "bram": 10,
    }
    accel = {
        "name": name,
        "input": {"shape": [6], "bits": 8, "signed": False, "bipolar": False, "elems_per_beat": 2}
        | {"beats_per_frame": 3, "tdata_width": 16},
        "output": {"classes": 3, "logit_bits": 12, "pe": 3, "class_bits": 2, "beats_per_frame": 1, "tdata_width": 38},
        "fifos": [{"name": "front", "depth": 4}],
        "layers": [layer, layer | {"name": "argmax", "op": "Argmax", "lut": 150, "bram": 0}],
        "predicted": {"ii": 3, "latency": 12},
        "sources": ["rtl/accelerator.sv", "rtl/fifo.sv", "rtl/weights.mem"],
    }
    (folder / "accelerator.json").write_text(json.dumps(accel))
    (folder / "integer.json").write_text("{}")
    np.savez(folder / "integer.npz", weights=np.arange(6))
    return folder
