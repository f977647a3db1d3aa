"""What a load may cost in an AWS account, told before it starts."""

from __future__ import annotations

from ml.errors import KennelError
from ops.load.options import MAX_RATE, Where
from ops.load.target import Instances
from ops.prices import hourly_usd

SCALE_IN_SECONDS = (
    25 * 60
)  # until instances that came are gone again: 15 minutes of low traffic, and their ending
REQUEST_USD = 0.20 / 1e6  # of Lambda
GB_SECOND_USD = 0.0000166667  # of Lambda, x86
FUNCTION_GB, FUNCTION_SECONDS = 0.5, 1.0  # assumed of a call


def estimate(found: Instances, region: str, seconds: float, rate: float | None, on: Where) -> list[str]:
    """Lines for a person: instances that may come, and the most that this can cost."""
    lines = [f"instances now   {found.count} of {found.type or 'serverless'}"]
    total = 0.0
    if found.most > found.count and found.type is not None:
        lines.append(
            f"may come        {found.most - found.count} more, and stay some 25 minutes after the load"
        )
    if found.type is not None:
        try:
            hourly = hourly_usd(found.type, region)
        except KennelError:
            lines.append(f"price           of {found.type} in {region} not known")
        else:
            extra = (found.most - found.count) * hourly * (seconds + SCALE_IN_SECONDS) / 3600
            total += extra
            lines.append(
                f"instances       at most {extra:.2f} USD more than without the load, at {hourly:g} USD an hour"
            )
    if on == "lambda":
        calls = (MAX_RATE if rate is None else rate) * seconds
        function = calls * (REQUEST_USD + GB_SECOND_USD * FUNCTION_GB * FUNCTION_SECONDS)
        total += function
        lines.append(f"function        at most {function:.2f} USD for {calls:,.0f} calls")
    lines.append(f"in all          about {total:.2f} USD at most, beside traffic and logs")
    return lines
