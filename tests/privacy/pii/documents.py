"""Random documents for the laws of redaction: words, names, numbers, and Unicode at its worst."""

from hypothesis import strategies as st

_WORDS = """please call the office about your invoice and reply to this message when you are back in
    town the doctor at hospital street suite for van der of named password is dot one two three"""
_NAMES = """John Smith Zuckerberg Grace Will May O'Neil McDonald's José Zoë Ann-Marie Dr. Mr. Inc.
    J. Ltd, I I'm The Hello Please NASA iPhone U.S. Paris New York Müller-Lüdenscheidt"""
_VALUES = """555-010-9999 (555) 4111111111111111 john@example.com http://a.b/c?d=e www.x.org
    10.0.0.1 00:1B:44:11:3A:B7 GB82WEST12345698765432 219-09-9999 2020-01-02 12:30 £5.00 $1,000 #tag
    @me a_b C:\\x key:value x=y [NAME_1] [EMAIL_2], 4th ٣٤٥ １２３ ²"""
WORDS, NAMES, VALUES = _WORDS.split(), _NAMES.split(), _VALUES.split()
SIGNS = "\u200b\u202e\u2028\x00\x01\x1f\x7f\xa0\u3000\ufeff\ud800😀…“”–•¿«»"
SIGNS += "&<>;:.,!?'\"()[]{}~^|`*+=-/%$"

chunk = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS).map(str.capitalize),
    st.sampled_from(WORDS).map(str.upper),
    st.sampled_from(NAMES),
    st.sampled_from(VALUES),
    st.text(max_size=6),
    st.text(alphabet=SIGNS, max_size=4),
    st.tuples(st.sampled_from(WORDS + NAMES), st.text(alphabet=SIGNS, max_size=2)).map("".join),
    st.tuples(st.text(alphabet=SIGNS, max_size=2), st.sampled_from(WORDS + VALUES)).map("".join),
)
blank = st.sampled_from([" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\r\n", "\xa0", "\u2009"])
documents = st.lists(st.tuples(chunk, blank), max_size=25).map(
    lambda pairs: "".join(part for pair in pairs for part in pair)
)
