"""A command that tells of options given twice, of which one would silently be idle."""

from __future__ import annotations

from collections import Counter

import click


class Command(click.Command):
    """As click's; the last of several counts there, which a long command line from a script does not show."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with a warning for each option that is given more than once and is not meant to be."""
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
            for parameter, times in Counter(order).items():
                if times > 1 and isinstance(parameter, click.Option) and not (parameter.multiple or parameter.is_flag):
                    name = max(parameter.opts, key=len)
                    click.echo(f"warning: {name} is given more than once; the last counts", err=True)
        return super().parse_args(ctx, args)
