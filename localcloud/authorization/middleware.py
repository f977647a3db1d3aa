"""Every request on its way in: who asks, and whether it may."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from localcloud.authorization import (
    callers,
    calls,
    decide,
    mapping,
    network,
    pinned,
    record,
    refusals,
    resource_policies,
    signatures,
    surroundings,
)
from localcloud.authorization.asks import Ask
from localcloud.authorization.callers import Caller, Unknown
from localcloud.authorization.errors import Denied
from localcloud.authorization.mapping import s3
from localcloud.authorization.network import Route, Unreachable

CALLER = "localcloud.caller"  # in the environ of a request that was let in
INSECURE = "localcloud.insecure"  # in that of one that came by the listener without TLS
DECISIONS = "/_localcloud/decisions"

_INVOCATION = re.compile(r"/endpoints/(?P<endpoint>[^/]+)/(?P<async>async-)?invocations")
# Of functions, which `functions.function_urls` answers and nobody else, and the instances' metadata.
_FUNCTION_URL = re.compile(r"/_lambda-url/[0-9a-z]+(/.*)?|/latest/(meta-data|api)/.*", re.DOTALL)
_FUNCTION_HOST = re.compile(r"[0-9a-z]+\.lambda-url\.[0-9a-z-]+\.(localhost|on\.aws)(:\d+)?")
_UNSIGNED = re.compile(rb"(?:^|&)Action=(AssumeRoleWithWebIdentity|AssumeRoleWithSAML)(?:&|$)")
# Only these have resources with policies of their own, which may refuse even root.
_WITH_POLICIES = ("ecr", "kms", "lambda", "s3", "sns", "sqs", "sts")

current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def with_authorization(app: WSGIApplication) -> WSGIApplication:
    """`app`, asked only for what the caller may do."""

    def authorized(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/_localcloud/"):
            return _control(app, environ, start_response)
        service = ""
        try:
            signature = callers.signature_of(environ)
            service = signature.service if signature else ""
            caller = callers.identify(environ)
            if caller.signature is not None:
                signatures.check(environ, caller.signature, caller.secret)
            pinned.pin(environ, caller.signature)
            environ[CALLER] = caller
            if caller.signature is None and (kind := _unsigned(environ)):
                if kind == "refused":
                    return refusals.refuse_credentials(environ, start_response, "unsigned", _guess(environ))
                if kind != "open":
                    pinned.pin_unsigned(environ, kind)
                return app(environ, start_response)
            if not _is_function(environ):
                check(environ, caller)
        except Unknown as error:
            return refusals.refuse_credentials(environ, start_response, error.kind, service)
        except Denied as denied:
            return refusals.refuse(environ, start_response, denied, service)
        token = current.set(caller)
        try:
            return app(environ, start_response)
        finally:
            current.reset(token)

    return authorized


def check(environ: WSGIEnvironment, caller: Caller) -> None:
    """Raises Denied. Says to moto whose resources the request is about."""
    principal, signature = caller.principal, caller.signature
    service, region = (signature.service, signature.region) if signature else ("s3", "us-east-1")
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = principal.account
    if principal.is_root and service not in _WITH_POLICIES:
        return
    invocation = _INVOCATION.fullmatch(environ.get("PATH_INFO", "")) if service == "sagemaker" else None
    if invocation:
        component = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT", "")
        name = "InvokeEndpointAsync" if invocation["async"] else "InvokeEndpoint"
        of_endpoint = _of_invocation(principal.account, region, name, invocation["endpoint"], component)
        _authorize(environ, caller, of_endpoint, region)
        return
    call = calls.read(environ, service, region, principal.account)
    if call is not None and service == "s3" and call.operation in s3.MISTAKEN:
        raise NotImplementedError(call.operation)
    if call is not None and service != "s3":
        environ[pinned.ACTION] = call.operation
    if call is None and principal.is_root and service != "s3":  # whose buckets are reached from every account
        return
    try:
        asks = [] if call is None else mapping.asks_of(call)
    except mapping.Unmapped:
        if principal.is_root and call is not None and _is_own(call):
            return
        asks = []
    if call is None or not asks:
        raise _unmapped(caller, service, call.operation if call else f"{environ['REQUEST_METHOD']} request")
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = _owner(call, asks, principal.account)
    _authorize(environ, caller, asks, region)
    if call.operation in ("GetObject", "HeadObject") and call.prefix == "s3":
        _missing_object(environ, caller, call, region)


def may(environ: WSGIEnvironment, ask: Ask) -> bool:
    """Whether the caller of a request that was let in may do this, too."""
    caller: Caller = environ[CALLER]
    region = caller.signature.region if caller.signature else "us-east-1"
    try:
        _authorize(environ, caller, [ask], region)
    except Denied:
        return False
    return True


def demand(caller: Caller, call: calls.Call, via: str) -> None:
    """What a service does in the caller's name. Raises Denied."""
    for ask in mapping.asks_of(call):
        in_its_name = replace(
            ask, context={**ask.context, "aws:calledvia": [via], "aws:viaawsservice": ["true"]}
        )
        known = surroundings.context(
            caller.principal, in_its_name, region=call.region, session=caller.session
        )
        decide.authorize(caller.principal, in_its_name, known, session=caller.session, source=via)


