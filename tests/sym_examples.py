"""Every valid `.sym` file at hand: the library, the examples of the pages, and one that is laid out badly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted((ROOT / "specs").glob("*.sym"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

UGLY = """


# top
use "a.sym"   # why
use "b.sym"



spec    s ( # params
  n : int = 3 , # the n
  # own
  w: ints=[1,2..3*n-1,]
  ) { # open

 # first
 space a[i] # name
    for i in 1..n-1 if i<-1 = w[ 0 ]*2//3 # size
   # group
     : permute*scale(pre) { # nested

   space b = -2 : linear
 # last in nested

 } # closed
 space z = 3 : fixed {
 } space head = 4 : permute {
   space qk = 16 : linear
   }
 model "m:f" with input normal(8,784)
 include t( ) as f[i] for i in 1 .. 2
 feature Q = W . f [ 1 ] . b.W over a
 let sizes = [100000,200000,300000,400000,500000,600000,700000,800000,900000,1000000,1100000,1200000,1300000]
 expect orbit_dim == len(w) * (n * (n / 2) * 2 + n * n * n + n)
 + n * (n * (n / 2) * 2 + n * n * n + n + sizes[0])
 param W[1,i+1] for i in 1..2 : [a[1]^{pre:1,post:-2*n}*, z * , z^-1 , z^(n+1)]
 from "key.{n}" as "(a b) c" at part=0
 param long_name : head qk * <-z # beside
 param c : head qk <- z
 metanet m { channels 1,2 alpha shared(epsilon=-0.1,stats=[mean,var]) readout invariant->10
 mix a[0] encode(6) mix head full context lowrank ( 3 ) }
 metanet e{


 }
 # end


}
# after
spec t { } # t
spec u{
 # only comment
}
# eof
"""


def examples() -> Iterator[tuple[str, str]]:
    """The files by name; the inside of a spec gets one around it."""
    for path in SPECS:
        yield path.name, path.read_text(encoding="utf-8")
    for page in PAGES:
        blocks = re.findall(
            r"^```sym\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        for number, block in enumerate(blocks, 1):
            is_file = re.search(r"^spec ", block, re.MULTILINE)
            yield f"{page.name}-{number}", block if is_file else f"spec example {{\n{block}}}\n"
    yield "ugly", UGLY


EXAMPLES = dict(examples())
