"""Provisioned concurrency: sandboxes that are started before anybody calls, and stay."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from localcloud.functions.deployment import Deployment
from localcloud.functions.pool import Pool
from localcloud.functions.sandbox import Sandbox

log = logging.getLogger(__name__)

_STARTS_AT_ONCE = 4  # more would only make each of them slower


class Provision:
    """What was asked for a version or alias, and how far it has come. Lives in the engine's event loop."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.requested = 0
        self.granted = 0  # less than requested where this machine's cap is reached
        self.busy = 0  # invocations that run in it
        self.status = "IN_PROGRESS"
        self.reason: str | None = None
        self.modified = datetime.now(UTC)
        self._filling = asyncio.Lock()
        self._ready: set[Sandbox] = set()

    @property
    def available(self) -> int:
        return len(self._ready & self.pool.sandboxes)

    def serves(self, deployment: Deployment) -> bool:
        mine = self.pool.deployment
        return (mine.key, mine.revision) == (deployment.key, deployment.revision)

    async def fill(self) -> None:
        """Start what is missing; called again when a sandbox has died."""
        async with self._filling:
            self._ready &= self.pool.sandboxes
            missing = self.granted - self.available
            starts = asyncio.Semaphore(_STARTS_AT_ONCE)
            done = await asyncio.gather(*(self._start(starts) for _ in range(missing)))
            if self.pool.retired:
                return
            if not all(done):
                self.status, self.reason = "FAILED", "FUNCTION_ERROR_INIT_FAILURE"
            else:
                self.status = "READY"

    async def _start(self, starts: asyncio.Semaphore) -> bool:
        async with starts:
            if self.pool.retired or self.status == "FAILED":
                return False
            sandbox: Sandbox | None = None
            try:
                sandbox = await self.pool.create()
                ready = await sandbox.prepare()
            except Exception:
                log.exception("a sandbox of %s could not be started", self.pool.deployment.arn)
                ready = False
            if sandbox is None:
                self.status = "FAILED"
                return False
            if ready and not self.pool.retired:
                self._ready.add(sandbox)
                self.pool.give_back(sandbox)
                return True
            self.pool.discard(sandbox)
            if not ready:
                self.status = "FAILED"
            return False

    def request(self, requested: int, granted: int) -> None:
        """Change the numbers; what is too much ends, and `fill` does the rest."""
        self.requested, self.granted = requested, granted
        self.status, self.reason = "IN_PROGRESS", None
        self.modified = datetime.now(UTC)
        self.pool.drop(max(0, self.available - granted))
