from __future__ import annotations

import io
import queue
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcloud.actors import Actor
from localcloud.config import Config, Image
from localcloud.sagemaker import archive, fleet, runtime
from localcloud.sagemaker.components.component import ComponentSpec, InferenceComponent
from localcloud.sagemaker.endpoint import Deployment, Endpoint
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.instance import Host, Instance, InstanceSpec
from localcloud.sagemaker.runtime import Invocation, Unavailable

ACTOR = Actor("arn:aws:iam::123456789012:role/r", "123456789012", "us-east-1", "sagemaker.amazonaws.com")


def test_the_supervisor_survives_what_it_did_not_expect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_FIRST_RESTART_PAUSE", 0.01)
    monkeypatch.setattr(fleet, "_SUPERVISION_INTERVAL", 0.01)
    watched = Fleet([], Host(Config(tmp_path, "http://127.0.0.1:1"), tmp_path))
    watched.start()
    attempts, recovered = [0], threading.Event()

    def resize() -> None:
        attempts[0] += 1
        if attempts[0] < 3:
            raise OSError("too many open files")
        recovered.set()

    monkeypatch.setattr(watched, "resize", resize)
    try:
        assert recovered.wait(10)
    finally:
        watched.stop()


def test_a_fleet_is_at_an_end_only_when_its_supervisor_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is at deleting, it deletes in the name of a role that may be gone when the endpoint is."""
    monkeypatch.setattr(fleet, "_SUPERVISION_INTERVAL", 0.01)
    watched = Fleet([], Host(Config(tmp_path, "http://127.0.0.1:1"), tmp_path))
    burying, go_on = threading.Event(), threading.Event()

    def bury() -> None:
        burying.set()
        assert go_on.wait(10)

    monkeypatch.setattr(watched, "_bury", bury)
    watched.start()
    assert burying.wait(10)
    stopping = threading.Thread(target=watched.stop)
    stopping.start()
    stopping.join(0.3)
    waits = stopping.is_alive()
    go_on.set()
    stopping.join(10)
    assert waits
    assert not stopping.is_alive()


def invocation(fleets: list[Any], monkeypatch: pytest.MonkeyPatch) -> Invocation:
    """A request whose endpoint answers with these fleets, one after the other."""
    following = iter(fleets)
    monkeypatch.setattr(Invocation, "_fleets", lambda *_: [next(following)])
    monkeypatch.setattr(Invocation, "_record", lambda *_: None)
    return Invocation("123456789012", "us-east-1", "e")


class Fake:
    def __init__(self, *instances: Any) -> None:
        self.instances = list(instances)

    def acquire(self, _: str | None, tried: set[str]) -> tuple[Any, int] | None:
        return next(((one, 1) for one in self.instances if one.id not in tried), None)

    def release(self, instance: Any) -> None: ...


def test_a_request_follows_the_endpoint_to_the_fleet_that_replaced_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        runtime, "_ask", lambda *_: SimpleNamespace(status=200, headers={}, data=b"from green")
    )
    instance = SimpleNamespace(id="i-1", spec=SimpleNamespace(variant_name="main", capture=None))
    blue, green = Fake(), Fake(instance)
    assert invocation([blue, green], monkeypatch).ask(None, b"", {}, 0.0)[1] == b"from green"
    with pytest.raises(Unavailable, match="has no healthy instance"):
        invocation([blue, blue], monkeypatch).ask(None, b"", {}, 0.0)


def test_a_damaged_archive_is_model_data_that_cannot_be_extracted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("weights")
        member.size = 100_000
        tar.addfile(member, io.BytesIO(bytes(i * i % 251 for i in range(100_000))))
    data = buffer.getvalue()
    damaged = data[:100] + b"\xff" * 60 + data[160:]
    monkeypatch.setattr(archive, "find", lambda *_: SimpleNamespace(value=damaged))
    monkeypatch.setattr(Actor, "check_read", lambda *_: None)
    with pytest.raises(archive.ModelDataError, match="Failed to extract model data archive"):
        archive.unpack("s3://b/k", ACTOR, tmp_path / "model")


def test_copies_that_cannot_come_for_an_unforeseen_reason_leave_the_component_in_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_down(_: Fleet) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Fleet, "resize", break_down)
    spec = ComponentSpec(ACTOR, "e", "main", "image", None, component_name="c")
    request = {"Specification": {}, "RuntimeConfig": {"CopyCount": 1}}
    component = InferenceComponent(request, "arn", spec, {}, cast(Host, None))
    component.status = "InService"
    reasons: queue.Queue[str | None] = queue.Queue()
    component.set_copies(2, reasons.put)
    assert "can't start new thread" in str(reasons.get(timeout=10))
    assert (component.status, component.desired_copies) == ("InService", 1)


def test_an_update_that_fails_for_an_unforeseen_reason_leaves_the_old_fleet_in_service() -> None:
    def break_down() -> None:
        raise RuntimeError("can't start new thread")

    endpoint = Endpoint("123456789012", "us-east-1", "e", [])
    blue = Deployment("blue", {"ProductionVariants": []}, Fleet([], cast(Host, None)), {})
    endpoint._current = blue
    green = SimpleNamespace(config_name="green", fleet=SimpleNamespace(start=break_down, stop=lambda: None))
    endpoint._shift(blue, cast(Deployment, green), cast(Any, SimpleNamespace(rolls=False)))
    state = endpoint.response_object
    assert (state["EndpointStatus"], endpoint.fleets_in_service()) == ("InService", [blue.fleet])
    assert "can't start new thread" in state["FailureReason"]


@pytest.mark.parametrize("isolated", [False, True])
def test_an_isolated_container_gets_no_credentials(
    tmp_path: Path, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Actor, "credentials", lambda *_, **__: {"AWS_SESSION_TOKEN": "t"})
    host = Host(Config(tmp_path, "http://127.0.0.1:1"), tmp_path)
    spec = InstanceSpec(ACTOR, "e", "main", "image", None, isolated=isolated)
    environment = Instance(spec, host)._environment(Image(("serve",)), tmp_path, tmp_path)
    assert isolated == (not [name for name in environment if name.startswith("AWS_")])
