"""CIFAR-100 and CIFAR-10 (Krizhevsky 2009, "Learning multiple layers of features...").

60,000 color photographs of 32 x 32 pixels: 50,000 to train on and 10,000 to test on. Read from the
official python archive or its unpacked folder in `dataset.root`, checked, and kept decoded for the
next start.
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.checks import check_integer, refusal, show
from common.files import is_writable
from data.archive import find_cache, hash_file, read_cache, read_files, read_pickle, write_cache
from data.dataset import Dataset, Split, check_sizes, order_stratified

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """A data set: its official files, and what must hold of them.

    Attributes:
        md5: published checksum of `archive`, which holds `folder`.
        train: names of the files that make up the training set, in order; `test` likewise.
        meta: name of the file that lists the classes, under `names_key`.
        label_key: key of the labels in the other files.
        mean: of each channel over the 50,000 training images, pixels scaled to [0, 1].
        std: over all pixels of all training images; the mean of the deviations of each image, which
            is often copied in its place, is smaller.
    """

    name: str
    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    label_key: str
    names_key: str
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    train_count: int = 50_000
    test_count: int = 10_000

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.train, *self.test, self.meta)


_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"

CIFAR100 = Layout(
    name="CIFAR-100",
    archive="cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    label_key="fine_labels",
    names_key="fine_label_names",
    class_names=tuple(_CIFAR100_CLASSES.split()),
    mean=(0.50707516, 0.48654887, 0.44091784),
    std=(0.26733429, 0.25643846, 0.27615047),
)
CIFAR10 = Layout(
    name="CIFAR-10",
    archive="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    label_key="labels",
    names_key="label_names",
    class_names=tuple(_CIFAR10_CLASSES.split()),
    mean=(0.49139968, 0.48215841, 0.44653091),
    std=(0.24703223, 0.24348513, 0.26158784),
)


def build_cifar100(num_classes: int = 100, **options: Any) -> Dataset:
    """Build CIFAR-100: 100 classes, 500 training and 100 test images of each. See `build_cifar`."""
    return build_cifar(CIFAR100, num_classes, **options)


def build_cifar10(num_classes: int = 10, **options: Any) -> Dataset:
    """Build CIFAR-10: 10 classes, 5,000 training and 1,000 test images each. See `build_cifar`."""
    return build_cifar(CIFAR10, num_classes, **options)


def build_cifar(
    layout: Layout,
    num_classes: int,
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
        layout, num_classes: which CIFAR, and how many outputs the model has.
        root: a folder with the official archive or the unpacked folder; or the latter itself.
        download: fetch the archive where `root` has none.
        train_size, test_size: images to train and to test on; None: all that there are.
        val_size: images held out of the official training set.
        split_seed: fixes which images these are, for every run alike.
        url: where to fetch the archive instead of its official address.

    Raises:
        ValueError: a value that does not fit, or a file that is not what it should be.
        OSError: `root` is no folder, or it holds no data and none was downloaded.
    """
    if num_classes != len(layout.class_names):
        raise refusal("dataset.num_classes", num_classes, str(len(layout.class_names)))
    train_size, val_size = check_sizes(train_size, val_size, layout.train_count)
    test_size = layout.test_count if test_size is None else test_size
    check_integer("dataset.test_size", test_size, 1, layout.test_count)
    check_integer("dataset.split_seed", split_seed, 0)
    folder = Path(str(root)).expanduser()  # no shell replaces the ~ of dataset.root="~/images"
    if root in (None, "") or not folder.is_dir():
        raise FileNotFoundError(str(refusal("dataset.root", root, "an existing folder")))
    source = find_source(layout, folder) or _fetch(layout, folder, download, url)
    arrays = _read_source(layout, folder, source)
    rows = (("train", val_size, train_size), ("train", 0, val_size), ("test", 0, test_size))
    splits = [_take(arrays, *part, split_seed) for part in rows]
    return Dataset(*splits, layout.class_names, layout.mean, layout.std)


def find_source(layout: Layout, root: Path) -> Path | None:
    """Return the archive in `root`, else the unpacked folder, which may be `root`, or None."""
    if (root / layout.archive).is_file():
        return root / layout.archive
    for folder in (root / layout.folder, root):
        if all((folder / name).is_file() for name in layout.files):
            return folder
    return None


