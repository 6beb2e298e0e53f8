"""A task and the targets that sign it: what is named of it, and whether it is what was named.

Beside its files the digest of each vocabulary that comes with the program stands in the targets,
as if it were a file: with other words allowed out, the same task would be another promise.
"""

from collections.abc import Mapping
from dataclasses import replace

from fieldvote.bundle import is_vocabulary, signed_content, vocabulary_content
from fieldvote.task import Task
from privacy.sealing.roles import FileInfo, Targets
from privacy.sealing.trusted import check_files


def named_files(files: Mapping[str, bytes], where: str) -> tuple[tuple[str, FileInfo], ...]:
    """Return what targets say of a task.

    Args:
        files: The files of a task, and nothing beside them.
        where: Where they came from, for messages.

    Raises:
        TaskError: the files are no task.
    """
    content = signed_content(files, where, vocabulary=_digest)
    return tuple((path, FileInfo.of(content[path])) for path in sorted(content))


def check_task(targets: Targets, files: Mapping[str, bytes], where: str) -> Task:
    """Return the task in these files if they are what targets name.

    Nothing is parsed before its digest was compared.

    Raises:
        SignatureError: a file, or a vocabulary of this program, is not the one that was signed.
        TaskError: the files contradict each other.
    """
    own = tuple((path, info) for path, info in targets.files if not is_vocabulary(path))
    check_files(replace(targets, files=own), files)
    task = Task.parse(files, where)
    words = tuple((path, info) for path, info in targets.files if is_vocabulary(path))
    check_files(replace(targets, files=words), vocabulary_content(task, _digest))
    return task


def _digest(name: str) -> str:
    from privacy.pii.vocabulary import Vocabulary  # all that masks texts comes with it

    return Vocabulary.load(name).digest
