import pytest

from privacy.pii import checksums
from privacy.pii.checksums import is_card, is_iban, is_mac, is_ssn, luhn


@pytest.mark.parametrize("digits", ["4111111111111111", "378282246310005", "79927398713"])
def test_luhn_accepts_published_numbers_and_no_single_changed_digit(digits):
    assert luhn(digits)
    for place, digit in enumerate(digits):
        for other in set("0123456789") - {digit}:
            assert not luhn(digits[:place] + other + digits[place + 1 :])


@pytest.mark.parametrize(
    "iban", ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR1420041010050500013M02606"]
)
def test_iban_accepts_published_numbers_and_no_single_changed_digit(iban):
    assert is_iban(iban)
    plain = iban.replace(" ", "")
    for place in range(4, len(plain)):
        if plain[place].isdigit():
            other = str((int(plain[place]) + 1) % 10)
            assert not is_iban(plain[:place] + other + plain[place + 1 :])


@pytest.mark.parametrize("text", ["", "GB82", "8282WEST12345698765432", "GB82WEST123456987654é2"])
def test_what_is_no_iban_is_not_one(text):
    assert not is_iban(text)


@pytest.mark.parametrize(
    "digits", ["0000000000000000", "42", "4111111111111112", "4" * 20, "411111111111111²", ""]
)
def test_what_is_no_card_is_not_one(digits):
    assert not is_card(digits)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("219-09-9999", True),
        ("219 09 9999", True),
        ("000-09-9999", False),
        ("900-09-9999", False),
        ("219-00-9999", False),
        ("219-09-0000", False),
        ("21-909-9999", False),
        ("219-09-999²", False),
        ("", False),
    ],
)
def test_social_security_numbers(text, holds):
    assert is_ssn(text) == holds


@pytest.mark.parametrize(
    ("text", "holds"), [("00:1B:44:11:3A:B7", True), ("00-1b-44-11-3a-b7", True), ("12:30", False)]
)
def test_mac_addresses(text, holds):
    assert is_mac(text) == holds


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("is_vin", "1M8GDM9AXKP042788"),
        ("is_vin", "11111111111111111"),
        ("is_aba", "021000021"),
        ("is_aba", "111000025"),
        ("is_nhs", "9434765919"),
        ("is_dni", "12345678Z"),
        ("is_dni", "X1234567L"),
        ("is_nir", "255081416802538"),
        ("is_steuer_id", "86095742719"),
    ],
)
def test_published_numbers_hold_and_no_single_changed_digit_does(name, number):
    holds = getattr(checksums, name)
    assert holds(number)
    for place, char in enumerate(number):
        if char.isdigit() and not (name == "is_vin" and place == 8):
            # A digit of weight zero, or one that changes the form, tells nothing of the sum.
            other = str((int(char) + 1) % 10)
            assert not holds(number[:place] + other + number[place + 1 :]), place


@pytest.mark.parametrize(
    "name", ["is_vin", "is_aba", "is_nhs", "is_nino", "is_dni", "is_nir", "is_steuer_id"]
)
@pytest.mark.parametrize("text", ["", "x", "²" * 9, "٣" * 11, "0" * 11, "1" * 40, "AB\x00CD12345"])
def test_what_is_no_national_number_is_none(name, text):
    assert not getattr(checksums, name)(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [("AB123456C", True), ("ab 12 34 56 d", True), ("DA123456C", False), ("AB123456E", False)],
)
def test_national_insurance_numbers(text, holds):
    assert checksums.is_nino(text) == holds
