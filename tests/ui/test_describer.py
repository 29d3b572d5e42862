"""What the Describe page leans on: nothing is done twice, and one bad file spoils nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.app import Collection
from engine.describe.captioner import DescribeOptions
from engine.limits import DEFAULT_LIMITS
from engine.settings import SAMPLE_PACK
from ui.describe.describer import Describer, Given, admitted
from ui.shared.resources import engine

IMAGES = sorted((SAMPLE_PACK / "plain" / "images").glob("*.webp"))[:7]
OPTIONS = DescribeOptions()


@pytest.fixture
def plain(home: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """As the app has it open: a second engine would be kept out."""
    monkeypatch.setenv("MRAG_HOME", str(home))
    return engine().open("plain")


@pytest.fixture
def read() -> Counter[str]:
    """How often each file was read."""
    return Counter()


@pytest.fixture
def give(read: Counter[str]) -> Callable[[str, bytes | Path], Given]:
    def given(name: str, content: bytes | Path) -> Given:
        def reading() -> bytes | Path:
            read[name] += 1
            return content

        return Given(name, name, 1, reading)

    return given


Give = Callable[[str, bytes | Path], Given]


def test_descriptions_come_one_after_the_other_in_order(plain: Collection, give: Give) -> None:
    given = [give(path.name, path) for path in IMAGES]
    answers = Describer(DEFAULT_LIMITS).describe(given, plain, OPTIONS)
    first = next(answers)
    assert first.given == given[0]
    assert first.result is not None
    assert [done.given for done in answers] == given[1:]


def test_a_file_is_read_and_encoded_once_whatever_is_changed(
    plain: Collection, give: Give, read: Counter[str]
) -> None:
    describer = Describer(DEFAULT_LIMITS)
    given = [give("a", IMAGES[0])]
    seen = []
    for options in (OPTIONS, DescribeOptions(k=1), DescribeOptions(space="raw"), OPTIONS):
        (done,) = describer.describe(given, plain, options)
        assert done.result is not None
        seen.append(done.result)
    assert read == {"a": 1}
    assert len({result.timings_ms["encode"] for result in seen}) == 1
    assert [len(result.retrieved) for result in seen] == [4, 1, 4, 4]
    assert seen[2].space == "raw"
    assert seen[3] is seen[0]


def test_a_file_that_cannot_be_read_is_given_back_with_its_trouble(
    plain: Collection, give: Give, read: Counter[str], tmp_path: Path
) -> None:
    describer = Describer(DEFAULT_LIMITS)
    files: dict[str, bytes | Path] = {
        "bad": b"GIF89a and no more",
        "good": IMAGES[0],
        "gone": tmp_path / "x",
    }
    given = [give(name, content) for name, content in files.items()]
    for _ in range(2):
        bad, good, gone = describer.describe(given, plain, OPTIONS)
        assert bad.result is None
        assert "damaged" in bad.trouble
        assert "given bytes" not in bad.trouble
        assert good.result is not None
        assert "no such file" in gone.trouble
        assert str(tmp_path) not in gone.trouble
    assert read == {"bad": 1, "good": 1, "gone": 1}


def test_a_known_picture_does_not_borrow_from_itself(plain: Collection, give: Give) -> None:
    (hit,) = plain.images.get([next(plain.images.ids())])
    given = [give("known", Path(hit.uri))]
    describer = Describer(DEFAULT_LIMITS)
    (apart,) = describer.describe(given, plain, OPTIONS)
    (helped,) = describer.describe(given, plain, OPTIONS, borrow_own=True)
    assert apart.known == helped.known == hit.captions
    assert apart.result is not None
    assert helped.result is not None
    assert hit.image_id not in {caption.image_id for caption in apart.result.retrieved}
    assert hit.image_id in {caption.image_id for caption in helped.result.retrieved}


def test_only_so_much_is_remembered(plain: Collection, give: Give, read: Counter[str]) -> None:
    describer = Describer(DEFAULT_LIMITS, keep=4)
    for path in (*IMAGES, IMAGES[-1], IMAGES[0]):
        list(describer.describe([give(path.name, path)], plain, OPTIONS))
    assert read[IMAGES[-1].name] == 1
    assert read[IMAGES[0].name] == 2


@pytest.mark.parametrize(
    ("sizes", "max_files", "max_bytes", "kept"),
    [([5, 5], 2, 10, 2), ([5, 5], 1, 10, 1), ([5, 6], 2, 10, 1), ([11], 2, 10, 0), ([], 2, 10, 0)],
)
def test_what_is_beyond_the_limits_is_left_out_and_named(
    sizes: list[int], max_files: int, max_bytes: int, kept: int
) -> None:
    given = [Given(str(n), str(n), size, lambda: b"") for n, size in enumerate(sizes)]
    taken, told = admitted(given, max_files=max_files, max_bytes=max_bytes)
    assert taken == given[:kept]
    assert bool(told) == (kept < len(given))
    if told:
        assert f"{len(given) - kept} of {len(given)} files" in told
