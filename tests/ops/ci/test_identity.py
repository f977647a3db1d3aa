from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops.ci import identity
from ops.ci.run import Run

ROLE = "arn:aws:iam::123456789012:role/kennel-ci-dev-apply"
RUN = Run("gitlab", "", "42", "c" * 40, None, None, "", "", ROLE, identity_token="a-jwt")
GIVEN = {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}


def assume(
    answer: Any, monkeypatch: pytest.MonkeyPatch, task: str = "apply", run: Run = RUN
) -> dict[str, Any]:
    """Return what STS was asked for."""
    asked: dict[str, Any] = {}

    def call(**arguments: Any) -> Any:
        asked.update(arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(boto3, "client", lambda *_, **__: SimpleNamespace(assume_role_with_web_identity=call))
    stage: Any = SimpleNamespace(name="dev", region="us-east-1", environment={}, seen_by=lambda given: given)
    identity.assume(stage, run, task)
    return asked


def refused(code: str, status: int, message: str = "no") -> ClientError:
    metadata = {"HTTPStatusCode": status}
    told: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return ClientError(told, "AssumeRoleWithWebIdentity")


@pytest.mark.parametrize(("task", "seconds"), [("plan", 3600), ("apply", 10_800), ("look", 3600)])
def test_a_session_is_of_the_role_and_as_long_as_the_task_needs(
    task: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = assume({"Credentials": GIVEN}, monkeypatch, task)
    assert (asked["RoleArn"], asked["DurationSeconds"]) == (ROLE, seconds)
    assert asked["WebIdentityToken"] == "a-jwt"


def test_a_role_that_does_not_trust_the_run_is_told_with_where_its_trust_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(KennelError, match=r"(?s)trusts this pipeline.*AccessDenied.*dev\.ci\.tfvars"):
        assume(refused("AccessDenied", 403), monkeypatch)


def test_a_role_whose_sessions_are_too_short_is_told_as_one_that_does_not_apply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STS words it so."""
    said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    with pytest.raises(KennelError, match=r"(?s)as long as its job.*MaxSession.*the role that applies"):
        assume(refused("ValidationError", 400, said), monkeypatch)


def test_a_cloud_that_has_a_bad_moment_says_nothing_about_the_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KennelError, match="bad moment"):
        assume(refused("Throttling", 400), monkeypatch)


def test_without_a_role_or_a_token_the_setup_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KennelError, match=r"\./inv ci\.setup --stage dev"):
        assume({}, monkeypatch, run=Run("gitlab", "", "42", "c", None, None, "", "", None))
    with pytest.raises(KennelError, match="id-token: write"):
        assume({}, monkeypatch, run=Run("github", "", "o/n", "c", None, None, "", "", ROLE))
