"""Releases of one small task, signed, and devices that may be given another one."""

from collections.abc import Callable, Mapping, Sequence

from edge.pool import Pool
from edge.shadow import proposed
from edge.sums import Installed, adopt
from edge.trust import Trust
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.records import SurveyRequest
from fieldvote.releases import TrialRequest
from fieldvote.task import FUNCTIONS_FILE, Task
from tests.coordinator.rounds.campaign import SMALL_FILES
from tests.doubles.owner import OWNER, Owner


def rule(name: str, field: str, *, above: float | None = None, below: float | None = None) -> bytes:
    """Return one function: high above, or low below."""
    bound = f"above = {above}" if above is not None else f"below = {below}"
    wanted = "high" if above is not None else "low"
    return (
        f'[[function]]\nid = "{name}"\nkind = "threshold"\nclass = "{wanted}"\n'
        f'field = "{field}"\nowner = "test"\n{bound}\n'
    ).encode()


A = rule("a_is_high", "a", above=0.7)
A2 = rule("a_is_high", "a", above=0.2)
B = rule("b_is_low", "b", below=-0.7)
A_LOW = rule("a_is_low", "a", below=-0.5)
B_HIGH = rule("b_is_high", "b", above=0.5)
NOISE = rule("c_is_high", "c", above=-0.4)
WRONG = rule("a_is_high", "a", below=-0.4).replace(b'"low"', b'"high"')


def signed(
    functions: Sequence[bytes],
    version: int,
    *,
    owner: Owner = OWNER,
    files: Mapping[str, bytes] = SMALL_FILES,
) -> Bundle:
    """Return the small task with these functions, signed."""
    content = {**files, FUNCTIONS_FILE: b"".join(functions)}
    return owner.bundle(content, version)


def task_of(bundle: Bundle) -> Task:
    """Return the task in a bundle."""
    files = unpack(bundle.content)
    files.pop(TARGETS_FILE)
    return Task.parse(files, "small")


def trial_of(before: Task, after: Bundle, number: int = 1) -> TrialRequest:
    """Return what a device is asked to try."""
    files = unpack(after.content)
    return TrialRequest(
        round=number,
        task=before.digest,
        targets=files[TARGETS_FILE],
        functions=files[FUNCTIONS_FILE],
    )


def files_of(bundle: Bundle) -> dict[str, bytes]:
    """Return a bundle's files."""
    return unpack(bundle.content)


def survey_of(task: Task, number: int = 1) -> SurveyRequest:
    """Return a survey without offers."""
    return SurveyRequest(
        round=number,
        strategy="fleet",
        offers=0,
        random_offers=0,
        first=False,
        model=None,
        task=task.digest,
    )


def proposer(bundle: Bundle, newest: int | None) -> Callable[[TrialRequest], Task | None]:
    """Return how a device that runs this bundle looks at a release."""
    files = unpack(bundle.content)
    files.pop(TARGETS_FILE)
    trust = Trust(Pool(None), OWNER.roots[0], lambda: OWNER.now_s)
    if newest is not None:
        ours = OWNER.bundle(files, newest)
        trust.refresh(OWNER.news(ours, newest))
        trust.took(trust.admitted(unpack(ours.content)))
    return lambda request: proposed(files, request, trust=trust)


def install(pool: Pool, task: Task) -> None:
    """Make a pool that of a task, as a device does when it is opened."""
    adopt(
        pool,
        Installed(
            task=task.digest, family=task.family, versions=task.versions, classes=task.classes
        ),
    )
