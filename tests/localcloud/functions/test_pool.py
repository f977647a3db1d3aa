from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.functions import pool as pools
from localcloud.functions.deployment import Deployment, check_code, unpack
from localcloud.functions.pool import PoolFactory
from localcloud.functions.sandbox import Sandbox

ROLE = "arn:aws:iam::123456789012:role/functions"


def deployment(code: bytes) -> Deployment:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    logging = {"LogGroup": "/aws/lambda/f", "LogFormat": "Text"}
    return Deployment(
        "123456789012",
        "us-east-1",
        "f",
        "$LATEST",
        "1",
        arn,
        "python3.12",
        "app.handler",
        ROLE,
        128,
        3,
        {},
        code,
        logging,
    )


def test_code_that_cannot_be_unpacked_leaves_no_sandbox_and_is_tried_again(
    tmp_path: Path, code: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Sandbox] = []

    def no_space(_: bytes, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        raise OSError("no space left")

    async def run() -> None:
        pool = PoolFactory(tmp_path, "http://127.0.0.1:1", closed.append).pool(deployment(code("x = 1")))
        monkeypatch.setattr(pools, "unpack", no_space)
        monkeypatch.setattr(pools, "_assume", lambda _: {})
        for _ in range(3):
            with pytest.raises(OSError, match="no space left"):
                await pool.create()
        assert not pool.sandboxes
        assert len(closed) == 3
        monkeypatch.setattr(pools, "unpack", unpack)
        assert pool.sandboxes == {await pool.create()}

    asyncio.run(run())


def test_a_package_with_a_wrong_checksum_is_refused(code: Callable[[str], bytes]) -> None:
    package = code("x = 12345")
    assert check_code(package) is None
    assert str(check_code(package.replace(b"12345", b"54321", 1))).startswith(
        "Could not unzip uploaded file."
    )
