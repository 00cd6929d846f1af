"""Which `_target_`s of a run folder's config may be called.

A `_target_` is code: Hydra imports the module that it names and calls what it finds there. Your own
command line may name anything. The config in a run folder may come from a stranger, so what reads
one (resume, fork, the preview of a run) calls `check_targets` first. It compares names with an
exact list; nothing that a config names is imported for that.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

ROOT = Path(__file__).resolve().parent.parent
# What each group of the config may call, in words; `allowed_names` has the list.
ALLOWED = {
    "model": "the models of conf/model, models and flowvision.models",
    "optimizer": "the optimizers of conf/optimizer",
    "scheduler": "the schedulers of conf/scheduler and schedulers, and their functions",
    "dataset": "the data sets of conf/dataset",
}
# Where our classes and functions lie that need no YAML, and their names in the text of the files.
OURS = {
    "model": ("models", r"^(?:class|def) ([A-Za-z]\w*)"),
    "scheduler": ("schedulers", r"^class ([A-Z]\w*LR)\b"),
}
DOTTED = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*\.?", re.ASCII)


def check_targets(config: Any, allowed: Sequence[str]) -> None:
    """Refuse a config with a `_target_` that is none of the parts of a run.

    Args:
        config: the whole config of a run: a mapping with the keys `model`, `optimizer`, ...
        allowed: further dotted prefixes: `my_nets` allows `my_nets.wide.WideNet`, not `my_nets2.x`.
            They must come from the user's own command line, never from the config itself.

    Raises:
        ValueError: names the first target that is refused and what the group may call.
    """
    listed = not isinstance(allowed, str) and isinstance(allowed, Sequence)
    if not listed or not all(isinstance(a, str) and DOTTED.fullmatch(a) for a in allowed):
        raise ValueError(f"allow_targets={allowed!r}: expected a list of packages, as [my_nets].")
    try:
        plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"The config cannot be resolved: {reason}.") from error
    prefixes = tuple(f"{prefix.removesuffix('.')}." for prefix in allowed)
    for key, target in walk_targets(plain):
        if not f"{target}.".startswith(prefixes):
            check_target(key, target)


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


def check_target(key: str, target: Any) -> None:
    """Refuse a target that its group, the first word of the key, may not call.

    Raises:
        ValueError: names the key and the target, what is accepted, and how to allow it.
    """
    group = re.split(r"[.\[]", key, maxsplit=1)[0]
    refused = f"{key}={target!r:.200} is refused: "
    if group not in ALLOWED:
        raise ValueError(f"{refused}a run calls nothing below the key {group!r:.80}.")
    flowvision = group == "model" and str(target).startswith("flowvision.models.")
    if not isinstance(target, str) or target not in allowed_names(group, flowvision):
        raise ValueError(
            f"{refused}from a run folder {group} may call only {ALLOWED[group]}; if you have read "
            f"the run's config and trust it, add allow_targets=[{target!s:.200}]."
        )


@cache
def allowed_names(group: str, flowvision: bool) -> set[str]:
    """Return the names that a group may call; those of flowvision only where one is asked for.

    They are the `_target_`s of the group's YAMLs in conf/, and the names in the text of `OURS`.
    """
    if flowvision:
        from models.flowvision import classifiers

        return {f"flowvision.models.{name}" for name in classifiers()}
    yamls = "\n".join(path.read_text() for path in (ROOT / "conf" / group).glob("*.yaml"))
    names = set(re.findall(r"\b_target_: *([\w.]+)", re.sub("#.*", "", yamls)))
    folder, pattern = OURS.get(group, ("none", ""))
    for path in (ROOT / folder).glob("*.py"):
        found = re.findall(pattern, path.read_text(), re.MULTILINE)
        names |= {f"{folder}.{path.stem}.{name}" for name in found}
    return names
