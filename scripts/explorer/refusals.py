"""Why something is refused, in Chinese: the sentences that a visitor of the page meets.

English sentences come from where the mistake is found. What is not in the table (mostly what
OneFlow, Hydra and PyYAML say) stays as it is.
"""

import re

_LENGTH = "步数（500）、轮数（10ep）或占全程的比例（30%）"

# The whole English sentence as a pattern; its groups, in order, take the places of {}.
_SENTENCES = {
    r"(optimizer\.lr=.*) must be a number above 0 and below 1e6\.": "{} 须大于 0 且小于 1e6。",
    r"(.*?=.*) must be a whole number from 1 to (\d+)\.": "{} 须是 1 到 {} 的整数。",
    r"(scheduler=.*): there are (.*)\.": "没有 {}：可用的有 {}。",
    r"The run has (\d+) steps: with (\d+) scheduler nodes at most (\d+) are drawn; .*": (
        "训练有 {} 步：{} 个调度节点最多画 {} 步；请减少 epochs 或增大 batch_size。"
    ),
    r"(.*?=.*): expected a duration: .*": f"{{}} 不是长度：请给出{_LENGTH}，不能为负。",
    r"(.*?=.*): expected at least (\d+) step\.": "{} 太短：至少 {} 步。",
    r"(.*?=.*): expected a number \(0\.9\) or .*": (
        "{} 不是数，也不是速率：请给出大于 0 的数（0.9）、每轮的倍数（0.95/ep）"
        "或全程的倍数（0.01/run）。"
    ),
    r"(.*?=.*): expected a number above 0\.": "{} 须大于 0。",
    r"(.*?=.*): expected a number of at least 0\.": "{} 不能为负。",
    r"(.*?=.*)(?:: expected| must be) a finite number\.": "{} 须是有限的数。",
    r"(.*?=.*) must lie between -1e15 and 1e15\.": "{} 须在 -1e15 与 1e15 之间。",
    r"(.*?=.*) must be at most (\d+) plain letters\.": "{} 最多 {} 个普通字符。",
    r"(.*?=.*) must be true or false\.": "{} 须是 true 或 false。",
    r"(.*?=.*): expected a list of (\d+) entries\.": "{} 须有 {} 项。",
    r"(\S+)=(\[.*\]): expected increasing steps, above 0 and below the run's (\d+)\.": (
        "{} 是第 {} 步，训练共 {} 步：须递增、从大于 0 处开始，并在训练结束之前。"
    ),
    r"(\S+): expected a value, because (\w+) has no default\.": "必须给出 {}：{} 没有默认值。",
    r"(\S+?)=.*: expected an argument of (.*?) \((.*?)\)\.(?: Did you mean .*\?)?": (
        "{} 不是 {} 的参数，可用的有 {}。"
    ),
    r"(.*?=.*): expected a list of length (\d+), one entry per change .*": (
        "{} 须有 {} 项，每次切换一项。"
    ),
    r"(scheduler\..*?=.*): expected (?P<accepted>.*)\.": "不能用 {}：请给出{}。",
    r"(.*) is nested more than (\d+) deep\.": "{} 的嵌套超过 {} 层。",
    r"(.*): interpolations \(\$\{\.\.\.\}\) are not accepted\.": "{}：不接受插值（${{...}}）。",
    r"(.*?): (.*) is not the name of an argument\.": "{}：{} 不是参数名。",
    r"(\S+?=.*) is refused: here a schedule is made only of .*": (
        "不能用 {}：这里只用 OneFlow 和本项目的调度类，以及与之配套的函数。"
    ),
    r"A schedule is a mapping with _target_ and the arguments of that class\.": (
        "调度是一个映射，含 _target_ 和该类的参数。"
    ),
    r"scheduler= is given more than once\.": "scheduler= 给出了不止一次。",
    r"(.*): give scheduler=NAME\.": "{}：请写 scheduler=名称。",
    r"(.*) does not decide the curve: give (.*), and leave the rest out\.": (
        "{} 与曲线无关：请只写 {}。"
    ),
    r"The command line has more than (\d+) characters\.": "命令行超过 {} 个字符。",
    r"The command line cannot be taken apart: (.*)": "命令行无法拆分（引号是否成对？）：{}",
    r"The command line is not Hydra's: (.*)": "命令行不合 Hydra 的写法：{}",
    r"The command line cannot be followed: (.*)": "命令行无法执行：{}",
    r"(.*) is a sweep: give one value\.": "{} 是扫描：请只给一个值。",
    r"The YAML has more than (\d+) characters\.": "YAML 超过 {} 个字符。",
    r"This is not the YAML of a schedule: (.*)": "这不是调度的 YAML：{}",
    r"there is nothing to draw\.": "没有可画的内容。",
    r"(\d+) schedules: a link holds at most (\d+)\.": "{} 条曲线：一个链接最多容纳 {} 条。",
    r"A link holds at most (\d+) characters: .*": "链接最多 {} 个字符：请改为分享 YAML。",
    r"The address has too many parameters, or one of them twice\.": "地址的参数太多，或有重复。",
    r"The address is longer than (\d+) characters\.": "地址超过 {} 个字符。",
    r"(.*) cannot be opened: (.*)\.": "无法打开 {}：{}。",
    r"(.*) holds no run folder \(\.hydra/config\.yaml\): give one with 1 to (\d+)\.": (
        "{} 中没有训练目录（.hydra/config.yaml）：请给出含 1 到 {} 个的目录。"
    ),
    r"(.*) holds (\d+) run folders: give one with 1 to (\d+)\.": (
        "{} 中有 {} 个训练目录：请给出含 1 到 {} 个的目录。"
    ),
}
_IN_ADDRESS = re.compile(r"In the address, (s\d): (.*)", re.S)
# What an argument takes is put together from these.
_ACCEPTED = {
    r"an integer \((\w+|times the previous cycle), not a duration\)": "整数（不是长度）",
    r"a number or a factor such as 0\.95/ep or 0\.01/run": "数，或速率（如 0.95/ep、0.01/run）",
    r"a number, a node with _target_ or a duration: .*": f"数、节点，或长度：{_LENGTH}",
    r"a duration: steps \(500\), epochs \(10ep\) or a share of the run \(30%\)": _LENGTH,
    r"a node with _target_": "含 _target_ 的节点",
    r"\btrue or false\b": "true 或 false",
    r"\btext\b": "文本",
    r"\ba list\b": "列表",
    r" or ": " 或 ",
}


def refusal(sentence: str, language: str) -> str:
    """The sentence in the page's language, where the table has it.

    >>> print(refusal("epochs=0 must be a whole number from 1 to 9.", "zh"))
    epochs=0 须是 1 到 9 的整数。
    """
    if language != "zh":
        return sentence
    if inner := _IN_ADDRESS.fullmatch(sentence):
        return f"地址中的 {inner[1]}：{refusal(inner[2], language)}"
    for pattern, told in _SENTENCES.items():
        if match := re.fullmatch(pattern, sentence, re.S):
            groups = list(match.groups())
            if "accepted" in match.groupdict():
                groups[-1] = _accepted(groups[-1])
            return told.format(*groups)
    return sentence


def _accepted(words: str) -> str:
    for pattern, told in _ACCEPTED.items():
        words = re.sub(pattern, told, words)
    return words
