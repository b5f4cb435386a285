"""Files that are written whole, locked, digested and noticed when they are damaged."""
