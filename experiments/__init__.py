"""Binaries: each defines its flags and calls one function of `xabl`."""
