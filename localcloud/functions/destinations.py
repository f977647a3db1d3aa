"""Where the outcome of an asynchronous invocation goes: a queue or a topic, in the name of the function's role."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from localcloud.actors import Actor
from localcloud.authorization import Denied
from localcloud.functions import metrics
from localcloud.functions.deployment import Deployment
from localcloud.functions.errors import InvalidParameterValue, NotImplementedHere
from localcloud.functions.logs import timestamp
from localcloud.functions.sandbox import Outcome

log = logging.getLogger(__name__)

_ACTIONS = {"sqs": "SendMessage", "sns": "Publish"}


@dataclass(frozen=True)
class Destinations:
    """ARNs; "": none."""

    on_success: str = ""
    on_failure: str = ""

    @classmethod
    def of(cls, config: dict[str, Any] | None) -> Destinations:
        """From DestinationConfig."""
        named = {kind: (entry or {}).get("Destination") or "" for kind, entry in (config or {}).items()}
        return cls(named.get("OnSuccess", ""), named.get("OnFailure", ""))

    def check(self, deployment: Deployment) -> None:
        """Lambda asks beforehand whether the function's role may. Raises ServiceError."""
        for arn in filter(None, (self.on_success, self.on_failure)):
            service = arn.split(":")[2]
            if service not in _ACTIONS:
                raise NotImplementedHere(
                    f"The embedded cloud does not implement destinations other than queues and topics: {arn}"
                )
            if not deployment.actor.may(f"{service}:{_ACTIONS[service]}", arn):
                raise InvalidParameterValue(
                    f"The function's execution role does not have permissions to call {_ACTIONS[service]} on {arn}"
                )

    def tell(self, deployment: Deployment, outcome: Outcome, tries: int, payload: bytes) -> None:
        """What is denied is counted and lost, as on AWS."""
        arn = self.on_failure if outcome.failed else self.on_success
        if not arn:
            return
        record = _record(deployment, outcome, tries, payload)
        try:
            _send(deployment.actor, arn, record)
        except (Denied, LookupError) as error:
            log.warning("no record of an invocation of %s at %s: %s", deployment.name, arn, error)
            metrics.undelivered(deployment.function)


def _send(actor: Actor, arn: str, record: str) -> None:
    _, _, service, region, account, name = arn.split(":")
    actor.check(f"{service}:{_ACTIONS[service]}", arn)
    if service == "sqs":
        sqs_backends[account][region].send_message(sqs_backends[account][region].queues[name].name, record)
    else:
        sns_backends[account][region].publish(record, arn=arn)


def _record(deployment: Deployment, outcome: Outcome, tries: int, payload: bytes) -> str:
    error = {"functionError": "Unhandled"} if outcome.failed else {}
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": timestamp(),
            "requestContext": {
                "requestId": outcome.request_id,
                "functionArn": f"{deployment.arn}:{deployment.version}",
                "condition": "RetriesExhausted" if outcome.failed else "Success",
                "approximateInvokeCount": tries,
            },
            "requestPayload": json.loads(payload or b"{}"),
            "responseContext": {"statusCode": 200, "executedVersion": deployment.version, **error},
            "responsePayload": json.loads(outcome.payload or b"null"),
        }
    )
