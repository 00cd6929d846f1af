"""The shipped YAML files: complete, short, legal for any run, and what their headers say."""

import inspect
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from oneflow.optim import lr_scheduler as upstream

from schedulers import Horizon, trace_lr

FOLDER = Path(__file__).parents[2] / "conf" / "scheduler"
YAMLS = sorted(FOLDER.glob("*.yaml"))
EPOCHS_200 = Horizon(total_steps=200 * 20, steps_per_epoch=20)
# these do not come down by the end of the run, each for the reason that its header gives
OPEN_ENDED = {"none", "constant", "reduce_on_plateau", "lambda", "noam", "inverse_sqrt"}

each_yaml = pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)


def trace(name: str, *base_lrs: float, horizon: Horizon = EPOCHS_200) -> list[list[float]]:
    return trace_lr(OmegaConf.load(FOLDER / f"{name}.yaml"), base_lrs or [0.1], horizon)


def test_every_class_has_a_yaml():
    targets = {OmegaConf.load(path)._target_ for path in YAMLS}
    theirs = {
        f"oneflow.optim.lr_scheduler.{name}"
        for name, found in vars(upstream).items()
        if inspect.isclass(found) and not name.startswith("_") and name != "WarmUpLR"
    }
    assert len(theirs) == 14
    ours = {
        f"schedulers.{path.stem}.{line.split('(')[0].split()[1]}"
        for path in (FOLDER.parents[1] / "schedulers").glob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith("class ") and ("(_LRScheduler)" in line or "(HyperbolicLR)" in line)
    }
    assert len(ours) == 15
    assert theirs | ours <= targets


@each_yaml
def test_is_short_and_explains_itself(path):
    lines = path.read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("# ")
    assert any(line.startswith(f"# python train.py scheduler={path.stem}") for line in header)


@each_yaml
@pytest.mark.parametrize(
    "horizon",
    [Horizon(3, 3), Horizon(4, 2), Horizon(5, 5), Horizon(7, 7), Horizon(20, 10), EPOCHS_200],
    ids=str,
)
def test_is_legal_for_any_length(path, horizon):
    first, second = trace(path.stem, 0.1, 0.02, horizon=horizon)
    assert len(first) == len(second) == horizon.total_steps
    assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in first)
    assert all(0 <= rate <= 0.02 * (1 + 1e-12) for rate in second)


@each_yaml
def test_peaks_at_the_optimizers_rate_and_ends_with_the_run(path):
    rates = trace(path.stem)[0]
    # the hyperbolic tangent starts at 0.999994 of it, the one-cycle peak lies between two steps
    assert max(rates) == pytest.approx(0.1, rel=1e-5)
    assert rates[0] > 0
    if path.stem not in OPEN_ENDED:
        assert rates[-1] <= 0.1 / 15


@pytest.mark.parametrize(
    "name, table",
    [
        # by epochs of a run of 200; a factor of 0.1 = the optimizer's rate
        ("none", {0: 0.1, 199: 0.1}),
        ("constant", {0: 0.01, 9: 0.01, 10: 0.1}),
        ("linear", {0: 0.1, 100: 0.0505}),
        ("linear_decay", {0: 0.1, 50: 0.075, 100: 0.05, 199: 0.0005}),
        ("exponential", {0: 0.1, 100: 0.01}),
        ("step", {59: 0.1, 60: 0.02, 120: 0.004, 180: 0.0008}),
        ("multistep", {79: 0.1, 80: 0.01, 159: 0.01, 160: 0.001}),
        ("step_60_120_160", {0: 0.1, 59: 0.1, 60: 0.02, 120: 0.004, 159: 0.004, 160: 0.0008}),
        ("polynomial", {0: 0.1, 100: 0.0999 / 4 + 0.0001}),
        ("cosine_decay", {0: 0.1, 100: 0.05005}),
        ("cosine_annealing", {0: 0.1, 100: 0.05}),
        ("cosine_warm_restarts", {0: 0.1, 25: 0.05, 50: 0.1, 100: 0.1, 150: 0.1, 175: 0.05}),
        ("lambda", {10: 0.05, 20: 0.1, 80: 0.05}),
        ("noam", {8: 0.05, 16: 0.1, 64: 0.05}),
        ("inverse_sqrt", {0: 0.001, 16: 0.1, 40: 0.05}),
        ("sequential", {0: 0.01, 8: 0.055, 16: 0.1, 116: 0.01}),
        ("warmup", {0: 0.01, 8: 0.055, 16: 0.1, 108: 0.05}),
        ("warmup_cosine", {0: 0.001, 8: 0.1, 104: 0.05}),
        ("chained", {0: 0.01, 8: 0.055, 16: 0.1, 59: 0.1, 60: 0.02, 180: 0.0008}),
        ("trapezoid", {0: 0.005, 16: 0.1, 135: 0.1, 136: 0.1, 168: 0.05}),
        ("piecewise", {0: 0.005, 40: 0.1, 120: 0.03, 160: 0.015}),
        ("one_cycle", {0: 0.004}),
        ("cyclic", {0: 0.005, 25: 0.1, 50: 0.005, 75: 0.0525, 100: 0.005}),
        ("warmup_stable_decay", {0: 0.001, 10: 0.1, 159: 0.1, 160: 0.1, 170: 0.001 + 0.099 / 2}),
        ("flat_cosine", {0: 0.1, 140: 0.1, 170: 0.1 * 0.500005}),
        ("rex", {100: 0.2 / 3}),
        ("k_decay_cosine", {0: 0.1, 100: 0.05 * (1 + 0.5**0.5)}),
        ("multiplicative", {0: 0.1, 80: 0.1, 130: 0.01}),
        ("cosine_hard_restarts", {0: 0.001, 10: 0.1}),
    ],
)
def test_rates_by_epoch(name, table):
    rates = trace(name)[0]
    found = [rates[epoch * EPOCHS_200.steps_per_epoch] for epoch in table]
    assert found == pytest.approx(list(table.values()), rel=1e-9)


def commands(path: Path) -> list[list[str]]:
    """The overrides of the command lines in a header; a backslash continues a line."""
    lines = path.read_text().replace("\\\n#", "").splitlines()
    return [shlex.split(line)[3:] for line in lines if line.startswith("# python train.py")]


@each_yaml
def test_commands_of_the_header_work(path, tmp_path):
    (tmp_path / "scheduler").symlink_to(FOLDER)
    (tmp_path / "optimizer").symlink_to(FOLDER.parent / "optimizer")
    (tmp_path / "config.yaml").write_text(
        "defaults: [{optimizer: sgd}, {scheduler: none}, _self_]\nepochs: 30\n"
    )
    assert commands(path)
    for overrides in commands(path):
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            config = compose("config", overrides)
        horizon = Horizon(10 * config.epochs, 10)
        rates = trace_lr(config.scheduler, [config.optimizer.lr], horizon)[0]
        assert len(rates) == horizon.total_steps
