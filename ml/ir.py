"""The network as an OpenVINO graph, the same bytes every time."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import openvino

INPUT = "images"
OUTPUT = "logits"


def available() -> bool:
    return importlib.util.find_spec("openvino") is not None


def convert(module: torch.nn.Module, size: int, *, batch: int) -> openvino.Model:
    """The OpenVINO model of a module for images [batch, 3, size, size]; batch -1 takes any number."""
    import openvino as ov

    with warnings.catch_warnings():
        # OpenVINO takes traces of torch.jit, which torch has deprecated.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        # Unchecked: the check traces twice more, and the archive is proven against the module anyway.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, torch.zeros(1, 3, size, size), check_trace=False
        )
        return ov.convert_model(traced, input=[batch, 3, size, size])


def write(module: torch.nn.Module, size: int, folder: Path) -> None:
    """Writes model.xml and model.bin: "images" [N, 3, size, size] in, "logits" [N, C] out, weights in f32."""
    import openvino as ov

    model = convert(module, size, batch=-1)
    _rename(model)
    for key in list(model.rt_info):
        del model.rt_info[key]
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


def _rename(model: openvino.Model) -> None:
    """By place in the graph: conversion gives names with a counter that runs on through the process."""
    model.set_friendly_name("model")
    for number, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
        for output in node.outputs():
            output.get_tensor().set_names(set())
    model.input(0).get_node().set_friendly_name(INPUT)
    model.input(0).get_tensor().set_names({INPUT})
    model.output(0).get_tensor().set_names({OUTPUT})
    model.output(0).get_node().set_friendly_name(OUTPUT)
