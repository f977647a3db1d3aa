"""All that can be wrong with a data set, found before anything slow starts."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import PIL

from ml.data.dataset import Finding, Split
from ml.data.layout import Layout
from ml.data.progress import bar
from ml.serving import images

MIN_TO_SPLIT = 3  # different photos a class, to have one in each split


@dataclass(frozen=True)
class Photo:
    path: Path
    name: str  # the path below the root, for people
    split: Split | None  # None where the source has no splits
    class_name: str
    sha256: str = ""  # empty where the file cannot be read
    problem: str = ""


def check(layout: Layout, *, work_dir: Path, progress: bool = False) -> tuple[list[Photo], list[Finding]]:
    """Reads and decodes every photo once; the photos with their hashes, and everything that is wrong."""
    listed = list(_photos(layout))
    if not listed:
        seen = ", ".join(f"{count:,} × {suffix}" for suffix, count in layout.ignored.most_common(8))
        message = "a data set must hold photos: jpg, png, webp, bmp, tif or gif"
        return [], [*layout.findings, Finding("no-images", message, (f"found: {seen or 'no file at all'}",))]
    photos = read(listed, work_dir=work_dir, progress=progress)
    findings = [*layout.findings, *check_classes(layout), *_check_files(photos), *_check_copies(photos)]
    return photos, findings + check_sizes(layout, photos)


def _photos(layout: Layout) -> Iterator[Photo]:
    for split, group in layout.groups:
        for class_name, paths in sorted(group.items()):
            for path in paths:
                yield Photo(path, layout.name(path), split, class_name)


def read(photos: list[Photo], *, work_dir: Path, progress: bool = False) -> list[Photo]:
    """Hashes every photo, and decodes those that this decoder has not decoded before."""
    record = work_dir / "decoded" / f"{_decoder_id()}.txt"
    known = frozenset(record.read_text().split()) if record.exists() else frozenset()
    # Threads: reading, hashing and decoding all let go of the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(lambda photo: _read_one(photo, known), photos)
        result = list(bar(work, title="Checking photos", total=len(photos), unit="photo", show=progress))
    new = {photo.sha256 for photo in result if photo.sha256 and not photo.problem} - known
    if new:
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("a") as file:
            file.write("".join(f"{digest}\n" for digest in sorted(new)))
    return result


def _decoder_id() -> str:
    """Changes whenever a photo that was decoded before might not be any more."""
    source = Path(images.__file__).read_bytes()
    return hashlib.sha256(source + PIL.__version__.encode()).hexdigest()[:16]


def _read_one(photo: Photo, known: frozenset[str]) -> Photo:
    def done(sha256: str = "", problem: str = "") -> Photo:
        return Photo(photo.path, photo.name, photo.split, photo.class_name, sha256, problem)

    try:
        data = photo.path.read_bytes()
    except OSError as error:
        return done(problem=error.strerror or str(error))
    digest = hashlib.sha256(data).hexdigest()
    if digest in known:
        return done(digest)
    try:
        images.decode(data)
    except images.ImageError as error:
        return done(digest, str(error))
    return done(digest)


def check_classes(layout: Layout) -> list[Finding]:
    findings = []
    classes = layout.classes
    if len(classes) < 2:
        message = (
            f"a data set must have at least two classes, one folder a class; this one has {len(classes)}"
        )
        findings.append(
            Finding("few-classes", message, classes, "name the folder that holds the class folders.")
        )
    empty = [
        f"{split}/{name}" if split else name
        for split, group in layout.groups
        for name, paths in sorted(group.items())
        if not paths
    ]
    if empty:
        message = f"every class must have photos; {_count(len(empty), 'folder')} empty"
        findings.append(Finding("empty-class", message, tuple(empty), "add photos, or remove the folders."))
    if layout.splits and "train" not in layout.splits:
        there = tuple(layout.splits)
        findings.append(
            Finding("no-train", "a data set with splits must have train", there, "add train/<class>/.")
        )
    bare = tuple(split for split, group in layout.splits.items() if not group)
    if bare:
        message = "every split must have class folders"
        findings.append(
            Finding("empty-split", message, bare, "add them, or remove the split to have it split off.")
        )
    full = {split: group for split, group in layout.splits.items() if group}
    missing = {name: [split for split, group in full.items() if name not in group] for name in classes}
    differing = tuple(f"{name}: not in {', '.join(splits)}" for name, splits in missing.items() if splits)
    if differing:
        message = (
            f"every split must have the same classes; {_count(len(differing), 'class', 'classes')} not in all"
        )
        remedy = "add the class to the splits named, or remove it from the others; mind spelling and case."
        findings.append(Finding("class-sets", message, differing, remedy))
    return findings


def _check_files(photos: list[Photo]) -> list[Finding]:
    broken = tuple(f"{photo.name}: {photo.problem}" for photo in photos if photo.problem)
    if not broken:
        return []
    message = f"every photo must be readable; {_count(len(broken), 'file')} not"
    return [Finding("unreadable", message, broken, "replace or remove them.")]


def _check_copies(photos: list[Photo]) -> list[Finding]:
    """Byte-identical photos where they do harm; several in one folder do none."""
    by_content: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.sha256:
            by_content[photo.sha256].append(photo)

    def across(key: Callable[[Photo], str | None]) -> tuple[str, ...]:
        groups = [group for group in by_content.values() if len({key(photo) for photo in group}) > 1]
        return tuple(sorted(" = ".join(photo.name for photo in group) for group in groups))

    findings = []
    if items := across(lambda photo: photo.split):
        message = f"a photo must be in one split only, or accuracy looks too good; {len(items):,} are in more"
        findings.append(Finding("duplicate-splits", message, items, "keep it in one of them."))
    if items := across(lambda photo: photo.class_name):
        message = f"a photo must have one class only; {len(items):,} have more"
        findings.append(Finding("duplicate-classes", message, items, "keep it under the right one."))
    return findings


def check_sizes(layout: Layout, photos: list[Photo]) -> list[Finding]:
    """Where splits must be split off: are there enough photos of each class to do so?"""
    if layout.splits and ("train" not in layout.splits or len(layout.splits) == 3):
        return []
    needed = MIN_TO_SPLIT + 1 - max(1, len(layout.splits))
    found: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        if photo.split in (None, "train") and photo.sha256:
            found[photo.class_name].add(photo.sha256)
    few = tuple(f"{name}: {len(shas)}" for name, shas in sorted(found.items()) if len(shas) < needed)
    if not few:
        return []
    message = f"to split off what is missing, every class must have at least {needed} different photos"
    return [Finding("too-few", message, few, "add photos, or lay them out as train|valid|test/<class>/.")]


def _count(number: int, one: str, several: str = "") -> str:
    return f"1 {one} is" if number == 1 else f"{number:,} {several or one + 's'} are"
