"""A task folder as one value: classes, input, functions, policy and model, checked together.

::

    task.toml         name, classes, [input] kind "text" or "tabular", [model]
    functions.toml    [[function]] tables, see fieldvote.functions
    policy.toml       what may leave and what it may cost, see fieldvote.policy
    model.onnx        the frozen model; its name is set in task.toml
    golden.msgpack    what it answers to made-up inputs: where task.toml names it
    train_step.onnx   how devices train it, and scoring.onnx: where task.toml has [training]
    de.vocabulary     words that may leave, and a tagger of names: where policy.toml names them

The same files, as bytes, are what is signed: `Task.files` reads them, `Task.parse` turns them into
a task wherever they came from, and `Task.digest` names them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

from fieldvote.errors import SettingsError, TaskError, nearest
from fieldvote.function_file import parse_functions
from fieldvote.functions import ABSTAIN, LabelingFunction
from fieldvote.policy import Policy
from fieldvote.settings import check_names, parse_settings, parse_toml
from fieldvote.training import TrainingNames

TASK_FILE = "task.toml"
FUNCTIONS_FILE = "functions.toml"
POLICY_FILE = "policy.toml"

_WIDEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInput:
    """Items are texts; the model reads them as width hashed features."""

    kind: Literal["text"] = "text"
    width: int

    def __post_init__(self) -> None:
        """A width the model could have."""
        if not 1 <= self.width <= _WIDEST:
            raise SettingsError(f"width: expected 1 to {_WIDEST}, got {self.width}")

    @property
    def field_names(self) -> None:
        """A text has no fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularInput:
    """Items are rows of numbers; the model reads the fields in this order."""

    kind: Literal["tabular"] = "tabular"
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        """Fields that can be told apart."""
        check_names(self.fields, "fields", least=1)

    @property
    def width(self) -> int:
        """The number of features, d."""
        return len(self.fields)

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields functions may read."""
        return self.fields


Input: TypeAlias = TextInput | TabularInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNames:
    """Where the model is, and what its tensors are called.

    Attributes:
        file: Name of the ONNX file, in the task folder.
        input: Takes (n, width) float32.
        probabilities: Gives (n, k), rows sum to 1.
        embedding: Gives (n, d), what heads are trained on.
        golden: Name of the file with what it must answer, see edge.model_guard.golden; may be none.
    """

    file: str = "model.onnx"
    input: str = "input"
    probabilities: str = "probabilities"
    embedding: str = "embedding"
    golden: str = ""

    def __post_init__(self) -> None:
        """The model must lie in the folder that is signed, and so must what it has to answer."""
        for what, name in (("file", self.file), ("golden", self.golden)):
            if what == "golden" and not name:
                continue
            if Path(name).name != name or name in ("", ".."):
                raise SettingsError(
                    f"{what}: expected a file name in the task folder, got '{name}'"
                )
            if name in (TASK_FILE, FUNCTIONS_FILE, POLICY_FILE):
                raise SettingsError(f"{what}: '{name}' is not a model")
        if self.golden == self.file:
            raise SettingsError(f"golden: '{self.golden}' is the model itself")

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the task folder that belong to the model."""
        return (self.file, self.golden) if self.golden else (self.file,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TaskFile:
    """What task.toml may say."""

    name: str
    classes: tuple[str, ...]
    input: TextInput | TabularInput
    model: ModelNames = ModelNames()
    training: TrainingNames | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files this one names."""
        return (*self.model.files, *(self.training.files if self.training else ()))

    def __post_init__(self) -> None:
        """A name, and classes a vote can be for."""
        if not self.name.strip():
            raise SettingsError("name: is empty")
        check_names(self.classes, "classes", least=2)
        # votes travel as int8, -1 abstains
        if len(self.classes) > 127:
            raise SettingsError(f"classes: expected at most 127, got {len(self.classes)}")
        if ABSTAIN in self.classes:
            raise SettingsError(f"classes: '{ABSTAIN}' is what a function does without a vote")
        check_names((TASK_FILE, FUNCTIONS_FILE, POLICY_FILE, *self.files), "files", least=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Everything a device must agree on with its coordinator.

    Attributes:
        name: For people.
        classes: In the order of votes and probabilities; k of them.
        input: What an item is.
        names: What the model's file and tensors are called.
        functions: The labeling functions, in the order of vote columns; m of them.
        policy: What may leave a device.
        model: The ONNX file, as bytes.
        vocabularies: Of each locale that brings its own words, their file.
        tagger: The ONNX file of the tagger; empty where there is none.
        digest: SHA-256 over all files, hex; two tasks are the same where their digests are.
        family: The same over all files but the functions: what every release of a task shares.
        policy_digest: SHA-256 over the policy's file, hex; envelopes name it.
        golden: What the model has to answer, as bytes; empty where nobody said.
        training: How the model itself is trained; None where only a head on it is.
        step: The ONNX file of its train step; empty without training.
        scoring: The ONNX file of the model that is told its weights; empty without training.
    """

    name: str
    classes: tuple[str, ...]
    input: Input
    names: ModelNames
    functions: tuple[LabelingFunction, ...]
    policy: Policy
    model: bytes = field(repr=False)
    digest: str
    family: str
    policy_digest: str
    vocabularies: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    tagger: bytes = field(repr=False, default=b"")
    golden: bytes = field(repr=False, default=b"")
    training: TrainingNames | None = None
    step: bytes = field(repr=False, default=b"")
    scoring: bytes = field(repr=False, default=b"")

    @property
    def versions(self) -> tuple[str, ...]:
        """The version of each function, in the order of vote columns."""
        return tuple(function.version for function in self.functions)

    @staticmethod
    def load(folder: Path) -> "Task":
        """Read and check the task in a folder.

        Raises:
            SettingsError: A file says something we do not know.
            TaskError: A file is missing, or two of them contradict each other.
        """
        return Task.parse(Task.files(folder), str(folder))

    @staticmethod
    def files(folder: Path, *, graphs: bool = True) -> dict[str, bytes]:
        """Return the files of a task by name: what is signed, and nothing beside them.

        Args:
            folder: Holds them.
            graphs: Whether the graphs of training are read; else they are empty, as before they
                were made.

        Raises:
            SettingsError: task.toml does not say where the model is.
            TaskError: The folder or one of the files is not there.
        """
        if not folder.is_dir():
            raise TaskError(f"{folder}: no such folder; 'fieldvote new {folder}' makes one")
        task = _read(folder, TASK_FILE)
        said = _parse_task_file(task, str(folder))
        there = said.files if graphs else said.model.files
        others = {name: _read(folder, name) for name in (FUNCTIONS_FILE, POLICY_FILE, *there)}
        others |= dict.fromkeys(said.files[len(there) :], b"")
        named = _parse_policy(others[POLICY_FILE], str(folder)).candidates.files
        return {TASK_FILE: task, **others, **{name: _read(folder, name) for name in named}}

    @staticmethod
    def parse(files: Mapping[str, bytes], where: str) -> "Task":
        """Turn the files of a task, from a folder or a bundle, into a task.

        Args:
            files: Content by name.
            where: Where they came from, for messages.

        Raises:
            SettingsError: A file says something we do not know.
            TaskError: A file is missing or left over, or two of them contradict each other.
        """
        said = _parse_task_file(_take(files, TASK_FILE, where), where)
        policy = _parse_policy(_take(files, POLICY_FILE, where), where)
        expected = (TASK_FILE, FUNCTIONS_FILE, POLICY_FILE, *said.files)
        if surplus := sorted(set(files) - {*expected, *policy.candidates.files}):
            raise TaskError(f"{where}: '{surplus[0]}' is no file of this task")
        _check_policy(policy, said.input, f"{where}/{POLICY_FILE}", taken=expected)
        functions = parse_functions(
            _take(files, FUNCTIONS_FILE, where),
            f"{where}/{FUNCTIONS_FILE}",
            classes=said.classes,
            fields=said.input.field_names,
        )
        model = _take(files, said.model.file, where)
        candidates = policy.candidates
        return Task(
            name=said.name,
            classes=said.classes,
            input=said.input,
            names=said.model,
            functions=functions,
            policy=policy,
            model=model,
            digest=digest_files(files),
            family=digest_files({n: held for n, held in files.items() if n != FUNCTIONS_FILE}),
            policy_digest=sha256(files[POLICY_FILE]).hexdigest(),
            vocabularies={
                locale: _take(files, file, where) for locale, file in candidates.vocabularies
            },
            tagger=_take(files, candidates.tagger.file, where) if candidates.tagger else b"",
            golden=_take(files, said.model.golden, where) if said.model.golden else b"",
            training=said.training,
            step=_take(files, said.training.step, where) if said.training else b"",
            scoring=_take(files, said.training.scoring, where) if said.training else b"",
        )


def digest_files(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of a set of files, hex; the order they are given in does not count.

    Names and contents are framed by their lengths, so that no byte can move between them.

    >>> digest_files({"a": b"1", "b": b""}) == digest_files({"b": b"", "a": b"1"})
    True
    >>> digest_files({"a": b"1b", "b": b""}) == digest_files({"a": b"1", "b": b"b"})
    False
    """
    digest = sha256()
    for name, content in sorted(files.items()):
        digest.update(b"%d:%s%d:" % (len(name.encode()), name.encode(), len(content)))
        digest.update(content)
    return digest.hexdigest()


def _parse_task_file(content: bytes, where: str) -> _TaskFile:
    """Read task.toml."""
    place = f"{where}/{TASK_FILE}"
    return parse_settings(parse_toml(content, place), _TaskFile, place)


def _parse_policy(content: bytes, where: str) -> Policy:
    """Read policy.toml."""
    place = f"{where}/{POLICY_FILE}"
    return parse_settings(parse_toml(content, place), Policy, place)


def _check_policy(policy: Policy, given: Input, place: str, *, taken: Collection[str]) -> None:
    """Raise TaskError where the policy names what the task does not have, or has otherwise."""
    candidates = policy.candidates
    named = [("keep", name) for name, _ in candidates.keep]
    for table, name in [*named, *(("fields", name) for name, _ in candidates.fields)]:
        if given.field_names is None:
            raise TaskError(f"{place}: candidates.{table}.{name}: a text has no fields to keep")
        if name not in given.field_names:
            hint = nearest(name, given.field_names)
            raise TaskError(f"{place}: candidates.{table}.{name}: no such field; {hint}")
    if candidates.files and given.field_names is not None:
        raise TaskError(f"{place}: candidates: a row of numbers has no vocabulary and no tagger")
    for file in candidates.files:
        if file in taken:
            raise TaskError(f"{place}: candidates: '{file}' is another file of this task")


def _take(files: Mapping[str, bytes], name: str, where: str) -> bytes:
    """Return a file, or say that it is missing."""
    if name not in files:
        raise TaskError(f"{where}: '{name}' is missing")
    return files[name]


def _read(folder: Path, name: str) -> bytes:
    """Read a file of the folder, or say why not."""
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as err:
        raise TaskError(f"{folder}: '{name}' is missing") from err
    except OSError as err:
        raise TaskError(f"{folder}/{name}: cannot be read ({err.strerror or err})") from err
