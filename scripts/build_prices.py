"""Builds the shipped price book, `planner/catalogue/prices/`, from the prices kept in the project.

    python scripts/build_prices.py            # writes the book
    python scripts/build_prices.py --check    # exit code 1 where it would change

The names of GPUs in the source are those of vendors' lists; profiles say form factor and memory too. The mapping is
`_TYPES`; a row whose note says PCIe is of the card, not of the SXM module.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "planner" / "catalogue"
SOURCE = CATALOGUE / "sources" / "prices.csv"

_TYPES = {
    ("A100", "40"): "A100-SXM4-40GB",
    ("A100", "80"): "A100-SXM4-80GB",
    ("H100", "80"): "H100-SXM5-80GB",
    ("H200", "141"): "H200-SXM5-141GB",
    ("B200", "180"): "B200-SXM-180GB",
    ("B300", "288"): "B300-SXM-268GB",
    ("GB200", "185"): "GB200-185GB",
    ("GB300", "278"): "GB300-277GB",
    ("GH200", "96"): "GH200-96GB",
    ("L40S", "48"): "L40S-48GB",
    ("L4", "24"): "L4-24GB",
    ("A10G", "24"): "A10G-24GB",
    ("MI300X", "192"): "MI300X-192GB",
    ("MI325X", "256"): "MI325X-256GB",
    ("MI355X", "288"): "MI355X-288GB",
}
"""B300 and GB300 are named by GiB in the data sheets that profiles use, by GB in the prices: 288 GB are 268 GiB."""
_PCIE = {("A100", "80"): "A100-PCIE-80GB", ("H100", "80"): "H100-PCIE-80GB"}
_NOTES = (
    "A100/80, H100/80 and H200/141 of the source are taken for SXM modules; a row whose note says PCIe for the card",
    "there are no reserved prices here: add your own",
    "of GCP only the host was read, without its GPUs: its rows have no price; add the GPUs' and the host's together",
    "tco is an estimate of what owning costs, rough a rounded planning figure; neither is a price that anybody asks",
)


def main() -> int:
    """Write the book, or compare with it."""
    rows = _rows()
    day = max(day for row in rows if (day := str(row["asOf"])) and re.fullmatch(r"\d{4}-\d\d-\d\d", day))
    path = CATALOGUE / "prices" / f"{day}.yaml"
    text = _text(day, rows)
    if "--check" in sys.argv[1:]:
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        print(f"{path.relative_to(ROOT)}: {'as built' if same else 'would change'}")
        return 0 if same else 1
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}: {len(rows)} prices")
    return 0


def _rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with SOURCE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            source = found[-1]["source"] if row["source"] == "same" else row["source"]
            found.append(_price(row, source))
    return found


def _price(row: dict[str, str], source: str) -> dict[str, Any]:
    key = row["gpu"], row["gpu_mem_gb"]
    amount = row["usd_per_gpu_hour"]
    fields = {
        "gpu": (_PCIE if "PCIe" in row["note"] else _TYPES)[key],
        "cloud": row["cloud"],
        "region": row["region"],
        "pricing": row["pricing"],
        "usdPerGpuHour": float(amount) if amount else None,
        "instance": row["instance"],
        "gpusPerInstance": int(row["gpus"]),
        "asOf": row["as_of"],
        "source": source,
        "note": row["note"],
    }
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _text(day: str, rows: list[dict[str, Any]]) -> str:
    head = {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "PriceBook",
        "metadata": {"name": f"list-prices-{day}"},
        "spec": {"asOf": day, "notes": list(_NOTES)},
    }
    lines = [yaml.safe_dump(row, sort_keys=False, default_flow_style=True, width=1000).strip() for row in rows]
    return (
        "# Built by scripts/build_prices.py; do not edit.\n"
        + yaml.safe_dump(head, sort_keys=False, width=110)
        + "  prices:\n"
        + "".join(f"  - {line}\n" for line in lines)
    )


if __name__ == "__main__":
    sys.exit(main())
