"""Every error that a person may meet: one sentence, what to do about it, an exit code and an HTTP status."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every `mlplat` command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4


class MlplatError(Exception):
    """The root of all errors raised on purpose.

    Args:
        message: one sentence that says what is wrong, naming the thing (model, column, row, URL).
        hint: what to do about it; may be empty.
    """

    exit_code: Exit = Exit.FAILED
    status: int = 500
    code: str = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(MlplatError):
    """An option, a name or a parameter that cannot be what the caller meant."""

    exit_code = Exit.USAGE
    status = 400
    code = "bad_request"


class ForbiddenError(UsageError):
    """What the key does not allow."""

    status = 403
    code = "forbidden"


class NotFoundError(MlplatError):
    """A model, version, alias or file that does not exist."""

    exit_code = Exit.NOT_FOUND
    status = 404
    code = "not_found"


class GoneError(NotFoundError):
    """A version that does not exist any more, and never will again."""

    code = "deleted"


class ConflictError(MlplatError):
    """Someone else's, or an earlier, different thing is already there; nothing was overwritten."""

    exit_code = Exit.CONFLICT
    status = 409
    code = "conflict"


class MovedError(ConflictError):
    """An alias that no longer names what whoever wants to move it saw."""

    code = "moved"


class DeletedError(ConflictError):
    """A version that was deleted; its name is never used again."""

    code = "deleted"


class StoreError(MlplatError):
    """The store cannot be read or written now: unreachable, read-only, full."""

    status = 503
    code = "store_unavailable"


class NoStoreError(StoreError):
    """The folder of the store does not exist: nothing was published yet, or its volume is not mounted."""

    exit_code = Exit.NOT_FOUND


class CorruptError(MlplatError):
    """Bytes in the store are not the bytes that were published."""

    status = 500
    code = "corrupt"


class SchemaError(MlplatError):
    """A manifest that this release cannot read."""

    code = "unreadable_manifest"


class DataError(MlplatError):
    """Training or batch data that cannot be used; names the column, the row and what was expected."""

    status = 422
    code = "bad_data"


class ExportError(MlplatError):
    """An estimator that cannot be exported, or whose export does not predict what it predicts."""

    code = "export_failed"


class GoldenError(MlplatError):
    """A loaded version does not repeat the predictions that training recorded."""

    code = "golden_mismatch"


class RequestError(MlplatError):
    """A request that cannot be answered as it is; `status` says which kind.

    Args:
        message: one sentence that names row, column, found and expected where there are any.
        status: the HTTP status, 4xx.
        code: a stable word for programs.
    """

    def __init__(self, message: str, *, status: int = 422, code: str = "invalid_input", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class MethodError(RequestError):
    """A method that is not allowed at a path; `allowed` names those that are."""

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(
            f"{method[:20]} is not allowed at {path[:200]}, only {allowed}; see /docs.",
            status=405,
            code="method_not_allowed",
        )
        self.allowed = allowed


class OverloadedError(MlplatError):
    """The server cannot answer within its deadline, or is not ready.

    Args:
        message: one sentence.
        hint: what to do about it.
        retry_after: seconds after which another try may be worth it.
    """

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = max(1, retry_after)
