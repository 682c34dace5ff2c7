"""One training: model, optimizer, hook and data in memory, an epoch at a time."""

import math
from dataclasses import asdict
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flipflow.config.training import ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train.augment import augment
from flipflow.train.data import Dataset
from flipflow.train.models import binary_weights, build_model
from flipflow.train.ovsw import OvswHook
from flipflow.train.progress import Progress, ProgressEvent

EVALUATION_BATCH = 500


def learning_rate_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """What `lr` is multiplied with at optimizer step 0, 1, ...: linear warm-up, then the schedule."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0 - progress if config.schedule == "linear" else 1.0


def _parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    decay_vectors = config.weight_decay if config.decay_1d else 0.0
    return [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": decay_vectors},
    ]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimizer; `momentum` is Adam's beta1."""
    groups = _parameter_groups(model, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=(config.momentum, 0.999))


def accuracy_on(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of uint8 images [N, C, H, W] whose class the model gets right, in eval mode and float32."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            # argmax takes the lowest index on a tie, as every level of the project does.
            right += int((model(images[part].float()).argmax(1) == labels[part]).sum())
    return right / len(images)


class Trainer:
    """Everything that changes while training. Weights are drawn from torch's generator, data order from its own."""

    def __init__(
        self, model: ModelConfig, train: TrainConfig, ovsw: OvswConfig, data: Dataset, device: torch.device
    ) -> None:
        """Seeds torch's global generator. Raises: FlipflowError E155, E171."""
        self.config = train
        self.device = device
        torch.manual_seed(train.seed)
        self.model = build_model(model, data.input_shape, len(data.classes)).to(device)
        self.optimizer = make_optimizer(self.model, train)
        self.hook = OvswHook(binary_weights(self.model), self.optimizer, ovsw)
        self.steps_per_epoch = len(data.train_labels) // (train.batch_size * train.accumulate)
        if self.steps_per_epoch == 0:
            raise FlipflowError(
                "E155",
                f"{len(data.train_labels)} images do not fill one step of {train.batch_size} x {train.accumulate}.",
                "train.batch_size",
                "Lower train.batch_size or train.accumulate.",
            )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(train, step, self.steps_per_epoch)
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=train.amp == "fp16")
        self.generator = torch.Generator().manual_seed(train.seed)
        self.images, self.labels = self._tensors(data.train_images, data.train_labels)
        self.val_images, self.val_labels = self._tensors(data.val_images, data.val_labels)
        self.epoch = 0

    def _tensors(self, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(images).to(self.device), torch.from_numpy(labels).to(self.device)

    def run_epoch(self, progress: Progress | None) -> dict[str, Any]:
        """Train one epoch, validate, and return its line of metrics.

        Raises: FlipflowError E170 on a non-finite loss or weight.
        """
        start = perf_counter()
        self.model.train()
        lr = self.optimizer.param_groups[0]["lr"]
        order = torch.randperm(len(self.labels), generator=self.generator)
        size = self.config.batch_size * self.config.accumulate
        total_loss, total_right = 0.0, 0
        for step in range(self.steps_per_epoch):
            loss, right = self._step(order[step * size : (step + 1) * size].to(self.device))
            total_loss += loss
            total_right += right
            if progress is not None:
                progress(ProgressEvent(self.epoch, self.config.epochs, step + 1, self.steps_per_epoch, loss, None))
        self._check_weights()
        self.epoch += 1
        seconds = perf_counter() - start
        hook_seconds = self.hook.seconds
        val_accuracy = accuracy_on(self.model, self.val_images, self.val_labels)
        if progress is not None:
            event = ProgressEvent(self.epoch, self.config.epochs, 0, self.steps_per_epoch, total_loss, val_accuracy)
            progress(event)
        return {
            "epoch": self.epoch,
            "loss": total_loss / self.steps_per_epoch,
            "lr": lr,
            "train_accuracy": total_right / (self.steps_per_epoch * size),
            "val_accuracy": val_accuracy,
            "seconds": round(perf_counter() - start, 3),
            "hook_share": round(hook_seconds / seconds, 5),
            "layers": {name: asdict(layer) for name, layer in self.hook.telemetry().items()},
        }

    def _step(self, indices: Tensor) -> tuple[float, int]:
        """One optimizer step on these training images: mean loss and number of right answers."""
        config = self.config
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, right = 0.0, 0
        for part in torch.split(indices, config.batch_size):
            images = augment(self.images[part], config.augment, config.crop_pad, self.generator).float()
            with torch.autocast(self.device.type, self._autocast_type(), enabled=config.amp != "none"):
                logits = self.model(images)
            loss = F.cross_entropy(logits.float(), self.labels[part], label_smoothing=config.label_smoothing)
            value = loss.item()
            if not math.isfinite(value):
                self._report_non_finite(images, value)
            self.scaler.scale(loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
            loss_sum += value / config.accumulate
            right += int((logits.argmax(1) == self.labels[part]).sum())
        if config.clip_norm > 0:
            # Before step(), where the hook acts: clipping after AGS would undo it.
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        return loss_sum, right

    def _autocast_type(self) -> torch.dtype:
        return torch.float16 if self.config.amp == "fp16" else torch.bfloat16

    def _report_non_finite(self, images: Tensor, loss: float) -> None:
        """Raise E170 naming the first layer whose weights or output are not finite."""
        x = images
        with torch.no_grad():
            for name, module in self.model.named_children():
                x = module(x)
                if not (bool(torch.isfinite(x).all()) and _finite(module)):
                    raise _non_finite(f"the loss became {loss}", name, self.epoch)
        raise _non_finite(f"the loss became {loss}", "the loss", self.epoch)

    def _check_weights(self) -> None:
        # A sign hides a NaN or infinite latent weight: the loss stays finite while the weight is dead.
        for name, module in self.model.named_children():
            if not _finite(module):
                raise _non_finite("its weights are no longer finite", name, self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on; tensors are not copied."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ovsw": self.hook.state_dict(),
            "rng": {"torch": torch.get_rng_state(), "data": self.generator.get_state(), "cuda": cuda},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        self.hook.load_state_dict(state["ovsw"])
        torch.set_rng_state(state["rng"]["torch"])
        self.generator.set_state(state["rng"]["data"])
        if state["rng"]["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng"]["cuda"], self.device)


def _finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def _non_finite(what: str, where: str, epoch: int) -> FlipflowError:
    return FlipflowError(
        "E170",
        f"{what} in epoch {epoch + 1}.",
        f"layer {where}" if where != "the loss" else where,
        "Lower train.lr or ovsw.gamma, set train.clip_norm, or lengthen train.warmup_epochs.",
    )
