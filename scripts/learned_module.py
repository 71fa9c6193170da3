"""The text of `models/learned.py`: networks, each with what it was learned from, and one put in place of another."""

from __future__ import annotations

import re
import textwrap

HEAD = (
    '"""Networks learned from simulations. Written by `make networks` (scripts/fit_networks.py); not for editing."""\n'
)


def with_network(module: str, name: str, network: str, learned_from: str) -> str:
    """`module` with the constant `name` holding this network, the others as they were."""
    head, _, body = network.partition("\n")
    block = "\n".join(["", f"# Learned from {learned_from}.", f'{name} = """{head}', *textwrap.wrap(body, 116)])
    block += '"""\n'
    known = re.compile(rf'\n(?:# [^\n]*\n)?{name} = """[^"]*"""\n')
    if known.search(module):
        return known.sub(lambda _: block, module, count=1)
    return (module or HEAD) + block
