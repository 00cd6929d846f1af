"""The list of nets: what is counted, where the paper comes from, 80 columns."""

import subprocess
import sys
from pathlib import Path

import pytest
from oneflow import nn

from scripts import models

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (nn.Conv2d(3, 4, 1, bias=False), 32 * 32 * 4 * 3),
        (nn.Conv2d(3, 4, 3, padding=1), 32 * 32 * 4 * 27),  # a bias is an addition only
        (nn.Conv2d(3, 4, 4, stride=4), 8 * 8 * 4 * 48),
        (nn.Conv2d(3, 6, 3, padding=1, groups=3), 32 * 32 * 6 * 9),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 5)), 3072 * 5),
        (nn.Linear(32, 5), 3 * 32 * 32 * 5),  # once per row
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), 0),
    ],
)
def test_multiply_adds_by_hand(net, expected):
    assert models.count_multiply_adds(net) == expected


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),  # as in the table of chenyaofo/pytorch-cifar-models
    [
        ("vgg11_bn", 9.80, 153.34),
        ("mobilenet_v2", 2.35, 88.09),
        ("shufflenet_v2_x0_5", 0.44, 10.99),
        ("shufflenet_v2_x1_0", 1.36, 45.09),
    ],
)
def test_figures_are_those_that_others_publish(name, parameters, millions):
    (row,) = models.list_models(models.find_files([name]))
    assert round(row.parameters / 1e6, 2) == parameters
    assert abs(row.multiply_adds / 1e6 - millions) < 0.05


def test_every_paper_is_found_and_fits_80_columns():
    files = models.find_files([])
    assert len(files) > 30
    for path in files:
        paper = models.read_paper(path.read_text())
        assert ("no paper" in paper) == (path.stem == "convnet_tiny"), path.stem
        row = models.Row(path.stem, 68_247_460, 10_689_000_000, paper)
        assert len(str(row)) <= 80, str(row)
        name, parameters, millions = str(row)[:38].split()  # no column runs into the next
        assert (name, parameters, millions) == (path.stem, "68,247,460", "10,689.0")
    assert max(map(len, [models.HEADING, *models.FOOTNOTE.splitlines()])) <= 80


def run(*names):
    command = [sys.executable, "-m", "scripts.models", *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_program_lists_what_it_is_asked_for():
    lines = run("convnet_tiny", "resnet20").stdout.splitlines()
    assert lines[0].split() == ["model", "parameters", "madds,", "M", "arXiv"]
    # convnet_tiny: 16 * 16 * 16 * 48 + 8 * 8 * 64 * 144 + 4096 * 100 = 1,196,032
    assert lines[1].split() == ["convnet_tiny", "419,844", "1.2", "no", "paper"]
    assert lines[2].split()[:4] == ["resnet20", "275,572", "40.6", "1512.03385"]


def test_an_unknown_name_ends_with_one_sentence():
    ended = run("vgg16bn")
    assert ended.returncode == 1
    assert ended.stderr == "error: 'vgg16bn' is no file of conf/model/. Did you mean vgg16_bn?\n"
