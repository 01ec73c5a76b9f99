"""The file that a post means by the name of its image.

A post names a path below a root. Exports spell it as their machines do, so where there is no such file, the one is
taken that fits when these are the same, where exactly one does:

| step | same |
|---|---|
| 1 | NFC and NFD, a backslash and a slash, with and without a leading slash, spaces around it |
| 2 | escaped as in a URL (`%20`) and not |
| 3 | upper and lower case |
| 4 | with and without the extension |

The first step at which any file fits decides. No name leads out of the root. Where none fits and a folder that the name
leads through cannot be listed, the image is `unreadable` and not `missing`.
"""

from __future__ import annotations

import difflib
import os
import posixpath
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from popspark.images.decode import ImageRefused
from popspark.images.junk import junk_kind
from popspark.images.listing import as_text, is_folder, is_inside, local_source, outside, to_bytes, uri_of
from popspark.images.references import OBJECT_STORES, local_path, open_store, split_uri

FOLDERS_KEPT = 64
"""Listings that a worker keeps."""
NEIGHBOURS = 100
"""Names before and behind a name in a folder's order, among which the nearest is looked for: a millisecond."""


class _Folder(NamedTuple):
    """Names of a folder, by their loosest form. A byte that is not UTF-8 is a surrogate in them, as Python has it."""

    folders: dict[str, list[str]]
    files: dict[str, list[str]]
    stems: dict[str, list[str]]
    folder_order: list[str]
    file_order: list[str]
    error: str | None = None
    """Why its names are not known."""


def _shown(path: str) -> str:
    """A path of this file, which may hold bytes that are not UTF-8, as text for people."""
    return as_text(path.encode("utf-8", "surrogateescape"))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _unescaped(text: str) -> str:
    return _plain(unquote(text))


def _loose(text: str) -> str:
    return _plain(_unescaped(text).casefold())


def _stem(text: str) -> str:
    return posixpath.splitext(_loose(text))[0]


def _steps_of(image_id: str) -> list[str]:
    """The steps of a spelling from the root on; `..` first where it leads out of that."""
    text = posixpath.normpath(image_id.strip().replace("\\", "/").lstrip("/"))
    return [step for step in text.split("/") if step != "."]


