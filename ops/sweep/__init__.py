"""Finds what is ours in a cloud, and removes it: the proof after a destroy, and the repair after a killed apply.

Terraform knows what it stored. What a killed Terraform made and did not store, and what services make by
themselves (log groups, network interfaces), is found here: by name below the stage's prefix, and by the tag that the
root module puts on everything. Where something has the tag of somebody else, it is not ours, whatever its name is.
A data bucket is never among it.
"""

from ops.sweep.kinds import KINDS, MADE, RESOURCES, Kind
from ops.sweep.listing import TAG
from ops.sweep.others import purge_bucket, remove_bucket
from ops.sweep.sweeper import Found, Survey, Sweeper

__all__ = [
    "KINDS",
    "MADE",
    "RESOURCES",
    "TAG",
    "Found",
    "Kind",
    "Survey",
    "Sweeper",
    "purge_bucket",
    "remove_bucket",
]
