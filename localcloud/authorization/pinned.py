"""What was judged is what is done.

moto also finds services, actions, regions and parameters where no judge has looked: an action in a header, in the
query or between the ampersands of a JSON string, a region in the user agent or the host, no service where the signature
is in the query.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import Any
from wsgiref.types import WSGIEnvironment

from moto.core.responses import BaseResponse

from localcloud.authorization import calls
from localcloud.authorization.callers import Signature, Unknown
from localcloud.config import REGION, Config

ACTION = "localcloud.action"  # in the environ of a request: the operation that was judged
_REGION = "localcloud.region"
_JSON = re.compile(rb"\s*[{\[]")


def pin(environ: WSGIEnvironment, signature: Signature | None) -> None:
    """Leave one reading of a request whose signature has been checked. Raises Unknown where its body has none."""
    environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)  # it is not the caller's to say
    environ[_REGION] = signature.region if signature else REGION
    if signature is None:
        return
    if signature.presigned:  # moto finds the service in the header alone
        environ["HTTP_AUTHORIZATION"] = _header(signature)
    is_invocation = signature.service == "sagemaker" and "HTTP_X_AMZ_TARGET" not in environ
    if signature.service == "s3" or is_invocation:  # whose bodies are the caller's own
        return
    content = calls.body(environ)
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise Unknown("malformed") from None
        del environ["HTTP_CONTENT_ENCODING"]
        _replace(environ, content)
    if b"&" in content and _JSON.match(content):
        _replace(environ, content.replace(b"&", rb"\u0026"))


def pin_unsigned(environ: WSGIEnvironment, action: str) -> None:
    """A request to STS that needs no signature."""
    environ[ACTION] = action
    environ["HTTP_AUTHORIZATION"] = _header(Signature("none", "20260101", REGION, "sts", ("host",), "0"))


def _header(signature: Signature) -> str:
    scope = f"{signature.key}/{signature.date}/{signature.region}/{signature.service}/aws4_request"
    headers = ";".join(signature.headers)
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={headers}, Signature={signature.value}"


def _replace(environ: WSGIEnvironment, content: bytes) -> None:
    environ["wsgi.input"] = io.BytesIO(content)
    environ["CONTENT_LENGTH"] = str(len(content))


def install(_: Config) -> None:
    action, region = BaseResponse._get_action, BaseResponse.get_region_from_url

    def judged(response: BaseResponse) -> str:
        return str(response.normalized_request.environ.get(ACTION) or action(response))

    def signed(response: BaseResponse, request: Any, url: str) -> str:
        return str(request.environ.get(_REGION) or region(response, request, url))

    BaseResponse._get_action = judged  # type: ignore[method-assign, assignment]
    BaseResponse.get_region_from_url = signed  # type: ignore[method-assign, assignment]
