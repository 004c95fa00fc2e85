"""Every pipeline that comes with voxalign recovers an answer that was planted in the phantom; finer in the documentation."""
import numpy as np
from tolerances import CARRIED_VOLUME, JOINT_DEGREES, PLANTED_MM, PLANTED_PERCENT, RIGID_UPDATE_MM

from voxalign import phantom
from voxalign.core import Image
from voxalign.metrics import jacobian_determinant
from voxalign.phantom import HeadLabel, LimbLabel
from voxalign.run.pipeline import Finished, pipeline

MUSCLES = [label for label in LimbLabel if phantom.tissue(label) == "muscle"]


def run(name: str, **inputs: Image) -> Finished:
    """The ready pipeline without its pictures, which are tested where they are made."""
    content = pipeline(name).as_dict()
    pictures = [step for step, given in content["steps"].items() if "picture" in given["do"]]
    content["steps"] = {step: given for step, given in content["steps"].items() if step not in pictures}
    content["results"] = [result for result in content["results"] if result not in pictures]
    return pipeline(content)(**inputs)


def only(labels: Image, *names: int) -> Image:
    return labels.with_data(np.where(np.isin(labels.array, names), labels.array, 0))


def test_growth_of_a_lesion(growth=1.2):
    pair = phantom.follow_up_pair(0, spacing=3.0, growth=growth, radius=16.0)
    done = run("lesion-follow-up", fixed=pair.fixed, moving=pair.moving, lesion=only(pair.fixed_labels, HeadLabel.LESION))
    found = done["growth"][str(int(HeadLabel.LESION))]["change_percent"]
    assert abs(found - 100 * (growth - 1)) < PLANTED_PERCENT
    inside = pair.fixed_labels.array == HeadLabel.LESION
    assert abs(done["change_map"].array[inside].mean() - found) < 1e-3
    away = only(pair.fixed_labels, HeadLabel.LEFT_WHITE_MATTER).array > 0  # the other half of the head
    assert np.abs(done["change_map"].array[away].mean()) < PLANTED_PERCENT and done["scores"]["folded_percent"] == 0


def test_a_tumour_of_mr_on_ct_and_pet():
    ct, pet = (phantom.tumour_pair(kind, 1, spacing=3.0) for kind in ("CT", "PET"))
    done = run("tumour-to-ct-and-pet", mr=ct.fixed, tumour=only(ct.fixed_labels, HeadLabel.LESION), ct=ct.moving, pet=pet.moving,
               tumour_on_ct=only(ct.moving_labels, HeadLabel.LESION), tumour_on_pet=only(pet.moving_labels, HeadLabel.LESION))
    for kind, pair in (("ct", ct), ("pet", pet)):
        found, = done[f"agreement_on_{kind}"].values()
        voxel = pair.moving.grid.spacing.max()
        assert found["centroid_mm"] < PLANTED_MM and abs(found["volume_percent"]) < PLANTED_PERCENT and found["hd95_mm"] <= voxel
        carried, = done[f"volume_on_{kind}"].values()
        assert abs(carried / done["volume_on_mr"][str(int(HeadLabel.LESION))] - 1) < CARRIED_VOLUME


def test_a_plan_brought_to_the_operation():
    pair = phantom.tumour_pair("T1", 0, spacing=3.0)
    done = run("intra-operative-update", fixed=pair.fixed, moving=pair.moving, plan=only(pair.moving_labels, HeadLabel.LESION))
    assert phantom.error_mm(done["aligned"], pair.truth, pair.fixed_labels).max() < RIGID_UPDATE_MM
    planned, there = done["moved_plan"].array > 0, pair.fixed_labels.array == HeadLabel.LESION
    assert 2 * (planned & there).sum() / (planned.sum() + there.sum()) > 0.9
    assert "targets_before" not in done.values


def test_a_bent_knee_and_a_muscle_that_wasted():
    pair = phantom.limb_change_pair(1, spacing=3.5, joint_angle_degrees=20.0)
    muscles = only(pair.fixed_labels, *MUSCLES)
    done = run("limb-before-after", fixed=pair.fixed, moving=pair.moving, bones=phantom.shafts(pair.fixed_labels), muscles=muscles)
    assert abs(done["joint"]["angle_degrees"] - 20) < JOINT_DEGREES
    stretched = jacobian_determinant(pair.truth, pair.fixed.grid)
    planted = {name: 100 * (stretched[muscles.array == name].mean() - 1) for name in MUSCLES}
    assert planted[LimbLabel.QUADRICEPS] < -12
    off = {name: done["muscle_change"][str(int(name))]["change_percent"] - change for name, change in planted.items()}
    assert max(map(abs, off.values())) < PLANTED_PERCENT
