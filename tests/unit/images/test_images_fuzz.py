"""Files of every format, cut, spliced and altered: a picture or a refusal with a status, in bounded time and memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from PIL import Image

from bench.references import profiles
from popspark.images.decode import STATUSES, ImageRefused
from tests.altered_images import LIMITS, Examiner, altered, digest_of, spliced, whole_files
from tests.encoded import encode, picture
from tests.fuzzing import SECONDS, try_for_long, try_some

FILES = whole_files()
NAMES = st.sampled_from(sorted(FILES))
PROFILES = {"RGB": profiles.rgb(), "L": profiles.grey(1.8), "CMYK": profiles.cmyk(profiles.INKS), "LAB": profiles.lab()}
CHANGED = st.one_of(
    NAMES.flatmap(lambda name: altered(FILES[name])),
    st.builds(
        spliced, NAMES.map(FILES.get), NAMES.map(FILES.get), st.floats(0, 1), st.floats(0, 1)
    ).flatmap(lambda content: st.one_of(st.just(content), altered(content))),
)  # fmt: skip
CUTS = st.tuples(NAMES, st.floats(0, 1))
DAMAGED = st.sampled_from(sorted(PROFILES)).flatmap(lambda mode: st.tuples(st.just(mode), altered(PROFILES[mode])))


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    examiner = Examiner()
    yield examiner
    examiner.close()


def _is_a_picture_or_refused(examiner: Examiner, content: bytes) -> None:
    found = examiner(content)
    if found.status == "ok":
        assert found.pixels == found.header  # small enough to be decoded in full
    else:
        assert found.status in STATUSES
        assert found.reason
        assert len(found.reason) <= 300


def _has_all_its_pixels_or_is_refused(examiner: Examiner, cut: tuple[str, float]) -> None:
    """A file without its end."""
    content = FILES[cut[0]]
    found = examiner(content[: round(cut[1] * len(content))])
    assert found.status in ("empty", "not_an_image", "unsupported", "corrupt", "ok")
    if found.status == "ok":
        assert found.digest == examiner(content).digest


def _is_a_picture_whatever_its_profile(examiner: Examiner, damaged: tuple[str, bytes]) -> None:
    """A file that is whole but for its profile."""
    mode, profile = damaged
    image = Image.new("LAB", (60, 40)) if mode == "LAB" else Image.fromarray(picture()).convert(mode)
    found = examiner(encode(image, "TIFF", icc_profile=profile or b"\0"))
    assert (found.status, found.pixels) == ("ok", (60, 40)), found.reason


def _is_the_same_in_isolation(examiner: Examiner, content: bytes) -> None:
    """As a task that is tried again decodes it."""
    found = examiner(content)
    outcome: object
    try:
        outcome = digest_of(examiner.isolated(content, LIMITS))
    except ImageRefused as refused:
        outcome = refused.status, str(refused)
    assert outcome == (found.digest or (found.status, found.reason))


PROPERTIES = {
    "altered": (_is_a_picture_or_refused, CHANGED, 500),
    "isolated": (_is_the_same_in_isolation, CHANGED, 100),
    "cut": (_has_all_its_pixels_or_is_refused, CUTS, 200),
    "profile": (_is_a_picture_whatever_its_profile, DAMAGED, 200),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_some(name: str, examiner: Examiner) -> None:
    check, files, n = PROPERTIES[name]
    try_some(check, n, files, examiner)


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS)
def test_for_long(examiner: Examiner) -> None:
    def holds(examiner: Examiner, example: tuple[str, object]) -> None:
        name, files = example
        PROPERTIES[name][0](examiner, files)

    named = [st.tuples(st.just(name), files) for name, (_, files, _) in PROPERTIES.items()]
    try_for_long(holds, st.one_of(*named), examiner)


def test_all_files_are_pictures(examiner: Examiner) -> None:
    for name, content in FILES.items():
        assert examiner(content).status == "ok", name
