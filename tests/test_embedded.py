"""Where the embedded servers live: private, reachable by a short path, never the data of another instance."""

from pathlib import Path

import pytest

import schema
from places import LONGEST_SOCKET_PATH, outside_directory, private_directory, socket_directory

SOCKET = ".s.PGSQL.5432.lock"


class TestSocketDirectory:
    def test_is_beside_the_data_where_the_path_allows_it(self) -> None:
        home = Path("/srv/auth/var/postgres")
        assert socket_directory(home, home.parent, SOCKET, None) == home

    @pytest.mark.parametrize("name", ["a directory", "città", "long-" * 20])
    def test_is_elsewhere_when_the_path_is_long_or_needs_quotes(self, tmp_path: Path, name: str) -> None:
        home = tmp_path / name / "postgres"
        home.mkdir(parents=True)
        chosen = socket_directory(home, home.parent, SOCKET, None)
        try:
            assert len(str(chosen / SOCKET)) <= LONGEST_SOCKET_PATH
            assert chosen.stat().st_mode & 0o777 == 0o700
        finally:
            chosen.rmdir()


class TestOutsideDirectory:
    def test_stays_the_same_for_one_instance(self, tmp_path: Path) -> None:
        assert outside_directory(tmp_path, "data") == outside_directory(tmp_path, "data")

    def test_differs_after_var_was_removed_and_for_a_copy_of_it(self, tmp_path: Path) -> None:
        first = outside_directory(tmp_path, "data")
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "instance").write_text((tmp_path / "instance").read_text())
        assert outside_directory(copy, "data") != first
        (tmp_path / "instance").unlink()
        assert outside_directory(tmp_path, "data") != first


class TestPrivateDirectory:
    def test_is_closed_to_others(self, tmp_path: Path) -> None:
        made = private_directory(tmp_path / "new" / "home")
        assert made.stat().st_mode & 0o777 == 0o700

    def test_a_link_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir()
        (tmp_path / "home").symlink_to(tmp_path / "target")
        with pytest.raises(SystemExit, match="someone else"):
            private_directory(tmp_path / "home")

    def test_somebody_elses_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "home").mkdir()
        monkeypatch.setattr("os.geteuid", lambda: 4321)
        with pytest.raises(SystemExit, match="someone else"):
            private_directory(tmp_path / "home")


def test_the_fingerprint_of_the_schema_moves_with_a_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "ROOT", tmp_path)
    before = schema.fingerprint()
    (tmp_path / "accounts" / "migrations").mkdir(parents=True)
    (tmp_path / "accounts" / "migrations" / "0001_initial.py").write_text("first")
    assert schema.fingerprint() != before
