"""Tokens of OpenID Connect providers, such as those of a pull request's workflow.

The signature is checked where the issuer is on the loopback interface, from where its keys can be had. Of any other
issuer it is not: this cloud asks nobody outside the machine.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from moto.iam.models import iam_backends

from localcloud.authorization.principals import Principal

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TIMEOUT = 5  # s


class Invalid(Exception):
    def __init__(self, message: str, code: str = "InvalidIdentityToken") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Identity:
    principal: Principal  # the provider, as a trust policy names it
    provider: str  # its ARN
    subject: str
    audience: str
    keys: dict[str, list[str]]  # of conditions: <issuer>:sub and its like


def read(token: str, account: str) -> Identity:
    """Raises Invalid."""
    parts = token.split(".")
    try:
        claims = json.loads(_decoded(parts[1]))
        issuer, subject = str(claims["iss"]), str(claims["sub"])
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        expires = float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise Invalid("The ID Token provided is not a valid JWT.") from error
    name = issuer.split("://", 1)[-1].rstrip("/")
    provider = _provider(name, account)
    if provider is None:
        raise Invalid(f"No OpenIDConnect provider found in your account for {issuer}")
    audience = str(claims.get("azp") or audiences[0])
    if audience not in provider.client_id_list:
        raise Invalid("Incorrect token audience")
    now = time.time()
    if now >= expires:
        raise Invalid(
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {int(expires)}",
            "ExpiredTokenException",
        )
    if urlparse(f"//{name}").hostname in _LOOPBACK:  # an issuer without a scheme is the same to a provider
        _verify(issuer, parts)
    keys = {f"{name}:{key}".lower(): [str(value)] for key, value in claims.items() if isinstance(value, str)}
    keys[f"{name}:aud".lower()] = [audience]
    principal = Principal("federated", account, provider.arn, subject)
    return Identity(principal, provider.arn, subject, audience, keys)


def _provider(name: str, account: str) -> Any:
    providers: Any = iam_backends[account]["aws"].open_id_providers if account else {}
    return next((one for one in list(providers.values()) if one.url.rstrip("/") == name), None)


def _verify(issuer: str, parts: list[str]) -> None:
    try:
        header = json.loads(_decoded(parts[0]))
        jwks = _fetch(_fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")["jwks_uri"])
        key = next(one for one in jwks["keys"] if one.get("kid") == header.get("kid"))
        public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
        signed = f"{parts[0]}.{parts[1]}".encode()
        public.verify(_decoded(parts[2]), signed, padding.PKCS1v15(), hashes.SHA256())
    except (OSError, ValueError, KeyError, IndexError, StopIteration) as error:
        message = "Couldn't retrieve verification key from your identity provider"
        raise Invalid(message) from error
    except InvalidSignature as error:  # also of any other algorithm than RS256
        raise Invalid("The ID Token's signature is not that of its issuer") from error


def _fetch(url: str) -> Any:
    if urlparse(url).hostname not in _LOOPBACK:
        raise ValueError(url)
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - loopback, see above
        return json.load(answer)


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(text) from error
