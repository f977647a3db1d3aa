"""Deploys everything that has a role, takes each statement out, sees what fails, and puts it back; JSON by lines."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ops.paths import WORK
from tests.rights import pipeline
from tests.rights.cases import CASES, MORE, Case
from tests.rights.outside import checks
from tests.rights.world import World

_PATIENCE = 20.0  # s on a loaded machine, because an answer of IAM's may hold for one


def run(world: World, case: Case) -> dict[str, Any]:
    actions = case.document.statements(world)[case.sid]["Action"]
    actions = [actions] if isinstance(actions, str) else actions
    began = time.time()
    with case.document.without(world, case.sid):
        without, refused = "", []
        while True:
            world.decisions(clear=True)
            without = case.scenario(world)
            refused = [
                entry
                for entry in world.decisions()
                if not entry["allowed"]
                and entry["action"] in actions
                and entry["role"].endswith(f"/{case.role}")
            ]
            if (without and refused) or time.time() - began > _PATIENCE:
                break
    began_again = time.time()
    world.decisions(clear=True)
    while (again := case.scenario(world)) and time.time() - began_again < _PATIENCE:
        pass
    return {
        "document": case.document.name,
        "label": case.document.label,
        "sid": case.sid,
        "role": case.role,
        "scenario": case.scenario.__name__,
        "without": without,
        "refused": sorted({(entry["action"], entry["reason"]) for entry in refused}),
        "again": again,
        "allowed": [entry for entry in world.decisions() if entry["allowed"]],
        "seconds": round(time.time() - began, 1),
    }


def main() -> None:
    world = World.found() if "--found" in sys.argv else World.deployed(WORK / "rights")
    pipeline.made(world)
    world.statements = declared(world)
    say({"deployed": True, "documents": world.statements, "decisions": world.decisions()})
    for scenario in MORE:
        world.decisions(clear=True)
        say({"scenario": scenario.__name__, "said": scenario(world), "decisions": world.decisions()})
    if "--found" not in sys.argv or "--outside" in sys.argv:
        outside(world)
    only = [word for word in sys.argv[1:] if not word.startswith("--")]
    for case in CASES:
        if not only or case.document.name in only or case.sid in only:
            say(run(world, case))


def outside(world: World) -> None:
    for check in checks(world):
        say({"outside": check})


def declared(world: World) -> dict[str, dict[str, Any]]:
    return {
        document.name: document.statements(world)
        for document in {case.document.name: case.document for case in CASES}.values()
    }


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
