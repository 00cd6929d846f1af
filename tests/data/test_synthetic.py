"""The built-in images: the same from the same seed, different where they should be."""

import hashlib

import numpy as np
import pytest

from data.synthetic import _CHUNK, _MEAN, _STD, build_synthetic


@pytest.fixture(scope="module")
def dataset():
    return build_synthetic(5000, 1000, 150)


def test_shapes_and_names(dataset):
    for part, size in (("train", 5000), ("val", 1000), ("test", 150)):
        split = getattr(dataset, part)
        assert split.images.shape == (size, 3, 32, 32) and split.images.dtype == np.uint8
        assert split.labels.shape == (size,) and split.labels.dtype == np.int64
        assert split.labels[[0, 1, 99, 100]].tolist() == [0, 1, 99, 0]
    assert len(set(dataset.class_names)) == 100
    assert len({name.rsplit("_", 1)[0] for name in dataset.class_names}) == 20
    assert dataset.class_names[0] == "solid_disc_plain"
    assert dataset.class_names[99] == "hollow_star_ringed"


def test_the_images_stay_what_they_are(dataset):
    splits = (dataset.train, dataset.val, dataset.test)
    digests = [hashlib.sha256(split.images[:100].tobytes()).hexdigest()[:16] for split in splits]
    assert digests == ["9f17d9c09797a779", "269b115cf03bec96", "d68e49eea5fad731"]


def test_other_seed_other_images_and_no_image_twice(dataset):
    other = build_synthetic(200, 1, 1, data_seed=6)
    splits = (dataset.train, dataset.val, dataset.test, other.train)
    images = np.concatenate([split.images for split in splits])
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("size", [1, _CHUNK, _CHUNK + 1])
def test_an_image_does_not_depend_on_the_size(size, dataset):
    small = build_synthetic(size, 1, 1).train
    assert np.array_equal(small.images, dataset.train.images[:size])


def test_statistics(dataset):
    images = dataset.train.images / 255
    # A mean over 5,000 images is uncertain by about 0.14 / sqrt(5000) = 0.002.
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), _MEAN, atol=0.01)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), _STD, atol=0.005)
    by_class = dataset.train.images.reshape(50, 100, -1)  # labels go 0, 1, ..., 99, 0, 1, ...
    even, odd = by_class[::2].mean(axis=0), by_class[1::2].mean(axis=0)
    other = np.mean([np.abs(even - np.roll(odd, k, axis=0)).mean() for k in range(1, 100, 7)])
    assert np.abs(even - odd).mean() < 0.92 * other  # 11.2 and 13.3
    assert by_class.std(axis=0).mean() > 30  # images of a class vary


@pytest.mark.parametrize(
    ("key", "low"), [("train_size", 1), ("val_size", 0), ("test_size", 1), ("data_seed", 0)]
)
def test_wrong_values(key, low):
    with pytest.raises(ValueError) as caught:
        build_synthetic(**{key: low - 1})
    assert str(caught.value) == f"dataset.{key}={low - 1}: expected an integer of at least {low}."
