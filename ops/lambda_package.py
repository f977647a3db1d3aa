"""Pack the Lambda's modules into a zip that is the same, byte for byte, wherever it is made.

The same bytes mean the same hash, and so no change in Terraform's plan where nothing has changed.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from ml.errors import KennelError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
MODE = 0o100644  # a regular file that Lambda's own user may read


class LambdaPackageError(KennelError):
    """The folder cannot be packed."""


def build(source_dir: Path, out_path: Path) -> str:
    """Writes the zip and returns its SHA-256 in hex."""
    modules = sorted(source_dir.glob("*.py"))
    if not any(module.name == "handler.py" for module in modules):
        raise LambdaPackageError(
            "The folder of the Lambda must hold handler.py.", str(source_dir), "Name the folder lambda/."
        )
    packed = io.BytesIO()
    # Stored, not compressed: zlib's output differs between its versions and builds.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for module in modules:
            entry = zipfile.ZipInfo(module.name, EPOCH)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = MODE << 16
            # A checkout on Windows may have turned the line ends.
            archive.writestr(entry, module.read_bytes().replace(b"\r\n", b"\n"))
    content = packed.getvalue()
    out_path.parent.mkdir(parents=True, exist_ok=True)
    if not out_path.is_file() or out_path.read_bytes() != content:
        out_path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
