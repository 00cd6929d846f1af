"""The config and the overrides of a run folder: mutated, hostile, and as Hydra writes them."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from omegaconf import OmegaConf

from runs.config import check_overrides, read_run_config
from runs.overrides import read_overrides
from runs.targets import check_targets
from tests.conftest import TINY, compose_config
from tests.data.test_data_fuzz import COUNTS, fuzzing
from tests.helpers.mutations import CHANGES, mutate
from tests.helpers.sandbox import outcome

ROOT = Path(__file__).resolve().parent.parent.parent


def place(folder, content, name="config"):
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / f"{name}.yaml").write_bytes(content)
    return folder


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_configs(tmp_path, count):
    config = compose_config(*TINY, "scheduler=chained", folder=tmp_path)
    whole, told = OmegaConf.to_yaml(config).encode(), Counter()
    right = read_run_config(place(tmp_path, whole))
    assert right == config
    check_targets(right, [])

    def look():
        found = read_run_config(tmp_path)
        check_targets(found, [])
        return found

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        content = mutate(whole, changes)
        place(tmp_path, content)
        found = outcome(tmp_path, look)
        told["error" if found is None else "read"] += 1
        if content == whole:
            assert found == right

    run()
    print(f"{sum(told.values())} configs: {dict(told)}")
    assert told["error"] > count / 10 and told["read"] > count / 10


HOSTILE = {
    "a call": "a: !!python/object/apply:os.system ['touch boom']",
    "a path": "a: !!python/object/apply:pathlib.PosixPath ['/etc']",
    "a name": "a: !!python/name:os.system",
    "a module": "a: !!python/module:antigravity",
    "another tag": "a: !!set {x, y}",
    "laughs": "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]",
    "an anchor alone": "a: &a 1",
    "itself": "a: &a [*a]",
    "a merge": "a: &a {x: 1}\nb: {<<: *a}",
    "deep lists": "a: " + "[" * 5000,
    "deep maps": "a: " + "{b: " * 500 + "}" * 500,
    "two documents": "a: 1\n---\nb: 2",
    "a list": "[1, 2]",
    "a number": "5",
    "a key twice": "a: 1\na: 2",
    "an odd key": "? [1, 2]\n: 3",
    "a null key": "~: 3",
    "half an interpolation": "a: ${b",
    "many interpolations": "a: '" + "${b}" * 30 + "'\nb: 1",
    "a resolver": "a: ${hydra:runtime.cwd}",
    "a resolver put together": "a: ${${b}:x}\nb: hydra",
    "a resolver in another": "a: ${oc.env:${b}}\nb: HOME",
    "a secret in an address": "dataset:\n  url: http://x.invalid/${oc.env:HOME}",
    "the same by way of a key": "x: ${oc.env:HOME}\ndataset:\n  url: http://x.invalid/${x}",
    "digits": "a: " + "9" * 5000,
    "zero bytes": "a: \0b",
    "no text": b"a: \xff\xfe",
    "too long": "a: " + "x" * 300_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_configs(tmp_path, content):
    place(tmp_path, content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="is not the config of a run: ") as caught:
        read_run_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_config(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        read_run_config(tmp_path)
    (tmp_path / ".hydra").mkdir()
    os.mkfifo(tmp_path / ".hydra" / "config.yaml")  # would wait for ever
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        read_run_config(tmp_path)


def test_the_environment_may_name_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_IMAGES", "images")
    place(tmp_path, b"dataset:\n  root: ${oc.env:MY_IMAGES}/cifar\n")
    assert read_run_config(tmp_path).dataset.root == "images/cifar"


@pytest.mark.parametrize(
    "word",
    [
        "seed=3",
        "scheduler=step",
        "scheduler.gamma=0.5",
        "+scheduler.milestones=[10ep,20ep]",
        "++optimizer.weight_decay=5e-4",
        "~trainer.clip_grad_norm",
        "dataset.root='/data/my images'",
        "fork_at=50%",
        "fork='../runs/a'",
        "model._target_=flowvision.models.resnet18",
        "dataset.root=${oc.env:HOME}/images",
        "max_steps=null",
    ],
)
def test_overrides_of_a_run(word):
    check_overrides([word])


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.x._target_=os.mkdir",
        "+hydra/launcher=x",
        "~hydra.job",
        "scheduler=../../outputs/x/payload",
        "+scheduler@hydra.callbacks.x=step",
        "+scheduler/../../outputs/x=payload",
        "scheduler=[step,../../x]",
        "scheduler=file:///x",
        "seed=../../../../tmp",
        "--config-dir=x",
        "-m",
        "",
        "seed=3\n=4=5/",
        " seed=3",
        "dataset.root=${hydra:runtime.cwd}",
        "scheduler.milestones=" + "[" * 100,
    ],
)
def test_overrides_that_are_more(word):
    with pytest.raises(ValueError):
        check_overrides([word])


PAYLOAD = """\
# @package hydra.callbacks
boom:
  _target_: os.mkdir
  path: {mark}
"""


@pytest.mark.parametrize("word", ["scheduler={path}", "+scheduler@hydra.callbacks={path}"])
def test_a_run_folder_cannot_bring_code_for_hydra(tmp_path, word):
    """Hydra calls its callbacks before a program sees its config."""
    run, mark = tmp_path / "run", tmp_path / "mark"
    run.mkdir()
    (run / "payload.yaml").write_text(PAYLOAD.format(mark=mark))
    path = os.path.relpath(run / "payload", ROOT / "conf" / "scheduler")
    place(run, b"seed: 0\n")
    place(run, f"- dataset=synthetic\n- {word.format(path=path)}\n".encode(), "overrides")
    with pytest.raises(ValueError, match="is not the list of a run's overrides"):
        read_overrides(run)
    command = [sys.executable, "-W", "ignore", "train.py", f"resume={run}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert not mark.exists()
