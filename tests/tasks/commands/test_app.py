"""The console script itself."""

import subprocess
import sys

from tests.support.paths import ROOT


def test_help_loads_nothing_heavy() -> None:
    heavy = ["torch", "cv2", "av", "h5py", "sklearn", "matplotlib", "safetensors"]
    code = f"import sys, tasks.commands.app; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"
