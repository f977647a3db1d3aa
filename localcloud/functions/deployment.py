"""What is to be run: an immutable picture of one version of a function."""

from __future__ import annotations

import io
import shutil
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.actors import Actor
from localcloud.functions.settings import ENVIRONMENT_BYTES, UNZIPPED_BYTES

SERVICE = "lambda.amazonaws.com"
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)


@dataclass(frozen=True)
class Deployment:
    account_id: str
    region: str
    name: str
    version: str  # "$LATEST" or a number
    revision: str  # changes with code and configuration
    arn: str  # without qualifier
    runtime: str  # such as python3.12
    handler: str
    role: str
    memory: int  # MB
    timeout: float  # s
    variables: dict[str, str]
    code: bytes = field(repr=False)  # the zip
    logging: dict[str, str]  # as LoggingConfig in the API
    refusal: str | None = None  # why it cannot be run here
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tracing: bool = False

    @property
    def actor(self) -> Actor:
        return Actor(
            self.role, self.account_id, self.region, SERVICE, subnets=self.subnets, groups=self.groups
        )

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.account_id, self.region, self.name, self.version

    @property
    def function(self) -> tuple[str, str, str]:
        return self.account_id, self.region, self.name


def refusal(spec: dict[str, Any]) -> str | None:
    """Why the embedded cloud cannot run a function configured so; the keys are those of GetFunction's answer."""
    missing = []
    if spec.get("PackageType", "Zip") != "Zip":
        missing.append("container images (PackageType Image)")
    elif not str(spec.get("Runtime")).startswith("python3"):
        missing.append(f"the runtime {spec.get('Runtime')} (only python3.x)")
    if spec.get("Layers"):
        missing.append("layers")
    if not missing:
        return None
    return (
        f"The embedded cloud does not implement {' and '.join(missing)}: function {spec.get('FunctionName')}."
    )


def check_code(code: bytes) -> str | None:
    """What AWS finds wrong with a deployment package, in its words."""
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) >= UNZIPPED_BYTES:
                return f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes"
            damaged = archive.testzip() is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        damaged = True  # also an unknown compression method, or a password
    if damaged:
        return "Could not unzip uploaded file. Please check your file, then try to upload again."
    return None


def check_variables(variables: dict[str, str]) -> str | None:
    reserved = sorted(RESERVED_VARIABLES & variables.keys())
    if reserved:
        return (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    if sum(len(name.encode()) + len(value.encode()) for name, value in variables.items()) > ENVIRONMENT_BYTES:
        return (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit."
        )
    return None


def unpack(code: bytes, root: Path) -> None:
    """Lay the package out as Lambda does: everything readable, nothing writable."""
    shutil.rmtree(root, ignore_errors=True)  # of an attempt that failed
    root.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        for entry in archive.infolist():
            path = Path(archive.extract(entry, root))
            if not entry.is_dir():
                path.chmod(0o555 if (entry.external_attr >> 16) & 0o111 else 0o444)
