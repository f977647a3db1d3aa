from __future__ import annotations

from localcloud.s3 import Keys


def filled() -> Keys:
    keys = Keys()
    for name in ("a", "b", "a"):
        keys[name] = f"{name}{len(keys)}"
    return keys


def test_the_newest_version_is_the_one_that_is_listed() -> None:
    assert list(filled().items()) == [("a", "a2"), ("b", "b1")]
    assert list(filled().values()) == ["a2", "b1"]
    assert list(filled().lists()) == [("a", ["a0", "a2"]), ("b", ["b1"])]


def test_a_listing_stands_the_deletion_of_a_key_meanwhile() -> None:
    for listing in ("items", "lists", "values"):
        keys = filled()
        entries = getattr(keys, listing)()
        next(entries)
        dict.pop(keys, "b")
        assert len(list(entries)) == 1
