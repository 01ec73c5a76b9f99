"""The files of a folder, a glob or a bucket: each once, with what cannot be read as an entry that says so.

| there is | it becomes |
|---|---|
| a file, whatever its first letter | an entry, named by its path below the root; a byte that is not UTF-8 as `%E9` |
| hidden files, what NAS and phones put beside photographs, videos | counted by kind and left out (`junk_kind`) |
| a folder that cannot be read | an entry, `unreadable` |
| a link to a folder that is listed anyway | left out, so that loops end and each file stands once |
| a link that leads out of the root | an entry, `outside_root`; followed with `follow_links` |
| a link to nothing | an entry, `missing` |

A folder that exists is a folder, whatever signs its name has; in a glob, `*`, `?`, `[...]` stand for parts of one name
and `**` for any folders. What matches and is a folder is taken with all that is below it.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from popspark.images.junk import junk_kind
from popspark.images.references import OBJECT_STORES, local_path, open_store, split_uri
from popspark.runtime.errors import PathError

LINKS = "link to a folder that is listed anyway"


@dataclass(frozen=True)
class Entry:
    """A file below the root. uri: None where it is not read. status, error: what is known without reading it."""

    image_id: str
    uri: str | None = None
    n_bytes: int | None = None
    status: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Files:
    """Of a source. left_out: the numbers of files that are no entries, by kind."""

    root: str
    entries: list[Entry]
    left_out: Counter[str]

    def path_of(self, entry: Entry) -> str:
        """Where an entry is, for people."""
        return f"{as_text(to_bytes(self.root)).rstrip('/')}/{entry.image_id}"

    def __str__(self) -> str:
        """The line that says what was left out; empty where nothing was."""
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.left_out.items()))
        return f"Left out, as no photographs: {kinds}" if kinds else ""


def as_text(path: bytes) -> str:
    """A path of the file system as text, whatever the process's locale; bytes that are not UTF-8 as `%E9`."""
    text = path.decode("utf-8", "surrogateescape")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def uri_of(path: bytes) -> str:
    """The uri of a path: itself, or `file://` with all escaped where it is not UTF-8."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return f"file://{quote(path)}"


def is_inside(path: bytes, base: bytes) -> bool:
    """Whether a real path is below a real folder."""
    return path.startswith(base.rstrip(b"/") + b"/") or path == base


def _matches(steps: list[str], pattern: list[str]) -> bool:
    """Whether a path, or a folder that it is below, matches."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return _matches(steps, pattern[1:]) or (bool(steps) and _matches(steps[1:], pattern))
    return bool(steps) and _fits(steps[0], pattern[0]) and _matches(steps[1:], pattern[1:])


def _may_hold(steps: list[str], pattern: list[str]) -> bool:
    """Whether there may be files below a folder that match."""
    if not steps or not pattern or pattern[0] == "**":
        return True
    return _fits(steps[0], pattern[0]) and _may_hold(steps[1:], pattern[1:])


def _fits(name: str, sign: str) -> bool:
    return name == sign or fnmatchcase(name, sign)


def _split(source: str, exists: Callable[[str], bool]) -> tuple[str, list[str]]:
    """The folder before the first step that is a glob and no name of anything, and the steps from there on."""
    steps = source.rstrip("/").split("/")
    for i, step in enumerate(steps):
        if set(step) & set("*?[") and not exists("/".join(steps[: i + 1])):
            return "/".join(steps[:i]) or "/", steps[i:]
    return "/".join(steps) or "/", []


def find_files(source: str, follow_links: bool = False) -> Files:
    """The files of a source, listed by this process.

    source: a path, a `file://` address (escaped or not), or a url of an object store or of what pyarrow knows.
    Raises `PathError` where no image is.
    """
    if not source.strip() or "\0" in source:
        raise PathError("A source without a name.", got=repr(source), legal="a folder, a glob, or a url")
    left_out = Counter[str]()
    if (local := local_source(source)) is not None:
        root, pattern = _split(local, lambda path: os.path.lexists(to_bytes(path)))
        if os.path.isfile(to_bytes(root)):
            root, pattern = os.path.dirname(root), [*root.split("/")[-1:], *pattern]
        entries = list(_list_local(root, pattern, follow_links, left_out))
    else:
        lister, exists = (_list_bucket, _is_in_bucket) if _is_bucket(source) else (_list_by_pyarrow, _is_in_pyarrow)
        root, pattern = _split(source, exists)
        entries = list(_sort_out(lister(root), root, pattern, left_out))
    files = Files(root, list(_told_apart(entries)), left_out)
    if not entries:
        legal = "a folder or a glob with images in it"
        raise PathError("There are no photographs.", where=source, got=str(files) or None, legal=legal)
    return files


def local_source(source: str) -> str | None:
    """The absolute path that a user means by a path or a `file:` address, escaped or not; None of any other url."""
    if source.startswith("file:"):
        plain = "/" + source.removeprefix("file:").removeprefix("//localhost").lstrip("/")
        if os.path.lexists(to_bytes(plain)):
            return plain
        return os.fsdecode(local_path(source) or b"")
    return None if "://" in source else os.path.abspath(os.path.expanduser(source))


