"""Small imitations of the official CIFAR files: same layout, same instructions, fewer rows."""

import io
import pickle
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.archive import hash_file
from data.cifar import build_cifar
from data.cifar_layouts import CIFAR10, CIFAR100, Form, Layout
from data.dataset import Dataset

SMALL100 = replace(CIFAR100, train_count=400, test_count=200)
SMALL10 = replace(CIFAR10, train_count=100, test_count=40)


def emit(value: object) -> bytes:
    """Return the pickle instructions that Python 2's protocol 2 makes of a value."""
    if isinstance(value, bytes) and len(value) < 256:
        return pickle.SHORT_BINSTRING + bytes([len(value)]) + value
    if isinstance(value, bytes):
        return pickle.BINSTRING + struct.pack("<i", len(value)) + value
    if isinstance(value, str):
        return emit(value.encode("latin1"))
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(emit, value)) + pickle.APPENDS
    if isinstance(value, dict):
        items = b"".join(emit(key) + emit(item) for key, item in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8
    return emit_array(value.shape, b"u1", value.tobytes())


def emit_name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def emit_array(shape: tuple[int, ...], code: bytes, content: bytes) -> bytes:
    """Return what Python 2 writes for a numpy array, whether the parts fit together or not."""
    made = emit_name("numpy.core.multiarray", "_reconstruct") + emit_name("numpy", "ndarray")
    made += emit(0) + pickle.TUPLE1 + emit(b"b") + pickle.TUPLE3 + pickle.REDUCE
    kind = emit_name("numpy", "dtype") + emit(code) + emit(0) + emit(1) + pickle.TUPLE3
    kind += pickle.REDUCE + pickle.MARK + emit(3) + emit(b"|") + pickle.NONE * 3
    kind += emit(-1) + emit(-1) + emit(0) + pickle.TUPLE + pickle.BUILD
    counts = pickle.MARK + b"".join(map(emit, shape)) + pickle.TUPLE
    state = pickle.MARK + emit(1) + counts + kind + pickle.NEWFALSE + emit(content) + pickle.TUPLE
    return made + state + pickle.BUILD


def dump(value: object) -> bytes:
    return pickle.PROTO + b"\x02" + emit(value) + pickle.STOP


def draw_part(layout: Layout, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (count, 3072) random pixels and labels in random order, equally many of each class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, rng.permutation(np.arange(count) % len(layout.class_names))


def draw_files(layout: Layout, form: Form) -> dict[str, bytes]:
    """Return name -> content of the files in the folder of this form."""
    if form is layout.python:
        files = {form.class_names: dump({layout.names_key: list(layout.class_names)})}
    else:
        files = {form.class_names: ("\n".join(layout.class_names) + "\n\n").encode()}
    for seed, (names, count) in enumerate(
        [(form.train, layout.train_count), (form.test, layout.test_count)]
    ):
        pixels, labels = draw_part(layout, count, seed)
        for name, rows in zip(names, np.split(np.arange(count), len(names)), strict=True):
            files[name] = encode(layout, form, pixels[rows], labels[rows])
    return files


def encode(layout: Layout, form: Form, pixels: np.ndarray, labels: np.ndarray) -> bytes:
    if form is layout.python:
        batch = {"batch_label": "a batch", layout.label_key: [int(n) for n in labels]}
        return dump(batch | {"data": pixels})
    coarse = [np.zeros(len(labels), np.uint8)] * (layout.label_bytes - 1)
    return np.column_stack([*coarse, labels.astype(np.uint8), pixels]).tobytes()


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> str:
    """Write a tar.gz and return its md5."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return hash_file(path)


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)


LAYOUTS = {"cifar100": SMALL100, "cifar10": SMALL10}
FILES = {
    (key, kind): draw_files(layout, getattr(layout, kind))
    for key, layout in LAYOUTS.items()
    for kind in ("python", "binary")
}


def place(
    root: Path, key: str = "cifar100", kind: str = "python", how: str = "archive", **changes: bytes
) -> tuple[Layout, Path]:
    """Put a fake CIFAR into `root`; return its layout, which has its md5, and its path.

    A change f0=... replaces the first file of the form, f1 the second, and so on.
    """
    layout = LAYOUTS[key]
    form = getattr(layout, kind)
    files = FILES[key, kind] | {form.names[int(i[1:])]: c for i, c in changes.items()}
    if how == "folder":
        write_folder(root / form.folder, files)
        return layout, root / form.folder
    md5 = write_archive(root / form.archive, form.folder, files)
    return replace(layout, **{kind: replace(form, md5=md5)}), root / form.archive


def build(layout: Layout, root: Path, **options: object) -> Dataset:
    return build_cifar(layout, root=str(root), **({"download": False, "val_size": 50} | options))


def expect_refusal(layout, path, says):
    """The sentence names the file and says `says`; and nothing was written anywhere."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(ValueError) as caught:
        build(layout, path.parent)
    assert str(caught.value).startswith(f"{path} cannot be used as CIFAR-100: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before
