"""SageMaker: endpoints that execute. Jobs, which moto only pretends to run, are refused."""

from __future__ import annotations

import shutil

from moto.sagemaker import urls as control_urls
from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime import urls as runtime_urls

from localcloud import gaps
from localcloud.config import Config
from localcloud.sagemaker.api import SageMaker
from localcloud.sagemaker.backend import Backend
from localcloud.sagemaker.instance import Host
from localcloud.sagemaker.runtime import SageMakerRuntime


def install(config: Config) -> None:
    folder = config.state_dir / "endpoints"
    shutil.rmtree(folder, ignore_errors=True)  # of a cloud that was killed
    Backend.host = Host(config, folder)
    gaps.replace_backend(sagemaker_backends, Backend, control_urls)
    gaps.replace_responses(control_urls, SageMaker)
    gaps.replace_responses(runtime_urls, SageMakerRuntime)
