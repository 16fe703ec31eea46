"""Bytes at a URL: a folder, or a bucket of an object store."""

from mlplat.objects.base import Objects, open_objects

__all__ = ["Objects", "open_objects"]
