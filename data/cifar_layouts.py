"""What the official CIFAR files look like: names, checksums, counts, classes, statistics."""

from dataclasses import dataclass

_OFFICIAL = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Form:
    """One of the two forms that each data set is published in.

    Attributes:
        archive: name of the tar.gz.
        md5: checksum of the archive, as published.
        folder: the folder inside it, which has the same name when unpacked.
        train: names of the files that make up the training set, in order.
        test: the same for the test set.
        class_names: name of the file that lists the classes.
    """

    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    class_names: str

    @property
    def names(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.train, *self.test, self.class_names)

    @property
    def url(self) -> str:
        """Official address of the archive."""
        return _OFFICIAL + self.archive


@dataclass(frozen=True)
class Layout:
    """A data set: its two forms, and what must hold of either.

    Attributes:
        name: for people; `key` is for file names.
        label_key: key of the labels in a pickle; `names_key` that of the class names.
        label_bytes: bytes before the pixels in a binary row; the last of them is the class.
        mean: of each channel over the 50,000 training images, pixels scaled to [0, 1].
        std: over all pixels of all training images (not the mean of the images' own deviations,
            which is often copied in its place and is smaller).
    """

    name: str
    key: str
    python: Form
    binary: Form
    label_key: str
    names_key: str
    label_bytes: int
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    train_count: int = 50_000
    test_count: int = 10_000


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
    key="cifar100",
    python=Form(
        archive="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train=("train",),
        test=("test",),
        class_names="meta",
    ),
    binary=Form(
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        train=("train.bin",),
        test=("test.bin",),
        class_names="fine_label_names.txt",
    ),
    label_key="fine_labels",
    names_key="fine_label_names",
    label_bytes=2,  # the superclass, then the class
    class_names=tuple(_CIFAR100_CLASSES.split()),
    mean=(0.50707516, 0.48654887, 0.44091784),
    std=(0.26733429, 0.25643846, 0.27615047),
)

CIFAR10 = Layout(
    name="CIFAR-10",
    key="cifar10",
    python=Form(
        archive="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test=("test_batch",),
        class_names="batches.meta",
    ),
    binary=Form(
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        test=("test_batch.bin",),
        class_names="batches.meta.txt",
    ),
    label_key="labels",
    names_key="label_names",
    label_bytes=1,
    class_names=tuple(_CIFAR10_CLASSES.split()),
    mean=(0.49139968, 0.48215841, 0.44653091),
    std=(0.24703223, 0.24348513, 0.26158784),
)
