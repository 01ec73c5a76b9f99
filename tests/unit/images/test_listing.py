"""Which files of a folder are images of a run, and what is said of the others: popspark.images.listing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from popspark.images import listing
from popspark.images.decode import ImageRefused
from popspark.images.listing import Files, existing_root, find_files
from popspark.images.references import read_uri, write_once
from popspark.runtime.errors import PathError


def _write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def _ids(files: Files) -> list[str]:
    return sorted(entry.image_id for entry in files.entries)


def _refused(files: Files) -> dict[str, tuple[str, str]]:
    return {e.image_id: (e.status, str(e.error)) for e in files.entries if e.status is not None}


ODD = (
    "Paris [2024]/a.jpg",
    "what?/b.jpg",
    "*/c.jpg",
    "run#3/d.jpg",
    "50%20off/e.jpg",
    "two words/f.jpg",
    "{x}/g.jpg",
    "_DSC0001.jpg",
    "_/h.jpg",
    "ü/i.jpg",
    "a\nb/j.jpg",
    "a\\b/k.jpg",
)


def test_every_name_of_a_folder_or_file_is_an_entry_that_can_be_read(tmp_path: Path) -> None:
    files = find_files(str(_write(tmp_path, *ODD)))
    assert _ids(files) == sorted(ODD)
    for entry in files.entries:
        assert read_uri(str(entry.uri), 99) == entry.image_id.encode()
        assert entry.n_bytes == len(entry.image_id.encode())
    assert str(files) == ""


@pytest.mark.parametrize("name", ODD)
def test_a_source_that_is_there_is_no_glob(tmp_path: Path, name: str) -> None:
    """Beside folders that would match if it was one."""
    _write(tmp_path, *ODD, "Paris 2/x.jpg", "whats/x.jpg", "zz/c.jpg")
    folder, _, file = name.rpartition("/")
    if folder:
        assert _ids(find_files(f"{tmp_path}/{folder}")) == [file]
        assert _ids(find_files(f"{tmp_path}/{folder}/")) == [file]
        assert _ids(find_files(f"{tmp_path}/{folder}/*.jpg")) == [file]
    assert _ids(find_files(f"{tmp_path}/{name}")) == [file]


@pytest.mark.parametrize("name", [name for name in ODD if name.rpartition("/")[0]])
@pytest.mark.parametrize("form", ["file://{}", "file:{}", "file://localhost{}", "{uri}"])
def test_file_addresses_escaped_or_not(tmp_path: Path, name: str, form: str) -> None:
    folder = (_write(tmp_path, *ODD) / name).parent
    assert _ids(find_files(form.format(folder, uri=folder.as_uri()))) == [Path(name).name]
    assert existing_root(form.format(folder, uri=folder.as_uri())) == str(folder)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("2024-*", ["2024-05/a.jpg", "2024-05/in/b.jpg", "2024-06/a.jpg"]),  # folders, with all that is below
        ("2024-*/*.jpg", ["2024-05/a.jpg", "2024-06/a.jpg"]),
        ("2024-0[6-9]", ["2024-06/a.jpg"]),
        ("*/in", ["2024-05/in/b.jpg"]),
        ("**/b.*", ["2024-05/in/b.jpg"]),
        ("**/in/*.jpg", ["2024-05/in/b.jpg"]),
        ("2024-??/**", ["2024-05/a.jpg", "2024-05/in/b.jpg", "2024-06/a.jpg"]),
        ("*.jpg", ["top.jpg"]),
        ("*", ["2024-05/a.jpg", "2024-05/in/b.jpg", "2024-06/a.jpg", "other/a.jpg", "top.jpg"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    _write(tmp_path, "2024-05/a.jpg", "2024-05/in/b.jpg", "2024-06/a.jpg", "other/a.jpg", "top.jpg")
    files = find_files(f"{tmp_path}/{pattern}")
    assert (_ids(files), files.root) == (expected, str(tmp_path))


def test_what_nas_and_phones_put_beside_photographs_is_left_out_and_counted(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "IMG_1.JPG",
        "IMG_1.txt",
        "IMG_1.AAE",
        "IMG_1.xmp",
        "IMG_2.MOV",
        "in/IMG_3.mov",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "._IMG_1.JPG",
        ".thumbnails/1.jpg",
        "@eaDir/IMG_1.JPG/SYNOPHOTO_THUMB_M.jpg",
        "@eaDir/IMG_1.JPG/SYNOPHOTO_THUMB_S.jpg",
        "__MACOSX/._IMG_1.JPG",
    )
    files = find_files(str(tmp_path))
    assert _ids(files) == ["IMG_1.JPG", "IMG_1.txt"]
    assert str(files) == (
        "Left out, as no photographs: 1 .aae, 2 .mov, 1 .xmp, 1 Thumbs.db, 1 desktop.ini, 3 hidden, "
        "2 in @eaDir, 1 in __MACOSX"
    )


def test_a_folder_of_nothing_else_says_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(PathError) as raised:
        find_files(str(_write(tmp_path, "IMG_1.MOV", "Thumbs.db")))
    assert str(raised.value) == (
        f"There are no photographs.\n  where: {tmp_path}\n"
        "  got: Left out, as no photographs: 1 .mov, 1 Thumbs.db\n  legal: a folder or a glob with images in it"
    )


def test_links_in_a_circle_give_each_file_once(tmp_path: Path) -> None:
    _write(tmp_path, "a.jpg", "in/b.jpg")
    for name in ("one", "two", "in/up", "in/self"):
        (tmp_path / name).symlink_to(tmp_path if name != "in/self" else tmp_path / "in")
    (tmp_path / "circle").symlink_to("circle")
    for follow_links in (False, True):
        files = find_files(str(tmp_path), follow_links)
        assert [i for i in _ids(files) if i != "circle"] == ["a.jpg", "in/b.jpg"]
        assert _refused(files) == {"circle": ("missing", "a link to circle, which is not there")}
        assert str(files) == "Left out, as no photographs: 4 link to a folder that is listed anyway"


def test_links_that_lead_out_are_entries_that_name_the_setting(tmp_path: Path) -> None:
    store = _write(tmp_path / "store", "x", "sub/y")
    view = _write(tmp_path / "view", "own.jpg")
    (view / "a.jpg").symlink_to("../store/x")
    (view / "all").symlink_to(store)
    (view / "again").symlink_to(store)
    (view / "gone.jpg").symlink_to("../store/none")
    gone = {"gone.jpg": ("missing", "a link to ../store/none, which is not there")}

    def out(target: Path) -> tuple[str, str]:
        return "outside_root", f"a link to {target}, out of {view}; follow_links=true reads it"

    files = find_files(str(view))
    assert _refused(files) == {**gone, "a.jpg": out(store / "x"), "all": out(store), "again": out(store)}
    assert _ids(files) == ["a.jpg", "again", "all", "gone.jpg", "own.jpg"]
    followed = find_files(str(view), follow_links=True)
    assert _refused(followed) == gone
    assert _ids(followed) == ["a.jpg", "again/sub/y", "again/x", "gone.jpg", "own.jpg"]  # a folder once
    assert {read_uri(str(e.uri), 99) for e in followed.entries if e.uri} == {b"x", b"sub/y", b"own.jpg"}


def test_a_root_that_is_a_link_is_a_root(tmp_path: Path) -> None:
    _write(tmp_path / "real", "a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert _ids(find_files(str(tmp_path / "link"))) == ["a.jpg"]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Names of folders without permission to list them, for root as well."""
    names, scandir = set[bytes](), os.scandir

    def scan(path: bytes) -> object:
        if os.path.basename(path.rstrip(b"/")) in names:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", scan)
    return names


