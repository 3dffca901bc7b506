"""The command line: fit a recipe, export a finished run's bundle, measure and compare bundles."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from inference_worker import engine_options, preprocessing
from inference_worker.bundle import BundleError, load, load_manifest, write_manifest
from training import (
    beside,
    compare,
    evaluate,
    evidence,
    export,
    metrics,
    parallel,
    rate_bundle,
    recertify,
    robustness,
    smoke,
    tracking,
)
from training import recipe as recipes
from training.ended import OtherRecipeError
from training.fit import Run, train
from training.loop import MonitorError
from training.networks import InitError
from training.readers import DataError
from training.splits import SplitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from inference_worker.bundle import Bundle
    from training.dataset import Labelled

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name for it

_EXPECTED: Final = (
    BundleError,
    DataError,
    InitError,
    MonitorError,
    OtherRecipeError,
    SplitError,
    recipes.RecipeError,
    smoke.SmokeError,
    compare.OtherTestError,
    export.ServedOtherwiseError,
    tracking.TrackingError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 2 for what the user can mend."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    _refuse_emulation(parser, arguments)
    torch.set_num_threads(arguments.threads)
    try:
        arguments.run(arguments)
    except _EXPECTED as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _refuse_emulation(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with an error where a CPU is asked for bfloat16 that it would only imitate."""
    asked = getattr(arguments, "precision", "") == "bfloat16"
    if asked and _device().type == "cpu" and not engine_options.cpu_multiplies_bfloat16():
        parser.error(
            "this CPU has no instructions for bfloat16 and would imitate it many times slower; "
            "leave --precision out, or name float32"
        )


def _fit(arguments: argparse.Namespace) -> None:
    run, sha256 = _run(arguments)
    train(run)
    if run.team.leads and not arguments.only:
        _export_run(run, sha256, arguments)


