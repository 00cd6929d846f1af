"""Trainings under augmentation: they run, go on bit for bit, and evaluate plain images."""

import re

import numpy as np
import pytest

from data import BatchLoader
from data.augment import Augment, read_augment
from tests.conftest import TINY, compose_config, train_in
from tests.helpers.continuing import evidence

MIXED = ("dataset.augment.mixup=0.2", "dataset.augment.cutmix=1", "trainer.label_smoothing=0.1")
POLICY = ("dataset.augment.policy=trivialaugment", "dataset.augment.random_erasing=0.5")


@pytest.mark.parametrize("overrides", [MIXED, POLICY], ids=["mixed", "policy"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(overrides, tmp_path):
    whole = train_in(tmp_path, *TINY, *overrides, folder="whole")
    stopped = train_in(tmp_path, *TINY, *overrides, folder="stopped", stop=7)
    train_in(tmp_path, f"resume={stopped}", folder="stopped")
    assert evidence(stopped) == evidence(whole)


def test_labels_of_a_run_under_mixup_are_shares_and_top1_is_of_them(run_training):
    run = run_training(*MIXED, "max_steps=10", "optimizer.lr=0.001")
    hits = [value for _, value in run.curves["train/top1"]]
    assert any(hit % (100 / 32) for hit in hits)  # no whole number of images
    assert all(0 <= hit <= 100 for hit in hits)
    assert all(np.isfinite(value) for _, value in run.curves["train/loss"])


def test_validation_and_test_images_are_never_augmented(run_training, monkeypatch):
    loaders = []
    build = BatchLoader.__init__

    def remember(self, *arguments, **options):
        build(self, *arguments, **options)
        loaders.append(self)

    monkeypatch.setattr(BatchLoader, "__init__", remember)
    run_training(*MIXED, *POLICY, "max_steps=1")
    train, val, test = loaders
    assert train.augment.mixup == 0.2 and train.augment.policy == "trivialaugment"
    assert all(loader._draw(8, 0, 0) == {} and not loader.augment.mixes for loader in (val, test))


@pytest.mark.parametrize("name", ["synthetic", "cifar10", "cifar100"])
def test_the_configs_have_every_key_and_what_is_new_is_off(name, tmp_path):
    node = compose_config(f"dataset={name}", folder=tmp_path).dataset.augment
    assert set(node) == set(Augment.__dataclass_fields__)
    assert read_augment(node) == Augment(crop_padding=4, flip=True)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("dataset.augment.cutout=-1", "dataset.augment.cutout=-1 is not accepted: give "),
        ("dataset.augment.policy=best", "dataset.augment.policy=best is not accepted: give "),
        ("+dataset.augment.blur=3", "dataset.augment.blur is unknown: it has "),
    ],
)
def test_what_is_wrong_is_told_before_any_data_is_looked_for(train_here, tmp_path, word, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        train_here("dataset=cifar100", f"dataset.root={tmp_path / 'nothing'}", word)
