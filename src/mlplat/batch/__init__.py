"""Batch scoring: files in, the same files with predictions out, in constant memory."""

from mlplat.batch.deal import Share
from mlplat.batch.result import BatchResult, Counts
from mlplat.batch.run import score

__all__ = ["BatchResult", "Counts", "Share", "score"]
