"""How much of a batch's labels its guesses hit."""

import oneflow as flow


def count_hits(guesses: flow.Tensor, labels: flow.Tensor) -> flow.Tensor:
    """Return for each image whether it is guessed right, (n,) float32.

    Args:
        guesses: (n,) classes.
        labels: (n,) classes: 1 or 0. Or (n, classes), the shares of mixup and CutMix, of which a
            guess hits the share of its class: 0.7 for the class that 70 % of the image are of.
    """
    if labels.ndim == 1:
        return (guesses == labels).float()
    return flow.gather(labels, 1, guesses.reshape(-1, 1)).reshape(-1)
