"""Downloads from a server on this machine that misbehaves in every way but one."""

import hashlib
import logging
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from common.files import lock
from data.download import download_archive
from tests.data.fakes import SMALL100, build, place

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()
STATUS = {"missing": 404, "busy": 503, "limited": 429}


class Handler(BaseHTTPRequestHandler):
    """Answers each request in the way next on the server's list, and the last from then on.

    Other ways than those of STATUS: `well`; `drop`: the connection ends after two blocks of 65,536
    bytes; `stall`: the same, but it stays open; `hang`: no answer; `slowly`; `whole`: without
    knowing Range; `shift`: another range than asked for; `wrong`: other bytes.
    """

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append(wanted)
        way = server.ways.pop(0) if len(server.ways) > 1 else server.ways[0]
        content = bytes(len(CONTENT)) if way == "wrong" else server.content
        time.sleep({"hang": 2, "slowly": 0.5}.get(way, 0))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        start = 0 if way in ("whole", "wrong", "shift") else start
        status = STATUS.get(way, 206 if start or way == "shift" else 200)
        status = 416 if start >= len(content) else status
        rest = content[start:] if status < 300 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(rest[:131_072] if way in ("drop", "stall") else rest)
        self.wfile.flush()
        time.sleep(2 if way == "stall" else 0)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away is part of the play."""


@pytest.fixture
def serve():
    servers = []

    def start(*ways, content=CONTENT):
        server = Server(("127.0.0.1", 0), Handler)
        server.ways, server.content, server.requests = list(ways), content, []
        server.url = f"http://127.0.0.1:{server.server_address[1]}/file.tar.gz"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch(server, path, timeout=5.0, attempts=4):
    download_archive(server.url, path, MD5, timeout=timeout, attempts=attempts, pause=0.01)


REST = "bytes=131072-"  # after what a dropped connection brought
PLAYS = [  # what lies there, how the server answers, the ranges that it was asked for, the error
    (b"", ["well"], [None], ""),
    (b"", ["drop", "drop", "well"], [None, REST, "bytes=262144-"], ""),
    (b"", ["drop", "whole"], [None, REST], ""),  # starts again where Range is not known
    (b"", ["drop", "shift", "well"], [None, REST, REST], ""),
    (b"", ["busy", "limited", "well"], [None] * 3, ""),
    (b"", ["wrong", "well"], [None] * 2, ""),  # a file with another checksum is thrown away
    (b"", ["stall", "hang", "well"], [None, REST, REST], ""),
    (CONTENT[:123_456], ["well"], ["bytes=123456-"], ""),  # of an earlier start
    (CONTENT, ["well"], ["bytes=300000-"], ""),
    (CONTENT[:5] + b"x", ["well"], ["bytes=6-", None], ""),
    (CONTENT + b"too much", ["well"], ["bytes=300008-", None], ""),
    (b"", ["missing"], [None], "answers 404"),  # asking again would not help
    (b"", ["busy"], [None] * 3, "answers 503"),
    (b"", ["wrong"], [None] * 3, f"not {MD5}"),
    (b"", ["hang"], [None] * 3, "no answer from .* within 0.2 s"),
    (b"", ["drop", "busy", "drop"], [None, REST, REST], "it broke off"),
]


@pytest.mark.parametrize(("part", "ways", "ranges", "message"), PLAYS)
def test_file_arrives_whole_or_not_at_all(tmp_path, serve, part, ways, ranges, message):
    server, path = serve(*ways), tmp_path / "file.tar.gz"
    beside = path.with_name("file.tar.gz.part")
    if part:
        beside.write_bytes(part)
    timeout = 0.2 if "hang" in ways else 5.0
    if message:
        with pytest.raises(OSError, match=message):
            fetch(server, path, timeout, attempts=3)
        assert not path.exists() and beside.exists() == ("drop" in ways)  # to go on from
    else:
        fetch(server, path, timeout)
        assert path.read_bytes() == CONTENT and not beside.exists()
    assert server.requests == ranges
    assert path.with_name(".file.tar.gz.lock").exists()


def test_those_that_start_together_download_once_and_wait_in_turn(tmp_path, serve, caplog):
    server, path = serve("slowly"), tmp_path / "file.tar.gz"
    caplog.set_level(logging.INFO)
    held = lock(path.with_name(".file.tar.gz.lock"))
    starts = [threading.Thread(target=fetch, args=(server, path)) for _ in range(3)]
    for start in starts:
        start.start()
    starts[0].join(0.3)
    assert all(start.is_alive() for start in starts) and server.requests == []
    assert "Waiting for another process that downloads file.tar.gz." in caplog.text
    os.close(held)
    for start in starts:
        start.join(60)
    assert path.read_bytes() == CONTENT and server.requests == [None]


def test_build_downloads_and_builds(tmp_path, serve):
    layout, archive = place(tmp_path)
    server = serve("well", content=archive.read_bytes())
    archive.unlink()
    for _ in range(2):
        dataset = build(layout, tmp_path, download=True, url=server.url)
    assert len(dataset.train.labels) == 350
    assert server.requests == [None] and archive.read_bytes() == server.content


@pytest.mark.parametrize("url", ["no address", "ftp://example.org/x"])
def test_what_to_do_after_a_failed_download(tmp_path, url):
    with pytest.raises(OSError) as caught:
        build(SMALL100, tmp_path, download=True, url=url)
    assert str(caught.value).endswith(
        f": expected CIFAR-100 in it, and the download failed ({url!r} is not a web address). "
        f"Put cifar-100-python.tar.gz from {url} into {tmp_path}, "
        "or use the built-in images with dataset=synthetic."
    )
