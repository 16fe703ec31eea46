"""What skl2onnx 1.20 gets wrong with scikit-learn 1.9, put right in one place until it is fixed there.

HistGradientBoosting* (https://github.com/onnx/sklearn-onnx/blob/main/skl2onnx/operator_converters/random_forest.py):

- Node ids, base values and flags are handed to onnx as numpy scalars, arrays and booleans, which it refuses since it
  checks types: make them lists of Python numbers.
- Thresholds are rounded to the nearest float32, so that a value equal to a threshold that was rounded up goes left
  where scikit-learn goes right: round them down (x <= t holds for a float32 x exactly if x <= floor32(t)).
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

_NAMES = ("SklearnHistGradientBoostingClassifier", "SklearnHistGradientBoostingRegressor")
_done = False


def repair_converters() -> None:
    """Wrap the broken converters, once per process."""
    global _done  # noqa: PLW0603  # the registry of skl2onnx is global too
    if _done:
        return
    from skl2onnx.common._registration import get_converter, register_converter

    for name in _NAMES:
        registered = get_converter(name)
        register_converter(name, _wrap(registered._fct), overwrite=True, options=registered.get_allowed_options())  # noqa: SLF001
    _done = True


def _wrap(convert: Callable[..., None]) -> Callable[..., None]:
    def converter(scope: Any, operator: Any, container: Any) -> None:
        original = operator.raw_operator
        operator.raw_operator = _with_floored_thresholds(original)
        try:
            convert(scope, operator, _PlainNumbers(container))
        finally:
            operator.raw_operator = original

    return converter


class _PlainNumbers:
    """A container of skl2onnx that turns numpy attributes of a node into Python ones."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> Any:
        """Add a node."""
        return self._container.add_node(*args, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, bool) else value


def _with_floored_thresholds(estimator: Any) -> Any:
    floored = copy.copy(estimator)
    floored._predictors = copy.deepcopy(estimator._predictors)  # noqa: SLF001  # the trees have no public face
    for trees in floored._predictors:  # noqa: SLF001
        for tree in trees:
            tree.nodes["num_threshold"] = _floor32(tree.nodes["num_threshold"])
    return floored


def _floor32(values: Any) -> Any:
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)
