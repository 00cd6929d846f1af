"""The guide to the schedules is true: its arguments, formulas, numbers, commands and pictures."""

import inspect
import pkgutil
import re
from bisect import bisect_right
from math import ceil, cos, inf, isclose, pi, sqrt, tanh
from pathlib import Path
from types import SimpleNamespace

import oneflow as flow
import pytest
import yaml
from omegaconf import OmegaConf

from runs.build import base_lrs, build_horizon
from schedulers import Horizon, build_scheduler, made_up_metrics, to_steps, trace_lr
from schedulers.durations import to_step_factor
from schedulers.lint import lint_trace
from tests.conftest import ROOT
from tests.house.test_readme import blocks, commands, compose_line, links

DOCS = ROOT / "docs"
GUIDES = {
    DOCS / "schedules.md": ("When", "Trap", "Paper"),
    DOCS / "schedules.zh-CN.md": ("何时用", "陷阱", "论文"),
}
YAMLS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("conf/scheduler/*.yaml")}
GALLERY_BYTES = 6_000_000


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def read_entries(path: Path) -> dict[str, str]:
    """Return the guide's section on each schedule."""
    sections = re.split(r"^(#{2,3}) (.+)\n", path.read_text(), flags=re.M)[1:]
    parts = zip(sections[::3], sections[1::3], sections[2::3], strict=True)
    return {title: text for marks, title, text in parts if marks == "###"}


def formula_of(text: str) -> str:
    (block,) = blocks(text, "python")
    return block


def pictures_of(text: str) -> list[str]:
    return re.findall(r'<img src="schedules/([^"]+)"', text)


def figures(text: str) -> dict[str, list[str]]:
    """Return the rows of the table of numbers, by name."""
    rows = [row for row in rows_of(text) if len(row) == 9 and row[0].startswith("[")]
    return {re.search(r"`(\w+)`", row[0])[1]: row[1:] for row in rows}


ENGLISH, CHINESE = (read_entries(path) for path in GUIDES)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_yaml_has_a_whole_entry_and_a_line_in_the_overview(path):
    entries, rows = read_entries(path), rows_of(path.read_text())
    assert sorted(entries) == sorted(YAMLS)
    overview = [row[1] for row in rows if row[0].startswith("[<img")]
    assert overview == [f"[`{name}`](#{name})" for name in entries]
    oneflows = {YAMLS[name]["_target_"] for name in list(entries)[:14]}
    assert len(oneflows) == 14 and all(name.startswith("oneflow.") for name in oneflows)
    for name, entry in entries.items():
        assert commands(entry)[0].startswith(f"python train.py scheduler={name}")
        assert f"`{YAMLS[name]['_target_'].rpartition('.')[2]}`" in entry.replace("[`", "`")
        when, trap, paper = (
            re.search(rf"^- \*\*{label}\*\*(.*(?:\n  .*)*)", entry, re.M)[1]
            for label in GUIDES[path]
        )
        assert len(when) > 10 and len(trap) > 10
        assert re.search(r"\b(19|20)\d\d\b|no paper|无论文", paper), name


def test_both_languages_show_the_same():
    assert list(ENGLISH) == list(CHINESE)
    for name, entry in ENGLISH.items():
        other = CHINESE[name]
        assert formula_of(entry) == formula_of(other)
        assert pictures_of(entry) == pictures_of(other) == [f"{name}.png", f"{name}.gif"]
        assert set(links(entry)) == set(links(other))
    texts = [path.read_text() for path in GUIDES]
    for read in (commands, figures, lambda text: re.findall(r"`test_\w+`", text)):
        assert read(texts[0]) == read(texts[1])


def leaves(node: dict, prefix: str = ""):
    """Yield (dotted key, value, default of the class, whether nested) of a node's arguments."""
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


@pytest.mark.parametrize("name", ENGLISH)
def test_the_arguments_are_those_of_the_yaml_and_the_class(name):
    for guide in (ENGLISH, CHINESE):
        rows = [row for row in rows_of(guide[name]) if row[0].startswith("`")]
        for row, leaf in zip(rows, leaves(YAMLS[name]), strict=True):
            (documented_key, here, documented, meaning), (key, value, default, nested) = row, leaf
            assert documented_key == f"`{key}`" and meaning
            assert nested or yaml.safe_load(here.strip("`")) == value
            documented = documented.strip("`").replace("1/3", repr(1 / 3))
            required = default is inspect.Parameter.empty
            assert documented == "—" if required else yaml.safe_load(documented) == default
    parameters = set(inspect.signature(pkgutil.resolve_name(YAMLS[name]["_target_"])).parameters)
    assert parameters - {"optimizer", "last_step", "verbose"} == set(YAMLS[name]) - {"_target_"}


