"""The guide to the schedules tells the truth: formulas, arguments, numbers, commands, links."""

import inspect
import pkgutil
import re
import shlex
from bisect import bisect_right
from dataclasses import dataclass
from math import ceil, cos, inf, pi, sqrt, tanh
from pathlib import Path
from types import SimpleNamespace

import oneflow as flow
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from runs.build import base_lrs, build_horizon
from schedulers import Horizon, build_scheduler, made_up_metrics, to_steps, trace_lr
from schedulers.durations import to_step_factor
from schedulers.lint import lint_trace
from tests.conftest import ROOT

DOCS = ROOT / "docs"
GUIDES = [DOCS / "schedules.md", DOCS / "schedules.zh-CN.md"]
PAGES = [*GUIDES, DOCS / "add-your-own.md"]
YAMLS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("conf/scheduler/*.yaml")}
PICTURES = DOCS / "schedules"
SURPRISES = ROOT / "tests/schedulers/test_surprises.py"
GALLERY_BYTES = 6_000_000

LABELS = dict(zip(GUIDES, (("When", "Trap", "Paper"), ("何时用", "陷阱", "论文")), strict=True))
NO_PAPER = ("no paper", "无论文")


@dataclass(frozen=True)
class Entry:
    """What the guide says of one schedule."""

    text: str

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.S | re.M)

    @property
    def formula(self) -> str:
        (block,) = self.blocks("python")
        return block

    @property
    def commands(self) -> list[str]:
        return "".join(self.blocks("bash")).splitlines()

    @property
    def arguments(self) -> dict[str, list[str]]:
        rows = rows_of(self.text)
        return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}

    @property
    def pictures(self) -> list[str]:
        return re.findall(r'<img src="schedules/([^"]+)"', self.text)


def rows_of(text: str) -> list[list[str]]:
    """The cells of all tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def read_entries(path: Path) -> dict[str, Entry]:
    """The entries by name, in the page's order."""
    sections = re.split(r"^(#{2,3}) (.+)\n", path.read_text(), flags=re.M)[1:]
    parts = zip(sections[::3], sections[1::3], sections[2::3], strict=True)
    return {title: Entry(text) for marks, title, text in parts if marks == "###"}


ENGLISH, CHINESE = (read_entries(path) for path in GUIDES)
each_guide = pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
each_entry = pytest.mark.parametrize("name", list(ENGLISH))


def compose_command(line: str):
    """The configuration that a `python train.py` or `python -m scripts.preview` line composes."""
    python, *words = shlex.split(line)
    assert python == "python"
    preview = words[:2] == ["-m", "scripts.preview"]
    assert preview or words[0] == "train.py"
    overrides = words[2:] if preview else words[1:]
    with initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        return compose("preview" if preview else "config", overrides)


# --- the guide ----------------------------------------------------------------------------------


@each_guide
def test_every_yaml_has_an_entry_and_a_line_in_the_overview(path):
    entries = read_entries(path)
    assert sorted(entries) == sorted(YAMLS)
    overview = [row[1] for row in rows_of(path.read_text()) if row[0].startswith("[<img")]
    assert overview == [f"[`{name}`](#{name})" for name in entries]
    upstream = [name for name in entries if YAMLS[name]["_target_"].startswith("oneflow.")]
    assert list(entries)[:14] == upstream[:14]
    assert len({YAMLS[name]["_target_"] for name in upstream[:14]}) == 14


def test_both_languages_show_the_same():
    assert list(ENGLISH) == list(CHINESE)
    for name, entry in ENGLISH.items():
        other = CHINESE[name]
        assert (entry.formula, entry.commands) == (other.formula, other.commands)
        assert entry.pictures == other.pictures == [f"{name}.png", f"{name}.gif"]
        assert list(entry.arguments) == list(other.arguments)
        assert set(links(entry.text)) == set(links(other.text))
    first, second = (path.read_text() for path in GUIDES)
    assert Entry(first).commands == Entry(second).commands
    assert figures(first) == figures(second)
    assert re.findall(r"`test_\w+`", first) == re.findall(r"`test_\w+`", second)


