"""Say whether requirements.txt still is the lock of pyproject.toml: `python -m scripts.check_lock`.

Works offline and at once: it compares the two files and asks no package index. The thorough way is
`make lock` followed by `git diff`.
"""

import re
import sys
from pathlib import Path

import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def read_pins(lock: str) -> dict[str, str]:
    """Map each locked package's canonical name to its version.

    Args:
        lock: the text of requirements.txt, one entry per package, entries indented below it.

    Raises:
        ValueError: for a line that is not a pinned package with sha256 hashes, such as an index
            address, an unpinned package, or one without a hash.
    """
    pins = {}
    lines = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    for entry in re.split(r"\n(?=\S)", "\n".join(lines).strip()):
        head, *rest = entry.replace("\\\n", " ").split()
        try:
            pin = Requirement(head)
        except InvalidRequirement as error:
            raise ValueError(f"requirements.txt has {head!r}, which is no package.") from error
        parts = list(pin.specifier)
        if [part.operator for part in parts] != ["=="]:
            raise ValueError(f"requirements.txt has {head!r}, which is not pinned with ==.")
        if not rest or not all(SHA256.fullmatch(word) for word in rest):
            raise ValueError(f"requirements.txt has {head!r} without just sha256 hashes.")
        pins[canonicalize_name(pin.name)] = parts[0].version
    return pins


def read_wishes(pyproject: str) -> tuple[str, list[Requirement]]:
    """Return the project's name and what it asks for, extras included."""
    project = tomli.loads(pyproject)["project"]
    extras = project.get("optional-dependencies", {})
    wishes = sum(extras.values(), project["dependencies"])
    return project["name"], [Requirement(wish) for wish in wishes]


def find_lock_problems(pyproject: str, lock: str) -> list[str]:
    """Compare the texts of the two files; return one sentence per difference.

    A wish that the lock does not meet is a difference, and so is a package that the lock holds only
    for this project (its comment says so) and that the project no longer asks for.
    """
    try:
        pins = read_pins(lock)
    except ValueError as error:
        return [str(error)]
    name, wishes = read_wishes(pyproject)
    problems = []
    for wish in wishes:
        version = pins.get(canonicalize_name(wish.name))
        if version is None:
            problems.append(f"requirements.txt lacks {wish}.")
        elif not wish.specifier.contains(version, prereleases=True):
            problems.append(f"requirements.txt has {version} where pyproject.toml asks for {wish}.")
    wished = {canonicalize_name(wish.name) for wish in wishes}
    for dropped in sorted(find_direct(lock, name) - wished):
        problems.append(f"requirements.txt has {dropped}, which pyproject.toml no longer names.")
    return problems


def find_direct(lock: str, project: str) -> set[str]:
    """Return the packages that the lock's `# via` comments ascribe to the project itself."""
    direct, name = set(), ""
    for line in lock.splitlines():
        if line[:1].isalnum():
            name = canonicalize_name(re.split(r"[=\[]", line)[0])
        elif f"{project} (pyproject.toml)" in line:
            direct.add(name)
    return direct


def main() -> int:
    """Print what differs in the current folder; return the exit code."""
    pyproject, lock = (Path(name).read_text() for name in ("pyproject.toml", "requirements.txt"))
    problems = find_lock_problems(pyproject, lock)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
