"""One script of calls, made on VMware's simulator and on the twin, and the differences that are expected."""
