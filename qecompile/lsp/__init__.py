"""A language server for `.sym` files, for any editor that speaks the Language Server Protocol.

    text --analysis--> Analysis --occurrences, hover, completion--> answers --protocol, server--> editor

What is said about a text is worked out without pygls; only `protocol.py` and `server.py` import it. Start it
by `qecompile-lsp` or `python -m qecompile.lsp`; it needs the extra `lsp`.
"""
