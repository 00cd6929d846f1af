"""Trainings under augmentation: they run, go on bit for bit, and evaluate plain images."""

import re

import numpy as np
import pytest

from data.augment import Augment, read_augment
from engine.process.signals import Interruption
from runs.build import build_horizon, build_trainer
from tests.conftest import TINY, compose_config, train_in
from tests.helpers.continuing import evidence

MIXED = ("augment.mixup=0.2", "augment.cutmix=1", "trainer.label_smoothing=0.1")
POLICY = ("augment.policy=trivialaugment", "augment.random_erasing=0.5")


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = train_in(tmp_path, *TINY, *MIXED, *POLICY, folder="whole")
    stopped = train_in(tmp_path, *TINY, *MIXED, *POLICY, folder="stopped", stop=7)
    train_in(tmp_path, f"resume={stopped}", folder="stopped")
    assert evidence(stopped) == evidence(whole)


def test_labels_of_a_run_under_mixup_are_shares_and_top1_is_of_them(run_training):
    run = run_training(*MIXED, "max_steps=10", "optimizer.lr=0.001")
    hits = [value for _, value in run.curves["train/top1"]]
    assert any(hit % (100 / 32) for hit in hits)  # no whole number of images
    assert all(0 <= hit <= 100 for hit in hits)
    assert all(np.isfinite(value) for _, value in run.curves["train/loss"])


def test_training_images_alone_are_augmented(tmp_path):
    config = compose_config(*TINY, *MIXED, *POLICY, folder=tmp_path)
    loaders = build_trainer(config, build_horizon(config), "cpu", Interruption()).loaders
    train = loaders["train"].augment
    assert train.mixup == 0.2 and train.policy == "trivialaugment" and train.flip
    assert loaders["val"].augment == loaders["test"].augment == Augment()


def test_the_config_has_every_key_and_most_are_off(tmp_path):
    node = compose_config(folder=tmp_path).augment
    assert set(node) == set(Augment.__dataclass_fields__)
    assert read_augment(node) == Augment(crop_padding=4, flip=True)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("augment.cutout=-1", "augment.cutout=-1: expected null or an integer from 1 to 64."),
        ("augment.policy=best", "augment.policy='best': expected null or autoaugment, "),
        ("+augment.blur=3", "augment.blur=3: expected one of the keys crop_padding, "),
    ],
)
def test_wrong_values_are_refused_before_any_data_is_looked_for(
    train_here, tmp_path, word, message
):
    with pytest.raises(ValueError, match=re.escape(message)):
        train_here("dataset=cifar100", f"dataset.root={tmp_path / 'nothing'}", word)
