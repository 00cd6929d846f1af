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
    one, other = random.integers(0, 10, (2, 6))
    eye = np.eye(10, dtype=np.float32)
    criterion = flow.nn.CrossEntropyLoss(label_smoothing=smoothing)
    mixed, apart = (flow.tensor(logits, requires_grad=True) for _ in range(2))
    loss = criterion(mixed, flow.tensor(0.3 * eye[one] + 0.7 * eye[other]))
    loss.backward()
    pair = criterion(apart, flow.tensor(one)) * 0.3 + criterion(apart, flow.tensor(other)) * 0.7
    pair.backward()
    assert float(loss) == pytest.approx(float(pair), abs=1e-6)
    np.testing.assert_allclose(mixed.grad.numpy(), apart.grad.numpy(), atol=1e-7)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_odds = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = (1 - smoothing) * (0.3 * eye[one] + 0.7 * eye[other]) + smoothing / 10
    assert float(loss) == pytest.approx(-(targets * log_odds).sum() / 6, abs=1e-5)
