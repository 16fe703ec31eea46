"""A store behind a registry: versions and aliases through its API, without credentials of what is behind it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from pydantic import AwareDatetime, BaseModel, StringConstraints, ValidationError

from mlplat.bundle import names
from mlplat.bundle.manifest import FileEntry, Manifest, sha256_of
from mlplat.errors import DeletedError, GoneError, MovedError, NotFoundError
from mlplat.objects.files import explain
from mlplat.store import content, keys
from mlplat.store.aliases import UNCHECKED, Clock, Expected, Move, utc_now
from mlplat.store.client import UPLOADS, Client, Patience, Sink, checked_url
from mlplat.store.multipart import Multipart
from mlplat.store.publishing import another, check_files
from mlplat.store.replies import AwayError, UnknownPathError, no_registry
from mlplat.store.seal import seal
from mlplat.store.storekey import key_from
from mlplat.store.tombstones import NEVER_AGAIN
from mlplat.store.versions import Role, Store, read_manifest

PAGE = 200
MOVES = 8
"""So often an alias that others move meanwhile is moved, by who does not mind."""

MOST_PAGES = 10_000
T = TypeVar("T", bound=BaseModel)


def open_registry(url: str) -> "RegistryStore":
    """The store behind the registry at a URL, with the key that the environment gives.

    Raises:
        UsageError: if the URL holds a password, or the key is none.
    """
    return RegistryStore(Client(checked_url(url), key_from()))


class RegistryStore(Store):
    """Versions and aliases as a registry shows them. It writes its own name for the key as who moved an alias."""

    def __init__(self, client: Client, *, clock: Clock = utc_now) -> None:
        self._client = client
        self.url = client.url
        self.clock = clock

    def models(self) -> list[str]:
        """The models that have a version."""
        found = (self._read(_Model, item) for item in self._items("/models?sort=name"))
        return sorted(model.name for model in found if model.versions and names.is_valid(model.name))

    def versions(self, model: str) -> list[str]:
        """The versions of a model, v2 before v10; none if there is no such model."""
        try:
            found = [
                self._read(_Version, item).version for item in self._items(f"{_model(model)}/versions?sort=version")
            ]
        except NotFoundError:
            return []
        return sorted(filter(names.is_valid, found), key=keys.natural)

    def manifest(self, model: str, version: str) -> Manifest:
        """The manifest of a version. Raises NotFoundError, CorruptError, SchemaError."""
        path = f"{_version(model, version)}/manifest"
        reply = self._client.ask("GET", path)
        if sha256_of(reply.body) != reply.etag:
            self._refuse("it sends a manifest that is not the one it says")
        return read_manifest(reply.body, model, version, source=self.url + path)

    def require(self, model: str, role: Role) -> None:
        """Refuse what needs a role with a model, before it is begun. Raises ForbiddenError."""
        with suppress(UnknownPathError):  # an earlier release refuses it when it is done
            self._client.ask("GET", f"{_model(model)}/access?role={role}")

    def publish(self, manifest: Manifest, files: Mapping[str, Path]) -> None:
        """Send a version, unless it is there. Raises ConflictError, DeletedError, CorruptError.

        An upload that is cut leaves nothing, and is sent again; one whose answer was lost is found to be there.
        """
        there = f"{_version(manifest.model, manifest.version)}/manifest"
        check_files(manifest, files)
        sealed = seal(manifest)
        body = Multipart(manifest, sealed, files)
        for attempt in range(UPLOADS):
            if self._is_there(manifest, there, sealed):
                return
            self.require(manifest.model, "writer")  # an answer amid an upload may be lost
            try:
                reply = self._client.upload(f"{_model(manifest.model)}/versions", body)
            except AwayError as error:
                if attempt + 1 == UPLOADS:
                    raise
                Patience().wait(error)
            else:
                if self._read(_Created, self._decode(reply.body)).sha256 != sha256_of(sealed):
                    self._refuse("it took another version than the one that was sent")
                return

    def delete(self, model: str, version: str, *, by: str, reason: str) -> None:
        """Delete a version for good. Raises NotFoundError, ConflictError."""
        del by
        with suppress(GoneError):  # it is done, perhaps by the same request whose answer was lost
            self._client.ask("DELETE", _version(model, version), body={"reason": reason})

    def read_file(self, manifest: Manifest, name: str) -> bytes:
        """The bytes of a file of a version, verified. Raises NotFoundError, CorruptError."""
        buffer = BytesIO()
        self._receive(manifest, name, Sink(buffer))
        return buffer.getvalue()

    def download(self, manifest: Manifest, name: str, to: Path) -> None:
        """Copy a file of a version to the path `to`, verified. Raises NotFoundError, CorruptError."""
        try:
            with to.open("wb") as out:
                self._receive(manifest, name, Sink(out))
        except OSError as error:
            raise explain(error, "write", str(to)) from error

    def verify(self, model: str, version: str) -> Manifest:
        """Read a whole version and return its manifest. Raises CorruptError."""
        manifest = self.manifest(model, version)
        for name in manifest.files:
            self._receive(manifest, name, Sink())
        return manifest

    def aliases(self, model: str) -> dict[str, Move]:
        """The aliases of a model and the move that each came from last."""
        try:
            found = self._json("GET", f"{_model(model)}/aliases")
        except NotFoundError:
            return {}
        if not isinstance(found, dict):
            self._refuse("its aliases are no object")
        return {alias: self._move(move) for alias, move in found.items() if names.is_valid(alias)}

    def alias(self, model: str, alias: str) -> Move:
        """The last move of an alias. Raises NotFoundError."""
        return self._move(self._json("GET", _alias(model, alias)))

    def history(self, model: str, alias: str) -> list[Move]:
        """All moves of an alias, the oldest first. Raises NotFoundError."""
        return [self._move(item) for item in self._items(f"{_alias(model, alias)}/history?")][::-1]

    def move(
        self,
        model: str,
        alias: str,
        version: str,
        *,
        reason: str,
        by: str,
        expected: Expected = UNCHECKED,
        after: int | None = None,
    ) -> Move:
        """Let an alias name a version. Raises NotFoundError, MovedError."""
        del by
        names.check(version, "version")
        if isinstance(expected, str):
            current = self._current(model, alias)
            if current is not None and current.version == version:
                return current
            if current is None or current.version != expected:
                now = "names nothing yet" if current is None else f"names {current.version!r}"
                raise MovedError(
                    f"The alias {alias!r} of {model!r} {now}; {expected!r} was expected.",
                    hint="Nothing was moved; look again.",
                )
            after = current.number if after is None else after
        elif expected is None:
            after = 0
        if after is None:  # whoever does not mind what it names now
            for _ in range(MOVES - 1):
                with suppress(MovedError):
                    return self._move_after(model, alias, self._number(model, alias), version=version, reason=reason)
            after = self._number(model, alias)
        return self._move_after(model, alias, after, version=version, reason=reason)

    def _move_after(self, model: str, alias: str, after: int, *, version: str, reason: str) -> Move:
        """Move an alias whose last move has a number.

        Where the answer is lost it is asked again, and refused if the first time did it and others moved it since: what is
        in the history just so was done.
        """
        body = {"version": version, "reason": reason}
        try:
            return self._move(self._json("PUT", _alias(model, alias), body=body, headers=_condition(after)))
        except MovedError:
            done = next((move for move in self.history(model, alias) if move.number == after + 1), None)
            if done is None or (done.version, done.reason) != (version, reason):
                raise
            return done

    def stay(self, model: str, alias: str, *, reason: str, by: str) -> None:
        """Say in the history of an alias why it was not moved; nothing is written where it does not exist."""
        del by
        if self._current(model, alias) is not None:
            self._client.ask("POST", f"{_alias(model, alias)}/stays", body={"reason": reason})

    def published(self, manifest: Manifest) -> datetime:
        """When a version came into this store."""
        found = self._read(_Published, self._json("GET", _version(manifest.model, manifest.version)))
        return max(manifest.created_at, found.published_at)

    def deleted(self, model: str) -> list[str]:
        """None: the registry itself finishes a deletion that was killed."""
        names.check(model, "model")
        return []

    def sweep(self, model: str, needed: Collection[str], *, dry_run: bool) -> dict[str, int]:
        """Nothing: files are removed by who prunes the store itself."""
        del needed, dry_run
        names.check(model, "model")
        return {}

    def _is_there(self, manifest: Manifest, path: str, sealed: bytes) -> bool:
        """Whether this very version is in the store. Raises ConflictError if another one of its name is, or was."""
        try:
            reply = self._client.ask("GET", path)
        except GoneError as error:
            raise DeletedError(error.message, hint=NEVER_AGAIN) from error
        except NotFoundError:
            return False
        if reply.body != sealed:
            raise another(manifest)
        return True

    def _receive(self, manifest: Manifest, name: str, sink: Sink) -> None:
        entry: FileEntry = content.entry(manifest, name)
        path = f"{_version(manifest.model, manifest.version)}/files/{name}"
        self._client.download(path, sink, size=entry.bytes, etag=f'"{entry.sha256}"')
        if sink.sha256 != entry.sha256:
            raise content.damaged(manifest, name, self.url)

    def _number(self, model: str, alias: str) -> int:
        """Of the last move of an alias; 0 if there is none."""
        current = self._current(model, alias)
        return 0 if current is None else current.number

    def _current(self, model: str, alias: str) -> Move | None:
        try:
            return self.alias(model, alias)
        except NotFoundError:
            return None

    def _items(self, path: str) -> Iterator[Any]:
        """The items of a list, page by page; `path` ends with its query."""
        cursor = ""
        for _ in range(MOST_PAGES):
            page = self._read(_Page, self._json("GET", f"{path}&limit={PAGE}{cursor}"))
            yield from page.items
            if page.next is None:
                return
            cursor = f"&cursor={page.next}"
        self._refuse("its list has no end in sight")

    def _move(self, raw: Any) -> Move:
        return self._read(Move, {**raw, "writer": ""} if isinstance(raw, dict) else raw)

    def _json(self, method: str, path: str, **sent: Any) -> Any:
        return self._decode(self._client.ask(method, path, **sent).body)

    def _decode(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._refuse("what it sends is not JSON")

    def _read(self, kind: type[T], raw: Any) -> T:
        try:
            return kind.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            self._refuse(f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg']}")

    def _refuse(self, why: str) -> NoReturn:
        raise no_registry(self.url, why)


class _Page(BaseModel):
    items: list[Any]
    next: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]{1,4096}$")] | None


class _Model(BaseModel):
    name: str
    versions: int


class _Version(BaseModel):
    version: str


class _Published(BaseModel):
    published_at: AwareDatetime


class _Created(BaseModel):
    sha256: str


def _model(model: str) -> str:
    return f"/models/{names.check(model, 'model')}"


def _version(model: str, version: str) -> str:
    return f"{_model(model)}/versions/{names.check(version, 'version')}"


def _alias(model: str, alias: str) -> str:
    return f"{_model(model)}/aliases/{names.check(alias, 'alias')}"


def _condition(after: int) -> dict[str, str]:
    """The header that asks for a last move of that number; 0 if there must be none."""
    return {"If-Match": f'"{after}"'} if after else {"If-None-Match": "*"}
