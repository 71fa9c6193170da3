"""Currencies by their codes in ISO 4217: what a price is in, so that a slip of the pen is no new currency."""

from __future__ import annotations

import difflib
from typing import Annotated

from pydantic import AfterValidator

_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD "
    "HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL "
    "LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR "
    "PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND "
    "TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL "
)
CODES = frozenset(_CODES.split())
"""ISO 4217, list one (SIX Financial Information), as focus-validator 2.2.1 keeps it: the codes of national currencies,
without metals, funds and codes for testing."""
_OFTEN = ("USD", "EUR", "GBP", "JPY", "CNY", "INR", "CHF", "CAD", "AUD", "SEK", "KRW", "SGD")


def known_currency(code: str) -> str:
    """The code in upper case. Raises ValueError for one that is not in the standard."""
    found = code.strip().upper()
    if found not in CODES:
        close = difflib.get_close_matches(found, _OFTEN, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "such as USD, EUR or GBP"
        raise ValueError(f"is no currency of ISO 4217 ({hint})")
    return found


Currency = Annotated[str, AfterValidator(known_currency)]
