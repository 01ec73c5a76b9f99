"""The file that a post means, by every spelling of its name: popspark.images.naming."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from popspark.images import listing, naming, references
from popspark.images.decode import ImageRefused
from popspark.images.naming import Names
from popspark.images.references import read_uri


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Each file holds its name."""
    for name in (
        "2024/IMG_1.JPG",
        "2024/two words.jpg",
        unicodedata.normalize("NFD", "2024/café.jpg"),
        unicodedata.normalize("NFC", "Ärger/naïve.png"),
        "2024/50%25.jpg",
        "2024/IMG_2.JPG",
        "2024/IMG_2.AAE",
        "2024/IMG_3.jpg",
        "2024/IMG_3.png",
        "2024/Twin.jpg",
        "2024/twin.jpg",
        "2024/v1.2_final.jpg",
        "2024/IMG_4/within.jpg",
        "2024/IMG_4.jpg",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "photos" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("spelling", "file"),
    [
        (unicodedata.normalize("NFC", "2024/café.jpg"), unicodedata.normalize("NFD", "2024/café.jpg")),
        (unicodedata.normalize("NFD", "Ärger/naïve.png"), unicodedata.normalize("NFC", "Ärger/naïve.png")),
        ("ärger/NAÏVE.PNG", unicodedata.normalize("NFC", "Ärger/naïve.png")),
        ("2024\\IMG_1.JPG", "2024/IMG_1.JPG"),
        (".\\2024\\img_1.jpg", "2024/IMG_1.JPG"),
        ("/2024/IMG_1.JPG", "2024/IMG_1.JPG"),
        ("//2024//IMG_1.JPG", "2024/IMG_1.JPG"),
        ("2024/IMG_1.JPG ", "2024/IMG_1.JPG"),
        ("2024/two%20words.jpg", "2024/two words.jpg"),
        ("2024%2Ftwo%20words.jpg", "2024/two words.jpg"),
        ("2024/50%2525.jpg", "2024/50%25.jpg"),
        ("2024/caf%C3%A9.JPG", unicodedata.normalize("NFD", "2024/café.jpg")),
        ("2024/img_1.jpg", "2024/IMG_1.JPG"),
        ("2024/IMG_1", "2024/IMG_1.JPG"),
        ("\\2024\\img_1", "2024/IMG_1.JPG"),
        ("2024/v1.2_final", "2024/v1.2_final.jpg"),
        ("2024/IMG_2", "2024/IMG_2.JPG"),  # what is no photograph by its name is no candidate
        ("2024/IMG_4", "2024/IMG_4.jpg"),  # nor is a folder
        ("2024/IMG_4\\within.jpg", "2024/IMG_4/within.jpg"),
        ("./2024/../2024/IMG_1", "2024/IMG_1.JPG"),
    ],
)
def test_one_file_fits(root: Path, spelling: str, file: str) -> None:
    assert read_uri(Names(str(root)).search(spelling), 99) == file.encode()
    assert Names(root.as_uri()).search(spelling) == f"{root}/{file}"


def test_a_name_that_is_not_utf8_is_found_as_the_listing_shows_it(root: Path) -> None:
    assert read_uri(Names(str(root)).search("caf%E9.jpg"), 99) == b"latin"


def _refusal(root: Path, spelling: str, follow_links: bool = False) -> tuple[str, str]:
    with pytest.raises(ImageRefused) as raised:
        Names(str(root), follow_links).search(spelling)
    return raised.value.status, str(raised.value)


