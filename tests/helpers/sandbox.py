"""What a reader of foreign files may do while it reads: nothing but read, and not for ever."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 10  # for one file; a sound one takes milliseconds

_FORBIDDEN = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.kill",
    "pty.",
    "socket.",
    "ctypes.dlopen",
    "pickle.find_class",
)
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "shutil.",
)


class Hang(BaseException):
    """Not an Exception: a reader that takes any error for damage must not swallow it."""


class Escape(BaseException):
    """A reader did what it may not."""


class _Watch:
    """An audit hook cannot be taken off again, so there is one, and it is told when to look."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.escapes: list[str] = []
        sys.addaudithook(self.look)

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is not None and self.is_escape(event, arguments):
            shown = f"{event}{arguments!r:.200}"
            self.escapes.append(shown)
            raise Escape(shown)

    def is_escape(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "import":
            return arguments[0].split(".")[0] not in STANDARD and arguments[0] not in sys.modules
        if event == "open":
            path, _mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
            return writes and isinstance(path, str | bytes) and self.is_outside(path)
        if event.startswith(_CHANGES):
            return any(isinstance(p, str | bytes) and self.is_outside(p) for p in arguments[:2])
        return event.startswith(_FORBIDDEN)

    def is_outside(self, path: str | bytes) -> bool:
        assert self.folder is not None
        text = path.decode() if isinstance(path, bytes) else path
        return not Path(text).absolute().resolve().is_relative_to(self.folder)


STANDARD = set(sys.stdlib_module_names) - {"this", "antigravity"}
_watch = _Watch()


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Within it, writing outside `folder`, starting a process, a connection or an import fails."""

    def stop(*_: object) -> None:
        raise Hang(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _watch.folder, _watch.escapes = folder.resolve(), []
    try:
        yield
    finally:
        _watch.folder = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        escapes, _watch.escapes = _watch.escapes, []
    assert not escapes, escapes  # also where the reader swallowed the error


def outcome(folder: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns, or None where it gives our error: a ValueError or OSError, one sentence.

    Anything else that it raises, or that it does outside `folder`, fails the test.
    """
    try:
        with watched(folder):
            return read()
    except (ValueError, OSError) as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 2000, text
        return None
