"""The page's texts in English and Chinese.

The texts on schedules and their arguments come from the guide (docs/schedules*.md).
"""

import re
from dataclasses import dataclass
from functools import cache

from runs.command_line import CONF

LANGUAGES = {"en": "English", "zh": "中文"}
_GUIDES = {"en": "schedules.md", "zh": "schedules.zh-CN.md"}
_WHEN = {"en": "When", "zh": "何时用"}
_TRAP = {"en": "Trap", "zh": "陷阱"}
_WHAT = r"^\[`\w+\.yaml`\]\S*\s·\s(?:\[`\w+`\]\(.*?\)|`\w+`)[.。]\s?(.*?)\n\n"


@dataclass(frozen=True)
class Entry:
    """The guide's texts on one schedule.

    Attributes:
        what: the shape, in a sentence or two.
        short: when to use it, in a few words.
        when: the same in full.
        trap: what surprises.
        arguments: the meaning of each argument, by its dotted name.
    """

    what: str
    short: str
    when: str
    trap: str
    arguments: dict[str, str]


@cache
def read_guide(language: str) -> dict[str, Entry]:
    """Return the guide's entries by name, in its order."""
    text = (CONF.parent / "docs" / _GUIDES[language]).read_text()
    short = dict(re.findall(r"^\| \[<img.*?\| \[`(\w+)`\].*?\| .*? \| (.*) \|$", text, re.M))
    sections = re.split(r"^###? (.+)\n", text, flags=re.M)
    entries = dict(zip(sections[1::2], sections[2::2], strict=True))
    return {name: _read_entry(entries[name], short[name], language) for name in short}


def _read_entry(text: str, short: str, language: str) -> Entry:
    what = re.search(_WHAT, text, re.S | re.M)
    rows = re.findall(r"^\| `([\w.]+)` \|.*\| (.*?) \|$", text, re.M)
    when, trap = (
        re.search(rf"^- \*\*{label[language]}\*\*[:：] ?(.*(?:\n  .*)*)", text, re.M)
        for label in (_WHEN, _TRAP)
    )
    assert what and when and trap, text[:200]  # tests/house/test_docs.py keeps the guide complete
    return Entry(*map(_clean, (what[1], short, when[1], trap[1])), {k: _clean(v) for k, v in rows})


