"""A run's credentials: the token with which the forge vouches for the run, exchanged for a session of a role.

They live in the process of the task and its children alone: no other step of the job has them, and no secret is stored.
"""

from __future__ import annotations

import urllib.parse

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from ml.errors import KennelError
from ops import outage
from ops.ci.http import Api
from ops.ci.run import AUDIENCE, Run
from ops.stage import Credentials, Stage

SECONDS = {
    "plan": 3600,
    "verify": 3600,
    "apply": 3 * 3600,
}  # what the job of each may take; of others an hour


def assume(stage: Stage, run: Run, task: str) -> Stage:
    """Return the stage as the run's role sees it.

    Raises:
        KennelError: there is no role or no token, or AWS does not accept the two.
    """
    if run.role is None:
        raise KennelError(
            "KENNEL_ROLE_ARN names the role that a pipeline takes on.",
            "it is not set",
            f"./inv ci.setup --stage {stage.name} makes the roles and prints where their names go.",
        )
    sts = boto3.client(
        "sts",
        region_name=stage.region,
        endpoint_url=stage.environment.get("AWS_ENDPOINT_URL"),
        config=Config(signature_version=UNSIGNED, retries={"mode": "standard", "total_max_attempts": 4}),
    )
    try:
        answer = sts.assume_role_with_web_identity(
            RoleArn=run.role,
            RoleSessionName=f"{task}-{run.commit[:12]}",
            WebIdentityToken=_token(run),
            DurationSeconds=SECONDS.get(task, 3600),
        )
    except ClientError as error:
        if outage.is_passing(error):
            raise outage.told(error) from error
        said = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        if "DurationSeconds" in said:
            raise KennelError(
                f"A session of {run.role} lasts as long as its job may.",
                said,
                f"Name the role that applies, not the one that plans; ./inv ci.setup --stage {stage.name} renews both.",
            ) from error
        raise KennelError(
            f"The role {run.role} trusts this pipeline.",
            said,
            "Its trust names the repository, the branch and the environment: compare terraform/stages/"
            f"{stage.name}.ci.tfvars with where this runs, then ./inv ci.setup --stage {stage.name}.",
        ) from error
    given = answer["Credentials"]
    return stage.seen_by(Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]))


def _token(run: Run) -> str:
    if run.identity_token is not None:
        return run.identity_token
    if run.identity_address is None or run.identity_secret is None:
        raise KennelError(
            "The forge vouches for the run with an identity token.",
            "this job gets none",
            "On GitHub the job needs `permissions: id-token: write`, and a fork's pull request never has it; "
            "on GitLab it needs `id_tokens:` with KENNEL_ID_TOKEN.",
        )
    address = urllib.parse.urlsplit(run.identity_address)
    api = Api(f"{address.scheme}://{address.netloc}", {"Authorization": f"Bearer {run.identity_secret}"})
    query = f"{address.query}&" if address.query else ""
    answer = api.call("GET", f"{address.path}?{query}audience={AUDIENCE}")
    return str(answer["value"])
