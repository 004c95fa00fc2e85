import json
import re

import pytest

from voxalign.cli.main import main
from voxalign.core import InputError
from voxalign.judge import selftest as made
from voxalign.judge.selftest import Check
from voxalign.run.selftest import code, selftest, signed, verify

GOOD = Check("rigid", "CT", "error", (0.1, 0.2), "<", 0.25, "voxels", "below 0.5 voxel")
BAD = Check("overlap", "cone", "Dice", (0.5,), ">=", 0.9, "", "0.80-0.90")


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef")
    return path


@pytest.fixture
def ran(monkeypatch):
    """What the self-test finds, instead of minutes of it."""
    def finds(*found: Check) -> None:
        monkeypatch.setattr(made, "checks", lambda on_step: iter(found))
    finds(GOOD)
    return finds


def test_record(ran, tmp_path):
    seen = []
    record = selftest(tmp_path / "record.json", on_check=seen.append)
    assert seen == [GOOD] and record["passed"] and record["code"] == code() and record == json.loads((tmp_path / "record.json").read_text())
    assert record["checks"][0]["found"] == [0.1, 0.2] and record["checks"][0]["expected"] == "below 0.25 voxels"
    assert verify(tmp_path / "record.json")["unchanged"] and verify(tmp_path / "record.json")["signed"] is False


def test_a_changed_record_is_refused(ran, tmp_path):
    path = tmp_path / "record.json"
    ran(BAD)
    assert selftest(path)["failed"] == {"overlap": 1}
    path.write_text(path.read_text().replace('"passed": false', '"passed": true'))
    with pytest.raises(InputError, match="changed after it was written"):
        verify(path)


def test_only_the_key_signs(ran, key, tmp_path):
    path, other = tmp_path / "record.json", tmp_path / "other"
    record = selftest(path, key)
    assert verify(path, key)["signed"] == "with this key" and b"0123456789abcdef".hex() not in path.read_text()
    other.write_bytes(b"f" * 16)
    with pytest.raises(InputError, match="not signed with this key"):
        verify(path, other)
    content = {name: value for name, value in record.items() if name not in ("sha256", "hmac_sha256")}
    path.write_text(json.dumps(signed(content | {"passed": "yes"}, None)))  # a forger can make the hash fit, and no signature
    with pytest.raises(InputError, match="is not signed"):
        verify(path, key)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"sha256": "x"}'])
def test_other_files_are_no_records(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json: (cannot be read|is no record)"):
        verify(tmp_path / "x.json")


def test_short_keys_are_refused_before_anything_runs(ran, tmp_path):
    (tmp_path / "key").write_bytes(b"secret")
    with pytest.raises(InputError, match="holds 6 bytes"):
        selftest(key=tmp_path / "key", on_check=lambda check: pytest.fail("ran"))
    with pytest.raises(InputError, match="cannot be read"):
        selftest(key=tmp_path / "none")


def test_command(ran, tmp_path, capsys):
    path = tmp_path / "record.json"
    assert main(["selftest", "-o", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.match(r"PASS  rigid, CT: error +0\.1, 0\.2 +expected below 0\.25 voxels \(usual: below 0\.5 voxel\)", said[0])
    assert said[1].startswith("1 of 1 checks passed")
    assert main(["selftest", "--verify", str(path)]) == 0 and "same_installation  True" in capsys.readouterr().out
    assert main(["selftest", "-o", str(path)]) == 3  # is there


def test_a_failure_is_exit_code_4(ran, capsys):
    ran(GOOD, BAD)
    assert main(["selftest", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["failed"] == {"overlap": 1}