class Names:
    """The files below a root, by what posts call them; on executors.

    root: an absolute path, a `file://` address or a url. follow_links: whether links may lead out of it.
    """

    def __init__(self, root: str, follow_links: bool = False) -> None:
        self._follow_links = follow_links
        path = local_source(root)
        self._typed = b"" if path is None else to_bytes(path)
        self._base = None if path is None else os.path.realpath(self._typed)
        self._url = root.rstrip("/")
        self.root = self._url if self._base is None else as_text(self._base)
        self._list = lru_cache(FOLDERS_KEPT)(self._read_folder)

    def exact(self, image_id: str) -> str:
        """The uri of a name as it is spelt, whether or not it is there; raises `ImageRefused` where it leads out."""
        if not image_id:
            raise ImageRefused("missing", "the row names no image")
        if "\0" in image_id:
            raise ImageRefused("missing", "the name has a NUL byte, which no file's name has")
        if self._base is None:
            scheme, _, base = self._url.partition("://")
            path = posixpath.normpath(posixpath.join(base, image_id))
            if not path.startswith(base + "/"):
                raise ImageRefused("outside_root", f"the path leads out of {self._url}")
            return f"{scheme}://{path}"
        typed = local_path(image_id) if image_id.startswith("file://") else image_id.encode("utf-8")
        named = os.path.normpath(os.path.join(self._base, typed or b""))
        if is_inside(named, self._typed):  # in full, where the root is a link
            named = os.path.join(self._base, os.path.relpath(named, self._typed))
        return self._checked(named)

    def _checked(self, path: bytes) -> str:
        assert self._base is not None
        if not is_inside(path, self._base):
            raise ImageRefused("outside_root", f"the path leads out of {self.root}")
        target = os.path.realpath(path)
        if not self._follow_links and not is_inside(target, self._base):
            raise ImageRefused("outside_root", outside(target, self._base))
        return uri_of(path)

    def search(self, image_id: str) -> str:
        """The uri of the one file that fits; raises `ImageRefused`, which names the nearest."""
        spellings = [_steps_of(image_id), _steps_of(unquote(image_id))]
        if any(steps[:1] == [".."] for steps in spellings):
            raise ImageRefused("outside_root", f"the path leads out of {self.root}")
        fits = list(dict.fromkeys(path for steps in spellings for path in self._fitting(steps)))
        wanted = ["/".join(steps) for steps in spellings]
        for form in (_plain, _unescaped, _loose, _stem):
            meant = {_loose(path) if form is _stem else form(path) for path in wanted}
            same = [path for path in fits if form(_shown(path)) in meant]
            if len(same) == 1:
                return self._uri(same[0])
            if same:
                some = ", ".join(map(_shown, same[:3]))
                raise ImageRefused("missing", f"there is no such file, and {len(same)} that it could be: {some}")
        self._check_known(spellings)
        nearest = next(filter(None, map(self._nearest, (spellings[0][i:] for i in range(len(spellings[0]))))), None)
        raise ImageRefused(
            "missing", "there is no such file" + (f"; the nearest is {_shown(nearest)}" if nearest else "")
        )

    def _uri(self, path: str) -> str:
        if self._base is None:
            return f"{self._url}/{path}"
        return self._checked(os.path.join(self._base, path.encode("utf-8", "surrogateescape")))

    def _fitting(self, steps: list[str]) -> list[str]:
        last = _loose(steps[-1]) if steps else ""
        return [
            f"{at}{name}"
            for at in self._folders_of(steps)[-1]
            for named in (self._list(at).files, self._list(at).stems)
            for name in named.get(last, [])
        ]

    def _folders_of(self, steps: list[str]) -> list[list[str]]:
        """The folders that fit before each step of a path."""
        found = [[""]]
        for step in steps[:-1]:
            loose = _loose(step)
            found.append([f"{at}{name}/" for at in found[-1] for name in self._list(at).folders.get(loose, [])])
        return found

    def _check_known(self, spellings: list[list[str]]) -> None:
        """Raises `ImageRefused` where a folder on the way could not be listed: the file may be in it."""
        for at in (at for steps in spellings for fitting in self._folders_of(steps) for at in fitting):
            if error := self._list(at).error:
                where = _shown(at) or "the root"
                raise ImageRefused("unreadable", f"{error}; which files are in {where} is not known")

    def _nearest(self, steps: list[str]) -> str | None:
        at = ""
        for i, step in enumerate(steps):
            found, loose, is_last = self._list(at), _loose(step), i == len(steps) - 1
            if is_last and loose in found.stems:
                return at + found.stems[loose][0]
            order = found.file_order if is_last else found.folder_order
            first = max(bisect_left(order, loose) - NEIGHBOURS, 0)
            close = difflib.get_close_matches(loose, order[first : first + 2 * NEIGHBOURS], 1, cutoff=0.75)
            if not close:
                return None
            at += (found.files if is_last else found.folders)[close[0]][0] + "/"
        return at.rstrip("/") or None

    def _read_folder(self, below: str) -> _Folder:
        """What is in a folder, without the files that are no photographs by their names."""
        folders, files, stems = (defaultdict[str, list[str]](list) for _ in range(3))
        error = None
        try:
            inside = self._local_names(below) if self._base is not None else self._remote_names(below)
        except (FileNotFoundError, NotADirectoryError):
            inside = []
        except Exception as raised:  # another OSError or one of obstore's
            reason = getattr(raised, "strerror", None) or raised
            inside, error = [], f"{type(raised).__name__}: {reason}"[:200]
        for name, has_files in sorted(inside):
            shown = _shown(name)
            if junk_kind(shown):
                continue
            loose = _loose(shown)
            (folders if has_files else files)[loose].append(name)
            if not has_files and (stem := _stem(shown)) != loose:
                stems[stem].append(name)
        return _Folder(dict(folders), dict(files), dict(stems), sorted(folders), sorted(files), error)

    def _local_names(self, below: str) -> list[tuple[str, bool]]:
        assert self._base is not None
        path = os.path.join(self._base, below.encode("utf-8", "surrogateescape"))
        if not self._follow_links and not is_inside(os.path.realpath(path), self._base):
            return []
        with os.scandir(path) as stream:
            return [(entry.name.decode("utf-8", "surrogateescape"), is_folder(entry)) for entry in stream]

    def _remote_names(self, below: str) -> list[tuple[str, bool]]:
        at = f"{self._url}/{below}".rstrip("/")
        if self._url.partition("://")[0] in OBJECT_STORES:
            url, prefix = split_uri(at)
            found = open_store(url).list_with_delimiter(prefix or None)
            names = [(entry["path"], False) for entry in found["objects"]]
            names += [(path, True) for path in found["common_prefixes"]]
        else:
            from pyarrow import fs

            filesystem, path = fs.FileSystem.from_uri(at)
            infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
            names = [(info.path, info.type == fs.FileType.Directory) for info in infos]
        return [(posixpath.basename(path.rstrip("/")), has_files) for path, has_files in names]
