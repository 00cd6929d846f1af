"""Reading the official forms, and one sentence for whatever is wrong with them."""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest

import data.archive
import data.cifar
from data.cifar import build_cifar
from data.disk import is_writable
from tests.data.fakes import (
    FILES,
    LAYOUTS,
    SMALL100,
    build,
    draw_part,
    dump,
    encode,
    expect_refusal,
    place,
    write_archive,
)


@pytest.mark.parametrize("how", ["archive", "folder"])
@pytest.mark.parametrize("kind", ["python", "binary"])
@pytest.mark.parametrize("key", LAYOUTS)
def test_every_form_gives_the_same_images(tmp_path, key, kind, how, caplog):
    layout, _ = place(tmp_path, key, kind, how)
    caplog.set_level(logging.INFO)
    dataset = build(layout, tmp_path)
    assert not caplog.records  # neither a notice nor a warning about a file as it should be
    pixels, labels = draw_part(layout, layout.test_count, seed=1)
    np.testing.assert_array_equal(dataset.test.images, pixels.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(dataset.test.labels, labels)
    pixels, labels = draw_part(layout, layout.train_count, seed=0)
    both = np.concatenate([dataset.train.images, dataset.val.images]).reshape(-1, 3072)
    assert sorted(map(bytes, both)) == sorted(map(bytes, pixels))
    found = {bytes(row): label for row, label in zip(pixels, labels, strict=True)}
    for split in (dataset.train, dataset.val):
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        assert [found[image.tobytes()] for image in split.images] == list(split.labels)
    assert dataset.class_names == layout.class_names


def test_root_may_be_the_unpacked_folder(tmp_path):
    layout, folder = place(tmp_path, how="folder")
    assert len(build(layout, folder).test.labels) == 200
    assert (folder / "cifar100-decoded.npz").exists()


def test_archive_wins_over_folder_and_python_over_binary(tmp_path):
    place(tmp_path, kind="binary")
    layout, folder = place(tmp_path, how="folder")
    assert data.cifar.find_source(layout, tmp_path).path == folder
    layout, archive = place(tmp_path)
    assert data.cifar.find_source(layout, tmp_path).path == archive


def test_dot_slash_in_names_is_read(tmp_path):  # as `tar czf name ./folder` writes it
    form = SMALL100.python
    write_archive(tmp_path / form.archive, f"./{form.folder}", FILES["cifar100", "python"])
    assert len(build(SMALL100, tmp_path).test.labels) == 200


def test_sizes(tmp_path):
    layout, _ = place(tmp_path)
    dataset = build(layout, tmp_path, train_size=120, val_size=30, test_size=100)
    assert [len(s.labels) for s in (dataset.train, dataset.val, dataset.test)] == [120, 30, 100]
    assert np.bincount(dataset.test.labels).tolist() == [1] * 100


def test_other_md5_is_a_notice_at_every_start(tmp_path, caplog):
    layout, path = place(tmp_path)
    layout = replace(layout, python=replace(layout.python, md5="0" * 32))
    caplog.set_level(logging.INFO)
    for _ in range(2):
        caplog.clear()
        build(layout, tmp_path)
        assert [r.levelname for r in caplog.records] == ["INFO"]
        assert f"{path} is not the official file" in caplog.text


def labels_with(wrong):
    pixels, labels = draw_part(SMALL100, 400, seed=0)
    labels[17] = wrong
    return pixels, labels


def python_train(wrong=5, **changes):
    pixels, labels = labels_with(wrong)
    batch = {"data": pixels, "fine_labels": [int(n) for n in labels]}
    return dump({k: v for k, v in (batch | changes).items() if v is not None})


def binary_train(wrong):
    return encode(SMALL100, SMALL100.binary, *labels_with(wrong))


NAMES = list(SMALL100.class_names)
PIXELS = draw_part(SMALL100, 400, seed=0)[0]
WRONG = [  # kind, changes to the files (f0 train, f1 test, f2 names), what the sentence says
    ("python", {"f0": python_train(100)}, "image 17 the label 100, and labels go from 0 to 99"),
    ("python", {"f0": python_train(-1)}, "image 17 the label -1"),
    ("binary", {"f0": binary_train(100)}, "image 17 the label 100, and labels go from 0 to 99"),
    ("python", {"f0": python_train(data=PIXELS[:399])}, "399 images and 400 labels, not 400"),
    ("python", {"f0": python_train(fine_labels=[0] * 401)}, "400 images and 401 labels"),
    ("python", {"f1": python_train()}, "its test part has 400 images and 400 labels, not 200"),
    ("python", {"f0": python_train(data=PIXELS[:, :3071])}, "no array 'data' of 3072 bytes"),
    ("python", {"f0": python_train(data=None)}, "no array 'data'"),
    ("python", {"f0": python_train(data="pixels")}, "no array 'data'"),
    ("python", {"f0": python_train(fine_labels=None)}, "no list 'fine_labels' of whole numbers"),
    ("python", {"f0": python_train(fine_labels=["cat"] * 400)}, "no list 'fine_labels'"),
    ("python", {"f0": b"\x80\x02cos\nsystem\n(S'true'\ntR."}, "train is not a plain CIFAR pickle"),
    ("python", {"f2": b"\x80\x02cos\nsystem\n."}, "not a plain CIFAR pickle: it asks for os.sys"),
    ("python", {"f2": dump({"fine_label_names": NAMES[::-1]})}, "meta does not hold the 100 class"),
    ("python", {"f2": dump({"fine_label_names": NAMES[:99]})}, "does not hold the 100 class names"),
    ("python", {"f2": dump({"label_names": NAMES})}, "does not hold the 100 class names"),
    ("python", {"f2": dump({"fine_label_names": 3})}, "does not hold the 100 class names"),
    ("binary", {"f2": b"apple\npear\n"}, "does not hold the 100 class names of CIFAR-100 in their"),
    ("binary", {"f0": binary_train(3)[:-1]}, "1229599 bytes, not a multiple of 3074"),
    ("binary", {"f0": binary_train(3)[:-3074]}, "399 images and 399 labels, not 400"),
]


@pytest.mark.parametrize("how", ["archive", "folder"])
@pytest.mark.parametrize(("kind", "changes", "says"), WRONG)
def test_wrong_contents_are_one_sentence(tmp_path, kind, changes, says, how):
    layout, path = place(tmp_path, kind=kind, how=how, **changes)
    expect_refusal(layout, path, says)


ARGUMENTS = [
    ({"val_size": -1}, "dataset.val_size=-1 is not accepted: give an integer from 0 to 399"),
    ({"val_size": 400}, "dataset.val_size=400 is not accepted"),
    ({"val_size": None}, "dataset.val_size=null is not accepted"),
    ({"train_size": 351}, "dataset.train_size=351 is not accepted: dataset.val_size=50 leaves 350"),
    ({"train_size": 0}, "dataset.train_size=0 is not accepted: give an integer from 1 to 350"),
    ({"train_size": "many"}, "dataset.train_size=many is not accepted"),
    ({"test_size": 201}, "dataset.test_size=201 is not accepted: give an integer from 1 to 200"),
    ({"test_size": 0.5}, "dataset.test_size=0.5 is not accepted"),
    ({"split_seed": -1}, "dataset.split_seed=-1 is not accepted: give an integer of at least 0"),
]


@pytest.mark.parametrize(("options", "says"), ARGUMENTS)
def test_wrong_arguments(tmp_path, options, says):
    with pytest.raises(ValueError) as caught:
        build(SMALL100, tmp_path, **options)
    assert says in str(caught.value)


def test_missing_root(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset.root=.*/nowhere is not a folder"):
        build(SMALL100, tmp_path / "nowhere", download=True)
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=r"dataset.root=.*/file is not a folder"):
        build(SMALL100, tmp_path / "file", download=True)


@pytest.mark.parametrize(("root", "shown"), [(None, "null"), (3, "3"), ("", "")])
def test_root_that_is_no_path(root, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"dataset.root={shown} is not a folder"):
        build_cifar(SMALL100, root=root, download=False, val_size=50)


def test_home_in_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    layout, _ = place(tmp_path / "images")
    assert len(build(layout, "~/images").test.labels) == 200


def test_no_data_and_no_download(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        build(SMALL100, tmp_path)
    sentence = str(caught.value)
    assert f"put cifar-100-python.tar.gz from {SMALL100.python.url} into {tmp_path}" in sentence
    assert "dataset=synthetic" in sentence and "\n" not in sentence


def test_download_switch_must_be_a_switch(tmp_path):
    with pytest.raises(ValueError, match=r"dataset\.download=often is not accepted"):
        build(SMALL100, tmp_path, download="often")


def test_root_permissions_count_for_root_too(tmp_path):
    tmp_path.chmod(0o555)
    try:
        assert not is_writable(tmp_path)
        assert not is_writable(tmp_path / "new" / "folder")
        with pytest.raises(OSError, match=r"is read-only: put cifar-100-python\.tar\.gz"):
            build(SMALL100, tmp_path, download=True)
    finally:
        tmp_path.chmod(0o755)
    assert is_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path) == []
