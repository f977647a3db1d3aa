"""The fine-tuning of a network: AdamW, warm-up and cosine, early stopping, a checkpoint an epoch."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ml.config import TrainConfig
from ml.data import Dataset
from ml.distributed import SINGLE, Group
from ml.errors import KennelError
from ml.fine_tune.batches import Part, Photos, epoch_parts
from ml.fine_tune.blocks import learning_mode, parameter_groups, unfreeze
from ml.fine_tune.checkpoints import Checkpoints
from ml.fine_tune.schedule import factor
from ml.head import DivergedError, EpochRow, class_weights
from ml.precision import resolve_precision
from ml.serving.network import Network
from ml.weights import LoadedBackbone

T = TypeVar("T")
Tensors = dict[str, torch.Tensor]

# Photos that are computed at once: a CPU is as fast as with more, and needs the less memory.
LARGEST = {"cpu": 16, "cuda": 256}

# Settings that say where and how fast, not what comes out.
_ELSEWHERE = ("data", "cache_limit_gib", "device", "weights")


@dataclass(frozen=True)
class FineTuned:
    network: Network  # f32, in evaluation mode, on the CPU
    history: tuple[EpochRow, ...]  # epoch (from 1), train_loss, train_accuracy, valid_loss, valid_accuracy
    best_epoch: int  # whose weights these are
    class_weights: tuple[float, ...] | None  # None: all count the same


def fine_tune(
    dataset: Dataset,
    backbone: LoadedBackbone,
    head: nn.Module,
    config: TrainConfig,
    *,
    group: Group = SINGLE,
    checkpoints: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochRow], None] | None = None,
    progress: bool = True,
) -> FineTuned:
    """Trains `head`, which fits the backbone's features already, and what `config.unfreeze` says of the backbone.

    All processes of `group` call it alike and get the same. With `resume` it goes on from `checkpoints` to the
    bits that an uninterrupted run gives. `on_epoch` is called in rank 0, for resumed epochs too; what it raises
    ends all ranks. Raises `KennelError`.
    """
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        trainer = _Trainer(dataset, backbone, head, config, group, progress)
        store = None if checkpoints is None else Checkpoints(checkpoints, trainer.settings())
        if store is not None:
            trainer.restore(_by_main(group, store.load if resume else store.clear))
        for row in trainer.history:
            _by_main(group, partial(_tell, on_epoch, row))
        while not trainer.done:
            row = trainer.epoch()
            if store is not None:
                _by_main(group, partial(store.save, len(trainer.history), trainer.state()))
            _by_main(group, partial(_tell, on_epoch, row))
        return trainer.result()


def _tell(on_epoch: Callable[[EpochRow], None] | None, row: EpochRow) -> None:
    if on_epoch is not None:
        on_epoch(row)


def _by_main(group: Group, action: Callable[[], T]) -> T:
    """What rank 0 gets by it. Where it fails, all ranks end: none is left waiting."""
    failure: Exception | None = None
    value: Any = None
    if group.is_main:
        try:
            value = action()
        except Exception as error:
            failure = error
    told = (failure.rule, failure.received, failure.remedy) if isinstance(failure, KennelError) else None
    failed, told, value = group.broadcast((failure is not None, told, value))
    if failure is not None:
        raise failure
    if told is not None:
        raise KennelError(*told)
    if failed:
        sys.exit("error: the first process of this training has failed")
    return cast(T, value)


def _is_depthwise(module: nn.Module) -> bool:
    """Whose convolutions a processor trains slower in bf16: EfficientNet-Lite0 takes a third longer than in f32."""
    return any(
        isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 for layer in module.modules()
    )


class _Trainer:
    def __init__(
        self,
        dataset: Dataset,
        backbone: LoadedBackbone,
        head: nn.Module,
        config: TrainConfig,
        group: Group,
        progress: bool,
    ) -> None:
        self._dataset = dataset
        self._config = config
        self._group = group
        self._backbone = backbone
        self._show = progress and group.is_main
        cuda = torch.cuda.is_available()
        self._device = torch.device("cuda", group.local_rank) if cuda else torch.device("cpu")
        self._largest = LARGEST[self._device.type]
        # For no photos "auto" is never int8, which does not train.
        self._amp = resolve_precision(config.precision, backbone, photos=0) == "bf16" and (
            cuda or config.precision == "bf16" or not _is_depthwise(backbone.module)
        )
        self._photos = Photos(backbone.preprocessing, config)

        self._network = Network(copy.deepcopy(backbone.module), copy.deepcopy(head))
        chosen = unfreeze(self._network, config.unfreeze)
        self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._leave_out_unused()
        self._learning = {name: each for name, each in self._network.named_parameters() if each.requires_grad}
        groups = parameter_groups(self._network, chosen, config)
        self._optimizer = torch.optim.AdamW(list(groups), lr=config.learning_rate, fused=True)
        self._ema: AveragedModel | None = None
        if config.ema:
            self._ema = AveragedModel(self._network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))  # type: ignore[no-untyped-call]
        self._shared: nn.Module = self._network
        if group.world > 1:
            self._shared = DistributedDataParallel(
                self._network,
                device_ids=[group.local_rank] if cuda else None,
                forward_sync_buffers=False,
                gradient_as_bucket_view=True,
            )

        labels = [sample.label for sample in dataset.train]
        self._class_weights = class_weights(np.array(labels), len(dataset.classes), config.class_balance)
        weights = self._class_weights or (1.0,) * len(dataset.classes)
        self._label_weights = torch.tensor(weights, device=self._device)
        self._train_weights = [weights[label] for label in labels]
        self._valid_weights = np.array([weights[sample.label] for sample in dataset.valid])
        self._steps = -(-len(labels) // config.batch_size)  # an epoch

        self.history: list[EpochRow] = []
        self._best_epoch = 0
        self._best: Tensors = {}

    @property
    def done(self) -> bool:
        epochs = len(self.history)
        return epochs > 0 and (
            epochs >= self._config.max_epochs
            or epochs - self._best_epoch >= self._config.patience
            or not math.isfinite(self.history[-1]["train_loss"])
        )

    def settings(self) -> dict[str, Any]:
        """What checkpoints must agree in."""
        kept = {key: each for key, each in self._config.to_dict().items() if key not in _ELSEWHERE}
        return {**kept, "data": self._dataset.digest, "weights": self._backbone.digest}

    def state(self) -> dict[str, Any]:
        return {
            "network": self._tensors(self._network),
            "ema": None if self._ema is None else self._tensors(self._ema.module),
            "averaged": 0 if self._ema is None else int(self._ema.n_averaged),
            "optimizer": self._optimizer.state_dict(),
            "history": self.history,
            "best_epoch": self._best_epoch,
            "best": self._best,
        }

    def restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self._fill(self._network, state["network"])
        if self._ema is not None:
            self._fill(self._ema.module, state["ema"])
            self._ema.n_averaged.fill_(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]
        self._best_epoch = state["best_epoch"]
        self._best = state["best"]

    def epoch(self) -> EpochRow:
        number = len(self.history) + 1
        # So that an epoch begins alike whatever went before; ranks differ in what they drop out.
        seed = np.random.SeedSequence([self._config.seed, number, self._group.rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        row: EpochRow = {"epoch": number, **self._train(number), **self._validate()}
        self.history.append(row)
        if row["valid_loss"] < min((each["valid_loss"] for each in self.history[:-1]), default=math.inf):
            self._best_epoch = number
            self._best = self._tensors(self._judged)
        return row

    def result(self) -> FineTuned:
        if self._best_epoch == 0:
            raise DivergedError(
                "Training must bring a validation loss that is a number",
                f"{self.history[-1]['valid_loss']} at learning_rate={self._config.learning_rate:g}",
                "use a lower learning rate",
            )
        self._fill(self._network, self._best)
        self._network.cpu().to(memory_format=torch.contiguous_format)
        network = self._network.eval().requires_grad_(False)
        return FineTuned(network, tuple(self.history), self._best_epoch, self._class_weights)

    @property
    def _judged(self) -> nn.Module:
        return self._network if self._ema is None else self._ema.module

    def _train(self, number: int) -> EpochRow:
        learning_mode(self._network)
        samples = self._dataset.train
        parts = epoch_parts(
            self._train_weights,
            self._config,
            number,
            rank=self._group.rank,
            world=self._group.world,
            largest=self._largest,
        )
        batches = self._photos.batches([[samples[row] for row in part.rows] for part in parts], view=number)
        step = (number - 1) * self._steps
        sums = torch.zeros(2, dtype=torch.float64, device=self._device)  # weighted loss, photos told right
        title = f"epoch {number}/{self._config.max_epochs}"
        bar = tqdm(total=len(samples), desc=title, unit="img", disable=None if self._show else True)
        with bar:
            for part, frames in zip(parts, batches, strict=True):
                sums += self._learn(part, frames)
                if part.ends_step:
                    self._step(step)
                    step += 1
                bar.update(len(part.rows) * self._group.world)
        loss, hits = np.sum(self._group.gather(sums.tolist()), axis=0).tolist()
        return {"train_loss": loss / sum(self._train_weights), "train_accuracy": hits / len(samples)}

    def _learn(self, part: Part, frames: torch.Tensor) -> torch.Tensor:
        """Adds to the gradients; they are shared by the processes at the end of a step."""
        labels = torch.tensor([self._dataset.train[row].label for row in part.rows], device=self._device)
        pixels = self._photos.normalized(frames, self._device)
        shared = self._shared
        waits = isinstance(shared, DistributedDataParallel) and not part.ends_step
        with cast(DistributedDataParallel, shared).no_sync() if waits else nullcontext():
            logits = self._forward(shared, pixels)
            losses = functional.cross_entropy(
                logits,
                labels,
                weight=self._label_weights,
                label_smoothing=self._config.label_smoothing,
                reduction="sum",
            )
            # Times the processes: they take the mean of their gradients.
            (losses * (part.scale * self._group.world)).backward()  # type: ignore[no-untyped-call]
        counts = float(part.scale > 0)
        hits = (logits.argmax(1) == labels).sum()
        return torch.stack([losses.detach(), hits]).double() * counts

    def _step(self, step: int) -> None:
        warmup = round(self._config.warmup_epochs * self._steps)
        rate = factor(step, warmup=warmup, total=self._config.max_epochs * self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._ema is not None:
            self._ema.update_parameters(self._network)

    @torch.no_grad()
    def _validate(self) -> EpochRow:
        """Photo by photo, so that it does not matter who measured which."""
        model = self._judged.eval()
        samples = self._dataset.valid[self._group.rank :: self._group.world]
        batches = [samples[at : at + self._largest] for at in range(0, len(samples), self._largest)]
        mine = []
        for batch, frames in zip(batches, self._photos.batches(batches), strict=True):
            labels = torch.tensor([sample.label for sample in batch], device=self._device)
            logits = self._forward(model, self._photos.normalized(frames, self._device))
            losses = functional.cross_entropy(logits, labels, reduction="none")
            mine.append(torch.stack([losses, logits.argmax(1) == labels]).cpu().double().numpy())
        measured = np.empty((2, len(self._dataset.valid)))
        for rank, columns in enumerate(self._group.gather(np.concatenate([np.empty((2, 0)), *mine], axis=1))):
            measured[:, rank :: self._group.world] = columns
        return {
            "valid_loss": float(np.average(measured[0], weights=self._valid_weights)),
            "valid_accuracy": float(measured[1].mean()),
        }

    def _forward(self, model: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp):
            logits: torch.Tensor = model(pixels)
        return logits.float()

    def _leave_out_unused(self) -> None:
        """Parameters that the features do not depend on would keep the other processes waiting."""
        learning_mode(self._network)
        crop = self._backbone.preprocessing.crop
        self._forward(self._network, torch.zeros(1, 3, crop, crop, device=self._device)).sum().backward()  # type: ignore[no-untyped-call]
        for parameter in self._network.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def _tensors(self, model: nn.Module) -> Tensors:
        """Of what learns: the rest is the backbone's."""
        found = dict(model.named_parameters())
        return {name: found[name].detach().cpu().clone() for name in self._learning}

    @torch.no_grad()
    def _fill(self, model: nn.Module, tensors: Tensors) -> None:
        found = dict(model.named_parameters())
        for name, tensor in tensors.items():
            found[name].copy_(tensor)
