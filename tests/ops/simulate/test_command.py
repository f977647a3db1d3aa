from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.scaling import FAST_METRIC, Limits, TargetTracking
from ml.errors import KennelError
from ops import declared
from ops.paths import TERRAFORM
from ops.simulate import command, sources
from ops.simulate.command import Options, Simulation
from ops.simulate.declared import Scaling, of_variables
from ops.simulate.variants import in_flight
from ops.stage import Stage
from ops.traffic import Traffic

Simulate = Callable[..., Simulation]


@pytest.fixture(scope="module")
def plain() -> Scaling:
    return of_variables(TERRAFORM / "stages" / "local.tfvars", "the variables")


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain: Scaling) -> Simulate:
    """Simulates the declared policy of the stage `local`, whatever runs or was measured on this machine."""
    stage = Stage.of("local")
    monkeypatch.setattr(Stage, "directory", tmp_path / "stage")
    monkeypatch.setattr(command, "scaling_of", lambda stage, say: plain)

    def run(**options: object) -> Simulation:
        given = {"capacity": "20", **options}
        return command.simulate(stage, Options(**given), print)  # type: ignore[arg-type]

    return run


def test_the_text_fits_eighty_columns(simulate: Simulate) -> None:
    found = simulate(
        traffic="spike", settings="target=800,max_instances=6", compare=True, recommend=True, latency="400",
        drops="5",
    )  # fmt: skip
    lines = list(found.text())
    assert max(len(line) for text in lines for line in text.splitlines()) <= 80
    text = "\n".join(lines)
    for word in (
        "one-minute, 10 s (planned)",
        "high-res, 300 s",
        "step, 60 s",
        "5 always",
        "autoscaling = {",
    ):
        assert word in text


def test_it_tells_demand_instances_latency_refusals_cost_and_reaction(simulate: Simulate) -> None:
    text = "\n".join(simulate(traffic="spike", settings="target=800,max_instances=6").text())
    for pattern in (
        r"Traffic +spike: 3 h, 340,200 requests, 31\.5/s on average, 84\.0/s at most",
        r"Policy +1 to 6 instances; 800 requests a minute an instance",
        r"Instance +ml\.m5\.large at \$0\.115 an hour",
        r"Capacity +20 requests/s an instance \(given\)",
        r"Answers +50 ms when nothing waits \(assumed: 1 / capacity\)",
        r"Reaction +3 min to 5 min until it scales out",
        r"Demand +▂",
        r"Utilization +\d+ % on average, 210 % at most",
        r"Latency +p50 50 ms, p95 .*, p99 .* \(estimate\)",
        r"Refused +\d\.\d\d % \([\d,]+ requests\)",
        r"Overload +9 min in 1 time; the longest 9 min, until capacity came",
        r"Scalings +1 out, \d in",
        r"Cost +\$\d\.\d\d, or \$\d+ a month at this traffic",
    ):
        assert re.search(pattern, text), pattern


def test_json_holds_the_figures_and_the_marks(simulate: Simulate) -> None:
    found = simulate(traffic="ramp", compare=True, recommend=True, latency="300")
    told = json.loads(command.as_json(found))
    assert told["policy"]["source"] == "the variables"
    assert {each["mark"] for each in told["parameters"]} == {"documented", "observed", "assumed"}
    assert all(each["refused_percent"] >= 0 and each["monthly_usd"] > 0 for each in told["policies"])
    assert told["recommendation"]["terraform"].startswith("autoscaling = {")


