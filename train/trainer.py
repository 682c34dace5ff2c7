"""One training: model, optimizer, hook and data in memory, an epoch at a time."""

import math
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flipflow.config import ModelConfig, OvswConfig, TrainConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
from flipflow.train.augment import Share, augment
from flipflow.train.data import Dataset
from flipflow.train.data.dataset import Images
from flipflow.train.data.files import FileImages
from flipflow.train.distributed import Processes
from flipflow.train.divergence import check_weights, report_non_finite
from flipflow.train.ema import WeightAverage
from flipflow.train.evaluate import accuracy_on
from flipflow.train.memory import explain_out_of_memory, is_out_of_memory
from flipflow.train.methods import begin_epoch
from flipflow.train.models import binary_weights, build_model
from flipflow.train.optimizers import make_optimizer
from flipflow.train.ovsw import OvswHook
from flipflow.train.pixels import Pixels, Resident, Streamed
from flipflow.train.progress import Progress, ProgressEvent
from flipflow.train.schedules import learning_rate_factor, resolve_gamma
from flipflow.train.synced_norm import synchronise_norms
from flipflow.train.teacher import load_teacher, soft_cross_entropy, start_from

_SAMPLE = 10_000  # images that the statistics of a set in files are taken from


class Trainer:
    """Everything that changes while training. Weights are drawn from torch's generator, data order from its own."""

    def __init__(
        self,
        model: ModelConfig,
        train: TrainConfig,
        ovsw: OvswConfig,
        data: Dataset,
        device: torch.device,
        processes: Processes | None = None,
        init: Path | None = None,
    ) -> None:
        """Seeds torch's global generator.

        init: checkpoint to take the first weights from; not needed where `load_state_dict` follows.
        Raises: FlipflowError E101, E155, E160 to E162, E171, E174, E175.
        """
        self.config = train
        self.device = device
        self.processes = processes or Processes()
        self.steps_per_epoch = _steps_per_epoch(len(data.train_labels), train, self.processes)
        torch.manual_seed(train.seed)
        self.model = _build(model, train, data, init).to(device)
        self.processes.agree(self.model)
        if self.processes.size > 1:
            synchronise_norms(self.model)
        # The same parameters: states are saved and read through self.model, whose names compiling would change.
        self._forward: nn.Module = torch.compile(self.model) if train.compile else self.model  # type: ignore[assignment]
        self.teacher = None
        if train.teacher is not None:
            self.teacher = load_teacher(train.teacher, data.input_shape, len(data.classes), device)
        self._prepare_steps(ovsw)
        self.generator = torch.Generator().manual_seed(train.seed)
        images = data.train_images
        self.pixels: Pixels = Streamed(images, device) if isinstance(images, FileImages) else Resident(images, device)
        self.labels = torch.from_numpy(data.train_labels).to(device)
        self.val_images, self.val_labels = self._tensors(data.val_images, data.val_labels)
        self.epoch = 0

    def _prepare_steps(self, ovsw: OvswConfig) -> None:
        train, steps, binary = self.config, self.steps_per_epoch, binary_weights(self.model)
        by_hook = [weight for _, weight in binary] if ovsw.ags_target == "update" else []
        self.optimizer = make_optimizer(self.model, train, undecayed=by_hook)
        decay = train.weight_decay if by_hook else 0.0
        self.hook = OvswHook(binary, self.optimizer, resolve_gamma(train, ovsw, steps), decay)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(train, step, steps)
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=train.amp == "fp16")
        self.average = WeightAverage(self.model, train.ema) if train.ema > 0 else None

    def _tensors(self, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(images).to(self.device), torch.from_numpy(labels).to(self.device)

    def run_epoch(self, progress: Progress | None) -> dict[str, Any]:
        """Train one epoch, validate, and return its line of metrics.

        Raises: FlipflowError E170 on a non-finite loss or weight, E173 where a batch does not fit into memory.
        """
        start = perf_counter()
        begin_epoch(self.model, self.epoch, self.config.epochs)
        self.model.train()
        lr = self.optimizer.param_groups[0]["lr"]
        order = torch.randperm(len(self.labels), generator=self.generator)
        size = self.config.batch_size * self.config.accumulate
        total_loss, total_right = 0.0, 0
        batches = torch.split(order[: self.steps_per_epoch * size], self.config.batch_size)
        self.pixels.plan([whole[self.processes.share(len(whole))] for whole in batches])
        for step in range(self.steps_per_epoch):
            loss, right = self._step_within_memory(order[step * size : (step + 1) * size])
            total_loss += loss
            total_right += right
            if progress is not None:
                progress(ProgressEvent(self.epoch, self.config.epochs, step + 1, self.steps_per_epoch, loss, None))
        check_weights(self.model, self.epoch)
        self.epoch += 1
        seconds = perf_counter() - start
        hook_seconds = self.hook.seconds
        with self.evaluated():
            val_accuracy = accuracy_on(self.model, self.val_images, self.val_labels, self.processes)
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

    def evaluated(self) -> Any:
        """A context in which the model has the weights that are judged and kept: the averaged ones under `ema`."""
        return nullcontext() if self.average is None else self.average.applied()

    def _step_within_memory(self, indices: Tensor) -> tuple[float, int]:
        try:
            return self._step(indices)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out here, for the exception's traceback held the failed step's tensors.
        self.optimizer.zero_grad(set_to_none=True)
        attempt = self._attempt if self.processes.size == 1 else None
        raise explain_out_of_memory(self.config.batch_size, self.config.accumulate, attempt)

    def _attempt(self, size: int) -> None:
        """A forward and a backward pass of `size` images, for nothing but their memory."""
        _, loss, _ = self._forward_pass(torch.arange(size), Share(size, slice(None)))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad(set_to_none=True)

    def _step(self, indices: Tensor) -> tuple[float, int]:
        """One optimizer step on these training images: mean loss and number of right answers, of all processes."""
        config = self.config
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, right_sum = 0.0, 0
        for whole in torch.split(indices, config.batch_size):
            share = Share(len(whole), self.processes.share(len(whole)))
            images, loss, right = self._forward_pass(whole[share.part], share)
            # Every process must find out together, or the others would wait for this one; one look a step spares the device.
            seen = self.processes.total(torch.stack([loss.detach() / self.processes.size, right.float()])).tolist()
            if not math.isfinite(seen[0]):
                report_non_finite(self.model, images, seen[0], self.epoch)
            self.scaler.scale(loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
            loss_sum += seen[0] / config.accumulate
            right_sum += int(seen[1])
        self.processes.average_gradients(self.model.parameters())
        if config.clip_norm > 0:
            # Before step(), where the hook acts: clipping after AGS would undo it.
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        if self.average is not None:
            self.average.update()
        return loss_sum, right_sum

    def _forward_pass(self, indices: Tensor, share: Share) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented images, mean loss (float32) and number of right answers of these training images, `share` of a batch."""
        config = self.config
        images = augment(
            self.pixels.take(indices), config.augment, self.generator, config.crop_pad, config.crop_scale, share
        ).float()
        if config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self._autocast_type(), enabled=config.amp != "none"):
            logits = self._forward(images)
        logits, labels = logits.float(), self.labels[indices.to(self.device)]
        if self.teacher is None:
            loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        else:
            with torch.no_grad():
                wanted = self.teacher(images)
            loss = soft_cross_entropy(logits, wanted)
        return images, loss, (logits.argmax(1) == labels).sum()

    def _autocast_type(self) -> torch.dtype:
        return torch.float16 if self.config.amp == "fp16" else torch.bfloat16

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
            "ema": None if self.average is None else self.average.state_dict(),
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
        if self.average is not None:
            self.average.load_state_dict(state["ema"])
        torch.set_rng_state(state["rng"]["torch"])
        self.generator.set_state(state["rng"]["data"])
        if state["rng"]["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng"]["cuda"], self.device)


def _build(model: ModelConfig, train: TrainConfig, data: Dataset, init: Path | None) -> nn.Sequential:
    network = build_model(model, data.input_shape, len(data.classes))
    for module in network.modules():
        if isinstance(module, L.PixelNorm):
            module.fit(*_pixel_statistics(data.train_images))
    if init is not None:
        start_from(network, init)
    if train.channels_last:
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _pixel_statistics(source: Images | FileImages) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of [N, C, H, W], in 0..255; of a sample where images lie in files."""
    images: Images
    if isinstance(source, FileImages):
        images = source[np.linspace(0, len(source) - 1, min(len(source), _SAMPLE)).astype(np.int64)]
    else:
        images = source
    channels = images.shape[1]
    values = np.arange(256.0)
    counts = np.stack([np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(channels)])
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values**2 - mean**2)
    return torch.from_numpy(mean).float(), torch.from_numpy(np.maximum(deviation, 1.0)).float()


def _steps_per_epoch(images: int, train: TrainConfig, processes: Processes) -> int:
    if train.batch_size % processes.size or train.batch_size < 2 * processes.size:
        raise FlipflowError(
            "E175",
            f"a batch of {train.batch_size} images does not go into {processes.size} equal shares of two or more.",
            "train.batch_size",
            f"Take a multiple of {processes.size}, or start another number of processes.",
        )
    steps = images // (train.batch_size * train.accumulate)
    if steps == 0:
        raise FlipflowError(
            "E155",
            f"{images} images do not fill one step of {train.batch_size} x {train.accumulate}.",
            "train.batch_size",
            "Lower train.batch_size or train.accumulate.",
        )
    return steps
