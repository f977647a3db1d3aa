from __future__ import annotations

from tests.ml.conftest import tiny_weights

__all__ = ["tiny_weights"]
