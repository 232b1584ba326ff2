"""The SLURM script of the docs, word for word, with srun and scontrol replaced: preempted and requeued."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes import quick, written
from tests.recorded_fit import records
from tests.source_tree import REPOSITORY

STEPS = 12
SRUN = """\
#!/bin/bash
[ "$1" = --kill-on-bad-exit=1 ] || exit 9
shift
export SLURM_STEP_ID=0 SLURM_NTASKS=1 SLURM_NTASKS_PER_NODE=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
export SLURM_NODELIST=node1 SLURM_JOB_NAME=train
echo $$ > task.pid
exec "$@"
"""
"""What srun does for one task: its variables, and the command in their midst."""


def _command(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.slow
def test_a_preempted_job_is_requeued_and_goes_on(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "scaling_out.md").read_text()
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", page, re.DOTALL)
    commands = tmp_path / "bin"
    commands.mkdir()
    small = [*written(["bp4d", "disfa", "feafa"], tmp_path), *quick(tmp_path), "model=tiny"]
    small += [f"trainer.max_steps={STEPS}", "trainer.save_every=2", "runs_dir=runs"]
    small += ["strategy=single", "strategy.devices=1", "strategy.nodes=1", "data.num_workers=0"]
    learn = shlex.join([sys.executable, "-m", "tests.recorded_fit", str(tmp_path / "record")])
    more = f'[ "$1" = fit ] && set -- "$@" {shlex.join(small)}\n'
    _command(commands, "aullava", f'#!/bin/bash\n{more}exec {learn} "$@"\n')
    _command(commands, "srun", SRUN)
    _command(commands, "scontrol", '#!/bin/bash\necho "$@" >> requeued\n')
    (tmp_path / "job.sh").write_text(script)
    (tmp_path / "experiments").symlink_to(REPOSITORY / "experiments")
    place = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    place["SLURM_JOB_ID"] = "7"

    def started() -> subprocess.Popen[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=place, text=True, **streams)  # type: ignore[call-overload,no-any-return]

    first = started()
    while len(records(tmp_path / "record")) < 4 and first.poll() is None:
        time.sleep(0.01)
    os.kill(int((tmp_path / "task.pid").read_text()), signal.SIGUSR1)  # 90 seconds before the end
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 143, said
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    learned = len(records(tmp_path / "record"))
    assert 4 <= learned < STEPS

    again = started()  # as SLURM starts a job that was requeued: the same script, the same number
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert [number for number, _ in records(tmp_path / "record")] == list(range(STEPS))  # none twice
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    assert [path.name for path in (tmp_path / "runs" / "unified_7").iterdir()] == ["1"]
