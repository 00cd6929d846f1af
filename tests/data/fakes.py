"""Small imitations of the official CIFAR files: same layout, same instructions, fewer rows."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from data.cifar import CIFAR10, CIFAR100, build_cifar

SMALL = {
    "cifar100": replace(CIFAR100, train_count=400, test_count=200),
    "cifar10": replace(CIFAR10, train_count=100, test_count=40),
}
SMALL100 = SMALL["cifar100"]


def emit(value):
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
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(emit, value)) + pickle.TUPLE
    if isinstance(value, dict):
        items = b"".join(emit(key) + emit(item) for key, item in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    return emit_array(value.shape, b"u1", value.tobytes())


def emit_name(module, name):
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def emit_array(shape, code, content):
    """Return what Python 2 writes for a numpy array, whether the parts fit together or not."""
    made = emit_name("numpy.core.multiarray", "_reconstruct") + emit_name("numpy", "ndarray")
    made += emit(0) + pickle.TUPLE1 + emit(b"b") + pickle.TUPLE3 + pickle.REDUCE
    kind = emit_name("numpy", "dtype") + emit((code, 0, 1)) + pickle.REDUCE + pickle.MARK
    kind += emit(3) + emit(b"|") + pickle.NONE * 3 + emit(-1) * 2 + emit(0)
    kind += pickle.TUPLE + pickle.BUILD
    state = pickle.MARK + emit(1) + emit(shape) + kind + pickle.NEWFALSE + emit(content)
    return made + state + pickle.TUPLE + pickle.BUILD


def dump(value):
    return pickle.PROTO + b"\x02" + emit(value) + pickle.STOP


def draw_part(layout, count, seed):
    """Return (count, 3072) random pixels and labels in random order, equally many of each class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, rng.permutation(np.arange(count) % len(layout.class_names))


def draw_files(layout):
    """Return the contents of the files of this data set, by name."""
    files = {layout.meta: dump({layout.names_key: list(layout.class_names)})}
    parts = [(layout.train, layout.train_count), (layout.test, layout.test_count)]
    for seed, (names, count) in enumerate(parts):
        pixels, labels = draw_part(layout, count, seed)
        for name, rows in zip(names, np.split(np.arange(count), len(names)), strict=True):
            batch = {layout.label_key: labels[rows].tolist(), "data": pixels[rows]}
            files[name] = dump({"batch_label": "a batch"} | batch)
    return files


FILES = {key: draw_files(layout) for key, layout in SMALL.items()}


def pack(folder, files):
    """Return an uncompressed tar of the files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def place(root, key="cifar100", how="archive", front=b"", **changes):
    """Put a fake CIFAR into `root`; return its layout, which has its md5, and its path.

    Changes are the contents of CIFAR-100's files by name; `front` is what the tar begins with.
    """
    layout, files = SMALL[key], FILES[key] | changes
    if how == "folder":
        (root / layout.folder).mkdir()
        for name, content in files.items():
            (root / layout.folder / name).write_bytes(content)
        return layout, root / layout.folder
    content = gzip.compress(front + pack(layout.folder, files), 1)
    (root / layout.archive).write_bytes(content)
    return replace(layout, md5=hashlib.md5(content).hexdigest()), root / layout.archive


def build(layout, root, **options):
    options = {"download": False, "val_size": 50} | options
    return build_cifar(layout, len(layout.class_names), root=str(root), **options)


def expect_refusal(layout, path, message):
    """Check that the error names the file and the fault, and that nothing was written anywhere."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(ValueError) as caught:
        build(layout, path.parent)
    assert str(caught.value).startswith(f"{path} cannot be used as CIFAR-100: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before
