"""Train, publish, serve and score scikit-learn models."""

from importlib.metadata import version

__version__ = version("mlplat")
