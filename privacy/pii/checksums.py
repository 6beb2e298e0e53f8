"""Checks that tell a card from a long number; digits only, no judgement of who owns it."""

CARD_DIGITS = range(12, 20)
IBAN_CHARS = range(15, 35)


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check of the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0


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
