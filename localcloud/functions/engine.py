"""Runs invocations: which sandbox, how many at once, what is tried again.

One event loop in one thread owns all sandboxes and counts, so nothing here needs a lock. The methods of `Engine`
without an underscore are for other threads.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from moto.awslambda.exceptions import LambdaClientError

from localcloud.functions import metrics
from localcloud.functions.deployment import Deployment
from localcloud.functions.errors import Throttled
from localcloud.functions.pool import Pool, PoolFactory
from localcloud.functions.provisioned import Provision
from localcloud.functions.sandbox import Call, Outcome, Sandbox
from localcloud.functions.settings import ACCOUNT_CONCURRENCY, Settings

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_LONGEST_THROTTLE_DELAY = 300.0  # s, as AWS documents it

T = TypeVar("T")
Function = tuple[str, str, str]  # account, region, name


@dataclass(frozen=True)
class Target:
    """What a caller's function name and qualifier came down to."""

    deployment: Deployment
    qualifier: str | None  # as the caller gave it

    @property
    def arn(self) -> str:
        return self.deployment.arn + (f":{self.qualifier}" if self.qualifier else "")


@dataclass(frozen=True)
class Event:
    """An asynchronous invocation."""

    function: Function
    resolve: Callable[[], Target]  # raises LambdaClientError when the function is gone
    call: Callable[[Target], Call]
    retries: int
    max_age: float  # s
    over: Callable[[Target, Outcome, int], None] = lambda *_: (
        None
    )  # told the last outcome and the number of tries


