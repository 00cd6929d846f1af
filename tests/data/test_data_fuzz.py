"""Damaged and hostile data files: each is read right, or refused in one sentence."""

import gzip
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.cifar import CIFAR10
from tests.data.fakes import build, draw_files, pack
from tests.helpers.mutations import CHANGES, COUNTS, fuzzing, mutate
from tests.helpers.sandbox import outcome

LAYOUT = replace(CIFAR10, train_count=20, test_count=10)
FILES = draw_files(LAYOUT)


def read(root):
    return outcome(root, lambda: build(LAYOUT, root, val_size=0))


def assert_same(one, other):
    for left, right in ((one.train, other.train), (one.test, other.test)):
        np.testing.assert_array_equal(left.images, right.images)
        np.testing.assert_array_equal(left.labels, right.labels)


def make_archive(where="", name="", changes=()):
    """Return an archive, damaged below gzip's checksum, above it, or in one file."""
    files = FILES | ({name: mutate(FILES[name], changes)} if where == "file" else {})
    tar = pack(LAYOUT.folder, files)
    whole = gzip.compress(mutate(tar, changes) if where == "tar" else tar, 1, mtime=0)
    return mutate(whole, changes) if where == "gzip" else whole


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("where", ["gzip", "tar", "file", "cache"])
def test_damaged_files_are_read_right_or_refused(tmp_path, where, count):
    archive, cache = tmp_path / LAYOUT.archive, tmp_path / "cifar10-decoded.npz"
    archive.write_bytes(make_archive())
    right, found = read(tmp_path), Counter()
    sound, whole = archive.read_bytes(), cache.read_bytes()

    @fuzzing(count)
    @given(st.sampled_from(LAYOUT.files), CHANGES)
    def run(name, changes):
        cache.unlink(missing_ok=True)
        content = mutate(whole, changes) if where == "cache" else make_archive(where, name, changes)
        assume(content not in (whole, sound))
        (cache if where == "cache" else archive).write_bytes(content)
        dataset = read(tmp_path)
        found[dataset is not None] += 1
        if dataset is None:
            assert where != "cache" and list(tmp_path.iterdir()) == [archive]
            return
        assert set(tmp_path.iterdir()) == {archive, cache}
        if where in ("gzip", "cache"):  # the others can make other pictures
            assert_same(dataset, right)
        for split in (dataset.train, dataset.test):
            assert split.images.dtype == np.uint8 and split.images.shape[1:] == (3, 32, 32)
            assert split.labels.dtype == np.int64 and set(split.labels) <= set(range(10))
        assert_same(read(tmp_path), dataset)  # from the cache

    run()
    assert found.total() == count
    assert found[False] > count / 4 or where == "cache"
