"""Token classes: what the redactor knows of a chunk before it looks at the neighbours.

A chunk is a run of characters without blanks. Its code is two characters: the class, and the mark
it ends in. An upper-case class is masked, a lower-case class may leave; the grammar in
`privacy.pii.grammar` may then mask more, and release a capital in two named places.

========  ====================================================================================
class     meaning (masked)
========  ====================================================================================
``X``     capitalised, not in the vocabulary; or capitals inside the word
``Y``     lower-case, not in the vocabulary
``D``     holds a digit, or one of @ _ # and backslash
``H``     a lone # or @: the next chunk is its value
``I``     a first name that is no everyday word
``J``     a single letter
``O``     a company's suffix: inc, ltd
``F``     a function word with a capital: released almost everywhere
``C``     a common word with a capital: released at the start of a sentence
``N``     a word with a capital that is also a name: released before a pronoun only
``B``     a street, unit or organisation word with a capital
``G``     a noun of a language that writes nouns so: released unless it touches a name
========  ====================================================================================

========  ====================================================================================
class     meaning (may leave)
========  ====================================================================================
``w``     word                ``f`` function word         ``r`` pronoun
``c``     of, the, and        ``q`` name particle (van)   ``v`` for
``a``     street or place     ``u`` unit (suite, box)     ``e`` adjective of places (new, north)
``o``     organisation        ``x`` corporate             ``m`` department, ministry
``t``     title (dr)          ``k`` cue (named)           ``l`` label of a secret (password)
``p``     name-like word      ``i`` surname-like word     ``g`` starts a place (united states)
``s``     number word         ``h`` at                    ``d`` dot, dash
``y``     lone a, i, u        ``b`` released capitals     ``z`` punctuation only
``n``     new line            ``j`` end of a document
========  ====================================================================================

Marks: ``.`` ends a sentence, ``,`` and ``:`` as they are, ``'`` possessive, blank for none.
"""

import re

MASKED = "XYDHIJOFCNBG"
CAPITALS = "XINCBJ"
LINE, END = "n ", "j "

SENTENCE, COMMA, COLON, POSSESSIVE, PLAIN = ".,:' "

# Characters that may stand around or inside a chunk without meaning anything.
PUNCTUATION = "!\"$%'()*+,-./:;<=>?[]^`{|}~"
# What glues words into one chunk: each part is looked up by itself.
JOINTS = '-/,;:!?"()[]*~|+=<>'
# Never leave, wherever they stand: handles, tags, file and user names, escapes.
FORBIDDEN = "@_#\\"
ENTITIES = frozenset(("&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;"))

# Typographic signs read as their ASCII twins; they say nothing about anyone.
FOLD = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "′": "'",
        "´": "'",
        "ʼ": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "″": '"',
        "‐": "-",
        "–": "-",
        "—": "-",
        "―": "-",
        "−": "-",
        "…": ".",
        "¿": "?",
        "¡": "!",
        "•": "*",
        "·": "*",
    }
)
# Whether there is any of them, which costs less than reading them.
FOLDED = re.compile(f"[{''.join(map(chr, FOLD))}]")
