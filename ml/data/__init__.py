"""Photos in folders, one folder a class: found, checked, split."""

from ml.data.dataset import SPLITS, Dataset, DatasetError, Finding, Sample, Split
from ml.data.load import load_dataset

__all__ = ["SPLITS", "Dataset", "DatasetError", "Finding", "Sample", "Split", "load_dataset"]
