"""Python identifiers for the names of a spec: `W[1]` becomes `W1`, and no two names collide."""

from __future__ import annotations

import builtins
import keyword
import re


def identifier(name: str) -> str:
    """The nearest Python identifier.

    >>> identifier("W[1]"), identifier("enc.W[2,10]"), identifier("in"), identifier("3d")
    ('W1', 'enc_W2_10', 'in_', '_3d')
    """
    plain = re.sub(r"\[([^\]]*)\]", r"\1", name)
    plain = re.sub(r"\W+", "_", plain).strip("_") or "_"
    if plain[0].isdigit():
        plain = "_" + plain
    return plain + "_" if keyword.iskeyword(plain) or hasattr(builtins, plain) else plain


class Names:
    """Hands out identifiers, each once; the second `x` becomes `x_2`."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        self._taken = set(reserved)

    def fresh(self, wish: str) -> str:
        """An identifier close to `wish` that was not given before."""
        base = identifier(wish)
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name
