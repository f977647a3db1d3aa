"""The network as an OpenVINO graph, the same bytes every time."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ml.serving.preprocessing import Preprocessing

if TYPE_CHECKING:
    import openvino
    import torch

INPUT = "images"
OUTPUT = "logits"


def available() -> bool:
    return importlib.util.find_spec("openvino") is not None


def convert(module: torch.nn.Module, size: int, *, batch: int) -> openvino.Model:
    """The OpenVINO model of a module for images [batch, 3, size, size]; batch -1 takes any number."""
    import openvino as ov
    import torch

    with warnings.catch_warnings():
        # OpenVINO takes traces of torch.jit, which torch has deprecated.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        # Unchecked: the check traces twice more, and the archive is proven against the module anyway.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, torch.zeros(1, 3, size, size), check_trace=False
        )
        return ov.convert_model(traced, input=[batch, 3, size, size])


def write(module: torch.nn.Module, preprocessing: Preprocessing, folder: Path) -> None:
    """Writes model.xml and model.bin: bytes "images" [N, crop, crop, 3] in, "logits" [N, C] out, weights in f32."""
    model = convert(module, preprocessing.crop, batch=-1)
    save(normalizing(model, preprocessing), folder / "model.xml")


def save(model: openvino.Model, path: Path) -> None:
    """Writes the .xml and the .bin beside it, weights as they are; changes the names in `model`."""
    import openvino as ov

    _settle(model)
    ov.save_model(model, path, compress_to_fp16=False)


def normalizing(model: openvino.Model, preprocessing: Preprocessing) -> openvino.Model:
    """The same for bytes [batch, size, size, 3], as photos are decoded; changes `model`."""
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    mean, std = ([255 * value for value in values] for values in (preprocessing.mean, preprocessing.std))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(mean).scale(std)
    return steps.build()


def _settle(model: openvino.Model) -> None:
    """Leaves nothing in the file but the network: no versions, and names by place in the graph, as conversion
    gives names with a counter that runs on through the process."""
    for key in list(model.rt_info):
        del model.rt_info[key]
    model.set_friendly_name("model")
    for number, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
        for output in node.outputs():
            output.get_tensor().set_names(set())
    model.input(0).get_node().set_friendly_name(INPUT)
    model.input(0).get_tensor().set_names({INPUT})
    model.output(0).get_tensor().set_names({OUTPUT})
    model.output(0).get_node().set_friendly_name(OUTPUT)
