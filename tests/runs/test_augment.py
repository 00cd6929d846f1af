"""Trainings under augmentation: their labels are shares, and they evaluate plain images."""

import numpy as np

from data.augment import Augment, read_augment
from engine.process.signals import Interruption
from runs.build import build_horizon, build_trainer
from tests.conftest import Run, compose_config
from tests.helpers.continuing import EVERYTHING


def test_labels_of_a_run_under_mixup_are_shares_and_top1_is_of_them(whole):
    curves = Run(whole(*EVERYTHING), None).curves
    hits = [value for _, value in curves["train/top1"]]
    assert any(hit % (100 / 8) for hit in hits)  # no whole number of images
    assert all(0 <= hit <= 100 for hit in hits)
    assert all(np.isfinite(value) for _, value in curves["train/loss"])


def test_training_images_alone_are_augmented_and_most_kinds_are_off(tmp_path):
    config = compose_config(*EVERYTHING, folder=tmp_path)
    loaders = build_trainer(config, build_horizon(config), "cpu", Interruption()).loaders
    train = loaders["train"].augment
    assert train.mixup == 0.2 and train.policy == "trivialaugment" and train.flip
    assert loaders["val"].augment == loaders["test"].augment == Augment()
    node = compose_config(folder=tmp_path).augment
    assert set(node) == set(Augment.__dataclass_fields__)
    assert read_augment(node) == Augment(crop_padding=4, flip=True)
