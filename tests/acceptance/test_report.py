"""`history --html`: the file that is written, and how a browser shows it, where there is one."""

from __future__ import annotations

import re
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.project import FAILING, GREETING, LETTERS, Project

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OVERFLOW = "<script>document.title = `${document.documentElement.scrollWidth}/${innerWidth}`</script>"


@pytest.fixture
def reported(embedded: Project) -> Path:
    """The page of a history with a fused pass, a failure and a way back."""
    embedded.write(GREETING, LETTERS)
    embedded.applied()
    embedded.ok("down", "--yes")
    embedded.write(GREETING, LETTERS, FAILING.replace("people", "others"))
    embedded.world.insert("others", [{"_id": 3}])
    embedded.run("up")
    embedded.ok("history", "--html", "report.html")
    return embedded.folder / "report.html"


def test_a_page_is_written_whole_for_its_owner_alone(project: Project) -> None:
    project.write(GREETING)
    project.applied()
    path = project.folder / "report.html"
    path.write_text("the old one")
    before = project.fingerprint()

    ran = project.ok("history", "--html", "report.html")

    assert ran.out == "wrote report.html\n"
    made = path.read_text(encoding="utf-8")
    assert "Hello Ann" in made
    assert made.endswith("</html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(found.name for found in project.folder.glob("*report*")) == ["report.html"]
    assert project.json("history", "--html", "again.html") == project.json("history")
    assert project.fingerprint() == before


@pytest.mark.parametrize("where", ["nowhere/report.html", "migrations"])
def test_where_no_page_can_be_it_is_said_before_anything_is_read(embedded: Project, where: str) -> None:
    refused = embedded.run("history", "--html", where, "--uri", "mongodb://127.0.0.1:1/x")
    assert (refused.code, refused.out) == (2, "")
    assert "GM100" in refused.err


def test_masked_is_about_a_page(embedded: Project) -> None:
    assert embedded.run("history", "--masked").code == 2
    embedded.write(GREETING)
    embedded.applied()
    embedded.ok("history", "--html", "report.html", "--masked", "--quiet")
    assert "Hello Ann" not in (embedded.folder / "report.html").read_text()


def browse(*words: str, folder: Path) -> str:
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="there is no browser here")
class TestInABrowser:
    def test_nothing_stands_out_of_a_screen(self, reported: Path, tmp_path: Path) -> None:
        """Measured by a script that is put into a copy, which allows it."""
        made = reported.read_text(encoding="utf-8").replace("<details", "<details open")
        made = re.sub(r"<meta http-equiv.*?>", "", made)
        reported.write_text(made.replace("</body>", OVERFLOW + "</body>"), encoding="utf-8")
        for width in (500, 1280):  # narrower than 500 is no window of a headless one
            shown = browse(
                f"--window-size={width},900", "--dump-dom", reported.as_uri(), folder=tmp_path / "profile"
            )
            found = re.search(r"<title>(\d+)/(\d+)</title>", shown)
            assert found is not None, shown[:500]
            assert int(found[1]) <= int(found[2])

    def test_it_is_drawn(self, reported: Path, tmp_path: Path) -> None:
        picture = tmp_path / "page.png"
        browse(
            "--window-size=1280,1000",
            "--hide-scrollbars",
            f"--screenshot={picture}",
            reported.as_uri(),
            folder=tmp_path / "profile",
        )
        data = picture.read_bytes()
        assert struct.unpack(">II", data[16:24]) == (1280, 1000)
        assert len(data) > 20_000, "an empty page is much smaller"
