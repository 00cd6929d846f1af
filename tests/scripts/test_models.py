"""The list of models: multiply-adds, papers, 80 columns."""

import re

import pytest
from oneflow import nn

from scripts import models


@pytest.mark.parametrize(
    ("model", "expected"),
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
def test_multiply_adds_by_hand(model, expected):
    assert models.count_multiply_adds(model) == expected


def test_every_paper_is_found_and_fits_80_columns():
    files = models.find_files([])
    assert len(files) > 30
    for path in files:
        paper = models.read_paper(path.read_text())
        assert ("no paper" in paper) == (path.stem == "convnet_tiny"), path.stem
        row = models.ROW.format(path.stem, "68,247,460", "10,689.0", paper)
        assert len(row) <= 80 and row[:38].split() == [path.stem, "68,247,460", "10,689.0"], row


def test_the_program_lists_the_models_that_it_is_given(capsys):
    names = ("convnet_tiny", "vgg11_bn", "mobilenet_v2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0")
    models.main([*names])
    heading, tiny, *rows = [line.split() for line in capsys.readouterr().out.splitlines()[:6]]
    assert heading == ["model", "parameters", "madds,", "M", "arXiv"]
    # 16 * 16 * 16 * 48 + 8 * 8 * 64 * 144 + 4096 * 100 = 1,196,032
    assert tiny == ["convnet_tiny", "419,844", "1.2", "no", "paper"]
    assert [row[:4] for row in rows] == [
        # as in the table of chenyaofo/pytorch-cifar-models: 153.34, 88.09, 10.99, 45.09
        ["vgg11_bn", "9,802,596", "153.3", "1409.1556"],
        ["mobilenet_v2", "2,351,972", "88.1", "1801.04381"],
        ["shufflenet_v2_x0_5", "444,292", "11.0", "1807.11164"],
        ["shufflenet_v2_x1_0", "1,356,104", "45.1", "1807.11164"],
    ]
    sentence = "error: 'vgg16bn' is no file of conf/model/. Did you mean vgg16_bn?"
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        models.main(["vgg16bn"])
