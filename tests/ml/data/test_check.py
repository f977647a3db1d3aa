from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ml.data import DatasetError, Finding, load_dataset
from tests.conftest import MakePhotos


def findings(source: Path, work: Path) -> dict[str, Finding]:
    """What is found, by code."""
    with pytest.raises(DatasetError) as caught:
        load_dataset(source, seed=1, work_dir=work / "work", progress=False)
    assert len(set(caught.value.codes)) == len(caught.value.codes)
    return {finding.code: finding for finding in caught.value.findings}


def test_everything_that_is_wrong_is_in_one_report(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "train/cat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (root / "train/fox").mkdir()
    shutil.copy(root / "train/cat/cat_000.png", root / "test/cat/again.png")
    shutil.copy(root / "train/cat/cat_001.png", root / "train/dog/again.png")
    (root / "loose.png").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        load_dataset(root, seed=1, work_dir=tmp_path / "work", progress=False)
    assert set(caught.value.codes) == {
        "unreadable", "empty-class", "class-sets", "duplicate-splits", "duplicate-classes", "no-class",
    }  # fmt: skip
    assert str(caught.value).startswith(
        "Data is checked before anything slow starts, and 6 problems were found:"
    )
    assert all(finding.message in str(caught.value) for finding in caught.value.findings)
    assert caught.value.source == str(root)


def test_a_folder_without_photos_is_told_what_was_found_instead(tmp_path: Path) -> None:
    (tmp_path / "photos/cat").mkdir(parents=True)
    (tmp_path / "photos/cat/one.heic").write_bytes(b"x")
    found = findings(tmp_path / "photos", tmp_path)
    assert list(found) == ["no-images"]
    assert found["no-images"].items == ("found: 1 × .heic",)


def test_an_empty_folder_has_no_photos(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert findings(tmp_path / "photos", tmp_path)["no-images"].items == ("found: no file at all",)


def test_one_class_is_too_few(make_photos: MakePhotos, tmp_path: Path) -> None:
    found = findings(make_photos({"train/cat": 3, "valid/cat": 1, "test/cat": 1}), tmp_path)
    assert found["few-classes"].items == ("cat",)


def test_an_empty_class_is_named_with_its_split(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    for path in (root / "valid/dog").iterdir():
        path.unlink()
    found = findings(root, tmp_path)
    assert list(found) == ["empty-class"]
    assert found["empty-class"].items == ("valid/dog",)


def test_class_sets_that_differ_are_told_class_by_class(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "valid/dog").rename(root / "valid/Dog")
    found = findings(root, tmp_path)
    assert list(found) == ["class-sets"]
    assert found["class-sets"].items == ("Dog: not in train, test", "dog: not in valid")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_no_image_is_unreadable(
    content: bytes, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    (root / "test/dog/bad.png").write_bytes(content)
    found = findings(root, tmp_path)
    assert list(found) == ["unreadable"]
    assert found["unreadable"].items[0].startswith("test/dog/bad.png: ")


def test_an_image_that_is_cut_short_is_unreadable(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos(suffix=".jpg", size=(200, 200))
    photo = root / "train/cat/cat_000.jpg"
    photo.write_bytes(photo.read_bytes()[:-2000])
    assert list(findings(root, tmp_path)) == ["unreadable"]


def test_a_link_to_nothing_is_unreadable(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "train/cat/link.png").symlink_to(root / "gone.png")
    assert findings(root, tmp_path)["unreadable"].items == ("train/cat/link.png: No such file or directory",)


def test_a_broken_photo_is_found_again_by_the_next_check(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "test/dog/bad.png").write_bytes(b"no image")
    assert findings(root, tmp_path) == findings(root, tmp_path)


def test_a_photo_in_two_splits_is_named_with_all_its_places(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    shutil.copy(root / "train/cat/cat_000.png", root / "test/cat/other_name.png")
    found = findings(root, tmp_path)
    assert list(found) == ["duplicate-splits"]
    assert found["duplicate-splits"].items == ("train/cat/cat_000.png = test/cat/other_name.png",)


@pytest.mark.parametrize("layout", [None, {"cat": 4, "dog": 4}])
def test_a_photo_under_two_classes_is_refused(
    layout: dict[str, int] | None, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos(layout) if layout else make_photos()
    folder = root if layout else root / "train"
    shutil.copy(folder / "cat/cat_000.png", folder / "dog/cat_again.png")
    assert list(findings(root, tmp_path)) == ["duplicate-classes"]


def test_too_few_photos_to_split_off_what_is_missing(make_photos: MakePhotos, tmp_path: Path) -> None:
    found = findings(make_photos({"cat": 2, "dog": 5}), tmp_path)
    assert found["too-few"].items == ("cat: 2",)
    assert "at least 3 different photos" in found["too-few"].message


def test_two_photos_are_enough_where_one_split_is_missing_and_one_is_not(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    layout = {"train/cat": 1, "train/dog": 2, "test/cat": 1, "test/dog": 1}
    found = findings(make_photos(layout), tmp_path)
    assert found["too-few"].items == ("cat: 1",)
    assert "at least 2 different photos" in found["too-few"].message


def test_splits_without_train_are_refused(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    shutil.rmtree(root / "train")
    assert findings(root, tmp_path)["no-train"].items == ("valid", "test")


def test_a_split_without_class_folders_is_refused_with_its_photos(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    for path in sorted((root / "test").rglob("*.png")):
        path.rename(root / "test" / path.name)
    shutil.rmtree(root / "test/cat")
    shutil.rmtree(root / "test/dog")
    found = findings(root, tmp_path)
    assert list(found) == ["no-class", "empty-split"]
    assert len(found["no-class"].items) == 4


def test_photos_beside_the_splits_are_refused(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "extra").mkdir()
    shutil.copy(root / "train/cat/cat_000.png", root / "extra/x.png")
    assert findings(root, tmp_path)["no-split"].items == ("extra",)


def test_photos_deeper_than_their_class_folder_are_refused(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "train/cat/indoors").mkdir()
    (root / "train/cat/cat_000.png").rename(root / "train/cat/indoors/cat_000.png")
    assert findings(root, tmp_path)["nested"].items == ("train/cat/indoors",)


def test_two_folders_for_one_split_are_refused(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    shutil.copytree(root / "valid", root / "val")
    assert findings(root, tmp_path)["split-twice"].items == ("val", "valid")


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines"])
def test_a_class_name_that_cannot_be_shown_is_refused(
    name: bytes, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos({"cat": 4, "dog": 4})
    os.rename(os.fsencode(root / "dog"), os.path.join(os.fsencode(root), name))  # noqa: PTH104, PTH118
    assert "class-name" in findings(root, tmp_path)


def test_a_long_list_is_cut_short_for_people_but_whole_for_programs(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    for number in range(1200):
        (root / f"train/cat/bad{number:04}.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"and 1,192 more") as caught:
        load_dataset(root, seed=1, work_dir=tmp_path / "work", progress=False)
    assert len(caught.value.findings[0].items) == 1200
    assert str(caught.value).count("bad") == 8
