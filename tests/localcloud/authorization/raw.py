"""Requests as a client sends them that is not AWS's: signed well, but not made well."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from localcloud.control import CloudInfo
from tests.localcloud.authorization.conftest import Client

JSON = {"Content-Type": "application/x-amz-json-1.1"}


@dataclass
class Raw:
    method: str
    path: str
    service: str = "s3"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)  # signed, Host too
    unsigned: dict[str, str] = field(default_factory=dict)
    presigned: bool = False
    region: str = "us-east-1"

    def send(self, cloud: CloudInfo, client: Client | None) -> tuple[int, bytes]:
        """As the caller that `client` is of; None: unsigned."""
        place = urlsplit(cloud.endpoint_url).netloc
        headers = {"Host": place, **self.headers}
        request = AWSRequest(
            self.method, f"http://{headers['Host']}{self.path}", data=self.body, headers=headers
        )
        if client is not None:
            credentials = client("s3")._request_signer._credentials
            kinds: tuple[Any, Any] = (S3SigV4Auth, S3SigV4QueryAuth)
            if self.service != "s3":
                kinds = (SigV4Auth, SigV4QueryAuth)
            kinds[self.presigned](credentials, self.service, self.region).add_auth(request)
        url = urlsplit(request.url)
        connection = http.client.HTTPConnection(place, timeout=20)
        connection.putrequest(self.method, url.path + (f"?{url.query}" if url.query else ""), skip_host=True)
        sent = {**dict(request.headers.items()), **self.unsigned, "Content-Length": str(len(self.body))}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(self.body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content
