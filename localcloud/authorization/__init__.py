"""Who may do what: callers known by their keys, requests as actions on resources, and IAM's decision."""

from __future__ import annotations

from localcloud.authorization.errors import Denied
from localcloud.authorization.network import Source, Unreachable
from localcloud.authorization.services import check, issue

__all__ = ["Denied", "Source", "Unreachable", "check", "issue"]
