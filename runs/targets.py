"""Which `_target_`s of a run folder's config may be called.

A `_target_` is code: Hydra imports the module that it names and calls what it finds there. Your own
command line may name anything. The config in a run folder may come from a stranger, so what reads
one (resume, fork, the preview of a run) lets `check_targets` look at it first.
"""

import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

# Neither private names, nor the colon that only one of Hydra and `schedulers` would understand.
DOTTED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """What a group of the config may call.

    Attributes:
        prefixes: a target below another one is refused before any of it is imported.
        accepts: whether the object itself is fit: a prefix alone is not enough, because
            `models.resnet.flow.os.system` is reached through attributes.
        accepted: the same in words.
    """

    prefixes: tuple[str, ...]
    accepts: Callable[[Any], bool]
    accepted: str


def check_targets(config: Any, allowed_prefixes: Sequence[str]) -> None:
    """Refuse a config with a `_target_` that is none of the parts a run is made of.

    Nothing is called, and no module is imported but those below the prefixes of `RULES`.

    Args:
        config: the whole config of a run: a mapping with the keys `model`, `optimizer`, ...
        allowed_prefixes: further dotted prefixes, whose targets are not looked at: `my_nets` allows
            `my_nets.wide.WideNet`, not `my_nets2.x`. They must come from the user's own command
            line, never from the config that is checked.

    Raises:
        ValueError: names the first target that is refused and what the group may call.
    """
    import engine  # noqa: F401  (prepares the process for OneFlow)

    check_prefixes(allowed_prefixes)
    try:
        plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"The config cannot be resolved: {reason}.") from error
    for key, target in walk_targets(plain):
        if not allowed_by_prefix(target, allowed_prefixes):
            check_target(key, target)


def check_prefixes(prefixes: Sequence[str]) -> None:
    """Refuse what is no list of dotted prefixes; an empty one would allow everything.

    Raises:
        ValueError: names the entry.
    """
    if isinstance(prefixes, str) or not isinstance(prefixes, Sequence):
        raise ValueError(f"allow_targets={prefixes!r} is not a list such as [my_nets].")
    for prefix in prefixes:
        if not (isinstance(prefix, str) and DOTTED.fullmatch(f"{prefix.removesuffix('.')}.x")):
            raise ValueError(
                f"allow_targets holds {prefix!r}: expected the dotted name of a package or module."
            )


def walk_targets(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every `_target_` in plain mappings and lists, however deep."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            path = f"{key}.{name}" if key else str(name)
            if name == "_target_":
                yield path, value
            yield from walk_targets(value, path)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from walk_targets(value, f"{key}[{index}]")


def allowed_by_prefix(target: Any, prefixes: Sequence[str]) -> bool:
    """Whether the user has allowed this target.

    >>> allowed_by_prefix("my_nets.wide.WideNet", ["my_nets"])
    True
    >>> allowed_by_prefix("my_nets2.WideNet", ["my_nets"])
    False
    """
    return is_dotted(target) and any(
        f"{target}.".startswith(f"{prefix.removesuffix('.')}.") for prefix in prefixes
    )


def is_dotted(target: Any) -> bool:
    """Whether this could be the dotted name of a class or function."""
    return isinstance(target, str) and len(target) <= 200 and bool(DOTTED.fullmatch(target))


def check_target(key: str, target: Any) -> None:
    """Refuse a target that its group's rule does not accept.

    Raises:
        ValueError: names the key and the target, what is accepted, and how to allow it.
    """
    group = re.split(r"[.\[]", key, maxsplit=1)[0]
    rule = RULES.get(group)
    refused = f"{key}={target!r:.200} is refused"
    if rule is None:
        raise ValueError(f"{refused}: a run calls nothing below the key {group!r:.80}.")
    if not is_dotted(target):
        raise ValueError(f"{refused}: it is not the dotted name of a class or function.")
    advice = (
        f"{refused}: from a run folder {group} may call only {rule.accepted}; if you have read the "
        f"run's config and trust it, add allow_targets=[{target}]."
    )
    if not target.startswith(rule.prefixes):
        raise ValueError(advice)
    try:
        found = pkgutil.resolve_name(target)
    except Exception as error:  # importing a module may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{key}={target!r} cannot be imported: {reason}") from error
    if not (is_defined_in_module(found) and rule.accepts(found)):
        raise ValueError(advice)


def is_defined_in_module(found: Any) -> bool:
    """Whether this is a class or function that stands at the top of the module it says it is of."""
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return False
    module = sys.modules.get(found.__module__)
    return getattr(module, found.__qualname__, None) is found


def is_ours(found: Any, package: str) -> bool:
    """Whether a class or function is defined in this package, under a public name."""
    return found.__module__.startswith(f"{package}.") and not found.__name__.startswith("_")


def is_net(found: Any) -> bool:
    """Our nets, OneFlow's modules, and the functions that flowvision registers as its nets.

    Not every function of `flowvision.models`: some of them download a pickle and load it.
    """
    from flowvision.models import ModelCreator
    from oneflow import nn

    if inspect.isclass(found):
        return issubclass(found, nn.Module)
    nets = ModelCreator._model_entrypoints
    return is_ours(found, "models") or nets.get(found.__name__) is found


def is_optimizer(found: Any) -> bool:
    """OneFlow's optimizers."""
    from oneflow.optim.optimizer import Optimizer

    return inspect.isclass(found) and issubclass(found, Optimizer)


def is_scheduler(found: Any) -> bool:
    """Schedulers, and the functions beside ours, which follow the step: `noam_factor`.

    Not every function of `schedulers`: that which builds a node imports what the node names.
    """
    from oneflow.optim.lr_scheduler import ReduceLROnPlateau, _LRScheduler

    if inspect.isclass(found):
        return issubclass(found, _LRScheduler | ReduceLROnPlateau)
    beside = vars(sys.modules[found.__module__]).values()
    return is_ours(found, "schedulers") and any(
        inspect.isclass(other)
        and issubclass(other, _LRScheduler)
        and other.__module__ == found.__module__
        for other in beside
    )


def is_dataset(found: Any) -> bool:
    """The functions that build a data set; not those beside them that download or write files."""
    from data import Dataset

    if inspect.isclass(found) or not is_ours(found, "data"):
        return False
    return inspect.signature(found).return_annotation in (Dataset, "Dataset")


RULES = {
    "model": Rule(
        ("models.", "flowvision.models.", "oneflow.nn."),
        is_net,
        "nets of models and flowvision.models and modules of oneflow.nn",
    ),
    "optimizer": Rule(("oneflow.optim.",), is_optimizer, "the optimizers of oneflow.optim"),
    "scheduler": Rule(
        ("oneflow.optim.lr_scheduler.", "schedulers."),
        is_scheduler,
        "schedulers of oneflow.optim.lr_scheduler and schedulers, and the functions beside these",
    ),
    "dataset": Rule(("data.",), is_dataset, "the data.*.build_* functions"),
}
