"""The real CIFAR-100, where CIFAR100_ROOT names the folder that holds it."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.cifar import build_cifar100
from data.cifar_layouts import CIFAR100

ROOT = os.environ.get("CIFAR100_ROOT", "")


@pytest.mark.cifar100
@pytest.mark.skipif(not ROOT, reason="CIFAR100_ROOT is not set")
@pytest.mark.skipif(not Path(ROOT).is_dir(), reason=f"CIFAR100_ROOT={ROOT} is not a folder")
def test_real_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = build_cifar100(root=ROOT, download=False)
    sizes = {"train": 45_000, "val": 5_000, "test": 10_000}
    for part, size in sizes.items():
        split = getattr(dataset, part)
        assert split.images.shape == (size, 3, 32, 32)
        assert np.bincount(split.labels).tolist() == [size // 100] * 100
    images = np.concatenate([dataset.train.images, dataset.val.images])
    for channel in range(3):
        values = images[:, channel]
        assert values.mean() / 255 == pytest.approx(CIFAR100.mean[channel], abs=1e-7)
        assert values.std() / 255 == pytest.approx(CIFAR100.std[channel], abs=1e-7)
    again = build_cifar100(root=ROOT, download=False)  # from the decoded cache
    assert np.array_equal(again.train.images, dataset.train.images)
    assert np.array_equal(again.train.labels, dataset.train.labels)
