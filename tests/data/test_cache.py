"""The decoded cache: used when it is right, noticed and built again when it is not."""

import logging
import os

import numpy as np
import pytest

import data.cifar
from tests.data.fakes import SMALL100, build, draw_part, dump, place


@pytest.fixture
def decodings(monkeypatch):
    """A list that grows by one at each reading of the archive itself."""
    calls = []
    decode = data.cifar._decode_source

    def count(layout, source):
        calls.append(source.path)
        return decode(layout, source)

    monkeypatch.setattr(data.cifar, "_decode_source", count)
    return calls


def assert_right(dataset):
    pixels, labels = draw_part(SMALL100, SMALL100.test_count, seed=1)
    np.testing.assert_array_equal(dataset.test.images.reshape(-1, 3072), pixels)
    np.testing.assert_array_equal(dataset.test.labels, labels)
    assert len(dataset.train.images) == 350 and len(dataset.val.images) == 50


@pytest.mark.parametrize("how", ["archive", "folder"])
def test_second_start_does_not_decode(tmp_path, decodings, how):
    layout, _ = place(tmp_path, how=how)
    first, second = build(layout, tmp_path), build(layout, tmp_path)
    assert len(decodings) == 1
    assert_right(second)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]  # no remains


@pytest.mark.parametrize("how", ["archive", "folder"])
def test_changed_file_is_noticed(tmp_path, decodings, how):
    layout, path = place(tmp_path, how=how)
    build(layout, tmp_path)
    file = path if how == "archive" else path / "train"
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    build(layout, tmp_path)
    assert len(decodings) == 2


def test_replaced_folder_file_is_read(tmp_path):
    layout, path = place(tmp_path, how="folder")
    build(layout, tmp_path)
    (path / "test").write_bytes(dump({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0]}))
    with pytest.raises(ValueError, match="its test part has 2 images and 1 labels, not 200"):
        build(layout, tmp_path)


def test_any_flipped_byte_is_noticed_or_harmless(tmp_path, decodings):
    layout, _ = place(tmp_path)
    build(layout, tmp_path)
    cache = tmp_path / "cifar100-decoded.npz"
    whole = cache.read_bytes()
    rng = np.random.default_rng(0)
    # All over the file, and closely in its head, its end and the headers of its arrays.
    places = [*rng.integers(0, len(whole), 25), *range(0, 400, 16), *range(-700, 0, 16)]
    for place_ in places:
        content = bytearray(whole)
        content[place_] ^= 1 << int(rng.integers(8))
        cache.write_bytes(content)
        assert_right(build(layout, tmp_path))
    assert len(decodings) > 40


DAMAGE = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "text": lambda whole: b"hello",
    "a smaller shape": lambda whole: whole.replace(b"(400, 3, 32, 32)", b"(100, 3, 32, 32)"),
    "a pixel": lambda whole: whole[:900_000] + bytes([whole[900_000] ^ 1]) + whole[900_001:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_a_notice_and_repaired(tmp_path, decodings, caplog, damage):
    layout, _ = place(tmp_path)
    build(layout, tmp_path)
    cache = tmp_path / "cifar100-decoded.npz"
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    assert cache.read_bytes() != whole
    assert_right(build(layout, tmp_path))
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert f"The decoded cache {cache} is damaged" in caplog.text
    assert_right(build(layout, tmp_path))
    assert len(decodings) == 2


def test_pickle_in_place_of_the_cache_is_not_run(tmp_path, decodings):
    layout, _ = place(tmp_path)
    build(layout, tmp_path)
    cache = tmp_path / "cifar100-decoded.npz"
    boom = tmp_path / "boom"
    cache.write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % str(boom).encode())
    assert_right(build(layout, tmp_path))
    assert not boom.exists()


def test_read_only_root_uses_the_users_cache_folder(tmp_path, decodings, monkeypatch):
    root, users = tmp_path / "root", tmp_path / "users"
    root.mkdir()
    layout, path = place(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(users))
    root.chmod(0o555)
    try:
        for _ in range(2):
            assert_right(build(layout, root))
        assert list(root.iterdir()) == [path]
    finally:
        root.chmod(0o755)
    assert len(decodings) == 1
    (cache,) = (users / "oneflow-lr-lab").iterdir()
    assert cache.name.startswith("cifar100-decoded-")


def test_two_roots_do_not_share_the_users_cache(tmp_path, decodings, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        layout, _ = place(root)
        root.chmod(0o555)
        build(layout, root)
        root.chmod(0o755)
    assert len(decodings) == 2
    assert len(list((tmp_path / "users" / "oneflow-lr-lab").iterdir())) == 2


def test_without_any_writable_folder_it_still_works(tmp_path, decodings, monkeypatch):
    root, users = tmp_path / "root", tmp_path / "users"
    users.mkdir()
    root.mkdir()
    layout, _ = place(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(users))
    root.chmod(0o555)
    users.chmod(0o555)
    try:
        for _ in range(2):
            assert_right(build(layout, root))
    finally:
        root.chmod(0o755)
        users.chmod(0o755)
    assert len(decodings) == 2


def test_full_disk_is_a_notice(tmp_path, monkeypatch, caplog):
    layout, path = place(tmp_path)

    def fail(*_args, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    caplog.set_level(logging.WARNING)
    assert_right(build(layout, tmp_path))
    assert "was not written ([Errno 28] No space left on device)" in caplog.text
    assert list(tmp_path.iterdir()) == [path]