def _fetch(layout: Layout, root: Path, download: bool, url: str | None) -> Path:
    """Download the archive, or explain what to do instead."""
    url = url or f"https://www.cs.toronto.edu/~kriz/{layout.archive}"
    key = f"dataset.root={show(str(root))}: expected {layout.name} in it"
    what_to_do = f"Put {layout.archive} from {url} into {root.resolve()}, "
    what_to_do += "or use the built-in images with dataset=synthetic."
    if not isinstance(download, bool):
        raise refusal("dataset.download", download, "true or false")
    if not download:
        raise FileNotFoundError(f"{key}. {what_to_do}")
    if not is_writable(root):
        raise OSError(f"{key}, for the folder is read-only. {what_to_do}")
    # Imported here because it takes a while, and a run that has its data does not need it.
    from data.download import download_archive

    try:
        download_archive(url, root / layout.archive, layout.md5)
    except OSError as error:
        raise OSError(f"{key}, and the download failed ({error}). {what_to_do}") from error
    return root / layout.archive


def _read_source(layout: Layout, root: Path, source: Path) -> dict[str, np.ndarray]:
    """Return images (N, 3, 32, 32) uint8 and labels (N,) int64 of both parts; cache them."""
    files = [source] if source.is_file() else [source / name for name in layout.files]
    stats = [(file.name, file.stat()) for file in files]
    fingerprint = "1 " + " ".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)
    cache = find_cache(root, layout.name.lower().replace("-", ""))
    arrays = read_cache(cache, fingerprint, partial(_check_arrays, layout, source))
    if arrays is None:
        try:
            arrays = _decode_source(layout, source)
            _check_arrays(layout, source, arrays)
        except (ValueError, OSError, MemoryError) as error:
            raise ValueError(
                f"{source} cannot be used as {layout.name}: {error}. Put a sound copy in its "
                "place, or move it away and let dataset.download=true fetch one."
            ) from error
        write_cache(cache, fingerprint, arrays)
    return arrays


def _decode_source(layout: Layout, source: Path) -> dict[str, np.ndarray]:
    """Read the official files: images and labels of both parts, and the md5 of an archive."""
    contents = read_files(source, layout.folder, layout.files)
    files = {}
    for name in layout.files:
        try:
            files[name] = read_pickle(contents.pop(name))
        except ValueError as error:
            raise ValueError(f"its file {name} is {error}") from error
    classes = [name.encode() for name in layout.class_names]
    if files[layout.meta].get(layout.names_key) != classes:
        names = f"the {len(classes)} class names of {layout.name} in their order"
        raise ValueError(f"its file {layout.meta} does not hold {names}")
    arrays = {"md5": np.array(hash_file(source) if source.is_file() else "")}
    for part, names in (("train", layout.train), ("test", layout.test)):
        batches = [_check_batch(layout, name, files.pop(name)) for name in names]
        images, labels = (np.concatenate(pieces) for pieces in zip(*batches, strict=True))
        arrays |= {f"{part}_images": images.reshape(-1, 3, 32, 32), f"{part}_labels": labels}
    return arrays


def _check_batch(layout: Layout, name: str, batch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3072) pixels and (N,) labels of one file."""
    images, labels = batch.get("data"), batch.get(layout.label_key)
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != 3072:
        raise ValueError(f"its file {name} has no array 'data' of 3072 bytes in each row")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"its file {name} has no list {layout.label_key!r} of whole numbers")
    return images, np.array(labels, np.int64)


def _check_arrays(layout: Layout, source: Path, arrays: dict[str, np.ndarray]) -> None:
    """Refuse other types, shapes and labels (OneFlow may not), and log another checksum."""
    classes, md5 = len(layout.class_names), str(arrays["md5"])
    for part, count in (("train", layout.train_count), ("test", layout.test_count)):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or labels.dtype != np.int64:
            raise ValueError(f"its {part} part has another type")
        if images.shape != (count, 3, 32, 32) or labels.shape != (count,):
            sizes = f"{len(images)} images and {len(labels)} labels"
            raise ValueError(f"its {part} part has {sizes}, not {count}")
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(wrong):
            label = f"the label {labels[wrong[0]]}, and labels go from 0 to {classes - 1}"
            raise ValueError(f"its {part} part gives image {wrong[0]} {label}")
    if md5 and md5 != layout.md5:
        sentence = "%s is not the official file (md5 %s, not %s); its contents passed all checks."
        log.info(sentence, source, md5, layout.md5)


def _take(arrays: dict[str, np.ndarray], part: str, start: int, size: int, seed: int) -> Split:
    """Return some images of a part, evenly of all classes; the whole part is not copied."""
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    if size == len(labels):
        return Split(images, labels)
    # In rising order, because that reads the images from front to back; the loader shuffles them.
    rows = np.sort(order_stratified(labels, seed)[start : start + size])
    return Split(np.take(images, rows, axis=0), labels[rows])  # [rows] is 10x slower