@pytest.mark.parametrize(
    ("spelling", "reason"),
    [
        ("2024/IMG_1.jpeg", "; the nearest is 2024/IMG_1.JPG"),
        ("2024/IMG-1.JPG", "; the nearest is 2024/IMG_1.JPG"),
        ("IMG_1.JPG/", ""),
        ("C:\\Users\\me\\photos\\2024\\IMG_1.JPG", "; the nearest is 2024/IMG_1.JPG"),
        ("/home/me/photos/2024/img_1", "; the nearest is 2024/IMG_1.JPG"),
        ("2o24/IMG_1.JPG", "; the nearest is 2024/IMG_1.JPG"),
        ("xyz", ""),
        ("", ""),
        ("/", ""),
        ("2024", ""),
        ("2024/IMG_3", ", and 2 that it could be: 2024/IMG_3.jpg, 2024/IMG_3.png"),
        ("2024/TWIN.JPG", ", and 2 that it could be: 2024/Twin.jpg, 2024/twin.jpg"),
    ],
)
def test_none_or_several_fit(root: Path, spelling: str, reason: str) -> None:
    assert _refusal(root, spelling) == ("missing", f"there is no such file{reason}")


def test_the_nearest_of_many_files_is_looked_for_beside_it(tmp_path: Path) -> None:
    for i in range(1000):
        (tmp_path / f"IMG_{i:04}.JPG").touch()
    for i in (0, 500, 999):
        reason = f"there is no such file; the nearest is IMG_{i:04}.JPG"
        assert _refusal(tmp_path, f"img_{i:04}.jpeg") == ("missing", reason)


@pytest.mark.parametrize("spelling", ["..\\secret.jpg", "%2e%2e/secret.jpg", "2024/..%2F..%2Fsecret", "/../secret.jpg"])
def test_no_spelling_leads_out(root: Path, spelling: str) -> None:
    for follow_links in (False, True):
        assert _refusal(root, spelling, follow_links) == ("outside_root", f"the path leads out of {root}")


def test_a_link_that_leads_out_is_not_followed_unless_asked_for(root: Path) -> None:
    (root / "Link.jpg").symlink_to("../secret.jpg")
    (root / "up").symlink_to("..")
    message = f"a link to {root.parent}/secret.jpg, out of {root}; follow_links=true reads it"
    assert _refusal(root, "link.jpg") == ("outside_root", message)
    assert _refusal(root, "up/SECRET.jpg") == ("missing", "there is no such file")
    assert read_uri(Names(str(root), follow_links=True).search("link.jpg"), 99) == b"secret"
    assert read_uri(Names(str(root), follow_links=True).search("up/SECRET.jpg"), 99) == b"secret"


def test_exact_names(root: Path) -> None:
    (root.parent / "alias").symlink_to("photos")
    names = Names(str(root.parent / "alias"))
    assert names.exact("2024/IMG_1.JPG") == f"{root}/2024/IMG_1.JPG"
    assert names.exact(f"{root}/2024/IMG_1.JPG") == f"{root}/2024/IMG_1.JPG"
    assert names.exact(f"{root.parent}/alias/2024/IMG_1.JPG") == f"{root}/2024/IMG_1.JPG"
    assert names.exact("2024/gone.jpg") == f"{root}/2024/gone.jpg"
    for name, refused in {
        "a\0b.jpg": ("missing", "the name has a NUL byte, which no file's name has"),
        "": ("missing", "the row names no image"),
        "../secret.jpg": ("outside_root", f"the path leads out of {root}"),
        "/etc/hostname": ("outside_root", f"the path leads out of {root}"),
    }.items():
        with pytest.raises(ImageRefused) as raised:
            names.exact(name)
        assert (raised.value.status, str(raised.value)) == refused


def test_a_file_address_is_the_path_that_it_escapes(root: Path) -> None:
    (root / "a b#1.jpg").write_bytes(b"escaped")
    names = Names(str(root))
    assert read_uri(names.exact(f"file://{root}/a%20b%231.jpg"), 99) == b"escaped"
    for elsewhere in ("file:///etc/hostname", f"file://{root}/../secret.jpg", f"file://{root}/%2e%2e/secret.jpg"):
        with pytest.raises(ImageRefused) as raised:
            names.exact(elsewhere)
        assert raised.value.status == "outside_root"


