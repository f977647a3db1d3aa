"""Photos a second in fine-tuning all of a network, against a plain PyTorch loop and fastai.

    python bench/fine_tuning.py --data DIR [--backbone torchvision/resnet50] [--photos 96] [--batch 32] [--rounds 3]

All of them start from the same random weights and train on the same photos (DIR/train/<class>) in the same batches.
Each is a process of its own; they run in turns, so that a busy machine slows all, and each tells the time of an
epoch of training after one to warm up: decoding, forward, backward, step. On a machine that is busy with other things
--cpu measures processor time of one thread instead. The table has the medians, and the ratio
of each round's times. The plain loop is what people write: f32, contiguous tensors, a DataLoader, training mode.
fastai (Learner, its AdamW, random crops and flips) takes part where --fastai names a Python that can import it, in
f32: its mixed precision is CUDA's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = ("kennel", "kennel f32")
PLAIN = ("plain", "plain, 2 workers")
FASTAI = ("fastai",)
RATE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures fine-tuning against a plain loop and fastai.")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/<class>/*.jpg")
    parser.add_argument("--backbone", default="torchvision/resnet50")
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread: for a busy machine")
    parser.add_argument("--fastai", type=Path, help="a Python that can import fastai")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(args.run, args)))
        return
    workers = PLAIN[1:] if args.cpu else ()  # whose processor time is not the process's
    names = [name for name in (*OURS, *PLAIN, *(FASTAI if args.fastai else ())) if name not in workers]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            seconds[name].append(in_process(name, args))
            print(f"{name:18} {args.photos / seconds[name][-1]:6.1f} img/s", file=sys.stderr)
    print(
        f"{args.backbone}, batches of {args.batch}, {args.photos} photos, {os.cpu_count()} cores, {args.rounds} rounds"
    )
    print(f"{'':18} {'img/s':>6}  {'kennel is faster by':>20}")
    for name in names:
        rate = args.photos / statistics.median(seconds[name])
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds[OURS[0]], strict=True))
        print(f"{name:18} {rate:6.1f}  {ratio:20.2f}")


def in_process(name: str, args: argparse.Namespace) -> float:
    python = args.fastai if name in FASTAI else sys.executable
    settings = (
        "--data",
        args.data,
        "--backbone",
        args.backbone,
        "--photos",
        args.photos,
        "--batch",
        args.batch,
    )
    flags = ("--cpu",) if args.cpu else ()
    command = [python, "-W", "ignore", __file__, "--run", name, *settings, *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"OMP_NUM_THREADS": "1"} if args.cpu else {})}
    done = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, args: argparse.Namespace) -> float:
    """Seconds of the second epoch."""
    measured: dict[str, Callable[..., float]] = {"kennel": kennel, "plain": plain, "fastai": with_fastai}
    kind, _, variant = name.replace(",", "").partition(" ")
    return measured[kind](variant, args)


def clock(args: argparse.Namespace) -> float:
    return time.process_time() if args.cpu else time.perf_counter()


def photos(args: argparse.Namespace) -> list[tuple[Path, int]]:
    """As many of each class."""
    folders = sorted(each for each in (args.data / "train").iterdir() if each.is_dir())
    found = [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.glob("*.*"))]
    return [found[at * len(found) // args.photos] for at in range(args.photos)]


def network(args: argparse.Namespace) -> tuple[Any, int]:
    """With random weights; the classes of its head."""
    import torch

    from ml.serving.network import HeadSpec, Network, build_backbone, build_head

    torch.manual_seed(0)
    classes = max(label for _, label in photos(args)) + 1
    built = build_backbone(args.backbone)
    return Network(built.module, build_head(HeadSpec(), built.width, classes)), classes


def preprocessing() -> Any:
    from ml.serving.preprocessing import Preprocessing

    return Preprocessing(256, 224, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def kennel(variant: str, args: argparse.Namespace) -> float:
    import hashlib

    from ml.config import TrainConfig
    from ml.data import Dataset, Sample
    from ml.fine_tune import trainer
    from ml.weights import LoadedBackbone

    net, classes = network(args)
    samples = [
        Sample(label, hashlib.sha256(path.read_bytes()).hexdigest(), path) for path, label in photos(args)
    ]
    splits = {"train": samples, "valid": samples[:2], "test": samples[:1]}
    config = TrainConfig(
        backbone=args.backbone,
        weights="imagenet",
        unfreeze="all",
        epochs=2,
        batch_size=args.batch,
        weight_decay=0.01,
        learning_rate=RATE,
        # Photos anew in each epoch, as for the others: no profit from those that are kept.
        augment="light",
        precision="f32" if variant else "auto",
    )
    loaded = LoadedBackbone(
        args.backbone, net.backbone.eval(), net.head.in_features, "", preprocessing(), None
    )
    train = trainer._Trainer._train
    seconds: list[float] = []

    def timed(self: Any, number: int) -> Any:
        started = clock(args)
        row = train(self, number)
        seconds.append(clock(args) - started)
        return row

    trainer._Trainer._train = timed  # type: ignore[method-assign]
    dataset = Dataset.build([str(number) for number in range(classes)], splits)  # type: ignore[arg-type]
    trainer.fine_tune(dataset, loaded, net.head, config, progress=False)
    return seconds[1]


def plain(variant: str, args: argparse.Namespace) -> float:
    import torch
    from PIL import Image
    from torch.nn import functional
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, scale=(0.5, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    class Photos(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        def __init__(self) -> None:
            self.items = photos(args)

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
            path, label = self.items[at]
            return transform(Image.open(path).convert("RGB")), label

    net, _ = network(args)
    net.train()
    loader = torch.utils.data.DataLoader(
        Photos(), args.batch, shuffle=True, num_workers=2 if variant else 0, persistent_workers=bool(variant)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    seconds = []
    for _ in range(2):
        started = clock(args)
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        seconds.append(clock(args) - started)
    return seconds[1]


def with_fastai(_variant: str, args: argparse.Namespace) -> float:
    import fastai.callback.progress  # type: ignore[import-not-found]  # noqa: F401  # for no_bar
    import torch
    from fastai.callback.core import Callback  # type: ignore[import-not-found]
    from fastai.data.block import CategoryBlock, DataBlock  # type: ignore[import-not-found]
    from fastai.learner import Learner  # type: ignore[import-not-found]
    from fastai.vision.augment import RandomResizedCrop, aug_transforms  # type: ignore[import-not-found]
    from fastai.vision.data import ImageBlock  # type: ignore[import-not-found]

    seconds: list[float] = []

    class Timer(Callback):  # type: ignore[misc]
        def before_train(self) -> None:
            self.started = clock(args)

        def after_train(self) -> None:
            seconds.append(clock(args) - self.started)

    labels = dict(photos(args))
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_y=lambda path: labels[path],
        splitter=lambda found: (list(range(len(found))), [0, 1]),
        item_tfms=RandomResizedCrop(224, min_scale=0.5),
        batch_tfms=aug_transforms(
            do_flip=True, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0, size=None
        )[:1],
    )
    loaders = block.dataloaders(
        list(labels), bs=args.batch, num_workers=0, device=torch.device("cpu"), drop_last=False
    )
    net, _ = network(args)
    learner = Learner(loaders, net, loss_func=torch.nn.CrossEntropyLoss(), lr=RATE, cbs=[Timer()])
    with learner.no_bar(), learner.no_logging():
        learner.fit(2)
    return seconds[1]


if __name__ == "__main__":
    main()
