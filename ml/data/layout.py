"""Which photo is of which class and split, by the folders they lie in."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ml.data.dataset import SPLITS, Finding, Split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})

_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
_LAYOUT = "lay the photos out as train|valid|test/<class>/*.jpg, or as <class>/*.jpg to have them split."

Classes = dict[str, list[Path]]  # photos by class name


@dataclass
class Layout:
    """The photos found below `root`. Either `splits` is filled or, where there are none, `unsplit`."""

    root: Path
    splits: dict[Split, Classes] = field(default_factory=dict)
    unsplit: Classes = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)  # files that are no images, by suffix

    @property
    def groups(self) -> list[tuple[Split | None, Classes]]:
        return [*self.splits.items()] or [(None, self.unsplit)]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({name for _, group in self.groups for name in group}))

    def find(self, code: str, message: str, items: tuple[str, ...], remedy: str) -> None:
        self.findings.append(Finding(code, message, items, remedy))

    def name(self, path: Path) -> str:
        """The path as it is shown to people: below the root, and printable whatever its bytes are."""
        return str(path.relative_to(self.root)).encode(errors="backslashreplace").decode()


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def scan(source: Path) -> Layout:
    """Reads the folders, not the files; what does not fit the layout is found, not skipped."""
    layout = Layout(_root(source))
    folders, files = _children(layout.root)
    loose = _images(files, layout)
    of_split = {split: [folder for folder in folders if _split_of(folder) == split] for split in SPLITS}
    # A class may be called "train", the vehicle: a split is what has folders of classes in it.
    if not any(_children(folder)[0] for each in of_split.values() for folder in each):
        of_split = {}
        for folder in folders:
            _add_class(folder, layout.unsplit, layout)
    for split, several in of_split.items():
        for folder in several:
            group = layout.splits.setdefault(split, {})
            inner, inner_files = _children(folder)
            loose += _images(inner_files, layout)
            for class_folder in inner:
                _add_class(class_folder, group, layout)
        if len(several) > 1:
            names = tuple(map(layout.name, several))
            layout.find(
                "split-twice", f"a split must have one folder; {split} has several", names, "merge them."
            )
    if loose:
        names = tuple(map(layout.name, loose))
        layout.find("no-class", "every photo must lie in the folder of a class", names, _LAYOUT)
    stray = [each for each in folders if of_split and not _split_of(each) and _holds_images(each)]
    if stray:
        message = "where there are splits, every photo must lie in one of them"
        layout.find("no-split", message, tuple(map(layout.name, stray)), _LAYOUT)
    broken = [name for name in layout.classes if not name.isprintable()]
    if broken:
        names = tuple(name.encode(errors="backslashreplace").decode() for name in broken)
        layout.find("class-name", "a class name must be printable UTF-8", names, "rename the folders.")
    return layout


def _root(source: Path) -> Path:
    """Archives and buckets often wrap everything in one more folder: goes down to where there is a choice."""
    root = source
    while True:
        folders, files = _children(root)
        if (
            len(folders) != 1
            or any(map(is_image, files))
            or _split_of(folders[0])
            or not _children(folders[0])[0]
        ):
            return root
        root = folders[0]


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files, sorted, without the hidden ones."""
    visible = sorted(child for child in folder.iterdir() if not is_hidden(child.name))
    folders = [child for child in visible if child.is_dir()]
    return folders, [child for child in visible if not child.is_dir()]


def _split_of(folder: Path) -> Split | None:
    return _SPLIT_FOLDERS.get(folder.name.lower())


def _images(files: list[Path], layout: Layout) -> list[Path]:
    layout.ignored.update(path.suffix.lower() or path.name for path in files if not is_image(path))
    return [path for path in files if is_image(path)]


def _holds_images(folder: Path) -> bool:
    return any(is_image(path) for path in folder.rglob("*"))


def _add_class(folder: Path, group: Classes, layout: Layout) -> None:
    # macOS hands out decomposed names, others composed ones: the same class must get the same name.
    name = unicodedata.normalize("NFC", folder.name)
    folders, files = _children(folder)
    nested = [inner for inner in folders if _holds_images(inner)]
    if nested:
        message = f"a class folder must hold its photos directly; {layout.name(folder)} has them in folders"
        layout.find("nested", message, tuple(map(layout.name, nested)), _LAYOUT)
    group.setdefault(name, []).extend(_images(files, layout))
