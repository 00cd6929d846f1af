"""CIFAR-100 and CIFAR-10 (Krizhevsky 2009, "Learning multiple layers of features...").

60,000 color photographs of 32 x 32 pixels: 50,000 to train on and 10,000 to test on. Read from the
official archives or folders in `dataset.root`, checked, and kept decoded for the next start.
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.archive import hash_file, read_folder, read_members
from data.cache import find_cache, read_cache, write_cache, write_fingerprint
from data.cifar_layouts import CIFAR10, CIFAR100, Form, Layout
from data.dataset import Dataset, Split
from data.disk import is_writable
from data.pickles import read_plain_pickle
from data.split import check_count, check_sizes, draw_stratified

log = logging.getLogger(__name__)


def build_cifar100(**options: Any) -> Dataset:
    """Build CIFAR-100: 100 classes, 500 training and 100 test images of each. See `build_cifar`."""
    return build_cifar(CIFAR100, **options)


def build_cifar10(**options: Any) -> Dataset:
    """Build CIFAR-10: 10 classes, 5,000 training and 1,000 test images each. See `build_cifar`."""
    return build_cifar(CIFAR10, **options)


def build_cifar(
    layout: Layout,
    root: str,
    download: bool = True,
    train_size: int | None = None,
    val_size: int = 5_000,
    test_size: int | None = None,
    split_seed: int = 0,
    url: str | None = None,
) -> Dataset:
    """Read a CIFAR from `root` and divide its training set into train and val.

    Args:
        layout: which CIFAR.
        root: the folder that holds one of the official archives or unpacked folders, or is one.
        download: fetch the archive where `root` has none.
        train_size: images to train on, of what `val_size` leaves; None: all of it.
        val_size: images held out of the official training set.
        test_size: images of the official test set; None: all of it.
        split_seed: fixes which images these are, for every run alike.
        url: where to fetch the archive instead of its official address.

    Raises:
        ValueError: a value that does not fit, or a file that is not what it should be.
        FileNotFoundError: `root` does not exist, or holds no data and `download` is off.
        OSError: the download failed.
    """
    train_size, val_size = check_sizes(train_size, val_size, layout.train_count)
    if test_size is None:
        test_size = layout.test_count
    check_count("dataset.test_size", test_size, 1, layout.test_count)
    check_count("dataset.split_seed", split_seed, 0, None)
    folder = Path(str(root)).expanduser()  # no shell replaces the ~ of dataset.root="~/images"
    if root in (None, "") or not folder.is_dir():
        shown = "null" if root is None else root
        raise FileNotFoundError(f"dataset.root={shown} is not a folder: name an existing one")
    source = find_source(layout, folder) or _fetch(layout, folder, download, url)
    arrays = _read_source(layout, folder, source)
    train, test = (Split(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in PARTS)
    return Dataset(
        train=_take(train, val_size, train_size, split_seed),
        val=_take(train, 0, val_size, split_seed),
        test=test if test_size == layout.test_count else _take(test, 0, test_size, split_seed),
        class_names=layout.class_names,
        mean=layout.mean,
        std=layout.std,
    )


PARTS = ("train", "test")


@dataclass(frozen=True)
class Source:
    """One archive or folder in `dataset.root`, and what its files look like."""

    path: Path
    form: Form

    @property
    def files(self) -> list[Path]:
        """The files on disk whose change means other data."""
        return [self.path] if self.path.is_file() else [self.path / n for n in self.form.names]


def find_source(layout: Layout, root: Path) -> Source | None:
    """Return the first of: python archive, python folder, binary archive, binary folder.

    An archive comes before the folder that was unpacked from it, because it carries a checksum.
    """
    for form in (layout.python, layout.binary):
        if (root / form.archive).is_file():
            return Source(root / form.archive, form)
        for folder in (root / form.folder, root):
            if all((folder / name).is_file() for name in form.names):
                return Source(folder, form)
    return None


def _fetch(layout: Layout, root: Path, download: bool, url: str | None) -> Source:
    """Download the python archive, or say in one sentence what to do instead."""
    form = layout.python
    url = url or form.url
    what_to_do = (
        f"put {form.archive} from {url} into {root.resolve()}, "
        "or use the built-in images with dataset=synthetic"
    )
    if not isinstance(download, bool):
        raise ValueError(f"dataset.download={download} is not accepted: give true or false")
    if not download:
        raise FileNotFoundError(f"dataset.root={root} holds no {layout.name}: {what_to_do}")
    if not is_writable(root):
        raise OSError(f"dataset.root={root} holds no {layout.name} and is read-only: {what_to_do}")
    # Imported here because it takes a while, and a run that has its data does not need it.
    from data.download import download_archive

    try:
        download_archive(url, root / form.archive, form.md5)
    except OSError as error:
        sentence = f"{layout.name} could not be downloaded to dataset.root={root} ({error})"
        raise OSError(f"{sentence}: {what_to_do}") from error
    return Source(root / form.archive, form)


def _read_source(layout: Layout, root: Path, source: Source) -> dict[str, np.ndarray]:
    """Return images and labels of both parts, from the cache if it has them.

    Images are (N, 3, 32, 32) uint8, labels (N,) int64.
    """
    fingerprint = write_fingerprint(source.files)
    cache = find_cache(root, layout.key)
    keys = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
    arrays = read_cache(cache, fingerprint, [*keys, "md5"], partial(_check_cached, layout))
    if arrays is None:
        try:
            arrays = _decode_source(layout, source)
        except (ValueError, OSError, MemoryError) as error:
            raise ValueError(
                f"{source.path} cannot be used as {layout.name}: {error}; put a sound copy in its "
                "place, or move it away and let dataset.download=true fetch one"
            ) from error
        write_cache(cache, fingerprint, arrays)
    md5 = str(arrays.pop("md5"))
    if source.path.is_file() and md5 != source.form.md5:
        log.info(
            "%s is not the official file (md5 %s, not %s); its contents passed all checks.",
            source.path,
            md5,
            source.form.md5,
        )
    return arrays


def _check_cached(layout: Layout, arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError where the arrays could not come from `_decode_source`."""
    for part, count in (("train", layout.train_count), ("test", layout.test_count)):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        # The cache's checksums are compared at the end of an array, which a smaller shape would
        # not reach; and OneFlow trains on other types and labels without a word, or aborts.
        if images.shape != (count, 3, 32, 32) or labels.shape != (count,):
            raise ValueError("an array of another shape")
        if images.dtype != np.uint8 or labels.dtype != np.int64:
            raise ValueError("an array of another type")
        _check_part(layout, part, count, images, labels)


