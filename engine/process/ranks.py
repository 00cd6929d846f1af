"""Several processes that train one model together, each on its part of every batch.

Of SIZE processes this one is RANK, from 0 on; rank 0 alone writes and speaks. Every rank has the
whole model and makes every update. With n_r of the n images of a batch on rank r, the gradient of
the batch's mean loss is the sum over r of (n_r / n) times that of the rank's mean loss, so it is
that of one process, but for rounding. In one process SIZE is 1 and nothing here does anything.
"""

import contextlib
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np
import oneflow as flow
from oneflow import nn
from oneflow.framework.check_point_v2 import _broadcast_py_object

RANK: int = flow.env.get_rank()
SIZE: int = flow.env.get_world_size()
LEAVE = 255  # no signal has this number


def bounds(count: int, rank: int, size: int) -> tuple[int, int]:
    """The rows of a batch of `count` that a rank takes: from the first, up to the second.

    The ranks' numbers of rows differ by at most one, and rank 0 always has a row.

    >>> [bounds(10, rank, 4) for rank in range(4)]
    [(0, 3), (3, 5), (5, 8), (8, 10)]
    """
    return -(-count * rank // size), -(-count * (rank + 1) // size)


def share(count: int) -> float:
    """n_r / n: which share of a batch of `count` images this rank has."""
    start, stop = bounds(count, RANK, SIZE)
    return (stop - start) / count


def part(count: int) -> slice:
    """The rows of a batch of `count` that this rank computes.

    A rank for which none is left computes the first one with a share of 0: all ranks have to do the
    same.
    """
    start, stop = bounds(count, RANK, SIZE)
    return slice(start, stop) if start < stop else slice(0, 1)


def own(labels: flow.Tensor) -> flow.Tensor:
    """This rank's part of a batch's labels (n,)."""
    return labels if SIZE == 1 else labels[part(len(labels))]


def weigh(loss: flow.Tensor, count: int) -> flow.Tensor:
    """This rank's summand of the mean loss over a batch of `count`, from the mean over its part."""
    return loss if SIZE == 1 else loss * share(count)


def counted(sums: flow.Tensor, count: int) -> flow.Tensor:
    """Sums over this rank's part of a batch of `count`: zeros if it has none of the rows."""
    return sums if SIZE == 1 or share(count) else sums * 0


def mask_seed(seed: int, step: int) -> int:
    """The seed of a step's dropout masks: another one on each rank."""
    return (seed * 1_000_003 + step + RANK * 7_368_787) % 2**31


def add_gradients(
    model: nn.Module, loss: flow.Tensor, hits: flow.Tensor, count: int
) -> tuple[flow.Tensor, flow.Tensor]:
    """Replace the gradient by its sum over the ranks; returns the sums of the other two, each ().

    All goes in one piece: on a CPU it is the number of exchanges that counts. The gradient is not
    finite on every rank if it was not on one, so all of them leave out the same updates.
    """
    if SIZE == 1:
        return loss, hits
    parameters = [entry for entry in model.parameters() if entry.grad is not None]
    with flow.no_grad():
        pieces = [entry.grad.reshape(-1) for entry in parameters]
        pieces.append(flow.stack([loss, counted(hits, count)]))
        flat = flow.cat(pieces)
        flow.comm.all_reduce(flat)
        *gradients, sums = flow.split(flat, [len(piece) for piece in pieces])
        for entry, gradient in zip(parameters, gradients, strict=True):
            entry.grad.copy_(gradient.reshape(entry.shape))
    return sums[0], sums[1]


def add(numbers: np.ndarray) -> np.ndarray:
    """Sums over the ranks, of float64 numbers (n,)."""
    if SIZE == 1:
        return numbers
    total = flow.tensor(numbers)
    flow.comm.all_reduce(total)
    return np.array(total.numpy())


def take_buffers(model: nn.Module) -> None:
    """Give every rank the buffers of rank 0: what its norms remember of the batches.

    Each rank's norms see its part of a batch only. In training they do not read what they remember,
    so it is enough to do this before an evaluation.
    """
    if SIZE > 1:
        for buffer in model.buffers():
            flow.comm.broadcast(buffer, 0)


def barrier() -> None:
    """Wait until every rank is here."""
    if SIZE > 1:
        flow.comm.barrier()


def tell(content: Any = None) -> Any:
    """What rank 0 calls this with, on every rank."""
    return _broadcast_py_object(content if RANK == 0 else None, 0)


class Peer:
    """The connection with another rank: rank 0 has one with each of them, and they have this one.

    The system closes it when a process ends, however it ends. Whoever sees that ends at once, with
    exit code 1, unless the other one has taken leave: OneFlow would wait for it for ever.
    """

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.heard: SimpleQueue[int] = SimpleQueue()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def say(self, number: int) -> None:
        """Send a number from 0 to 255."""
        self.link.sendall(bytes([number]))

    def listen(self) -> None:
        """Take in what the other one says, until it leaves."""
        with contextlib.suppress(OSError):  # reset, or the other machine no longer answers
            while word := self.link.recv(1):
                if word[0] == LEAVE:
                    return
                self.heard.put(word[0])
        if RANK == 0:
            print("error: another process of this run has ended: it stops here.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)


PEERS: list[Peer] = []


def check_device(device: str) -> None:
    """Refuse to train on GPUs on some ranks and on the CPU on others.

    Raises:
        ValueError: `device` is this rank's, and it has no GPU where another one has.
    """
    some_have_one = agree(int(device != "cpu"))
    if some_have_one and device == "cpu":
        raise ValueError("device=auto: here is no GPU, and other processes have one: device=cpu?")


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Within it no rank outlives another, and they can `agree`.

    They take leave of each other at the end, or when all of them stop at the same step.
    """
    PEERS.extend(map(Peer, accept_ranks() if RANK == 0 else [join_rank_0()]))
    try:
        yield
    except BaseException as error:
        if not getattr(error, "agreed", False):
            raise
        take_leave()
        raise
    take_leave()


def take_leave() -> None:
    """Wait for all, and end what binds them."""
    barrier()
    for peer in PEERS:
        peer.say(LEAVE)


def agree(number: int) -> int:
    """The largest of the ranks' numbers, each from 0 to 254.

    It goes from process to process and not through OneFlow: 0.1 ms instead of 3, and no device
    waits for it.
    """
    if RANK:
        PEERS[0].say(number)
        return PEERS[0].heard.get()
    largest = max([number, *(peer.heard.get() for peer in PEERS)])
    for peer in PEERS:
        peer.say(largest)
    return largest


def accept_ranks() -> list[socket.socket]:
    """On rank 0: a connection with each other rank."""
    host = os.environ["MASTER_ADDR"] if flow.env.get_node_size() == 1 else ""
    with socket.create_server((host, 0), backlog=SIZE) as server:
        password = secrets.token_bytes(16)
        tell((server.getsockname()[1], password))
        links: list[socket.socket] = []
        while len(links) < SIZE - 1:
            link = server.accept()[0]
            link.settimeout(60)
            if link.recv(16, socket.MSG_WAITALL) == password:
                links.append(keep(link))
        return links


def join_rank_0() -> socket.socket:
    """On another rank: the connection with rank 0."""
    port, password = tell()
    link = socket.create_connection((os.environ["MASTER_ADDR"], port), timeout=60)
    link.sendall(password)
    return keep(link)


def keep(link: socket.socket) -> socket.socket:
    """Make a connection wait for ever, unless the other machine is silent for 25 seconds."""
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000)  # what is under way
    return link
