"""Say what is right on this machine, and where it is not, what to type.

    python -m scripts.doctor                                  # or: make doctor
    python -m scripts.doctor dataset=cifar10 dataset.root=/data device=cuda

Takes the keys of a run, and then looks at what that run needs. Any Python from 3.8 on will do: it
needs no package until it starts OneFlow, in a process of its own, by the code that a training
starts with (scripts/doctor_inside.py). So what it finds is what the training would stop at.

Exit code 1 if something must be mended; 0 if all is well or only what is optional is missing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (3, 10)
WIDTH = 80
START = "OneFlow starts"
SETUP = "make clean setup"
ROOM = 10**9  # bytes: the data set and its decoded form take 0.35 GB, a run some megabytes
SETUP_ROOM = 5 * 10**9
ELSEWHERE = "OneFlow 0.9.0 is for Linux on x86-64 with glibc (see docs/faq.md for other systems)"
SECONDS = 300  # until a start that says nothing is given up


class Finding(NamedTuple):
    """One line of the report."""

    status: str  # "ok" | "mend" | "note" (optional, or not checked)
    name: str
    text: str
    line: str = ""  # what to type


def load_alone(path: str) -> ModuleType:
    """A module of this project without its package, whose import would bring OneFlow."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


machine = load_alone("engine/process/machine.py")
files = load_alone("common/files.py")


# --- what needs no package --------------------------------------------------------------------


def check_system(system: str, architecture: str, libc: tuple[str, str]) -> Finding:
    """OneFlow's wheels are for Linux on x86-64 with glibc."""
    here = f"{system} {architecture}, {' '.join(libc).strip() or 'no glibc'}"
    if (system, architecture) == ("Linux", "x86_64") and libc[0] == "glibc":
        return Finding("ok", "system", here)
    return Finding("mend", "system", f"{here}: {ELSEWHERE}")


def check_python(version: tuple[int, ...], executable: str) -> Finding:
    """This project is for Python 3.10, and its environment is `.venv`."""
    here = f"{'.'.join(str(part) for part in version[:3])} ({shorten_path(executable)})"
    if version[:2] == PYTHON:
        return Finding("ok", "python", here)
    what = f"{here}: this project needs 3.10, the newest that OneFlow 0.9.0 has a wheel for"
    return Finding("mend", "python", what, environment_line())


def environment_line() -> str:
    """What to type where this is not the project's environment: it may be there all the same."""
    elsewhere = Path(sys.prefix) != ROOT / ".venv"
    return ".venv/bin/python -m scripts.doctor" if is_set_up() and elsewhere else SETUP


def training_line() -> str:
    """How to train with this Python. `make` would not use it unless `make` has set it up."""
    if is_set_up() and Path(sys.prefix) == ROOT / ".venv":
        return "make train"
    return f"{shorten_path(sys.executable)} train.py experiment=quickstart"


def is_set_up() -> bool:
    """Whether `make` has finished its environment."""
    return (ROOT / ".venv/.ready").is_file()


def shorten_path(path: str) -> str:
    """A path as one would type it from here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def check_packages() -> Iterator[Finding]:
    """The packages that OneFlow needs beside it, and all others of the lock."""
    for need in machine.NEEDS:
        version = machine.installed_version(need.package)
        problem = machine.package_problem(need, version)
        if version is None and need.package == "oneflow":
            yield Finding("mend", need.package, problem.sentence, environment_line())
            return
        if problem:
            yield Finding("mend", need.package, problem.sentence, problem.remedy)
        else:
            yield Finding("ok", need.package, version)
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s\\;]+)", (ROOT / "requirements.txt").read_text()))
    for need in machine.NEEDS:
        del pins[need.package]
    yield check_lock(pins, {name: machine.installed_version(name) for name in pins})


def check_lock(pins: dict[str, str], have: dict[str, str | None]) -> Finding:
    """Whether the installed versions of these packages are those of the lock."""
    lacking = [name for name in pins if have[name] is None]
    other = [f"{name} {have[name]} (not {pins[name]})" for name in pins if have[name] != pins[name]]
    if lacking:
        return Finding("mend", "other packages", f"not installed: {some(lacking)}", SETUP)
    if other:
        return Finding("note", "other packages", f"not as locked: {some(other)}")
    return Finding("ok", "other packages", f"{len(pins)}, as in requirements.txt")


def some(names: list[str]) -> str:
    """The first of many."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_folder(key: str, path: str, needed: int = ROOM) -> Finding:
    """Whether a folder may be written, and whether its disk has room."""
    folder = Path(path).expanduser()
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    room = f"{free / 1e9:.1f} GB free"
    name = key if key == path else f"{key}={path}"
    if not files.is_writable(folder.absolute()):
        if key == "outputs":
            text = f"{name} cannot be written: change its rights, or put runs elsewhere with"
            return Finding("mend", key, text, "hydra.run.dir=FOLDER")
        text = f"{name} cannot be written: fine where the images are there already"
        return Finding("note", key, text)
    if free < needed:
        return Finding("mend", key, f"{name}: only {room}, expected {needed / 1e9:.0f}: make room")
    return Finding("ok", key, f"{name} can be written, {room}")


