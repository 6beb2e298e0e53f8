"""Checks that tell a card from a long number; digits only, no judgement of who owns it."""

CARD_DIGITS = range(12, 20)
# Each digit as the sum of the digits of its double.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
IBAN_CHARS = range(15, 35)


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check of the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    codes = digits.encode("ascii")
    total = sum(codes[-1::-2]) + sum(codes[-2::-2].translate(_DOUBLED))
    return (total - ord("0") * len(codes)) % 10 == 0


def is_card(digits: str) -> bool:
    """Whether a string is the digits of a payment card number; a superscript is no such digit."""
    if not (digits.isascii() and digits.isdigit()):
        return False
    return len(digits) in CARD_DIGITS and len(set(digits)) > 1 and luhn(digits)


def is_iban(text: str) -> bool:
    """Whether text is an IBAN: ISO 7064 mod 97-10 over the rearranged characters (ISO 13616).

    >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB83 WEST 1234 5698 7654 32")
    (True, False)
    """
    plain = text.replace(" ", "").replace("-", "").upper()
    if len(plain) not in IBAN_CHARS or not (plain.isascii() and plain.isalnum()):
        return False
    if not (plain[:2].isalpha() and plain[2:4].isdigit()):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def is_ssn(text: str) -> bool:
    """Whether text is written like a US social security number that could be issued.

    >>> is_ssn("219-09-9999"), is_ssn("666-09-9999"), is_ssn("219-00-9999")
    (True, False, False)
    """
    area, _, rest = text.replace(" ", "-").partition("-")
    group, _, serial = rest.partition("-")
    digits = area + group + serial
    if (len(area), len(group), len(serial)) != (3, 2, 4) or not digits.isdigit():
        return False
    if not digits.isascii():
        return False
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def is_mac(text: str) -> bool:
    """Whether text is six bytes in hex.

    >>> is_mac("00:1B:44:11:3A:B7"), is_mac("00:1B:44")
    (True, False)
    """
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(len(part) == 2 for part in parts)


def is_vin(text: str) -> bool:
    """Whether text is a vehicle identification number, check digit right (49 CFR 565.15).

    >>> is_vin("1M8GDM9AXKP042788"), is_vin("1M8GDM9A1KP042788")
    (True, False)
    """
    plain = text.upper()
    if len(plain) != len(_VIN_WEIGHTS) or any(char not in _VIN_VALUES for char in plain):
        return False
    pairs = zip(plain, _VIN_WEIGHTS, strict=True)
    check = sum(_VIN_VALUES[char] * weight for char, weight in pairs) % 11
    return plain[8] == ("X" if check == 10 else str(check))


_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_VALUES = {str(digit): digit for digit in range(10)} | dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True)
)


def is_aba(text: str) -> bool:
    """Whether text is a US bank routing number: weights 3, 7, 1 over nine digits, modulo ten.

    >>> is_aba("021000021"), is_aba("021000022")
    (True, False)
    """
    if len(text) != 9 or not (text.isascii() and text.isdigit()) or text == "000000000":
        return False
    weighted = zip(text, (3, 7, 1) * 3, strict=True)
    return sum(int(digit) * weight for digit, weight in weighted) % 10 == 0


def is_nhs(text: str) -> bool:
    """Whether text is a British NHS number: weights 10 to 2, modulo 11.

    >>> is_nhs("943 476 5919"), is_nhs("943 476 5918")
    (True, False)
    """
    digits = _plain_digits(text)
    if len(digits) != 10:
        return False
    total = sum(
        int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)
    )
    return (11 - total % 11) % 11 == int(digits[9])


def is_nino(text: str) -> bool:
    """Whether text is written like a British national insurance number that could be issued.

    >>> is_nino("AB 12 34 56 C"), is_nino("GB 12 34 56 C")
    (True, False)
    """
    plain = text.replace(" ", "").upper()
    if len(plain) != 9 or not (plain[:2].isalpha() and plain[2:8].isdigit() and plain.isascii()):
        return False
    prefix_fits = plain[0] not in "DFIQUV" and plain[1] not in "DFIOQUV"
    return prefix_fits and plain[:2] not in _UNUSED_PREFIXES and plain[8] in "ABCD"


_UNUSED_PREFIXES = frozenset(("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"))


def is_dni(text: str) -> bool:
    """Whether text is a Spanish DNI or NIE with the right letter (number modulo 23).

    >>> is_dni("12345678Z"), is_dni("12345678A"), is_dni("X1234567L")
    (True, False, True)
    """
    plain = text.replace(" ", "").replace("-", "").upper()
    if len(plain) != 9 or not plain.isascii():
        return False
    first = {"X": "0", "Y": "1", "Z": "2"}.get(plain[0], plain[0])
    digits = first + plain[1:8]
    return digits.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == plain[8]


def is_nir(text: str) -> bool:
    """Whether text is a French NIR: 97 less the number modulo 97 (Corsica read as 19 and 18).

    >>> is_nir("2 55 08 14 168 025 38"), is_nir("2 55 08 14 168 025 39")
    (True, False)
    """
    plain = text.replace(" ", "").upper()
    digits = plain[:5] + plain[5:7].replace("2A", "19").replace("2B", "18") + plain[7:]
    if len(digits) != 15 or not (digits.isascii() and digits.isdigit()):
        return False
    return digits[0] in "12" and 97 - int(digits[:13]) % 97 == int(digits[13:])


def is_steuer_id(text: str) -> bool:
    """Whether text is a German tax number: eleven digits, ISO 7064 mod 11,10, one digit repeated.

    >>> is_steuer_id("86 095 742 719"), is_steuer_id("86 095 742 718")
    (True, False)
    """
    digits = _plain_digits(text)
    if len(digits) != 11 or digits[0] == "0" or len(set(digits[:10])) not in (8, 9):
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _plain_digits(text: str) -> str:
    """Return text without its separators if it is digits and separators only, else nothing."""
    plain = text.replace(" ", "").replace("-", "").replace("/", "")
    return plain if plain.isascii() and plain.isdigit() else ""
