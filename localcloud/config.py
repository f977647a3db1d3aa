"""What one embedded cloud is told at its start."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.errors import CloudError

ACCOUNT_ID = "123456789012"  # moto's default account
REGION = "us-east-1"


@dataclass(frozen=True)
class Image:
    """What stands for a container image: the programs that `docker run IMAGE serve` and `... train` would run."""

    serve: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable  # what "python" and "python3" mean in the commands of a training job


@dataclass(frozen=True)
class Config:
    state_dir: Path
    endpoint_url: str  # of this cloud, http://127.0.0.1:<port>
    images: dict[str, Image] = field(default_factory=dict)  # by ECR repository name
    account_id: str = ACCOUNT_ID
    region: str = REGION
    insecure_url: str = ""  # the same cloud, as if asked without TLS
    scaling_speed: float = 1.0  # how many minutes of scaling, alarms and their metrics pass in one

    def repositories(self, kind: str) -> list[str]:
        """Those that have a "serve" or a "train" command."""
        return sorted(name for name, image in self.images.items() if getattr(image, kind))

    def aws_environment(self) -> dict[str, str]:
        """Environment variables that point an AWS SDK in a child process at this cloud. Credentials are its role's."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


def read_images(path: Path) -> dict[str, Image]:
    """The images file: {"<repository>": {"serve": [argument, ...], "train": [...], "env": {name: value}}}."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CloudError("The images file must be readable.", f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CloudError("The images file must be JSON.", f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise CloudError(
            "The images file must hold an object: images by repository.", type(document).__name__
        )
    return {name: _image(name, entry) for name, entry in document.items()}


def _image(name: str, entry: object) -> Image:
    if not isinstance(entry, dict) or not entry.keys() <= {"serve", "train", "env", "python"}:
        raise CloudError(f'Image "{name}" may hold "serve", "train", "env" and "python" only.', entry)
    if not entry.keys() & {"serve", "train"}:
        raise CloudError(f'Image "{name}" must have "serve" or "train".', entry)
    for kind in entry.keys() & {"serve", "train"}:
        words = entry[kind]
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            rule = f'"{kind}" of image "{name}" must be a list of arguments, the program first.'
            raise CloudError(rule, words)
    env, python = entry.get("env", {}), entry.get("python", sys.executable)
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise CloudError(f'"env" of image "{name}" must be an object of strings.', env)
    if not isinstance(python, str) or not Path(python).is_absolute():
        raise CloudError(f'"python" of image "{name}" must be the absolute path of an interpreter.', python)
    return Image(tuple(entry.get("serve", ())), tuple(entry.get("train", ())), env, python)
