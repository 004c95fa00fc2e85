"""Names of what the phantoms contain. Numbers are unique over all anatomies, so that a label map says what it shows."""
from __future__ import annotations

from enum import IntEnum


class HeadLabel(IntEnum):
    """Structures of the head; brain structures have FreeSurfer's numbers."""

    BACKGROUND = 0
    LEFT_WHITE_MATTER = 2
    LEFT_CORTEX = 3
    LEFT_LATERAL_VENTRICLE = 4
    LEFT_CEREBELLUM_WHITE_MATTER = 7
    LEFT_CEREBELLUM_CORTEX = 8
    LEFT_THALAMUS = 10
    LEFT_CAUDATE = 11
    LEFT_PUTAMEN = 12
    LEFT_PALLIDUM = 13
    THIRD_VENTRICLE = 14
    FOURTH_VENTRICLE = 15
    BRAINSTEM = 16
    LEFT_HIPPOCAMPUS = 17
    LEFT_AMYGDALA = 18
    CSF = 24
    RIGHT_WHITE_MATTER = 41
    RIGHT_CORTEX = 42
    RIGHT_LATERAL_VENTRICLE = 43
    RIGHT_CEREBELLUM_WHITE_MATTER = 46
    RIGHT_CEREBELLUM_CORTEX = 47
    RIGHT_THALAMUS = 49
    RIGHT_CAUDATE = 50
    RIGHT_PUTAMEN = 51
    RIGHT_PALLIDUM = 52
    RIGHT_HIPPOCAMPUS = 53
    RIGHT_AMYGDALA = 54
    LESION = 99
    SCALP = 101
    SKULL = 102
    DIPLOE = 103
    EYE = 104
    LENS = 105
    MUSCLE = 106
    FAT = 107
    AIR = 108
    CORD = 109
    DISC = 110


class ThoraxLabel(IntEnum):
    """Structures of the chest."""

    BACKGROUND = 0
    LESION = 99
    SKIN = 130
    FAT = 131
    MUSCLE = 132
    RIB = 133
    MARROW = 134
    VERTEBRA = 135
    DISC = 136
    CORD = 137
    LEFT_LUNG = 138
    RIGHT_LUNG = 139
    VESSEL = 140
    AIRWAY = 141
    MYOCARDIUM = 142
    BLOOD = 143
    AORTA = 144
    LIVER = 145
    LIVER_VESSEL = 146
    STOMACH = 147
    SPLEEN = 148
    MEDIASTINUM = 149
    STERNUM = 150
    SCAPULA = 151
    CLAVICLE = 152
    CARTILAGE = 153


class LimbLabel(IntEnum):
    """Structures of a leg about the knee."""

    BACKGROUND = 0
    LESION = 99
    SKIN = 170
    FAT = 171
    FEMUR = 172
    FEMUR_MARROW = 173
    TIBIA = 174
    TIBIA_MARROW = 175
    FIBULA = 176
    PATELLA = 177
    CARTILAGE = 178
    QUADRICEPS = 180
    VASTUS_MEDIALIS = 181
    VASTUS_LATERALIS = 182
    HAMSTRINGS_MEDIAL = 183
    HAMSTRINGS_LATERAL = 184
    ADDUCTOR = 185
    TIBIALIS_ANTERIOR = 186
    PERONEUS = 187
    SOLEUS = 188
    GASTROCNEMIUS_MEDIAL = 189
    GASTROCNEMIUS_LATERAL = 190
    VESSEL = 191


class ShapeLabel(IntEnum):
    """Solids of the geometric phantom."""

    BACKGROUND = 0
    BODY = 210
    SPHERE = 211
    CUBE = 212
    CONE = 213


BRAIN = tuple(label for label in HeadLabel if 0 < label < HeadLabel.LESION and label != HeadLabel.CSF)
"""Labels that make up the brain with its ventricles, for masks of the true error."""
