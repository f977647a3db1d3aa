from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import KennelError
from ops import provider_mirror
from ops.provider_mirror import PROVIDER


def make_mirror(directory: Path) -> Path:
    (directory / PROVIDER / "5.100.0" / "linux_amd64").mkdir(parents=True)
    return directory


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and system prefixes without any mirror."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(provider_mirror, "SYSTEM_PREFIXES", (str(tmp_path / "opt"),))
    return tmp_path


def test_without_any_mirror_the_registry_is_used(bare_machine: Path) -> None:
    assert provider_mirror.find(None, {"XDG_DATA_DIRS": str(bare_machine / "share")}) is None


def test_an_explicit_mirror_comes_first(bare_machine: Path) -> None:
    make_mirror(bare_machine / "home" / ".terraform.d" / "plugins")
    explicit = make_mirror(bare_machine / "mine")
    assert provider_mirror.find(explicit, {}) == explicit


def test_an_explicit_mirror_without_the_provider_is_refused(bare_machine: Path) -> None:
    with pytest.raises(KennelError, match="A provider mirror holds registry"):
        provider_mirror.find(bare_machine, {})


@pytest.mark.parametrize(
    "place", ["home/.terraform.d/plugins", "home/.local/share/terraform/plugins", "share/terraform/plugins"]
)
def test_terraforms_implied_directories_come_before_a_search(bare_machine: Path, place: str) -> None:
    make_mirror(bare_machine / "opt" / "mirror")
    implied = make_mirror(bare_machine / place)
    found = provider_mirror.find(None, {"XDG_DATA_DIRS": str(bare_machine / "share")})
    assert found == implied


@pytest.mark.parametrize("place", ["opt", "opt/mirror", "opt/a/b/c"])
def test_the_system_prefixes_are_searched_some_levels_deep(bare_machine: Path, place: str) -> None:
    mirror = make_mirror(bare_machine / place)
    assert provider_mirror.find(None, {"XDG_DATA_DIRS": str(bare_machine / "share")}) == mirror


def test_the_search_is_bounded(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_mirror(bare_machine / "opt" / "z")
    for number in range(5):
        (bare_machine / "opt" / f"a{number}").mkdir()
    monkeypatch.setattr(provider_mirror, "SEARCH_LIMIT", 4)
    assert provider_mirror.search((str(bare_machine / "opt"),)) is None


def test_the_persons_own_installation_rules_win(tmp_path: Path) -> None:
    own = "provider_installation {\n  direct {}\n}\n"
    assert provider_mirror.cli_configuration(tmp_path, own) == own


def test_the_persons_other_settings_are_kept_beside_the_mirror(tmp_path: Path) -> None:
    text = provider_mirror.cli_configuration(tmp_path, 'credentials "app.terraform.io" {}\n')
    assert text.startswith('credentials "app.terraform.io" {}\n')
    assert f'path    = "{tmp_path}"' in text


def test_a_configuration_file_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    assert provider_mirror.users_configuration({"TF_CLI_CONFIG_FILE": str(tmp_path / "absent")}) == ""


def test_a_mirror_that_was_named_comes_before_the_persons_own_rules(tmp_path: Path) -> None:
    text = provider_mirror.cli_configuration(
        tmp_path, "provider_installation {\n  direct {}\n}\n", explicit=True
    )
    assert text.count("provider_installation") == 1
    assert f'path    = "{tmp_path}"' in text
