"""Context rules, bit-parallel: one integer per class, one bit per chunk, all documents at once.

The first chunk is the highest bit. So `x << 1` reads "the next chunk is x" and `x >> 1` "the chunk
before is x"; a rule is a handful of integer operations, as fast for one sentence as for a batch.
Documents are kept apart by an END chunk, which belongs to no class a rule names.

Only `_release_capitals` releases anything; all other rules mask more. Class letters
are explained in `privacy.pii.classes`.
"""

from privacy.pii.bits import Chunks, after, spread, until


def decide(codes: bytes, places: int = 0) -> int:
    """Return the bits of the chunks that are masked.

    Args:
        codes: Class and mark of each chunk, documents separated by END.
        places: Bits of chunks known to be part of a place of several words.

    >>> bin(decide(b"f w C X,j "))  # the word Common Xyz,
    '0b110'
    """
    chunks = Chunks(codes)
    chunks.masked |= places
    at = chunks.at
    # Before capitals are released: the A of A n n is a letter.
    letters = chunks.any("JyF") & ~at["j"] if at["J"] else 0
    _titles(chunks)
    _release_capitals(chunks)
    if not chunks.masked and not chunks.any("tklpsd"):
        return 0
    if at["s"]:
        _spelled_digits(chunks)
    if letters:
        _spaced_letters(chunks, letters)
    _labels_and_names(chunks)
    if at["O"] or at["x"]:
        _companies(chunks)
    if at["c"]:
        _corners(chunks)
    if at["q"]:
        _particles(chunks)
    if chunks.any("aoue"):
        _addresses(chunks)
    if at["D"]:
        _numbered_streets(chunks)
    _connectors(chunks)
    if chunks.any("aou"):
        _street_words_after(chunks)
    if at["c"]:
        _departments(chunks)
    if at["d"]:
        _spelled_addresses(chunks)
    return chunks.masked


def _titles(chunks: Chunks) -> None:
    """Dr. Smith, J . Smith: the title goes with the name."""
    at = chunks.at
    before_masked = chunks.masked << 1
    if at["t"]:
        full_stop = at["z"] & (chunks.plain | chunks.sentence) & before_masked
        title = at["t"] & ~(chunks.comma | chunks.possessive)
        chunks.masked |= title & (before_masked | (full_stop << 1))
    if at["J"]:
        chunks.masked |= at["z"] & chunks.sentence & (at["J"] >> 1) & before_masked
    if at["b"]:
        names = chunks.any("XINJ")
        capitals = names | chunks.any("CB")
        beside = (chunks.plain & (capitals << 1)) | ((names & chunks.plain) >> 1)
        chunks.masked |= at["b"] & beside


def _release_capitals(chunks: Chunks) -> None:
    """Release function words, and a common word that starts a sentence, whatever their capital.

    A sentence starts at the document's start or after . ! ?; a new line starts none, or every line
    of an address would.
    """
    at = chunks.at
    edges = at["n"] | at["j"]
    starts = (chunks.sentence >> 1) | (at["j"] >> 1) | (1 << (chunks.size - 1))
    for _ in range(3):
        starts |= (starts & at["z"]) >> 1
    stops = chunks.sentence | chunks.comma | chunks.colon
    free = ~chunks.masked & ~edges
    in_name = (chunks.masked & (chunks.plain | chunks.possessive)) >> 1
    flows = chunks.plain & ((free & ~(at["d"] | at["h"])) << 1)
    function = at["F"] & ~chunks.possessive
    # At Here, by Who: in the middle of a line a function word that ends a phrase is a name.
    stops &= edges >> 1
    released = function & (starts | (~in_name & (stops | flows)))
    free |= released
    common = at["C"] & ~chunks.possessive & ((free << 1) | chunks.sentence)
    # Will you, May I; Place the order.
    name = (at["N"] | at["B"]) & chunks.plain & ((at["r"] | at["y"]) << 1)
    place = at["B"] & chunks.plain & (chunks.any("wfrk") << 1)
    released |= starts & (common | name | place)
    at["f"] |= released
    if at["G"]:
        names = chunks.any("XINJB")
        before = ((names & (chunks.plain | chunks.possessive)) | (at["t"] & chunks.plain)) >> 1
        nouns = at["G"] & ~(before | (chunks.plain & (names << 1)))
        at["w"] |= nouns
        at["G"] &= ~nouns
        released |= nouns
    for letter in "FCNB":
        at[letter] &= ~released
    chunks.masked &= ~released


