"""What is no labeling function is refused by file, function and key, and what is one is not."""

import re
from collections.abc import Callable

import pytest

from fieldvote.errors import InputError
from tests.fieldvote.test_functions import function, parse_rows, parse_text


@pytest.mark.parametrize(
    ("parse", "toml", "message"),
    [
        (parse_text, "[[functoin]]", "f.toml: unknown key 'functoin'; known: function"),
        (parse_text, "function = 3", "f.toml: function: expected [[function]] tables"),
        (parse_text, "[[function]]", "f.toml: function no. 1: missing key 'kind'"),
        (
            parse_text,
            function('kind = "keywrod"'),
            "function 'f': kind: unknown word 'keywrod'; did",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwrods = ["a"]'),
            "f.toml: function 'f': unknown key 'wrods'; did you mean 'words'?",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "ofer"\nwords = ["a"]'),
            "f.toml: function 'f': class: no class 'ofer'; did you mean 'offer'?",
        ),
        (
            parse_text,
            function('kind = "lookup"\ntable = { a = "ofer" }'),
            "f.toml: function 'f': table: no class 'ofer'",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "sped"\nabove = 1'),
            "f.toml: function 'f': field: no field 'sped'; did you mean 'speed'?",
        ),
        (
            parse_rows,
            function('kind = "lookup"\nfield = "cold"\ntable = { 1 = "offer" }'),
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "lookup"\nfield = "heat"\ntable = { hot = "offer" }'),
            "f.toml: function 'f': table: 'hot' is not a number",
        ),
        (
            parse_text,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1'),
            "kind: reads a field, but the input of this task is a text",
        ),
        (
            parse_rows,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]'),
            "kind: reads a text, but the input of this task is tabular",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a", " "]'),
            "words: expected at least one word",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"'),
            "needs 'above' or 'below', or both",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 2\nbelow = 2'),
            "above: must be less than below",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 1.1'),
            "minimum: expected a probability",
        ),
        (
            parse_text,
            function('kind = "lookup"\ntable = { Pizza = "offer", pizza = "ordinary" }'),
            "table: the value 'pizza' stands there twice",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + 'examples = [{ input = "a", vote = "offr" }]',
            "examples: no class 'offr'; did you mean 'offer'?",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + 'examples = [{ input = { a = 1 }, vote = "offer" }]',
            "examples: the input of this function is a text",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + 'examples = [{ input = { sped = 1 }, vote = "offer" }]',
            "examples: no field 'sped'; did you mean 'speed'?",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'examples = [{ input = { ofer = 1 }, vote = "offer" }]',
            "examples: no class 'ofer'; did you mean 'offer'?",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nunless_after = [" "]'),
            "unless_after: no letter or digit in ' '",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nwithin = 11'),
            "within: expected 1 to 10 words, got 11",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["win"]'),
            "words: 'win' has 3 letters, expected 4 to 40",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["winner"]\ndistance = 2'),
            "words: 'winner' has 6 letters, expected 7 to 40 for a distance of 2",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["winners"]\ndistance = 3'),
            "distance: expected 1 or 2, got 3",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["half price"]'),
            "words: 'half price' is not one word of letters and digits",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed > cold"'),
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed >"'),
            "f.toml: function 'f': when: at 8: expected a value, got the end",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed + 1"'),
            "when: is a number, expected something true or false",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "hour(speed) < 5"'),
            "when: at 1: 'hour' takes a date, got a number; the contract says which fields are",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { cold = {} }",
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { speed = { minimum = 2, maximum = 1 } }",
            "contract.speed: minimum: is above maximum",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { speed = { minimum = inf } }",
            "contract.speed: minimum: expected a finite number",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + "contract = { speed = {} }",
            "contract: speaks of fields, this function reads a text",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nfallback_for = "f"'),
            "fallback_for: a function cannot stand in for itself",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nfallback_for = "g"'),
            "function 'f': fallback_for: no function 'g'",
        ),
        (
            parse_text,
            function('kind = "regex"\nclass = "offer"\npattern = "a"', "a")
            + function('kind = "regex"\nclass = "offer"\npattern = "a"\nfallback_for = "a"', "b")
            + function('kind = "regex"\nclass = "offer"\npattern = "a"\nfallback_for = "b"', "c"),
            "function 'c': fallback_for: 'b' is itself a fallback",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "temperature", temperature = 0 }',
            "calibration: temperature: expected 0.01 to 100",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 1], probabilities = [1, 0] }',
            "calibration: probabilities: must never fall",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 0], probabilities = [0, 1] }',
            "calibration: scores: must rise",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 1], probabilities = [0, 2] }',
            "calibration: scores and probabilities lie between 0 and 1",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0], probabilities = [0] }',
            "calibration: scores: expected at least 2",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = "x"\ndigest = "ab"'),
            "digest: expected 64 hexadecimal digits",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = []\nentry_point = "x"\ndigest = "ab"'),
            "votes_for: expected at least 1",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = " "\ndigest = "ab"'),
            "entry_point: is empty",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = "x"\n')
            + f'digest = "{"0" * 64}"\ntimeout_s = 61',
            "timeout_s: expected more than 0, at most 60",
        ),
        (
            parse_text,
            '[[function]]\nid = "a b"\nowner = "x"\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a b': id: use 1 to 64 letters",
        ),
        (
            parse_text,
            '[[function]]\nid = "a"\nowner = " "\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a': owner: nobody answers for this function",
        ),
        (
            parse_text,
            '[[function]]\nid = "a"\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a': missing key 'owner'",
        ),
    ],
)
def test_a_refusal_names_file_function_and_key(
    parse: Callable[[str], object], toml: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse(toml)