def _authorize(environ: WSGIEnvironment, caller: Caller, asks: Iterable[Ask], region: str) -> None:
    session = caller.session
    route = _route(environ, caller, region)
    for ask in asks:
        if ask.action in ("sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"):
            continue  # it is the identity provider's word that counts, see `sts`
        known = surroundings.context(
            caller.principal,
            ask,
            region=region,
            secure=INSECURE not in environ,
            session=session,
            route=route,
            address=environ.get("REMOTE_ADDR", "127.0.0.1"),
            agent=environ.get("HTTP_USER_AGENT", ""),
        )
        source = session.source.service if session and session.source else ""
        # What the service does in turn, it does from where it is.
        way = None if ask.action.startswith(("kms:", "iam:")) else route
        decide.authorize(caller.principal, ask, known, session=session, route=way, source=source)


def _route(environ: WSGIEnvironment, caller: Caller, region: str) -> Route | None:
    session = caller.session
    if session is None or session.source is None or caller.signature is None:
        return None
    service = caller.signature.service
    if service == "sagemaker":
        asked = _INVOCATION.fullmatch(environ.get("PATH_INFO", ""))
        service = "sagemaker.runtime" if asked else "sagemaker.api"
    try:
        return network.route(session.source, service, caller.principal.account, region)
    except Unreachable as error:
        raise Denied(str(error), "UnreachableEndpoint", 400) from error


@lru_cache(maxsize=256)
def _of_invocation(
    account: str, region: str, operation: str, endpoint: str, component: str
) -> tuple[Ask, ...]:
    return tuple(mapping.invocation(account, region, operation, endpoint, component))


def _missing_object(environ: WSGIEnvironment, caller: Caller, call: calls.Call, region: str) -> None:
    """Whoever may not list a bucket does not learn what is not in it."""
    bucket = str(call.params["Bucket"])
    if not s3.exists(bucket, str(call.params["Key"])) and not caller.principal.is_root:
        _authorize(environ, caller, [Ask("s3:ListBucket", f"arn:aws:s3:::{bucket}")], region)


def _owner(call: calls.Call, asks: list[Ask], account: str) -> str:
    """The account whose resource it is: what policies on both sides allow is reached in the other account."""
    if call.prefix in ("sts", "iam") or call.operation in ("CreateBucket", "ListBuckets"):
        return account
    return resource_policies.owner(asks[0].resource) or account


def _is_own(call: calls.Call) -> bool:
    bucket = call.params.get("Bucket") if call.prefix == "s3" else None
    return bucket is None or resource_policies.owner(f"arn:aws:s3:::{bucket}") in ("", call.account)


def _unmapped(caller: Caller, service: str, operation: str) -> Denied:
    return Denied(
        f"User: {caller.principal.arn} is not authorized to perform: {service}:{operation} on resource: * because the "
        f"embedded cloud does not know which rights {operation} takes; only root may ask for it"
    )


def _is_function(environ: WSGIEnvironment) -> bool:
    found = _FUNCTION_URL.fullmatch(environ.get("PATH_INFO", "/"))
    return (found or _FUNCTION_HOST.fullmatch(environ.get("HTTP_HOST", ""))) is not None


def _unsigned(environ: WSGIEnvironment) -> str:
    """What an unsigned request is: "open" for a function URL or the like, the action of STS, "refused", "" for S3."""
    if _is_function(environ):
        return "open"
    path = environ.get("PATH_INFO", "/")
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    asked = calls.body(environ) if form else environ.get("QUERY_STRING", "").encode()
    action = _UNSIGNED.search(asked)
    if action and path == "/":
        return action[1].decode()
    return "refused" if "HTTP_X_AMZ_TARGET" in environ or (form and path == "/") else ""


def _guess(environ: WSGIEnvironment) -> str:
    return "json" if "HTTP_X_AMZ_TARGET" in environ else "query"


def _control(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    if environ.get("PATH_INFO") != DECISIONS:
        return app(environ, start_response)
    try:
        caller = callers.identify(
            environ
        )  # the signature does not count: the route is nobody's but this machine's
    except Unknown as error:
        return refusals.refuse_credentials(environ, start_response, error.kind, "localcloud")
    if not caller.principal.is_root:
        return refusals.refuse_credentials(environ, start_response, "unsigned", "localcloud")
    body = json.dumps(record.entries()).encode()
    if environ["REQUEST_METHOD"] == "DELETE":
        record.clear()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"200 {HTTPStatus.OK.phrase}", headers)
    return [body]
