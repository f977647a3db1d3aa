"""What CreateTransformJob takes: AWS's rules beyond the shapes, its defaults, and what is not implemented here."""

from __future__ import annotations

import copy
from typing import Any

from moto.sagemaker.exceptions import ValidationError

from localcloud.sagemaker.jobs import members, shapes
from localcloud.sagemaker.jobs.storage import Location

MAX_PAYLOAD_MB = 100  # of a request, and of all that are under way to an instance
STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}  # as containers call them
_NOT_IMPLEMENTED = (
    "DataCaptureConfig",
    "ExperimentConfig",
    "DataProcessing.InputFilter",
    "DataProcessing.OutputFilter",
    "TransformResources.TransformAmiVersion",
)
_NOT_CARRIED_OUT = ("TransformOutput.KmsKeyId", "TransformResources.VolumeKmsKeyId")
_TAKEN = {
    "TransformInput.DataSource.S3DataSource.S3DataType": ("S3Prefix", "ManifestFile"),
    "TransformInput.CompressionType": ("None",),
    "TransformInput.SplitType": ("None", "Line"),
    "DataProcessing.JoinSource": ("None",),
}


def complete(given: dict[str, Any], account_id: str) -> dict[str, Any]:
    """The request with AWS's defaults.

    Raises:
        ValidationError: AWS refuses it.
        NotImplementedError: AWS takes it, and nothing here carries it out.
    """
    shapes.check("CreateTransformJob", given)
    request = copy.deepcopy({name: value for name, value in given.items() if value is not None})
    members.refuse("CreateTransformJob", request, _NOT_IMPLEMENTED)
    for path, taken in _TAKEN.items():
        value = members.at(request, path)
        if value is not None and value not in taken:
            raise NotImplementedError(f"CreateTransformJob with {path} {value}")
    payload, concurrent = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if payload is not None and payload > MAX_PAYLOAD_MB:
        raise ValidationError(
            f"MaxPayloadInMB must be less than or equal to {MAX_PAYLOAD_MB} MB, received {payload}."
        )
    if (payload or 0) * (concurrent or 0) > MAX_PAYLOAD_MB:
        raise ValidationError(
            f"The product of MaxConcurrentTransforms ({concurrent}) and MaxPayloadInMB ({payload}) must be less "
            f"than or equal to {MAX_PAYLOAD_MB} MB."
        )
    Location.of(request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"], account_id)
    Location.of(request["TransformOutput"]["S3OutputPath"], account_id)
    members.warn("CreateTransformJob", request, _NOT_CARRIED_OUT)
    return request
