"""Every recipe composes and has the published rates; runs are compared with published figures."""

import re

import pytest
from omegaconf import OmegaConf

from runs.build import build_horizon
from runs.settings import check_settings
from schedulers import trace_lr
from scripts.recipes.__main__ import PAGE, format_list, format_page, format_recipe, main
from scripts.recipes.check import check_folders
from scripts.recipes.read import find_recipes, read_recipes
from tests.conftest import Run
from tests.helpers.studies import composed_once, write_complete_run

RECIPES = read_recipes()
SMALL = (
    *("dataset=synthetic", "dataset.train_size=6", "dataset.val_size=0", "dataset.test_size=2"),
    *("batch_size=2", "max_steps=3", "device=cpu", "lint=off"),
)


def composed(name, number):
    return composed_once(f"experiment={name}", *RECIPES[name].arms[number].words).copy()


@pytest.mark.parametrize("name", RECIPES)
def test_every_arm_is_a_run(name):
    """Its keys are accepted; epochs of 5 steps are enough to build its schedule."""
    recipe = RECIPES[name]
    assert recipe.notes[1].startswith(f"python train.py -m experiment={name} ")
    assert (recipe.tolerance is None) == all(arm.published is None for arm in recipe.arms)
    assert recipe.arms[0].words == ()  # the settings of the experiment itself
    for number, arm in enumerate(recipe.arms):
        config = composed(name, number)
        assert config.dataset.val_size == 0
        assert (config.trainer.swa_start is not None) == (arm.metric == "test_top1_swa")
        assert arm.metric in ("test_top1", "test_top1_swa")
        config.dataset.train_size = 5 * config.batch_size
        OmegaConf.resolve(config)
        check_settings(config)
        horizon = build_horizon(config)
        assert (horizon.steps_per_epoch, horizon.total_steps) == (5, 5 * config.epochs)
        (trace,) = trace_lr(config.scheduler, [config.optimizer.lr], horizon)
        assert max(trace) == pytest.approx(config.optimizer.lr, rel=1e-2)


# Rates of the papers, after so many epochs (of 391 steps; 50 in super_convergence, 98 with 512).
RATES = [
    ("sgdr_wrn_28_10", 0, {0: 0.05, 59.9: 0.05, 60: 0.01, 120: 0.002, 160: 0.0004}),
    ("sgdr_wrn_28_10", 2, {0: 0.05, 100: 0.025}),
    ("sgdr_wrn_28_10", 3, {0: 0.05, 25: 0.025, 50: 0.05, 150: 0.05, 175: 0.025}),
    ("sgdr_wrn_28_10", 5, {0: 0.05, 5: 0.025, 10: 0.05, 20: 0.025, 30: 0.05, 70: 0.05, 110: 0.025}),
    ("super_convergence", 0, {0: 0.1, 50: 1.55, 100: 3.0, 150: 1.55}),
    ("super_convergence", 1, {0: 0.35, 999.9: 0.35, 1000: 0.035, 1400: 0.0035}),
    ("htd_preact_resnet50", 1, {0: 0.1, 81: 0.01, 122: 0.001}),
    ("swa_vgg16", 0, {0: 0.05, 80: 0.05, 145: 0.01, 161: 0.01, 299: 0.01}),
    ("swa_vgg16", 3, {0: 0.05, 100: 0.05, 180: 0.0005, 199: 0.0005}),
    ("swa_wrn_28_10", 0, {0: 0.1, 145: 0.05, 299: 0.05}),
    ("weiaicunzai", 0, {0: 0.0, 0.5: 0.05, 1: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008}),
    ("mls_bench_resnet56", 1, {0: 0.001, 5: 0.1, 102.5: 0.05}),
    ("batch_sizes", 1, {0: 0.1, 100: 0.01, 150: 0.001}),
    ("resnet9_fast", 0, {0: 0.008, 12: 0.2}),
]


