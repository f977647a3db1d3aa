from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml.feature_cache import FeatureCache, Features

SPACE = "space"


def rows(*names: str) -> dict[str, Features]:
    return {name: np.full(8, float(ord(name[0])), np.float32) for name in names}


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features", limit=10**6)


def shards(cache: FeatureCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*"))


def test_what_was_written_is_read_back_to_the_bit(cache: FeatureCache) -> None:
    cache.write(SPACE, rows("a", "b"))
    cache.write(SPACE, rows("c"))
    found = cache.read(SPACE, ["c", "a", "z"])
    assert set(found) == {"a", "c"}
    assert np.array_equal(found["a"], rows("a")["a"])


def test_another_space_knows_nothing_of_it(cache: FeatureCache) -> None:
    cache.write(SPACE, rows("a"))
    assert cache.read("other", ["a"]) == {}


def test_nothing_to_write_leaves_nothing(cache: FeatureCache) -> None:
    cache.write(SPACE, {})
    assert shards(cache) == []


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text("these are no features, but more than eight bytes")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, make_empty, replace_by_text])
def test_a_damaged_shard_is_thrown_away_and_the_others_serve(
    cache: FeatureCache, damage: Callable[[Path], None]
) -> None:
    cache.write(SPACE, rows("a", "b"))
    (spoiled,) = shards(cache)
    cache.write(SPACE, rows("c"))
    damage(spoiled)
    assert set(cache.read(SPACE, ["a", "b", "c"])) == {"c"}
    assert not spoiled.exists()


def test_a_write_that_fails_leaves_nothing_half(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(OSError, match="No space left"):
        cache.write(SPACE, rows("a"))
    assert shards(cache) == []


def test_the_least_recently_used_goes_first(cache: FeatureCache) -> None:
    for age, name in ((3, "a"), (2, "b"), (1, "c")):
        before = set(shards(cache))
        cache.write(SPACE, rows(name))
        (new,) = set(shards(cache)) - before
        os.utime(new, (1_000_000 - age, 1_000_000 - age))
    cache.read(SPACE, ["a"])
    size = shards(cache)[0].stat().st_size
    small = FeatureCache(cache.folder, limit=2 * size)
    assert small.evict() == size
    assert set(small.read(SPACE, ["a", "b", "c"])) == {"a", "c"}


def test_what_another_process_is_writing_is_not_evicted_and_what_a_dead_one_left_is(
    cache: FeatureCache,
) -> None:
    cache.write(SPACE, rows("a"))
    fresh, stale = (cache.folder / SPACE / f".{name}.partial" for name in ("fresh", "stale"))
    fresh.write_bytes(b"half")
    stale.write_bytes(b"half")
    os.utime(stale, (1, 1))
    FeatureCache(cache.folder, limit=0).evict()
    assert shards(cache) == [fresh]


def test_a_graph_is_read_back_and_a_damaged_one_thrown_away(cache: FeatureCache) -> None:
    assert cache.read_graph("graph") is None
    cache.write_graph("graph", (b"<xml/>", bytes(range(256))))
    assert cache.read_graph("graph") == (b"<xml/>", bytes(range(256)))
    flip_a_bit(shards(cache)[0])
    assert cache.read_graph("graph") is None
    assert shards(cache) == []
