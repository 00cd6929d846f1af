"""The preview shows what would be trained, and says in a sentence what it cannot show."""

import json
import os
import re
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from schedulers import Horizon, trace_lr
from scripts.preview import compare_rates, draw_gallery, preview, read_run, schedule_names
from tests.conftest import ROOT, TINY, compose_config

SHORT = ("preview.total_steps=100", "preview.steps_per_epoch=10")


@pytest.fixture
def draw(capsys):
    """A function that previews as the command line would, and returns what it printed."""

    def run(*overrides, task=preview):
        where = str(ROOT / "conf")
        with initialize_config_dir(version_base="1.3", config_dir=where, job_name="preview"):
            config = compose("preview", list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config["hydra"]
            capsys.readouterr()
            task(config)
        return capsys.readouterr().out

    return run


def test_the_preview_is_the_trace_of_the_run_that_the_same_command_line_trains(draw, tmp_path):
    path = tmp_path / "new" / "curve.json"
    text = draw(*TINY, "scheduler=one_cycle", "optimizer=adamw", f"preview.out={path}")
    node, base = OmegaConf.load(ROOT / "conf/scheduler/one_cycle.yaml"), [0.001, 0.001]
    assert json.loads(path.read_text()) == {
        **{"scheduler": "one_cycle", "total_steps": 20, "steps_per_epoch": 10, "base_lrs": base},
        "lr": trace_lr(node, base, Horizon(20, 10)),
    }
    assert "one_cycle: 2 epochs of 10 steps = 20 steps" in text
    assert f"Written: {path}" in text


def test_the_terminal_shows_the_curve_its_figures_and_the_lint_in_80_columns(draw):
    trap = (*SHORT, "scheduler=cosine_annealing", "scheduler.T_max=50%")
    text = draw(*trap)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    assert lines[0] == "cosine_annealing: 10 epochs of 10 steps = 100 steps"
    assert lines[2].split() == ["0", "2", "4", "6", "8", "10"]  # epochs, and steps below
    assert lines[-4].split() == ["0", "20", "40", "60", "80", "100"]
    assert sum("┤" in line or "│" in line for line in lines) == 14
    assert any(0x2800 < ord(letter) < 0x2900 for letter in text)
    assert lines[-2] == "base 0.1 | min 0 | max 0.1 | last 0.0999 | area 50% of base"
    assert lines[-1].startswith("Lint: step 50: rises again after its minimum")
    assert "Lint" not in draw(*trap, "++lint=off")
    with pytest.raises(ValueError, match="lint=error"):
        draw(*trap, "++lint=error")


def test_compared_schedules_are_their_yamls_under_the_same_run(draw, tmp_path):
    path = tmp_path / "c.json"
    chosen = ("scheduler=step", "scheduler.gamma=0.5", "optimizer.lr=0.4")
    text = draw(*SHORT, *chosen, "preview.compare=[step,rex]", f"preview.out={path}")
    step, rex = json.loads(path.read_text())
    assert (step["scheduler"], rex["scheduler"]) == ("step", "rex")
    assert step["lr"][0][:61:30] == [0.4, 0.2, 0.1]  # the chosen one keeps its changes
    assert rex["lr"][0][::50] == [0.4, pytest.approx(0.4 * 2 / 3)]  # (1 - z) / (1/2 + (1 - z) / 2)
    assert rex["base_lrs"] == [0.4]
    assert "⠒⠒ step   ** rex" in text


def test_every_format_is_written(draw, tmp_path):
    for suffix in ("svg", "csv", "json"):
        path = tmp_path / f"c.{suffix}"
        draw(*SHORT, "scheduler=warmup", "preview.log=true", f"preview.out={path}")
        assert path.stat().st_size > 500
    assert (tmp_path / "c.csv").read_text().startswith("step,epoch,group0\n0,0.0,0.01")
    folder = tmp_path / "g"
    text = draw(*SHORT, task=lambda config: draw_gallery(config, folder, ["rex"]))
    assert sorted(path.name for path in folder.iterdir()) == ["rex.gif", "rex.png"]
    assert re.search(rf"Written: {folder} \(0\.\d MB\)", text)
    yamls = sorted(path.stem for path in (ROOT / "conf/scheduler").glob("*.yaml"))
    assert draw(task=lambda _: print(*schedule_names())).split() == yamls


def test_plateau_is_drawn_on_a_metric_that_is_named(draw, tmp_path):
    path, plateau = tmp_path / "c.json", (*SHORT, "scheduler=reduce_on_plateau")
    text = draw(*plateau, f"preview.out={path}")
    # the last better evaluation is at 40; patience 3 lets those at 50, 60 and 70 pass
    assert json.loads(path.read_text())["lr"] == [[0.1] * 80 + [0.1 * 0.2] * 20]
    assert "Note: made-up metric, 10% better every 10 steps, no better after 40% of the run" in text

    lines = [{"step": 10, "val/loss": 1.0}, {"step": 20, "val/loss": 1.0}, {"step": 99, "x": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = (f"preview.metrics={tmp_path}", "scheduler.patience=0")
    text = draw(*plateau, *run, f"preview.out={path}")
    assert json.loads(path.read_text())["lr"] == [[0.1] * 20 + [0.1 * 0.2] * 80]
    assert f"Note: the metric is that of {tmp_path}" in text


def test_a_run_folder_shows_planned_against_applied(draw, run_training, tmp_path):
    overrides, out = ("scheduler=sgdr", "max_steps=15"), tmp_path / "c.csv"
    run = run_training(*overrides)
    config = compose_config(*TINY, *overrides, folder=run.folder)
    (run.folder / ".hydra").mkdir(exist_ok=True)
    OmegaConf.save(config, run.folder / ".hydra" / "config.yaml")
    text = draw(f"preview.run={run.folder}", f"preview.out={out}")
    assert "Run run: 2 epochs of 10 steps = 20 steps" in text
    assert "Note: 15 of 15 recorded rates are as previewed\n" in text
    header, first, *_, last = out.read_text().splitlines()
    assert header == "step,epoch,applied/group0,planned/group0"
    assert first == "0,0.0,0.10000000149011612,0.1"  # TensorBoard keeps 32-bit floats
    assert last == "19,1.9,,0.0"


def test_rates_that_were_not_planned_are_counted():
    planned, same = [[0.1, 0.2, 0.3]] * 2, {0: 0.1, 1: 0.2, 2: 0.3}
    assert compare_rates(planned, [same, same]) == "3 of 3 recorded rates are as previewed"
    other = "1 of 3 recorded rates are as previewed, the first other one is at step 1"
    assert compare_rates(planned, [same, {0: 0.1, 1: 0.21, 2: 0.31}]) == other
    assert compare_rates(planned, [{4: 0.1}, {4: 0.1}]).endswith("is at step 4")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("preview.out=c.bmp", "preview.out='c.bmp': expected a file in .png, .svg, .gif, .csv or"),
        ("preview.out=c", "preview.out='c': expected a file in"),
        ("preview.out=/dev/null/c.json", "c.json cannot be written: /dev/null is not"),
        ("preview.total_steps=0", "preview.total_steps=0: expected an integer of at least 1."),
        ("preview.total_steps=10ep", "preview.total_steps='10ep': expected an integer"),
        ("preview.steps_per_epoch=1.5", "preview.steps_per_epoch=1.5: expected an integer"),
        ("preview.compare=[]", "preview.compare='[]': expected a list of names, as [step,rex]."),
        ("preview.compare=rex", "preview.compare='rex': expected a list of names"),
        ("preview.compare=[stepp]", "warmup_stable_decay. Did you mean step?"),
        ("preview.run=nowhere", "nowhere is not a run folder: it has no .hydra/config.yaml."),
        ("preview.run=x preview.compare=[rex]", "preview.run and preview.compare exclude each"),
        (
            "scheduler=reduce_on_plateau preview.metrics=nowhere",
            "nowhere has no evaluation with val/loss in a metrics.jsonl.",
        ),
        ("scheduler.T_max=1 scheduler=rex", "T_max"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(draw, overrides, sentence):
    with pytest.raises(Exception, match=re.escape(sentence)):
        draw(*overrides.split())


def test_a_strange_run_folder_is_refused(draw, tmp_path):
    saved = tmp_path / ".hydra/config.yaml"
    saved.parent.mkdir()
    OmegaConf.save(compose_config(*TINY, folder=tmp_path), saved)
    with pytest.raises(FileNotFoundError, match="has no event file with learning rates"):
        draw(f"preview.run={tmp_path}")
    saved.write_text("scheduler: {_target_: os.system, command: exit}\n")
    with pytest.raises(ValueError, match=r"scheduler._target_='os.system'"):
        read_run(tmp_path, [])


def test_the_program_leaves_only_the_file_that_was_asked_for(tmp_path):
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    line = [sys.executable, "-m", "scripts.preview", *SHORT, "scheduler=rex", "preview.out=c.json"]
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
