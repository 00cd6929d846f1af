"""Why the explorer refuses something, in Chinese."""

import pytest

from scripts.explorer import bridge
from scripts.explorer.chart import describe
from scripts.explorer.refusals import refusal
from scripts.explorer.run_curves import read_runs


def refused(line: str) -> str:
    """What the page is told of a line that cannot be drawn."""
    with pytest.raises(ValueError) as caught:
        describe(bridge.read_command(line))
    return str(caught.value)


STEP, PARTS = "scheduler=step scheduler.", "scheduler=sequential scheduler."


@pytest.mark.parametrize(
    ("line", "chinese"),
    [
        ("optimizer.lr=0", "optimizer.lr=0 须大于 0 且小于 1e6。"),
        ("epochs=0", "epochs=0 须是 1 到 1000000 的整数。"),
        ("dataset.train_size=45001", "dataset.train_size=45001 须是 1 到 45000 的整数。"),
        ("scheduler=nothing", "没有 scheduler='nothing'：可用的有 chained"),
        ("epochs=9999", "训练有 3519648 步：1 个调度节点最多画 2000000 步"),
        (STEP + "step_size=-3%", "scheduler.step_size='-3%' 不是长度：请给出步数（500）、轮数"),
        (STEP + "step_size=0", "scheduler.step_size=0 须大于 0。"),
        (STEP + "step_size=1.5", "scheduler.step_size=1.5 不是长度：请给出步数（500）、轮数"),
        (STEP + "step_size=null", "scheduler.step_size=null 不是长度：请给出步数（500）、轮数"),
        (STEP + "gamma=much", "scheduler.gamma='much' 不是数，也不是速率"),
        (STEP + "gamma=nan", "scheduler.gamma=nan 须是有限的数。"),
        (STEP + "gamma=1e16", "scheduler.gamma=1e+16 须在 -1e15 与 1e15 之间。"),
        (STEP + "gamma=true", "不能用 scheduler.gamma=true：请给出数，或速率（如"),
        (STEP + "gamma=[1]", "不能用 scheduler.gamma=[1]：请给出数，或速率（如"),
        (STEP + "gamma='${x}'", "'scheduler.gamma=${x}'：不接受插值（${...}）。"),
        ("scheduler=step +scheduler.gama=1", "scheduler.gama 不是 StepLR 的参数，"),
        ("scheduler=step ~scheduler.step_size", "必须给出 scheduler.step_size：StepLR"),
        ("scheduler=sgdr scheduler.T_mult=2ep", "不能用 scheduler.T_mult='2ep'：请给出整数"),
        ("scheduler=cosine_annealing scheduler.eta_min=-1", "scheduler.eta_min=-1 不能为负。"),
        ("scheduler=multistep 'scheduler.milestones=[90%,80%]'", "scheduler.milestones 是第 [9"),
        (PARTS + "milestones='[8%,50%]'", "scheduler.milestones=[845, 5280] 须有 1 项"),
        ("scheduler._target_=os.system", "不能用 scheduler._target_='os.system'：这里只用 OneFlow"),
        ("model=resnet18", "'model=resnet18' 与曲线无关：请只写 scheduler=NAME"),
        ("scheduler=step scheduler=rex", "scheduler= 给出了不止一次。"),
        ("epochs=1,2", "'epochs=1,2' 是扫描：请只给一个值。"),
        ("scheduler='", "命令行无法拆分（引号是否成对？）：No closing quotation"),
        ("scheduler=[", "命令行不合 Hydra 的写法："),
        ("scheduler=step scheduler.gama=1", "命令行无法执行："),
        ("x" * 5000, "命令行超过 4000 个字符。"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_in_chinese(line, chinese):
    english = refused(line)
    assert refusal(english, "en") == english
    assert refusal(english, "zh").startswith(chinese)
    told = refusal(f"In the address, s0: {english}", "zh")
    assert told.startswith(f"地址中的 s0：{chinese}")


def test_a_yaml_and_a_folder_and_an_address_are_refused_in_chinese(tmp_path):
    cases = {
        "这不是调度的 YAML：line 2": lambda: bridge.read_yaml("a: b\nc: 'd"),
        "调度是一个映射，含 _target_": lambda: bridge.read_yaml("gamma: 1"),
        "YAML 超过 4000 个字符。": lambda: bridge.read_yaml("x" * 5000),
        "地址超过 12000 个字符。": lambda: bridge.read_state({"x": "y" * 13_000}),
        "地址的参数太多，或有重复。": lambda: bridge.read_state({f"k{i}": "" for i in range(41)}),
        f"'{tmp_path}' 中没有训练目录": lambda: read_runs(str(tmp_path)),
        f"无法打开 '{tmp_path}/none'：": lambda: read_runs(f"{tmp_path}/none"),
    }
    for chinese, fail in cases.items():
        with pytest.raises(ValueError) as caught:
            fail()
        assert refusal(str(caught.value), "zh").startswith(chinese)
