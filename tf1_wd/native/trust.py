"""Whether code on disk can have been put there by this user and root alone. Imports no TensorFlow."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from tf1_wd.errors import NativeOpError

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def check_folder(path: str) -> None:
    """Raises NativeOpError unless `path` and every folder above it belong to this user or root, and to nobody else.

    The rule is that of sshd for a user's keys (StrictModes): who can write to one of them can put any code there. A
    folder that others can write is fine above `path` where it is sticky, as /tmp is. What is not there yet is fine.
    """
    path = os.path.abspath(path)
    for folder in sorted({*_with_parents(path), *_with_parents(os.path.realpath(path))}, key=len):
        try:
            found = os.lstat(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise NativeOpError("%s cannot be looked at (%s): set $TF1_WD_CACHE" % (folder, error)) from error
        _check_owner(folder, found)
        if stat.S_ISLNK(found.st_mode):
            continue  # where it leads to is among the others
        if not stat.S_ISDIR(found.st_mode):
            raise NativeOpError("%s is not a folder: set $TF1_WD_CACHE to one" % folder)
        is_sticky = bool(found.st_mode & stat.S_ISVTX) and folder != os.path.realpath(path)
        if found.st_mode & _WRITABLE and not is_sticky and not _is_of_one_user(found):
            raise NativeOpError(
                "other users can write to %s (mode %o), and so put code there: chmod go-w %s, or set $TF1_WD_CACHE to "
                "a folder of your own" % (folder, stat.S_IMODE(found.st_mode), folder)
            )


def check_own_folder(path: str) -> None:
    """As check_folder, of a folder that only this program makes: it must not be a link either."""
    if os.path.islink(path):
        raise NativeOpError("%s is a link, which tf1_wd did not make: delete it" % path)
    check_folder(path)


def check_file(path: str) -> None:
    """Raises NativeOpError unless `path` is a file of this user's or root's, which nobody else can write."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise NativeOpError("%s is not a regular file, which tf1_wd did not make: delete it" % path)
    _check_owner(path, found)
    if found.st_mode & _WRITABLE and not _is_of_one_user(found):
        raise NativeOpError("other users can write to %s (mode %o): delete it" % (path, stat.S_IMODE(found.st_mode)))


def _with_parents(path: str) -> list[str]:
    found = [path]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise NativeOpError(
            "%s belongs to another user (uid %d), who can put code there: set $TF1_WD_CACHE to a folder of your own"
            % (path, found.st_uid)
        )


def _is_of_one_user(found: os.stat_result) -> bool:
    """True if only the group can write, and this user alone is in it, as where each user has a group of that name."""
    if found.st_mode & stat.S_IWOTH:
        return False
    try:
        members = set(grp.getgrgid(found.st_gid).gr_mem)
    except KeyError:  # a group without a name: who is in it cannot be known
        return False
    users = pwd.getpwall()
    mine = {user.pw_name for user in users if user.pw_uid == os.geteuid()}
    return members <= mine and all(user.pw_name in mine or user.pw_gid != found.st_gid for user in users)
