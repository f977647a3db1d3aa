from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def test_a_bucket_with_delete_markers_is_emptied_after_its_versioning_was_suspended(
    client: Callable[[str], Any],
) -> None:
    s3, bucket = client("s3"), "emptied"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    found = s3.list_object_versions(Bucket=bucket)
    left = [
        {"Key": one["Key"], "VersionId": one["VersionId"]}
        for one in found["Versions"] + found["DeleteMarkers"]
    ]
    assert len(left) == 2
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": left})
    s3.delete_bucket(Bucket=bucket)
