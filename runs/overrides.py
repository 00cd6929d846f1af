"""`resume=` and `fork=`: the command line and the config of a run that goes on from another.

The run's own overrides are put before the new ones, and Hydra composes them as if all had been
typed. So defaults, groups and `_target_`s work as they do for a new run.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from runs.config import (
    BEFORE,
    LOOKED_UP,
    MAX_BYTES,
    check_overrides,
    check_structure,
)

# What changes where and how a run goes, and not what comes out.
WHERE_AND_HOW = (
    "lint",
    "device",
    "dataset.root",
    "dataset.download",
    "trainer.log_every",
    "trainer.checkpoint_every",
    "trainer.keep_last",
)
# What may change when a run is resumed. `epochs` only where the schedule's curve so far stays.
MAY_CHANGE = {*WHERE_AND_HOW, "epochs", "max_steps"}
# What a fork must keep, since the state of the optimizer and the step mean nothing without it.
MUST_STAY = ("model", "dataset", "optimizer", "batch_size")
FREE_IN_A_FORK = {"optimizer.lr", "optimizer.weight_decay", "dataset.root", "dataset.download"}
GROUPS = ("dataset", "model", "optimizer", "scheduler", "experiment")
# `recipe` is what an experiment says of a publication.
ABOUT_THIS_COMMAND = ("resume", "fork", "fork_at", "allow_targets", "dry_run", "recipe")
# What may differ between a job that is found and the one that is asked for.
CHANGES_NO_RESULT = (
    *(key for key in ABOUT_THIS_COMMAND if key not in ("fork", "fork_at")),
    *WHERE_AND_HOW,
)
_OVERRIDE = re.compile(
    r"(?P<sign>\+\+|\+|~)?(?P<key>[A-Za-z_][\w./@-]*)(=(?P<value>.*))?", re.DOTALL
)


def expand_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line with the overrides of the run that `resume=` or `fork=` names put in.

    Raises:
        ValueError: both are given, a sweep resumes, or the run's overrides cannot be used.
        FileNotFoundError: there is no such run folder.
    """
    first = next((i for i, word in enumerate(arguments) if is_override(word)), None)
    found = {key_of(word): value_of(word) for word in arguments[first:] if is_override(word)}
    names = [key for key in ("resume", "fork") if found.get(key, "null") not in ("null", "")]
    if first is None or not names:
        return list(arguments)
    if len(names) == 2:
        raise ValueError("resume and fork exclude each other: give one of them.")
    folder = Path(found[names[0]]).expanduser().absolute()
    saved = read_overrides(folder)
    given = [word for word in arguments[first:] if key_of(word) != names[0]]
    given.append(f"{names[0]}={quote(folder)}")
    if names == ["resume"]:
        if {"-m", "--multirun"} & set(arguments):
            raise ValueError("resume continues one run in its folder: leave out --multirun.")
        given += [f"hydra.run.dir={quote(folder)}", "hydra.output_subdir=null"]
    else:
        saved = [word for word in saved if key_of(word) not in ("fork", "fork_at")]
    chosen = {key for word in given if (key := key_of(word)) in GROUPS}
    saved = [word for word in saved if re.split("[.@]", key_of(word) or "")[0] not in chosen]
    again = {word.partition("=")[0] for word in given}
    saved = [word for word in saved if word.partition("=")[0] not in again]
    return [*arguments[:first], *saved, *given]


def is_override(word: str) -> bool:
    """Whether an argument is an override, and not an option or an option's value."""
    return "=" in word and not word.startswith("-") and bool(_OVERRIDE.fullmatch(word))


def key_of(word: str) -> str | None:
    """The key of an override: `scheduler.gamma` of `++scheduler.gamma=0.5`."""
    match = _OVERRIDE.fullmatch(word)
    return match["key"] if match else None


def value_of(word: str) -> str:
    """The value of an override, without the quotes around it."""
    value = word.partition("=")[2]
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def quote(folder: Path) -> str:
    """A path as Hydra reads it, whatever it is made of."""
    return "'" + str(folder).replace("\\", "\\\\").replace("'", "\\'") + "'"


def read_overrides(folder: Path) -> list[str]:
    """The overrides with which a run was started, without those about that command alone.

    Raises:
        FileNotFoundError: there is no such run folder.
        ValueError: the file is damaged, or holds what no run writes: settings of Hydra itself,
            which may call anything.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no run folder {folder}.")
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: it has no .hydra/overrides.yaml.")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        check_structure(content.decode(), len(content))
        words = yaml.safe_load(content)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("it is not a list of texts")
        words = [word for word in words if key_of(word) not in ("resume", "allow_targets")]
        check_overrides(words)
    except Exception as error:  # damaged YAML fails in a dozen ways; all mean the same
        told = " ".join(str(error).split())
        raise ValueError(f"{path} is not the list of a run's overrides: {told:.200}.") from error
    return words


def differences(before: DictConfig, now: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, with the value of a run and the one that is asked for."""
    has, asked = BEFORE | flatten(plain(before)), flatten(plain(now))
    for key in sorted(has.keys() | asked.keys()):
        if has.get(key) != asked.get(key) and not key.startswith(LOOKED_UP):
            yield key, has.get(key, "no such key"), asked.get(key, "none")


def plain(config: DictConfig) -> dict[str, Any]:
    """A config's values, without the keys that are about one command."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    return {key: value for key, value in values.items() if key not in ABOUT_THIS_COMMAND}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A nested config as {"optimizer.lr": 0.1, ...}."""
    if not isinstance(tree, dict) or (prefix and not tree):
        return {prefix[:-1]: tree}
    parts = [flatten(value, f"{prefix}{key}.") for key, value in tree.items()]
    return {key: value for part in parts for key, value in part.items()}


def wants_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a sweep."""
    return bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
