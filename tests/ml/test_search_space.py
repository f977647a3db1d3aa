from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.config import TrainConfig
from ml.search_space import CHEAP, DEFAULTS, Choices, Range, SearchSpace, SpaceError


def space_file(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "space.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def optuna_distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    space.suggest(trial)
    return trial.distributions


def test_every_searched_setting_is_one_of_training() -> None:
    for name, parameter in DEFAULTS.items():
        for value in parameter.edges:
            assert getattr(TrainConfig(**{name: value}), name) == value  # type: ignore[arg-type]


def test_what_costs_passes_through_the_backbone_is_searched_only_when_asked() -> None:
    assert tuple(SearchSpace.load().parameters) == CHEAP
    assert {*DEFAULTS} - {*CHEAP} == {"augment", "unfreeze"}
    assert tuple(SearchSpace.load("all").parameters) == tuple(DEFAULTS)
    assert tuple(SearchSpace.load("unfreeze, learning-rate,head").parameters) == (
        "learning_rate",
        "head",
        "unfreeze",
    )


def test_a_file_changes_ranges_and_adds_what_it_names(tmp_path: Path) -> None:
    ranges = {"learning_rate": {"low": 1e-3, "high": 0.1}, "head": ["linear"], "augment": ["none", "light"]}
    space = SearchSpace.load(None, space_file(tmp_path, ranges))
    assert space.parameters == {
        "learning_rate": Range(1e-3, 0.1, log=True),
        "batch_size": DEFAULTS["batch_size"],
        "head": Choices(("linear",)),
        "weight_decay": DEFAULTS["weight_decay"],
        "augment": Choices(("none", "light")),
    }


def test_half_a_range_keeps_the_other_half(tmp_path: Path) -> None:
    space = SearchSpace.load("weight_decay", space_file(tmp_path, {"weight_decay": {"low": 0, "log": False}}))
    assert space.parameters == {"weight_decay": Range(0, 50.0, log=False)}


def test_a_number_can_be_chosen_among_values_too(tmp_path: Path) -> None:
    space = SearchSpace.load("learning_rate", space_file(tmp_path, {"learning_rate": [0.001, 0.01]}))
    assert space.parameters == {"learning_rate": Choices((0.001, 0.01))}


def test_a_space_survives_being_written_and_read() -> None:
    space = SearchSpace.load("all")
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))).parameters == space.parameters


@pytest.mark.parametrize(
    ("content", "rule", "received"),
    [
        ({"learning_rte": [0.1]}, "What is searched is a setting that can be", "'learning_rte'"),
        ({"epochs": [5, 10]}, "What is searched is a setting that can be", "'epochs'"),
        ({"head": []}, "There is something to choose head from", "[]"),
        ({"head": ["three-layer"]}, "head must be one of linear, two-layer", "'three-layer'"),
        ({"head": "linear"}, "head is searched in a list of choices", '"linear"'),
        ({"head": {"low": 1, "high": 2}}, "head is searched in a list of choices", '{"low": 1, "high": 2}'),
        ({"head": [["linear"]]}, "head is chosen among texts or numbers", '["linear"]'),
        ({"batch_size": [16, 16]}, "Each choice of batch_size is there once", "[16, 16]"),
        ({"batch_size": [16.5]}, "batch_size must be a whole number", "16.5"),
        ({"batch_size": {"low": 1, "high": 9}}, "batch_size is searched in a list", '{"low": 1, "high": 9}'),
        ({"batch_size": [True]}, "batch_size is chosen among texts or numbers", "true"),
        ({"learning_rate": {"low": 0.1, "high": 0.1}}, "The range of learning_rate begins below", "low 0.1"),
        ({"learning_rate": {"low": 0.0, "high": 1}}, "A logarithmic range begins above 0", "low 0"),
        ({"learning_rate": {"low": 0.1, "high": 11}}, "learning_rate must be a number above 0", "11"),
        ({"learning_rate": {"low": "0.1"}}, "learning_rate is searched between two numbers", "'0.1'"),
        ('{"learning_rate": {"high": Infinity}}', "learning_rate is searched between two numbers", "inf"),
        ({"learning_rate": {"log": "no"}}, "log of learning_rate is true or false", "'no'"),
        ({"learning_rate": {"lo": 0.1}}, "A range has low, high and log", "'lo'"),
        ({"learning_rate": 0.1}, "learning_rate is searched in a list of choices, or a range", "0.1"),
        ({"unfreeze": ["last"]}, "unfreeze must be none, last:N or all", "'last'"),
        ({"augment": ["light", "mild"]}, "augment must be one of", "'mild'"),
        ([], "The search space is an object", "list"),
        ("{", "The search space is a readable JSON file", "space.json"),
    ],
)
def test_a_bad_space_is_refused_with_rule_value_and_remedy(
    tmp_path: Path, content: object, rule: str, received: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load(None, space_file(tmp_path, content))
    assert caught.value.rule.startswith(rule)
    assert received in caught.value.received  # type: ignore[operator]
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "meant"), [("learning_rte", "learning_rate"), ("unfreez", "unfreeze"), ("heads", "head")]
)
def test_a_misspelt_name_is_told_what_was_meant(wrong: str, meant: str) -> None:
    with pytest.raises(SpaceError, match=f"did you mean '{meant}'"):
        SearchSpace.load(wrong)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"absent\.json"):
        SearchSpace.load(None, tmp_path / "absent.json")


def test_a_name_in_the_file_that_is_not_searched_is_no_silent_loss(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="add augment to --search"):
        SearchSpace.load("head", space_file(tmp_path, {"augment": ["none"]}))


