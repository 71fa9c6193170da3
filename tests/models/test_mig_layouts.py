"""Layouts of multi-instance GPUs are those of NVIDIA's table."""

from __future__ import annotations

from collections import Counter

import pytest

from models.errors import InvalidInput
from models.mig_layouts import layouts, place
from planner.mig_catalogue import mig_gpu, mig_gpus

A100_40 = {
    # MIG User Guide, A100 profiles without the double-memory 1g: those that leave no room.
    (7, 0, 0, 0, 0), (5, 1, 0, 0, 0), (4, 0, 1, 0, 0), (3, 2, 0, 0, 0), (3, 0, 0, 1, 0), (2, 1, 1, 0, 0),
    (1, 3, 0, 0, 0), (1, 1, 0, 1, 0), (0, 2, 1, 0, 0), (0, 0, 2, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1),
}  # fmt: skip


def test_every_full_layout_of_an_a100_is_found():
    names = ("1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb")
    found = {tuple(way.get(name, 0) for name in names) for way in layouts(mig_gpu("A100-SXM4-40GB", names))}
    assert found == A100_40


@pytest.mark.parametrize("gpu", mig_gpus().values(), ids=mig_gpus().keys())
def test_as_many_of_one_slice_fit_as_the_table_says(gpu):
    for each in gpu.slices:
        assert place(gpu, {each.name: each.instances}) is not None
        assert place(gpu, {each.name: each.instances + 1}) is None


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"4g.40gb": 1, "3g.40gb": 1}, True),
        ({"4g.40gb": 2}, False),  # seven compute slices
        ({"3g.40gb": 2, "1g.10gb": 1}, False),  # a compute slice is free, and no memory slice
        ({"4g.40gb": 1, "2g.20gb": 1, "1g.10gb": 1}, True),
        ({"2g.20gb": 3, "1g.20gb": 1}, True),
        ({"4g.40gb": 1, "2g.20gb": 2}, False),
    ],
    ids=str,
)
def test_slices_are_placed_where_they_may_start_and_do_not_overlap(wanted, fits):
    gpu = mig_gpu("H100-SXM5-80GB", ["all"])
    found = place(gpu, wanted)
    assert (found is not None) is fits
    if found is not None:
        taken = [start + i for each, start in found for i in range(each.memory_slices)]
        assert len(taken) == len(set(taken))
        assert Counter(each.name for each, _ in found) == wanted


def test_a_slice_is_no_faster_than_the_least_of_its_shares():
    (third,) = (each for each in mig_gpu("H100-SXM5-80GB", ["1g.10gb"]).slices)
    assert third.compute == pytest.approx(16 / 132)
    with pytest.raises(InvalidInput, match="has no MIG slice"):
        mig_gpu("H100-SXM5-80GB", ["9g.90gb"])
    with pytest.raises(InvalidInput, match="its MIG slices are not known"):
        mig_gpu("L4-24GB", ["all"])