@each_guide
@each_entry
def test_an_entry_is_complete(path, name):
    entry = read_entries(path)[name]
    assert entry.commands[0].startswith(f"python train.py scheduler={name}")
    assert f"`{YAMLS[name]['_target_'].rpartition('.')[2]}`" in entry.text.replace("[`", "`")
    when, trap, paper = (
        re.search(rf"^- \*\*{label}\*\*(.*(?:\n  .*)*)", entry.text, re.M)[1]
        for label in LABELS[path]
    )
    assert len(when) > 10 and len(trap) > 10
    assert re.search(r"\b(19|20)\d\d\b", paper) or any(words in paper for words in NO_PAPER)


def leaves(node: dict, prefix: str = ""):
    """The arguments of a node and its children: dotted key, value, default of the class."""
    parameters = inspect.signature(pkgutil.resolve_name(node["_target_"])).parameters
    for name, value in node.items():
        if name.startswith("_"):
            continue
        members = value if isinstance(value, list) else [value]
        nested = [member for member in members if isinstance(member, dict)]
        yield prefix + name, None if nested else value, parameters[name].default, bool(nested)
        for index, child in enumerate(nested):
            place = f"{name}.{index}" if isinstance(value, list) else name
            yield from leaves(child, f"{prefix}{place}.")


