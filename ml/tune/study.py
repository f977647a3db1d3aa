"""Tries settings: Optuna proposes, `fit` trains on cached features, the best validation loss decides.

What a trial proposes depends on the seed, on its place among the finished trials and on what those came to, and on
nothing else: so a study that was killed comes to the same trials and the same winner as one that was not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ml.config import TrainConfig
from ml.data import load_dataset
from ml.data.files import write_json
from ml.errors import KennelError
from ml.fit import Fitted, Material, cache_of, check, choose_device, fit
from ml.head import DivergedError, EpochRow
from ml.report.tuning import TuningReport, write_tuning_report
from ml.search_space import SearchSpace
from ml.tune.journal import Journal, alone
from ml.tune.progress import Progress
from ml.tune.trials import TuningTrial, best
from ml.weights import LoadedBackbone, load_backbone

STARTUP = 8  # trials by chance, before what they came to leads the others
PRUNED_FROM = 5  # finished trials, from which on one that is worse than half of them is given up
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STUDY = "study"  # its name in the journal, which holds no other
_FAILURE = "failure"  # attribute of a trial that came to no loss; one without it was killed


class StudyError(KennelError):
    """A study cannot be gone on with."""


@dataclass(frozen=True)
class Tuned:
    """A study, as far as it has come."""

    folder: Path
    trials: tuple[TuningTrial, ...]
    best: TuningTrial
    config: TrainConfig  # the best trial's

    @property
    def best_loss(self) -> float:
        return min(
            trial.value for trial in self.trials if trial.state == "complete" and trial.value is not None
        )

    @property
    def config_file(self) -> Path:
        return self.folder / "best.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


def tune(
    config: TrainConfig,
    space: SearchSpace,
    *,
    trials: int,
    work_dir: Path,
    name: str | None = None,
    progress: bool = True,
) -> Tuned:
    """Goes on with the study until it has `trials` finished ones, and leaves the best settings and a report.

    A study is of one data set, backbone, space and the settings that are not searched; its name comes from
    these where `name` is None. The test split is not looked at.

    Raises `KennelError`.
    """
    if trials < 1:
        raise KennelError("--trials is a whole number from 1.", trials, "Correct --trials.")
    if name is not None and not _NAME.fullmatch(name):
        raise StudyError(
            "A study's name is of letters, digits, dots, dashes and underscores, at most 64",
            repr(name),
            "another name",
        )
    space = space.checked(config)
    choose_device(config.device)
    backbone = load_backbone(config.backbone, config.weights)
    dataset = load_dataset(config.data, seed=config.seed, work_dir=work_dir, progress=progress)
    space = space.checked(config, photos=len(dataset.train))
    first = {name: parameter.edges[0] for name, parameter in space.parameters.items()}
    unfreeze = space.parameters.get("unfreeze")
    for value in unfreeze.edges if unfreeze else (config.unfreeze,):
        check(_settings(config, first | {"unfreeze": value}), dataset, backbone)
    cache = cache_of(config, work_dir)
    materials: dict[str, Material] = {}

    def material(settings: TrainConfig) -> Material:
        precision = settings.extraction_precision
        if precision not in materials:
            materials[precision] = Material(
                dataset, backbone, cache=cache, precision=precision, seed=config.seed, progress=progress
            )
        return materials[precision]

    identity = _identity(config, space, backbone, dataset.digest, material(config).precision)
    folder = work_dir / "tune" / (name or _default_name(config, identity))
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        _belongs(folder, identity)
        journal = Journal(folder / "journal.log")
        try:
            study = _open(journal)
            _run(study, journal, config, space, trials, material, folder, progress=progress)
            found = _trials(study)
        finally:
            journal.close()
        winner = best(found)
        if winner is None:
            raise StudyError(
                "A trial must come to a validation loss that is a number",
                f"none of {len(found)} did",
                "search among lower learning rates",
            )
        tuned = Tuned(folder, found, winner, _settings(config, winner.params))
        write_json(tuned.config_file, tuned.config.to_dict())
        write_tuning_report(
            tuned.report,
            TuningReport(
                title=f"{config.subject}, study {folder.name}",
                space=space,
                trials=found,
                config=tuned.config.to_dict(),
                command=f"./inv train --config {_shown(tuned.config_file)}",
                facts={
                    "backbone": config.backbone,
                    "features": material(config).precision,
                    "training photos": len(dataset.train),
                    "validation photos": len(dataset.valid),
                    "classes": len(dataset.classes),
                },
            ),
        )
    return tuned


def _run(
    study: optuna.Study,
    journal: Journal,
    config: TrainConfig,
    space: SearchSpace,
    trials: int,
    material: Callable[[TrainConfig], Material],
    folder: Path,
    *,
    progress: bool,
) -> None:
    done = _trials(study)
    if len(done) < trials:
        material(config).prepare()  # most trials need them, and their own bar tells how far they are
    with Progress(space, trials, best(done), len(done), show=progress) as shown:
        while len(done) < trials:
            trial = _ask(study, config, space, len(done))
            settings = _settings(config, space.suggest(trial))
            _try(study, trial, settings, material(settings), shown)
            journal.sync()
            done = _trials(study)
            if best(done) is done[-1]:
                write_json(folder / "best.json", settings.to_dict())
            shown.finished(done[-1], best(done))


def _ask(study: optuna.Study, config: TrainConfig, space: SearchSpace, place: int) -> optuna.Trial:
    """The trial at a place in the study; the first one starts from the settings that would hold without tuning."""
    digest = hashlib.sha256(f"{config.seed} {place}".encode()).digest()
    study.sampler = optuna.samplers.TPESampler(
        seed=int.from_bytes(digest[:4]), n_startup_trials=STARTUP, multivariate=True
    )
    if place == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(space.start(config))
    return study.ask()


class _GivenUp(Exception):
    """The pruner has seen enough."""


def _try(
    study: optuna.Study, trial: optuna.Trial, settings: TrainConfig, material: Material, shown: Progress
) -> None:
    study.pruner = optuna.pruners.MedianPruner(
        n_startup_trials=PRUNED_FROM, n_warmup_steps=max(2, settings.max_epochs // 10)
    )

    def on_epoch(row: EpochRow) -> None:
        epoch = int(row["epoch"])
        shown.epoch(epoch)
        # Where training chooses the weight decay, it has tried them all by the time it tells of an epoch.
        several = settings.frozen and settings.weight_decay is None
        if several or not math.isfinite(row["valid_loss"]):
            return
        trial.report(row["valid_loss"], epoch)
        if epoch < settings.max_epochs and trial.should_prune():
            raise _GivenUp

    if settings.frozen:  # so that what is computed for several trials is not counted as the first one's time
        material.features("train", augment=settings.augment, views=settings.extra_views)
    start = time.monotonic()
    try:
        fitted = fit(settings, material, on_epoch=on_epoch)
    except _GivenUp:
        trial.set_user_attr("seconds", time.monotonic() - start)
        study.tell(trial, state=TrialState.PRUNED)
    except DivergedError as error:
        trial.set_user_attr("seconds", time.monotonic() - start)
        trial.set_user_attr(_FAILURE, f"{error.rule}: {error.received}")
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.set_user_attr("seconds", time.monotonic() - start)
        trial.set_user_attr("history", _history(fitted))
        trial.set_user_attr("accuracy", fitted.history[fitted.best_epoch - 1]["valid_accuracy"])
        study.tell(trial, fitted.best_loss)


def _history(fitted: Fitted) -> list[tuple[int, float]]:
    return [
        (int(row["epoch"]), row["valid_loss"]) for row in fitted.history if math.isfinite(row["valid_loss"])
    ]


def _open(journal: Journal) -> optuna.Study:
    """The study; what a killed process was at is over, and its place will be asked for again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(journal)
    study = optuna.create_study(storage=storage, study_name=_STUDY, load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    return study


def _trials(study: optuna.Study) -> tuple[TuningTrial, ...]:
    """Those that came to an end of their own, numbered from 1."""
    finished = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state is TrialState.FAIL and _FAILURE in trial.user_attrs)
    ]
    return tuple(_trial(number, trial) for number, trial in enumerate(finished, start=1))


