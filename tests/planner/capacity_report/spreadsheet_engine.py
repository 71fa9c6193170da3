"""A real spreadsheet program that recalculates workbooks: LibreOffice, without a window."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

_TIMEOUT_S = 240
_ALWAYS_RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value>
</prop></item></oor:items>
"""


def soffice() -> str:
    """The program; fails where there is none."""
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if found is None:
        pytest.fail("LibreOffice recalculates the workbook, and it is not here: apt-get install libreoffice-calc-nogui")
    return found


def recalculated(workbooks: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """Workbooks as the program computes and saves them, all in one run, in a profile of its own."""
    program, given, taken, profile = soffice(), folder / "given", folder / "taken", folder / "profile"
    for each in (given, taken, profile / "user"):
        each.mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_ALWAYS_RECALCULATE, encoding="utf-8")
    for name, data in workbooks.items():
        (given / f"{name}.xlsx").write_bytes(data)
    run = subprocess.run(
        [program, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "xlsx",
         "--outdir", str(taken), *(str(given / f"{name}.xlsx") for name in workbooks)],
        capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    missing = [name for name in workbooks if not (taken / f"{name}.xlsx").exists()]
    assert not missing, f"{program} wrote no {missing}: {run.stdout}{run.stderr}"
    return {name: (taken / f"{name}.xlsx").read_bytes() for name in workbooks}


def with_wrong_results(data: bytes) -> bytes:
    """The workbook with 777 for the result of every formula: whoever does not compute is found out."""
    written = BytesIO()
    changed = 0
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(written, "w") as new:
        for part in old.infolist():
            content = old.read(part)
            if part.filename.startswith("xl/worksheets/sheet"):
                content, count = re.subn(rb"</f><v>[^<]*", b"</f><v>777", content)
                changed += count
            new.writestr(part, content)
    assert changed > 100
    return written.getvalue()
