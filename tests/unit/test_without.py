"""Importing a library without what it would take along."""

import importlib
import sys

import pytest

from mlplat.without import without


def test_what_is_hidden_cannot_be_imported_within_and_can_afterwards() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ImportError):
        importlib.import_module("this")
    assert "this" not in sys.modules


def test_what_was_imported_before_stays() -> None:
    with without("json"):
        assert importlib.import_module("json").dumps(1) == "1"
    assert "json" in sys.modules
