"""`python -m tests.helpers.several FOLDER`: each rank writes RANK.json to FOLDER."""

import json
import sys
from pathlib import Path

import numpy as np

from engine.finite import build_guard, measure_gradient
from engine.process import ranks
from engine.process.runtime import flow, follow_seed
from tests.helpers.nets import with_dropout, without_norms


def images(count):
    pixels = np.random.default_rng(0).random((count, 3, 32, 32))
    return flow.tensor(pixels.astype("float32")), flow.tensor(np.arange(count))


def gradients(count, updates=1, set_to_none=False):
    """The gradient of the last of some updates with a batch; and the sums of the loss and hits."""
    flow.manual_seed(0)
    net = without_norms(10)
    optimizer = flow.optim.SGD(net.parameters(), lr=0.1)
    pixels, labels = images(count)
    for _ in range(updates):
        optimizer.zero_grad(set_to_none=set_to_none)
        own = ranks.own(labels)
        logits = net(pixels[ranks.part(count)])
        loss = ranks.weigh(flow.nn.CrossEntropyLoss()(logits, own), count)
        loss.backward()
        sums = ranks.add_gradients(net, loss.detach(), (own >= 0).float().sum(), count)
        optimizer.step()
    flat = np.concatenate([entry.grad.numpy().ravel() for entry in net.parameters()])
    return {"gradient": flat.tolist(), "loss": float(sums[0]), "hits": float(sums[1])}


def guard(skips):
    """Updates with a finite loss on both ranks, an infinite one on the last rank, a finite one."""
    net = without_norms(10)
    optimizer = flow.optim.SGD(net.parameters(), lr=0.1)
    guard = build_guard(optimizer, skips)
    pixels, labels = images(8)
    sound, moved = [], []
    for number in (0.0, float("inf"), 0.0):
        before = weights_of(net)
        pixels[7] = number
        loss = flow.nn.CrossEntropyLoss()(net(pixels[ranks.part(8)]), ranks.own(labels))
        loss.backward()
        loss, _ = ranks.add_gradients(net, ranks.weigh(loss.detach(), 8), loss.detach(), 8)
        sound.append(guard.step(flow.stack([loss, measure_gradient(net, None)])))
        moved.append(weights_of(net) != before)
        optimizer.zero_grad()
    return {"sound": sound, "moved": moved, "weights": weights_of(net)}


def weights_of(net):
    return [entry.numpy().tolist() for entry in net.parameters()]


def masks(seed, step):
    """Which of 64 values a dropout layer leaves in a step."""
    layer = flow.nn.Dropout(0.5)
    follow_seed(layer)
    flow.manual_seed(ranks.mask_seed(seed, step))
    return layer(flow.ones(64)).numpy().tolist()


def alone():
    """A net with norms on one rank alone, in training and in evaluation: nothing waits."""
    net = with_dropout(10)
    if ranks.RANK == 0:
        net(images(4)[0]).sum().backward()
        net.eval()(images(4)[0]).numpy()
    mean = dict(net.named_buffers())["3.running_mean"]
    before = float(mean.abs().sum())
    ranks.take_buffers(net)
    return [before, float(mean.abs().sum())]


if __name__ == "__main__":
    with ranks.together():
        found = {
            "rank": [ranks.RANK, ranks.SIZE],
            "even": gradients(8),
            "odd": gradients(7),
            "single": gradients(1),
            "many": gradients(7, updates=4),
            "none": gradients(7, updates=4, set_to_none=True),
            "stops": guard(skips=False),
            "skips": guard(skips=True),
            "masks": masks(3, 4),
            "alone": alone(),
            "add": ranks.add(np.array([1.0, ranks.RANK])).tolist(),
            "tell": ranks.tell({"from": ranks.RANK}),
        }
        Path(sys.argv[1], f"{ranks.RANK}.json").write_text(json.dumps(found))
