"""Opening runs."""

from realnvp_jax.analysis.run import moved_path


def test_moved_files_and_folders_are_found_in_the_directory_that_contains_them(tmp_path):
    (tmp_path / "new" / "pictures").mkdir(parents=True)
    (tmp_path / "new" / "t.csv").touch()
    assert moved_path("old/t.csv", tmp_path / "new") == tmp_path / "new" / "t.csv"
    assert moved_path("old/t.csv", tmp_path / "new" / "t.csv") == tmp_path / "new" / "t.csv"
    assert moved_path("~/pictures", tmp_path / "new") == tmp_path / "new" / "pictures"
    (tmp_path / "unpacked" / "t.csv").mkdir(parents=True)
    (tmp_path / "unpacked" / "t.csv" / "t.csv").touch()
    assert moved_path("old/t.csv", tmp_path / "unpacked" / "t.csv") == tmp_path / "unpacked" / "t.csv" / "t.csv"
    (tmp_path / "new" / "pictures" / "pictures").mkdir()
    assert moved_path("~/pictures", tmp_path / "new" / "pictures") == tmp_path / "new" / "pictures"
    assert moved_path("~/pictures", tmp_path / "renamed") == tmp_path / "renamed"
