"""A manifest as it is stored: whole, or refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mlplat.bundle.manifest import sha256_of
from mlplat.errors import CorruptError, MlplatError, SchemaError
from mlplat.store.seal import is_sealed, seal, unseal

Drafts = Callable[..., Any]


def test_what_was_sealed_comes_back(draft: Drafts) -> None:
    manifest = draft().manifest
    data = seal(manifest)
    assert unseal(data, source="here") == manifest
    fields = json.loads(data)
    assert list(fields)[-1] == "checksum"
    assert fields["checksum"] == sha256_of(manifest.to_json())


def test_no_byte_can_change_unseen(draft: Drafts) -> None:
    data = seal(draft().manifest)
    for place in range(0, len(data), 7):
        for other in (data[place] ^ 1, ord("0")):
            changed = data[:place] + bytes([other]) + data[place + 1 :]
            if changed != data:
                with pytest.raises(MlplatError):
                    unseal(changed, source="here")


@pytest.mark.parametrize("end", [b"", b"\n", b"}", b" "])
def test_nothing_may_be_added_or_lost(draft: Drafts, end: bytes) -> None:
    data = seal(draft().manifest)
    assert is_sealed(data)
    assert not is_sealed(data[:-1] if not end else data + end)


def test_a_manifest_without_a_seal_is_damaged_and_what_is_none_is_unreadable(draft: Drafts) -> None:
    with pytest.raises(CorruptError, match=r"^here is damaged: its checksum does not match"):
        unseal(draft().manifest.to_json(), source="here")
    with pytest.raises(SchemaError):
        unseal(b"[]", source="here")
