"""Damaged and hostile data files: each is read right, or refused in one sentence."""

import gzip
import io
import tarfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from data.archive import read_pickle
from data.cifar import CIFAR10, build_cifar
from tests.data.fakes import draw_files, dump
from tests.helpers.mutations import CHANGES, mutate
from tests.helpers.sandbox import outcome

LAYOUT = replace(CIFAR10, train_count=20, test_count=10)
COUNTS = [pytest.param(100, id="sample"), pytest.param(1000, id="full", marks=pytest.mark.full)]


def fuzzing(count):
    """The same `count` examples at every run."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    options = {"derandomize": True, "deadline": None, "database": None}
    return settings(max_examples=count, suppress_health_check=quiet, **options)


def draw_rows(layout, count, seed):
    """Pixels that compress well, and labels."""
    rows = np.arange(count)
    return np.repeat(rows.astype(np.uint8)[:, None], 3072, axis=1), rows % 10


FILES = draw_files(LAYOUT, draw_rows)


def pack(files):
    """An uncompressed tar of the files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{LAYOUT.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def build(root):
    return build_cifar(LAYOUT, 10, root=str(root), download=False, val_size=0)


def arrays_of(dataset):
    splits = (dataset.train, dataset.test)
    return [getattr(split, key) for split in splits for key in ("images", "labels")]


def assert_same(one, other):
    for left, right in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(left, right)


def write_sound(root):
    (root / LAYOUT.archive).write_bytes(gzip.compress(pack(FILES), 1, mtime=0))
    return build(root), root / f"{LAYOUT.key}-decoded.npz"


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_archives(tmp_path, count):
    """A change below gzip's checksum is noticed; one above it can only make other pictures."""
    right, cache = write_sound(tmp_path)
    archive, found = tmp_path / LAYOUT.archive, Counter()
    whole = archive.read_bytes()

    @fuzzing(count)
    @given(st.sampled_from(["gzip", "tar", "file"]), st.sampled_from(LAYOUT.files), CHANGES)
    def run(where, name, changes):
        if where == "gzip":
            content = mutate(whole, changes)
        elif where == "tar":
            content = gzip.compress(mutate(pack(FILES), changes), 1, mtime=0)
        else:
            files = FILES | {name: mutate(FILES[name], changes)}
            content = gzip.compress(pack(files), 1, mtime=0)
        assume(content != whole)
        archive.write_bytes(content)
        cache.unlink(missing_ok=True)
        dataset = outcome(tmp_path, lambda: build(tmp_path))
        found[where, "error" if dataset is None else "read"] += 1
        assert set(tmp_path.iterdir()) == ({archive} if dataset is None else {archive, cache})
        if dataset is None:
            return
        for images, labels in (arrays_of(dataset)[:2], arrays_of(dataset)[2:]):
            assert images.dtype == np.uint8 and images.shape == (len(labels), 3, 32, 32)
            assert labels.dtype == np.int64 and labels.min() >= 0 and labels.max() < 10
        assert_same(outcome(tmp_path, lambda: build(tmp_path)), dataset)  # from the cache
        if where == "gzip":
            assert_same(dataset, right)

    run()
    assert sum(found.values()) == count
    assert all(found[where, "error"] for where in ("gzip", "tar", "file"))
    assert found["file", "read"]


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_pickles(tmp_path, count):
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    whole, found = dump({"batch_label": "x", "fine_labels": [7, 99], "data": pixels}), Counter()

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        batch = outcome(tmp_path, lambda: read_pickle(mutate(whole, changes)))
        found["error" if batch is None else "read"] += 1
        assert {type(v) for v in (batch or {}).values()} <= {bytes, int, list, np.ndarray, dict}

    run()
    assert found["error"] > count / 4 and found["read"] > count / 20


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_caches(tmp_path, count):
    """Whatever happens to the cache, the data is that of the archive."""
    right, cache = write_sound(tmp_path)
    whole, found = cache.read_bytes(), Counter()

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        content = mutate(whole, changes)
        assume(content != whole)
        cache.write_bytes(content)
        assert_same(outcome(tmp_path, lambda: build(tmp_path)), right)
        found["used" if cache.read_bytes() == content else "built again"] += 1

    run()
    assert found["built again"] > count / 4
