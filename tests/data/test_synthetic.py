"""The built-in images: the same from the same seed, different where they should be."""

import numpy as np
import pytest

from data.synthetic import _CHUNK, _CLASS_NAMES, _MEAN, _STD, build_synthetic

SMALL = {"train_size": 200, "val_size": 100, "test_size": 150}


def test_shapes_and_names():
    dataset = build_synthetic(**SMALL)
    sizes = {"train": 200, "val": 100, "test": 150}
    for part, size in sizes.items():
        split = getattr(dataset, part)
        assert split.images.shape == (size, 3, 32, 32) and split.images.dtype == np.uint8
        assert split.labels.shape == (size,) and split.labels.dtype == np.int64
        counts = np.bincount(split.labels, minlength=100)
        assert counts.max() - counts.min() <= 1
    assert len(set(dataset.class_names)) == 100
    assert len({name.rsplit("_", 1)[0] for name in dataset.class_names}) == 20
    assert dataset.class_names[0] == "solid_disc_plain"
    assert dataset.class_names[99] == "hollow_star_ringed"


def test_same_seed_same_images_other_seed_other_images():
    one, two, other = (build_synthetic(**SMALL, data_seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.train.images, two.train.images)
    assert np.array_equal(one.test.images, two.test.images)
    assert not (one.train.images == other.train.images).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("size", [1, 99, 100, _CHUNK - 1, _CHUNK, _CHUNK + 1, 2 * _CHUNK + 7])
def test_an_image_does_not_depend_on_the_size(size):
    large = build_synthetic(2 * _CHUNK + 100, 1, 1).train
    small = build_synthetic(size, 1, 1).train
    assert np.array_equal(small.images, large.images[:size])
    assert np.array_equal(small.labels, large.labels[:size])


def test_no_image_is_in_two_splits_or_twice():
    dataset = build_synthetic(1000, 1000, 1000)
    images = np.concatenate([dataset.train.images, dataset.val.images, dataset.test.images])
    assert len({image.tobytes() for image in images}) == 3000


def test_channel_statistics():
    images = build_synthetic(5000, 1, 1).train.images / 255
    # A mean over 5,000 images is uncertain by about 0.14 / sqrt(5000) = 0.002.
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), _MEAN, atol=0.01)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), _STD, atol=0.005)


def test_classes_differ_and_images_of_a_class_vary():
    split = build_synthetic(5000, 1, 1).train
    by_class = split.images.reshape(50, 100, -1)  # labels go 0, 1, ..., 99, 0, 1, ...
    even, odd = by_class[::2].mean(axis=0), by_class[1::2].mean(axis=0)
    same = np.abs(even - odd).mean()
    other = np.mean([np.abs(even - np.roll(odd, k, axis=0)).mean() for k in range(1, 100)])
    assert same < 0.92 * other  # 11.2 and 13.3
    assert by_class.std(axis=0).mean() > 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, "dataset.train_size=0: expected an integer of at least 1."),
        ({"val_size": None}, "dataset.val_size=null: expected"),
        ({"test_size": 2.5}, "dataset.test_size=2.5: expected"),
        ({"data_seed": -1}, "dataset.data_seed=-1: expected an integer of at least 0."),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError) as caught:
        build_synthetic(**(SMALL | options))
    assert message in str(caught.value)


def test_a_linear_classifier_is_above_chance_and_far_from_perfect():
    dataset = build_synthetic(4000, 1000, 1)
    train, val = (
        np.c_[
            s.images.reshape(len(s.images), 3, 8, 4, 8, 4).mean((3, 5)).reshape(-1, 192), s.labels
        ]
        for s in (dataset.train, dataset.val)
    )
    target = np.eye(len(_CLASS_NAMES))[train[:, -1].astype(int)]
    center = train[:, :-1].mean(0)
    pixels = train[:, :-1] - center
    weights = np.linalg.solve(pixels.T @ pixels + 1e5 * np.eye(192), pixels.T @ target)
    found = ((val[:, :-1] - center) @ weights).argmax(1)
    accuracy = 100 * (found == val[:, -1]).mean()
    assert 3 < accuracy < 20  # 8; chance is 1
