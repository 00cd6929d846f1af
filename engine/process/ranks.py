"""Several processes that train one model together, each on its part of every batch.

Of SIZE processes this one is RANK, from 0 on; rank 0 alone writes files and the screen. Every rank
has the whole model and makes every update. With n_r of the n images of a batch on rank r, the
gradient of the batch's mean loss is the sum over r of (n_r / n) times that of the rank's mean loss:
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
GOODBYE = 255  # no signal has this number


def bounds(count: int, rank: int, size: int) -> tuple[int, int]:
    """Return the rows of a batch of `count` that a rank takes: from the first, up to the second.

    The ranks' numbers of rows differ by at most one, and rank 0 always has a row.

    >>> [bounds(10, rank, 4) for rank in range(4)]
    [(0, 3), (3, 5), (5, 8), (8, 10)]
    """
    return -(-count * rank // size), -(-count * (rank + 1) // size)


def part(count: int) -> slice:
    """Return the rows of a batch of `count` that this rank computes.

    Where none is left for it, it is the first one with weight 0: all make the same exchanges.
    """
    start, stop = bounds(count, RANK, SIZE)
    return slice(start, stop) if start < stop else slice(0, 1)


def weight(count: int) -> float:
    """Return n_r / n: the share of a batch of `count` images that this rank has."""
    start, stop = bounds(count, RANK, SIZE)
    return (stop - start) / count


def local_part(labels: flow.Tensor) -> flow.Tensor:
    """Return this rank's part of a batch's labels (n, ...)."""
    return labels if SIZE == 1 else labels[part(len(labels))]


def weigh(loss: flow.Tensor, count: int) -> flow.Tensor:
    """Return this rank's summand of the mean loss of a batch, from the mean over its part."""
    return loss if SIZE == 1 else loss * weight(count)


def local_sums(sums: flow.Tensor, count: int) -> flow.Tensor:
    """Return sums over this rank's part of a batch: zeros if it has none of the rows."""
    return sums if weight(count) else sums * 0


def mask_seed(seed: int, step: int) -> int:
    """Return the seed of a step's dropout masks: another one on each rank."""
    return (seed * 1_000_003 + step + RANK * 7_368_787) % 2**31


def add_gradients(
    model: nn.Module, loss: flow.Tensor, hits: flow.Tensor, count: int
) -> tuple[flow.Tensor, flow.Tensor]:
    """Replace the gradient by its sum over the ranks, and return the sums of `loss` and `hits`, ().

    All goes in one piece: on a CPU it is the number of exchanges that counts.
    """
    if SIZE == 1:
        return loss, hits
    parameters = [entry for entry in model.parameters() if entry.grad is not None]
    with flow.no_grad():
        pieces = [entry.grad.reshape(-1) for entry in parameters]
        pieces.append(flow.stack([loss, local_sums(hits, count)]))
        flat = flow.cat(pieces)
        flow.comm.all_reduce(flat)
        *gradients, sums = flow.split(flat, [len(piece) for piece in pieces])
        for entry, gradient in zip(parameters, gradients, strict=True):
            entry.grad.copy_(gradient.reshape(entry.shape))
    return sums[0], sums[1]


def add(numbers: np.ndarray) -> np.ndarray:
    """Return the sums over the ranks, of float64 numbers (n,)."""
    if SIZE == 1:
        return numbers
    total = flow.tensor(numbers)
    flow.comm.all_reduce(total)
    return np.array(total.numpy())


def broadcast_buffers(model: nn.Module) -> None:
    """Give every rank the running statistics of rank 0's norms, which only evaluations read."""
    if SIZE > 1:
        for buffer in model.buffers():
            flow.comm.broadcast(buffer, 0)


def broadcast(content: Any = None) -> Any:
    """Broadcast rank 0's value to all ranks, and return it."""
    return _broadcast_py_object(content if RANK == 0 else None, 0)


def barrier() -> None:
    """Wait until every rank is here."""
    if SIZE > 1:
        flow.comm.barrier()


# Connections of our own beside OneFlow's: OneFlow waits for ever for a rank that was killed, and an
# all_reduce of a flag takes 30 times as long as these do, at every step.


class Peer:
    """The connection between rank 0 and one other rank.

    The system closes it when a process ends, however it ends. The other process then ends at once,
    with exit code 1, unless `GOODBYE` came before.
    """

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.received: SimpleQueue[int] = SimpleQueue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        """Receive numbers until the other process says goodbye."""
        with contextlib.suppress(OSError):  # reset, or the other machine no longer answers
            while data := self.link.recv(1):
                if data[0] == GOODBYE:
                    return
                self.received.put(data[0])
        if RANK == 0:
            print("error: another process of this run has ended: it stops here.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)


PEERS: list[Peer] = []


def agree(number: int) -> int:
    """Return the largest of the ranks' numbers, each from 0 to 254."""
    if RANK:
        PEERS[0].link.sendall(bytes([number]))
        return PEERS[0].received.get()
    largest = max([number, *(peer.received.get() for peer in PEERS)])
    for peer in PEERS:
        peer.link.sendall(bytes([largest]))
    return largest


def check_device(device: str) -> None:
    """Refuse this rank's device if it is the CPU and that of another rank a GPU."""
    if agree(int(device != "cpu")) and device == "cpu":
        raise ValueError(
            "device=auto: expected device=cpu. This process has no GPU, and others of the run have."
        )


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Connect the ranks within the block, so that they can `agree` and no one outlives another.

    At its end, and where all stop at the same step (the error is `agreed`), they end in order.
    """
    PEERS.extend(map(Peer, accept_ranks() if RANK == 0 else [join_rank_0()]))
    agreed = True
    try:
        yield
    except BaseException as error:
        agreed = getattr(error, "agreed", False)
        raise
    finally:
        if agreed:
            barrier()
            for peer in PEERS:
                peer.link.sendall(bytes([GOODBYE]))


def accept_ranks() -> list[socket.socket]:
    """Return rank 0's connections, one with each other rank."""
    host = os.environ["MASTER_ADDR"] if flow.env.get_node_size() == 1 else ""
    with socket.create_server((host, 0), backlog=SIZE) as server:
        password = secrets.token_bytes(16)
        broadcast((server.getsockname()[1], password))
        links: list[socket.socket] = []
        while len(links) < SIZE - 1:
            link = server.accept()[0]
            link.settimeout(60)
            if link.recv(16, socket.MSG_WAITALL) == password:
                links.append(keep_alive(link))
        return links


def join_rank_0() -> socket.socket:
    """Return another rank's connection with rank 0."""
    port, password = broadcast()
    link = socket.create_connection((os.environ["MASTER_ADDR"], port), timeout=60)
    link.sendall(password)
    return keep_alive(link)


def keep_alive(link: socket.socket) -> socket.socket:
    """Make a connection wait for ever, unless the other machine is silent for 25 seconds."""
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    limits = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
    for name, value in limits.items():
        link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return link
