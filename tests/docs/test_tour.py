"""The tour in docs/ is true: every command is run against a real server and its answer compared."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.serving import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.DOTALL)


def agrees(shown, answer):
    """Whether an answer has everything that is shown; "..." stands for anything, lists agree item by item."""
    if shown == "...":
        return True
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(
            name in answer and agrees(value, answer[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return (
            isinstance(answer, list)
            and len(shown) == len(answer)
            and all(map(agrees, shown, answer))
        )
    return shown == answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("page", "least"), [("tour.md", 15), ("terminology.md", 5)])
def test_every_command_of_a_page_gets_the_answer_shown(tmp_path, page, least):
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text("utf-8"))
    assert len(blocks) >= least
    setup = blocks[0][1]
    with ServerProcess(f"sqlite:///{tmp_path / 'tour.sqlite'}") as server:
        setup = setup.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        answer = None
        for kind, text in blocks[1:]:
            if kind == "sh":
                done = subprocess.run(
                    ["bash", "-c", f"{setup}\n{text}"], capture_output=True, check=True, timeout=20
                )
                answer = json.loads(done.stdout)
            else:
                assert agrees(json.loads(text), answer), f"{text}\n{json.dumps(answer, indent=1)}"
