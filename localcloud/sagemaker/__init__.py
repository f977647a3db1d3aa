"""SageMaker: endpoints and jobs that execute. Those that moto would only pretend to run are refused."""

from __future__ import annotations

import shutil

from moto.sagemaker import urls as control_urls
from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime import urls as runtime_urls

from localcloud import gaps, heartbeat
from localcloud.config import Config
from localcloud.sagemaker import capacity
from localcloud.sagemaker.api import SageMaker
from localcloud.sagemaker.backend import Backend
from localcloud.sagemaker.instance import Host
from localcloud.sagemaker.jobs.settings import from_environment
from localcloud.sagemaker.runtime import SageMakerRuntime
from localcloud.sagemaker.usage import Usage


def install(config: Config) -> None:
    for name in ("endpoints", "jobs", "transforms"):
        shutil.rmtree(config.state_dir / name, ignore_errors=True)  # of a cloud that was killed
    Backend.host = Host(config, config.state_dir / "endpoints", capacity.from_environment())
    Backend.jobs_host = Host(config, config.state_dir / "jobs")
    Backend.transform_host = Host(config, config.state_dir / "transforms")
    Backend.jobs_settings = from_environment()
    gaps.replace_backend(sagemaker_backends, Backend, control_urls)
    gaps.replace_responses(control_urls, SageMaker)
    gaps.replace_responses(runtime_urls, SageMakerRuntime)
    heartbeat.every_ten_seconds(Usage().measure)
