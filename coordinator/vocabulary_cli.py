"""`fieldvote vocabulary`: the words of a language that may leave, built by a task's owner."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Vocabularies: which words of a language may leave a device.\n\n"
    "Example: fieldvote vocabulary show de.vocabulary",
    no_args_is_help=True,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    words: Annotated[Path, typer.Argument(help="A word list: UTF-8, one word a line.")],
    locale: Annotated[str, typer.Option("--locale", help="The language's code, such as de.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    names: Annotated[
        list[Path] | None,
        typer.Option("--names", help="Surnames and places, which never leave; may be repeated."),
    ] = None,
    first_names: Annotated[
        Path | None, typer.Option("--first-names", help="Words that vouch for a name after them.")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option("--lists", help="The language's function words, titles and street words."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a vocabulary from a word list; the same list always gives the same file.

    Example: fieldvote vocabulary build /usr/share/dict/ngerman --locale de --out de.vocabulary
    """
    from coordinator.vocabularies import Sources, build_file

    sources = Sources(words=words, names=tuple(names or ()), first_names=first_names, lists=lists)
    _print(build_file(sources, locale=locale, out=out), as_json)
    if not as_json:
        typer.echo("Put the file into the task folder, and into policy.toml:")
        typer.echo("  [candidates]")
        typer.echo(f'  locales = ["{locale}"]')
        typer.echo(f'  vocabularies = {{ {locale} = "{out.name}" }}')


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A vocabulary that was built before.")],
    as_json: AsJson = False,
) -> None:
    """Say which language a vocabulary is for, how many words it lets out, and its digest.

    Example: fieldvote vocabulary show de.vocabulary
    """
    from coordinator.vocabularies import describe_file

    _print(describe_file(file), as_json)


def _print(found: dict[str, str | int], as_json: bool) -> None:
    """Print a table of two columns."""
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name:<10} {value}")