def existing_root(root: str) -> str:
    """The absolute path of a folder, or a url as it is; raises `PathError` where there is no such folder."""
    path = local_source(root)
    if path is not None and not os.path.isdir(to_bytes(path)):
        raise PathError("There is no such folder.", where=root)
    return root if path is None else path


def to_bytes(path: str) -> bytes:
    """A path as it was typed, for the file system; in a locale other than UTF-8 too."""
    typed = os.fsencode(path)
    return typed if os.path.lexists(typed) else path.encode("utf-8", "surrogateescape")


def _told_apart(entries: list[Entry]) -> Iterator[Entry]:
    """Entries of one id each: one that is only shown as `%E9` is escaped once more where another has that name.

    Its byte is sorted behind the sign `%`, so it is the later one.
    """
    taken = set[str]()
    for entry in entries:
        image_id = entry.image_id
        while image_id in taken:  # ends: it grows
            image_id = image_id.replace("%", "%25")
        taken.add(image_id)
        yield replace(entry, image_id=image_id)


def _list_local(root: str, pattern: list[str], follow_links: bool, left_out: Counter[str]) -> Iterator[Entry]:
    base = os.path.realpath(to_bytes(root))
    folders, links, seen = deque([b""]), deque[bytes](), set[tuple[int, int]]()
    while folders or links:
        is_link = not folders
        below = links.popleft() if is_link else folders.popleft()
        path = os.path.join(base, below)
        try:
            found = os.stat(path)
            if (found.st_dev, found.st_ino) in seen:
                left_out[LINKS] += is_link
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(path) as stream:
                inside = sorted(stream, key=lambda one: one.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # taken away meanwhile, or never there
        except OSError as error:
            if not below:
                raise PathError("This folder cannot be read.", where=root, got=f"{error.strerror}") from error
            reason = f"{type(error).__name__}: {error.strerror}; what is below this folder is not known"
            yield Entry(f"{as_text(below)}/", status="unreadable", error=reason)
            continue
        for one in inside:
            name = os.path.join(below, one.name)
            steps = as_text(name).split("/")
            has_files = is_folder(one)
            if not (_may_hold if has_files else _matches)(steps, pattern):
                continue
            if kind := junk_kind(steps[-1]):
                left_out[kind] += _count_below(one.path) if has_files and not one.is_symlink() else 1
            elif one.is_symlink() and (refused := _refuse_link(base, name, follow_links)):
                if _matches(steps, pattern):
                    yield refused
            elif has_files:
                (links if one.is_symlink() else folders).append(name)
            else:
                yield Entry(as_text(name), uri_of(os.path.join(base, name)), _size(one))


def is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Whether it is one, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _size(entry: os.DirEntry[bytes]) -> int | None:
    try:
        return entry.stat().st_size
    except OSError:  # the read says why
        return None


def _count_below(folder: bytes) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _refuse_link(base: bytes, name: bytes, follow_links: bool) -> Entry | None:
    path = os.path.join(base, name)
    target = os.path.realpath(path)
    if not os.path.exists(path):
        return Entry(
            as_text(name), status="missing", error=f"a link to {as_text(os.readlink(path))}, which is not there"
        )
    if follow_links or is_inside(target, base):
        return None
    return Entry(as_text(name), status="outside_root", error=outside(target, base))


def outside(target: bytes, base: bytes) -> str:
    """The reason of a link that is not followed."""
    return f"a link to {as_text(target)}, out of {as_text(base)}; follow_links=true reads it"


def _sort_out(
    names: Iterator[tuple[str, int]], root: str, pattern: list[str], left_out: Counter[str]
) -> Iterator[Entry]:
    for name, n_bytes in names:
        steps = name.split("/")
        if not _matches(steps, pattern):
            continue
        if kind := next(filter(None, map(junk_kind, steps)), None):
            left_out[kind] += 1
        else:
            yield Entry(name, f"{root.rstrip('/')}/{name}", n_bytes)


def _is_bucket(source: str) -> bool:
    return source.partition("://")[0] in OBJECT_STORES


def _is_in_bucket(source: str) -> bool:
    url, prefix = split_uri(source)
    return any(found for found in open_store(url).list(prefix))


def _list_bucket(root: str) -> Iterator[tuple[str, int]]:
    url, prefix = split_uri(root)
    below = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    for found in open_store(url).list(prefix or None):
        for entry in found:
            yield entry["path"][len(below) :], entry["size"]


def _open_pyarrow(uri: str) -> tuple[Any, str]:
    from pyarrow import fs

    found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return found


def _is_in_pyarrow(source: str) -> bool:
    from pyarrow import fs

    filesystem, path = _open_pyarrow(source)
    return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def _list_by_pyarrow(root: str) -> Iterator[tuple[str, int]]:
    from pyarrow import fs

    filesystem, base = _open_pyarrow(root)
    for info in filesystem.get_file_info(fs.FileSelector(base, allow_not_found=True, recursive=True)):
        if info.is_file:
            yield info.path[len(base.rstrip("/")) + 1 :], info.size or 0
