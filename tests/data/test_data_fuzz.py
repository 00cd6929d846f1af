"""Damaged and hostile data files: each is read right, or refused in one sentence."""

import gzip
import io
import shutil
import tarfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from data.cifar import build_cifar
from data.cifar_layouts import CIFAR10, CIFAR100
from data.pickles import read_plain_pickle
from tests.data.fakes import dump, encode
from tests.helpers.mutations import CHANGES, mutate
from tests.helpers.sandbox import outcome

LAYOUTS = {
    "10": replace(CIFAR10, train_count=20, test_count=10),
    "100": replace(CIFAR100, train_count=100, test_count=100),
}


def fuzzing(count):
    """The same `count` examples at every run."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=quiet,
    )


COUNTS = [pytest.param(100, id="sample"), pytest.param(1000, id="full", marks=pytest.mark.full)]


def draw_files(layout, form):
    """Files of this form, with pixels that compress well."""
    if form is layout.python:
        files = {form.class_names: dump({layout.names_key: list(layout.class_names)})}
    else:
        files = {form.class_names: "\n".join(layout.class_names).encode()}
    for names, count in ((form.train, layout.train_count), (form.test, layout.test_count)):
        rows = np.arange(count)
        pixels = np.repeat(rows.astype(np.uint8)[:, None], 3072, axis=1)
        for name, part in zip(names, np.split(rows, len(names)), strict=True):
            labels = part % len(layout.class_names)
            files[name] = encode(layout, form, pixels[part], labels)
    return files


def pack(form, files):
    """An uncompressed tar of the files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{form.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def arrays_of(dataset):
    return [getattr(split, key) for split in (dataset.train, dataset.test)
            for key in ("images", "labels")]  # fmt: skip


def check_form(layout, dataset):
    """What must hold of anything that is read, for OneFlow checks none of it."""
    classes = len(layout.class_names)
    for split in (dataset.train, dataset.test):
        images, labels = split.images, split.labels
        assert images.dtype == np.uint8 and images.shape[1:] == (3, 32, 32)
        assert labels.dtype == np.int64 and len(labels) == len(images)
        assert labels.min() >= 0 and labels.max() < classes


SOUND = {
    (key, kind): draw_files(layout, getattr(layout, kind))
    for key, layout in LAYOUTS.items()
    for kind in ("python", "binary")
}
WHERE = st.sampled_from(["gzip", "tar", "file"])


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_archives(tmp_path, count):
    """A change below gzip's checksum is noticed; one above it can only make other pictures."""
    told = Counter()

    def read(layout, root):
        return build_cifar(layout, root=str(root), download=False, val_size=0)

    right = {}
    for key, layout in LAYOUTS.items():
        root = tmp_path / key
        root.mkdir()
        content = gzip.compress(pack(layout.python, SOUND[key, "python"]), 1)
        (root / layout.python.archive).write_bytes(content)
        right[key] = arrays_of(read(layout, root))

    @fuzzing(count)
    @given(st.sampled_from(sorted(SOUND)), WHERE, st.integers(0, 9), CHANGES)
    def run(which, where, number, changes):
        layout = LAYOUTS[which[0]]
        form = getattr(layout, which[1])
        files = dict(SOUND[which])
        tar = pack(form, files)
        whole = gzip.compress(tar, 1, mtime=0)
        if where == "gzip":
            content = mutate(whole, changes)
        elif where == "tar":
            content = gzip.compress(mutate(tar, changes), 1, mtime=0)
        else:
            name = form.names[number % len(form.names)]
            files[name] = mutate(files[name], changes)
            content = gzip.compress(pack(form, files), 1, mtime=0)
        assume(content != whole)
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / form.archive).write_bytes(content)
        dataset = outcome(tmp_path, lambda: read(layout, root))
        told[where, "error" if dataset is None else "read"] += 1
        left = {path.name for path in root.iterdir()} - {form.archive}
        if dataset is None:
            assert left == set()
            return
        assert left == {f"{layout.key}-decoded.npz"}
        check_form(layout, dataset)
        again = outcome(tmp_path, lambda: read(layout, root))  # from the cache
        for one, other in zip(arrays_of(dataset), arrays_of(again), strict=True):
            np.testing.assert_array_equal(one, other)
        if where == "gzip":
            for one, other in zip(arrays_of(dataset), right[which[0]], strict=True):
                np.testing.assert_array_equal(one, other)

    run()
    print(f"{sum(told.values())} archives: {dict(sorted(told.items()))}")
    assert sum(told.values()) == count
    assert all(told[where, "error"] for where in ("gzip", "tar", "file"))
    assert told["file", "read"]


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_pickles(tmp_path, count):
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    whole = dump({"batch_label": "x", "fine_labels": [7, 99], "data": pixels})
    told = Counter()

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        batch = outcome(tmp_path, lambda: read_plain_pickle(mutate(whole, changes)))
        told["error" if batch is None else "read"] += 1
        assert not any(callable(value) for value in (batch or {}).values())

    run()
    print(f"{sum(told.values())} pickles: {dict(told)}")
    assert told["error"] > count / 4 and told["read"] > count / 20


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_caches(tmp_path, count):
    """Whatever happens to the cache, the data is that of the archive."""
    layout = LAYOUTS["10"]
    form = layout.binary
    archive = tmp_path / form.archive
    archive.write_bytes(gzip.compress(pack(form, SOUND["10", "binary"]), 1))
    right = arrays_of(build_cifar(layout, root=str(tmp_path), download=False, val_size=0))
    cache = tmp_path / f"{layout.key}-decoded.npz"
    whole, told = cache.read_bytes(), Counter()

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        content = mutate(whole, changes)
        assume(content != whole)
        cache.write_bytes(content)
        dataset = outcome(
            tmp_path, lambda: build_cifar(layout, root=str(tmp_path), download=False, val_size=0)
        )
        for one, other in zip(arrays_of(dataset), right, strict=True):
            np.testing.assert_array_equal(one, other)
        told["used" if cache.read_bytes() == content else "built again"] += 1

    run()
    print(f"{sum(told.values())} caches: {dict(told)}")
    assert told["built again"] > count / 4
