"""Refusals as each service words them: codes, states and messages by protocol."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from localcloud import wire
from localcloud.authorization.errors import Denied

_INVALID = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_UNSIGNED_HEADERS = (
    "'Host' or an 'x-amz-' header of the request must be a 'SignedHeader' in the AWS Authorization."
)
# What is wrong: for S3, for EC2, for query, for JSON. Code, status, message.
_CREDENTIALS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "key": (
        ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
        ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        ("InvalidClientTokenId", 403, _INVALID),
        ("UnrecognizedClientException", 403, _INVALID),
    ),
    "token": (
        ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
        ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        ("InvalidClientTokenId", 403, _INVALID),
        ("UnrecognizedClientException", 403, _INVALID),
    ),
    "expired": (
        ("ExpiredToken", 400, "The provided token has expired."),
        ("RequestExpired", 400, "Request has expired."),
        ("ExpiredToken", 403, "The security token included in the request is expired"),
        ("ExpiredTokenException", 403, "The security token included in the request is expired"),
    ),
    "signature": (
        (
            "SignatureDoesNotMatch",
            403,
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method.",
        ),
        ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        ("SignatureDoesNotMatch", 403, _MISMATCH),
        ("InvalidSignatureException", 403, _MISMATCH),
    ),
    "headers": (
        ("AccessDenied", 403, "There were headers present in the request which were not signed"),
        ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        ("SignatureDoesNotMatch", 403, _UNSIGNED_HEADERS),
        ("InvalidSignatureException", 403, _UNSIGNED_HEADERS),
    ),
    "skew": (
        (
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
        ),
        ("RequestExpired", 400, "Request has expired."),
        (
            "SignatureDoesNotMatch",
            403,
            "Signature expired or not yet current: the request is five minutes off.",
        ),
        (
            "InvalidSignatureException",
            403,
            "Signature expired or not yet current: the request is five minutes off.",
        ),
    ),
    "content": (
        (
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
    )
    * 4,
    "past": (("AccessDenied", 403, "Request has expired"),) * 4,
    "version 2": (
        (
            "InvalidRequest",
            400,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ),
    )
    * 4,
    "malformed": (
        ("AuthorizationHeaderMalformed", 400, "The authorization header that you provided is not valid."),
        ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        ("IncompleteSignature", 400, "The request signature does not conform to AWS standards."),
        ("IncompleteSignatureException", 400, "The request signature does not conform to AWS standards."),
    ),
    "unsigned": (
        ("AccessDenied", 403, "Access Denied"),
        ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        ("MissingAuthenticationTokenException", 403, "Missing Authentication Token"),
    ),
}


def refuse_credentials(
    environ: WSGIEnvironment, start_response: StartResponse, kind: str, service: str
) -> Iterable[bytes]:
    code, status, message = _CREDENTIALS[kind][_protocol(environ, service)]
    return wire.error_response(environ, start_response, status, code, message, service or "s3")


def refuse(
    environ: WSGIEnvironment, start_response: StartResponse, denied: Denied, service: str
) -> Iterable[bytes]:
    code, status, message = denied.code, denied.status, denied.message
    protocol = _protocol(environ, service)
    if code == "AccessDenied":
        if protocol == 1:
            code = "UnauthorizedOperation"
            message = f"You are not authorized to perform this operation. {message}"
        elif protocol == 3:
            code = "AccessDeniedException"
            status = 400 if "HTTP_X_AMZ_TARGET" in environ else 403
    return wire.error_response(environ, start_response, status, code, message, service or "s3")


def _protocol(environ: WSGIEnvironment, service: str) -> int:
    if service in ("s3", ""):
        return 0
    if service == "ec2":
        return 1
    if "HTTP_X_AMZ_TARGET" in environ or environ.get("PATH_INFO") != "/":
        return 3
    return 2