@pytest.mark.parametrize("guide", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@each_entry
def test_the_arguments_are_those_of_the_yaml_and_the_class(guide, name):
    rows, found = guide[name].arguments, list(leaves(YAMLS[name]))
    assert list(rows) == [key for key, *_ in found]
    for key, value, default, nested in found:
        here, documented, meaning = rows[key]
        assert nested or yaml.safe_load(here.strip("`")) == value
        documented = documented.strip("`").replace("1/3", repr(1 / 3))
        required = default is inspect.Parameter.empty
        assert documented == "—" if required else yaml.safe_load(documented) == default
        assert meaning
    target = pkgutil.resolve_name(YAMLS[name]["_target_"])
    hidden = {"optimizer", "last_step", "verbose"}
    assert set(inspect.signature(target).parameters) - hidden == set(YAMLS[name]) - {"_target_"}


@each_guide
def test_the_pictures_are_there_and_small(path):
    named = {picture for entry in read_entries(path).values() for picture in entry.pictures}
    present = {picture.name: picture.stat().st_size for picture in PICTURES.iterdir()}
    assert set(present) == named  # `python -m scripts.preview preview.gallery=true` draws them
    assert sum(present.values()) < GALLERY_BYTES


def figures(text: str) -> dict[str, list[str]]:
    """The rows of the table of numbers, by name."""
    rows = [row for row in rows_of(text) if len(row) == 9 and row[0].startswith("[")]
    return {re.search(r"`(\w+)`", row[0])[1]: row[1:] for row in rows}


def test_the_numbers_are_those_of_the_schedules():
    horizon = Horizon(10560, 352)
    assert build_horizon(compose_command("python train.py")) == horizon
    told = figures(GUIDES[0].read_text())
    assert list(told) == list(ENGLISH)
    for name, cells in told.items():
        plateau = name == "reduce_on_plateau"
        metrics = made_up_metrics("min", 10560, 352) if plateau else None
        rates = trace_lr(YAMLS[name], [0.1], horizon, metrics)[0]
        seen = [rates[step] for step in (0, 1056, 2640, 5280, 7920, 9504, 10559)]
        mean = f"{sum(rates) / 1056:.0%}".replace("%", " %")
        assert cells == [*(f"{rate:.3g}" for rate in seen), mean], name


@each_guide
def test_the_surprises_are_shown_by_tests(path):
    tests = set(re.findall(r"(?m)^def (test_\w+)", SURPRISES.read_text()))
    named = set(re.findall(r"`(test_\w+)`", path.read_text()))
    assert len(named) > 20 and named <= tests
    rows = [row for row in rows_of(path.read_text()) if "<br>`test_" in row[0]]
    assert len(rows) > 15 and all(len(row) == 2 and all(row) for row in rows)


# --- formulas -----------------------------------------------------------------------------------

FUNCTIONS = (bisect_right, ceil, cos, sqrt, tanh)
MATH = {"pi": pi} | {function.__name__: function for function in FUNCTIONS}
SHORT = 20  # steps of an epoch where formulas are checked


def in_steps(value, horizon: Horizon):
    """An argument as a formula sees it: lengths in steps, rates per step, nodes by attribute."""
    if isinstance(value, dict):
        kept = {key: in_steps(child, horizon) for key, child in value.items() if key[0] != "_"}
        return SimpleNamespace(**kept)
    if isinstance(value, list):
        return [in_steps(child, horizon) for child in value]
    if isinstance(value, str) and "/" in value:
        return to_step_factor(value, horizon, "")
    try:
        return to_steps(value, horizon, "") if isinstance(value, str) else value
    except ValueError:
        return value  # a word, as `linear`


def nodes_of(name: str):
    """The YAML's node and those of the entry's commands, each with base rate and run."""
    yield YAMLS[name], 0.1, Horizon(30 * SHORT, SHORT)
    for line in ENGLISH[name].commands:
        if "scheduler._target_" not in line:
            config = compose_command(line)
            node = OmegaConf.to_container(config.scheduler, resolve=True)
            yield node, config.optimizer.lr, Horizon(config.epochs * SHORT, SHORT)


@pytest.mark.parametrize("name", [name for name in ENGLISH if name != "reduce_on_plateau"])
def test_the_formula_is_the_schedule_to_beyond_the_end(name):
    code = compile(ENGLISH[name].formula, name, "exec")
    for node, base_lr, horizon in nodes_of(name):
        groups = [{"params": [flow.zeros(1)], "lr": lr} for lr in (base_lr, base_lr / 5)]
        scheduler = build_scheduler(node, flow.optim.SGD(groups, lr=0.0), horizon)
        arguments = vars(in_steps(node, horizon))
        for step in range(horizon.total_steps * 5 // 4):
            for group in scheduler.optimizer.param_groups:
                scope = MATH | arguments | {"t": step, "B": group["initial_lr"]}
                exec(code, scope)
                assert group["lr"] == pytest.approx(scope["lr"], rel=1e-12, abs=1e-15), (node, step)
            scheduler.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_the_lines_of_plateau_are_the_schedule(mode, threshold_mode):
    node = YAMLS["reduce_on_plateau"] | {"mode": mode, "threshold_mode": threshold_mode}
    node |= {"cooldown": 1, "patience": 1, "threshold": 0.05}
    values = [1, 0.97, 0.98, 0.9, 0.91, 0.92, 0.93, 1.2, 1.1, 0.5, 0.5, *[0.5] * 20]
    metrics = dict(enumerate(values, start=1))
    rates = trace_lr(node, [0.1], Horizon(len(values) + 1, 1), metrics)[0]
    scope = node | {"lr": 0.1, "best": inf if mode == "min" else -inf, "bad": 0, "cooling": 0}
    for evaluation, metric in metrics.items():
        exec(ENGLISH["reduce_on_plateau"].formula, scope | {"metric": metric}, state := {})
        scope |= state
        assert rates[evaluation] == pytest.approx(scope["lr"], rel=1e-12)
    assert rates[-1] == node["min_lr"]


# --- commands and links -------------------------------------------------------------------------


@pytest.mark.parametrize("line", Entry(GUIDES[0].read_text()).commands)
def test_a_command_works_and_trips_no_warning(line):
    config = compose_command(line)
    horizon, base = build_horizon(config), base_lrs(config)
    trace = trace_lr(config.scheduler, base, horizon)
    assert len(trace[0]) == horizon.total_steps
    assert lint_trace(config.scheduler, base, horizon, trace) == []
    assert set(config.get("preview", {}).get("compare") or []) <= set(YAMLS)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)


def anchors(path: Path) -> set[str]:
    """GitHub's anchors of a page's headings: lower case, hyphens for spaces."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_links_lead_somewhere(path):
    inside = [link for link in links(path.read_text()) if "://" not in link]
    assert inside
    for link in inside:
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
