"""What a reader of foreign files may do while it reads: nothing but read, and not for ever."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 10  # for one file; a sound one takes milliseconds
STANDARD = set(sys.stdlib_module_names) - {"this", "antigravity"}
# Beginnings of the names of audit events.
FORBIDDEN = (
    *("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "pty."),
    *("socket.", "ctypes.dlopen", "pickle.find_class"),
)
CHANGES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "shutil."),
)


class Hang(BaseException):
    """Not an Exception: a reader that takes any error for damage must not swallow it."""


class Escape(BaseException):
    """A reader did what it may not."""


ALLOWED: list[Path] = []  # the folder that may be written, while a reader is watched
ESCAPES: list[str] = []


def is_outside(path: Any) -> bool:
    """Return whether this is a path, and one outside the folder that may be written."""
    if not isinstance(path, str | bytes):
        return False
    return not Path(os.fsdecode(path)).absolute().resolve().is_relative_to(ALLOWED[0])


def is_escape(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event is forbidden: a write outside, an import, a process, ..."""
    if event == "import":
        return arguments[0].split(".")[0] not in STANDARD and arguments[0] not in sys.modules
    if event == "open":
        path, _, flags = arguments
        return bool(flags & (os.O_WRONLY | os.O_RDWR)) and is_outside(path)
    if event.startswith(CHANGES):
        return any(map(is_outside, arguments[:2]))
    return event.startswith(FORBIDDEN)


def look(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop what is forbidden; an audit hook can never be removed again."""
    if ALLOWED and is_escape(event, arguments):
        ESCAPES.append(f"{event}{arguments!r:.200}")
        raise Escape(ESCAPES[-1])


sys.addaudithook(look)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Within it, writing outside `folder`, starting a process, a connection or an import fails."""

    def stop(*_: object) -> None:
        raise Hang(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    ALLOWED.append(folder.resolve())
    try:
        yield
    finally:
        ALLOWED.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    escapes = ESCAPES.copy()
    ESCAPES.clear()
    assert not escapes, escapes  # also where the reader swallowed the error


def outcome(folder: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` returns, or None where it raises our error: a sentence in one line.

    Anything else that it raises, or that it does outside `folder`, fails the test.
    """
    try:
        with watched(folder):
            return read()
    except (ValueError, OSError) as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 2000, text
        return None
