"""The table of detectors: for each kind of personal data a pattern, its context and its check.

Patterns are RE2 (linear time on any input) without counted repeats, which RE2 unrolls; lengths are
verified by the check. Where a pattern has a group, the group is the value and the rest is context.
Where two detectors want the same characters, the one further up names them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

from privacy.pii import checksums


def _any(_: str) -> bool:
    """Accept what the pattern found."""
    return True


@dataclass(frozen=True, slots=True)
class Detector:
    """One way to recognise one kind of personal data.

    Attributes:
        kind: One of `privacy.pii.spans.KINDS`.
        pattern: RE2; its first group, if it has one, is what is masked.
        holds: Whether a match is what it looks like: checksum, length, range.
        locales: Languages in whose texts it is looked for; empty for all.
        whole: Whether letters or digits right beside a match make it something else.
    """

    kind: str
    pattern: str
    holds: Callable[[str], bool] = _any
    locales: frozenset[str] = frozenset()
    whole: bool = True


def _digits(text: str) -> str:
    """Return the digits of a text."""
    return "".join(char for char in text if char.isdigit())


def _digits_within(least: int, most: int) -> Callable[[str], bool]:
    """Return a check of how many digits there are."""
    return lambda text: least <= len(_digits(text)) <= most


def _longer_than(least: int) -> Callable[[str], bool]:
    """Return a check of the length of a secret, so that "pin: it" is none."""
    return lambda text: len(text) >= least


def _is_ip(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    """Whether three numbers can be a date in any order in use."""
    parts = [int(part) for part in text.replace("/", "-").replace(".", "-").split("-")]
    if len(parts) != 3:
        return False
    first, second, third = parts
    orders = ((first, second, third), (third, second, first), (third, first, second))
    return any(_exists(2000 + y if y < 100 else y, month, day) for y, month, day in orders)


def _exists(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _is_place(text: str) -> bool:
    """Whether two decimals are a latitude and a longitude."""
    latitude, longitude = (float(part) for part in text.replace(";", ",").split(",")[:2])
    return abs(latitude) <= 90 and abs(longitude) <= 180


def _is_age(text: str) -> bool:
    """Whether a number can be somebody's age."""
    return int(_digits(text) or 999) <= 120


def _is_us_phone(text: str) -> bool:
    """Whether digits are a North American number: area and exchange start with 2 to 9."""
    digits = _digits(text.lower().split("x")[0])
    digits = digits.removeprefix("001") if len(digits) == 13 else digits
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    if len(digits) == 7:
        return not text.isdigit()
    return len(digits) == 10 and (digits[0] > "1" or not text.isdigit())


def _is_card(text: str) -> bool:
    """Whether a text is a payment card number with its separators."""
    return checksums.is_card(_digits(text))


def _locales(*names: str) -> frozenset[str]:
    """Return a set of locales."""
    return frozenset(names)


