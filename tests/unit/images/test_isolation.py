"""A codec that crashes costs one image, however many threads decode."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from popspark.features.extractor import Extractor
from popspark.images.decode import ImageRefused
from popspark.images.isolation import IsolatedDecode
from popspark.images.limits import Limits
from popspark.images.references import Reference
from tests.killing_decoder import decode

LIMITS = Limits(max_bytes=9)


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedDecode]:
    decoder = IsolatedDecode(decode)
    yield decoder
    decoder.close()


def test_it_decodes_as_the_function_does(isolated: IsolatedDecode) -> None:
    np.testing.assert_array_equal(isolated(b"a", LIMITS), decode(b"a", LIMITS), strict=True)


def test_a_refusal_comes_through_with_its_status(isolated: IsolatedDecode) -> None:
    with pytest.raises(ImageRefused, match=r"^the limit is 9$") as raised:
        isolated(b"refuse", LIMITS)
    assert raised.value.status == "too_large"


@pytest.mark.parametrize("content", [b"kill", b"exit"])
def test_a_crash_refuses_that_image_and_no_other(isolated: IsolatedDecode, content: bytes) -> None:
    with pytest.raises(ImageRefused, match=r"^the codec crashed its process$") as raised:
        isolated(content, LIMITS)
    assert raised.value.status == "decoder_crash"
    assert isolated(b"b", LIMITS)[0, 0, 0] == ord("b")


def test_threads_do_not_share_a_crash(isolated: IsolatedDecode) -> None:
    contents = [b"a", b"kill", b"b", b"c", b"kill", b"d"]

    def outcome(content: bytes) -> str:
        try:
            return chr(isolated(content, LIMITS)[0, 0, 0])
        except ImageRefused as refusal:
            return refusal.status

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(outcome, contents)) == ["a", "decoder_crash", "b", "c", "decoder_crash", "d"]


def test_an_extractor_gives_a_row_for_the_image_that_crashed(isolated: IsolatedDecode) -> None:
    brightness = {"brightness": lambda images: np.array([[images[0].max()]], np.float32)}
    extractor = Extractor(brightness, batch_size=2, decode=isolated, n_threads=2)
    rows = list(extractor.extract(Reference(None, content=content) for content in (b"a", b"kill", b"b")))
    assert [(row.status, row.error) for row in rows] == [
        ("ok", None),
        ("decoder_crash", "the codec crashed its process"),
        ("ok", None),
    ]
    assert [float(row.values["brightness"][0]) for row in rows if row.values] == [ord("a"), ord("b")]
