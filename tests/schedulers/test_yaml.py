"""The shipped YAML files: complete, short, legal for any run, and true to their headers."""

import inspect
import pkgutil
import shlex

import pytest
from hydra import compose, initialize_config_dir
from oneflow.optim import lr_scheduler as upstream

import schedulers
from schedulers import Horizon, trace_lr
from tests.conftest import ROOT
from tests.schedulers.helpers import TARGETS, YAMLS

FOLDER = ROOT / "conf/scheduler"
EPOCHS_200 = Horizon(total_steps=200 * 20, steps_per_epoch=20)
# these do not come down by the end of the run, each for the reason that its header gives
OPEN_ENDED = {"none", "constant", "reduce_on_plateau", "lambda", "noam", "inverse_sqrt"}


def classes_of(module) -> set[str]:
    """The public scheduler classes that a module defines or, for OneFlow's, lists."""
    kinds = (upstream._LRScheduler, upstream.ReduceLROnPlateau)
    return {
        name
        for name, found in vars(module).items()
        if inspect.isclass(found) and issubclass(found, kinds) and name == found.__name__
        if not name.startswith("_") and (module is upstream or found.__module__ == module.__name__)
    }


def test_every_class_has_a_yaml():
    assert len(classes_of(upstream)) == 14
    names = {module.name for module in pkgutil.iter_modules(schedulers.__path__)} - {"compose"}
    ours = [classes_of(pkgutil.resolve_name(f"schedulers.{name}")) for name in names]
    assert sum(map(len, ours)) == 15
    assert classes_of(upstream).union(*ours) == set(TARGETS)


def test_a_yaml_is_short_and_explains_itself():
    for name in YAMLS:
        lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
        assert len(lines) <= 25 and max(map(len, lines)) <= 100, name
        assert lines[0].startswith("# "), name
        assert any(line.startswith(f"# python train.py scheduler={name}") for line in lines), name


@pytest.mark.parametrize("horizon", [(3, 3), (4, 2), (5, 5), (7, 7), (20, 10), (4000, 20)], ids=str)
def test_every_yaml_is_legal_for_any_duration(horizon):
    for name, schedule in YAMLS.items():
        first, second = trace_lr(schedule, [0.1, 0.02], Horizon(*horizon))
        assert len(first) == len(second) == horizon[0], name
        assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in first), name
        assert all(0 <= rate <= 0.02 * (1 + 1e-12) for rate in second), name


# by epochs of a run of 200; a factor of 0.1 = the optimizer's rate
BY_EPOCH = {
    "none": {0: 0.1, 199: 0.1},
    "constant": {0: 0.01, 9: 0.01, 10: 0.1},
    "linear": {0: 0.1, 100: 0.0505},
    "linear_decay": {0: 0.1, 50: 0.075, 100: 0.05, 199: 0.0005},
    "exponential": {0: 0.1, 100: 0.01},
    "step": {59: 0.1, 60: 0.02, 120: 0.004, 180: 0.0008},
    "multistep": {79: 0.1, 80: 0.01, 159: 0.01, 160: 0.001},
    "step_60_120_160": {0: 0.1, 59: 0.1, 60: 0.02, 120: 0.004, 159: 0.004, 160: 0.0008},
    "polynomial": {0: 0.1, 100: 0.0999 / 4 + 0.0001},
    "cosine_decay": {0: 0.1, 100: 0.05005},
    "cosine_annealing": {0: 0.1, 100: 0.05},
    "cosine_warm_restarts": {0: 0.1, 25: 0.05, 50: 0.1, 100: 0.1, 150: 0.1, 175: 0.05},
    "lambda": {10: 0.05, 20: 0.1, 80: 0.05},
    "noam": {8: 0.05, 16: 0.1, 64: 0.05},
    "inverse_sqrt": {0: 0.001, 16: 0.1, 40: 0.05},
    "sequential": {0: 0.01, 8: 0.055, 16: 0.1, 116: 0.01},
    "warmup": {0: 0.01, 8: 0.055, 16: 0.1, 108: 0.05},
    "warmup_cosine": {0: 0.001, 8: 0.1, 104: 0.05},
    "chained": {0: 0.01, 8: 0.055, 16: 0.1, 59: 0.1, 60: 0.02, 180: 0.0008},
    "trapezoid": {0: 0.005, 16: 0.1, 135: 0.1, 136: 0.1, 168: 0.05},
    "piecewise": {0: 0.005, 40: 0.1, 120: 0.03, 160: 0.015},
    "one_cycle": {0: 0.004},
    "cyclic": {0: 0.005, 25: 0.1, 50: 0.005, 75: 0.0525, 100: 0.005},
    "warmup_stable_decay": {0: 0.001, 10: 0.1, 159: 0.1, 160: 0.1, 170: 0.001 + 0.099 / 2},
    "flat_cosine": {0: 0.1, 140: 0.1, 170: 0.1 * 0.500005},
    "rex": {100: 0.2 / 3},
    "k_decay_cosine": {0: 0.1, 100: 0.05 * (1 + 0.5**0.5)},
    "multiplicative": {0: 0.1, 80: 0.1, 130: 0.01},
    "cosine_hard_restarts": {0: 0.001, 10: 0.1},
}


def test_rates_by_epoch_peak_and_end():
    for name, schedule in YAMLS.items():
        rates = trace_lr(schedule, [0.1], EPOCHS_200)[0]
        table = BY_EPOCH.get(name, {})
        found = [rates[epoch * EPOCHS_200.steps_per_epoch] for epoch in table]
        assert found == pytest.approx(list(table.values()), rel=1e-9), name
        # the hyperbolic tangent starts at 0.999994 of it, the one-cycle peak lies between two steps
        assert max(rates) == pytest.approx(0.1, rel=1e-5), name
        assert rates[0] > 0, name
        assert name in OPEN_ENDED or rates[-1] <= 0.1 / 15, name


def commands(name: str) -> list[list[str]]:
    """The overrides of the command lines in a header; a backslash continues a line."""
    lines = (FOLDER / f"{name}.yaml").read_text().replace("\\\n#", "").splitlines()
    return [shlex.split(line)[3:] for line in lines if line.startswith("# python train.py")]


def test_commands_of_the_headers_work(tmp_path):
    (tmp_path / "scheduler").symlink_to(FOLDER)
    (tmp_path / "optimizer").symlink_to(FOLDER.parent / "optimizer")
    (tmp_path / "config.yaml").write_text(
        "defaults: [{optimizer: sgd}, {scheduler: none}, _self_]\nepochs: 30\n"
    )
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        for name in YAMLS:
            assert commands(name), name
            for overrides in commands(name):
                config = compose("config", overrides)
                horizon = Horizon(10 * config.epochs, 10)
                rates = trace_lr(config.scheduler, [config.optimizer.lr], horizon)[0]
                assert len(rates) == horizon.total_steps, overrides