class Engine:
    def __init__(self, settings: Settings, work_dir: Path, endpoint_url: str) -> None:
        self.settings = settings
        self.endpoint_url = endpoint_url
        self._factory = PoolFactory(work_dir, endpoint_url, lambda sandbox: self._spawn(sandbox.close()))
        self._pools: dict[tuple[str, str, str, str], Pool] = {}  # on demand, by deployment
        self._provisions: dict[tuple[str, str, str, str], Provision] = {}  # by function and qualifier
        self._on_demand: Counter[Function] = Counter()  # running
        self._reserved: dict[Function, int] = {}
        self._events: dict[asyncio.Task[None], Function] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="lambda", daemon=True).start()
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._sweep()))

    # -- for other threads

    def invoke(self, target: Target, call: Call) -> Outcome:
        """Blocks until the function has answered. Raises `Throttled`."""
        return self._submit(self._invoke(target, call)).result()

    def enqueue(self, event: Event) -> None:
        """Invoke later, and again when that fails. Does not block: the event loop itself may call it."""
        if len(self._events) >= self.settings.max_queued_events:
            limit = self.settings.max_queued_events
            raise Throttled(
                "CallerRateLimitExceeded",
                f"The embedded cloud holds at most {limit} asynchronous invocations; "
                "LOCALCLOUD_LAMBDA_MAX_QUEUED_EVENTS sets the number.",
            )
        self._loop.call_soon_threadsafe(self._accept, event)

    def reserve(self, function: Function, concurrency: int | None) -> None:
        async def work() -> None:
            self._reserved.pop(function, None)
            if concurrency is not None:
                self._reserved[function] = concurrency

        self._submit(work()).result()

    def provision(self, qualifier: str, deployment: Deployment, requested: int) -> Provision:
        return self._submit(self._provision(qualifier, deployment, requested)).result()

    def provisions(self, function: Function) -> dict[str, Provision]:
        """By qualifier."""
        return {key[3]: provision for key, provision in list(self._provisions.items()) if key[:3] == function}

    def unprovision(self, function: Function, qualifier: str) -> None:
        async def work() -> None:
            provision = self._provisions.pop((*function, qualifier), None)
            if provision is not None:
                provision.pool.retire()

        self._submit(work()).result()

    def unreserved(self, account_id: str, region: str) -> int:
        """Concurrency that no function of the account has to itself."""
        taken = sum(count for key, count in list(self._reserved.items()) if key[:2] == (account_id, region))
        for key, provision in list(self._provisions.items()):
            if key[:2] == (account_id, region) and key[:3] not in self._reserved:
                taken += provision.requested
        return ACCOUNT_CONCURRENCY - taken

    def retire(self, function: Function, version: str | None = None) -> None:
        """End what runs of a function, or of one version of it, that is no more."""
        self._submit(self._retire(function, version)).result()

    # -- in the event loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _invoke(self, target: Target, call: Call) -> Outcome:
        function = target.deployment.function
        try:
            provision, pool, sandbox = self._choose(target)
        except Throttled:
            metrics.throttled(function, target.qualifier)
            raise
        self._count(function, provision, 1)
        concurrency = self._on_demand[function] + sum(
            each.busy for each in self.provisions(function).values()
        )
        try:
            outcome = await self._run_in(pool, sandbox, call)
        finally:
            self._count(function, provision, -1)
            if provision is not None:
                self._refill(provision)
        metrics.invoked(
            function,
            target.qualifier,
            failed=outcome.failed,
            milliseconds=outcome.duration * 1000,
            concurrency=concurrency,
        )
        return outcome

    def _choose(self, target: Target) -> tuple[Provision | None, Pool, Sandbox | None]:
        """A provisioned sandbox if one is free, else one on demand, which may have to be started."""
        function = target.deployment.function
        provision = self._provisions.get((*function, target.qualifier or ""))
        if provision is not None and provision.serves(target.deployment):
            sandbox = provision.pool.take()
            if sandbox is not None:
                return provision, provision.pool, sandbox
            self._refill(provision)
        self._admit(function)
        pool = self._pool(target.deployment)
        sandbox = pool.take()
        if sandbox is None:
            self._make_room()
        return None, pool, sandbox

    def _refill(self, provision: Provision) -> None:
        """Where a sandbox has died."""
        if provision.status == "READY" and provision.available < provision.granted:
            self._spawn(provision.fill())

    async def _run_in(self, pool: Pool, sandbox: Sandbox | None, call: Call) -> Outcome:
        """A cold start when there is no `sandbox`."""
        cold = sandbox is None
        sandbox = sandbox or await pool.create()
        try:
            if cold:
                await sandbox.prepare()
            outcome = await sandbox.invoke(call)
        except BaseException:
            pool.discard(sandbox)
            raise
        if sandbox.usable and not pool.retired:
            pool.give_back(sandbox)
        else:
            pool.discard(sandbox)
        return outcome

    def _count(self, function: Function, provision: Provision | None, change: int) -> None:
        if provision is not None:
            provision.busy += change
        else:
            self._on_demand[function] += change
            if not self._on_demand[function]:
                del self._on_demand[function]

    def _admit(self, function: Function) -> None:
        """One more invocation outside of provisioned concurrency. Raises `Throttled`."""
        if function in self._reserved:
            provisioned = sum(each.granted for each in self.provisions(function).values())
            if self._on_demand[function] >= self._reserved[function] - provisioned:
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            return
        account_id, region, _ = function
        running = sum(
            count
            for key, count in self._on_demand.items()
            if key[:2] == (account_id, region) and key not in self._reserved
        )
        if running >= self.unreserved(account_id, region):
            raise Throttled("ConcurrentInvocationLimitExceeded")

    def _pool(self, deployment: Deployment) -> Pool:
        pool = self._pools.get(deployment.key)
        if pool is not None and pool.deployment.revision != deployment.revision:
            pool.retire()
            pool = None
        if pool is None:
            pool = self._pools[deployment.key] = self._factory.pool(deployment)
        return pool

    def _make_room(self) -> None:
        """Before one more sandbox is started: give up the one that has been idle longest, if it must be."""
        pools = [*self._pools.values(), *(provision.pool for provision in self._provisions.values())]
        if sum(len(pool.sandboxes) for pool in pools) < self.settings.max_sandboxes:
            return
        idle = [pool for pool in self._pools.values() if pool.idle]
        if not idle:
            limit = self.settings.max_sandboxes
            raise Throttled(
                "ConcurrentInvocationLimitExceeded",
                f"Rate Exceeded. This machine runs at most {limit} sandboxes; "
                "LOCALCLOUD_LAMBDA_MAX_SANDBOXES sets the number.",
            )
        min(idle, key=lambda pool: pool.idle[0].idle_since).drop(1)

    async def _provision(self, qualifier: str, deployment: Deployment, requested: int) -> Provision:
        key = (*deployment.function, qualifier)
        others = sum(each.granted for other, each in self._provisions.items() if other != key)
        granted = max(0, min(requested, self.settings.max_warm_sandboxes - others))
        provision = self._provisions.get(key)
        if provision is None or not provision.serves(deployment):
            if provision is not None:
                provision.pool.retire()
            pool = self._factory.pool(deployment, provisioned=True)
            provision = self._provisions[key] = Provision(pool)
        provision.request(requested, granted)
        if granted < requested:
            provision.reason = (
                f"This machine keeps at most {self.settings.max_warm_sandboxes} sandboxes warm; "
                "LOCALCLOUD_LAMBDA_MAX_WARM_SANDBOXES sets the number."
            )
        self._spawn(provision.fill())
        return provision

    async def _retire(self, function: Function, version: str | None) -> None:
        for task in [task for task, mine in self._events.items() if mine == function and version is None]:
            task.cancel()
        for key in [key for key in self._pools if key[:3] == function and version in (None, key[3])]:
            self._pools.pop(key).retire()
        for key, provision in list(self._provisions.items()):
            if key[:3] == function and version in (None, provision.pool.deployment.version):
                self._provisions.pop(key).pool.retire()
        if version is None:
            self._reserved.pop(function, None)

    async def _sweep(self) -> None:
        """Ends sandboxes that have been idle for long, and pools with nothing in them."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            before = time.monotonic() - self.settings.idle_seconds
            for key, pool in list(self._pools.items()):
                pool.drop(pool.expired(before))
                if not pool.sandboxes and not self._on_demand[key[:3]]:
                    del self._pools[key]
                    pool.retire()

    # -- asynchronous invocations

    def _accept(self, event: Event) -> None:
        task = self._loop.create_task(self._deliver(event))
        self._events[task] = event.function
        task.add_done_callback(lambda done: self._events.pop(done, None))

    async def _deliver(self, event: Event) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
        began = time.monotonic()
        tries, delay = 0, self.settings.throttle_delay
        while time.monotonic() - began <= event.max_age:
            try:
                target = event.resolve()
                outcome = await self._invoke(target, event.call(target))
            except Throttled:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_THROTTLE_DELAY)
                continue
            except LambdaClientError as error:
                log.warning("asynchronous invocation of %s dropped: %s", event.function[2], error.message)
                return
            except Exception:
                log.exception("asynchronous invocation of %s dropped", event.function[2])
                return
            if not outcome.failed or tries >= event.retries:
                await asyncio.to_thread(event.over, target, outcome, tries + 1)
                return
            delays = self.settings.retry_delays
            await asyncio.sleep(delays[min(tries, len(delays) - 1)] if delays else 0)
            tries += 1
