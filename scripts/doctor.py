"""Check this machine, and where something is wrong, print the line to type.

    python -m scripts.doctor                                  # or: make doctor
    python -m scripts.doctor dataset=cifar10 dataset.root=/data device=cuda

Takes the keys of a run and checks what that run needs. Any Python from 3.8 on
will do: the first part needs no package. The second part starts OneFlow in
another process, by the code that a training starts with, so it fails where the
training would.

Exit code 1 if a check failed; 0 if all is well or only something optional is
missing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from common.files import is_writable

ROOT = Path(__file__).resolve().parent.parent
START = "OneFlow starts"
SETUP = "make clean setup"
ROOM = 10**9  # bytes: the data set and its decoded form take 0.35 GB, a run some megabytes
SETUP_ROOM = 5 * 10**9
PATIENCE = 300  # seconds after which a start is given up
FAST_KERNELS = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}  # AVX2 or more


# engine.process.machine, without its packages, whose import would need OneFlow
machine = SimpleNamespace(**runpy.run_path(str(ROOT / "engine/process/machine.py")))


class Finding(NamedTuple):
    """One line of the report."""

    status: str  # ok, FAIL, or note (optional, or not checked)
    name: str
    text: str
    line: str = ""  # what to type


def check_system(system: str, architecture: str, libc: tuple[str, str]) -> Finding:
    """Check the operating system: OneFlow's wheels are for Linux on x86-64 with glibc."""
    here = f"{system} {architecture}, {' '.join(libc).strip() or 'no glibc'}"
    if (system, architecture) == ("Linux", "x86_64") and libc[0] == "glibc":
        return Finding("ok", "system", here)
    expected = "OneFlow 0.9.0 needs Linux on x86-64 with glibc (docs/faq.md has other systems)"
    return Finding("FAIL", "system", f"{here}: {expected}")


def check_python(version: tuple[int, ...], executable: str) -> Finding:
    """Check that this is Python 3.10; name the environment that has it, if it exists."""
    here = f"{'.'.join(map(str, version[:3]))} ({shorten_path(executable)})"
    if version[:2] == (3, 10):
        return Finding("ok", "python", here)
    text = f"{here}: this project needs 3.10, the newest with a wheel of OneFlow 0.9.0"
    return Finding("FAIL", "python", text, environment_line())


def environment_line() -> str:
    """Return how to run the doctor in the environment of `make`, or how to make that."""
    ready = (ROOT / ".venv/.ready").is_file() and Path(sys.prefix) != ROOT / ".venv"
    return ".venv/bin/python -m scripts.doctor" if ready else SETUP


def shorten_path(path: str) -> str:
    """Return a path relative to the current folder if it lies in it."""
    return path if os.path.relpath(path).startswith("..") else os.path.relpath(path)


def check_packages() -> Iterator[Finding]:
    """Check the packages that OneFlow needs beside it, then all others of the lock."""
    for need in machine.NEEDS:
        version = machine.installed_version(need.package)
        problem = machine.package_problem(need, version)
        if version is None and need.package == "oneflow":
            yield Finding("FAIL", need.package, problem.sentence, environment_line())
            return
        yield Finding(*("FAIL" if problem else "ok", need.package, *(problem or (version,))))
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s\\;]+)", (ROOT / "requirements.txt").read_text()))
    for need in machine.NEEDS:
        del pins[need.package]
    yield compare_lock(pins, {name: machine.installed_version(name) for name in pins})


def compare_lock(pins: dict[str, str], have: dict[str, str | None]) -> Finding:
    """Check that the installed versions of these packages are those of the lock."""
    missing = [name for name in pins if have[name] is None]
    other = [f"{name} {have[name]} (not {pins[name]})" for name in pins if have[name] != pins[name]]
    if not other:
        return Finding("ok", "other packages", f"{len(pins)}, as in requirements.txt")
    names = ", ".join((missing or other)[:5]) + ", ..." * (len(missing or other) > 5)
    if missing:
        return Finding("FAIL", "other packages", f"not installed: {names}", SETUP)
    return Finding("note", "other packages", f"not as locked: {names}")


def check_folder(key: str, path: str, needed: int = ROOM) -> Finding:
    """Check that a folder can be written and that its disk has room."""
    folder = Path(path).expanduser().absolute()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    name, room = key if key == path else f"{key}={path}", f"{free / 1e9:.1f} GB free"
    if not is_writable(folder):
        text = f"{name} cannot be written: "
        if key == "outputs":
            text += "change its rights, or put runs elsewhere with"
            return Finding("FAIL", key, text, "hydra.run.dir=FOLDER")
        return Finding("note", key, text + "fine if the images are there already")
    if free < needed:
        return Finding("FAIL", key, f"{name}: only {room}, expected {needed / 1e9:.0f}: make room")
    return Finding("ok", key, f"{name} can be written, {room}")


def check_gpu(wanted: bool, problem: str | None) -> Finding:
    """Report whether OneFlow can use the first GPU; a failure only if `device=cuda` is given."""
    if problem is None:
        return Finding("ok", "GPU", "the first one can be used")
    if wanted:
        return Finding("FAIL", "GPU", f"device=cuda cannot be used: {problem}")
    return Finding("note", "GPU", f"{problem}. Not needed: runs then use the CPU")