def _labels_and_names(chunks: Chunks) -> None:
    """What follows a first name, a title, a cue (named ...), or the label of a secret."""
    at, plain = chunks.at, chunks.plain
    words = ~chunks.masked & ~(at["n"] | at["j"])
    hits = (at["H"] >> 1) & words
    hits |= ((at["I"] & plain) >> 1) & chunks.any("igap")
    hits |= ((chunks.any("XY") & plain) >> 1) & at["p"]
    if at["t"]:
        title = at["t"] & plain & (chunks.any("iwpg") << 1)
        hits |= title | (title >> 1)
    if cue := at["k"] & plain:
        # Named him Randy: a pronoun may stand between cue and name.
        pronoun = (at["r"] | at["f"]) & plain & (cue >> 1)
        hits |= ((cue >> 1) & chunks.any("iwpg")) | ((pronoun >> 1) & chunks.any("pi"))
    if at["p"]:
        pair = at["p"] & plain & (at["i"] << 1)
        hits |= pair | (pair >> 1) | (at["p"] & plain & (at["Y"] << 1))
    if label := at["l"]:
        # The password is X; password: X; password: the X. The label itself may stay.
        link = chunks.any("fz") & plain & ((label & plain) >> 1)
        listed = ((label & chunks.colon) >> 1) & words & ~at["z"]
        hits |= ((link >> 1) & chunks.any("wigpe")) | listed | (((listed & at["f"]) >> 1) & words)
    chunks.masked |= hits


def _companies(chunks: Chunks) -> None:
    """Up to two words before inc, ltd, or before insurance, hospital and the like."""
    at = chunks.at
    if at["O"]:
        before = chunks.any("wigoeapx") & (chunks.plain | chunks.comma)
        chunks.masked |= until(before, at["O"], 2)
    if at["x"]:
        run = until(chunks.any("wigape") & chunks.plain, at["x"], 2)
        chunks.masked |= run | (at["x"] & ((run | (chunks.masked & chunks.plain)) >> 1))


def _corners(chunks: Chunks) -> None:
    """The corner of X, the republic of the X."""
    links = until(chunks.at["c"] & chunks.plain, chunks.masked, 2)
    if corner := chunks.any("am") & chunks.plain & (links << 1):
        chunks.masked |= corner | after(links, corner, 2)
        chunks.masked |= chunks.any("rcf") & chunks.plain & (corner << 1)


def _particles(chunks: Chunks) -> None:
    """Van der X, and what stands before on its own line; X das Y le at the end of a line."""
    at = chunks.at
    particles = at["q"] & chunks.plain
    run = until(particles, chunks.any("XYINCJB") & chunks.masked, 3)
    chunks.masked |= run
    chunks.masked |= chunks.any("wig") & chunks.plain & (run << 1) & (at["n"] >> 1)
    chunks.masked |= chunks.any("ao") & chunks.plain & (run << 1)
    ends = at["n"] | at["j"] | at["D"]
    names = chunks.any("XYID") & chunks.masked & (chunks.plain | chunks.comma)
    chunks.masked |= at["q"] & (names >> 1) & ((ends << 1) | ~chunks.plain)


def _addresses(chunks: Chunks) -> None:
    """Street and unit words that touch something masked; new, north before an unknown word."""
    at, plain = chunks.at, chunks.plain
    near = plain | chunks.comma | chunks.colon
    street = chunks.any("aou") & near
    values = chunks.any("DYI")
    run = until(street, values, 3)
    # A lone mark may stand between: "suite : 12".
    run |= street & ((at["z"] & (values << 1)) << 1)
    run |= until(at["e"] & plain, run | (chunks.masked & chunks.any("aXYI")), 2)
    unit = at["u"] & near
    run |= until(unit, chunks.masked, 2)
    run |= unit & ((at["z"] & plain & (chunks.masked << 1)) << 1)
    chunks.masked |= run
    _street_words_after(chunks)


def _street_words_after(chunks: Chunks) -> None:
    """Elm street: up to three street words after something masked."""
    joined = chunks.plain | chunks.comma | chunks.possessive
    chunks.masked |= after(chunks.any("aou") & joined, chunks.masked & joined, 2)
    chunks.masked |= chunks.any("aou") & ((chunks.masked & joined) >> 1)