def _clean(text: str) -> str:
    """Return Markdown of one line, without links, which lead nowhere from the page."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(text.split()))


def plain(text: str) -> str:
    r"""Return the text escaped for Streamlit's Markdown, where an image would be fetched.

    >>> print(plain("![x](http://y) gamma='a*b'"))
    \!\[x\]\(http\://y\) gamma='a\*b'
    """
    return re.sub(r"([\\`*_{}\[\]()#+!|~:$<>-])", r"\\\1", text)


def say(key: str, language: str, **values: object) -> str:
    """Return a text of the page."""
    return TEXTS[key][list(LANGUAGES).index(language)].format(**values)


TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Learning-rate explorer", "学习率调度探索"),
    "schedule": ("Schedule", "调度"),
    "class_defaults": ("class {name}, its own defaults", "{name} 类，用它自己的默认值"),
    "about": ("When to use it, and its trap", "何时用，有何陷阱"),
    "when": ("When", "何时用"),
    "trap": ("Trap", "陷阱"),
    "run": ("The run", "训练"),
    "base_lr": ("Base rate `B`", "基础学习率 `B`"),
    "epochs": ("Passes over the training images", "遍历训练集的次数"),
    "batch_size": ("Images per step", "每步的图片数"),
    "train_size": ("Training images (45,000 of CIFAR-100)", "训练图片数（CIFAR-100 为 45,000）"),
    "length_of_run": (
        "{epochs:,} epochs of {per_epoch:,} steps = {total:,} steps",
        "{epochs:,} 轮 × {per_epoch:,} 步 = {total:,} 步",
    ),
    "unit": ("unit", "单位"),
    "steps": ("steps", "步"),
    "ep": ("epochs", "轮"),
    "%": ("% of run", "% 全程"),
    "/ep": ("per epoch", "每轮"),
    "/run": ("per run", "全程"),
    "per_step": ("per step", "每步"),
    "null": ("null", "null"),
    "part": ("Part {number}", "第 {number} 部分"),
    "member": ("Factor {number}", "第 {number} 个因子"),
    "inside": ("Inside", "内层"),
    "nothing": ("nothing: the base rate", "无：基础学习率"),
    "ends": ("ends at", "结束于"),
    "milestone": ("Drop {number}", "第 {number} 次下降"),
    "knot_when": ("Knot {number}: when", "节点 {number}：何时"),
    "knot_factor": ("Knot {number}: factor of `B`", "节点 {number}：对 `B` 的倍数"),
    "add": ("Add", "添加"),
    "add_part": ("Add a part…", "添加一部分……"),
    "remove": ("Remove", "删除"),
    "up": ("Earlier", "前移"),
    "down": ("Later", "后移"),
    "build": ("Build on it", "在此基础上搭建"),
    "wrap_warmup": ("Warm up first", "先预热"),
    "wrap_then": ("Then something else", "之后接另一个"),
    "wrap_times": ("Multiply by another", "乘另一个调度"),
    "linear": ("Linear", "线性"),
    "log": ("Log", "对数"),
    "download": ("Download", "下载"),
    "keep": ("Compare with another", "与另一条比较"),
    "edit": ("Edit this curve", "编辑这条曲线"),
    "step": ("step", "步"),
    "epoch": ("epoch", "轮"),
    "rate": ("learning rate", "学习率"),
    "area": ("area", "面积"),
    "area_help": (
        "Mean rate as a share of the base rate: what the run moves, all in all",
        "平均学习率占基础学习率的比例：整个训练总共走多远",
    ),
    "peak": ("peak", "最高"),
    "peak_help": ("Highest rate", "最高的学习率"),
    "least": ("minimum", "最低"),
    "least_help": ("Lowest rate", "最低的学习率"),
    "above": ("above half peak", "高于峰值一半"),
    "above_help": (
        "Share of the run at more than half the peak rate",
        "学习率高于峰值一半的步数所占比例",
    ),
    "made_up": (
        "ReduceLROnPlateau follows the validation metric. Here it is made up: 10 % better at each "
        "epoch, no better after 40 % of the run.",
        "ReduceLROnPlateau 跟随验证指标。这里的指标是假设的："
        "每轮改善 10 %，训练过了 40 % 之后不再改善。",
    ),
    "stale": (
        "The curve is the last one that could be drawn: see the sentence beside the control.",
        "图中是上一条能画出的曲线：请看控件旁的说明。",
    ),
    "refused": ("", "不接受这个值："),
    "train": ("Train exactly this", "照此训练"),
    "yaml": ("As a YAML", "YAML 写法"),
    "link": ("Share", "分享"),
    "link_help": (
        "The address of this page holds every curve on it.",
        "本页地址包含图上的全部曲线。",
    ),
    "no_link": ("The address does not hold this: {reason}", "地址装不下：{reason}"),
    "paste": ("Paste a YAML or a command line", "粘贴 YAML 或命令行"),
    "paste_label": ("YAML or command line", "YAML 或命令行"),
    "paste_button": ("Draw it", "画出来"),
    "bad_address": ("The address could not be read: {reason}", "无法读取地址：{reason}"),
}

# The lint's rules in Chinese; English comes from the lint.
LINT_ZH = {
    "not_finite": "学习率不是有限的数；请修正调度",
    "negative": "学习率为负；让下降早些结束",
    "zero_start": "第一步的学习率是 0，白白浪费；让预热从大于 0 处开始",
    "zero": "过多的步学习率为 0 或接近 0；延长曲线，gamma 请写成每轮的速率（0.95/ep）",
    "constant": "学习率始终不变；请检查长度和下限",
    "floor": "下限是绝对值，且高于基础学习率；请调低",
    "peak": "最高点低于基础学习率；请提高倍数",
    "warmup": "到最后一步仍在上升；预热应短于训练",
    "rises": "过了最低点又升高；让下降一直持续到训练结束",
    "jump": "学习率突变；请缓和，或让每一部分从自己的第 0 步算起（interval_rescaling）",
    "length": "曲线的长度与训练不一致；请调整长度",
}
