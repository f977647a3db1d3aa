"""Unpacking an archive that may come from anyone."""

from __future__ import annotations

import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal, cast

from ml.data.dataset import DatasetError, Finding
from ml.data.files import building, relative_path
from ml.data.layout import is_hidden
from ml.data.progress import bar

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_UNPACKED_BYTES = 64 * 2**30
MAX_MEMBERS = 5_000_000

_CHUNK = 2**20  # bytes
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,  # gzip and bz2 raise it for broken data; also a name twice, or too long for the disk
    ValueError,
    NotImplementedError,  # a zip compression method that Python does not know
)

Kind = Literal["file", "folder", "link", "device", "encrypted"]
_REFUSED = {
    "link": "an archive must hold no links",
    "device": "an archive must hold nothing but files and folders",
    "encrypted": "an archive must not be encrypted",
}


@dataclass(frozen=True)
class _Member:
    name: str
    kind: Kind
    size: int  # bytes, as the archive says
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except _BROKEN:
        return True  # compressed and damaged, or not to be read: `unpack` says how


def unpack(
    archive: Path, work_dir: Path, *, progress: bool = False, max_bytes: int = MAX_UNPACKED_BYTES
) -> Path:
    """The folder with what is in `archive`, kept under the hash of its content, so it is unpacked once.

    Refused whole, leaving nothing behind: links and devices, names that lead out of the folder, more than
    `max_bytes` whatever the headers promise, what is encrypted or broken.
    """
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        target = work_dir / "unpacked" / digest[:32]
        with building(target) as folder:
            if folder is not None:
                with _members(archive) as members:
                    _write(
                        bar(members, title="Unpacking", unit="file", show=progress),
                        folder,
                        archive,
                        max_bytes,
                    )
    except _BROKEN as error:
        raise _refusal(archive, f"an archive must be whole and readable: {error}") from error
    return target


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as pack:
            yield _zip_members(pack)
    else:
        with tarfile.open(archive) as tar:
            yield _tar_members(tar)


def _zip_members(pack: zipfile.ZipFile) -> Iterator[_Member]:
    for info in pack.infolist():
        kind: Kind = "folder" if info.is_dir() else "file"
        mode = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
        if info.flag_bits & 1:
            kind = "encrypted"
        elif mode == stat.S_IFLNK:
            kind = "link"
        elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "device"
        # Some Windows programs write backslashes, against the format's rule.
        name = info.filename.replace("\\", "/")
        yield _Member(name, kind, info.file_size, partial(pack.open, info))


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        kind: Kind = "device"
        if info.issym() or info.islnk():
            kind = "link"
        elif info.isdir():
            kind = "folder"
        elif info.isfile():
            kind = "file"
        yield _Member(info.name, kind, info.size, partial(tar.extractfile, info))
    # tarfile stops before the end of the compressed data, where its checksum is.
    rest = cast(IO[bytes], tar.fileobj)
    rest.seek(tar.offset)
    if len(rest.read(_CHUNK)) == _CHUNK:
        raise tarfile.ReadError("there is more after its end")


def _write(members: Iterator[_Member], folder: Path, archive: Path, max_bytes: int) -> None:
    left = max_bytes
    for number, member in enumerate(members, start=1):
        path = relative_path(member.name)
        if path is None:
            raise _refusal(archive, "an archive must name nothing outside of its own folder", member.name)
        if member.kind in _REFUSED:
            raise _refusal(archive, _REFUSED[member.kind], member.name)
        if member.size > left or number > MAX_MEMBERS:
            raise _too_much(archive, max_bytes)
        if any(is_hidden(part) for part in path.parts):
            left -= member.size  # a tar must be decompressed to be skipped
        elif member.kind == "folder":
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("xb") as out, cast(IO[bytes], member.open()) as content:
                while chunk := content.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise _too_much(archive, max_bytes)
                    out.write(chunk)


def _too_much(archive: Path, max_bytes: int) -> DatasetError:
    size = f"{max_bytes / 2**30:,.0f} GiB" if max_bytes >= 2**30 else f"{max_bytes:,} bytes"
    message = f"an archive must unpack to no more than {size} and {MAX_MEMBERS:,} files"
    return _refusal(archive, message, remedy="unpack it yourself and name the folder.")


def _refusal(archive: Path, message: str, name: str | None = None, remedy: str = "") -> DatasetError:
    remedy = remedy or "pack the photos again, as plain files in folders, or name a folder."
    return DatasetError(str(archive), [Finding("archive", message, (name,) if name else (), remedy)])
