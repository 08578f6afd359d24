"""The official generated consensus specification (Deneb, minimal) as an oracle for pol-beacon.

Nothing here knows the Rust sources: blocks are built and judged by the specification's own functions, our slashings by docs/PROTOCOL.md.
"""
