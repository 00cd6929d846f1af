"""What the config of a run folder may call, and the ways around it that are closed."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runs.targets import check_targets

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = ("model", "optimizer", "scheduler", "dataset")


@pytest.mark.parametrize(
    "path",
    [path for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_shipped_part_is_allowed(path):
    config = OmegaConf.create({"dataset": {"num_classes": 100}})
    check_targets(OmegaConf.merge(config, {path.parent.name: OmegaConf.load(path)}), [])


@pytest.mark.parametrize(
    ("group", "target"),
    [
        ("model", "flowvision.models.resnet18"),
        ("model", "flowvision.models.vgg.vgg16_bn"),
        ("model", "models.resnet.ResNet"),
        ("model", "oneflow.nn.Linear"),
        ("optimizer", "oneflow.optim.SGD"),
        ("scheduler", "oneflow.optim.lr_scheduler.WarmUpLR"),
        ("scheduler", "schedulers.noam.noam_factor"),
        ("dataset", "data.synthetic.build_synthetic"),
    ],
)
def test_parts_of_a_run_are_allowed(group, target):
    check_targets({group: {"_target_": target}}, [])


REFUSED = {
    "another package": ("model", "os.system"),
    "a builtin": ("model", "builtins.eval"),
    "hydra itself": ("model", "hydra.utils.instantiate"),
    "a function of oneflow": ("model", "oneflow.load"),
    "a module reached by attributes": ("model", "models.resnet.flow.os.system"),
    "the same in oneflow.nn": ("model", "oneflow.nn.modules.module.flow.load"),
    "a pickle by address": ("model", "flowvision.models.utils.load_state_dict_from_url"),
    "a pickle by path": ("model", "flowvision.models.ModelCreator.create_model"),
    "a function of another kind": ("model", "oneflow.nn.init.zeros_"),
    "a class of another kind": ("model", "oneflow.nn.Graph"),
    "a method": ("model", "models.resnet.ResNet.forward"),
    "a package whose name begins alike": ("model", "models_of_a_stranger.net"),
    "another group's part": ("optimizer", "models.resnet.resnet20"),
    "an optimizer's module": ("optimizer", "oneflow.optim.optimizer.flow.load"),
    "an importer": ("scheduler", "schedulers.build.build_scheduler"),
    "a private importer": ("scheduler", "schedulers.build._near_name"),
    "hydra's importer by attribute": ("scheduler", "schedulers.build.pkgutil.resolve_name"),
    "a colon": ("scheduler", "schedulers.noam:np.load"),
    "a download to any place": ("dataset", "data.download.download_archive"),
    "a writer of files": ("dataset", "data.archive.write_cache"),
    "a class of the library beneath": ("dataset", "data.cifar.Path"),
    "no text": ("model", 7),
    "null": ("model", None),
    "a list": ("model", ["os.system"]),
    "an empty name": ("model", ""),
    "a name without end": ("model", "models." + "x" * 5000),
    "a relative name": ("model", ".models.convnet"),
    "a group that calls nothing": ("trainer", "models.resnet.resnet20"),
    "the top": ("_target_", "models.resnet.resnet20"),
}


@pytest.mark.parametrize(("group", "target"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_in_one_sentence(group, target):
    config = {group: target} if group == "_target_" else {group: {"_target_": target}}
    with pytest.raises(ValueError, match=r"_target_=.* is refused") as caught:
        check_targets(config, [])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "config",
    [
        {"model": {"_target_": "oneflow.nn.Sequential", "_args_": [{"_target_": "os.system"}]}},
        {"model": {"_target_": "models.resnet.resnet20", "a": [[{"b": {"_target_": "os.kill"}}]]}},
        {"scheduler": {"lr_lambda": {"_target_": "os.system", "_partial_": True}}},
        {"name": "os.system", "model": {"_target_": "${name}"}},
        {"hydra": {"callbacks": {"x": {"_target_": "os.system"}}}},
    ],
)
def test_no_place_hides_a_target(config):
    with pytest.raises(ValueError, match=r"_target_='os\.\w+' is refused"):
        check_targets(config, [])


def test_what_is_refused_is_not_imported(tmp_path):
    """A module of a stranger that lies in the working folder leaves a mark when it is imported."""
    (tmp_path / "trap.py").write_text("open('mark', 'w')\ndef net(num_classes): ...\n")
    code = (
        "from runs.targets import check_targets\n"
        "try:\n    check_targets({'model': {'_target_': 'trap.net'}}, %s)\n"
        "except ValueError as error:\n    print('refused')\n"
        "import sys; print('trap' in sys.modules)\n"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""}
    for allowed, said in (("[]", "refused\nFalse\n"), ("['trap']", "False\n")):
        command = [sys.executable, "-W", "ignore", "-c", code % allowed]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == said, done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [(["my_nets"], True), (["my_nets."], True), (["my_nets.wide"], True), (["my_net"], False)],
)
def test_allow_targets_allows_whole_names(allowed, passes):
    config = {"model": {"_target_": "my_nets.wide.WideNet"}}
    if passes:
        check_targets(config, allowed)
    else:
        with pytest.raises(ValueError, match="add allow_targets="):
            check_targets(config, allowed)


@pytest.mark.parametrize("allowed", ["os", [""], ["."], ["*"], [7], [".os"], None, {"os": 1}])
def test_allow_targets_cannot_be_everything(allowed):
    with pytest.raises(ValueError, match="allow_targets"):
        check_targets({"model": {"_target_": "os.system"}}, allowed)


def test_a_config_that_does_not_resolve_is_one_sentence():
    with pytest.raises(ValueError, match=r"The config cannot be resolved: .*nowhere") as caught:
        check_targets({"model": {"_target_": "${nowhere}"}}, [])
    assert "\n" not in str(caught.value)
