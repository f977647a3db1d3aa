"""Load on a deployed endpoint or function, and what it comes to: `./inv load`."""

from ops.load.run import Asked, Loading
from ops.load.text import lines

__all__ = ["Asked", "Loading", "lines"]
