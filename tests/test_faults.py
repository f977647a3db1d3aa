"""Some of the runs of `python -m bench.faults`: tasks that meet faults of the cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.faulty import grammar, watch
from bench.faulty.play import play
from bench.faulty.project import Project, make_photos, make_weights, project

pytestmark = [pytest.mark.long, pytest.mark.cloud, pytest.mark.terraform]

SEED = 1
TASKS = [  # the order in which they need least to be made ready for them
    "status", "jobs", "doctor", "plan", "destroy", "apply", "predict", "predict folder", "load", "jobs", "doctor",
    "evaluate", "train", "status", "predict", "plan", "rollback", "apply", "predict", "destroy",
]  # fmt: skip
STATES = [grammar.NOTHING] * 6 + [grammar.DEPLOYED] * 9
STATES += [grammar.NEW_MODEL, grammar.DEPLOYED, grammar.NEW_MODEL, grammar.DEPLOYED, grammar.DEPLOYED]
HALF_MADE = {
    "service": "s3",
    "operation": "HeadBucket",
    "kind": "denied",
    "after": 3,
    "count": 2,
}  # the state's bucket
STILL_LOCKED = {"service": "s3", "operation": "DeleteObject", "kind": "denied", "count": 9}
RUNS = [
    grammar.Run(-1, "plan", grammar.NOTHING, [HALF_MADE]),
    *(
        grammar.run(number, task, SEED, state)
        for number, (task, state) in enumerate(zip(TASKS, STATES, strict=True))
    ),
]
RUNS.insert(16, grammar.Run(-2, "plan", grammar.DEPLOYED, [STILL_LOCKED]))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, watch.Files, set[str]]]:
    folder = tmp_path_factory.mktemp("faults")
    photos, weights = make_photos(folder / "photos"), make_weights(folder / "tiny.safetensors")
    with project(folder / "lane", photos, weights) as made:
        yield made, watch.Files(made.root), watch.inventory(made)


@pytest.mark.parametrize(
    "run", RUNS, ids=lambda run: f"{run.number}-{run.task}-{run.state}".replace(" ", "-")
)
def test_a_task_that_meets_faults_ends_well_or_clearly_and_comes_right(
    stage: tuple[Project, watch.Files, set[str]], run: grammar.Run
) -> None:
    result = play(*stage, run)
    assert result.why == [], result.to_dict(SEED)
