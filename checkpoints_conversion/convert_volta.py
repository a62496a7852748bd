"""`xabl convert` as a script: the same flags, the same function."""

from xabl import commands

if __name__ == "__main__":
    commands.run("convert")
