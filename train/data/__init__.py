"""Data readers without torch: uint8 NCHW images with int64 labels, and a held-out split of the training data."""

from pathlib import Path

from flipflow.config import DataConfig
from flipflow.errors import FlipflowError
from flipflow.train.data.cifar import CIFAR10, CIFAR100, read_cifar
from flipflow.train.data.dataset import Dataset, Source, split
from flipflow.train.data.digits import read_digits
from flipflow.train.data.folder import Layout, read_folder
from flipflow.train.data.idx import read_fashion_mnist, read_idx_folder

__all__ = ["Dataset", "Source", "load_dataset", "read_source"]


def read_source(config: DataConfig) -> Source:
    """The data of `config` before the split.

    Raises: FlipflowError E150 to E153 for files missing, damaged or out of place.
    """
    match config.dataset:
        case "digits":
            return read_digits()
        case "fashion-mnist":
            return read_fashion_mnist(config.path)
        case "idx":
            return read_idx_folder(_path(config), _path(config).name)
        case "cifar10":
            return read_cifar(_path(config), CIFAR10)
        case "cifar100":
            return read_cifar(_path(config), CIFAR100)
        case "folder":
            layout = Layout(config.image_size, config.grey, config.fit)
            return read_folder(_path(config), layout, config.resident)


def _path(config: DataConfig) -> Path:
    if config.path is None:  # DataConfig refuses this for the data sets that need it
        raise ValueError(f"dataset {config.dataset} needs a path")
    return config.path.expanduser()


def load_dataset(config: DataConfig) -> Dataset:
    """Read and split the data of `config`. Raises: FlipflowError E150 to E154, E156."""
    source = read_source(config)
    _check_classes(source, config)
    return split(source, config.validation, config.split_seed, config.limit)


def _check_classes(source: Source, config: DataConfig) -> None:
    found, wanted = len(source.classes), config.classes
    if found < 2 or (wanted is not None and found != wanted):
        some = ", ".join(source.classes[:5]) + (", ..." if found > 5 else "")
        what = f"the data have {found} class{'es' * (found != 1)} ({some})" + (f" and not {wanted}." if wanted else ".")
        raise FlipflowError("E156", what, "data.classes", "Point data.path at the right data, or correct data.classes.")
