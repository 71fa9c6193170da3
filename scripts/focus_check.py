"""Checks FOCUS rows by focus-validator, offline. Its exit code is 0 whatever it finds: what it prints is read.

python -m scripts.focus_check rows.csv       # exit code 1 where a rule is broken
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.focus_validator import Validator, ValidatorMissing, validator

APPLICABLE = (
    "ACCOUNT_NAMING_SUPPORTED", "MULTIPLE_PRICING_CATEGORIES_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED", "UNIT_PRICING_SUPPORTED", "REGION_SUPPORTED",
    "TAGGING_SUPPORTED", "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED", "SUB_ACCOUNT_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED", "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
)  # fmt: skip
"""What we support, beside what is mandatory. COMMITMENT_DISCOUNT_SUPPORTED is left out: rule
CommitmentDiscountStatus-C-004-C of model 1.2.0.1 has its condition the wrong way round, so that no row without a
commitment passes."""
ALTERNATIVES = {"InvoiceId-C-005-C": "InvoiceId-C-003-C"}
"""Rules that are one side of an either-or, with the rule that joins them. InvoiceId-C-004-C asks for null and C-005-C
for no null; no row meets both, and 2.2.1 counts the other one as failed. C-003-C, one of the two, must pass."""
_DRAFT_NAMES = {"InvoiceIssuerName": "InvoiceIssuer", "ProviderName": "Provider", "PublisherName": "Publisher",
                "ResourceId": "ResourceID"}  # fmt: skip
"""Names of columns that the rules of 1.0.0 have from a draft of FOCUS 1.0."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the validator found."""

    focus: str
    passed: int | None
    """Rules that hold; None where it does not count them."""
    failed: frozenset[str]
    """Rules that do not, save those whose alternative holds."""
    printed: str

    def __str__(self) -> str:
        told = re.search(r"Total: .*|Validation \w+[.!]", self.printed)
        return (
            f"FOCUS {self.focus}: {told[0] if told else 'nothing'}; broken: {', '.join(sorted(self.failed)) or 'none'}"
        )


def check(rows: str, *, by: Validator | None = None) -> Verdict:
    """Check rows of FOCUS 1.2 (CSV), written for 1.0 where the validator checks that. Raises ValidatorMissing."""
    chosen = by or validator()
    text = rows if chosen.focus == "1.2" else as_of_1_0(rows)
    arguments = ["--validate-version", chosen.focus]
    if chosen.focus == "1.2":
        arguments += ["--block-download", "--applicability-criteria", ",".join(APPLICABLE)]
    printed = _run(chosen, text, arguments)
    return _verdict(chosen.focus, printed)


def as_of_1_0(rows: str) -> str:
    """The same rows under the names that the rules of 1.0.0 look for."""
    given = list(csv.DictReader(io.StringIO(rows)))
    renamed = [
        {**{_DRAFT_NAMES.get(name, name): cell for name, cell in row.items()}, "ChargeType": row["ChargeCategory"]}
        for row in given
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(renamed[0]) if renamed else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(renamed)
    return text.getvalue()


def _run(chosen: Validator, text: str, arguments: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:  # it leaves a log where it runs
        place = Path(folder)
        _lay_out_codes(chosen.package, place)
        (place / "rows.csv").write_text(text, encoding="utf-8")
        command: list[str | Path] = [
            chosen.python,
            "-P",
            "-m",
            "focus_validator.main",
            "--data-file",
            "rows.csv",
            *arguments,
        ]
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, check=False, timeout=300,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": ""},
        )  # fmt: skip
    return f"{done.stdout}\n{done.stderr[-4000:] if done.returncode else ''}"


def _lay_out_codes(package: Path, place: Path) -> None:
    """Its list of currencies, which both releases look for below the folder they run in."""
    for codes in package.glob("*/currency_codes.csv"):
        copy = place / codes.relative_to(package.parent)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(codes, copy)


def _verdict(focus: str, printed: str) -> Verdict:
    if focus == "1.2":
        counts = re.search(r"Total: \d+ \| Pass: (\d+) \| Fail: (\d+)", printed)
        passed = {*re.findall(r"^\S+ (\S+): PASS", printed, re.MULTILINE)}
        failed = {*re.findall(r"^\S+ (\S+): FAIL", printed, re.MULTILINE)}
        if counts is None or (int(counts[1]), int(counts[2])) != (len(passed), len(failed)):
            raise ValidatorMissing(f"focus-validator did not come to an end:\n{printed[-2000:]}")
        kept = {rule for rule in failed if ALTERNATIVES.get(rule) not in passed}
        return Verdict(focus=focus, passed=len(passed), failed=frozenset(kept), printed=printed)
    failed = {*re.findall(r"^(\S+) failed:$", printed, re.MULTILINE)}
    if not failed and "Validation succeeded." not in printed:
        raise ValidatorMissing(f"focus-validator did not come to an end:\n{printed[-2000:]}")
    return Verdict(focus=focus, passed=None, failed=frozenset(failed), printed=printed)


def main() -> int:
    """Check the file that is named."""
    try:
        verdict = check(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except ValidatorMissing as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(verdict)
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
