"""What changes with the epoch: the shapes of estimators and ReCU's clamp, as functions of the epoch alone."""

import math
from abc import ABC, abstractmethod


class Scheduled(ABC):
    """A part of a model that depends on how far training is."""

    @abstractmethod
    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Epoch `epoch` of 0..epochs-1 begins."""


def progress(epoch: int, epochs: int) -> float:
    """ep/E of the papers: 0 in the first epoch, (epochs - 1)/epochs in the last. Raises: ValueError outside of them."""
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch {epoch} is none of 0..{epochs - 1}")
    return epoch / epochs


def ede_shape(done: float) -> tuple[float, float]:
    """t and k of IR-Net's error decay estimator (Qin et al., CVPR 2020): t = 10^(-3 + 4 ep/E), k = max(1/t, 1)."""
    t = 10.0 ** (-3.0 + 4.0 * done)
    return t, max(1.0 / t, 1.0)


def rbnn_weight_shape(done: float) -> tuple[float, float]:
    """t and k of RBNN's estimator for weights (Lin et al., NeurIPS 2020): t = 10^(-2 + 3 ep/E), k = max(1/t, 1)."""
    t = 10.0 ** (-2.0 + 3.0 * done)
    return t, max(1.0 / t, 1.0)


def rbnn_activation_shape(done: float) -> tuple[float, float]:
    """The same for activations: k = 1 and t at least 1."""
    return max(rbnn_weight_shape(done)[0], 1.0), 1.0


def recu_tau(done: float) -> float:
    """tau of ReCU (Xu et al., ICCV 2021): A e^(ep/E) + B, which rises from 0.85 to 0.99."""
    a = (0.99 - 0.85) / (math.e - 1.0)
    return a * math.exp(done) + 0.85 - a