_EN, _DE, _FR, _ES = (_locales(name) for name in ("en", "de", "fr", "es"))
_MONTH = (
    r"(?:jan(?:uary|vier|uar)?|feb(?:ruary|ruar)?|fév(?:rier)?|febrero|mar(?:ch|s|zo)?|märz|enero"
    r"|apr(?:il)?|avr(?:il)?|abr(?:il)?|may|mai|mayo|june?|juni|juin|junio|july?|juli|juil(?:let)?"
    r"|julio|aug(?:ust)?|août|ago(?:sto)?|sept?(?:ember|embre|iembre)?|o[ck]t(?:ober|obre|ubre)?"
    r"|nov(?:ember|embre|iembre)?|de[cz](?:ember)?|déc(?:embre)?|dic(?:iembre)?)"
)
_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|co|uk|de|fr|it|es|nl|fi|se|no|dk|pl|cz|hu"
    "|at|ch|be|ru|jp|cn|in|au|ca|us|ie|za|br|eu|me|tv|gl|ly"
)
_IS = r"(?:\s+(?:is|was|ist|war|est|es|era)\b\s*:?\s*|\s*[:=]\s*)[\"']?"
_NUMBER_OF = r"(?:[ #:.=-]|number|num|nr|no\b|id\b|is|was|card|holder|file|code)*\s*"
_SERIAL = r"([a-z0-9](?:[a-z0-9/-]| \d)*\d[a-z0-9-]*)"
_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq"
    r"|Terrace|Ter|Way|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Trail|Trl|Close|Crescent|Alley|Row|Loop"
    r"|Park|Gardens|Grove|Hill|Mews|Walk|Plaza|Pike|Quay|Point|Rise)"
)
_ROAD = (
    r"(?:(?:Rue|Avenue|Boulevard|Chemin|Quai|Via|Viale|Piazza|Corso|Calle|Avenida|Plaza|Paseo"
    r"|Carretera|rue|avenue|boulevard|chemin|quai|via|calle|avenida|plaza|paseo|carretera)"
    r" (?:d(?:e|el|es|u|i|ella) |de la |de los )?(?:l['’]|la |las |los )?"
    rf"{_CAPITAL}(?: {_CAPITAL})*"
    r"|[A-ZÄÖÜ][\w-]*(?:strasse|straße|str\.|gasse|weg|platz|allee|straat|laan|gatan|vej))"
)
_TOWN = (
    rf"(?:[ ,\n]+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|Bldg|#)\.? ?#?[\w-]+)?"
    rf"(?:(?:, ?|\n| \n)(?:\d\d\d\d\d? )?{_CAPITAL}(?:[ -]{_CAPITAL})*)*"
    r"(?:[ ,\n]+[A-Z][A-Z])?"
    r"(?:[ ,\n]+(?:\d\d\d\d\d(?:-\d\d\d\d)?\b|[A-Z]+\d[\dA-Z]? ?\d[A-Z][A-Z]\b))?"
)

