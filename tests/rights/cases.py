"""Which scenario needs which statement."""

from __future__ import annotations

from dataclasses import dataclass

from tests.rights import pipeline
from tests.rights import scenarios as do
from tests.rights.mutation import GATEWAY, THEIR_BUCKET, THEIR_KEY, Document, of_role
from tests.rights.scenarios import Scenario


@dataclass(frozen=True)
class Case:
    document: Document
    sid: str
    scenario: Scenario
    role: str  # whose call is refused


_NETWORK = ("AttachToTheNetwork", "ManageOwnInterfaces", "DescribeTheNetwork")
_IMAGE = ("LogInToTheRegistry", "PullTheImage")
_DATA = ("ListData", "ReadData", "DecryptData")

_NEEDS: dict[str, dict[str, Scenario]] = {
    "lambda": {
        "AskTheEndpoint": do.ask,
        "WriteLogs": do.log_of_function,
        "SendTraces": do.trace,
        "ReportFailedCalls": do.failed_call,
        **dict.fromkeys(_NETWORK, do.another_function),
    },
    "endpoint": {
        **dict.fromkeys((*_IMAGE, *_NETWORK, "ReadModels", "UseArtifactKey"), do.another_instance),
        "WriteLogs": do.log_of_endpoint,
        "RecordRequests": do.capture,
        **dict.fromkeys(_DATA, do.bulk_of_data),
        **dict.fromkeys(("ReadScratch", "ListScratch", "WriteAnswers"), do.bulk_of_scratch),
        "WriteBulkLogs": do.log_of_bulk,
        "FindBulkLogs": do.first_log_of_bulk,
        "PublishInstanceMetrics": do.usage,
    },
    "training": {
        **dict.fromkeys(_DATA, do.job_on_data),
        **dict.fromkeys(
            (*_IMAGE, *_NETWORK, "ReadAndWriteScratch", "ListScratch", "UseArtifactKey"),
            do.job_with_checkpoints,
        ),
        "WriteLogs": do.log_of_job,
        "FindLogs": do.first_log_of_job,
        "PublishMetrics": do.metric_of_job,
    },
    "training_instance": {
        **dict.fromkeys(_DATA, do.instance_reads_data),
        **dict.fromkeys(("ReadAndWriteScratch", "ListScratch"), do.instance_reads_scratch),
        "UseArtifactKey": do.instance_writes,
        "TakeBackUploads": do.instance_breaks_off,
        **dict.fromkeys(("ReadWheelhouse", "ListWheelhouse"), do.instance_reads_wheels),
        "RegisterWithSystemsManager": do.command,
        "OpenSessions": do.command,
        **dict.fromkeys(("WriteLogs", "FindLogGroup"), do.log_of_command),
    },
    "notebook": {
        **dict.fromkeys(_DATA, do.notebook_reads_data),
        **dict.fromkeys(("ReadAndWriteScratch", "ListScratch"), do.notebook_reads_scratch),
        "UseArtifactKey": do.notebook_writes,
        "TakeBackUploads": do.notebook_breaks_off,
        **dict.fromkeys(_NETWORK, do.notebook_starts),
        **dict.fromkeys(("RunTrainingJobs", "HandTrainingItsRole"), do.notebook_trains),
        "AskTheEndpoint": do.notebook_asks,
        "StopWhenIdle": do.notebook_stops,
        "WriteLogs": do.log_of_notebook,
    },
}
_READERS: dict[str, Scenario] = {
    "Endpoint": do.bulk_of_data,
    "Training": do.job_on_data,
    "TrainingInstance": do.instance_reads_data,
    "Notebook": do.notebook_reads_data,
}


def _all() -> list[Case]:
    found = [
        Case(of_role(actor), sid, scenario, of_role(actor).name)
        for actor, needs in _NEEDS.items()
        for sid, scenario in needs.items()
    ]
    flow_logs = of_role("flow_logs", "write-flow-logs")
    found += [Case(flow_logs, sid, do.flow_log, flow_logs.name) for sid in ("WriteFlowLogs", "FindLogGroup")]
    for reader, scenario in _READERS.items():
        role = f"kennel-local-{'training-instance' if reader == 'TrainingInstance' else reader.lower()}"
        found += [
            Case(THEIR_BUCKET, f"{reader}{what}", scenario, role) for what in ("ListsData", "ReadsData")
        ]
        found.append(Case(THEIR_KEY, f"{reader}Decrypts", scenario, role))
    found.append(Case(GATEWAY, "ReadAndWriteOurBuckets", do.job_on_scratch, "kennel-local-training"))
    found.append(Case(GATEWAY, "ReadDataBuckets", do.job_on_data, "kennel-local-training"))
    instance = "kennel-local-training-instance"
    found.append(Case(GATEWAY, "InstallAmazonLinuxPackages", do.instance_reads_packages, instance))
    found.append(Case(GATEWAY, "PullImageLayers", do.instance_reads_layers, instance))
    found += [
        Case(document, sid, pipeline.again(document, sid), pipeline.ROLE)
        for document, sids in ((pipeline.READ, _READ), (pipeline.STATE, _STATE))
        for sid in sids
    ]
    return found


_READ = (
    "ReadTheNetwork", "ReadTheInstance", "ReadAttributes", "ReadTheImageOfInstances", "ReadBuckets",
    "ReadArchives", "ReadRoles",
    "ReadTheInstanceProfile", "ReadTheFunction", "ReadLimitsAndNames", "ReadTheEndpoint",
    "ReadTheStackOfAnEndpointThatScalesToZero", "ReadScaling", "ReadTagsOfScaling", "ReadAlarms",
    "ReadTheDashboard", "ReadLogGroups", "ReadRepositories", "ReadTopics", "ReadSubscriptions",
)  # fmt: skip
_STATE = ("ReadTheState", "LockTheState", "KeepPlans")
CASES = _all()
MORE = (
    pipeline.plan,
    do.session,
    do.notebook_tunes,
    do.job_on_scratch,
    do.instance_writes,
)  # what no statement stands or falls by
