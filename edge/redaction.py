"""What masks the candidates of a task, and what looks at them a second time: all from its policy.

A task whose language has no vocabulary, neither its own nor one that comes with the program, cannot
be installed: nothing is masked by guess.
"""

from edge.tagger import OnnxTagger
from fieldvote.errors import InputError, TaskError
from fieldvote.task import Task
from privacy.pii import Redactor, Vocabulary


def redaction_of(task: Task) -> tuple[Redactor, Vocabulary]:
    """Return the redactor a policy names, and the vocabulary the second scan uses.

    Raises:
        TaskError: a language has no vocabulary, or a file of the task is not what it should be.
    """
    candidates = task.policy.candidates
    try:
        vocabulary = vocabulary_of(task)
        tagger = None
        if candidates.tagger is not None:
            tagger = OnnxTagger(
                task.tagger, candidates.tagger.kinds, where=f"tagger '{candidates.tagger.file}'"
            )
        redactor = Redactor(
            mode=candidates.redaction.value,
            locales=candidates.locales,
            vocabulary=vocabulary,
            tagger=tagger,
        )
    except InputError as err:
        raise TaskError(f"task '{task.name}' cannot be redacted: {err}") from err
    return redactor, vocabulary


def vocabulary_of(task: Task) -> Vocabulary:
    """Return the words that may leave: the task's own, or those that come with the program.

    Raises:
        InputError: more than one language, none that is known, or a file for another language.
    """
    locales = task.policy.candidates.locales
    if len(locales) > 1:
        raise InputError("texts of one device are of one language; name one locale")
    [locale] = locales
    if locale not in task.vocabularies:
        return Vocabulary.load(locale)
    vocabulary = Vocabulary.from_bytes(task.vocabularies[locale])
    if vocabulary.locale != locale:
        raise InputError(f"the vocabulary for '{locale}' is one for '{vocabulary.locale}'")
    return vocabulary
