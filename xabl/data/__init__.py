"""Captions with located phrases, word pieces, and image regions: files to structs."""
