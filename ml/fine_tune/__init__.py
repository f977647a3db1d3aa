"""Trains the backbone on, together with its head: in one process, or in several that share each batch."""

from ml.fine_tune.trainer import FineTuned, fine_tune

__all__ = ["FineTuned", "fine_tune"]
