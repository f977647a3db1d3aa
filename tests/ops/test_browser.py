from __future__ import annotations

from pathlib import Path

import pytest

from ops import browser


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a Chromium, on which commands are only noted down."""
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "DOWNLOADED", tmp_path / "browsers")
    return tmp_path


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(0o755)
    return path


def test_the_named_chromium_comes_first(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(bare / "chromium")
    monkeypatch.setenv(browser.VARIABLE, "/somewhere/chrome")
    assert browser.find() == "/somewhere/chrome"


def test_one_on_the_path_is_found(bare: Path) -> None:
    assert browser.find() is None
    program = _program(bare / "google-chrome")
    assert browser.find() == str(program)


def test_nothing_is_installed_where_there_is_one(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(bare / "chromium")
    monkeypatch.setattr(browser, "_run", lambda command: pytest.fail(f"ran {command}"))
    browser.ensure(lambda text: pytest.fail(text))


def test_playwrights_is_installed_where_there_is_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = bare / "browsers/chromium_headless_shell-1/chrome-linux/headless_shell"
    ran: list[list[str]] = []

    def install(command: list[str]) -> None:
        ran.append(command)
        _program(place)

    monkeypatch.setattr(browser, "_run", install)
    browser.ensure(lambda _: None)
    assert len(ran) == 1
    assert ran[0][1:4] == ["-m", "playwright", "install"]
    assert browser.find() == str(place)


def test_the_systems_is_installed_by_root_where_playwrights_cannot_be_had(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(bare / "apt-get")
    monkeypatch.setattr(browser, "_is_root", lambda: True)

    def install(command: list[str]) -> None:
        if command[:2] == ["apt-get", "install"]:
            _program(bare / "chromium")

    monkeypatch.setattr(browser, "_run", install)
    browser.ensure(lambda _: None)
    assert browser.find() == str(bare / "chromium")


def test_it_tells_where_none_can_be_installed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_run", lambda command: None)
    told: list[str] = []
    browser.ensure(told.append)
    assert "KENNEL_TEST_CHROMIUM" in told[-1]
