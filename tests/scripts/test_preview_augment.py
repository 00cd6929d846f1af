"""The picture of a batch under augmentation, and that of a run's first batch in TensorBoard."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data import BatchLoader, build_dataset
from data.images import restore_pixels, tile_images
from scripts.preview_augment import GALLERY, make_row, preview_augment, title
from tests.conftest import compose_config

FEW = ("dataset=synthetic", "dataset.train_size=40", "dataset.val_size=0", "dataset.test_size=1")
CUTOUT = {"crop_padding": 4, "flip": True, "cutout": 8}


def compose(tmp_path, *overrides):
    out = tmp_path / "picture.png"
    words = (*FEW, f"preview_augment.out={out}", *overrides)
    return compose_config(*words, folder=tmp_path, name="preview_augment"), out


def test_every_kind_has_a_row(tmp_path):
    config, out = compose(tmp_path, "preview_augment.images=4")
    preview_augment(config)
    picture = np.asarray(Image.open(out))
    assert picture.shape[:2] == (sum(64 + 6 for _ in GALLERY) + 6, 178 + 4 * 66 + 6)
    kinds = {key for node in GALLERY for key in node}
    assert kinds == set(config.augment)
    images = build_dataset(config.dataset).train.images
    # the last row of the first image, all its columns, two pixels for one
    assert (images[0, :, 31] == picture[6 + 62, 178 : 178 + 64 : 2].T).all()


def test_a_row_is_what_the_loader_makes(tmp_path):
    config, out = compose(tmp_path, "augment.cutout=8", "seed=3")
    preview_augment(config)
    assert Image.open(out).size[1] == 64 + 6 + 64 + 6 + 6  # as they are, and as they become
    dataset = build_dataset(config.dataset)
    row = make_row(dataset, CUTOUT, seed=3, count=12)
    loader = BatchLoader(dataset.train, 12, dataset.mean, dataset.std, seed=3, augment=CUTOUT)
    assert (row == restore_pixels(next(loader.epoch())[0].numpy(), loader.normalizer)).all()
    assert title(CUTOUT) == ["crop_padding=4", "flip=true", "cutout=8"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preview_augment.images=0", "images=0: expected an integer from 1 to 32."),
        ("preview_augment.images=33", "images=33: expected"),
        ("preview_augment.out=a.jpg", "out='a.jpg': expected a file name that ends in "),
        ("preview_augment.out=/dev/null/a.png", "out='/dev/null/a.png': expected a file"),
        ("augment.cutout=70", "augment.cutout=70: expected null or an integer from 1"),
        ("augment.mixup=-1", "augment.mixup=-1: expected null or a number above 0, up to 100."),
    ],
)
def test_wrong_values(tmp_path, override, message):
    with pytest.raises((ValueError, OSError)) as caught:
        preview_augment(compose(tmp_path, override)[0])
    assert str(caught.value).removeprefix("preview_augment.").startswith(message)


def test_a_run_shows_its_first_batch_once(train_here, tmp_path):
    words = (*FEW, "dataset.train_size=64", "device=cpu", "epochs=2", "batch_size=16")
    folder = train_here(*words, "augment.cutout=8", stop=2)
    train_here(f"resume={folder}")
    events = EventAccumulator(str(folder)).Reload()
    (image,) = events.Images("train/images")
    assert (image.step, image.height, image.width) == (0, 64, 256)  # 16 images, 8 in a row
    dataset = build_dataset(compose_config(*words, folder=tmp_path).dataset)
    loader = BatchLoader(dataset.train, 16, dataset.mean, dataset.std, augment=CUTOUT, shuffle=True)
    first = restore_pixels(next(loader.epoch())[0].numpy(), loader.normalizer)
    found = np.asarray(Image.open(BytesIO(image.encoded_image_string))).transpose(2, 0, 1)
    assert (found == tile_images(first, 8)).all()
