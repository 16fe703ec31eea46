"""Train, publish, serve and score scikit-learn models."""

TYPE_CHECKING = False  # that of `typing`, whose import takes longer than all that `__main__` does before
__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        """`__version__`, looked up when it is asked for, as the import behind it takes long, too."""
        if name == "__version__":
            from importlib.metadata import version

            return version("mlplat")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
