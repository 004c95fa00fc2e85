"""The command line: parse, call one function of ``run``, print."""
