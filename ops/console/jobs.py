"""Jobs and local runs, and the curves of each."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

from ml.errors import KennelError
from ml.metric_lines import MEASURES, metric_name
from ops import files
from ops.console.cloud import Cloud
from ops.console.endpoint import seconds
from ops.console.traffic import read
from ops.jobs.results import JOB
from ops.jobs.sagemaker import latest_jobs
from ops.paths import RUNS, WORK

SHOWN = 15
MAX_TRIALS = 500
RUN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,100}")


def jobs(cloud: Cloud) -> list[dict[str, Any]]:
    """The stage's latest jobs, the newest first."""
    found = latest_jobs(cloud.client("sagemaker"), f"{cloud.prefix}-", SHOWN)
    return [
        {
            "kind": job.kind,
            "name": job.name,
            "status": job.status,
            "began": seconds(job.created),
            "ended": seconds(job.ended),
        }
        for job in found[:SHOWN]
    ]


def curves(cloud: Cloud, kind: str, name: str) -> dict[str, Any]:
    """A job's curves: by epoch where its run is here, by minute from CloudWatch else; by trial of a tuning job."""
    if not name.startswith(f"{cloud.prefix}-"):
        raise KennelError("A job to look at is of this stage.", name, "./inv jobs lists them.")
    if kind == "tuning":
        return _trials(cloud, name)
    for run in _folders():
        if (files.read_json(run / JOB) or {}).get("name") == name:
            return {"by": "epoch", "points": _history(run), "report": f"/runs/{run.name}"}
    return {"by": "minute", "points": _measured(cloud, name)}


def _trials(cloud: Cloud, name: str) -> dict[str, Any]:
    client = cloud.client("sagemaker")
    pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending",
        PaginationConfig={"MaxItems": MAX_TRIALS},
    )  # fmt: skip
    trials, best = [], None
    for page in pages:
        for trial in page["TrainingJobSummaries"]:
            metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
            value = float(metric["Value"]) if math.isfinite(metric.get("Value", math.nan)) else None
            best = value if best is None else best if value is None else min(best, value)
            trials.append({"status": trial["TrainingJobStatus"], "value": value, "best": best})
    return {"by": "trial", "points": trials}


def _measured(cloud: Cloud, name: str) -> list[dict[str, float]]:
    found = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    began = (found.get("TrainingStartTime") or found["CreationTime"]).timestamp()
    ended = found["TrainingEndTime"].timestamp() if "TrainingEndTime" in found else time.time()
    # One GetMetricData answers 100,800 points at most: a long job gets wider ones, as CloudWatch keeps them.
    period = 60 if ended - began < 12 * 3600 else 3600
    queries = [
        {
            "Id": measure,
            "MetricStat": {
                "Metric": {
                    "Namespace": "/aws/sagemaker/TrainingJobs",
                    "MetricName": metric_name(measure),
                    "Dimensions": [{"Name": "TrainingJobName", "Value": name}],
                },
                "Period": period,
                "Stat": "Average",
            },
        }
        for measure in MEASURES[:4]
    ]
    start = began // period * period
    rows: dict[float, dict[str, float]] = {}
    for measure, points in read(cloud, queries, start, max(ended, start + 1) + period).items():
        for at, value in points:
            rows.setdefault(at, {"minute": (at - start) / 60})[measure] = value
    return [rows[at] for at in sorted(rows)]


def runs() -> dict[str, Any]:
    """The latest runs of this machine and its studies, whatever the stage."""
    return {
        "runs": [_run(folder) for folder in _folders()[:SHOWN]],
        "studies": [
            {"name": folder.name, "report": f"/studies/{folder.name}", "at": (folder / "report.html").stat().st_mtime}
            for folder in sorted((WORK / "tune").glob("*"), reverse=True)[:SHOWN]
            if (folder / "report.html").is_file()
        ],
    }  # fmt: skip


def report(folder: Path, name: str) -> Path | None:
    """The report of the run or study of this name; None where there is none."""
    path = folder / name / "report.html"
    return path if RUN_NAME.fullmatch(name) and path.is_file() else None


def _folders() -> list[Path]:
    return sorted((path.parent for path in RUNS.glob("*/metrics.json")), reverse=True)


def _run(folder: Path) -> dict[str, Any]:
    metrics = files.read_json(folder / "metrics.json") or {}
    config = files.read_json(folder / "config.json") or {}
    return {
        "name": folder.name,
        "at": (folder / "metrics.json").stat().st_mtime,
        "backbone": config.get("backbone"),
        "accuracy": (metrics.get("evaluation") or {}).get("accuracy"),
        "job": (files.read_json(folder / JOB) or {}).get("name"),
        "report": f"/runs/{folder.name}" if (folder / "report.html").is_file() else None,
        "points": _history(folder),
    }


def _history(folder: Path) -> list[dict[str, float]]:
    metrics = files.read_json(folder / "metrics.json") or {}
    kept = {"epoch", *MEASURES}
    return [
        {
            name: value
            for name, value in row.items()
            if name in kept and isinstance(value, int | float) and math.isfinite(value)
        }
        for row in metrics.get("history") or []
    ]
