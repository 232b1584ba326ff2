"""What was found is kept, counted, and an error in strict mode."""

from __future__ import annotations

import pytest

from datamodules.errors import DatasetError
from datamodules.findings import Finding, Findings


def test_findings_keep_their_order_and_count_faces() -> None:
    findings = Findings()
    findings.add("missing-image", "F001/T1", "12 pictures are missing", 12)
    findings.add("optional-absent", "Landmarks", "there are no landmarks")
    findings.add("missing-image", "F001/T2", "1 picture is missing")
    assert findings.counts() == {"missing-image": 13, "optional-absent": 1}
    assert [found.where for found in findings] == ["F001/T1", "Landmarks", "F001/T2"]
    assert next(iter(findings)) == Finding("missing-image", "F001/T1", "12 pictures are missing", 12)
    findings.clear()
    assert (len(findings), findings.counts()) == (0, {})


def test_a_strict_run_stops_at_the_first() -> None:
    with pytest.raises(DatasetError, match=r"^the picture is gone$"):
        Findings(strict=True).add("missing-image", "x.png", "the picture is gone")


@pytest.mark.parametrize("kind", ["optional-absent", "no-face", "dead-url", "known-gap", "other-part"])
def test_what_whole_copies_have_stops_no_strict_run(kind: str) -> None:
    findings = Findings(strict=True)
    findings.add(kind, "x", "it is as it is everywhere")
    assert findings.counts() == {kind: 1}


def test_unknown_labels_are_part_of_every_dataset_and_stop_nothing() -> None:
    findings = Findings(strict=True)
    findings.add("unknown-label", "F001_T1.csv", "7 labels are 9", 7)
    assert findings.counts() == {"unknown-label": 7}
