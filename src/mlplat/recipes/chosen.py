"""Recipes whose estimator is a parameter: `estimator=ridge`, and beside it that estimator's own parameters."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field
from sklearn.base import BaseEstimator

from mlplat.bundle.features import Features
from mlplat.bundle.manifest import Task
from mlplat.errors import UsageError
from mlplat.recipes.base import Recipe
from mlplat.recipes.estimators import CLASSIFIERS, DEFAULT, REGRESSORS, Choice, make_estimator
from mlplat.recipes.params import ParameterHelp, Parameters, describe_parameters, refuse_unknown


class EstimatorParameters(Parameters):
    """The parameter that chooses an estimator."""

    estimator: str = Field(default=DEFAULT, description="the name of the estimator")


class ChosenRecipe(Recipe):
    """A recipe with the parameter `estimator`, whose parameters stand beside the recipe's own."""

    Params: ClassVar[type[Parameters]] = EstimatorParameters
    choices: ClassVar[tuple[Mapping[str, Choice], ...]] = (CLASSIFIERS, REGRESSORS)
    """The estimators to choose from, by task."""

    def __init__(self, params: Any, estimator_params: Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        self.estimator_params = dict(estimator_params or {})

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """The recipe with its own and its estimator's parameters."""
        owner = f"recipe {cls.label()!r}"
        own_names = list(cls.Params.model_fields)
        params: Any = cls.Params.read({n: v for n, v in given.items() if n in own_names}, owner=owner)
        models = [choices[params.estimator].params for choices in cls.choices if params.estimator in choices]
        if not models:
            names = dict.fromkeys(name for choices in cls.choices for name in choices)
            raise UsageError(f"There is no estimator {params.estimator!r}.", hint=f"Choose one of: {', '.join(names)}.")
        of_estimator = list(dict.fromkeys(name for model in models for name in model.model_fields))
        refuse_unknown(given, [*own_names, *of_estimator], owner=f"{owner} with the estimator {params.estimator!r}")
        rest = {n: v for n, v in given.items() if n in of_estimator}
        return cls(params, models[0].read(rest, owner=f"estimator {params.estimator!r}").explicit())

    @classmethod
    def describe(cls) -> list[ParameterHelp]:
        """The recipe's own parameters, then those of each estimator."""
        own = describe_parameters(cls.Params)
        merged = {name: choice.params for choices in reversed(cls.choices) for name, choice in choices.items()}
        return own + [line for name, model in merged.items() for line in describe_parameters(model, of=name)]

    def explicit(self) -> dict[str, Any]:
        """The parameters that were given, the estimator's among them."""
        return super().explicit() | self.estimator_params

    def estimator(self, features: Features, task: Task) -> BaseEstimator:
        """The chosen one."""
        return make_estimator(self.params.estimator, self.estimator_params, features, task)
