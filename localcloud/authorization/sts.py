"""STS: sessions of roles and users, for whom the role's trust policy lets in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sts import urls
from moto.sts.responses import TokenResponse

from localcloud import gaps
from localcloud.authorization import callers, decide, documents, principals, sessions, web_identity
from localcloud.authorization.asks import Ask
from localcloud.authorization.callers import Caller, Signature, Unknown
from localcloud.authorization.errors import Denied
from localcloud.authorization.middleware import current
from localcloud.authorization.principals import Principal, Session
from localcloud.authorization.surroundings import context
from localcloud.config import Config

_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_CHAINED = 3600  # s a role's session may be that was taken on by a role


class Refused(ServiceException):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Sts(TokenResponse):
    def assume_role(self) -> ActionResult:
        """The caller's right and the role's trust have been judged before the request came here."""
        caller = _caller()
        if caller.principal.is_root:
            raise Refused("AccessDenied", "Roles may not be assumed by root accounts.", 403)
        arn = str(self._get_param("RoleArn"))
        chained = caller.principal.kind == "role"
        session = self._session(arn, source=caller.session, chained=chained)
        return ActionResult(_answer(session))

    def assume_role_with_web_identity(self) -> ActionResult:
        arn = str(self._get_param("RoleArn"))
        account = arn.split(":")[4] if arn.count(":") >= 5 else ""
        try:
            identity = web_identity.read(str(self._get_param("WebIdentityToken")), account)
            ask = Ask("sts:AssumeRoleWithWebIdentity", arn, identity.keys)
            known = context(identity.principal, ask, region=self.region)
            decide.authorize(identity.principal, ask, known, source="web identity")
        except web_identity.Invalid as error:
            raise Refused(error.code, str(error)) from error
        except Denied as denied:
            raise Refused(
                "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403
            ) from denied
        session = self._session(arn, provider=identity.provider)
        answer = _answer(session)
        answer |= {
            "SubjectFromWebIdentityToken": identity.subject,
            "Provider": identity.provider,
            "Audience": identity.audience,
        }
        return ActionResult(answer)

    def assume_role_with_saml(self) -> ActionResult:
        raise NotImplementedError("AssumeRoleWithSAML")

    def get_federation_token(self) -> ActionResult:
        raise NotImplementedError("GetFederationToken")

    def get_session_token(self) -> ActionResult:
        principal = _caller().principal
        if _caller().session is not None:
            raise Refused("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        session = sessions.create(principal, self._get_int_param("DurationSeconds", 43_200))
        return ActionResult({"Credentials": _credentials(session)})

    def get_caller_identity(self) -> ActionResult:
        principal = _caller().principal
        return ActionResult({"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn})

    def get_access_key_info(self) -> ActionResult:
        key = str(self._get_param("AccessKeyId"))
        account = sessions.account_of(key)
        try:
            account = account or callers.owner(Signature(key, "", "", "", (), "")).principal.account
        except Unknown:
            raise Refused(
                "InvalidClientTokenId", "The security token included in the request is invalid.", 403
            ) from None
        return ActionResult({"Account": account})

    def _session(
        self, arn: str, *, source: Session | None = None, chained: bool = False, provider: str = ""
    ) -> Session:
        name = str(self._get_param("RoleSessionName") or "")
        if _NAME.fullmatch(name) is None:
            raise Refused(
                "ValidationError",
                f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [\\w+=,.@-]* and have length between 2 and 64",
            )
        role: Any = documents.role_of(arn)
        seconds = self._get_int_param("DurationSeconds", 3600)
        if chained and seconds > _CHAINED:
            message = (
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
            )
            raise Refused("ValidationError", message + "chaining")
        if not 900 <= seconds <= int(role.max_session_duration or 3600):
            raise Refused(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        tags = {one["Key"]: one["Value"] for one in self.params.get("Tags") or []}
        principal = principals.role_session(role.arn, role.id, name)
        return sessions.create(
            principal,
            seconds,
            policies=self._policies(principal),
            tags=tags,
            source=source.source if source else None,
            identity_provider=provider,
        )

    def _policies(self, principal: Principal) -> tuple[str, ...]:
        found = [self.params["Policy"]] if self.params.get("Policy") else []
        for one in self.params.get("PolicyArns") or []:
            found.append(documents.by_arn(principal.account, one["arn"]))
        for document in found:
            try:
                documents.statements("session", document)
            except ValueError:
                message = "The policy is not in the valid JSON format."
                raise Refused("MalformedPolicyDocument", message) from None
        # Several narrow a session together, as one policy of all their statements.
        return (documents.merged(found),) if found else ()


def _caller() -> Caller:
    caller = current.get()
    if caller is None:
        raise Refused("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    return caller


def _answer(session: Session) -> dict[str, Any]:
    principal = session.principal
    return {
        "Credentials": _credentials(session),
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
        "PackedPolicySize": 6,
    }


def _credentials(session: Session) -> dict[str, Any]:
    return {
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": datetime.fromtimestamp(session.expires, UTC),
    }


def install(_: Config) -> None:
    gaps.replace_responses(urls, Sts)
