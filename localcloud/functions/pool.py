"""The sandboxes of one version of a function, and what they share: the unpacked code and the role's credentials."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from localcloud.authorization import Denied
from localcloud.functions import python_runtime
from localcloud.functions.deployment import Deployment, unpack
from localcloud.functions.errors import ServiceError
from localcloud.functions.sandbox import Sandbox

_CREDENTIALS = 43_200  # s that they are good for
_LIFE = (
    21_600.0  # s after which a sandbox is replaced, and with it its credentials; AWS does so after some hours
)


class PoolFactory:
    def __init__(self, work_dir: Path, endpoint_url: str, close: Callable[[Sandbox], None]) -> None:
        """`close` starts the end of a sandbox and does not wait for it."""
        shutil.rmtree(work_dir, ignore_errors=True)  # what a cloud that was killed left behind
        self.tasks = work_dir / "tasks"
        self.homes = work_dir / "sandboxes"
        self.library = work_dir / "python"
        self.endpoint_url = endpoint_url
        self.close = close
        python_runtime.link_packages(self.library)

    def pool(self, deployment: Deployment, *, provisioned: bool = False) -> Pool:
        return Pool(self, deployment, provisioned=provisioned)


class Pool:
    """Lives in the engine's event loop."""

    def __init__(self, factory: PoolFactory, deployment: Deployment, *, provisioned: bool) -> None:
        self.deployment = deployment
        self.provisioned = provisioned
        self.sandboxes: set[Sandbox] = set()
        self.idle: list[Sandbox] = []  # the last one used is the first to be used again
        self.retired = False
        self._factory = factory
        self._root = factory.tasks / uuid.uuid4().hex
        self._unpacking: asyncio.Task[None] | None = None

    def take(self) -> Sandbox | None:
        while self.idle:
            sandbox = self.idle.pop()
            if sandbox.usable and time.monotonic() - sandbox.made < _LIFE:
                return sandbox
            self.discard(sandbox)
        return None

    async def create(self) -> Sandbox:
        """A sandbox without a process yet."""
        if self._unpacking is None:
            work = asyncio.to_thread(unpack, self.deployment.code, self._root)
            self._unpacking = asyncio.get_running_loop().create_task(work)
        unpacking = self._unpacking
        sandbox = Sandbox(
            self.deployment,
            self._root,
            self._factory.homes,
            self._factory.library,
            _assume(self.deployment),
            self._factory.endpoint_url,
            provisioned=self.provisioned,
        )
        self.sandboxes.add(sandbox)  # before the wait: `retire` must not remove the code under its feet
        try:
            await asyncio.shield(unpacking)
        except BaseException:
            if unpacking.done() and self._unpacking is unpacking:
                self._unpacking = None  # it failed: the next one tries again
            self.discard(sandbox)
            raise
        return sandbox

    def give_back(self, sandbox: Sandbox) -> None:
        self.idle.append(sandbox)

    def discard(self, sandbox: Sandbox) -> None:
        """End a sandbox that is not idle."""
        self.sandboxes.discard(sandbox)
        self._factory.close(sandbox)
        self._clean_up()

    def retire(self) -> None:
        """No call comes here any more. Idle sandboxes end now, busy ones with their call."""
        self.retired = True
        self.drop(len(self.idle))
        self._clean_up()

    def drop(self, count: int) -> None:
        """End the `count` sandboxes that have been idle longest."""
        dropped, self.idle = self.idle[:count], self.idle[count:]
        for sandbox in dropped:
            self.discard(sandbox)

    def _clean_up(self) -> None:
        if self.retired and not self.sandboxes:
            asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, self._root, True)

    def expired(self, before: float) -> int:
        """How many have been idle since `before` (monotonic time)."""
        return sum(sandbox.idle_since < before for sandbox in self.idle)


def _assume(deployment: Deployment) -> dict[str, str]:
    """Credentials of the function's role. Raises ServiceError."""
    try:
        return deployment.actor.credentials(deployment.name, seconds=_CREDENTIALS)
    except Denied as error:
        message = "The role defined for the function cannot be assumed by Lambda."
        raise ServiceError(403, "AccessDeniedException", message) from error
