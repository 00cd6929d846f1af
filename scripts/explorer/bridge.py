"""Between a schedule on a page and the line that trains it: commands, YAML, addresses, traces.

What is pasted, or stands in a shared link, comes from strangers. It is read by parsers that call
nothing; sizes and nesting are bounded; a `_target_` may name only schedulers of OneFlow and of this
project and the functions beside these; `${...}` is refused, and so is every key of a command line
that has no part in the curve. SECURITY.md lists it.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from runs.config import check_structure
from scripts.explorer.node import check_node, same, to_hydra
from scripts.explorer.setups import RUN_FIELDS, TRAIN_SIZE, Setup, check_setup, shipped

MAX_TEXT = 4_000  # characters of a pasted command line or YAML; a shipped scheduler has 200 to 900
MAX_DEPTH = 12  # of the brackets in a word of a command line
MAX_SETUPS = 8  # in one address
MAX_ADDRESS = 6_000  # characters of all its values; browsers and servers take at least 8,000


def write_command(setup: Setup) -> str:
    """Return the command that trains exactly this, quoted for a shell, without defaults.

    Raises:
        ValueError: no run could be started from the setup.
    """
    return f"python train.py {write_overrides(setup)}"


def write_overrides(setup: Setup) -> str:
    """Return the words of `write_command` after `python train.py`."""
    check_setup(setup)
    words = [f"scheduler={setup.name}", *_changes("scheduler", shipped(setup.name), setup.node)]
    defaults = Setup(setup.name, {})
    for key, field in RUN_FIELDS.items():
        value = getattr(setup, field)
        if value != getattr(defaults, field):
            words.append(f"{key}={to_hydra(value)}")
    return shlex.join(words)


def _changes(key: str, old: Any, new: Any) -> list[str]:
    """Return the overrides that make `new` of what stands at `key`, in the order that works."""
    if same(old, new):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        words = [word for name in old if name not in new for word in _removal(key, name, old)]
        for name, value in new.items():
            if name in old:
                words += _changes(f"{key}.{name}", old[name], value)
            else:
                words.append(f"+{key}.{name}={to_hydra(value)}")
        return words
    whole = [f"{key}={to_hydra(new)}"]
    if isinstance(old, dict | list) and isinstance(new, dict | list) and type(old) is not type(new):
        return [f"~{key}", f"+{whole[0]}"]  # Hydra would try to merge the two
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = list(zip(old, new, strict=True))
        if all(same(a, b) or (isinstance(a, dict) and isinstance(b, dict)) for a, b in pairs):
            single = [w for i, pair in enumerate(pairs) for w in _changes(f"{key}.{i}", *pair)]
            return min(single, whole, key=lambda words: len(" ".join(words)))
    return whole


def _removal(key: str, name: str, old: Mapping[str, Any]) -> list[str]:
    # Hydra takes a null for a key that is not there, and will not delete it.
    first = [f"{key}.{name}=0"] if old[name] is None else []
    return [*first, f"~{key}.{name}"]


def read_command(text: str) -> Setup:
    """Return the setup that a pasted command line describes.

    With or without `python train.py` (or `python -m scripts.preview`, or `make train ARGS='...'`)
    before it. A key that has no part in the curve is refused: the line that is written back would
    not have it.

    Raises:
        ValueError: one sentence that names the word and what is accepted.
    """
    overrides = _parse_overrides(_split_command(text))
    chosen = [override for override in overrides if override.key_or_group == "scheduler"]
    if len(chosen) > 1:
        raise ValueError("scheduler= is given more than once.")
    name = chosen[0].value() if chosen else "none"
    if not isinstance(name, str) or (chosen and chosen[0].type is not OverrideType.CHANGE):
        raise ValueError(f"{chosen[0].input_line!r:.80}: give scheduler=NAME.")
    given = Setup(name, shipped(name))
    overrides = [override for override in overrides if override not in chosen]
    return check_setup(_apply(overrides, given))


def _split_command(text: str) -> list[str]:
    if len(text) > MAX_TEXT:
        raise ValueError(f"The command line has more than {MAX_TEXT} characters.")
    text = text.replace("\\\r\n", " ").replace("\\\n", " ").strip().removeprefix("$ ")
    try:
        words = shlex.split(text)
        if words[:2] == ["make", "train"]:
            words = shlex.split(" ".join(word.removeprefix("ARGS=") for word in words[2:]))
    except ValueError as error:
        raise ValueError(f"The command line cannot be taken apart: {error}.") from error
    for program in (["train.py"], ["-m", "scripts.preview"]):
        start = len(program) + 1
        if words[:1] and words[0].rpartition("/")[2].startswith("python"):
            words = words[start:] if words[1:start] == program else words
    return words


def _parse_overrides(words: Sequence[str]) -> list[Override]:
    """Return the words as Hydra reads them; refuse those that do not decide a curve."""
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key not in ("scheduler", *RUN_FIELDS) and not key.startswith("scheduler."):
            raise ValueError(
                f"{word!r:.80} does not decide the curve: give scheduler=NAME, scheduler.*, "
                f"{', '.join(RUN_FIELDS)}, and leave the rest out."
            )
        _check_text(word)
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
        swept = [override for override in overrides if override.is_sweep_override()]
    except Exception as error:  # ANTLR fails in many ways; all mean the same
        raise ValueError(f"The command line is not Hydra's: {_one_line(error)}") from error
    if swept:
        raise ValueError(f"{swept[0].input_line!r:.80} is a sweep: give one value.")
    return overrides


def _check_text(text: str) -> None:
    depths = accumulate((c in "[{(") - (c in ")}]") for c in f" {text}")
    if max(depths) > MAX_DEPTH:
        raise ValueError(f"{text!r:.80} is nested more than {MAX_DEPTH} deep.")
    if "${" in text:
        raise ValueError(f"{text!r:.80}: interpolations (${{...}}) are not accepted.")


def _to_plain(config: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=False)
    return plain


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).partition(" See https")[0] or type(error).__name__
    return f"{text:.300}"


def _apply(overrides: list[Override], setup: Setup) -> Setup:
    """Return the setup after the overrides, applied by the function with which Hydra composes.

    It is a private one (of the Hydra that is locked); composing in full would read files that the
    overrides choose, and change state that all visitors share.
    """
    config = OmegaConf.create({"scheduler": setup.node})
    for key, field in RUN_FIELDS.items():
        OmegaConf.update(config, key, getattr(setup, field))
    OmegaConf.set_struct(config, True)
    try:
        ConfigLoaderImpl._apply_overrides_to_config(overrides, config)
        fields = {field: OmegaConf.select(config, key) for key, field in RUN_FIELDS.items()}
        if not isinstance(config.scheduler, DictConfig):
            raise ValueError("scheduler is no mapping")
        node = _to_plain(config.scheduler)
    except Exception as error:  # OmegaConf has a dozen kinds; all mean the same
        raise ValueError(f"The command line cannot be followed: {_one_line(error)}") from error
    if fields["train_size"] is None:  # as in conf/dataset: all that val_size leaves
        fields["train_size"] = TRAIN_SIZE
    return replace(setup, node=node, **fields)


def write_yaml(setup: Setup) -> str:
    """Return the text of a YAML file that can be saved in conf/scheduler.

    Raises:
        ValueError: no run could be started from the setup.
    """
    check_setup(setup)
    head = (
        f"# From conf/scheduler/{setup.name}.yaml, changed. Save it as conf/scheduler/MINE.yaml:\n"
        "# python train.py scheduler=MINE\n"
    )
    return head + OmegaConf.to_yaml(OmegaConf.create(setup.node))


def read_yaml(text: str) -> dict[str, Any]:
    """Return the scheduler node in a pasted YAML.

    Raises:
        ValueError: one sentence that names what is wrong and what is accepted.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"The YAML has more than {MAX_TEXT} characters.")
    try:
        check_structure(text, len(text.encode()))
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise ValueError("it is a list")
        node = _to_plain(config)
    except Exception as error:  # damaged YAML fails in a dozen ways; all mean the same
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            error = ValueError(f"line {error.problem_mark.line + 1}: {error.problem}")
        raise ValueError(f"This is not the YAML of a schedule: {_one_line(error)}.") from error
    return check_node(node)