def test_a_setting_that_is_given_is_not_searched(tmp_path: Path) -> None:
    assert tuple(SearchSpace.load(fixed=["head", "epochs"]).parameters) == (
        "learning_rate",
        "batch_size",
        "weight_decay",
    )
    with pytest.raises(SpaceError, match="head is both"):
        SearchSpace.load("head,batch_size", fixed=["head"])
    with pytest.raises(SpaceError, match="head is both"):
        SearchSpace.load(None, space_file(tmp_path, {"head": ["linear"]}), fixed=["head"])
    with pytest.raises(SpaceError, match="There is something to search"):
        SearchSpace.load(fixed=CHEAP)


def test_values_must_fit_the_settings_that_are_given() -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load("unfreeze").checked(TrainConfig(precision="int8"))
    assert caught.value.rule == "int8 is for frozen backbones"
    assert "in the search space of unfreeze" in str(caught.value.received)


def test_batches_are_no_larger_than_the_training_split(tmp_path: Path) -> None:
    config = TrainConfig()
    assert SearchSpace.load().checked(config, photos=40).parameters["batch_size"] == Choices((16, 32))
    assert SearchSpace.load().checked(config, photos=7).parameters["batch_size"] == Choices((7,))
    written = SearchSpace.load(None, space_file(tmp_path, {"batch_size": [8, 64]}))
    assert written.checked(config, photos=64) == written
    with pytest.raises(SpaceError) as caught:
        written.checked(config, photos=63)
    assert caught.value.rule == "A batch is at most as large as the training split, 63 photos"
    assert caught.value.received == "batch_size 64"


numbers = st.floats(1e-6, 9.0, allow_subnormal=False)


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    space: dict[str, Any] = {}
    for name in ("learning_rate", "weight_decay"):
        if draw(st.booleans()):
            low, high = draw(st.tuples(numbers, numbers).map(sorted).filter(lambda pair: pair[0] < pair[1]))
            space[name] = {"low": low, "high": high, "log": draw(st.booleans())}
        else:
            space[name] = draw(st.lists(numbers, min_size=1, max_size=4, unique=True))
    space["batch_size"] = draw(st.lists(st.integers(1, 65536), min_size=1, max_size=5, unique=True))
    for name in ("head", "augment", "unfreeze"):
        space[name] = draw(st.permutations(DEFAULTS[name].edges))[: draw(st.integers(1, 2))]
    return space


@given(ranges(), st.integers(0, 2**32 - 1))
def test_every_point_of_optunas_space_is_one_of_sagemakers_and_back(
    described: dict[str, Any], seed: int
) -> None:
    space = SearchSpace.from_dict(described)
    ranges = space.to_sagemaker()

    # From here to there: what Optuna draws lies in SageMaker's ranges, and its text means the same settings.
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    settings = space.suggest(trial)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    for continuous in ranges["ContinuousParameterRanges"]:
        value = float(texts[continuous["Name"]])
        assert float(continuous["MinValue"]) <= value <= float(continuous["MaxValue"])
    for categorical in ranges["CategoricalParameterRanges"]:
        assert texts[categorical["Name"]] in categorical["Values"]
    assert space.from_hyperparameters(texts) == settings

    # From there to here: what SageMaker draws, as text, lies in Optuna's distributions.
    chance = random.Random(seed)  # noqa: S311
    drawn = {
        each["Name"]: str(chance.uniform(float(each["MinValue"]), float(each["MaxValue"])))
        for each in ranges["ContinuousParameterRanges"]
    } | {each["Name"]: chance.choice(each["Values"]) for each in ranges["CategoricalParameterRanges"]}
    back = space.from_hyperparameters({**drawn, "_tuning_objective_metric": "valid:best_loss", "seed": "0"})
    assert back.keys() == space.parameters.keys()
    for name, distribution in trial.distributions.items():
        assert distribution._contains(distribution.to_internal_repr(back[name]))
    TrainConfig.from_dict(back)


def test_sagemaker_is_told_of_logarithms_and_gets_text() -> None:
    ranges = SearchSpace.load("learning_rate,batch_size,unfreeze").to_sagemaker()
    assert ranges == {
        "ContinuousParameterRanges": [
            {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "0.03", "ScalingType": "Logarithmic"}
        ],
        "CategoricalParameterRanges": [
            {"Name": "batch_size", "Values": ["16", "32", "64", "128"]},
            {"Name": "unfreeze", "Values": ["none", "last:1", "last:2", "all"]},
        ],
    }


def test_text_in_quotes_is_read_as_well() -> None:
    space = SearchSpace.load("head,batch_size")
    assert space.from_hyperparameters({"head": '"linear"', "batch_size": "64"}) == {
        "batch_size": 64,
        "head": "linear",
    }


@pytest.mark.parametrize("texts", [{}, {"learning_rate": "0.5"}, {"learning_rate": "fast"}])
def test_a_trial_of_another_space_is_refused(texts: dict[str, str]) -> None:
    with pytest.raises(SpaceError, match="learning_rate of a trial is a value of the search space"):
        SearchSpace.load("learning_rate").from_hyperparameters(texts)


def test_a_value_that_text_rounded_over_the_edge_is_the_edge() -> None:
    space = SearchSpace.load("learning_rate")
    assert space.from_hyperparameters({"learning_rate": "0.030000000000000002"}) == {"learning_rate": 0.03}


def test_the_space_that_a_study_has_is_the_one_that_is_described() -> None:
    found = optuna_distributions(SearchSpace.load("learning_rate,head"))
    assert found == {
        "learning_rate": optuna.distributions.FloatDistribution(1e-4, 3e-2, log=True),
        "head": optuna.distributions.CategoricalDistribution(("linear", "two-layer")),
    }


def test_checking_a_space_does_not_wait_for_torch_or_optuna() -> None:
    script = "import sys, ml.search_space; sys.exit(bool({'torch', 'optuna', 'numpy'} & {*sys.modules}))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
