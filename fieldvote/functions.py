"""Labeling functions as values: declarative rules that vote for a class or abstain.

A function is data, never code: it can be read, reviewed, signed, sent to a device, and named by the
digest of what it says. The kinds:

============  ========================================================================
keyword       one of these words stands in the text: whole words, any case; perhaps
              not shortly after a negation
fuzzy         one of these words stands in the text, with at most one or two slips
regex         this RE2 pattern matches somewhere in the text
threshold     a numeric field lies above, below, or between
expression    an expression over fields and dates holds
lookup        a table from value to class, over a field or over the words of the text
model         the model gives the class at least this probability, calibrated
python        a function that is installed on the device and pinned by its policy
============  ========================================================================

`fieldvote.function_file` reads them from a task folder, `edge.labeling` turns them into votes.
"""

from typing import TypeAlias

from fieldvote.function_definition import (
    ABSTAIN,
    Definition,
    Example,
    FieldContract,
    OneClass,
    Source,
)
from fieldvote.function_fields import ExpressionFunction, LookupFunction, ThresholdFunction
from fieldvote.function_language import LanguageOfField, LanguageOfWords, LanguageRule
from fieldvote.function_model import IsotonicTable, ModelFunction, Temperature
from fieldvote.function_python import PythonFunction
from fieldvote.function_text import FuzzyFunction, KeywordFunction, RegexFunction, normal_word

LabelingFunction: TypeAlias = (
    KeywordFunction
    | FuzzyFunction
    | RegexFunction
    | ThresholdFunction
    | ExpressionFunction
    | LookupFunction
    | ModelFunction
    | PythonFunction
)

__all__ = [
    "ABSTAIN",
    "Definition",
    "Example",
    "ExpressionFunction",
    "FieldContract",
    "FuzzyFunction",
    "IsotonicTable",
    "KeywordFunction",
    "LabelingFunction",
    "LanguageOfField",
    "LanguageOfWords",
    "LanguageRule",
    "LookupFunction",
    "ModelFunction",
    "OneClass",
    "PythonFunction",
    "RegexFunction",
    "Source",
    "Temperature",
    "ThresholdFunction",
    "normal_word",
]
