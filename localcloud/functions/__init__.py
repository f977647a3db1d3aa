"""Lambda functions that run: the deployed zip, in processes of AWS's own runtime client.

What is there: synchronous and asynchronous invocation with destinations (queues, topics), versions, aliases with
weights, function URLs, reserved and provisioned concurrency, time and memory limits, logs, metrics and traces, network
interfaces in a VPC. What is not (other runtimes than Python, container images, layers, response streaming, SnapStart)
is refused with an error that names it. There is no isolation from this machine: a function sees its file system and
network, with a task root and TMPDIR of its own.
"""

from __future__ import annotations

from localcloud.config import Config
from localcloud.functions.function_urls import WSGI, serve_urls
from localcloud.functions.settings import Settings, from_environment

__all__ = ["install", "with_function_urls"]


def install(config: Config, settings: Settings | None = None) -> None:
    """Put our classes in the place of moto's. Call once, before the first request."""
    from moto.awslambda import urls
    from moto.awslambda.models import lambda_backends

    from localcloud.functions.backend import ExecutingLambdaBackend
    from localcloud.functions.engine import Engine
    from localcloud.functions.responses import MORE_PATHS, ExecutingLambdaResponse
    from localcloud.gaps import replace_backend, replace_responses

    work_dir = config.state_dir / "functions"
    ExecutingLambdaBackend.engine = Engine(settings or from_environment(), work_dir, config.endpoint_url)
    replace_backend(lambda_backends, ExecutingLambdaBackend, urls)
    replace_responses(urls, ExecutingLambdaResponse)
    for path in MORE_PATHS:
        urls.url_paths[path] = ExecutingLambdaResponse.dispatch


def with_function_urls(app: WSGI) -> WSGI:
    """`app`, with requests for function URLs answered before it sees them."""
    from moto.awslambda.models import lambda_backends

    def backends() -> list[object]:
        return [backend for account in list(lambda_backends.values()) for backend in list(account.values())]

    return serve_urls(app, backends)
