"""Reading the official files and the decoded cache, and the sentence for whatever is wrong."""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest

from data.cifar import CIFAR100, build_cifar, build_cifar100, find_source
from tests.data.fakes import SMALL, SMALL100, build, draw_part, dump, expect_refusal, place


@pytest.mark.parametrize("how", ["archive", "folder"])
@pytest.mark.parametrize("key", SMALL)
def test_both_forms_give_the_same_images(tmp_path, key, how, caplog):
    layout, _ = place(tmp_path, key, how)
    caplog.set_level(logging.INFO)
    dataset = build(layout, tmp_path)
    assert not caplog.records  # neither a notice nor a warning about a file as it should be
    pixels, labels = draw_part(layout, layout.test_count, seed=1)
    np.testing.assert_array_equal(dataset.test.images, pixels.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(dataset.test.labels, labels)
    pixels, labels = draw_part(layout, layout.train_count, seed=0)
    found = {}
    for split in (dataset.train, dataset.val):
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        found |= zip(map(bytes, split.images), split.labels, strict=True)
    assert found == dict(zip(map(bytes, pixels), labels, strict=True))
    assert dataset.class_names == layout.class_names
    sizes = build(layout, tmp_path, train_size=20, val_size=30, test_size=10)
    assert [len(s.labels) for s in (sizes.train, sizes.val, sizes.test)] == [20, 30, 10]
    assert np.bincount(sizes.test.labels).max() == 1


def test_where_the_files_may_lie(tmp_path, monkeypatch, caplog):
    layout, folder = place(tmp_path, how="folder")
    assert find_source(layout, tmp_path) == find_source(layout, folder) == folder
    assert len(build(layout, folder).test.labels) == 200
    assert (folder / "cifar100-decoded.npz").exists()
    layout, archive = place(tmp_path)
    assert find_source(layout, tmp_path) == archive  # it wins over the folder
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    caplog.set_level(logging.INFO)
    for start in (1, 2):  # another archive than the official one is a notice at every start
        build(replace(layout, md5="0" * 32), f"~/{tmp_path.name}")
        assert [r.levelname for r in caplog.records] == ["INFO"] * start
    assert f"{archive} is not the official file" in caplog.text


PIXELS, LABELS = draw_part(SMALL100, 400, seed=0)
NAMES = list(SMALL100.class_names)


def batch(data=PIXELS, key="fine_labels", label=5):
    """Return the file of the training set, with a label at place 17."""
    return dump({"data": data, key: [*LABELS[:17].tolist(), label, *LABELS[18:].tolist()]})


WRONG = [  # contents of files, and what is in the sentence
    ({"train": batch(label=100)}, "image 17 the label 100, and labels go from 0 to 99"),
    ({"train": batch(label=-1)}, "image 17 the label -1"),
    ({"train": batch(label="cat")}, "no list 'fine_labels' of whole numbers"),
    ({"train": batch(data=PIXELS[:399])}, "399 images and 400 labels, not 400"),
    ({"test": batch()}, "its test part has 400 images and 400 labels, not 200"),
    ({"train": batch(data=PIXELS[:, :3071])}, "no array 'data' of 3072 bytes"),
    ({"train": batch(key="labels")}, "no list 'fine_labels' of whole numbers"),
    ({"meta": b"\x80\x02cos\nsystem\n."}, "its file meta is not a plain CIFAR pickle: it asks for"),
    ({"meta": dump({"fine_label_names": NAMES[::-1]})}, "meta does not hold the 100 class names"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_wrong_contents_are_one_sentence(tmp_path, changes, message):
    layout, path = place(tmp_path, how="folder", **changes)
    expect_refusal(layout, path, message)


ARGUMENTS = [
    ("test_size", 201, "201: expected an integer from 1 to 200."),
    ("split_seed", -1, "-1: expected an integer of at least 0."),
    ("download", "often", "'often': expected true or false."),
]


def test_wrong_arguments(tmp_path):
    for key, value, message in ARGUMENTS:
        with pytest.raises(ValueError, match=f"^dataset.{key}={message}$"):
            build(SMALL100, tmp_path, **{key: value})


def test_no_folder_no_data_and_no_download(tmp_path):
    for root, shown in ((None, "null"), ("", "''"), (__file__, f"'{__file__}'")):
        with pytest.raises(FileNotFoundError) as caught:
            build_cifar(SMALL100, 100, root=root, val_size=50)
        assert str(caught.value) == f"dataset.root={shown}: expected an existing folder."
    with pytest.raises(FileNotFoundError) as caught:
        build(SMALL100, tmp_path)
    key, what_to_do = str(caught.value).split(". Put ")
    assert key == f"dataset.root='{tmp_path}': expected CIFAR-100 in it"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    assert what_to_do.startswith(f"cifar-100-python.tar.gz from {url} into {tmp_path}, or use the")
    tmp_path.chmod(0o555)
    with pytest.raises(OSError, match=r"the folder is read-only\. Put cifar-100-python\.tar\.gz"):
        build(SMALL100, tmp_path, download=True)
    assert os.listdir(tmp_path) == []


def assert_right(dataset):
    pixels, labels = draw_part(SMALL100, SMALL100.test_count, seed=1)
    np.testing.assert_array_equal(dataset.test.images.reshape(-1, 3072), pixels)
    np.testing.assert_array_equal(dataset.test.labels, labels)
    assert len(dataset.train.images) == 350 and len(dataset.val.images) == 50


def spoil(file, later=0):
    """Make a file unreadable, with the size and, but for `later` ns, the time that it had."""
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + later))


@pytest.mark.parametrize("how", ["archive", "folder"])
def test_the_second_start_reads_the_cache_until_a_file_changes(tmp_path, how):
    layout, path = place(tmp_path, how=how)
    build(layout, tmp_path)
    file = path if how == "archive" else path / "train"
    spoil(file)
    assert_right(build(layout, tmp_path))
    spoil(file, later=1)
    with pytest.raises(ValueError, match="cannot be used as CIFAR-100"):
        build(layout, tmp_path)
    assert not list(tmp_path.glob(".*"))  # no remains


CACHES = [
    lambda whole: whole.replace(b"(400, 3, 32, 32)", b"(100, 3, 32, 32)"),
    lambda whole: whole.replace(b"md5.npy", b"md6.npy"),  # a missing array
    lambda whole: whole[:900_000] + bytes([whole[900_000] ^ 1]) + whole[900_001:],
]


@pytest.mark.parametrize("damage", CACHES)
def test_a_damaged_cache_is_a_notice_and_repaired(tmp_path, caplog, damage):
    layout, path = place(tmp_path)
    build(layout, tmp_path)
    cache = tmp_path / "cifar100-decoded.npz"
    cache.write_bytes(damage(cache.read_bytes()))
    assert_right(build(layout, tmp_path))
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert f"The decoded cache {cache} is damaged" in caplog.text
    spoil(path)
    assert_right(build(layout, tmp_path))


def test_where_the_cache_is_written(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        layout, path = place(root)
        root.chmod(0o555)
        build(layout, root)
        spoil(path)
        assert_right(build(layout, root))
        assert list(root.iterdir()) == [path]
    folder = tmp_path / "users" / "oneflow-lr-lab"
    caches = list(folder.iterdir())
    assert len(caches) == 2 and all(p.name.startswith("cifar100-decoded-") for p in caches)
    for cache in caches:
        cache.unlink()
    layout, _ = place(tmp_path)
    (tmp_path / "cifar100-decoded.npz").mkdir()  # a cache that cannot be written is a notice
    assert_right(build(layout, tmp_path))
    assert "was not written (" in caplog.text and len(list(tmp_path.iterdir())) == 5
    folder.chmod(0o555)  # and without any folder that can be written it still works
    tmp_path.chmod(0o555)
    assert_right(build(layout, tmp_path))
    assert not list(folder.iterdir())


ROOT = os.environ.get("CIFAR100_ROOT", "")


@pytest.mark.cifar100
@pytest.mark.skipif(not os.path.isdir(ROOT), reason="CIFAR100_ROOT is not a folder")
def test_real_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = build_cifar100(root=ROOT, download=False)
    for part, size in {"train": 45_000, "val": 5_000, "test": 10_000}.items():
        split = getattr(dataset, part)
        assert split.images.shape == (size, 3, 32, 32)
        assert np.bincount(split.labels).tolist() == [size // 100] * 100
    images = np.concatenate([dataset.train.images, dataset.val.images])
    values = images.transpose(1, 0, 2, 3).reshape(3, -1)
    assert values.mean(axis=1) / 255 == pytest.approx(CIFAR100.mean, abs=1e-7)
    assert values.std(axis=1) / 255 == pytest.approx(CIFAR100.std, abs=1e-7)
