"""requirements.txt is the lock of pyproject.toml; `make lock` renews it."""

import re

import pytest
import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text()
LOCK = (ROOT / "requirements.txt").read_text()
HASHES = re.compile(r"(--hash=sha256:[0-9a-f]{64} ?)+")


def lock_problems(pyproject, lock):
    """Return a sentence for each way in which the lock's text does not fit pyproject's."""
    pins, direct = {}, set()
    text = re.sub(r"\\\n +", "", lock)  # hashes on the line of their package
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            if "oneflow-lr-lab (pyproject.toml)" in line:  # the package above is for the project
                direct.add(list(pins)[-1])
            continue
        head, _, hashes = line.partition(" ")
        try:
            pin = Requirement(head)
        except InvalidRequirement:
            return [f"{head} is no package"]
        version = re.fullmatch(r"==([^,]+)", str(pin.specifier))
        if not version or not HASHES.fullmatch(hashes):
            return [f"{head} is not pinned with == and sha256 hashes"]
        pins[canonicalize_name(pin.name)] = version[1]
    project = tomli.loads(pyproject)["project"]
    wishes = sum(project["optional-dependencies"].values(), project["dependencies"])
    wished = {canonicalize_name(Requirement(wish).name): Requirement(wish) for wish in wishes}
    wrong = [
        f"{wish} is asked for, and the lock has {pins.get(name)}"
        for name, wish in wished.items()
        if not wish.specifier.contains(pins.get(name, "0"), prereleases=True) or name not in pins
    ]
    return wrong + [f"{name} is not asked for" for name in sorted(direct - set(wished))]


def test_the_lock_is_fresh():
    assert lock_problems(PYPROJECT, LOCK) == [], "make lock"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"tqdm",', '"tqdm", "colorama>=0.4",', "colorama>=0.4 is asked for, and the lock has"),
        ('"tqdm",', "", "tqdm is not asked for"),
        ('"protobuf>=3.20.3,<4"', '"protobuf>=4"', "protobuf>=4 is asked for, and the lock has 3"),
        (r"\A", "--index-url https://example.com/simple\n", "--index-url is no package"),
        ("^tqdm==", "tqdm>=", "is not pinned with == and sha256 hashes"),
        (r"^(tqdm==\S+)( \\\n +--hash\S+)+", r"\1", "is not pinned with == and sha256 hashes"),
    ],
)
def test_a_difference_is_noticed(old, new, problem):
    changed = [re.sub(old, new, text, count=1, flags=re.M) for text in (PYPROJECT, LOCK)]
    pair = (changed[0], LOCK) if old.startswith('"') else (PYPROJECT, changed[1])
    assert pair != (PYPROJECT, LOCK)
    (found,) = lock_problems(*pair)
    assert problem in found