def test_the_pictures_are_there_and_small():
    present = {path.name: path.stat().st_size for path in (DOCS / "schedules").iterdir()}
    assert set(present) == set(pictures_of("".join(ENGLISH.values())))
    assert sum(present.values()) < GALLERY_BYTES


def test_the_numbers_are_those_of_the_schedules():
    horizon, shown = Horizon(10560, 352), figures((DOCS / "schedules.md").read_text())
    assert build_horizon(compose_line("python train.py")) == horizon
    assert list(shown) == list(ENGLISH)
    for name, cells in shown.items():
        plateau = name == "reduce_on_plateau"
        metrics = made_up_metrics("min", 10560, 352) if plateau else None
        trace = trace_lr(YAMLS[name], [0.1], horizon, metrics)[0]
        seen = [trace[step] for step in (0, 1056, 2640, 5280, 7920, 9504, 10559)]
        mean = f"{sum(trace) / 1056:.0%}".replace("%", " %")
        assert cells == [*(f"{rate:.3g}" for rate in seen), mean], name


def test_the_surprises_are_shown_by_tests():
    files = (ROOT / "tests/schedulers").glob("test_*.py")
    tests = set(re.findall(r"(?m)^def (test_\w+)", "".join(path.read_text() for path in files)))
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "schedules.md").read_text()))
    assert len(named) > 20 and named - tests == set()


# --- formulas ---------------------------------------------------------------------------------

MATH = {"pi": pi} | {each.__name__: each for each in (bisect_right, ceil, cos, sqrt, tanh)}
SHORT = 20  # steps of an epoch where formulas are checked


def in_steps(value, horizon: Horizon):
    """Return an argument as a formula reads it: durations in steps, factors per step."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: in_steps(value[key], horizon) for key in value})
    if isinstance(value, list):
        return [in_steps(child, horizon) for child in value]
    if isinstance(value, str) and "/" in value:
        return to_step_factor(value, horizon, "")
    try:
        return to_steps(value, horizon, "") if isinstance(value, str) else value
    except ValueError:
        return value  # a word, as `linear`


def nodes_of(name: str):
    """Yield the YAML's node and those of the entry's commands, with base lr and horizon."""
    yield YAMLS[name], 0.1, Horizon(30 * SHORT, SHORT)
    for line in commands(ENGLISH[name]):
        if "scheduler._target_" not in line:
            config = compose_line(line)
            node = OmegaConf.to_container(config.scheduler, resolve=True)
            yield node, config.optimizer.lr, Horizon(config.epochs * SHORT, SHORT)


@pytest.mark.parametrize("name", [name for name in ENGLISH if name != "reduce_on_plateau"])
def test_the_formula_is_the_schedule_to_beyond_the_end(name):
    code = compile(formula_of(ENGLISH[name]), name, "exec")
    for node, base_lr, horizon in nodes_of(name):
        groups = [{"params": [flow.zeros(1)], "lr": lr} for lr in (base_lr, base_lr / 5)]
        scheduler = build_scheduler(node, flow.optim.SGD(groups, lr=0.0), horizon)
        scope = MATH | vars(in_steps(node, horizon))
        for step in range(horizon.total_steps * 5 // 4):
            for group in scheduler.optimizer.param_groups:
                scope |= {"t": step, "B": group["initial_lr"]}
                exec(code, scope)
                assert isclose(group["lr"], scope["lr"], rel_tol=1e-12, abs_tol=1e-15), (node, step)
            scheduler.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_the_lines_of_plateau_are_the_schedule(mode, threshold_mode):
    node = YAMLS["reduce_on_plateau"] | {"mode": mode, "threshold_mode": threshold_mode}
    node |= {"cooldown": 1, "patience": 1, "threshold": 0.05}
    values = [1, 0.97, 0.98, 0.9, 0.91, 0.92, 0.93, 1.2, 1.1, 0.5, 0.5, *[0.5] * 20]
    metrics = dict(enumerate(values, start=1))
    trace = trace_lr(node, [0.1], Horizon(len(values) + 1, 1), metrics)[0]
    scope = node | {"lr": 0.1, "best": inf if mode == "min" else -inf, "bad": 0, "cooling": 0}
    for evaluation, metric in metrics.items():
        exec(formula_of(ENGLISH["reduce_on_plateau"]), scope | {"metric": metric}, state := {})
        scope |= state
        assert trace[evaluation] == pytest.approx(scope["lr"], rel=1e-12)
    assert trace[-1] == node["min_lr"]


def test_the_commands_work_and_trip_no_warning():
    for line in (line for entry in ENGLISH.values() for line in commands(entry)):
        config = compose_line(line)
        horizon, base = build_horizon(config), base_lrs(config)
        trace = trace_lr(config.scheduler, base, horizon)
        assert len(trace[0]) == horizon.total_steps
        assert lint_trace(config.scheduler, base, horizon, trace) == [], line
