"""Hits of plain and of mixed labels, and the loss of mixed ones with and without smoothing."""

import numpy as np
import oneflow as flow
import pytest

from engine.update import count_hits


def test_hits_are_shares_of_the_guessed_class():
    guesses = flow.tensor([2, 0, 1])
    assert count_hits(guesses, flow.tensor([2, 1, 1])).tolist() == [1.0, 0.0, 1.0]
    shares = flow.tensor([[0.0, 0.25, 0.75], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    assert count_hits(guesses, shares).tolist() == [0.75, 0.0, 0.5]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_shares_is_the_sum_of_the_shares_of_losses(smoothing):
    random = np.random.default_rng(0)
    logits = random.standard_normal((6, 10)).astype(np.float32)
    one, other = np.eye(10, dtype=np.float32)[random.integers(0, 10, (2, 6))]
    shares = 0.3 * one + 0.7 * other
    mixed = flow.tensor(logits, requires_grad=True)
    loss = flow.nn.CrossEntropyLoss(label_smoothing=smoothing)(mixed, flow.tensor(shares))
    loss.backward()
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (1 - smoothing) * shares + smoothing / 10
    assert float(loss) == pytest.approx(-(targets * np.log(odds)).sum() / 6, abs=1e-5)
    np.testing.assert_allclose(mixed.grad.numpy(), (odds - targets) / 6, atol=1e-6)
