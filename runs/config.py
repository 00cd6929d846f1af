"""Read the YAML files of a run folder, which may come from a stranger, without trusting them.

YAML as Hydra writes it calls nothing, but there is more to YAML: tags that make objects, anchors
that grow a few lines to gigabytes, nesting that exhausts Python's stack. Hydra writes none of it,
so a file that has it is refused. Which `_target_`s may be called is decided in `runs.targets`.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

MAX_BYTES = 2**18  # a run's config has 2 to 5 thousand
MAX_DEPTH = 30
# `a: ${b}${b}`, `b: ${c}${c}`, ...: n of them can multiply a value by 3 to the power of n/3.
MAX_INTERPOLATIONS = 20
# ${dataset.num_classes}, ${oc.env:HOME}, ${oc.env:DATA,images}: no other resolver, none in another
SIMPLE = re.compile(r'\$\{([-\w.\[\]]+|oc\.env:\w+(,[^${}"]*)?)\}')
URL = re.compile(r'"url": "(\\.|[^"\\])*\$\{')  # of JSON: a text with an interpolation
# Keys that an older version wrote, and their present names.
MOVED = {
    "dataset.augment": "augment",
    "optimizer.decay_norm_and_bias": "trainer.decay_norm_and_bias",
}


def read_run_config(folder: Path) -> DictConfig:
    """Return the config of a run folder, not resolved; nothing in it has been imported or called.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: the file is damaged, holds what no run writes, or is of an older version; the
            sentence names the file.
    """
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: it has no .hydra/config.yaml.")
    with open_yaml(path, "the config of a run") as text:
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise ValueError("it is a list")
        check_interpolations(OmegaConf.to_container(config, resolve=False))
        old = [key for key in MOVED if OmegaConf.select(config, key) is not None]
    if old:
        raise ValueError(
            f"{path} was written by an older version of this program: it has {old[0]}. Repeat the "
            "run, or use the version that wrote it."
        )
    return config


@contextlib.contextmanager
def open_yaml(path: Path, what: str) -> Iterator[str]:
    """Give the text of a YAML file in a run folder; an error in the block refuses the file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode()
        check_structure(text, len(content))
        yield text
    except Exception as error:  # damaged YAML fails in a dozen ways; all mean the same
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not {what}: {reason:.200}.") from error


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
        if getattr(event, "anchor", None):  # also of an alias
            raise ValueError(f"line {line} has an anchor or an alias")
        if getattr(event, "tag", None):
            raise ValueError(f"line {line} has the tag {event.tag}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {line} is nested more than {MAX_DEPTH} deep")


def check_interpolations(content: Any) -> None:
    """Refuse ${...} that could run away, or carry an environment variable to another machine.

    Raises:
        ValueError: there are too many, one calls a resolver other than oc.env, or a `url` has one.
    """
    text = json.dumps(content, default=str)
    if text.count("${") > MAX_INTERPOLATIONS:
        raise ValueError(f"it has more than {MAX_INTERPOLATIONS} interpolations")
    if "${" in SIMPLE.sub("", text):
        raise ValueError("it has an interpolation that is no plain ${key} or ${oc.env:NAME}")
    if URL.search(text):
        raise ValueError("a url is put together from other values")