def _trial(number: int, trial: FrozenTrial) -> TuningTrial:
    attributes = trial.user_attrs
    reported = sorted(trial.intermediate_values.items())
    history = tuple((int(epoch), float(loss)) for epoch, loss in attributes.get("history", reported))
    if trial.state is TrialState.COMPLETE:
        return TuningTrial(
            number,
            "complete",
            trial.params,
            trial.value,
            history,
            attributes["seconds"],
            attributes["accuracy"],
        )
    if trial.state is TrialState.PRUNED:
        lowest = min(loss for _, loss in history)
        note = f"given up after epoch {history[-1][0]}"
        return TuningTrial(number, "pruned", trial.params, lowest, history, attributes["seconds"], note=note)
    return TuningTrial(
        number, "failed", trial.params, None, history, attributes["seconds"], note=attributes[_FAILURE]
    )


def _settings(config: TrainConfig, params: Mapping[str, Any]) -> TrainConfig:
    return dataclasses.replace(config, **params)


def _identity(
    config: TrainConfig, space: SearchSpace, backbone: LoadedBackbone, data: str, precision: str
) -> dict[str, Any]:
    """All that the trials depend on."""
    settings = config.portable() | {"epochs": config.epochs}
    searched = {*space.parameters, "backbone", "weights", "device"}
    return {
        "data": data,
        "backbone": f"{config.backbone} {backbone.digest}",
        "features": precision,
        "space": space.to_dict(),
        "settings": {name: value for name, value in settings.items() if name not in searched},
    }


def _default_name(config: TrainConfig, identity: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    words = f"{config.subject}-{config.backbone.partition('/')[2]}".replace(" ", "-")
    return f"{re.sub(r'[^A-Za-z0-9._-]', '', words).lstrip('._-')[:48]}-{digest[:8]}"


def _belongs(folder: Path, identity: dict[str, Any]) -> None:
    """Writes down whose the study is; raises `StudyError` where it is another's."""
    file = folder / "study.json"
    if not file.exists():
        write_json(file, identity)
        return
    try:
        known = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise StudyError(
            "study.json of a study is as it was written", f"{file}: {error}", f"delete {folder}"
        ) from error
    if known == identity:
        return
    parts = [name for name in identity if name != "settings" and known.get(name) != identity[name]]
    before, now = known["settings"], identity["settings"]
    parts += [
        f"{name}={now[name]}, before {before[name]}"
        for name in now
        if name in before and before[name] != now[name]
    ]
    raise StudyError(
        f"The study {folder.name} goes on with the data, backbone, search space and settings that it began with",
        f"another {' and another '.join(parts or ['version'])}",
        f"leave --study out or name another one; or delete {folder} to begin it again",
    )


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