def check_gpu(wanted: bool, seen: str | None = None) -> Finding:
    """Whether OneFlow can use the first GPU; it need not where `device=cuda` was not given.

    `seen` is what OneFlow itself says is wrong, where it could be asked.
    """
    problem = machine.cuda_problem() or seen
    if problem is None:
        return Finding("ok", "GPU", "the first one can be used")
    if wanted:
        return Finding("mend", "GPU", f"device=cuda cannot be used: {problem}")
    return Finding("note", "GPU", f"{problem}. Not needed: runs are made on the CPU then")


# --- all of it --------------------------------------------------------------------------------


def look_inside(words: list[str]) -> Iterator[Finding]:
    """Start OneFlow as a training does, in a process of its own, and hand on what it finds."""
    command = [sys.executable, "-m", "scripts.doctor_inside", *words]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        yield Finding("mend", START, f"OneFlow did not start within {SECONDS} s")
        return
    for line in done.stdout.splitlines():
        if line.startswith("["):
            yield Finding(*json.loads(line))
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        yield Finding("mend", START, f"the process was ended by {name}")
    elif done.returncode:
        told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Finding("mend", START, told.removeprefix("error: "))


def examine(words: list[str]) -> Iterator[Finding]:
    """Every finding, from what all else needs to what only this run needs."""
    settings = dict(word.partition("=")[::2] for word in words)
    yield check_system(platform.system(), platform.machine(), platform.libc_ver())
    python = check_python(sys.version_info, sys.executable)
    yield python
    packages = list(check_packages()) if python.status == "ok" else []
    yield from packages
    ready = any(finding == ("ok", "oneflow", finding.text, "") for finding in packages)
    yield check_folder("outputs", "outputs", ROOM if ready else SETUP_ROOM)
    if settings.get("dataset") != "synthetic":
        yield check_folder("dataset.root", settings.get("dataset.root", "datasets"))
    inside = list(look_inside(words)) if ready else []
    for finding in inside:
        told = any(package.status == "mend" for package in packages)
        brief = finding.text.partition("). ")[0] + "): see above" if told else finding.text
        failed = finding[:2] == ("mend", START)
        yield finding._replace(text=brief) if failed else finding
    if not any(finding.name == "GPU" for finding in inside):
        yield check_gpu(settings.get("device") == "cuda")
    if not ready:
        yield Finding("note", "data set", "not looked at: its reader needs the packages")


def show(finding: Finding) -> str:
    """A finding as lines of at most 80 letters; only what is to be typed may be longer."""
    status = "MEND" if finding.status == "mend" else finding.status
    indent = " " * 26
    head = f"{status:<6}{finding.name:<20}"
    lines = textwrap.wrap(
        head + finding.text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines + ([f"{indent}> {finding.line}"] if finding.line else []))


def main() -> None:
    """Print the findings and how many are to be mended."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__.strip())
        return
    os.chdir(ROOT)
    mend = 0
    for finding in examine(words):
        mend += finding.status == "mend"
        try:
            print(show(finding), flush=True)
        except BrokenPipeError:  # as in `... | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if mend:
        print(f"\n{mend} to mend, from the top: one cause often has several effects.")
        sys.exit(1)
    print(f"\nAll is well. Next: {training_line()}")


if __name__ == "__main__":
    main()
