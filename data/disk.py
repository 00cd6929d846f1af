"""What a folder is good for, by the standard library alone (`scripts.doctor` loads this file)."""

import os
import stat
from pathlib import Path


def is_writable(folder: Path) -> bool:
    """Return whether files may be made in `folder`, or in the parents that it would need.

    A folder without any write permission counts as read-only for root too, who could write there:
    somebody took the permission away for a reason.
    """
    if not folder.exists():
        return folder != folder.parent and is_writable(folder.parent)
    mode = folder.stat().st_mode
    return stat.S_ISDIR(mode) and bool(mode & 0o222) and os.access(folder, os.W_OK | os.X_OK)
