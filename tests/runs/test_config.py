"""The config and the overrides of a run folder: mutated, hostile, old, and as Hydra writes them."""

import os
from collections import Counter

import pytest
from hypothesis import given
from omegaconf import OmegaConf

from runs.config import read_run_config
from runs.overrides import check_overrides, expand_arguments, read_overrides, value_of
from runs.targets import check_targets
from tests.conftest import ROOT, TINY, compose_config
from tests.helpers.mutations import CHANGES, COUNTS, fuzzing, mutate
from tests.helpers.sandbox import outcome


def place(folder, content, name="config"):
    (folder / ".hydra").mkdir(exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    (folder / ".hydra" / f"{name}.yaml").write_bytes(content)


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_configs(tmp_path, count):
    config = compose_config(*TINY, "scheduler=chained", folder=tmp_path)
    whole, outcomes = OmegaConf.to_yaml(config).encode(), Counter()
    place(tmp_path, whole)
    right = read_run_config(tmp_path)
    assert right == config
    check_targets(right, [])

    def read():
        found = read_run_config(tmp_path)
        check_targets(found, [])
        return found

    @fuzzing(count)
    @given(CHANGES)
    def run(changes):
        content = mutate(whole, changes)
        place(tmp_path, content)
        found = outcome(tmp_path, read)
        outcomes["error" if found is None else "read"] += 1
        if content == whole:
            assert found == right

    run()
    assert outcomes["error"] > count / 20 and outcomes["read"] > count / 20


HOSTILE = {
    "a call": "a: !!python/object/apply:os.system ['touch boom']",
    "a tag of our own": "a: !mine 3",
    "an anchor": "a: &a [1]",
    "a billion laughs": "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "31 deep": "a: " + "[" * 30 + "]" * 30,
    "deep lists": "a: " + "[" * 5000,
    "two documents": "a: 1\n---\nb: 2",
    "a list": "[1, 2]",
    "a key twice": "a: 1\na: 2",
    "an odd key": "? [1, 2]\n: 3",
    "a null key": "~: 3",
    "half an interpolation": "a: ${b",
    "21 interpolations": "a: '" + "${b}" * 21 + "'\nb: 1",
    "a resolver": "a: ${hydra:runtime.cwd}",
    "a resolver, escaped": 'a: "\\x24{hydra:runtime.cwd}"',
    "a resolver as a key": "'${hydra:runtime.cwd}': 1",
    "a resolver put together": "a: ${${b}:x}\nb: hydra",
    "a resolver in another": "a: ${oc.env:${b}}\nb: HOME",
    "a secret in an address": "dataset:\n  url: http://x.invalid/${oc.env:HOME}",
    "a secret behind a quote": "dataset:\n  url: 'http://x.invalid/\"${oc.env:HOME}'",
    "the same by way of a key": "x: ${oc.env:HOME}\ndataset:\n  url: http://x.invalid/${x}",
    "zero bytes": "a: \0b",
    "no text": b"a: \xff\xfe",
    "too long": "a: " + "x" * 2**18,
}
SOUND = {
    "a folder of the environment": "a: ${oc.env:HOME}/cifar\nb: '${oc.env:DATA,images}'",
    "30 deep": "a: " + "[" * 29 + "]" * 29,
    "20 interpolations": "a: '" + "${b}" * 20 + "'\nb: 1",
    "as long as may be": "a: " + "x" * (2**18 - 3),
}


@pytest.mark.parametrize("name", [*HOSTILE, *SOUND])
def test_hostile_configs_are_refused_and_what_is_just_sound_is_read(tmp_path, name):
    if name in SOUND:
        place(tmp_path, SOUND[name])
        assert "a" in read_run_config(tmp_path)
        return
    place(tmp_path, HOSTILE[name])
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


def test_a_run_of_an_older_version_is_refused_with_what_to_do(tmp_path):
    place(tmp_path, "optimizer: {lr: 0.1, decay_norm_and_bias: false}\n")
    place(tmp_path, "[optimizer.decay_norm_and_bias=false]", "overrides")
    sentence = (
        f"{tmp_path}/.hydra/config.yaml was written by an older version of this program: it has "
        "optimizer.decay_norm_and_bias. Repeat the run, or use the version that wrote it."
    )
    for key in ("resume", "fork"):  # before Hydra meets the old key
        with pytest.raises(ValueError) as caught:
            expand_arguments([f"{key}={tmp_path}"])
        assert str(caught.value) == sentence


OF_A_RUN = [
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
    "scheduler.milestones=" + "[" * 30 + "]" * 30,
]
OF_MORE = [
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
    "dataset.root=" + "${oc.env:HOME}" * 21,
    "scheduler.milestones=" + "[" * 31 + "]" * 31,
]


def test_overrides_are_those_of_a_runs_keys(tmp_path):
    check_overrides(OF_A_RUN)
    for word in OF_MORE:
        with pytest.raises(ValueError):
            check_overrides([word])
    place(tmp_path, "[dataset=synthetic, 'allow_targets=[os]', resume=x]", "overrides")
    assert read_overrides(tmp_path) == ["dataset=synthetic"]
    for text in ("{", "a: 1", "[1]", "[hydra.job.name=x]", "[&a seed=1, *a]"):
        place(tmp_path, text, "overrides")
        with pytest.raises(ValueError, match="is not the list of a run's overrides: "):
            read_overrides(tmp_path)


def test_a_run_folder_cannot_bring_code_for_hydra(tmp_path, run_here):
    """Hydra calls its callbacks before a program sees its config."""
    run, mark = tmp_path / "run", tmp_path / "mark"
    run.mkdir()
    payload = f"# @package hydra.callbacks\nboom:\n  _target_: os.mkdir\n  path: {mark}\n"
    (run / "payload.yaml").write_text(payload)
    path = os.path.relpath(run / "payload", ROOT / "conf" / "scheduler")
    place(run, "seed: 0\n")
    place(run, f"- dataset=synthetic\n- scheduler={path}\n", "overrides")
    with pytest.raises(SystemExit, match="is not the list of a run's overrides"):
        run_here(f"resume={run}")
    assert not mark.exists()


def test_quotes_around_a_value_are_no_part_of_it():
    words = ("resume='a b'", 'resume="a b"', "resume=a b", "resume='", "resume=a'")
    assert [value_of(word) for word in words] == ["a b", "a b", "a b", "'", "a'"]
