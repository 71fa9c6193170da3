"""The options that stand in for a profile: a Triton model repository, and the times of its batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from models.errors import InvalidInput
from planner.cli.options import require_profile
from planner.profile import EngineProfile, load_profile

F = TypeVar("F", bound=Callable[..., Any])


def repository_options(command: F) -> F:
    """`--model-repository` and what belongs to it."""
    for option in reversed(
        [
            click.option(
                "--model-repository", type=click.Path(path_type=Path), metavar="DIR",
                help="Triton model repository: limits from config.pbtxt, instead of --profile (needs the `triton` "
                "extra).",
            ),
            click.option(
                "--profile-csv", type=click.Path(path_type=Path), metavar="FILE",
                help="Beside it: time of a batch by its size, columns batch, mean_s or mean_ms, and cv.",
            ),
            click.option("--model-name", metavar="NAME", help="The model of the repository, where it has several."),
            click.option(
                "--gpu", metavar="TYPE", help="GPU type of the replicas, where no profile tells it."
            ),
            click.option(
                "--write-profile", type=click.Path(path_type=Path), metavar="FILE",
                help="Write the profile that the repository and the times make (YAML).",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What the options say."""

    folder: Path | None
    times: Path | None
    model: str | None
    gpu: str | None
    write: Path | None

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Repository:
        """The options, taken out of all that were given."""
        return cls(
            folder=options.pop("model_repository"),
            times=options.pop("profile_csv"),
            model=options.pop("model_name"),
            gpu=options.pop("gpu"),
            write=options.pop("write_profile"),
        )

    def check(self, profile_name: str | None) -> None:
        """Refuse what does not go together, before any work."""
        if self.folder is None:
            if any(each is not None for each in (self.times, self.model, self.gpu, self.write)):
                raise InvalidInput(
                    "--profile-csv, --model-name, --gpu and --write-profile belong to a --model-repository",
                    remedy="add --model-repository DIR",
                )
            require_profile(profile_name)
        elif profile_name is not None:
            raise InvalidInput("--model-repository and --profile exclude each other", remedy="drop one of them")
        elif self.times is None:
            raise InvalidInput(
                "--model-repository says nothing of times", remedy="add --profile-csv FILE with batch and mean_ms"
            )

    def profile(self, profile_name: str | None) -> EngineProfile:
        """The profile that is meant; written out where that is asked for."""
        if self.folder is None or self.times is None:
            return load_profile(require_profile(profile_name))
        from planner.model_repository import document_from_repository, profile_of

        document = document_from_repository(self.folder, self.times, model=self.model, gpu=self.gpu)
        found = profile_of(document, self.folder)
        if self.write is not None:
            from planner.files import write_atomically
            from planner.profile_document import text_of

            write_atomically(self.write, text_of(document).encode())
            click.echo(f"wrote {self.write}", err=True)
        return found
