"""What the config of a run folder may call, and the ways around it that are closed."""

import contextlib
import sys

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from engine.process.runtime import flow
from runs.targets import check_targets, walk_targets
from tests.conftest import ROOT

GROUPS = ("model", "optimizer", "scheduler", "dataset")
YAMLS = [path for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]


def test_every_part_of_oneflow_has_a_yaml_and_every_shipped_part_is_allowed():
    for names, group in ((flow.optim, "optimizer"), (flow.optim.lr_scheduler, "scheduler")):
        public = {name for name, value in vars(names).items() if isinstance(value, type)}
        for name in public - {"_LRScheduler", "Optimizer", "WarmUpLR"}:
            check_targets({group: {"_target_": f"{names.__name__}.{name}"}}, [])
    assert len(YAMLS) > 80
    for path in YAMLS:
        config = OmegaConf.create({"dataset": {"num_classes": 100}})
        config = OmegaConf.merge(config, {path.parent.name: OmegaConf.load(path)})
        assert list(walk_targets(OmegaConf.to_container(config)))
        check_targets(config, [])


@pytest.mark.parametrize("name", ["adadelta", "adagrad", "adam", "adamw", "lamb", "rmsprop", "sgd"])
def test_an_optimizer_node_is_what_its_class_is_called_with(name):
    node = OmegaConf.load(ROOT / f"conf/optimizer/{name}.yaml")
    built = instantiate(node, [{"params": [flow.nn.Parameter(flow.ones(2))]}])
    assert type(built).__name__ == node._target_.split(".")[-1]
    assert built.param_groups[0]["lr"] == node.lr


ACCEPTED = {
    "flowvision.models.resnet18": "model",
    "models.resnet.ResNet": "model",
    "models.flowvision.flowvision_net": "model",
    "oneflow.optim.SGD": "optimizer",
    "oneflow.optim.lr_scheduler.WarmupLR": "scheduler",
    "schedulers.fixed.FixedLR": "scheduler",
    "schedulers.noam.noam_factor": "scheduler",
    "data.synthetic.build_synthetic": "dataset",
}


@pytest.mark.parametrize(("target", "group"), ACCEPTED.items())
def test_parts_of_a_run_are_allowed_in_their_group(target, group):
    check_targets({group: {"_target_": target}}, [])
    for other in {*GROUPS, "trainer", "hydra"} - {group}:
        with pytest.raises(ValueError, match=f"^{other}._target_='{target}' is refused: "):
            check_targets({other: {"_target_": target}}, [])


REFUSED = {
    "another package": ("model", "os.system"),
    "hydra itself": ("model", "hydra.utils.instantiate"),
    "a function of oneflow": ("model", "oneflow.load"),
    "a module reached by attributes": ("model", "models.resnet.flow.os.system"),
    "a pickle by address": ("model", "flowvision.models.utils.load_state_dict_from_url"),
    "a function of another kind": ("model", "oneflow.nn.init.zeros_"),
    "a method": ("model", "models.resnet.ResNet.forward"),
    "an import of ours": ("model", "models.resnet.flow"),
    "a package whose name begins alike": ("model", "models_of_a_stranger.net"),
    "an optimizer's module": ("optimizer", "oneflow.optim.optimizer.flow.load"),
    "an importer": ("scheduler", "schedulers.build.build_scheduler"),
    "a colon": ("scheduler", "schedulers.noam:np.load"),
    "a download to any place": ("dataset", "data.download.download_archive"),
    "a builder of nodes": ("dataset", "data.dataset.build_dataset"),
    "a class of the library beneath": ("dataset", "data.cifar.Path"),
    "null": ("model", None),
    "a list": ("model", ["os.system"]),
    "a name without end": ("model", "models." + "x" * 5000),
    "a relative name": ("model", ".models.convnet"),
    "the top": ("_target_", "models.resnet.resnet20"),
}


@pytest.mark.parametrize(("group", "target"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_in_one_sentence(group, target):
    config = {group: target} if group == "_target_" else {group: {"_target_": target}}
    with pytest.raises(ValueError, match=r"_target_=.* is refused") as caught:
        check_targets(config, [])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "config",
    [
        {"model": {"_target_": "models.resnet.ResNet", "_args_": [{"_target_": "os.system"}]}},
        {"model": {"_target_": "models.resnet.resnet20", "a": [[{"b": {"_target_": "os.kill"}}]]}},
        {"scheduler": {"lr_lambda": {"_target_": "os.system", "_partial_": True}}},
        {"name": "os.system", "model": {"_target_": "${name}"}},
        {"hydra": {"callbacks": {"x": {"_target_": "os.system"}}}},
        {"model": {"_target_": "${nowhere}"}},
    ],
)
def test_no_place_hides_a_target(config):
    sentence = r"_target_='os\.\w+' is refused|The config cannot be resolved: .*nowhere"
    with pytest.raises(ValueError, match=sentence) as caught:
        check_targets(config, [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("allowed", [[], ["trap"]])
def test_nothing_is_imported_to_be_checked(tmp_path, monkeypatch, allowed):
    """Not even a module of a stranger that lies in the working folder."""
    (tmp_path / "trap.py").write_text("def net(num_classes): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match="is refused"):
        check_targets({"model": {"_target_": "trap.net"}}, allowed)
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    ("allowed", "sentence"),
    [
        (["my_nets"], None),
        (["my_nets."], None),
        (["my_nets.wide"], None),
        (["my_nets.wide.WideNet"], None),
        (["my_net"], "add allow_targets="),
        *((value, "^allow_targets=") for value in ("my_nets", [""], ["."], ["*"], [7], [".os"])),
        *((value, "^allow_targets=") for value in (None, {"my_nets": 1})),
    ],
)
def test_allow_targets_allows_whole_names_and_never_everything(allowed, sentence):
    config = {"model": {"_target_": "my_nets.wide.WideNet"}}
    if sentence is None:
        check_targets(config, allowed)
    else:
        with pytest.raises(ValueError, match=sentence):
            check_targets(config, allowed)
