"""Application Auto Scaling as a pure engine: no clock, no cloud, no thread; every call says what time it is.

The embedded cloud drives it with what its endpoints measure, the simulator with what a traffic would have made them
measure. `assumptions` says of each parameter whether AWS documents it, users observed it, or it is assumed.
"""

from localcloud.scaling.activities import Activity, Reason
from localcloud.scaling.alarms import Alarm, State, Watch, evaluate
from localcloud.scaling.assumptions import Assumptions
from localcloud.scaling.policies import (
    FAST_METRIC,
    MINUTE_METRIC,
    Limits,
    Policy,
    ScalingError,
    ScheduledAction,
    Step,
    StepScaling,
    Suspended,
    TargetTracking,
)
from localcloud.scaling.scaler import Scaler

__all__ = [
    "FAST_METRIC",
    "MINUTE_METRIC",
    "Activity",
    "Alarm",
    "Assumptions",
    "Limits",
    "Policy",
    "Reason",
    "Scaler",
    "ScalingError",
    "ScheduledAction",
    "State",
    "Step",
    "StepScaling",
    "Suspended",
    "TargetTracking",
    "Watch",
    "evaluate",
]
