"""Every recipe is composed and takes three steps; a run is compared with its published figure."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from runs.build import build_horizon
from runs.settings import check_settings, trainer_durations
from schedulers import trace_lr
from scripts.recipes.check import check_folders
from scripts.recipes.read import (
    PAGE,
    find_recipes,
    read_recipes,
    tell_list,
    tell_recipe,
    write_page,
)
from tests.conftest import ROOT, Run
from tests.helpers.studies import composed_once, write_complete_run

RECIPES = read_recipes()
ARMS = [(name, number) for name in RECIPES for number in range(len(RECIPES[name].arms))]
SMALL = (
    *("dataset=synthetic", "dataset.train_size=6", "dataset.val_size=0", "dataset.test_size=2"),
    *("batch_size=2", "max_steps=3", "device=cpu", "lint=off"),
)


def composed(name, number):
    return composed_once(f"experiment={name}", *RECIPES[name].arms[number].words).copy()


@pytest.mark.parametrize(("name", "number"), ARMS)
def test_every_arm_is_a_run(name, number):
    """Its keys are accepted; epochs of 5 steps are enough to build its schedule."""
    config, arm = composed(name, number), RECIPES[name].arms[number]
    assert config.dataset.val_size == 0
    config.dataset.train_size = 5 * config.batch_size
    OmegaConf.resolve(config)
    check_settings(config)
    horizon = build_horizon(config)
    assert (horizon.steps_per_epoch, horizon.total_steps) == (5, 5 * config.epochs)
    assert ("swa_start" in trainer_durations(config, horizon)) == (arm.figure == "test_top1_swa")
    (rates,) = trace_lr(config.scheduler, [config.optimizer.lr], horizon)
    assert max(rates) == pytest.approx(config.optimizer.lr, rel=1e-2)


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
    (rates,) = trace_lr(config.scheduler, [config.optimizer.lr], horizon)
    found = {epoch: rates[round(epoch * horizon.steps_per_epoch)] for epoch in expected}
    assert found == {epoch: pytest.approx(rate, rel=0.01) for epoch, rate in expected.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_three_steps(name, train_here):
    run = Run(train_here(f"experiment={name}", *SMALL), None)
    assert (run.summary["status"], run.summary["steps"]) == ("completed", 3)
    assert run.summary["lr_check"] == {"steps": 3, "mismatches": 0}
    assert not [key for key in run.hparams if key.startswith("recipe")]


def test_a_recipe_that_was_stopped_goes_on_and_is_not_compared(train_here, capsys):
    words = ("experiment=cutout", *SMALL, "model=convnet_tiny")
    cut = train_here(*words, stop=2)
    train_here(f"resume={cut}")
    assert Run(cut, None).summary["steps"] == 3
    assert check_folders([cut]) == 1
    told = capsys.readouterr().out
    assert "not experiment=cutout as it is published" in told
    assert "batch_size (2 for 128), dataset._target_" in told and " more." in told


@pytest.mark.parametrize(
    ("words", "values", "told"),
    [
        ([], [77.54], "cutout, ResNet-18: test_top1 77.54 % (n = 1); published 77.54"),
        ([], [78.04], "tolerance 0.5: reproduced"),
        ([], [78.05], "tolerance 0.5: off by +0.51"),
        ([], [77.0, 76.8, 77.2], "77.00 % (n = 3, standard deviation 0.20)"),
        ([], [77.0, 76.8, 77.2], "off by -0.54"),
        (["augment.cutout=8"], [78.0], "cutout, ResNet-18, cutout: test_top1 78.00 %"),
        (["device=cpu", "trainer.eval_every=5ep", "dataset.root=x"], [77.5], ": reproduced"),
        (["epochs=20"], [77.5], "nearest arm, ResNet-18, it differs in epochs (20 for 200)."),
        (["dataset.train_size=500"], [77.5], "dataset.train_size (500 for None)"),
        (["scheduler=rex"], [77.5], "scheduler._target_ (schedulers.rex.REXLR for schedulers.pie"),
        (["max_steps=3"], [77.5], "max_steps (3 for None)"),
    ],
)
def test_check(words, values, told, tmp_path, capsys):
    for seed, value in enumerate(values):
        run = tmp_path / "sweep" / str(seed)
        write_complete_run(run, "experiment=cutout", *words, seed=seed, value=value)
    code = check_folders([tmp_path / "sweep"])
    out = capsys.readouterr().out
    assert told in out
    assert code == ("not compared" in out)


@pytest.mark.parametrize(
    ("words", "summary", "told"),
    [
        (["experiment=cutout"], {"status": "interrupted"}, "not compared, for it is interrupted"),
        (["experiment=cutout"], {"value": None}, "no test_top1 between 0 and 100"),
        (["experiment=quickstart"], {}, "experiment=quickstart is no recipe"),
        (["model=resnet18"], {}, "its command line has no experiment=RECIPE"),
        (["experiment=rex_vgg16"], {}, "no published figure is at hand; its own is 77.50 %"),
        (["experiment=swa_vgg16"], {}, "summary.json has no test_top1_swa"),
        (
            ["experiment=cutout"],
            {"lr_check": {"steps": 9, "mismatches": 1}},
            "its learning rates were not those of its preview",
        ),
    ],
)
def test_what_check_refuses(words, summary, told, tmp_path, capsys):
    write_complete_run(tmp_path / "run", *words, **summary)
    assert check_folders([tmp_path]) == 1
    assert told in capsys.readouterr().out


def test_the_figure_with_swa_is_compared(tmp_path, capsys):
    figure = {"figure": "test_top1_swa", "value": 74.4}
    write_complete_run(tmp_path / "run", "experiment=swa_vgg16", **figure)
    assert check_folders([tmp_path]) == 0
    assert "test_top1_swa 74.40 % (n = 1); published 74.27" in capsys.readouterr().out


def test_the_page_is_made_of_the_files():
    wanted = write_page(find_recipes([]))
    assert PAGE.read_text() == wanted, "python -m scripts.recipes --write"


def test_lists():
    every = tell_list(find_recipes([]))
    assert all(f"{name} " in every for name in RECIPES)
    assert max(map(len, every.splitlines())) <= 80
    assert "swa_vgg16               not run      4  72.55 to 74.27\n" in every
    assert "rex_vgg16               not run      4  none at hand\n" in every
    assert "resnet9_fast            not run      1  75.47\n" in every
    told = tell_recipe(RECIPES["swa_vgg16"])
    assert "python train.py experiment=swa_vgg16 epochs=200 trainer.swa_start=null 'sch" in told
    with pytest.raises(ValueError, match="'cut' is no recipe"):
        find_recipes(["cut"])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_file_says_what_a_person_needs(recipe):
    assert recipe.notes[1].startswith(f"python train.py -m experiment={recipe.name} ")
    assert recipe.source and recipe.figure and recipe.status == "not run"
    assert (recipe.tolerance is None) == all(arm.published is None for arm in recipe.arms)
    assert recipe.arms[0].words == []  # what the file itself says


def test_command_line():
    command = [sys.executable, "-m", "scripts.recipes", "check", "nowhere"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (1, "error: There is no folder nowhere.\n")
