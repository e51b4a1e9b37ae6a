"""Keys must be what they look like: no invisible characters, no letters borrowed from another alphabet."""

from __future__ import annotations

import unicodedata

# Scripts that one word may mix (Unicode Technical Standard 39, section 5.2, "highly restrictive").
_EAST_ASIAN = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}


def check_key(text: str) -> str:
    """``text`` in NFC. Raises ValueError, showing the code points, if a character could pass for another."""
    if text.isascii() and text.isprintable():
        return text
    key = unicodedata.normalize("NFC", text)
    hidden = [c for c in key if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")]
    hidden += [c for c in key if unicodedata.category(c) == "Zs" and c != " "]
    if hidden:
        raise ValueError(f"holds invisible characters: {_points(hidden)}")
    compatible = [c for c in key if unicodedata.normalize("NFKC", c) != c]
    if compatible:
        raise ValueError(f"holds characters that stand for others: {_points(compatible)}")
    scripts = {_script(c) for c in key if c.isalpha()}
    if len(scripts) > 1 and not scripts <= _EAST_ASIAN:
        foreign = [c for c in key if c.isalpha() and not c.isascii()]
        raise ValueError(f"mixes alphabets ({', '.join(sorted(scripts))}): {_points(foreign)}")
    return key


def _script(letter: str) -> str:
    """The first word of a letter's Unicode name, which for letters is its script."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _points(characters: list[str]) -> str:
    shown = dict.fromkeys(f"U+{ord(c):04X} {unicodedata.name(c, 'unnamed')}" for c in characters)
    return ", ".join(list(shown)[:5])
