"""Giving a finished file its name only if the name is free: by a hard link, or by renameat2 where there are none."""

import ctypes
import errno
import os
from pathlib import Path

from mlplat.errors import StoreError

NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What link(2) answers where there are no hard links: exFAT, some network and FUSE file systems, Android."""

NO_RENAMEAT2 = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
RENAME_NOREPLACE = 1
AT_FDCWD = -100


def place(temporary: Path, final: Path) -> bool:
    """Let `final` name the file that `temporary` names, unless it names one already; whether it does now.

    Raises:
        StoreError: if the file system has neither hard links nor RENAME_NOREPLACE.
        OSError: for all else.
    """
    try:
        os.link(temporary, final)
    except FileExistsError:
        return _is_ours(temporary, final)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return rename_if_absent(temporary, final)
    return True


def _is_ours(temporary: Path, final: Path) -> bool:
    """Whether the link is there because NFS made it, lost its reply and asked again."""
    return os.path.samestat(temporary.stat(), final.lstat())


def rename_if_absent(temporary: Path, final: Path) -> bool:
    """Rename `temporary` to `final` unless that exists; whether it was renamed. See renameat2(2).

    Raises:
        StoreError: if kernel, C library or file system cannot do it.
        OSError: for all else.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if renameat2 is not None:
        if renameat2(AT_FDCWD, os.fsencode(temporary), AT_FDCWD, os.fsencode(final), RENAME_NOREPLACE) == 0:
            return True
        code = ctypes.get_errno()
    if code == errno.EEXIST:
        return False
    if code in NO_RENAMEAT2:
        raise StoreError(
            f"The file system of {final.parent} has neither hard links nor an atomic rename, so two writers of one "
            "version could overwrite each other.",
            hint="Keep the store on a local disk, on NFS or in an object store (s3://, gs://, az://).",
        )
    raise OSError(code, os.strerror(code), str(final))
