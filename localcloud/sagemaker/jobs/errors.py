"""Errors of SageMaker that moto does not have."""

from __future__ import annotations

from moto.sagemaker.exceptions import SagemakerClientError


class ResourceLimitExceeded(SagemakerClientError):
    code = "ResourceLimitExceeded"
