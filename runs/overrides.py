"""`resume=` and `fork=`: the command line and the config of a run that continues another.

The overrides of that run are put before the new ones, and Hydra composes them as if all had been
typed. So defaults, groups and `_target_`s work as they do for a new run.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from runs.config import MAX_DEPTH, check_interpolations, open_yaml, read_run_config

# Where and how a run goes; none of them changes its result.
WHERE_AND_HOW = (
    *("lint", "device", "dataset.root", "dataset.download"),
    *("trainer.log_every", "trainer.checkpoint_every", "trainer.keep_last"),
)
# What may change when a run is resumed. `epochs` only where the schedule's curve so far stays.
MAY_CHANGE = {*WHERE_AND_HOW, "epochs", "max_steps"}
# What a fork must keep, since the state of the optimizer and the step mean nothing without it.
MUST_STAY = (
    *("model", "dataset", "augment", "optimizer", "batch_size"),
    "trainer.decay_norm_and_bias",
)
FREE_IN_A_FORK = {"optimizer.lr", "optimizer.weight_decay", "dataset.root", "dataset.download"}
GROUPS = ("dataset", "model", "optimizer", "scheduler", "experiment")
ABOUT_THIS_COMMAND = ("resume", "fork", "fork_at", "allow_targets", "dry_run")
# What may differ between a job that is found and the one that is asked for.
CHANGES_NO_RESULT = ("resume", "allow_targets", "dry_run", *WHERE_AND_HOW)
LOOKED_UP = "peak_lr."  # in these keys an experiment looks up its optimizer.lr, which is compared
_OVERRIDE = re.compile(r"(\+\+|\+|~)?(?P<key>[A-Za-z_][\w./@-]*)(=(?P<value>.*))?", re.DOTALL)
# Of a run folder: no key of Hydra's that moves a group elsewhere or names a file (with @ or /).
_PLAIN_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_PLAIN_VALUE = re.compile(r"[\w%.+ -]*")


def expand_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the command line with the overrides of the run that `resume=` or `fork=` names.

    Raises:
        ValueError: both are given, a sweep resumes, or the run's files cannot be used.
        FileNotFoundError: there is no such run folder.
    """
    first = next((i for i, word in enumerate(arguments) if is_override(word)), len(arguments))
    found = {key_of(word): value_of(word) for word in arguments[first:] if is_override(word)}
    names = [key for key in ("resume", "fork") if found.get(key, "null") not in ("null", "")]
    if not names:
        return list(arguments)
    if len(names) == 2:
        raise ValueError("resume and fork exclude each other: give one of them.")
    folder = Path(found[names[0]]).expanduser().absolute()
    saved = read_overrides(folder)
    read_run_config(folder)  # refuses one of an older version, whose keys Hydra does not know
    given = [word for word in arguments[first:] if key_of(word) != names[0]]
    given.append(f"{names[0]}={quote(folder)}")
    if names == ["resume"]:
        if wants_sweep(arguments):
            raise ValueError("resume continues one run in its folder: leave out --multirun.")
        given += [f"hydra.run.dir={quote(folder)}", "hydra.output_subdir=null"]
    else:
        saved = [word for word in saved if key_of(word) not in ("fork", "fork_at")]
    return [*arguments[:first], *without_replaced(saved, given), *given]


def without_replaced(saved: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the saved overrides that no given one replaces, by its key or its group's choice."""
    chosen = {key for word in given if (key := key_of(word)) in GROUPS}
    again = {word.partition("=")[0] for word in given}
    return [
        word
        for word in saved
        if re.split("[.@]", key_of(word) or "")[0] not in chosen
        and word.partition("=")[0] not in again
    ]


def is_override(word: str) -> bool:
    """Return whether an argument is an override, and not an option or an option's value."""
    return "=" in word and key_of(word) is not None


def key_of(word: str) -> str | None:
    """Return the key of an override: `scheduler.gamma` of `++scheduler.gamma=0.5`."""
    match = _OVERRIDE.fullmatch(word)
    return match["key"] if match else None


def value_of(word: str) -> str:
    """Return the value of an override, without the quotes around it."""
    value = word.partition("=")[2]
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def quote(folder: Path) -> str:
    """Return a path as an override's value: in quotes, as Hydra's grammar wants it."""
    return "'" + str(folder).replace("\\", "\\\\").replace("'", "\\'") + "'"


def read_overrides(folder: Path, checked: bool = True) -> list[str]:
    """Return the overrides with which a run was started, without those about that command alone.

    Raises:
        FileNotFoundError: there is no such run folder.
        ValueError: the file is damaged or, if the overrides are `checked` to be composed again,
            holds what no run writes: settings of Hydra itself, which may call anything.
    """
    path = folder / ".hydra" / "overrides.yaml"
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no run folder {folder}.")
    if not path.is_file():
        return []
    with open_yaml(path, "the list of a run's overrides") as text:
        words = yaml.safe_load(text)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("it is not a list of texts")
        words = [word for word in words if key_of(word) not in ("resume", "allow_targets")]
        if checked:
            check_overrides(words)
    return words


def check_overrides(words: Sequence[str]) -> None:
    """Refuse a run's overrides that Hydra would take for more than values of the run's keys.

    Hydra finds `scheduler=../../outputs/x/y` outside conf/, and a file there that begins with
    `# @package hydra.callbacks` names code that it calls before any config can be looked at.

    Raises:
        ValueError: names the first one that is refused.
    """
    check_interpolations(words)
    for word in words:
        match = _OVERRIDE.fullmatch(word)
        key, value = (match["key"], match["value"] or "") if match else ("", "")
        if not _PLAIN_KEY.fullmatch(key) or key.split(".")[0] == "hydra":
            raise ValueError(f"{word!r:.80} is no key of a run")
        # The choice of a group, a number or a word; `seed` is even part of a folder's name.
        if "." not in key and key != "fork" and not _PLAIN_VALUE.fullmatch(value):
            raise ValueError(f"{word!r:.80} is no plain word or number")
        if max(accumulate((c in "[{(") - (c in ")}]") for c in f" {value}")) > MAX_DEPTH:
            raise ValueError(f"{word!r:.80} is nested more than {MAX_DEPTH} deep")


def differences(before: DictConfig, now: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield each key whose value differs, with the value of a run and the one asked for."""
    has, asked = flatten(plain(before)), flatten(plain(now))
    for key in sorted(has.keys() | asked.keys()):
        if has.get(key) != asked.get(key) and not key.startswith(LOOKED_UP):
            yield key, has.get(key, "no such key"), asked.get(key, "none")


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config's values, without the keys that are about one command."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    return {key: value for key, value in values.items() if key not in ABOUT_THIS_COMMAND}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested config as {"optimizer.lr": 0.1, ...}."""
    if not isinstance(tree, dict) or (prefix and not tree):
        return {prefix[:-1]: tree}
    parts = [flatten(value, f"{prefix}{key}.") for key, value in tree.items()]
    return {key: value for part in parts for key, value in part.items()}


def wants_sweep(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for a sweep."""
    return bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