@pytest.mark.parametrize(("name", "number", "expected"), RATES)
def test_rates_are_those_of_the_paper(name, number, expected):
    config = composed(name, number)
    horizon = build_horizon(config)
    (trace,) = trace_lr(config.scheduler, [config.optimizer.lr], horizon)
    found = {epoch: trace[round(epoch * horizon.steps_per_epoch)] for epoch in expected}
    assert found == {epoch: pytest.approx(rate, rel=0.01) for epoch, rate in expected.items()}


@pytest.mark.full
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_three_steps(name, train_here):
    run = Run(train_here(f"experiment={name}", *SMALL), None)
    assert (run.summary["status"], run.summary["steps"]) == ("completed", 3)
    assert run.summary["lr_check"] == {"steps": 3, "mismatches": 0}
    assert check_folders([run.folder]) == 1  # other settings


CUTOUT, SWA = "experiment=cutout", {"figure": "test_top1_swa", "value": 74.4}


@pytest.mark.parametrize(
    ("words", "values", "message"),
    [
        ([CUTOUT], [77.54], "cutout, ResNet-18: test_top1 77.54 % (n = 1); published 77.54"),
        ([CUTOUT], [78.04], "tolerance 0.5: reproduced"),
        ([CUTOUT], [78.05], "tolerance 0.5: off by +0.51"),
        ([CUTOUT], [77.0, 76.8, 77.2], "77.00 % (n = 3, standard deviation 0.20)"),
        ([CUTOUT, "augment.cutout=8"], [78.0], "cutout, ResNet-18, cutout: test_top1 78"),
        ([CUTOUT, "device=cpu", "trainer.eval_every=5ep", "dataset.root=x"], [77.5], "reproduced"),
        ([CUTOUT, "epochs=20"], [77.5], "nearest arm, ResNet-18, in epochs (20 instead of 200)."),
        ([CUTOUT, "dataset.train_size=500"], [77.5], "train_size (500 instead of None)"),
        ([CUTOUT, "max_steps=3"], [77.5], "max_steps (3 instead of None)"),
        ([CUTOUT, *SMALL], [77.5], "in batch_size (2 instead of 128), dataset._target_"),
        (["experiment=quickstart"], [77.5], "experiment=quickstart is not a recipe"),
        (["model=resnet18"], [77.5], "its command line has no experiment=RECIPE"),
        (["experiment=rex_vgg16"], [77.5], "no published figure; the run has 77.50 %"),
        (["experiment=swa_vgg16"], [77.5], "summary.json has no test_top1_swa"),
        (["experiment=swa_vgg16"], [SWA], "test_top1_swa 74.40 % (n = 1); published 74.27"),
        ([CUTOUT], [{"status": "interrupted"}], "not compared: interrupted"),
        ([CUTOUT], [None], "no test_top1 between 0 and 100"),
        ([CUTOUT], [{"lr_check": {"steps": 9, "mismatches": 1}}], "not those of its preview"),
    ],
)
def test_check(words, values, message, tmp_path, capsys):
    for seed, value in enumerate(values):
        summary = value if isinstance(value, dict) else {"value": value}
        write_complete_run(tmp_path / "sweep" / str(seed), *words, seed=seed, **summary)
    code = check_folders([tmp_path / "sweep"])
    out = capsys.readouterr().out
    assert message in out
    assert code == ("not compared" in out)


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == format_page(find_recipes([])), "python -m scripts.recipes --write"


def test_lists():
    every = format_list(find_recipes([]))
    assert max(map(len, every.splitlines())) <= 80
    assert "swa_vgg16               not run      4  72.55 to 74.27\n" in every
    assert "rex_vgg16               not run      4  none known\n" in every
    assert "resnet9_fast            not run      1  75.47\n" in every
    text = format_recipe(RECIPES["swa_vgg16"])
    assert "python train.py experiment=swa_vgg16 epochs=200 trainer.swa_start=null 'sch" in text


def test_mistakes_on_the_command_line():
    for words, message in (
        ("check nowhere", "There is no folder nowhere."),
        ("check", "check: expected a run folder, or a folder that has some in it."),
        ("cuttout", "cuttout: expected the name of a recipe. Did you mean cutout?"),
    ):
        with pytest.raises(SystemExit, match=f"error: {re.escape(message)}"):
            main(words.split())
