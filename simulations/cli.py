"""`fieldvote simulate` and `fieldvote demo`: parse, call, print."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="digits, har, messages, sms, digits-deep, har-deep, or a TOML file of your own."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="An .npz with X or utf8, y and device, instead.")
    ] = None,
    devices: Annotated[int | None, typer.Option(help="Sample this many of the devices.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds; default: on to 99 % of the full-data score.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Names every random decision.")] = 1,
    engine: Annotated[
        str, typer.Option(help="Where devices run: in-process, or flower (Ray, for clusters).")
    ] = "in-process",
    strategy: Annotated[
        str | None,
        typer.Option(help="How items are picked: fleet, auto, margin, entropy, random, ..."),
    ] = None,
    json_path: Annotated[
        str | None, typer.Option("--json", help="Write the report here; - is standard output.")
    ] = None,
) -> None:
    """Rehearse a campaign on a simulated fleet, a twin that picks at random beside it.

    Example: fieldvote simulate digits --seed 1 --json report.json
    """
    from simulations.commands import (
        check_writable,
        choose_scenario,
        rehearse,
        show,
        write_report,
    )

    if json_path is not None:
        check_writable(json_path)
    chosen = choose_scenario(scenario, data, devices=devices, rounds=rounds, strategy=strategy)
    report = rehearse(chosen, seed=seed, engine=engine)
    if json_path is not None:
        write_report(report, json_path)
    if json_path != "-":
        show(report, sys.stdout)


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the report and the picture go; made if absent.")
    ] = Path("fieldvote-demo"),
    seed: Annotated[int, typer.Option(help="Names every random decision.")] = 1,
) -> None:
    """Watch a fleet of phones improve a spam filter without giving its messages away.

    Takes about a minute, needs no network, leaves no process behind.

    Example: fieldvote demo
    """
    from simulations.commands import run_demo

    run_demo(folder, seed=seed, out=sys.stdout)
