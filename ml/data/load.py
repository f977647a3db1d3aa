"""From whatever the user named to a checked `Dataset`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ml.data.archive import is_archive, unpack
from ml.data.check import Photo, check
from ml.data.dataset import SPLITS, Dataset, DatasetError, Finding, Sample, Split
from ml.data.digits import write_digits
from ml.data.layout import Layout, scan
from ml.data.s3 import download
from ml.data.splits import SHARES, split_off

_SOURCES = "name a folder, a zip or tar archive, or s3://bucket/prefix."


def load_dataset(source: str | Path | None, *, seed: int, work_dir: Path, progress: bool = True) -> Dataset:
    """Finds, checks and splits the photos of `source`: a folder, a zip or tar archive, `s3://bucket/prefix`,
    or None for the handwritten digits of scikit-learn.

    `seed` decides only what goes into which split where the source does not say; `work_dir` keeps what was
    unpacked, downloaded or already checked. Raises `DatasetError` with all that is wrong.
    """
    shown = "the handwritten digits of scikit-learn" if source is None else str(source)
    folder = _folder(source, seed, work_dir, progress)
    try:
        layout = scan(folder)
    except OSError as error:  # a folder that may not be listed
        message = f"every folder must be readable: {error.strerror}"
        raise DatasetError(shown, [Finding("unreadable", message, (str(error.filename),))]) from error
    photos, findings = check(layout, work_dir=work_dir, progress=progress)
    if findings:
        raise DatasetError(shown, findings)
    return _split(layout, photos, seed)


def _folder(source: str | Path | None, seed: int, work_dir: Path, progress: bool) -> Path:
    if source is None:
        return write_digits(work_dir / "digits", seed=seed)
    if str(source).startswith("s3://"):
        found = download(str(source), work_dir / "s3", progress=progress)
    else:
        found = Path(source).expanduser()
    if found.is_dir():
        return found
    if not found.exists():
        raise DatasetError(
            str(source), [Finding("no-source", "the data must exist", (str(source),), _SOURCES)]
        )
    if not is_archive(found):
        message = "a file must be a zip or tar archive that is whole"
        raise DatasetError(str(source), [Finding("not-an-archive", message, (str(source),), _SOURCES)])
    return unpack(found, work_dir, progress=progress)


def _split(layout: Layout, photos: Iterable[Photo], seed: int) -> Dataset:
    classes = layout.classes
    label = {name: number for number, name in enumerate(classes)}
    splits: dict[Split, list[Sample]] = {split: [] for split in SPLITS}
    for photo in photos:
        splits[photo.split or "train"].append(Sample(label[photo.class_name], photo.sha256, photo.path))
    notes = []
    missing = [split for split in SPLITS[1:] if split not in layout.splits]
    if missing:
        splits.update(split_off(splits["train"], missing, seed))
        shares = " and ".join(f"{SHARES[split]:.0%} for {split}" for split in missing)
        notes.append(
            f"There was no {' and no '.join(missing)} split: split off {shares} of each class (seed {seed})."
        )
    if layout.ignored:
        kinds = ", ".join(f"{count:,} × {kind}" for kind, count in layout.ignored.most_common(5))
        notes.append(f"Files that are no photos were left out: {kinds}.")
    copies = sum(len(group) - len({sample.sha256 for sample in group}) for group in splits.values())
    if copies:
        notes.append(f"Photos that lie in their folder more than once: {copies:,}. Every copy counts.")
    counts = Counter(sample.label for sample in splits["train"])
    most, least = max(counts.values()), min(counts.values())
    if most >= 2 * least:
        notes.append(f"Classes differ in size: between {least:,} and {most:,} training photos.")
    return Dataset.build(classes, splits, notes)
