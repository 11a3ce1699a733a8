"""The command line; one command a file, `NAME_command.py`."""