def test_the_page_is_one_file_that_asks_for_nothing(simulate: Simulate, tmp_path: Path) -> None:
    found = simulate(traffic="spike", compare=True, recommend=True, latency="300")
    found.write(tmp_path / "out" / "s.html")
    page = (tmp_path / "out" / "s.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert page.count("<svg") == 2
    for word in ("Policies compared", "Recommended", "proportion_", "assumed", "observed", "documented"):
        assert word in page


def test_the_picture_can_be_had_alone(simulate: Simulate, tmp_path: Path) -> None:
    simulate(traffic="spike").write(tmp_path / "s.svg")
    assert (tmp_path / "s.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg" ')


def test_traffic_that_load_wrote_is_replayed(simulate: Simulate, tmp_path: Path) -> None:
    Traffic(1.0, (5.0,) * 600 + (60.0,) * 1800).write(tmp_path / "t.csv")
    found = simulate(traffic=str(tmp_path / "t.csv"), settings="target=800")
    assert found.found[0].requests == pytest.approx(5 * 600 + 60 * 1800)
    assert found.found[0].reaction is not None


def test_a_measured_capacity_is_taken_and_told(simulate: Simulate, tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "capacity.json").write_text(
        json.dumps(
            {
                "requests_per_second": 50.0, "instance_type": "ml.c5.xlarge", "p99_ms": 90, "concurrency": 8,
                "latency_ms": 25.0, "measured_at": "2026-11-23T05:00:00+00:00",
            }
        )
    )  # fmt: skip
    found = simulate(capacity=None, traffic="steady")
    assert (found.known.instance.capacity, found.known.instance.latency) == (50.0, 0.025)
    assert found.known.capacity_source == "measured 2026-11-23 on ml.c5.xlarge"


def test_without_a_capacity_the_assumed_one_is_told(simulate: Simulate) -> None:
    assert "assumed" in simulate(capacity=None, traffic="steady").known.capacity_source


def test_of_the_policies_compared_all_hold_the_same_utilization(simulate: Simulate) -> None:
    found = simulate(traffic="daily", settings="target=600", compare=True)
    policies = [each.scaling.tracking for each in found.found if each.scaling.tracking]
    fast = in_flight(600, found.known.instance)
    assert {round(policy.target, 9) for policy in policies} == {600, round(fast, 9)}
    assert len([each for each in found.found if each.scaling.scheduled]) == 1
    assert len({each.name for each in found.found}) == len(found.found) == 7


def test_what_is_planned_is_compared_even_where_it_is_something_else(simulate: Simulate) -> None:
    found = simulate(traffic="spike", settings="target=700,scale_out_cooldown=120", compare=True)
    assert [each.name for each in found.found][:2] == ["as planned", "one-minute, 10 s"]


def test_the_recommendation_holds_its_goal_and_costs_no_more_than_what_never_scales(
    simulate: Simulate,
) -> None:
    found = simulate(traffic="daily", peak="25", recommend=True, latency="300", drops="0.1").recommendation
    assert found is not None
    assert found.best.latency(0.99) <= 0.3
    assert found.best.dropped <= 0.001
    assert found.best.cost < 2 * 24 * 0.115  # two instances hold 25 requests/s
    assert found.best.scaling.limits.maximum <= 3


def test_a_traffic_that_comes_too_fast_for_scaling_gets_instances_that_are_always_there(
    simulate: Simulate,
) -> None:
    found = simulate(traffic="spike", peak="80", recommend=True, latency="300", drops="0.1")
    assert found.recommendation is not None
    assert found.recommendation.is_fixed
    assert "comes in time" in " ".join("\n".join(found.text()).split())


def test_the_recommended_block_is_what_terraform_takes(simulate: Simulate, tmp_path: Path) -> None:
    found = simulate(traffic="ramp", peak="30", recommend=True, latency="300")
    assert found.recommendation is not None
    file = tmp_path / "s.tfvars"
    best = found.recommendation.best.scaling
    actions = replace(best, scheduled=())
    file.write_text(command.as_terraform(actions))
    again = of_variables(file, "")
    assert (again.limits, again.policies) == (best.limits, best.policies)
    assert "autoscaling" in declared.load(file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"traffic": "dayly"}, r"Traffic is a CSV file or one of .*\nReceived: dayly\nRemedy: Did you mean daily"),
        ({"traffic": "missing.csv"}, r"The traffic file is there\.\nReceived: missing.csv"),
        ({"capacity": "0"}, r"--capacity is a number above 0\.\nReceived: 0"),
        ({"capacity": "nan"}, r"--capacity is a number above 0\.\nReceived: nan"),
        ({"capacity": "fast"}, r"--capacity is a number above 0\.\nReceived: fast"),
        ({"peak": "-3"}, r"--peak is a number above 0\.\nReceived: -3"),
        ({"hours": "inf"}, r"--hours is a number above 0"),
        ({"hours": "1000"}, r"Traffic lasts 32 days at most"),
        ({"unloaded": "0"}, r"--unloaded is a number above 0"),
        ({"price": "free"}, r"--price is a number above 0"),
        ({"instance_type": "ml.x1.large"}, r"has the instance type\.\nReceived: ml.x1.large\nRemedy: .*--price"),
        ({"settings": "min_instances=5,max_instances=2"}, r"minimum 5, maximum 2"),
        ({"settings": "max_instances=2.5"}, r"max_instances is a whole number from 0\.\nReceived: 2.5"),
        ({"settings": "goal=5"}, r"--set knows target, .*\nReceived: goal"),
        ({"settings": "target"}, r"--set has the form name=value"),
        ({"settings": "target=1,target=2"}, r"--set gives a name once"),
        ({"settings": "target=0"}, r"above 0; got 0"),
        ({"settings": "metric=fast"}, r"Another metric comes with another target"),
        ({"settings": "metric=slow,target=1"}, r"metric is minute or fast"),
        ({"assume": "start=5"}, r"'start' is no parameter that can be set"),
        ({"latency": "100"}, r"--latency and --drops are what --recommend holds"),
        ({"recommend": True}, r"--recommend needs a latency to hold"),
        ({"recommend": True, "latency": "10"}, r"within the latency asked for\.\nReceived: 10 ms; one takes 50 ms"),
        ({"recommend": True, "latency": "300", "drops": "101"}, r"--drops is a percentage from 0 to 100"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(simulate: Simulate, options: dict[str, object], message: str) -> None:
    with pytest.raises(KennelError, match=message):
        simulate(**options)


def test_a_file_has_its_own_peak_and_length(simulate: Simulate, tmp_path: Path) -> None:
    Traffic(1.0, (5.0,) * 600).write(tmp_path / "t.csv")
    with pytest.raises(KennelError, match="--peak and --hours are for a named traffic"):
        simulate(traffic=str(tmp_path / "t.csv"), peak="3")


@pytest.mark.parametrize("output", ["page.txt", "folder.html"])
def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, output: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(KennelError, match="--output is a file"):
        command.page_path(Stage.of("local"), Options(output=str(tmp_path / output)))


class FakeDeployment:
    """What a deployment says of its plans."""

    saved_plan: object = None
    fresh: dict[str, object] | None = None
    file: Path

    def __init__(self, stage: Stage, say: object) -> None:
        self.plan_file = self.file
        self.terraform = self

    def saved(self) -> object:
        if isinstance(self.saved_plan, KennelError):
            raise self.saved_plan
        return self.saved_plan

    def show(self, _: Path) -> dict[str, object]:
        return _plan(7)

    def plan_to_read(self) -> dict[str, object]:
        return self.fresh or {}


def _plan(most: int) -> dict[str, object]:
    values = {"service_namespace": "sagemaker", "min_capacity": 1, "max_capacity": most}
    target = {"address": "a", "type": "aws_appautoscaling_target", "name": "a", "values": values}
    return {"planned_values": {"root_module": {"resources": [target]}}}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeDeployment]:
    class Fake(FakeDeployment):
        file = tmp_path / "plan.tfplan"

    monkeypatch.setattr(sources, "Deployment", Fake)
    monkeypatch.setattr(sources, "version", lambda: (1, 11, 0))
    monkeypatch.setattr(Stage, "is_running", True)
    monkeypatch.setattr(sources.state_bucket, "exists", lambda stage: True)
    return Fake


def _read() -> tuple[Scaling, str]:
    said: list[str] = []
    return sources.scaling_of(Stage.of("local"), said.append), " ".join(said)


def test_the_saved_plan_comes_first(plans: type[FakeDeployment]) -> None:
    plans.file.touch()
    plans.saved_plan = object()
    found, _ = _read()
    assert (found.limits, found.source) == (Limits(1, 7), "the saved plan of the stage local")


def test_a_saved_plan_that_does_not_hold_is_made_anew(plans: type[FakeDeployment]) -> None:
    plans.file.touch()
    plans.saved_plan = KennelError("Only the plan that was reviewed is applied.")
    plans.fresh = _plan(5)
    found, said = _read()
    assert (found.limits, found.source) == (Limits(1, 5), "a plan of the stage local, made now")
    assert "out of date" in said


def test_a_plan_without_a_model_leaves_the_variables(plans: type[FakeDeployment]) -> None:
    found, said = _read()
    assert found.source == "the variables of terraform/stages/local.tfvars"
    assert "no endpoint that scales" in said


def test_nothing_is_started_or_made_to_read_a_policy(
    plans: type[FakeDeployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans.fresh = _plan(5)
    monkeypatch.setattr(sources.state_bucket, "exists", lambda stage: False)
    found, said = _read()
    assert found.source == "the variables of terraform/stages/local.tfvars"
    assert "no state yet" in said
    monkeypatch.setattr(Stage, "is_running", False)
    assert "does not run" in _read()[1]


def test_where_no_plan_can_be_made_the_reason_is_told(
    plans: type[FakeDeployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(stage: Stage) -> bool:
        raise KennelError("The stage dev needs AWS credentials that are accepted.", "none")

    monkeypatch.setattr(sources.state_bucket, "exists", refuse)
    found, said = _read()
    assert found.policies == (
        TargetTracking("target-tracking", 100, scale_out_cooldown=10, scale_in_cooldown=10),
    )
    assert said == (
        "No plan can be made (The stage dev needs AWS credentials that are accepted. none), "
        "and so the variables are read."
    )


def test_a_metric_can_be_set_with_its_target(simulate: Simulate) -> None:
    found = simulate(traffic="steady", settings="metric=fast,target=2,scale_in_cooldown=300")
    assert found.planned.policies == (TargetTracking("target-tracking", 2, FAST_METRIC, 10, 300),)