def _export(arguments: argparse.Namespace) -> None:
    run, sha256 = _run(arguments)
    _export_run(run, sha256, arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    opened = _open(arguments, arguments.bundle, arguments.recipe)
    cases = rate_bundle.judge(*opened)
    found = rate_bundle.report(opened[0].manifest, cases, opened[1].precision)
    if arguments.limits:
        found = recertify.limits(opened[0], found, *opened[1:])
    evidence.write(found, arguments.out / "evidence")
    evidence.write_cases(cases, arguments.out / "evidence" / "predictions.csv")


def _compare(arguments: argparse.Namespace) -> None:
    first, second = (
        _open(arguments, one, arguments.recipe) for one in (arguments.bundle, arguments.other)
    )
    found = compare.compare(
        (first[0].manifest, rate_bundle.judge(*first)),
        (second[0].manifest, rate_bundle.judge(*second)),
        evaluate.SMOKE_ROUNDS if first[1].smoke else evaluate.ROUNDS,
    )
    sys.stdout.write(compare.write(found, arguments.out))


def _robustness(arguments: argparse.Namespace) -> None:
    loaded, run, own = _open(arguments, arguments.bundle, arguments.recipe)
    found = robustness.report(run, own, loaded, arguments.photos, arguments.cleanings)
    sys.stdout.write(robustness.write(found, arguments.out))


def _recertify(arguments: argparse.Namespace) -> None:
    """Certify a bundle's gate anew, on request measure it too, and write its evidence anew."""
    loaded, run, own = _open(arguments, arguments.bundle, arguments.recipe)
    found = recertify.gate(loaded, run, own)
    if arguments.test:
        found = recertify.limits(loaded, found, run, own)
        found = rate_bundle.report(found, rate_bundle.judge(loaded, run, own), run.precision)
        found = replace(found, metrics={**found.metrics, metrics.READ_AGAIN: True})
    write_manifest(arguments.bundle, found)
    evidence.write(found, arguments.evidence or arguments.out / "evidence")


def _card(arguments: argparse.Namespace) -> None:
    """Put what was measured since its export into a bundle, and write its evidence anew."""
    found = load_manifest(arguments.bundle)[0]
    if arguments.beside is not None:
        found = beside.put(found, load_manifest(arguments.beside)[0])
    if arguments.earlier is not None:
        found = beside.carry(found, load_manifest(arguments.earlier)[0])
    if arguments.robustness is not None:
        found = robustness.put(found, arguments.robustness)
    found = evidence.completed(found)
    write_manifest(arguments.bundle, found)
    evidence.write(found, arguments.evidence)


def _open(
    arguments: argparse.Namespace, folder: Path, recipe: str | None
) -> tuple[Bundle, Run, Labelled]:
    return rate_bundle.open_bundle(
        folder, arguments.data, arguments.out, _device(), recipe, arguments.precision
    )


def _smoke(arguments: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        out = arguments.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        out.mkdir(parents=True, exist_ok=True)
        total = 0.0
        for name in arguments.recipes or recipes.names():
            passed = smoke.run(name, arguments.data, out, arguments.threads)
            sys.stdout.write(f"{passed.name}: {passed.seconds:.0f} s\n")
            total += passed.seconds
        sys.stdout.write(f"all: {total:.0f} s\n")


def _export_run(run: Run, sha256: str, arguments: argparse.Namespace) -> None:
    folder = arguments.bundle or arguments.out / "bundle"
    found = export.export(run, sha256, folder)
    evidence.write(found, arguments.evidence or arguments.out / "evidence")


def _run(arguments: argparse.Namespace) -> tuple[Run, str]:
    recipe, sha256 = recipes.load(arguments.recipe)
    if arguments.by_image:
        recipe = recipes.by_image(recipe)
    if arguments.smoke:
        recipe = recipes.smoke(recipe)
    team, device = parallel.join(_device())
    run = Run(
        recipe=recipe,
        data=arguments.data,
        out=arguments.out,
        device=device,
        resume=getattr(arguments, "resume", False),
        smoke=arguments.smoke,
        only=tuple(getattr(arguments, "only", ())),
        trackers=tuple(getattr(arguments, "track", ())),
        team=team,
        precision=arguments.precision,
        begun=_begun(arguments),
    )
    return run, sha256


def _begun(arguments: argparse.Namespace) -> Bundle | None:
    folder = getattr(arguments, "begin", None)
    return load(folder) if folder else None


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_making(commands)
    _add_measuring(commands)
    _add_card(commands)
    small = commands.add_parser("smoke", help="every line of every recipe, on a few photos")
    small.add_argument("recipes", nargs="*", help="recipes (default: all)")
    small.add_argument("--data", type=Path, help="data sets; those not there are drawn")
    small.add_argument("--out", type=Path, help="where to keep the runs (default: nowhere)")
    small.add_argument("--threads", type=int, default=os.cpu_count())
    small.set_defaults(run=_smoke)
    return parser


def _add_making(commands: Commands) -> None:
    """Add the commands that take a recipe."""
    fit = commands.add_parser("fit", help="train a recipe and export its bundle")
    fit.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    fit.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PART",
        help="train these parts alone: segmenter, or members by number",
    )
    fit.add_argument(
        "--track",
        nargs="+",
        default=[],
        choices=tracking.TRACKERS,
        help="send figures there too, beside log.csv",
    )
    fit.add_argument(
        "--from",
        dest="begin",
        type=Path,
        metavar="BUNDLE",
        help="begin with the weights of this bundle, and train the stages that it has not had",
    )
    export_ = commands.add_parser("export", help="make the bundle of a finished run")
    for command, run in ((fit, _fit), (export_, _export)):
        command.add_argument("recipe", help="a name in training/recipes, or a .yaml file")
        command.add_argument(
            "--smoke",
            action="store_true",
            help="every line, on at most 32 photos of each data set and two steps a stage",
        )
        command.add_argument(
            "--by-image",
            action="store_true",
            help="the first member alone, split photo by photo: to be put beside the honest one",
        )
        command.add_argument("--bundle", type=Path, help="where to (default OUT/bundle)")
        command.add_argument("--evidence", type=Path, help="where to (default OUT/evidence)")
        command.set_defaults(run=run)
        _add_places(command)


def _add_measuring(commands: Commands) -> None:
    """Add the commands that take a bundle."""
    helps = {
        _evaluate: ("evaluate", "measure a bundle on its test part"),
        _compare: ("compare", "tell two bundles apart on one test part"),
        _robustness: ("robustness", "measure a bundle on worse photos"),
        _recertify: ("recertify", "certify a bundle's gate anew, without training it"),
    }
    for run, (name, text) in helps.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("bundle", type=Path, help="a bundle's folder")
        command.set_defaults(run=run)
        _add_places(command)
        if run is _evaluate:
            command.add_argument(
                "--limits", action="store_true", help="how it outlines and what it refuses too"
            )
        if run is _compare:
            command.add_argument("other", type=Path, help="the other bundle's folder")
        command.add_argument("--recipe", help="its recipe (default: the one that it names)")
        if run is _robustness:
            command.add_argument("--photos", type=int, default=robustness.PHOTOS)
            command.add_argument(
                "--cleanings",
                nargs="*",
                choices=preprocessing.NAMES,
                help="steps to judge the worth of; none is fastest (default: all)",
            )
        if run is _recertify:
            command.add_argument("--evidence", type=Path, help="where to (default OUT/evidence)")
            command.add_argument(
                "--test", action="store_true", help="take every figure of the test part anew too"
            )


def _add_card(commands: Commands) -> None:
    command = commands.add_parser("card", help="write a bundle's evidence and model card anew")
    command.add_argument("bundle", type=Path, help="a bundle's folder")
    leak = command.add_mutually_exclusive_group()
    leak.add_argument("--beside", type=Path, help="a bundle of the same recipe, split by image")
    leak.add_argument(
        "--earlier", type=Path, help="a bundle of an earlier version, whose comparison is kept"
    )
    command.add_argument("--robustness", type=Path, help="the robustness.json of this bundle")
    command.add_argument("--evidence", type=Path, required=True, help="where to")
    command.set_defaults(run=_card, threads=os.cpu_count())


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, help="where the data sets lie")
    command.add_argument("--out", type=Path, required=True, help="the run's folder")
    command.add_argument("--threads", type=int, default=os.cpu_count())
    command.add_argument(
        "--precision",
        choices=engine_options.PRECISIONS,
        default="float32",
        help="in which trained networks judge photos on a CPU (default: float32)",
    )
