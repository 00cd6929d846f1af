"""The data sets, in memory, and the batches made of them."""

from data.dataset import Dataset, Split, build_dataset, split_sizes
from data.loader import BatchLoader

__all__ = ["BatchLoader", "Dataset", "Split", "build_dataset", "split_sizes"]
