"""Which images there are, and who is kept aside."""
import pytest

from voxalign import InputError
from voxalign.train.table import PARTS, Table, pairs_of, person, read, some, split


def test_a_folder(data_folder):
    table = read(data_folder)
    assert [s.person for s in table.scans] == [f"p{k}" for k in range(8)] and table.pairs is None
    assert all(s.image.name == s.labels.name and s.points.stem == s.person for s in table.scans)


def test_a_table_of_images(data_folder, tmp_path):
    rows = [f"{data_folder}/images/p{k}.nii.gz,{data_folder}/labels/p{k}.nii.gz,{'ab'[k % 2]}" for k in range(4)]
    (tmp_path / "scans.csv").write_text("image,labels,person\n" + "\n".join(rows))
    table = read(tmp_path / "scans.csv")
    assert [s.person for s in table.scans] == ["a", "b", "a", "b"] and table.scans[0].points is None
    pairs = pairs_of(table, {"a": "train", "b": "train"}, "train")
    assert len(pairs) == 8 and all((f - m) % 2 for f, m in pairs)  # of different people only


def test_a_table_of_pairs(data_folder, tmp_path):
    p = [data_folder / "images" / f"p{k}.nii.gz" for k in range(4)]
    (tmp_path / "pairs.csv").write_text(f"fixed,moving,person\n{p[0]},{p[1]},x\n{p[2]},{p[3]},y\n")
    table = read(tmp_path / "pairs.csv")
    assert table.pairs == ((0, 1), (2, 3))
    assert pairs_of(table, {"x": "train", "y": "test"}, "test") == [(2, 3)]


def test_an_atlas_is_the_fixed_image_of_every_part(data_folder):
    table = read(data_folder, data_folder / "images" / "p0.nii.gz")
    parts = {f"p{k}": PARTS[k % 3] for k in range(8)}
    assert pairs_of(table, parts, "validation") == [(8, 1), (8, 4), (8, 7)]


@pytest.mark.parametrize("text, words", [("a,b\n1,2\n", "columns"), ("image\nno.nii\n", "does not exist"),
                                         ("image,labels\n,\n", "row without")])
def test_bad_tables(text, words, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read(tmp_path / "t.csv")


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no images"):
        read(tmp_path)


def test_people_are_divided_the_same_way_in_any_order():
    names = [f"n{k}" for k in range(40)]
    parts = split(names, 0.2, 0.1, seed=3)
    assert parts == split(names[::-1] + names, 0.2, 0.1, seed=3) != split(names, 0.2, 0.1, seed=4)
    assert [sum(p == part for p in parts.values()) for part in PARTS] == [28, 8, 4]


def test_every_part_that_is_asked_for_has_somebody():
    assert sorted(split("abc", 0.01, 0.01).values()) == sorted(PARTS)
    assert set(split("ab", 0, 0).values()) == {"train"}
    assert sorted(split("abcdef", 0.01, 0.01, least=2).values()) == sorted(PARTS * 2)
    with pytest.raises(InputError, match="2 people"):
        split("ab", 0.1, 0.1)


def test_scans_of_one_person_are_never_in_two_parts(data_folder):
    table = Table(tuple(s.__class__(s.image, person=(s.person[-1] in "01" and "twins") or s.person) for s in read(data_folder).scans))
    parts = split([s.person for s in table.scans], 0.3, 0.3)
    sets = [{k for pair in pairs_of(table, parts, part) for k in pair} for part in PARTS]
    assert not (sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2])


def test_names_of_people():
    assert person("sub-07_ses-2_T1w") == "sub-07" and person("hippocampus_001") == "hippocampus_001"


def test_some_are_always_the_same():
    pairs = [(k, k + 1) for k in range(100)]
    assert some(pairs, 7) == some(pairs, 7) and len(set(some(pairs, 7))) == 7 and some(pairs, 200) == pairs
