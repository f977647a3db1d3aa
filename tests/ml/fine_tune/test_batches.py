from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data import Dataset
from ml.fine_tune.batches import Part, Photos, epoch_parts
from ml.serving import images
from tests.ml.fine_tune import material

WEIGHTS = [1.0, 2.0, 0.5] * 4 + [1.0]  # of 13 photos


def parts(epoch: int = 1, rank: int = 0, world: int = 1, largest: int = 99, **settings: object) -> list[Part]:
    config = material.config(**{"batch_size": 5, **settings})
    return epoch_parts(WEIGHTS, config, epoch, rank=rank, world=world, largest=largest)


def steps(found: list[Part]) -> list[list[Part]]:
    result: list[list[Part]] = [[]]
    for part in found:
        result[-1].append(part)
        if part.ends_step:
            result.append([])
    assert not result.pop()
    return result


@pytest.mark.parametrize("world", [1, 2, 4, 7])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("largest", [1, 2, 99])
def test_however_a_batch_is_divided_each_photo_is_in_one_part_with_its_share(
    world: int, accumulate: int, largest: int
) -> None:
    whole = steps(parts())
    assert [len(part.rows) for step in whole for part in step] == [5, 5, 3]
    ranks = [
        steps(parts(rank=rank, world=world, accumulate=accumulate, largest=largest)) for rank in range(world)
    ]
    assert {len(each) for each in ranks} == {len(whole)}
    for number, (batch,) in enumerate(whole):
        assert batch.scale == pytest.approx(1 / sum(WEIGHTS[row] for row in batch.rows))
        divided = [part for each in ranks for part in each[number]]
        assert all(0 < len(part.rows) <= largest for part in divided)
        assert all(part.scale in (batch.scale, 0) for part in divided)
        assert [row for part in divided if part.scale for row in part.rows] == batch.rows


def test_the_order_follows_from_seed_and_epoch() -> None:
    def order(**settings: int) -> list[int]:
        return [row for part in parts(**settings) for row in part.rows]

    assert order() == order()
    assert sorted(order()) == list(range(13))
    assert order(epoch=2) != order() != order(seed=1)


def photos(**settings: object) -> Photos:
    return Photos(material.backbone().preprocessing, material.config(**settings))


def test_pixels_are_to_the_bit_what_serving_computes(dataset: Dataset) -> None:
    found = photos()
    (frames,) = found.batches([dataset.train[:4]], view=3)
    pixels = found.normalized(frames, torch.device("cpu"))
    preprocessing = material.backbone().preprocessing
    expected = [preprocessing.apply(images.decode(sample.path.read_bytes())) for sample in dataset.train[:4]]
    assert np.array_equal(pixels.numpy(), np.stack(expected))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_a_plain_photo_is_decoded_once(tmp_path: Path) -> None:
    samples = material.read_photos(material.write_photos(tmp_path / "photos")).train
    found = photos()
    first = list(found.batches([samples[:3], samples[3:7]]))
    for sample in samples[:7]:
        sample.path.unlink()
    again = list(found.batches([samples[2:9], samples[:2]]))
    assert torch.equal(torch.cat(first)[2:], again[0][:5])
    assert torch.equal(first[0][:2], again[1])


def test_memory_for_photos_is_bounded(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.fine_tune.batches.KEPT_BYTES", 5 * 3 * material.SIDE**2)
    found = photos()
    expected = list(found.batches([dataset.train]))
    assert len(found._kept) == 5
    assert torch.equal(expected[0], next(found.batches([dataset.train])))


def test_augmented_photos_look_different_in_each_epoch_and_plain_ones_in_validation(dataset: Dataset) -> None:
    found = photos(augment="light")
    batch = [dataset.train[:3]]
    first, second, again, plain = (next(found.batches(batch, view=view)) for view in (1, 2, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(plain, next(photos().batches(batch, view=1)))