def _decode_source(layout: Layout, source: Source) -> dict[str, np.ndarray]:
    form, path = source.form, source.path
    is_archive = path.is_file()
    if is_archive:
        contents = read_members(path, form.folder, form.names)
    else:
        contents = read_folder(path, form.names)
    decode = _decode_pickle if form is layout.python else _decode_binary
    _check_names(layout, form, contents.pop(form.class_names))
    arrays = {"md5": np.array(hash_file(path) if is_archive else "")}
    for part, names, count in (
        ("train", form.train, layout.train_count),
        ("test", form.test, layout.test_count),
    ):
        pieces = [decode(layout, name, contents.pop(name)) for name in names]
        images, labels = (
            np.concatenate(p) if len(p) > 1 else p[0] for p in zip(*pieces, strict=True)
        )
        _check_part(layout, part, count, images, labels)
        arrays[f"{part}_images"] = images.reshape(-1, 3, 32, 32)
        arrays[f"{part}_labels"] = labels
    return arrays


def _decode_pickle(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3072) pixels and (N,) labels of one pickle."""
    try:
        batch = read_plain_pickle(content)
    except ValueError as error:
        raise ValueError(f"its file {name} is {error}") from error
    images, labels = batch.get("data"), batch.get(layout.label_key)
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != 3072:
        raise ValueError(f"its file {name} has no array 'data' of 3072 bytes in each row")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"its file {name} has no list {layout.label_key!r} of whole numbers")
    return images, np.array(labels, np.int64)


def _decode_binary(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3072) pixels and (N,) labels; a row is label bytes, class last, then pixels."""
    row = layout.label_bytes + 3072
    if len(content) % row:
        raise ValueError(f"its file {name} has {len(content)} bytes, not a multiple of {row}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, row)
    labels = rows[:, layout.label_bytes - 1].astype(np.int64)
    return np.ascontiguousarray(rows[:, layout.label_bytes :]), labels


def _check_part(
    layout: Layout, part: str, count: int, images: np.ndarray, labels: np.ndarray
) -> None:
    if len(images) != count or len(labels) != count:
        raise ValueError(
            f"its {part} part has {len(images)} images and {len(labels)} labels, not {count}"
        )
    classes = len(layout.class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"its {part} part gives image {wrong[0]} the label {labels[wrong[0]]}, "
            f"and labels go from 0 to {classes - 1}"
        )


def _check_names(layout: Layout, form: Form, content: bytes) -> None:
    if form is layout.python:
        names = read_plain_pickle(content).get(layout.names_key)
        lines = names if isinstance(names, list) else []
    else:
        lines = content.strip().splitlines()
    found = tuple(n.decode("latin1") if isinstance(n, bytes) else n for n in lines)
    if found != layout.class_names:
        raise ValueError(
            f"its file {form.class_names} does not hold the {len(layout.class_names)} class names "
            f"of {layout.name} in their order"
        )


def _take(split: Split, start: int, size: int, seed: int) -> Split:
    rows = draw_stratified(split.labels, start, size, seed)
    return Split(np.take(split.images, rows, axis=0), split.labels[rows])  # [rows] is 10x slower