DETECTORS: tuple[Detector, ...] = (
    Detector("EMAIL", r"[\pL\pN_.+%'-]+@(?:[\pL\pN_-]+\.)+[\pL\pN_]+", whole=False),
    Detector("SECRET", r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", whole=False),
    Detector("SECRET", r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]*-----END [A-Z ]*-----)?"),
    Detector("SECRET", r"\b(?:AKIA|ASIA)[0-9A-Z]+", lambda text: len(text) == 20),
    Detector(
        "SECRET",
        r"\b(?:gh[pousr]_\w+|github_pat_\w+|[sr]k[-_][\w-]+|xox[abprs]-[\w-]+|AIza[\w-]+|glpat-[\w-]+)",
        _longer_than(16),
    ),
    Detector(
        "SECRET",
        r"(?i)\b(?:api|access|auth|secret|client)?[ _-]?(?:key|token|secret)\b"
        + _IS
        + r"([^\s\"',;]+)",
        lambda text: len(text) >= 8 and any(map(str.isdigit, text)),
        whole=False,
    ),
    Detector(
        "PASSWORD",
        r"(?i)\b(?:password|passwd|pwd|passphrase|passcode|pin|passwort|kennwort|mot de passe"
        r"|contraseña|clave)(?: code)?" + _IS + r"([^\s\"',;]+)",
        _longer_than(3),
        whole=False,
    ),
    Detector(
        "USERNAME",
        r"(?i)\b(?:user ?name|user id|user|login|handle|nickname|screen name|benutzername|usuario"
        r"|identifiant)" + r"\s*(?:[:=]|is\b:?)\s*[\"']?([\w.@-]+)",
        _longer_than(2),
    ),
    Detector("URL", r"(?i)(?:https?|ftp)://[^\s<>\"']*[^\s<>\"'.,;:!?)]", whole=False),
    Detector("URL", r"(?i)\bwww\.[^\s<>\"']*[^\s<>\"'.,;:!?)]", whole=False),
    Detector("IBAN", r"(?i)\b[a-z][a-z]\d\d(?:[ -]?[a-z0-9])+", checksums.is_iban),
    Detector("MAC", r"(?i)\b[0-9a-f][0-9a-f](?:[:-][0-9a-f][0-9a-f])+", checksums.is_mac),
    Detector("IP", r"\d+\.\d+\.\d+\.\d+", _is_ip),
    Detector("IP", r"(?i)[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*[0-9a-f]", _is_ip),
    Detector("COORDINATES", r"[+-]?\d+\.\d\d\d+°?\s*[,;]\s*[+-]?\d+\.\d\d\d+", _is_place),
    Detector(
        "COORDINATES",
        r"\d+° ?\d+['′] ?(?:[\d.]+[\"″] ?)?[NS],? ?\d+° ?\d+['′] ?(?:[\d.]+[\"″] ?)?[EWO]",
    ),
    Detector("SSN", r"\d\d\d[- ]\d\d[- ]\d\d\d\d", checksums.is_ssn),
    Detector(
        "SSN", r"(?i)\b(?:ssn|social security)[^\n\d]*(\d[\d -]*\d)", _digits_within(9, 9), _EN
    ),
    Detector("ID", r"(?i)\b[a-z][a-z] ?\d\d ?\d\d ?\d\d ?[a-d]\b", checksums.is_nino, _EN),
    Detector("ID", r"(?i)\bnhs[^\n\d]*(\d\d\d ?\d\d\d ?\d\d\d\d)", checksums.is_nhs, _EN),
    Detector("ID", r"(?i)\b[xyz\d]\d\d\d\d\d\d\d-?[a-z]\b", checksums.is_dni, _ES),
    Detector(
        "ID", r"(?i)\b[12] ?\d\d ?\d\d ?\d[\dab] ?\d\d\d ?\d\d\d ?\d\d\b", checksums.is_nir, _FR
    ),
    Detector("ID", r"\d\d ?\d\d\d ?\d\d\d ?\d\d\d", checksums.is_steuer_id, _DE),
    Detector("CARD", r"\d(?:[ -]?\d)+", _is_card),
    Detector("DATE", r"\d+[-/.]\d+[-/.]\d+", _is_date),
    Detector(
        "DATE",
        rf"(?i)\b\d\d?(?:st|nd|rd|th|\.|er)?(?: of| de)?[ /-]{_MONTH}\b\.?"
        r"(?:,?(?: de)?[ /-]\d\d\d?\d?\b)?"
        rf"|\b{_MONTH}\.?[ /-]\d\d?(?:st|nd|rd|th)?\b(?:,? \d\d\d\d\b)?"
        rf"|\b{_MONTH},? (?:de )?\d\d\d\d\b",
    ),
    Detector(
        "DATE",
        r"(?i)\b(?:born|since|in|year|until|from|of|by|depuis|seit|desde|en)\b (?:19|20)\d\d",
    ),
    Detector("TIME", r"(?i)\b\d\d?:\d\d(?::\d\d)?(?: ?[ap]\.?m\b)?|\b\d\d?(?:\.\d\d)? ?[ap]m\b"),
    Detector(
        "AGE",
        r"(?i)\b(\d+)(?:[ -]?(?:years?|yrs?|months?)[ -](?:of[ -]age|old)| ?y/?o\b"
        r"| ans\b| años| Jahre alt)",
        _is_age,
    ),
    Detector("AGE", r"(?i)\b(?:age|aged|alter|edad|turned|turning)[: ]+(?:of )?(\d+)\b", _is_age),
    Detector("VEHICLE", r"(?i)\b" + 17 * "[a-hj-npr-z0-9]" + r"\b", checksums.is_vin),
    Detector(
        "VEHICLE",
        r"(?i)\b(?:plates?|registration|vin|number ?plate|kennzeichen|immatriculation|matrícula)\b"
        + _NUMBER_OF
        + r"([a-z0-9]*\d[a-z0-9]*(?:[ -][a-z][a-z]?[a-z]?\b)?|[a-z]+(?:[ -][a-z]+)?[ -]\d+)",
        _digits_within(1, 17),
    ),
    Detector(
        "ADDRESS",
        r"\b\d+[A-Za-z]?(?:[-/]\d+)? (?:[NSEW]+\.? )?"
        rf"(?:[A-ZÀ-Þ0-9][\w'’.-]* )+{_STREET}\b\.?{_TOWN}",
    ),
    Detector("ADDRESS", rf"(?:\b\d+,? )?\b{_ROAD}(?:,? \d\d?\d?[a-z]?\b)?{_TOWN}"),
    Detector("ADDRESS", rf"(?i:\bP\.? ?O\.? ?Box) \d+{_TOWN}"),
    Detector(
        "ADDRESS",
        r"(?i)\b\d+[a-z]? (?:[\pL'-]+ )+?(?:street|road|avenue|boulevard|lane|drive|court|square"
        r"|terrace|parkway|highway|crescent)\b",
        lambda text: text.count(" ") <= 5,
    ),
    Detector("ADDRESS", r"\b[A-Z][A-Z]? ?\d[\dA-Z]? \d[A-Z][A-Z]\b", locales=_EN),
    Detector("ADDRESS", r"\b[A-Z][A-Z] \d\d\d\d\d(?:-\d\d\d\d)?\b", locales=_EN),
    Detector("ACCOUNT", r"(?i)\b(?:routing|aba)" + _NUMBER_OF + r"(\d+)", checksums.is_aba, _EN),
    Detector(
        "ACCOUNT",
        r"(?i)\b(?:account|acct|a/c|sort code|konto(?:nummer)?|compte|cuenta)\b"
        + _NUMBER_OF
        + _SERIAL,
        _digits_within(3, 24),
    ),
    Detector("PHONE", r"\+\d(?:[ .()/-]*\d)+(?:[ ]*(?:x|ext\.?)[ ]*\d+)?", _digits_within(7, 16)),
    Detector("PHONE", r"\b00\d(?:[ .()/-]*\d)+(?:x\d+)?", _digits_within(9, 17)),
    Detector(
        "PHONE",
        r"(?i)\(?\d\d\d\)?[ .-]*\d\d\d[ .-]*\d\d\d\d(?:[ ]*(?:x|ext\.?)[ ]*\d+)?"
        r"|\d\d\d[.-]\d\d\d\d|1[ .-]\(?\d\d\d\)?[ .-]*\d\d\d[ .-]*\d\d\d\d(?:x\d+)?",
        _is_us_phone,
        _EN,
    ),
    Detector("PHONE", r"\(?0\d(?:[ ()-]*\d)+", _digits_within(9, 11), _EN),
    Detector("PHONE", r"\(?0\d(?:[ ()/-]*\d)+", _digits_within(7, 13), _DE),
    Detector("PHONE", r"0[1-9](?:[ .-]?\d\d)+", _digits_within(10, 10), _FR),
    Detector("PHONE", r"[6789]\d\d?(?:[ .-]?\d)+", _digits_within(9, 9), _ES),
    Detector(
        "PHONE",
        r"(?i)\b(?:phone|tel|mobile|cell|fax|call|text|telefon|handy|téléphone|teléfono|móvil)\b"
        r"[^\n\d]?[^\n\d]?[^\n\d]?[^\n\d]?(\d(?:[ .()/-]*\d)+)",
        _digits_within(5, 15),
    ),
    Detector(
        "ID",
        r"(?i)\b(?:licen[cs]e|passport|mrn|record|policy|member|patient|employee|voter|tax|national"
        r"|customer|insurance|id|ein|tin|itin|sin|nino|dni|nie|ausweis|reisepass|passeport|pasaporte)\b"
        + _NUMBER_OF
        + _SERIAL,
        _digits_within(3, 24),
    ),
    Detector("URL", rf"(?i)\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{_TOP})\b(?:/[^\s<>\"']*)?"),
    Detector("HANDLE", r"(?:^|[^\w.@/])(@\w+)", whole=False),
    Detector("ID", r"[+(]?\d(?:[ .()/-]*\d)+", _digits_within(7, 10**9), whole=False),
    Detector("ID", r"(?i)\b[a-z]+\d\d\d[a-z0-9-]*|\b\d\d\d+[a-z]+[a-z0-9-]*", _longer_than(6)),
)
