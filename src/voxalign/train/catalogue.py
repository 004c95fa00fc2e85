"""All tasks by name."""
from __future__ import annotations

from .adversarial import Adversarial, Generation, Translation
from .recurrent import Sequences
from .tasks import TASKS as PLAIN
from .tasks import Task

TASKS: dict[str, type[Task]] = PLAIN | {"translate": Translation, "adversarial": Adversarial, "generate": Generation, "sequence": Sequences}