def test_a_folder_without_permission_is_an_entry_and_never_left_out(tmp_path: Path, closed: set[bytes]) -> None:
    _write(tmp_path, "a.jpg", "secret/b.jpg")
    closed.add(b"secret")
    files = find_files(str(tmp_path))
    reason = "PermissionError: Permission denied; what is below this folder is not known"
    assert _refused(files) == {"secret/": ("unreadable", reason)}
    assert _ids(files) == ["a.jpg", "secret/"]
    with pytest.raises(PathError, match=r"This folder cannot be read\.\n  where: .*\n  got: Permission denied"):
        find_files(str(tmp_path / "secret"))


def test_names_that_are_not_utf8_are_read_and_told_apart(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"M\xfcnchen")
    os.mkdir(folder)
    for name in (b"caf\xe9.jpg", "café.jpg".encode(), b"caf%E9.jpg", b"\xff\xfe"):
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(name)
    files = find_files(str(tmp_path))
    found = {entry.image_id: read_uri(str(entry.uri), 99) for entry in files.entries}
    assert found == {
        "M%FCnchen/caf%E9.jpg": b"caf%E9.jpg",
        "M%25FCnchen/caf%25E9.jpg": b"caf\xe9.jpg",
        "M%FCnchen/café.jpg": "café.jpg".encode(),
        "M%FCnchen/%FF%FE": b"\xff\xfe",
    }
    assert all(entry.uri and entry.uri.isprintable() for entry in files.entries)


