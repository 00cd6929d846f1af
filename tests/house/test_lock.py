"""requirements.txt is the lock of pyproject.toml; `make lock` renews it."""

import re
from pathlib import Path

import pytest
import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
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
    ("change", "problem"),
    [
        (('"tqdm",', '"tqdm", "colorama>=0.4",'), "colorama>=0.4 is asked for, and the lock has"),
        (('"tqdm",', ""), "tqdm is not asked for"),
        (
            ('"protobuf>=3.20.3,<4"', '"protobuf>=4"'),
            "protobuf>=4 is asked for, and the lock has 3",
        ),
        ((r"\A", "--index-url https://example.com/simple\n"), "--index-url is no package"),
        (("^tqdm==", "tqdm>="), "is not pinned with == and sha256 hashes"),
        ((r"^(tqdm==\S+)( \\\n +--hash\S+)+", r"\1"), "is not pinned with == and sha256 hashes"),
    ],
)
def test_a_difference_is_noticed(change, problem):
    texts = [PYPROJECT, LOCK]
    which = 0 if change[0].startswith('"') else 1
    old = re.escape(change[0]) if which == 0 else change[0]
    texts[which], count = re.subn(old, change[1], texts[which], count=1, flags=re.M)
    assert count == 1
    (found,) = lock_problems(*texts)
    assert problem in found
