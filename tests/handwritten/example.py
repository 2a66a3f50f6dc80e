"""What an example is, and how a change to its text becomes a module."""

from __future__ import annotations

import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from qecompile.spec import Spec


@dataclass(frozen=True)
class Example:
    """A module with its spec, the options of the checker, and what breaks it.

    `broken` has a name for each mistake, with a piece of the text of the class and what stands there
    instead; `arguments` are those of the class.
    """

    module: type[nn.Module]
    spec: Spec
    broken: dict[str, tuple[str, str]]
    options: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.module.__name__

    def build(self, mistake: str | None = None) -> nn.Module:
        """The module, or the module with a mistake, with weights that nobody chose."""
        cls = self.module if mistake is None else self._changed(mistake)
        module = cls(*self.arguments)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in module.parameters():
                width = p[0].numel() if p.dim() else 1
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / max(1, width) ** 0.5)
        return module.eval()

    def _changed(self, mistake: str) -> type[nn.Module]:
        source = textwrap.dedent(inspect.getsource(self.module))
        text = source[source.index("class ") :]  # without the decorator
        old, new = self.broken[mistake]
        assert text.count(old) == 1, f"{self.name}: {old!r} stands {text.count(old)} times in\n{text}"
        path = f"{self.name} ({mistake}).py"
        changed = text.replace(old, new)
        linecache.cache[path] = (len(changed), None, changed.splitlines(True), path)
        names: dict[str, Any] = dict(vars(sys.modules[self.module.__module__]))
        exec(compile(changed, path, "exec"), names)
        found = names[self.name]
        assert isinstance(found, type)
        return found


def examples(spec: Spec, **options: Any) -> tuple[list[Example], Callable[..., Callable[[type], type]]]:
    """A list, and a decorator that puts a class with its mistakes there."""
    found: list[Example] = []

    def example(*arguments: int, broken: dict[str, tuple[str, str]], **more: Any) -> Callable[[type], type]:
        def keep(cls: type[nn.Module]) -> type[nn.Module]:
            found.append(Example(cls, more.pop("spec", spec), broken, {**options, **more}, arguments))
            return cls

        return keep

    return found, example
