"""The training script of the workflow that Kennel replaces, written afresh, with its faults: the benchmarks' baseline.

    python bench/replaced_training.py --data dogImages --weights resnet50.safetensors [--epochs 5]

A frozen ResNet-50 with a new head of two layers, and for each epoch a pass of all photos through the backbone. Its
faults are kept, since they are what it does: `model.train()` lets the frozen backbone's batch statistics drift; photos
are not normalized; losses are sums that grow with the batch and are floor-divided; one epoch is run whatever is asked;
the objective of tuning is the test split's loss; on EC2 it trains on the test split.

Three things differ, for measuring. Weights come from a file instead of the network. `--all-epochs` runs the epochs that
are asked for, which is kinder than the script was. The last line is a JSON object: what it measured, and what is true.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

RESNET = "torchvision/resnet50"
SIZE = 224  # pixels
HIDDEN = 128
FIRST_BEST_LOSS = 1e6
SPLITS = ("train", "valid", "test")

Loader = Iterable[tuple[torch.Tensor, torch.Tensor]]
logger = logging.getLogger("replaced")


def net(num_classes: int, weights: Path, backbone: str = RESNET) -> nn.Module:
    """The pretrained network, frozen, with a new head."""
    library, _, name = backbone.partition("/")
    model: Any
    if library == "torchvision":
        import torchvision

        model, head = torchvision.models.get_model(name, weights=None), "fc"
    else:
        import timm

        model = timm.create_model(name, pretrained=False)
        head = str(model.pretrained_cfg["classifier"])
    known = {key for key in model.state_dict() if not key.startswith(f"{head}.")}
    model.load_state_dict({k: v for k, v in load_file(weights).items() if k in known}, strict=False)
    for parameter in model.parameters():
        parameter.requires_grad = False
    features = getattr(model, head).in_features
    new_head = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_classes))
    setattr(model, head, new_head)
    network: nn.Module = model
    return network


def create_data_loaders(data: Path, batch_size: int) -> dict[str, DataLoader[Any]]:
    augmented = transforms.Compose([transforms.RandomResizedCrop(SIZE), transforms.ToTensor()])
    plain = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.ToTensor()])
    return {
        split: DataLoader(
            ImageFolder(str(data / split), augmented if split == "train" else plain),
            batch_size=batch_size,
            shuffle=True,
        )
        for split in SPLITS
    }


def train(
    model: nn.Module,
    train_loader: DataLoader[Any],
    valid_loader: DataLoader[Any],
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    all_epochs: bool = False,
    timed: Callable[[str, float], None] = lambda *_: None,
) -> int:
    """Train; return how many epochs were run."""
    best_loss, worse = FIRST_BEST_LOSS, 0
    for epoch in range(epochs):
        for phase, loader in (("train", train_loader), ("valid", valid_loader)):
            started = time.perf_counter()
            model.train(phase == "train")  # and with it the batch norms of the "frozen" backbone
            running_loss, running_corrects = 0.0, 0
            for inputs, labels in loader:
                outputs = model(inputs)
                loss = criterion(outputs, labels)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += int((outputs.argmax(1) == labels).sum())
            epoch_loss = running_loss // len(
                loader
            )  # a sum over photos, by the number of batches, rounded down
            epoch_accuracy = running_corrects // len(loader)
            logger.info("%s loss: %s, accuracy: %s", phase, epoch_loss, epoch_accuracy)
            timed(phase, time.perf_counter() - started)
            if phase == "valid":
                if epoch_loss < best_loss:
                    best_loss = epoch_loss
                else:
                    worse += 1
        if not all_epochs and (worse == 1 or epoch == 0):
            return epoch + 1
    return epochs


def test(model: nn.Module, test_loader: DataLoader[Any], criterion: nn.Module) -> dict[str, float]:
    """Measure on the test split, on which tuning chooses; return what it logs, and what is true."""
    model.eval()
    running_loss, running_corrects, photos = 0.0, 0, 0
    for inputs, labels in test_loader:
        outputs = model(inputs)
        running_loss += criterion(outputs, labels).item() * inputs.size(0)
        running_corrects += int((outputs.argmax(1) == labels).sum())
        photos += len(labels)
    total_loss, total_accuracy = running_loss // len(test_loader), running_corrects // len(test_loader)
    logger.info("Testing Loss: %s", total_loss)
    logger.info("Testing Accuracy: %s", total_accuracy)
    return {
        "logged_loss": total_loss,
        "logged_accuracy": total_accuracy,
        "loss": running_loss / photos,
        "accuracy": running_corrects / photos,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(arguments.seed)
    loaders = create_data_loaders(arguments.data, arguments.batch_size)
    model = net(len(loaders["train"].dataset.classes), arguments.weights, arguments.backbone)  # type: ignore[attr-defined]
    criterion = nn.CrossEntropyLoss()
    head = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(head, lr=arguments.learning_rate)
    seconds: dict[str, list[float]] = {split: [] for split in SPLITS}
    epochs_run = train(
        model,
        loaders["test" if arguments.on == "ec2" else "train"],
        loaders["valid"],
        criterion,
        optimizer,
        arguments.epochs,
        all_epochs=arguments.all_epochs,
        timed=lambda phase, passed: seconds[phase].append(passed),
    )
    started = time.perf_counter()
    measured = test(model, loaders["test"], criterion)
    seconds["test"].append(time.perf_counter() - started)
    photos = {split: len(loader.dataset) for split, loader in loaders.items()}  # type: ignore[arg-type]
    return {"epochs": epochs_run, "photos": photos, "seconds": seconds, **measured}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid and test")
    parser.add_argument("--weights", type=Path, required=True, help=".safetensors of the backbone")
    parser.add_argument("--backbone", default=RESNET, help="torchvision/<name> or timm/<name>")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5, help="asked for; one is run")
    parser.add_argument("--all-epochs", action="store_true", help="run the epochs that are asked for")
    parser.add_argument("--on", choices=("sagemaker", "ec2"), default="sagemaker")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    print(json.dumps(run(parser().parse_args())))
