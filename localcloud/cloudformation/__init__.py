"""CloudFormation: stacks of what SageMaker needs to scale to zero, made for real; other types are refused."""

from __future__ import annotations

from moto.cloudformation import parsing, urls
from moto.cloudformation.models import Event, cloudformation_backends

from localcloud import gaps
from localcloud.cloudformation.api import CloudFormation
from localcloud.cloudformation.backend import Backend
from localcloud.cloudformation.resources import TYPES
from localcloud.cloudformation.stack import Stack
from localcloud.config import Config


def install(_: Config) -> None:
    parsing.get_model_map().update(TYPES)
    gaps.replace_backend(cloudformation_backends, Backend, urls)
    gaps.replace_responses(urls, CloudFormation)
    gaps.forget_instances(Event, Stack, *TYPES.values())