PRINT = """
import sys
from popspark.images.listing import find_files
from popspark.images.references import read_uri, write_once
for entry in find_files(sys.argv[1]).entries:
    print(ascii((entry.image_id, entry.uri, read_uri(entry.uri, 99))))
"""


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
@pytest.mark.parametrize("utf8_mode", ["0", "1"])
def test_the_locale_of_the_process_changes_no_name(tmp_path: Path, locale: str, utf8_mode: str) -> None:
    _write(tmp_path / "Zürich ö", "ü/é.jpg", "plain.jpg")
    (tmp_path / "Zürich ö" / os.fsdecode(b"l\xe9.jpg")).write_bytes(b"l\xe9.jpg")
    env = {"PATH": os.environ["PATH"], "LC_ALL": locale, "PYTHONUTF8": utf8_mode, "PYTHONCOERCECLOCALE": "0"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    run = [sys.executable, "-c", PRINT, str(tmp_path / "Zürich ö")]
    printed = subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout
    expected = [(e.image_id, e.uri, read_uri(str(e.uri), 99)) for e in find_files(str(tmp_path / "Zürich ö")).entries]
    assert printed.splitlines() == [ascii(row) for row in expected]
    assert len(expected) == 3


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PathError) as raised:
        existing_root(str(tmp_path / "none"))
    assert str(raised.value) == f"There is no such folder.\n  where: {tmp_path}/none"
    assert existing_root("s3://bucket/photos") == "s3://bucket/photos"


def test_what_is_stored_once_is_read_under_its_uri(tmp_path: Path) -> None:
    for uri in (f"{tmp_path}/ab/ä", f"{tmp_path.as_uri()}/ab/%E9"):
        assert write_once(uri, b"first") == uri
        write_once(uri, b"never written")
        assert read_uri(uri, 99) == b"first"
    assert sorted(os.listdir(os.fsencode(tmp_path / "ab"))) == ["ä".encode(), b"\xe9"]
    with pytest.raises(ImageRefused) as raised:
        read_uri(f"{tmp_path}/{'x' * 300}", 99)
    assert (raised.value.status, str(raised.value)) == ("unreadable", "OSError: File name too long")


@pytest.mark.parametrize("source", ["", " ", "photos/\0"])
def test_a_source_without_a_name_is_not_the_current_folder(source: str) -> None:
    with pytest.raises(PathError, match="A source without a name"):
        find_files(source)
