from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from ml.data import DatasetError, load_dataset
from ml.data.archive import unpack
from tests.conftest import MakePhotos


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_gives_what_its_folder_gives(kind: str, make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos(folder="dogImages")
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), kind, tmp_path, "dogImages"))
    work = tmp_path / "work"
    packed = load_dataset(archive, seed=1, work_dir=work, progress=False)
    assert packed.digest == load_dataset(root, seed=1, work_dir=work, progress=False).digest
    assert packed.counts == {"train": 8, "valid": 4, "test": 4}


def test_an_archive_is_unpacked_once(make_photos: MakePhotos, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", make_photos()))
    first = unpack(archive, tmp_path / "work")
    before = first.stat().st_mtime_ns
    assert unpack(archive, tmp_path / "work") == first
    assert first.stat().st_mtime_ns == before


def test_an_empty_folder_of_an_archive_is_an_empty_class(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos({"cat": 3, "dog": 3})
    (root / "fox").mkdir()
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "gztar", root))
    with pytest.raises(DatasetError) as caught:
        load_dataset(archive, seed=1, work_dir=tmp_path / "work", progress=False)
    assert caught.value.codes == ("empty-class",)


def test_what_macos_packs_beside_the_photos_is_not_unpacked(tmp_path: Path) -> None:
    archive = zip_of(tmp_path, {"a/x.png": b"x", "__MACOSX/a/._x.png": b"", "a/.DS_Store": b""})
    folder = unpack(archive, tmp_path / "work")
    assert [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()] == [Path("a/x.png")]


def test_backslashes_of_windows_programs_separate_folders(tmp_path: Path) -> None:
    assert (unpack(zip_of(tmp_path, {"a\\x.png": b"x"}), tmp_path / "work") / "a/x.png").read_bytes() == b"x"


@pytest.mark.parametrize(
    "name", ["../x.png", "/kennel-outside/x.png", "a/../../x.png", "..\\x.png", ".hidden/../../x.png"]
)
def test_a_zip_that_names_something_outside_is_refused(name: str, tmp_path: Path) -> None:
    refused(
        zip_of(tmp_path, {"a/first.png": b"x", name: b"x"}), tmp_path, "nothing outside of its own folder"
    )


@pytest.mark.parametrize("name", ["../x.png", "/kennel-outside/x.png", "a/../../x.png"])
def test_a_tar_that_names_something_outside_is_refused(name: str, tmp_path: Path) -> None:
    refused(tar_of(tmp_path, tarfile.TarInfo(name)), tmp_path, "nothing outside of its own folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("a/x.png")
    link.type, link.linkname = kind, "/etc/passwd"
    refused(tar_of(tmp_path, link), tmp_path, "must hold no links")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/x.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as pack:
        pack.writestr(link, "/etc/passwd")
    refused(tmp_path / "photos.zip", tmp_path, "must hold no links")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    device = tarfile.TarInfo("a/x.png")
    device.type = kind
    refused(tar_of(tmp_path, device), tmp_path, "nothing but files and folders")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path, {"a/x.png": b"x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag, in the central directory
    (tmp_path / "photos.zip").write_bytes(data)
    refused(tmp_path / "photos.zip", tmp_path, "must not be encrypted")


@pytest.mark.parametrize("hidden", [False, True])
def test_an_archive_that_unpacks_to_too_much_is_refused(hidden: bool, tmp_path: Path) -> None:
    name = ".hidden/bomb" if hidden else "a/bomb.png"
    archive = zip_of(tmp_path, {name: bytes(5_000_000)})
    assert archive.stat().st_size < 10_000
    refused(archive, tmp_path, "no more than 1,000,000 bytes", max_bytes=1_000_000)


def test_the_size_that_an_archive_claims_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path, {"a/bomb.png": bytes(5_000_000)}).read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (100).to_bytes(4, "little")
    (tmp_path / "photos.zip").write_bytes(data)
    refused(tmp_path / "photos.zip", tmp_path, "must be whole and readable", max_bytes=1_000_000)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as pack:
        pack.addfile(tarfile.TarInfo("a/x.png"))
        pack.addfile(tarfile.TarInfo("a/x.png"))
    refused(tmp_path / "photos.tar", tmp_path, "must be whole and readable")


def test_two_archives_in_one_file_are_refused(tmp_path: Path) -> None:
    one = tar_of(tmp_path, tarfile.TarInfo("a/x.png")).read_bytes()
    big = tarfile.TarInfo("a/y.png")
    big.size = 2_000_000
    two = tar_of(tmp_path, big, bytes(big.size)).read_bytes()
    (tmp_path / "photos.tar.gz").write_bytes(one + two)
    refused(tmp_path / "photos.tar.gz", tmp_path, "there is more after its end")


@pytest.mark.parametrize("kind", ["zip", "gztar", "bztar", "xztar"])
def test_a_damaged_archive_is_refused_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "photos/a").mkdir(parents=True)
    (tmp_path / "photos/a/x.png").write_bytes(os.urandom(50_000))
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "photos"))
    data = bytearray(archive.read_bytes())
    data[20_000:20_100] = bytes(100)
    archive.write_bytes(data)
    refused(archive, tmp_path, "must be whole and readable")


def test_an_archive_cut_short_is_refused(make_photos: MakePhotos, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "gztar", make_photos()))
    whole = archive.read_bytes()
    for size in (20, len(whole) - 5000):
        archive.write_bytes(whole[:size])
        with pytest.raises(DatasetError, match="must be whole and readable"):
            load_dataset(archive, seed=1, work_dir=tmp_path / "work", progress=False)


def refused(archive: Path, tmp_path: Path, message: str, **limits: int) -> None:
    """Is refused by that rule, and nothing is left of it, inside of the working folder or outside."""
    before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
    with pytest.raises(DatasetError, match=message) as caught:
        unpack(archive, tmp_path / "work", **limits)
    assert caught.value.codes == ("archive",)
    assert list((tmp_path / "work/unpacked").iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} == before
    assert not Path("/kennel-outside").exists()


def zip_of(tmp_path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in files.items():
            pack.writestr(name, content)
    return tmp_path / "photos.zip"


def tar_of(tmp_path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as pack:
        pack.addfile(member, io.BytesIO(content))
    return tmp_path / "photos.tar.gz"
