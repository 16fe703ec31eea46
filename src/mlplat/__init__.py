"""Train, publish, serve and score scikit-learn models."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: the import behind it takes longer than all that `__main__` does before."""
    if name == "__version__":
        from importlib.metadata import version

        return version("mlplat")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