def check_inside(words: list[str]) -> Iterator[Finding]:
    """Start OneFlow as a training does, and check what needs it, from a run's overrides."""
    from hydra import compose, initialize_config_dir

    from engine.process import runtime  # prepares the process for OneFlow
    from runs.command_line import CONF

    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = compose("config", words)
    yield Finding("ok", START, f"{runtime.flow.__version__}, as a training starts it")
    yield check_kernel(runtime.blas_kernel(), runtime.has_avx2())
    problem = machine.cuda_problem()
    try:
        runtime.flow.ones(2, device=runtime.choose_device("cuda")).sum().item()
    except (ValueError, RuntimeError) as error:
        problem = problem or str(error).replace("device=cuda cannot be used: ", "").rstrip(".")
    yield check_gpu(config.device == "cuda", problem)
    yield check_data(config.dataset)


def check_kernel(kernel: str, avx2: bool) -> Finding:
    """Report which kernels OneFlow's matrix products use."""
    if kernel in FAST_KERNELS:
        return Finding("ok", "BLAS kernel", kernel)
    if avx2:
        text = f"{kernel}, because OPENBLAS_CORETYPE is set: matrix products are faster without it"
        return Finding("note", "BLAS kernel", text, "unset OPENBLAS_CORETYPE")
    return Finding("note", "BLAS kernel", f"{kernel}: this processor has no AVX2, training is slow")


def check_data(node: Any) -> Finding:
    """Read and check the data set as a run does, but download nothing."""
    from data import build_dataset

    folder = Path(str(node.get("root"))).expanduser()
    download = node.get("download") is True and folder.is_dir() and is_writable(folder)
    try:
        dataset = build_dataset({**node, "download": False} if download else node)
    except (ValueError, OSError) as error:
        if download and isinstance(error, FileNotFoundError):
            return Finding("note", "data set", f"{error} Or let the first run download it")
        return Finding("FAIL", "data set", str(error))
    sizes = [f"{len(split.labels):,}" for split in (dataset.train, dataset.val, dataset.test)]
    return Finding("ok", "data set", f"{' + '.join(sizes)} images from {node['_target_']}")


def start_inside(words: list[str]) -> Iterator[Finding]:
    """Run `--inside` in another process and yield its findings, and how it failed."""
    command = [sys.executable, "-m", "scripts.doctor", "--inside", *words]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        yield Finding("FAIL", START, f"OneFlow did not start within {PATIENCE} s")
        return
    yield from (Finding(*json.loads(line)) for line in done.stdout.splitlines() if line[:1] == "[")
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    if done.returncode < 0:
        reason = f"the process was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode:
        yield Finding("FAIL", START, reason.replace("error: ", "", 1))


def examine(words: list[str]) -> Iterator[Finding]:
    """Yield every finding, in the order in which problems should be solved."""
    settings = dict(word.partition("=")[::2] for word in words)
    yield check_system(platform.system(), platform.machine(), platform.libc_ver())
    python = check_python(sys.version_info, sys.executable)
    packages = list(check_packages()) if python.status == "ok" else []
    yield from (python, *packages)
    ready = any(found[:2] == ("ok", "oneflow") for found in packages)
    yield check_folder("outputs", "outputs", ROOM if ready else SETUP_ROOM)
    if settings.get("dataset") != "synthetic":
        yield check_folder("dataset.root", settings.get("dataset.root", "datasets"))
    inside = list(start_inside(words)) if ready else []
    yield from inside
    if not any(found.name == "GPU" for found in inside):
        yield check_gpu(settings.get("device") == "cuda", machine.cuda_problem())
    if not ready:
        yield Finding("note", "data set", "not checked: its reader needs the packages")


def format_finding(finding: Finding) -> str:
    """Return a finding as lines of at most 80 characters; only a line to type may be longer."""
    indent, text = " " * 26, f"{finding.status:<6}{finding.name:<20}{finding.text}"
    wrapper = textwrap.TextWrapper(80, "", indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(text) + (f"\n{indent}> {finding.line}" if finding.line else "")


def main() -> None:
    """Print the findings and how many checks failed."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print((__doc__ or "").strip())
        return
    if words[:1] == ["--inside"]:
        from runs.command_line import MISTAKES, one_sentence

        with one_sentence(MISTAKES):
            for finding in check_inside(words[1:]):
                print(json.dumps(finding), flush=True)  # at once: a crash loses none before it
        return
    os.chdir(ROOT)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in `... | head`
    failed = 0
    for finding in examine(words):
        failed += finding.status == "FAIL"
        print(format_finding(finding), flush=True)
    if failed:
        print(f"\n{failed} failed. Begin at the top: one cause often has several effects.")
        sys.exit(1)
    print(f"\nAll is well. Next: {shorten_path(sys.executable)} train.py experiment=quickstart")


if __name__ == "__main__":
    main()
