"""Archives and pickles that are hostile, damaged, or made to exhaust memory, time or the stack."""

import gzip
import io
import os
import pickle
import struct
import sys
import tarfile

import numpy as np
import pytest

from data.archive import MAX_MEMBERS, read_cache, read_files, read_pickle
from tests.data.fakes import (
    FILES,
    SMALL100,
    build,
    dump,
    emit,
    emit_array,
    emit_name,
    expect_refusal,
    place,
    write_archive,
)
from tests.helpers.sandbox import outcome


def rewrite(path, name, content=b"", **fields):
    """Write the archive at `path` again, with one more member in front."""
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]
    extra = tarfile.TarInfo(name)
    extra.size = len(content)
    extra.type = fields.get("type", tarfile.REGTYPE)
    extra.linkname = fields.get("linkname", "")
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


@pytest.mark.parametrize(("member", "message"), MEMBERS)
def test_hostile_members_are_refused(tmp_path, member, message):
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    layout, path = place(root)
    rewrite(path, **member)
    expect_refusal(layout, path, message)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", path.name]


def test_harmless_members_and_names_are_accepted(tmp_path):
    layout, path = place(tmp_path)
    rewrite(path, name="cifar-100-python/README", content=b"hello")
    assert len(build(layout, tmp_path).test.labels) == 200
    write_archive(path, f"./{layout.folder}", FILES["cifar100"])  # as `tar czf name ./folder` does
    assert len(build(layout, tmp_path).test.labels) == 200


