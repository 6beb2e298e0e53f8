"""`fieldvote labels`: the desk, and what becomes of answers and of votes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import AsJson, Config
from fieldvote.tables import print_one, print_table

app = typer.Typer(
    help="Labels: the desk where people answer, and labels from votes.\n\n"
    "Example: fieldvote labels list --config coordinator.toml",
    no_args_is_help=True,
    add_completion=False,
)

Keys = Annotated[Path, typer.Option("--keys", help="The folder of the desk's keys.")]
OfRound = Annotated[int | None, typer.Option("--round", help="Only of this round.", min=1)]
_CONFIG, _KEYS = Path("coordinator.toml"), Path("desk")


@app.command()
def keys(
    folder: Keys = _KEYS,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make the next keys; those before stay for a while.")
    ] = False,
    overlap_days: Annotated[
        int, typer.Option("--overlap-days", help="How long those before stay good.", min=1)
    ] = 30,
    locked: Annotated[
        bool, typer.Option("--locked", help="Lock the keys by a passphrase, which is asked for.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the desk's keys, or change them, and print what devices need of them.

    Example: fieldvote labels keys --keys desk
    """
    from coordinator.labels.key_words import change_keys, first_keys

    made = (
        change_keys(folder, days=overlap_days, locked=locked)
        if rotate
        else first_keys(folder, locked=locked)
    )
    typer.echo(json.dumps(made.to_json(), indent=2) if as_json else made.to_toml())


@app.command()
def retire(
    key: Annotated[str, typer.Argument(help="An older key's id; else all whose end came.")] = "",
    folder: Keys = _KEYS,
) -> None:
    """Delete the desk's older keys whose end has come, or one of them at once.

    Example: fieldvote labels retire --keys desk
    """
    from datetime import UTC, datetime

    from coordinator.labels.desk_keys import retire_keys

    gone = retire_keys(folder, now=datetime.now(UTC), named=key)
    typer.echo(f"{len(gone)} older keys deleted: {', '.join(gone) or 'none'}")


@app.command()
def answer(
    config: Config = _CONFIG,
    keys: Keys = _KEYS,
    name: Annotated[
        str, typer.Option("--as", help="Who you are; the store learns a pseudonym only.")
    ] = "",
    expert: Annotated[
        bool, typer.Option("--expert", help="Decide what other people could not agree on.")
    ] = False,
) -> None:
    """Answer what waits in the queue, one masked item at a time.

    Example: fieldvote labels answer --as ann --config coordinator.toml --keys desk
    """
    from coordinator.labels.terminal import answer_queue

    given = answer_queue(
        config,
        keys,
        ask=input,
        say=typer.echo,
        emphasize=lambda text: typer.style(text, reverse=True),
        name=name,
        expert=expert,
    )
    typer.echo(f"{given} answer{'' if given == 1 else 's'} given")


@app.command("list")
def list_labels(
    config: Config = _CONFIG,
    number: OfRound = None,
    as_json: AsJson = False,
) -> None:
    """List the labels people gave, who agreed, and which models learned from them.

    Example: fieldvote labels list --round 3
    """
    from coordinator.upkeep import labels_of

    print_table(labels_of(config, number), as_json)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="A .jsonl or a .parquet; it is replaced.")],
    config: Config = _CONFIG,
    number: OfRound = None,
) -> None:
    """Write the labels people gave into a table, with where each came from.

    Example: fieldvote labels export labels.jsonl
    """
    from coordinator.upkeep import export_labels

    typer.echo(export_labels(config, path, number))


@app.command()
def explain(
    votes: Annotated[list[str], typer.Argument(help="FUNCTION=CLASS, one for each vote.")],
    config: Config = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say what the newest label model makes of an item's votes: which function adds what.

    Example: fieldvote labels explain praises_prize=offer small_talk=ordinary
    """
    from coordinator.upkeep import reasons_of

    print_table(reasons_of(config, votes), as_json)


@app.command()
def fit(
    votes: Annotated[Path, typer.Argument(help="A .npz, .npy, .csv or .json; -1 abstains.")],
    classes: Annotated[
        int | None, typer.Option("--classes", help="How many; else as the file says.", min=2)
    ] = None,
    exchanges: Annotated[
        int, typer.Option("--exchanges", help="How often the fit is refined.", min=0)
    ] = 3,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write labels to this .jsonl or .parquet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a file of votes into labels: Snorkel's matrices and WRENCH's data sets among them.

    Example: fieldvote labels fit votes.npz --out labels.jsonl
    """
    from coordinator.labels.weak import fit_votes, write_weak_labels

    found = fit_votes(votes, classes=classes, exchanges=exchanges)
    if out is not None:
        write_weak_labels(found, out, source=votes)
    if as_json:
        shown = {"summary": found.summary, "functions": list(found.functions)}
        typer.echo(json.dumps(shown, indent=2))
        return
    print_table(found.functions, as_json=False)
    typer.echo("")
    print_one(found.summary, as_json=False)
