"""The network as graphs in f32, bf16 and int8, as far as this processor is fast with them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path

from ml import ir, precision, quantize
from ml.data import Sample
from ml.errors import KennelError
from ml.feature_cache import FeatureCache
from ml.precision import Precision
from ml.serving.network import Network
from ml.serving.networks import core
from ml.serving.preprocessing import Preprocessing

ALL: tuple[Precision, ...] = ("f32", "bf16", "int8")  # the most exact first


def unable(wanted: Precision) -> str | None:
    """Why a network cannot be served well in this precision; None where it can."""
    if wanted == "int8" and not precision.can_quantize():
        return "NNCF is not installed"
    if wanted != "f32" and not precision.fast(wanted):
        return f"the processor has no instructions for {wanted}"
    return None


def versions() -> dict[str, str]:
    names = ("openvino", "nncf") if precision.can_quantize() else ("openvino",)
    return {name: importlib.metadata.version(name) for name in names}


def write(
    wanted: Precision,
    network: Network,
    preprocessing: Preprocessing,
    calibration: Sequence[Sample],
    cache: FeatureCache | None,
    folder: Path,
) -> Path:
    """The .xml, with the .bin beside it, in a folder below `folder`; raises `KennelError` where it cannot be made."""
    place = folder / ("int8" if wanted == "int8" else "f32")
    if not place.exists():  # bf16 is f32's graph, computed otherwise
        place.mkdir()
        if wanted == "int8":
            _write_int8(network, preprocessing, calibration, cache, place)
        else:
            ir.write(network, preprocessing, place)
    return place / "model.xml"


def _write_int8(
    network: Network,
    preprocessing: Preprocessing,
    calibration: Sequence[Sample],
    cache: FeatureCache | None,
    folder: Path,
) -> None:
    made = quantize.network_graph(
        network, digest(network), preprocessing, quantize.chosen(calibration), cache
    )
    ir.save(ir.normalizing(core().read_model(*made), preprocessing), folder / "model.xml")


def digest(network: Network) -> str:
    """Of structure and weights."""
    state = network.state_dict()
    sums = {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in state.items()}
    return hashlib.sha256(json.dumps([str(network), sums], sort_keys=True).encode()).hexdigest()


def check(wanted: str) -> None:
    """Raises `KennelError` where a precision that is asked for cannot be had."""
    if wanted in ALL and (reason := unable(wanted)) is not None:
        raise KennelError(
            f"serving_precision={wanted} needs a machine that can make and measure it",
            reason,
            "use serving_precision=auto or f32",
        )
