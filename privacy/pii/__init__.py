"""Redaction of personal data before anything is shipped."""

from privacy.pii.build import build_vocabulary
from privacy.pii.fields import FieldPolicy, KeptField, mask_fields
from privacy.pii.redact import Redactor, Tagger
from privacy.pii.scan import second_scan, structured_scan
from privacy.pii.spans import Redaction, Span
from privacy.pii.vocabulary import Vocabulary

__all__ = [
    "FieldPolicy",
    "KeptField",
    "Redaction",
    "Redactor",
    "Span",
    "Tagger",
    "Vocabulary",
    "build_vocabulary",
    "mask_fields",
    "second_scan",
    "structured_scan",
]