def _numbered_streets(chunks: Chunks) -> None:
    """12 mill X; 12 old mill road; X, mill 12; X u. 12."""
    at, plain = chunks.at, chunks.plain
    number = at["D"] & (plain | chunks.comma)
    chunks.masked |= chunks.any("wigaep") & plain & (number >> 1) & (chunks.masked << 1)
    inner = chunks.any("wigpe") & plain
    words = after(inner, at["D"] & plain, 3)
    # Words that lead from a number to a street word without a gap.
    street = at["a"] & (words >> 1)
    chunks.masked |= street | (until(inner, street, 3) & words)
    # 12 X arcade, 12 X slope (end of line), 12 mill manors suite 3.
    unmasked = chunks.any("wigpex")
    named = chunks.masked & chunks.any("XYIJ") & plain & ((number | at["D"] & plain) >> 1)
    ends = chunks.comma | ((at["n"] | chunks.masked) << 1)
    chunks.masked |= unmasked & (named >> 1) & ends
    units = chunks.masked & chunks.any("uB")
    chunks.masked |= until(inner, units, 3) & words
    comma = chunks.masked & chunks.comma
    chunks.masked |= chunks.any("wiqgpf") & (comma >> 1) & (at["D"] << 1)
    chunks.masked |= at["y"] & (at["D"] << 1) & (chunks.masked >> 1)


def _connectors(chunks: Chunks) -> None:
    """X of the X; X, Y and Z: up to three links between two masked chunks are masked with them."""
    at = chunks.at
    links = chunks.any("qczy") & ~(chunks.colon | chunks.possessive)
    before = until(links, chunks.masked, 3)
    chunks.masked |= after(before, chunks.masked & ~chunks.colon, 3)
    if at["v"] and at["B"]:
        names = chunks.any("XINCBJ") & chunks.masked
        chunks.masked |= at["v"] & chunks.plain & ((at["B"] & chunks.plain) >> 1) & (names << 1)


def _departments(chunks: Chunks) -> None:
    """Department of the words; X of Y where X is a capitalised word."""
    at, plain = chunks.at, chunks.plain
    of = at["c"] & plain
    if heads := at["m"] & plain & (of << 1):
        link = after(of, heads, 2)
        field = after(chunks.any("wiaogfe") & (plain | chunks.comma), link, 2)
        chunks.masked |= heads | link | field
    chain = until(of, chunks.masked, 2)
    chunks.masked |= after(chain, chunks.any("BC") & plain, 2)


def _spelled_digits(chunks: Chunks) -> None:
    """Five five five: two number words in a row, or one beside digits or a name.

    What they spell counts as a number from here on: five five elm street is an address.
    """
    at, plain = chunks.at, chunks.plain
    words = at["s"]
    pair = words & plain & (words << 1)
    run = pair | (pair >> 1)
    reach = words | at["z"] | at["D"]
    # Number words that reach two others across marks and digits.
    one = words & (after(reach, words, 3) | until(reach, words, 3))
    triple = one & (one >> 1) & (one >> 2)
    run = spread(run | triple | (triple << 1) | (triple << 2), reach)
    beside = at["D"] | chunks.any("XYIJ")
    near = (plain & (beside << 1)) | ((beside & (plain | chunks.comma)) >> 1)
    spelled = words & (run | near)
    chunks.masked |= run | spelled
    at["D"] |= spelled
    at["s"] &= ~spelled


def _spaced_letters(chunks: Chunks, letters: int) -> None:
    """J o h n: three single letters or more in a row, marks and digits between them included.

    One of three must be no word by itself: A, I and the function words with a capital are.
    """
    at = chunks.at
    pair = letters & chunks.plain & (letters << 1)
    lone = at["J"] | (at["J"] << 1) | (at["J"] << 2)
    row = pair & (pair << 1) & lone
    run = row | (row >> 1) | (row >> 2)
    chunks.masked |= spread(run, run | at["J"] | at["y"] | at["z"] | at["D"])


def _spelled_addresses(chunks: Chunks) -> None:
    """A dot b, a at b dot c: an e-mail or web address said aloud."""
    at, plain = chunks.at, chunks.plain
    words = ((1 << chunks.size) - 1) & ~(at["n"] | at["j"])
    dots = at["d"] & plain & (words << 1) & ((words & plain) >> 1)
    said = dots | (dots << 1) | (dots >> 1)
    joints = (at["h"] | at["d"]) & plain
    for _ in range(3):
        touching = joints & ((said << 1) | (said >> 1))
        said |= touching | (touching << 1) | (touching >> 1)
    chunks.masked |= said & words
