import json

from voxalign.cli.main import main

PIPELINE = "steps:\n  aligned: {do: register, transform: rigid, initial: headers}\n  scores: {do: scores, transform: aligned}\n"


def test_run(pair, tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    words = ["run", str(tmp_path / "p.yaml"), "-f", str(pair[0]), "-m", str(pair[1]), "-o", str(tmp_path / "out")]
    assert main([*words, "--set", "aligned.loss=ncc", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"]["scores"]["folded_percent"] == 0 and "aligned" not in said["files"]
    assert "loss: ncc" in (tmp_path / "out" / "pipeline.yaml").read_text()
    assert main([*words, "--keep"]) == 3 and "already holds" in capsys.readouterr().err
    assert main([*words, "--keep", "--overwrite"]) == 0 and "folded_percent" in capsys.readouterr().out
    assert (tmp_path / "out" / "aligned.h5").exists()


def test_what_there_is(capsys):
    assert main(["run", "--list"]) == 0 and "lesion-follow-up" in capsys.readouterr().out
    assert main(["run", "--schema"]) == 0 and json.loads(capsys.readouterr().out)["title"] == "voxalign pipeline"


def test_refusals(pair, tmp_path, capsys):
    assert main(["run"]) == 2 and "PIPELINE and -o are needed" in capsys.readouterr().err
    assert main(["run", "lesion-folow-up", "-o", str(tmp_path)]) == 2 and "did you mean" in capsys.readouterr().err
    assert main(["run", "lesion-follow-up", "-o", str(tmp_path)]) == 2 and "needs fixed (image)" in capsys.readouterr().err
    assert main(["run", "lesion-follow-up", "-o", str(tmp_path), "--input", "lesion"]) == 2 and "NAME=FILE" in capsys.readouterr().err
    assert main(["compare", "-o", str(tmp_path), "--way", "fast"]) == 2 and "no pair" in capsys.readouterr().err
    words = ["compare", "-o", str(tmp_path / "c"), "-f", str(pair[0]), "-m", str(tmp_path / "no.nii.gz"), "--way", "fast"]
    assert main(words) == 3 and "no such file" in capsys.readouterr().err and not (tmp_path / "c").exists()
    assert main(["compare", "-o", str(tmp_path), "-f", str(pair[0]), "-m", str(pair[1])]) == 2 and "one way" in capsys.readouterr().err
