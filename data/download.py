"""Fetch an archive once, whole and checked, however often the connection breaks."""

import logging
import os
import time
from pathlib import Path

import requests
from tqdm import tqdm

from common.files import lock
from data.archive import hash_file

log = logging.getLogger(__name__)


def download_archive(
    url: str, path: Path, md5: str, timeout: float = 30, attempts: int = 4, pause: float = 1
) -> None:
    """Fetch `url` to `path`, unless it is there already.

    What has arrived lies in `path` + ".part"; a broken or interrupted download goes on from there.
    Only a whole file with the right checksum gets the name `path`. Processes that start together
    take turns by a lock, and those that waited find the file.

    Args:
        url: of the archive.
        path: what to write; its folder exists.
        md5: that the archive must have, in hexadecimal.
        timeout: seconds without a byte after which an attempt is given up.
        attempts: how often to try.
        pause: seconds to wait after the first failure; doubled after each further one.

    Raises:
        OSError: it failed; the text gives the reason, and is meant to stand in a sentence.
    """
    lock_file = path.with_name(f".{path.name}.lock")
    try:
        held = lock(lock_file)
    except BlockingIOError:
        log.info("Waiting for another process that downloads %s.", path.name)
        held = lock(lock_file, wait=True)
    try:
        if path.exists():
            return
        log.info("Downloading %s to %s.", url, path)
        for attempt in range(1, attempts + 1):
            reason, may_pass = _try(url, path, md5, timeout)
            if not reason:
                return
            if not may_pass or attempt == attempts:
                raise OSError(reason)
            log.warning("Download of %s: %s.", path.name, reason)
            time.sleep(pause * 2 ** (attempt - 1))
    finally:
        os.close(held)


def _try(url: str, path: Path, md5: str, timeout: float) -> tuple[str, bool]:
    """Try once; return the reason why it failed, if it did, and whether another try may help."""
    part = path.with_name(path.name + ".part")
    try:
        _fetch(url, part, timeout)
    except requests.HTTPError as error:
        status = error.response.status_code
        return f"{url} answers {status} {error.response.reason}", status >= 500 or status == 429
    except requests.Timeout:
        return f"no answer from {url} within {timeout:g} s", True
    except requests.RequestException as error:
        if isinstance(error, ValueError):
            return f"{url!r} is not a web address", False
        return f"no connection to {url}, or it broke off", True
    if (got := hash_file(part)) == md5:
        os.replace(part, path)
        return "", False
    part.unlink()  # a continued part may not fit the rest: the next attempt is whole
    return f"the file from {url} has md5 {got}, not {md5}", True


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Append to `part` what it lacks, or write it anew where the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    # identity: a server must not compress it again, for the byte positions would be of that.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    limits = (min(10, timeout), timeout)
    with requests.get(url, headers=headers, stream=True, timeout=limits) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # all of it is here, or too much: the checksum will show
        response.raise_for_status()
        continued = response.status_code == requests.codes.partial_content
        start = f"bytes {have}-"
        if continued and not response.headers.get("Content-Range", "").startswith(start):
            raise requests.ConnectionError(f"the server sent another range than {start}")
        have = have if continued else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        options = {"desc": part.stem, "unit": "B", "unit_scale": True, "disable": None}
        bar = tqdm(total=total, initial=have, **options)
        with part.open("ab" if have else "wb") as file, bar:
            for block in response.iter_content(2**16):
                file.write(block)
                bar.update(len(block))
