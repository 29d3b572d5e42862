"""What a page offers and tells is for the role of whoever looks at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from ingest.jobs.records import Job, JobRecords
from service.access.visitor import Role
from tests.ui.conftest import OpenPage
from tests.worlds import copied_tree
from ui.shared.providers import USER_HEADERS

COLLECTIONS, SYSTEM = "ui/collections/collections.py", "ui/system/system.py"


@pytest.fixture(autouse=True)
def behind_a_door() -> Iterator[None]:
    """As `mrag serve` runs the pages: it tells them who looks at them."""
    before = config.get_option("server.trustedUserHeaders")
    config.set_option("server.trustedUserHeaders", USER_HEADERS)
    yield
    config.set_option("server.trustedUserHeaders", before)


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A home with a job that failed, saying a path of the server."""
    own = tmp_path / "home"
    copied_tree(home / "collections" / "postcards", own / "collections" / "postcards")
    now = datetime.now(UTC)
    job = Job(
        id="1",
        collection="postcards",
        source=own / "private" / "trip",
        started=now,
        ended=now,
        state="failed",
        message=f"{own}/private/trip cannot be read",
    )
    JobRecords(own).write(job)
    return own


def seen(open_page: OpenPage, page: str, at: Path, role: Role) -> AppTest:
    told = json.dumps({"name": "jo", "role": role, "by": "sign-in"})
    opened = open_page(page, at=at, user={"mrag_visitor": told})
    assert not opened.exception
    return opened


def labels(page: AppTest) -> set[str]:
    return {button.label for button in page.button}


def shown(page: AppTest) -> str:
    """All that was sent to the browser, as it is read there."""
    return "\n".join(str(getattr(element, "proto", "")) for element in page).replace("\\", "")


def test_who_reads_is_offered_neither_making_nor_deleting(open_page: OpenPage, own: Path) -> None:
    page = seen(open_page, COLLECTIONS, own, "read")
    assert not labels(page) & {"Resume", "Dismiss", "Delete for good", "Make collection"}
    assert not page.file_uploader
    assert "role “write”" in shown(page)
    assert str(own) not in shown(page)


def test_who_writes_makes_and_resumes_and_does_not_delete(open_page: OpenPage, own: Path) -> None:
    page = seen(open_page, COLLECTIONS, own, "write")
    assert "Resume" in labels(page)
    assert page.file_uploader
    assert "Delete for good" not in labels(page)
    assert "Only an admin" in shown(page)
    assert str(own) not in shown(page)


def test_an_admin_is_offered_and_told_all(open_page: OpenPage, own: Path) -> None:
    page = seen(open_page, COLLECTIONS, own, "admin")
    assert {"Resume", "Delete for good"} <= labels(page)
    assert page.file_uploader
    assert str(own) in shown(page)


@pytest.mark.parametrize("role", ["read", "write"])
def test_system_tells_no_place_of_the_server(open_page: OpenPage, home: Path, role: Role) -> None:
    page = seen(open_page, SYSTEM, home, role)
    assert str(home.parent) not in shown(page)
    assert str(home) in shown(seen(open_page, SYSTEM, home, "admin"))