DAMAGE = [
    (lambda whole: whole[:9], "it is damaged or cut short"),
    (lambda whole: whole[: len(whole) * 9 // 10], "it is damaged or cut short"),
    (lambda whole: whole[:-1], "it is damaged or cut short"),
    (lambda whole: whole[:700_000] + bytes([whole[700_000] ^ 4]) + whole[700_001:], ""),
    (lambda whole: b"", "it is damaged or cut short"),
    (lambda whole: b"<html>404</html>", "it is damaged or cut short"),
    (lambda whole: gzip.compress(b"not a tar"), "it is damaged or cut short"),
    (lambda whole: gzip.compress(bytes(10240)), "it does not hold cifar-100-python/meta"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damaged_archives_are_refused(tmp_path, damage, message):
    layout, path = place(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    expect_refusal(layout, path, message)


def test_missing_file_in_the_archive(tmp_path):
    files = {name: content for name, content in FILES["cifar100"].items() if name != "test"}
    write_archive(tmp_path / SMALL100.archive, SMALL100.folder, files)
    expect_refusal(SMALL100, tmp_path / SMALL100.archive, "it does not hold cifar-100-python/test")


END = bytes(1024)


def header(name, size=0, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def edit_header(place, field, kind=tarfile.REGTYPE):
    """A header with other bytes in one place, and the right checksum."""
    block = bytearray(header("f/a", kind=kind))
    block[place : place + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_content(name, content, kind=tarfile.REGTYPE):
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def read_tar(tmp_path, tar, **options):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar, 1))
    return read_files(path, "f", ["a"], **options)


TAR_BOMBS = {
    "2 GB of holes": (edit_header(483, b"%011o\0" % 2**31, tarfile.GNUTYPE_SPARSE), "a link or a"),
    "negative size": (edit_header(124, b"\xff" * 12), "ends early"),
    "longer than a number": (edit_header(124, b"\x80" + b"\x7f" * 11), "ends early"),
    "longer than the archive": (header("f/a", 10**9), "ends early"),
    "many members": (header("f/b") * (MAX_MEMBERS + 1), "more than 1000 members"),
}


@pytest.mark.parametrize(("tar", "message"), TAR_BOMBS.values(), ids=TAR_BOMBS)
def test_archive_bombs_are_refused(tmp_path, tar, message):
    with pytest.raises(ValueError, match=message):
        read_tar(tmp_path, tar + END)


NOTES = {
    "recursion": with_content("n", b"12 path=f/b\n", tarfile.XHDTYPE) * 900,  # tarfile calls itself
    "long names": with_content("n", b"f/b\0", tarfile.GNUTYPE_LONGNAME) * 900,
    "digits": with_content("n", b"1" * 200_000, tarfile.XHDTYPE),  # a minute for tarfile's search
    "sparse": with_content("n", b"22 GNU.sparse.size=99\n", tarfile.XHDTYPE),
}


@pytest.mark.parametrize("notes", NOTES.values(), ids=NOTES)
def test_notes_in_an_archive_are_passed_over(tmp_path, notes):
    tar = notes + with_content("f/a", b"right") + END
    assert outcome(tmp_path, lambda: read_tar(tmp_path, tar)) == {"a": b"right"}


def test_too_many_bytes_are_refused(tmp_path):
    for tar in (with_content("f/a", bytes(2**21)) + END, header("f/a") + END + bytes(2**21)):
        with pytest.raises(ValueError, match="it unpacks to more than 1048576 bytes"):
            read_tar(tmp_path, tar, limit=2**20)
    (tmp_path / "a").write_bytes(bytes(11))
    with pytest.raises(ValueError, match="its file a has more than 10 bytes"):
        read_files(tmp_path, "f", ["a"], limit=10)
    assert read_files(tmp_path, "f", ["a"], limit=11) == {"a": bytes(11)}


def test_a_compressed_cache_is_not_unpacked(tmp_path, caplog):
    path = tmp_path / "cache.npz"
    np.savez_compressed(path, fingerprint=np.array("x"), images=np.zeros(2**24, np.uint8))
    assert read_cache(path, "x", ["images"], lambda arrays: None) is None
    assert "it is compressed" in caplog.text


def wrap(instructions):
    """Return a pickle of {"data": what the instructions leave on the stack}."""
    head = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + emit("data")
    return head + instructions + pickle.SETITEM + pickle.STOP


def call(module, name, *arguments):
    given = pickle.MARK + b"".join(map(emit, arguments)) + pickle.TUPLE
    return emit_name(module, name) + given + pickle.REDUCE


def test_official_layout_is_read():
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    batch = read_pickle(dump({"data": pixels, "fine_labels": [7, 99], "batch_label": "x"}))
    assert batch["fine_labels"] == [7, 99] and batch["batch_label"] == b"x"
    assert batch["data"].dtype == np.uint8
    np.testing.assert_array_equal(batch["data"], pixels)


class Bomb:
    """Its pickle, read by the ordinary reader, makes the folder `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bomb_does_not_go_off(tmp_path, protocol):
    bomb = pickle.dumps({"data": Bomb(tmp_path / "boom")}, protocol)
    with pytest.raises(ValueError, match="not a plain CIFAR pickle"):
        read_pickle(bomb)
    assert not (tmp_path / "boom").exists()
    pickle.loads(bomb)  # the bomb is a real one
    assert (tmp_path / "boom").exists()


NEW = emit_name("numpy", "dtype") + pickle.EMPTY_TUPLE
LAUGHS = emit([1]) + pickle.BINPUT + b"\0"
for i in range(40):  # a list of the last one twice: whoever shows it as text never ends
    LAUGHS = pickle.EMPTY_LIST + LAUGHS + pickle.APPEND + pickle.BINGET + bytes([i])
    LAUGHS += pickle.APPEND + pickle.BINPUT + bytes([i + 1])
HOSTILE = {  # pickles, and what is to be in the sentence
    "os.system": (wrap(call("os", "system", "touch boom")), "it asks for os.system"),
    "Python 2's eval": (wrap(call("__builtin__", "eval", "open('boom', 'w')")), "it asks for __"),
    "getattr": (wrap(call("builtins", "getattr", "x", "__class__")), "it asks for builtins.geta"),
    "dotted name": (wrap(call("numpy", "ndarray.tofile", "boom")), "for numpy.ndarray.tofile"),
    "codecs": (wrap(call("_codecs", "encode", "x", "rot13")), "it asks for _codecs.encode"),
    "our own module": (wrap(call("data.archive", "_Parts")), "it asks for data.archive._Parts"),
    "import": (wrap(call("this", "s")), "it asks for this.s"),  # prints the Zen of Python
    "call of a string": (wrap(emit("x") + pickle.EMPTY_TUPLE + pickle.REDUCE), "not callable"),
    "state of a list": (wrap(emit([1]) + emit({"x": 1}) + pickle.BUILD), "no attribute"),
    "state of a name": (wrap(emit_name("numpy", "dtype") + emit({"x": 1}) + pickle.BUILD), ""),
    "object of a class": (wrap(NEW + pickle.NEWOBJ), "instruction NEWOBJ is not allowed"),
    "INST": (wrap(pickle.MARK + pickle.INST + b"os\nsystem\n"), "instruction INST is not allowed"),
    "STACK_GLOBAL": (wrap(emit("os") + emit("system") + pickle.STACK_GLOBAL), "STACK_GLOBAL is no"),
    "persistent id": (wrap(emit("x") + pickle.BINPERSID), "instruction BINPERSID is not allowed"),
    "objects": (wrap(emit_array((1,), b"O8", bytes(8))), "not of unsigned bytes"),
    "floats": (wrap(emit_array((1,), b"f8", bytes(8))), "not of unsigned bytes"),
    "other length": (wrap(emit_array((2, 3072), b"u1", bytes(3072))), "cannot reshape"),
    "counts without end": (wrap(emit_array((2**31 - 1,) * 4, b"u1", b"1234")), ""),
    "an array without state": (wrap(NEW + pickle.REDUCE), ""),
    "laughs": (wrap(emit_array((1,), b"u1", b"1").replace(emit(b"u1"), LAUGHS)), "not of unsig"),
    "key is a deep tuple": (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + emit(1) + pickle.TUPLE1 * 300_000 + emit(1)
        + pickle.SETITEM + pickle.STOP,
        "more instructions than",
    ),
    "key is a number": (dump({1: 2}), ""),
    "a table of 32 GB": (
        wrap(emit(5) + pickle.LONG_BINPUT + struct.pack("<I", 2**31 - 1)),
        "more instructions than",
    ),
    "a string without end": (wrap(pickle.BINSTRING + struct.pack("<i", 2**31 - 1) + b"x"), ""),
    "unknown memo": (wrap(pickle.BINGET + b"\x07"), ""),
    "empty": (b"", ""),
    "cut short": (dump({"labels": [1, 2, 3]})[:-3], ""),
    "no dict": (dump([1]), "no dict in it"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused_and_nothing_is_called(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = set(sys.modules)
    with pytest.raises(ValueError, match="not a plain CIFAR pickle") as caught:
        read_pickle(content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())
    assert set(sys.modules) == imported


def test_a_pickle_of_many_instructions_is_refused():
    content = pickle.PROTO + b"\x02" + pickle.EMPTY_LIST * 2000 + pickle.STOP
    with pytest.raises(ValueError, match="more instructions than a file of CIFAR"):
        read_pickle(content, limit=2000)


def test_deep_lists_and_lists_of_themselves_are_harmless():
    deep = pickle.EMPTY_LIST * 300_000 + pickle.APPEND * 299_999
    assert len(read_pickle(wrap(deep))["data"]) == 1
    itself = pickle.EMPTY_LIST + pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.APPEND
    assert len(read_pickle(wrap(itself + LAUGHS + pickle.APPEND))["data"]) == 2