def write_state(setups: Sequence[Setup], view: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of an address: `s0`, `s1`, ... are command lines, the rest is the view.

    Raises:
        ValueError: more curves or text than an address should hold.
    """
    if len(setups) > MAX_SETUPS:
        raise ValueError(f"{len(setups)} schedules: a link holds at most {MAX_SETUPS}.")
    state = {f"s{index}": write_overrides(setup) for index, setup in enumerate(setups)} | dict(view)
    if sum(map(len, state.values())) > MAX_ADDRESS:
        raise ValueError(f"A link holds at most {MAX_ADDRESS} characters: share the YAML instead.")
    return state


def read_state(params: Mapping[str, str]) -> tuple[list[Setup], dict[str, str]]:
    """Return the curves and the view that an address holds.

    Raises:
        ValueError: one sentence that names the parameter.
    """
    if len(params) > 40 or not all(isinstance(text, str) for text in params.values()):
        raise ValueError("The address has too many parameters, or one of them twice.")
    if sum(len(name) + len(text) for name, text in params.items()) > 2 * MAX_ADDRESS:
        raise ValueError(f"The address is longer than {2 * MAX_ADDRESS} characters.")
    setups, view = [], dict(params)
    for index in range(MAX_SETUPS):
        if (text := view.pop(f"s{index}", None)) is not None:
            try:
                setups.append(read_command(text))
            except ValueError as error:
                raise ValueError(f"In the address, s{index}: {error}") from error
    return setups, view
