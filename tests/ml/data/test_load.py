from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ml.data import SPLITS, Dataset, DatasetError, Split, load_dataset
from ml.data.layout import IMAGE_SUFFIXES
from ml.errors import KennelError
from tests.conftest import MakePhotos


def load(source: Path | None, work: Path, seed: int = 1) -> Dataset:
    return load_dataset(source, seed=seed, work_dir=work / "work", progress=False)


def names(dataset: Dataset, split: Split) -> set[str]:
    return {sample.path.name for sample in dataset.split(split)}


def test_classes_are_the_sorted_folder_names_and_labels_their_indices(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    dataset = load(make_photos(), tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.counts == {"train": 8, "valid": 4, "test": 4}
    assert dataset.class_counts("train") == (4, 4)
    assert all(sample.path.parent.name == dataset.classes[sample.label] for sample in dataset.train)
    assert dataset.notes == ()


@pytest.mark.parametrize("folder", ["valid", "val", "validation", "Validation"])
def test_the_validation_split_may_have_any_of_its_usual_names(
    folder: str, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    (root / "valid").rename(root / folder)
    assert load(root, tmp_path).counts["valid"] == 4


def test_every_image_type_is_taken_whatever_the_case_of_its_suffix(tmp_path: Path) -> None:
    suffixes = [*sorted(IMAGE_SUFFIXES), ".JPG"]
    for split in SPLITS:
        for name in ("a", "b"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number, suffix in enumerate(suffixes):
                colour = (number, SPLITS.index(split) * 90, 200 * (name == "a"))
                Image.new("RGB", (16, 16), colour).save(folder / f"{number}{suffix}")
    assert load(tmp_path / "photos", tmp_path).counts["train"] == 2 * len(suffixes)


def test_hidden_files_and_what_macos_leaves_are_no_part_of_the_data(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    before = load(root, tmp_path)
    for path in (".DS_Store", "train/cat/._cat_000.png", "__MACOSX/train/cat/x.png", "train/.hidden/x.png"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"no image")
    assert load(root, tmp_path) == before


def test_files_that_are_no_photos_are_left_out_and_told_of(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos()
    (root / "train/cat/labels.csv").write_text("a,b")
    (root / "README").write_text("read me")
    (note,) = load(root, tmp_path).notes
    assert "1 × .csv" in note
    assert "1 × README" in note


def test_one_more_folder_around_everything_does_not_matter(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos(folder="outer/dogImages")
    assert load(tmp_path / "outer", tmp_path).digest == load(root, tmp_path).digest


def test_a_class_may_be_called_train(make_photos: MakePhotos, tmp_path: Path) -> None:
    dataset = load(make_photos({"train": 5, "tram": 5}), tmp_path)
    assert dataset.classes == ("train", "tram")


def test_a_class_has_the_same_name_composed_and_decomposed(make_photos: MakePhotos, tmp_path: Path) -> None:
    composed, decomposed = (
        "\N{LATIN CAPITAL LETTER E WITH ACUTE}pagneul",
        "E\N{COMBINING ACUTE ACCENT}pagneul",
    )
    layout = {
        f"train/{composed}": 2,
        "train/b": 2,
        f"valid/{decomposed}": 2,
        "valid/b": 2,
        f"test/{decomposed}": 2,
    }
    assert load(make_photos({**layout, "test/b": 2}), tmp_path).classes == ("b", composed)


def test_without_splits_each_class_is_dealt_out_70_15_15(make_photos: MakePhotos, tmp_path: Path) -> None:
    dataset = load(make_photos({"cat": 20, "dog": 40}), tmp_path)
    assert [dataset.class_counts(split) for split in SPLITS] == [(14, 28), (3, 6), (3, 6)]
    assert dataset.notes[0].startswith(
        "There was no valid and no test split: split off 15% for valid and 15% for test"
    )


def test_a_split_follows_from_the_seed_and_the_content_alone(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos({"cat": 20, "dog": 20})
    first = load(root, tmp_path)
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    for number, path in enumerate(sorted((moved / "cat").iterdir(), reverse=True)):
        path.rename(path.with_name(f"renamed{number:03}.png"))
    again = load(moved, tmp_path)
    assert [sample.sha256 for sample in again.train] == [sample.sha256 for sample in first.train]
    assert (again.digest, again.test_digest) == (first.digest, first.test_digest)
    assert load(root, tmp_path, seed=2).test_digest != first.test_digest


def test_copies_of_a_photo_stay_in_one_split(make_photos: MakePhotos, tmp_path: Path) -> None:
    root = make_photos({"cat": 10, "dog": 10})
    for path in sorted((root / "cat").iterdir()):
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    dataset = load(root, tmp_path)
    contents = [{sample.sha256 for sample in dataset.split(split)} for split in SPLITS]
    assert not contents[0] & contents[1] | contents[0] & contents[2] | contents[1] & contents[2]
    assert any("lie in their folder more than once: 10" in note for note in dataset.notes)


@pytest.mark.parametrize(("missing", "kept"), [("test", "valid"), ("valid", "test")])
def test_a_missing_split_is_taken_from_train_and_the_other_stays(
    missing: str, kept: str, make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos({"train/cat": 20, "train/dog": 20, f"{kept}/cat": 3, f"{kept}/dog": 3})
    dataset = load(root, tmp_path)
    assert dataset.counts == {"train": 34, missing: 6, kept: 6}
    assert names(dataset, kept) == {path.name for path in (root / kept).rglob("*.png")}
    assert dataset.notes == (
        f"There was no {missing} split: split off 15% for {missing} of each class (seed 1).",
    )


def test_train_alone_is_split_like_a_folder_without_splits(make_photos: MakePhotos, tmp_path: Path) -> None:
    whole = load(make_photos({"train/cat": 20, "train/dog": 20}), tmp_path)
    assert whole.counts == {"train": 28, "valid": 6, "test": 6}


def test_three_photos_a_class_are_enough_to_split(make_photos: MakePhotos, tmp_path: Path) -> None:
    assert load(make_photos({"cat": 3, "dog": 3}), tmp_path).counts == {"train": 2, "valid": 2, "test": 2}


def test_the_digest_changes_with_a_photo_its_class_and_its_split(
    make_photos: MakePhotos, tmp_path: Path
) -> None:
    root = make_photos()
    first = load(root, tmp_path)
    (root / "train/cat/cat_000.png").rename(root / "valid/cat/moved.png")
    moved = load(root, tmp_path)
    assert moved.digest != first.digest
    assert moved.test_digest == first.test_digest
    (root / "valid/cat/moved.png").rename(root / "train/dog/moved.png")
    relabelled = load(root, tmp_path)
    assert len({first.digest, moved.digest, relabelled.digest}) == 3
    (root / "test/dog/dog_000.png").unlink()
    assert load(root, tmp_path).test_digest != first.test_digest


def test_classes_of_very_different_size_are_told_of(make_photos: MakePhotos, tmp_path: Path) -> None:
    layout = {"train/cat": 9, "train/dog": 3, "valid/cat": 1, "valid/dog": 1, "test/cat": 1, "test/dog": 1}
    (note,) = load(make_photos(layout), tmp_path).notes
    assert note == "Classes differ in size: between 3 and 9 training photos."


def test_a_photo_that_was_decoded_once_is_not_decoded_again(
    make_photos: MakePhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_photos()
    first = load(root, tmp_path)

    def refuse(data: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr("ml.data.check.images.decode", refuse)
    assert load(root, tmp_path) == first


def test_without_a_source_the_digits_of_scikit_learn_are_written_as_grey_images(tmp_path: Path) -> None:
    dataset = load(None, tmp_path)
    assert dataset.classes == tuple("0123456789")
    assert sum(dataset.counts.values()) == 1797
    assert dataset.counts["test"] == pytest.approx(0.15 * 1797, abs=5)
    assert min(dataset.class_counts("test")) >= 25
    with Image.open(dataset.test[0].path) as image:
        assert (image.mode, image.size) == ("L", (64, 64))
    assert load(None, tmp_path / "again").digest == dataset.digest
    assert load(None, tmp_path, seed=2).test_digest != dataset.test_digest


def test_real_photos_load_in_their_layout(dog_images: Path, tmp_path: Path) -> None:
    dataset = load(dog_images, tmp_path)
    assert len(dataset.classes) == 10
    assert dataset.counts == {"train": 600, "valid": 200, "test": 200}
    assert dataset.notes == ()


def test_a_source_that_does_not_exist_is_named_with_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"s3://bucket/prefix") as caught:
        load(tmp_path / "nowhere", tmp_path)
    assert caught.value.codes == ("no-source",)
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert isinstance(caught.value, KennelError)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos.txt").write_text("no archive")
    with pytest.raises(DatasetError, match="must be a zip or tar archive") as caught:
        load(tmp_path / "photos.txt", tmp_path)
    assert caught.value.codes == ("not-an-archive",)
