"""Read the config of a run folder, which may come from a stranger, without trusting it.

YAML as Hydra writes it calls nothing, but there is more to YAML: tags that make objects, anchors
that grow a few lines to gigabytes, nesting that exhausts Python's stack. Hydra writes none of it,
so a config that has it is refused. What its `_target_`s may call is `runs.targets`' matter.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

# What a run did whose config is from before there was such a key.
BEFORE = {"trainer.graph": False, "trainer.amp": False, "trainer.swa_every": "1ep"}
LOOKED_UP = "peak_lr."  # in these keys an experiment looks up its optimizer.lr, which is compared
MAX_BYTES = 2**18  # a run's config has 2 to 5 thousand
MAX_DEPTH = 30
# `a: ${b}${b}`, `b: ${c}${c}`, ...: n of them can multiply a value by 3 to the power of n/3.
MAX_INTERPOLATIONS = 20
# ${dataset.num_classes}, ${oc.env:HOME}, ${oc.env:DATA,images}: no other resolver, none in another
SIMPLE = re.compile(r"\$\{([-\w.\[\]]+|oc\.env:\w+(,[^${}]*)?)\}")

# No key of Hydra's that moves a group elsewhere or names a file: those have @ or /.
OVERRIDE = re.compile(r"(\+\+|\+|~)?(?P<key>[A-Za-z_]\w*(\.\w+)*)(=(?P<value>.*))?", re.DOTALL)
PLAIN = re.compile(r"[\w%.+ -]*")


def read_run_config(folder: Path) -> DictConfig:
    """Return the config of a run folder, not resolved; nothing in it has been imported or called.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: the file is damaged, or holds what no run writes; the sentence names the file.
    """
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: it has no .hydra/config.yaml.")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        text = content.decode()
        check_structure(text, len(content))
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise ValueError("it is a list")
        check_interpolations(OmegaConf.to_container(config, resolve=False))
    except Exception as error:  # damaged YAML fails in a dozen ways; all mean the same
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not the config of a run: {reason:.200}.") from error
    return config


def check_structure(text: str, size: int) -> None:
    """Refuse what Hydra never writes, from the events of the parser: before anything is built.

    Raises:
        ValueError: the file is too large or too deep, or it has a tag, an anchor or an alias.
    """
    if size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"line {line} has an anchor or an alias")
        if getattr(event, "tag", None):
            raise ValueError(f"line {line} has the tag {event.tag}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"line {line} is nested more than {MAX_DEPTH} deep")


def check_interpolations(node: Any) -> None:
    """Refuse ${...} that could run away, or carry an environment variable to another machine.

    Raises:
        ValueError: there are too many, one calls a resolver other than oc.env, or a `url` has one.
    """
    found = [(key, text) for key, text in walk_texts(node) if "${" in text]
    if sum(text.count("${") for _, text in found) > MAX_INTERPOLATIONS:
        raise ValueError(f"it has more than {MAX_INTERPOLATIONS} interpolations")
    for key, text in found:
        if "${" in SIMPLE.sub("", text):
            raise ValueError(
                f"{key} has an interpolation that is no plain ${{key}} or ${{oc.env:X}}"
            )
        if key == "url":
            raise ValueError("a url is put together from other values")


def check_overrides(words: Sequence[str]) -> None:
    """Refuse a run's overrides that Hydra would take for more than values of the run's keys.

    Hydra finds `scheduler=../../outputs/x/y` outside conf/, and a file there that begins with
    `# @package hydra.callbacks` names code that it calls before any config can be looked at.

    Raises:
        ValueError: names the first one that is refused.
    """
    if sum(word.count("${") for word in words) > MAX_INTERPOLATIONS:
        raise ValueError(f"it has more than {MAX_INTERPOLATIONS} interpolations")
    for word in words:
        match = OVERRIDE.fullmatch(word)
        if not match or match["key"].split(".")[0] == "hydra":
            raise ValueError(f"{word!r:.80} is no key of a run")
        key, value = match["key"], match["value"] or ""
        # The choice of a group, a number or a word; `seed` is even part of a folder's name.
        if "." not in key and key != "fork" and not PLAIN.fullmatch(value):
            raise ValueError(f"{word!r:.80} is no plain word or number")
        if max(accumulate((c in "[{(") - (c in ")}]") for c in f" {value}")) > MAX_DEPTH:
            raise ValueError(f"{word!r:.80} is nested more than {MAX_DEPTH} deep")
        if "${" in SIMPLE.sub("", value):
            raise ValueError(f"{key} has more in ${{...}} than a plain key or oc.env:NAME")


def walk_texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (the nearest key, text) of every text in plain mappings and lists."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from walk_texts(value, str(name))
    elif isinstance(node, list):
        for value in node:
            yield from walk_texts(value, key)
    elif isinstance(node, str):
        yield key, node