def test_a_link_to_itself_hides_no_other_file_of_its_folder(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    (root / "Beach.JPG").write_bytes(b"beach")
    assert read_uri(Names(str(root)).search("beach"), 99) == b"beach"


@pytest.mark.parametrize("spelling", ["2024/img_9.jpg", "2024/IMG_1", "2024%2Fimg_1.jpg", "\\2024\\in\\IMG_1.JPG"])
def test_below_a_folder_without_permission_nothing_is_called_missing(
    root: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def scan(path: bytes) -> object:
        if path.rstrip(b"/").endswith(b"2024"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(naming.os, "scandir", scan)
    reason = "PermissionError: Permission denied; which files are in 2024/ is not known"
    assert _refusal(root, spelling) == ("unreadable", reason)
    assert _refusal(root, "2025/img_1.jpg") == ("missing", "there is no such file")
    assert Names(str(root)).search("ärger/NAÏVE").endswith("ve.png")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """The url of a prefix of a store in memory; each object holds its key."""
    stores = pytest.importorskip("obstore.store")
    store = stores.MemoryStore()
    for key in ("p/Paris [2024]/a.JPG", "p/Paris 2/b.jpg", "p/_DSC1.jpg", "p/in/clip.MOV", "p/.hidden", "other/x.jpg"):
        store.put(key, key.encode())
    for module in (references, listing, naming):
        monkeypatch.setattr(module, "open_store", lambda url: store)
    return "s3://bucket/p"


@pytest.mark.parametrize(
    ("source", "root", "ids"),
    [
        ("", "", ["Paris 2/b.jpg", "Paris [2024]/a.JPG", "_DSC1.jpg"]),
        ("/Paris [2024]", "/Paris [2024]", ["a.JPG"]),
        ("/Paris [2024]/*", "/Paris [2024]", ["a.JPG"]),
        ("/Paris*", "", ["Paris 2/b.jpg", "Paris [2024]/a.JPG"]),
    ],
)
def test_a_bucket_is_listed_as_a_folder_is(bucket: str, source: str, root: str, ids: list[str]) -> None:
    files = listing.find_files(bucket + source)
    assert (files.root, [entry.image_id for entry in files.entries]) == (bucket + root, ids)
    for entry in files.entries:
        assert read_uri(str(entry.uri), 99) == f"p{root}/{entry.image_id}".encode()
    assert str(files) == ("" if source else "Left out, as no photographs: 1 .mov, 1 hidden")


def test_names_in_a_bucket(bucket: str) -> None:
    names = Names(bucket)
    assert names.exact("_DSC1.jpg") == f"{bucket}/_DSC1.jpg"
    assert references.exists(f"{bucket}/_DSC1.jpg")
    assert not references.exists(f"{bucket}/none.jpg")
    assert names.search("\\paris%20[2024]\\A") == f"{bucket}/Paris [2024]/a.JPG"
    for search, spelling, refused in (
        (names.search, "Paris [2024]/a.jpeg", ("missing", "there is no such file; the nearest is Paris [2024]/a.JPG")),
        (names.search, "../other/x.jpg", ("outside_root", f"the path leads out of {bucket}")),
        (names.exact, "../other/x.jpg", ("outside_root", f"the path leads out of {bucket}")),
        (names.exact, "/other/x.jpg", ("outside_root", f"the path leads out of {bucket}")),
    ):
        with pytest.raises(ImageRefused) as raised:
            search(spelling)
        assert (raised.value.status, str(raised.value)) == refused


def test_what_pyarrow_opens_is_listed_and_searched_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hdfs:// and the like, here a local file system under another scheme."""
    from pyarrow import fs

    class Local:
        from_uri = staticmethod(lambda uri: (fs.LocalFileSystem(), uri.removeprefix("hdfs://")))

    monkeypatch.setattr(fs, "FileSystem", Local)
    (root / os.fsdecode(b"caf\xe9.jpg")).unlink()
    files = listing.find_files(f"hdfs://{root}/20[0-9][0-9]/*.jpg")
    assert sorted(e.image_id for e in files.entries if "IMG" in e.image_id) == [
        "2024/IMG_3.jpg",
        "2024/IMG_4.jpg",
    ]
    assert Names(f"hdfs://{root}").search("2024\\img_1") == f"hdfs://{root}/2024/IMG_1.JPG"
    assert references.exists(f"hdfs://{root}/2024/IMG_1.JPG")
