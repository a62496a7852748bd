"""`python -m xabl`: the same as `xabl`."""

from xabl.commands import main

if __name__ == "__main__":
    main()
