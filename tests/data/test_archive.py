"""Archives that are hostile, cut, changed or endless."""

import gzip
import io
import tarfile

import pytest

import data.archive
import data.cifar
from tests.data.fakes import (
    FILES,
    SMALL100,
    build,
    expect_refusal,
    place,
    write_archive,
)


def rewrite(path, **options):
    """Write the archive at `path` again, with one more member in front."""
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]
    extra = tarfile.TarInfo(options.pop("name"))
    content = options.pop("content", b"")
    extra.size = len(content)
    for key, value in options.items():
        setattr(extra, key, value)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, body in [(extra, content), *members]:
            archive.addfile(member, io.BytesIO(body))


MEMBERS = [
    ({"name": "../evil", "content": b"x"}, "'../evil', which leads outside its folder"),
    ({"name": "cifar-100-python/../../evil"}, "which leads outside its folder"),
    ({"name": "/evil", "content": b"x"}, "'/evil', which leads outside its folder"),
    ({"name": "..", "type": tarfile.DIRTYPE}, "which leads outside its folder"),
    ({"name": "a", "type": tarfile.SYMTYPE, "linkname": "/etc"}, "'a', which is a link"),
    ({"name": "a", "type": tarfile.LNKTYPE, "linkname": "cifar-100-python/train"}, "is a link"),
    ({"name": "cifar-100-python/train", "type": tarfile.SYMTYPE, "linkname": "x"}, "is a link"),
    ({"name": "a", "type": tarfile.CHRTYPE}, "'a', which is a link or a device"),
    ({"name": "a", "type": tarfile.FIFOTYPE}, "'a', which is a link or a device"),
    ({"name": "cifar-100-python/train", "content": b"x"}, "'cifar-100-python/train' twice"),
]


@pytest.mark.parametrize(("member", "says"), MEMBERS)
def test_hostile_members_are_refused(tmp_path, member, says):
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    layout, path = place(root)
    rewrite(path, **member)
    expect_refusal(layout, path, says)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", path.name]


def test_harmless_members_are_passed_over(tmp_path):
    layout, path = place(tmp_path)
    rewrite(path, name="cifar-100-python/README", content=b"hello")
    assert len(build(layout, tmp_path).test.labels) == 200


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999999])
def test_truncated_archive(tmp_path, share):
    layout, path = place(tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    expect_refusal(layout, path, "it is damaged or cut short")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8])
def test_flipped_bit_in_the_archive(tmp_path, share):
    layout, path = place(tmp_path)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 4
    path.write_bytes(content)
    expect_refusal(layout, path, "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged or cut short"),
        (b"<html>404</html>", "damaged or cut short"),
        (gzip.compress(b"not a tar"), "damaged or cut short"),
        (gzip.compress(b"\0" * 10240), "it does not hold cifar-100-python/meta"),
    ],
)
def test_not_an_archive(tmp_path, content, says):
    path = tmp_path / SMALL100.python.archive
    path.write_bytes(content)
    expect_refusal(SMALL100, path, says)


def test_missing_file_in_the_archive(tmp_path):
    form = SMALL100.python
    files = FILES["cifar100", "python"].copy()
    del files["test"]
    write_archive(tmp_path / form.archive, form.folder, files)
    expect_refusal(SMALL100, tmp_path / form.archive, "it does not hold cifar-100-python/test")


def test_endless_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(data.archive, "MAX_BYTES", 2**20)
    layout, path = place(tmp_path)  # 1.8 MB
    expect_refusal(layout, path, "it unpacks to more than 1048576 bytes")


def test_oversized_file_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(data.archive, "MAX_BYTES", 2**20)
    layout, folder = place(tmp_path, how="folder")
    expect_refusal(layout, folder, "its file train is larger than 1048576 bytes")
