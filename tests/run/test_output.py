import json
import os
import socket

import pytest

from voxalign.core import InputError, InputWarning, ResourceError, SecurityError
from voxalign.run.output import RECORD, check_file, check_folder, claimed

LOCK = ".voxalign.lock"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_all_files_appear_at_the_end_and_the_record_last(tmp_path):
    out = tmp_path / "a" / "b"
    with claimed(out) as claim:
        (claim.staging / RECORD).write_text("new")
        (claim.staging / "moved.nii.gz").write_text("")
        assert not (out / RECORD).exists()
        claim.publish()
    assert names(out) == ["moved.nii.gz", RECORD]


def test_nothing_is_left_after_a_failure(tmp_path):
    out = tmp_path / "a" / "b"
    with pytest.raises(ZeroDivisionError), claimed(out) as claim:
        (claim.staging / "moved.nii.gz").write_text("")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_older_results_survive_a_failure(tmp_path):
    (tmp_path / RECORD).write_text("old")
    with pytest.raises(ZeroDivisionError), claimed(tmp_path):
        raise ZeroDivisionError
    assert (tmp_path / RECORD).read_text() == "old" and names(tmp_path) == [RECORD]


def test_refused(tmp_path):
    out, file = tmp_path / "out", tmp_path / "file"
    out.mkdir()
    file.write_text("")
    check_folder(out, False, [file])
    with pytest.raises(InputError, match="is a file"):
        check_folder(file, True, [])
    (out / "metrics.json").write_text("")
    with pytest.raises(InputError, match=r"already holds metrics\.json"):
        check_folder(out, False, [])
    check_folder(out, True, [])
    (out / "moved.nii.gz").write_text("")
    with pytest.raises(InputError, match="also an input"):
        check_folder(out, True, [out / "moved.nii.gz"])


def test_links_are_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / RECORD).symlink_to(tmp_path / "elsewhere")
    for folder in ("link", "real"):
        with pytest.raises(SecurityError, match="symbolic link"):
            check_folder(tmp_path / folder, True, [])


def test_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), claimed(tmp_path / "file" / "out"):
        pass


def test_full_disk(tmp_path):
    with pytest.raises(ResourceError, match="No space left"), claimed(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_one_of_two_wins(tmp_path):
    with claimed(tmp_path):
        with pytest.raises(InputError, match=f"process {os.getpid()} on"), claimed(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()
    assert names(tmp_path) == []


def lock(folder, **owner):
    (folder / LOCK).write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()} | owner))


def test_lock_of_a_dead_process(tmp_path):
    lock(tmp_path)
    with pytest.warns(InputWarning, match="lock left by process"), claimed(tmp_path):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, {"pid": "?"}])
def test_locks_that_nobody_can_judge_are_kept(tmp_path, owner):
    lock(tmp_path, **owner)
    with pytest.raises(InputError, match=r"remove \.voxalign\.lock"), claimed(tmp_path):
        pass
    assert (tmp_path / LOCK).exists()


def test_remains_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".voxalign.partial").mkdir()
    (tmp_path / ".voxalign.partial" / "moved.nii.gz").write_text("half")
    with claimed(tmp_path) as claim:
        assert names(claim.staging) == []


def test_single_files(tmp_path):
    out = tmp_path / "out.nii"
    check_file(out, False, [])
    with pytest.raises(InputError, match="does not exist"):
        check_file(tmp_path / "none" / "out.nii", False, [])
    out.write_text("")
    with pytest.raises(InputError, match="exists"):
        check_file(out, False, [])
    with pytest.raises(InputError, match="also an input"):
        check_file(out, True, [out])
    with pytest.raises(InputError, match="is a folder"):
        check_file(tmp_path, True, [])
