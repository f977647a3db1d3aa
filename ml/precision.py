"""The numbers that features are computed in: f32, bf16 or int8."""

from __future__ import annotations

import copy
import functools
import importlib.util
import platform
from typing import Literal, cast, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from ml.errors import KennelError
from ml.serving.processors import BF16, cpuinfo, processor_flags
from ml.weights import LoadedBackbone

Precision = Literal["f32", "bf16", "int8"]

# Instructions of the processor, any of which makes a precision fast.
_FAST = {"bf16": BF16, "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})}

_QUANTIZERS = ("openvino", "nncf")

# From so many multiplications on, in 10^9 over all photos, int8 is worth its quantization. With ResNet-50 on two cores
# that takes about 5 s, and each 10^9 about 1 ms less than in bf16 and 3 ms less than in f32: even at 1,500 to 4,500.
# Views, trials and later runs use the same graph again.
INT8_PAYS = 3000


def resolve_precision(precision: str, backbone: LoadedBackbone, photos: int) -> Precision:
    """What "auto" means for so many photos: by rule, never by a stopwatch, so that runs repeat to the bit."""
    if precision == "auto":
        if torch.cuda.is_available():
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
        if fast("int8") and can_quantize() and photos * giga_macs(backbone) >= INT8_PAYS:
            return "int8"
        return "bf16" if fast("bf16") else "f32"
    if precision not in get_args(Precision):
        raise KennelError(
            f"precision must be one of auto, {', '.join(get_args(Precision))}", repr(precision), "use auto"
        )
    if precision == "int8" and (torch.cuda.is_available() or not can_quantize()):
        raise KennelError(
            "int8 features are computed by OpenVINO and NNCF, on a processor",
            "a CUDA device" if torch.cuda.is_available() else "they are not installed",
            "use precision=auto, bf16 or f32",
        )
    if precision == "bf16" and not torch.cuda.is_available() and not fast("bf16"):
        raise KennelError(
            "bf16 needs a processor that computes in it", "one that does not", "use precision=auto or f32"
        )
    return cast(Precision, precision)


def can_quantize() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _QUANTIZERS)


def giga_macs(backbone: LoadedBackbone) -> float:
    """Multiplications a photo, in 10^9."""
    module, side = copy.deepcopy(backbone.module).to("meta"), backbone.preprocessing.crop
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.empty(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops()) / 2e9


def fast(precision: str) -> bool:
    return not _FAST[precision].isdisjoint(processor_flags())


@functools.cache
def processor_name() -> str:
    return cpuinfo("model name") or platform.processor() or platform.machine()
