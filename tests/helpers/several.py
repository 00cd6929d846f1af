"""`python -m tests.helpers.several FOLDER`: each of two ranks writes RANK.json to FOLDER."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from engine.process import ranks
from engine.process.runtime import flow, follow_seed
from engine.process.signals import Interrupted, Interruption
from tests.helpers.nets import with_dropout, without_norms


def gradients(count, updates=1, set_to_none=False):
    """The gradient of the last of some updates with a batch; and the sums of the loss and hits."""
    flow.manual_seed(0)
    net = without_norms(10)
    optimizer = flow.optim.SGD(net.parameters(), lr=0.1)
    pixels = flow.tensor(np.random.default_rng(0).random((count, 3, 32, 32)).astype("float32"))
    labels = ranks.local_part(flow.tensor(np.arange(count)))
    for _ in range(updates):
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = flow.nn.CrossEntropyLoss()(net(pixels[ranks.part(count)]), labels)
        loss = ranks.weigh(loss, count)
        loss.backward()
        sums = ranks.add_gradients(net, loss.detach(), (labels >= 0).float().sum(), count)
        optimizer.step()
    flat = np.concatenate([entry.grad.numpy().ravel() for entry in net.parameters()])
    return {"gradient": flat.tolist(), "loss": float(sums[0]), "hits": float(sums[1])}


def masks(seed, step):
    """Which of 64 values a dropout layer leaves in a step."""
    layer = flow.nn.Dropout(0.5)
    follow_seed(layer)
    flow.manual_seed(ranks.mask_seed(seed, step))
    return layer(flow.ones(64)).numpy().tolist()


def statistics():
    """What norms saw on rank 0 alone: before and after all ranks take it."""
    net = with_dropout(10)
    if ranks.RANK == 0:
        net(flow.ones(4, 3, 32, 32) * flow.arange(4).reshape(4, 1, 1, 1)).sum().backward()
    mean = dict(net.named_buffers())["3.running_mean"]
    before = float(mean.abs().sum())
    ranks.broadcast_buffers(net)
    return [before, float(mean.abs().sum())]


def refusal():
    """What rank 1 answers where rank 0 alone has a GPU."""
    try:
        ranks.check_device("cpu" if ranks.RANK else "cuda:0")
    except ValueError as error:
        return str(error)


def stop():
    """The step after which a rank stops when rank 1 gets SIGTERM in step 7, and the exit code."""
    with Interruption() as interruption:
        interruption.defer()
        for step in range(50):
            if (ranks.RANK, step) == (1, 7):
                os.kill(os.getpid(), signal.SIGTERM)
            try:
                interruption.poll()
            except Interrupted as error:
                return [step, error.code]


CASES = {"even": (8,), "odd": (7,), "single": (1,), "many": (7, 4), "none": (7, 4, True)}

if __name__ == "__main__":
    with ranks.connected():
        found = {name: gradients(*arguments) for name, arguments in CASES.items()}
        found |= {"masks": masks(3, 4), "statistics": statistics()}
        found |= {"refusal": refusal(), "stop": stop()}
        Path(sys.argv[1], f"{ranks.RANK}.json").write_text(json.dumps(found))
