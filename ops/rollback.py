"""Going back to an earlier model: which one, its archive, and what to say of an update that went back by itself."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ml.artifact import sha256_of
from ml.errors import KennelError
from ops import artifacts, fleet
from ops.artifacts import Model
from ops.fleet import Fleet
from ops.stage import Stage


class RolledBackError(KennelError):
    """SageMaker undid an update: the endpoint is in service, with what it served before."""


def target(outputs: dict[str, Any], chosen: Model | None, to: str | None) -> Model:
    """Return the model to go back to: the named one, or the one before the one that serves.

    Where the stage's model is not the one that serves, because its update was rolled back, that is the one that serves.

    Raises:
        KennelError: there is none, or several are meant.
    """
    deployed, earlier = artifacts.deployed(outputs), artifacts.earlier(outputs)
    if deployed is None:
        raise KennelError(
            "A rollback needs a deployed model.", "nothing is deployed", "./inv up, or ./inv train and apply."
        )
    known = [deployed, *earlier]
    if to is not None:
        found = [m for m in known if m.name == to or (len(to) >= 4 and m.sha256.startswith(to))]
        if len(found) == 1:
            return found[0]
        raise KennelError(
            "--to names one of the models in the artifact bucket, by its name or by the first digits of its SHA-256, "
            "four at least.",
            to,
            "There are: " + ", ".join(map(str, known)),
        )
    if chosen is not None and chosen.sha256 != deployed.sha256:
        return deployed
    if not earlier:
        raise KennelError(
            "A rollback goes to the model that served before.",
            f"{deployed} is the only one that was deployed here",
            "Train another model (./inv train), or name an archive in the stage's model file.",
        )
    return earlier[0]


def fetch(stage: Stage, bucket: str, model: Model) -> bool:
    """Bring the archive from the bucket to this machine, where it is not; return whether it is there.

    Raises:
        KennelError: what the bucket holds is not that archive.
    """
    if model.archive.is_file():
        return True
    fresh = model.archive.with_suffix(".fetched")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    try:
        stage.client("s3").download_file(bucket, f"models/{model.sha256}/model.tar.gz", str(fresh))
    except ClientError as error:
        fresh.unlink(missing_ok=True)
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return False
        raise
    received = sha256_of(fresh)
    if received != model.sha256:
        fresh.unlink()
        raise KennelError(
            "An archive in the bucket has the digest of its address.",
            f"{received} at models/{model.sha256}/model.tar.gz",
            "Somebody has replaced it: go back to another model, or train again.",
        )
    fresh.replace(model.archive)
    return True


def undone(stage: Stage, outputs: dict[str, Any], live: Fleet) -> RolledBackError:
    """Return the error that tells of an update which SageMaker rolled back."""
    digest = fleet.served_digest(stage, live)
    known = [model for model in (artifacts.deployed(outputs), *artifacts.earlier(outputs)) if model]
    serving = next((str(model) for model in known if model.sha256 == digest), f"archive {digest}")
    flag = "" if stage.name == "local" else f" --stage {stage.name}"
    return RolledBackError(
        f"The update of the endpoint {live.endpoint} was rolled back. It serves {serving}, as before, with "
        f"{live.wanted} {'instance' if live.wanted == 1 else 'instances'}.",
        live.reason or f"no reason given; it runs {live.config}",
        f"{_cure(live.reason or '', live.endpoint, flag)}\nThen ./inv apply{flag} tries the new model again; "
        f"./inv rollback{flag} stays with the model that serves. Nothing is lost: both configurations are kept.",
    )


def _cure(reason: str, endpoint: str, flag: str) -> str:
    lowered = reason.lower()
    if "alarm" in lowered:
        return (
            f"./inv console{flag} shows the alarms and their reasons. One that rang before the update undoes every "
            "update: raise its threshold in observability.endpoint_alarms until the endpoint is repaired."
        )
    if "capacity" in lowered or "limit" in lowered:
        return "AWS had not the instances: wait a while, or choose another endpoint.instance_type."
    return f"The log group /aws/sagemaker/Endpoints/{endpoint} says what its containers said."
